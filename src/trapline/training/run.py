"""`train`: from a catalog with a split to a model file with its card: select, check, learn, judge, write.

`crossval`: the same by location folds, up to the judgement.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from trapline.catalog import Catalog
from trapline.errors import TraplineError, UsageError
from trapline.models import Card, Interval, ModelFile
from trapline.prediction import Predictions
from trapline.recipes import FoldedRecipe, Recipe
from trapline.taxonomy import Taxonomy
from trapline.training.arrays import Rows, Singles
from trapline.training.contract import Learner, LearntModel, OutOfFold, StepReport
from trapline.training.devices import DevicesLike
from trapline.training.elsewhere import Elsewhere, refuse_alone
from trapline.training.familiarity import familiar_of
from trapline.training.folds import Dealt, deal
from trapline.training.frozen import need_weights
from trapline.training.judging import Judged, predictions_of, with_note
from trapline.training.learners import choose_learner
from trapline.training.run_folder import begin, check_folder, check_folds, opened
from trapline.training.selection import data_summary, refuse_leaks, split_record

MODEL, JUDGED = "model.onnx", "validation.parquet"
PARITY = 1e-3
"""Largest difference of a logit between what has learnt and the model file, relative above 1."""


def train(
    recipe: Recipe,
    catalog: Catalog,
    run_folder: Path | str,
    *,
    taxonomy: Taxonomy | None = None,
    allow_leak: bool = False,
    resume: bool = False,
    devices: DevicesLike = None,
    compiled: bool = False,
    cache: Path | None = None,
    on: str | None = None,
    report: StepReport | None = None,
) -> Path:
    """Train a recipe and write its model file.

    Args:
        recipe: of any kind; see `trapline.recipes.resolve_recipe`.
        catalog: with labels and a split into train and validation (`Catalog.split`); recipes
            that deal their own folds (`fit` is `all` or `folds`) need no split and use all labelled media.
        run_folder: made; gets `recipe.yaml`, `catalog.parquet`, `validation.parquet` (predictions of the
            judged media), `model.onnx`, `history.csv` and, where there is something to draw, `history.png`:
            by epoch, or by the strength of the regularisation that heads at their optimum tried. Of a network
            also `batches.csv` and `.png` (the training loss by batch) and checkpoints, of a tree
            `taxonomy.json`. What fails before anything is learnt leaves none.
        taxonomy: what the labels are, for recipes of taxa (`recipe.taxa`); others do not look at it.
        allow_leak: train although the split leaks; the card says so.
        resume: go on in a run folder that exists, with the same recipe and catalog.
        devices: on which a network is trained, see `find_devices`; a run may go on on others.
        compiled: train on what PyTorch's compiler makes of the network, with the same result.
        cache: folder for pixels and features; None for the user's.
        on: fit folds, or members, in processes of their own, several at once; see `trapline.tasks`. The model
            is the same to the last bit, where they and this process use as many threads.
        report: told of each step.

    Returns:
        the path of the model file.

    Raises:
        UsageError: the run folder exists and `resume` is False, or is of another recipe or catalog; or there
            is one model to fit, and it is to be fitted elsewhere.
        TasksFailedError: what was to be fitted elsewhere was not; resumed, the run goes on.
        DataError: the backbone's weights cannot be had (said before anything is read or made), the split
            leaks, a part is empty, a label has no training media, photos cannot be read, training diverges.
        MissingExtraError: the recipe needs PyTorch and it is not installed.
    """
    folder = Path(run_folder)
    if on is not None:
        refuse_alone(recipe)
    if not (resume and folder.is_dir()):
        need_weights(recipe, cache)
    needs_split = recipe.fit == "train"
    make = choose_learner(
        recipe,
        catalog,
        taxonomy,
        needs_split=needs_split,
        devices=devices,
        compiled=compiled,
    )
    leaks = refuse_leaks(catalog, allow_leak)
    check_folder(folder, recipe, catalog, resume)
    learner = make(cache, report)
    if on is not None:
        learner.elsewhere = Elsewhere(
            on, recipe, catalog, taxonomy, needs_split, cache, devices, report, compiled=compiled
        )
    with opened(folder, recipe, catalog):
        model, judged = learn(learner, folder)
        if leaks.leaking:
            judged = with_note(judged, "; LEAKING SPLIT: these figures flatter the model")
        described = learner.describe(model, judged)
        fields = _card_fields(learner, model, judged, split_record(catalog, leaks))
        card = Card(**(fields | {"familiar": familiar_of(learner, model)} | described))
        learner.tell("export")(0, 1)
        _write(learner, model, card, folder / MODEL)
        fingerprint = ModelFile(folder / MODEL, threads=1).fingerprint
        facts = learner.facts(judged, described)
        predictions_of(recipe, learner.selected, judged, fingerprint, facts).save(folder / JUDGED)
        learner.write_files(model, folder)
    return folder / MODEL


def learn(learner: Learner[Any], folder: Path) -> tuple[LearntModel, Judged]:
    """What leaves in the model file, and what is said of media that it, or models like it, did not see."""
    recipe, selected = learner.recipe, learner.selected
    if recipe.fit == "train":
        model = learner.fit(selected.train, selected.validation, None, folder)
        logits = learner.natural(learner.held_logits(model), selected.train)
        return model, learner.judge(selected.validation, logits, learner.base(selected.train))
    assert isinstance(recipe, FoldedRecipe)  # the others are for `train`
    dealt, held_out, judged = _judge_by_folds(learner, recipe.folds, recipe, folder)
    model = held_out.model
    if recipe.fit == "all":
        model = learner.fit(np.sort(dealt.rows), None, held_out.model, folder)
    return model, with_note(judged, model.note)


def _judge_by_folds(
    learner: Learner[Any], folds: int | Sequence[Catalog], recipe: FoldedRecipe, folder: Path
) -> tuple[Dealt, OutOfFold[Any], Judged]:
    dealt = deal(learner.selected, folds, recipe, needs_every_label=learner.needs_every_label)
    held_out = learner.out_of_fold(dealt, folder)
    return dealt, held_out, learner.judge(dealt.rows, held_out.logits, learner.base(dealt.rows), dealt)


def _card_fields(
    learner: Learner[Any], model: LearntModel, judged: Judged, split: dict[str, Any]
) -> dict[str, Any]:
    """What every card says."""
    recipe, origin = learner.recipe, learner.origin(model)
    return {
        "name": recipe.name,
        "task": recipe.task,
        "labels": learner.selected.labels,
        "embedding_size": origin.embedding_size,
        "preprocessing": recipe.preprocessing,
        "calibration": judged.calibration,
        "event": judged.event,
        "batch": recipe.answers,
        "recipe": recipe.model_dump(mode="json"),
        "split": split,
        "training_data": data_summary(learner.selected, recipe.preprocessing.crop),
        "metrics": judged.metrics,
        "metrics_on": judged.measured_on,
        "measured_at": judged.measured_at,
        "new_locations": judged.new_locations,
        "backbone": {"name": origin.name, "fingerprint": origin.fingerprint},
        "notices": origin.notices,
        "versions": {name: version(name) for name in learner.libraries},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _write(learner: Learner[Any], model: LearntModel, card: Card, path: Path) -> None:
    """Write the model file, once it answers as what has learnt does on a few of the photos themselves."""
    from trapline.models import write_model_file

    unchecked = path.with_name(f"unchecked-{path.name}")
    try:
        file = ModelFile(write_model_file(learner.graph(model), card, unchecked), threads=1)
        rows = np.concatenate([learner.selected.validation, learner.selected.train])[:8]
        expected, actual = learner.logits(model, rows), learner.file_logits(file, rows)
        worst = float((np.abs(actual - expected) / np.maximum(1, np.abs(expected))).max())
        if not worst <= PARITY:
            raise TraplineError(
                f"The model file answers otherwise than what was trained (logits differ by {worst:.2g}). "
                "This is a fault of the export, not of your data; please report it with the recipe."
            )
        unchecked.replace(path)
    finally:
        unchecked.unlink(missing_ok=True)


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
    devices: DevicesLike = None,
    cache: Path | None = None,
    on: str | None = None,
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
        devices: on which networks are trained.
        cache: folder for pixels and features; None for the user's.
        on: as of `train`.
        report: told of each step.

    Raises:
        UsageError: the recipe chooses on a validation part, which folds do not have; or the run folder is of
            another recipe, catalog or folds.
        DataError: too few locations or labels.
    """
    started = time.monotonic()
    if not isinstance(recipe, FoldedRecipe):
        raise UsageError("The solver 'adam' is judged on a validation part, not by folds.")
    make = choose_learner(recipe, catalog, taxonomy, needs_split=False, devices=devices)
    learner = make(cache, report)
    if on is not None:
        learner.elsewhere = Elsewhere(on, recipe, catalog, taxonomy, False, cache, devices, report)
    with ExitStack() as stack:
        if run_folder is None:
            run_folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trapline-")))
        else:
            check_folder(run_folder, recipe, catalog, resume=True)
            begin(run_folder, recipe, catalog)
            check_folds(run_folder, folds)
        dealt, held_out, judged = _judge_by_folds(learner, folds, recipe, run_folder)
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
