"""Location folds: every media predicted by a model that never saw its location."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trapline.catalog import Catalog
from trapline.errors import UsageError
from trapline.models import Interval
from trapline.prediction import Predictions
from trapline.recipes import FoldedRecipe, Recipe
from trapline.taxonomy import Taxonomy
from trapline.training.arrays import Rows, Singles
from trapline.training.contract import StepReport
from trapline.training.folds import deal
from trapline.training.judging import Judged, predictions_of
from trapline.training.learners import choose_learner


@dataclass(frozen=True)
class CrossValidation:
    """What location folds say of a recipe.

    Attributes:
        predictions: out of fold, calibrated, one row a labelled media.
        metrics: name -> value and interval over locations.
        judged: calibration and probabilities.
        logits: float32 [N, labels], with the priors of the other folds put right but not calibrated, in the
            order of `judged.rows`; of networks those of the epoch that the other folds chose.
        folds: int [N], the fold that each media was held out in.
        best_epochs: of each fold, counted from 1.
        histories: of each fold, one dictionary an epoch.
        seconds: that it took.
    """

    predictions: Predictions
    metrics: dict[str, Interval]
    judged: Judged
    logits: Singles
    folds: Rows
    best_epochs: tuple[int, ...]
    histories: tuple[list[dict[str, float]], ...]
    seconds: float


def crossval(
    recipe: Recipe,
    catalog: Catalog,
    folds: int | Sequence[Catalog] = 5,
    *,
    taxonomy: Taxonomy | None = None,
    run_folder: Path | None = None,
    cache: Path | None = None,
    report: StepReport | None = None,
) -> CrossValidation:
    """Train a recipe once a fold of the locations and judge it on what was held out.

    Args:
        recipe: `fit` and `members` are not looked at.
        catalog: all labelled media of its parts train and validation are used; without a split all.
        folds: how many (dealt with the recipe's seed), or the folds themselves (as
            `ByLocation(folds=5).folds(catalog)` gives them).
        taxonomy: what the labels are, for recipes of taxa.
        run_folder: for checkpoints, so that an interrupted run goes on; None for a temporary one.
        cache: folder for pixels and features; None for the user's.
        report: told of each step.

    Raises:
        UsageError: the recipe chooses on a validation part, which folds do not have.
        DataError: too few locations or labels.
    """
    started = time.monotonic()
    if not isinstance(recipe, FoldedRecipe):
        raise UsageError("The solver 'adam' is judged on a validation part, not by folds.")
    learner = choose_learner(recipe, catalog, taxonomy, needs_split=False)(cache, report)
    dealt = deal(learner.selected, folds, recipe, needs_every_label=learner.needs_every_label)
    with ExitStack() as stack:
        if run_folder is None:
            run_folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trapline-")))
        held_out = learner.out_of_fold(dealt, run_folder)
    judged = learner.judge(dealt.rows, held_out.logits, learner.base(dealt.rows), dealt)
    if dealt.given:
        judged = replace(judged, held_out_by=None)  # what folds from elsewhere keep together is not known
    facts = learner.facts(judged, learner.describe(held_out.model, judged))
    return CrossValidation(
        predictions=predictions_of(recipe, learner.selected, judged, "out-of-fold", facts),
        metrics=judged.metrics,
        judged=judged,
        logits=held_out.logits.astype(np.float32),
        folds=dealt.numbers,
        best_epochs=held_out.model.best_epochs,
        histories=held_out.model.histories,
        seconds=time.monotonic() - started,
    )
