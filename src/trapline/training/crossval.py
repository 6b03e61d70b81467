"""Location folds: every media predicted by a model that never saw its location."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog, location_folds, season_folds, split_catalog
from trapline.errors import DataError
from trapline.models import Interval
from trapline.models.calibrated import scale_logits
from trapline.models.recipe import Recipe
from trapline.prediction import Predictions
from trapline.prediction.facts import PredictionFacts
from trapline.taxonomy import Taxonomy
from trapline.training.frozen import head_recipe
from trapline.training.judging import Judged, judge, predictions_of
from trapline.training.selection import Rows, Selected, select_media
from trapline.training.targets import base_calibration
from trapline.training.torch_learner import StepReport, TorchLearner

if TYPE_CHECKING:
    from trapline.training.fitting import Fitted


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
    logits: npt.NDArray[np.float32]
    folds: npt.NDArray[np.int64]
    best_epochs: tuple[int, ...]
    histories: tuple[list[dict[str, float]], ...]
    seconds: float
    fitted: tuple[Fitted, ...] = field(repr=False, default=())


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
            `trapline.catalog.location_folds` gives them).
        taxonomy: what the labels are, for recipes of taxa.
        run_folder: for checkpoints, so that an interrupted run goes on; None for a temporary one.
        cache: folder for pixels and features; None for the user's.
        report: told of each step.

    Raises:
        DataError: too few locations or labels.
    """
    if recipe.taxa is not None:
        from trapline.training.taxa import crossval_taxa, needed

        known, resolved = needed(taxonomy, recipe), head_recipe(recipe, cache)
        return crossval_taxa(resolved, catalog, known, folds, cache=cache, report=report)
    if recipe.how == "frozen":
        from trapline.training.heads import crossval_head

        return crossval_head(head_recipe(recipe, cache), catalog, folds, cache=cache, report=report)
    selected = select_media(catalog, recipe, needs_split=False)
    learner = TorchLearner(recipe, selected, cache, report)
    return run_folds(learner, folds, run_folder)


def run_folds(
    learner: TorchLearner, folds: int | Sequence[Catalog], run_folder: Path | None
) -> CrossValidation:
    """The folds of a learner whose pixels are ready."""
    started = time.monotonic()
    recipe, selected = learner.recipe, learner.selected
    parts = fold_rows(selected, folds, recipe)
    fitted: list[Fitted] = []
    with ExitStack() as stack:
        if run_folder is None:
            run_folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trapline-")))
        for place, (train, held_out) in enumerate(parts):
            what = f"fold {place + 1} of {len(parts)}"
            fitted.append(learner.fit(train, held_out, run_folder / f"fold-{place}", what=what))
        logits = np.concatenate(
            [
                scale_logits(
                    found.answers.of_epoch(epoch),
                    base_calibration(recipe, selected, train),
                    recipe.task,
                    selected.labels,
                )
                for (train, _), found, epoch in zip(parts, fitted, epochs_of_others(fitted), strict=True)
                if found.answers is not None
            ]
        )
    rows = np.concatenate([held_out for _, held_out in parts])
    numbers = np.repeat(np.arange(len(parts)), [len(held_out) for _, held_out in parts])
    base = base_calibration(recipe, selected, rows)
    judged = judge(recipe, selected, rows, logits, base, folds=numbers)
    if not isinstance(folds, int):
        judged = replace(judged, held_out_by=None)  # what folds from elsewhere keep together is not known
    facts = PredictionFacts(recipe=recipe.name, measured_on=judged.measured_on)
    return CrossValidation(
        predictions_of(recipe, selected, judged, "out-of-fold", facts),
        judged.metrics,
        judged,
        logits.astype(np.float32),
        numbers,
        tuple(found.best_epoch for found in fitted),
        tuple(found.history for found in fitted),
        time.monotonic() - started,
        tuple(fitted),
    )


def epochs_of_others(fitted: Sequence[Fitted]) -> list[int]:
    """The epoch at which each fold is judged: the median of the other folds' best ones, if it ran as long.

    Its own best one was chosen on the very media that it is judged on.
    """
    best = [found.best_epoch for found in fitted]
    of_others = (best[:place] + best[place + 1 :] for place in range(len(best)))
    return [
        min(round(float(np.median(others))), len(found.history))
        for found, others in zip(fitted, of_others, strict=True)
    ]


def fold_rows(
    selected: Selected,
    folds: int | Sequence[Catalog],
    recipe: Recipe,
    *,
    needs_every_label: bool | None = None,
) -> list[tuple[Rows, Rows]]:
    """For each fold the rows that train and the rows that are held out, of the readable media.

    Raises:
        DataError: the folds do not hold every media out exactly once, or (with `needs_every_label`, which is
            True for single-label tasks unless said) a fold trains without a label.
    """
    if needs_every_label is None:
        needs_every_label = recipe.task == "single-label"
    catalogs = _deal(selected.catalog, folds, recipe) if isinstance(folds, int) else list(folds)
    ids = selected.catalog.table.select("media_id").with_row_index("row")
    usable = np.setdiff1d(np.arange(len(selected.catalog)), list(selected.failed))
    parts = []
    for place, catalog in enumerate(catalogs):
        split = ids.join(catalog.table.select("media_id", "split"), on="media_id", how="left")
        train, held_out = (
            np.intersect1d(usable, split.filter(pl.col("split") == part)["row"].to_numpy())
            for part in ("train", "validation")
        )
        missing = [
            label
            for label, count in zip(selected.labels, selected.targets[train].sum(axis=0), strict=True)
            if not count
        ]
        if missing and needs_every_label:
            raise DataError(
                f"Fold {place + 1} of {len(catalogs)} would train without the label {', '.join(missing)}: it "
                "occurs at too few locations. Use fewer folds, another seed, or leave the label out."
            )
        parts.append((train, held_out))
    held: npt.NDArray[Any] = np.sort(np.concatenate([held_out for _, held_out in parts]))
    if not np.array_equal(held, usable):
        raise DataError("The folds must hold out every labelled media exactly once.")
    return parts


def _deal(catalog: Catalog, folds: int, recipe: Recipe) -> list[Catalog]:
    """The folds that the recipe asks for."""
    if recipe.fold_by == "season":
        return season_folds(catalog)
    if recipe.fold_by == "location":
        _check_locations(catalog, folds)
        return location_folds(catalog, folds, recipe.seed)
    return [
        split_catalog(
            catalog,
            by="event",
            method="kfold",
            folds=folds,
            fold=fold,
            seed=recipe.seed,
            check_files=False,
        )
        for fold in range(folds)
    ]


def _check_locations(catalog: Catalog, folds: int) -> None:
    """Name the setting that helps where locations cannot be dealt."""
    places = catalog.table["location_id"]
    lacking, there = places.null_count(), places.drop_nulls().n_unique()
    if lacking:
        what = f"{lacking} of {len(places)} labelled media have no known location"
    elif there < folds:
        what = f"The labelled media are of {there} location{'s' if there != 1 else ''} only"
    else:
        return
    fewer = ", or ask for fewer folds" if not lacking and there > 1 else ""
    events = catalog.table["event_id"].null_count() < len(places)
    first = "" if events else " once there are events (`trapline catalog … --event-gap 60s`)"
    raise DataError(
        f"{what}, so {folds} folds of locations cannot be dealt. Keep the photos of each event together "
        f"instead (--set fold_by=event){first}{fewer}, or say where locations are when reading "
        "(`trapline catalog … --column location=NAME` or --location-level)."
    )
