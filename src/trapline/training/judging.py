"""Calibration and metrics of a trained model, and the predictions they were measured on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.models import (
    AtNewLocations,
    Calibration,
    EventPooling,
    Interval,
    MeasuredAt,
    apply_calibration,
    at_new_locations,
    blank_column,
    choose_calibration,
)
from trapline.prediction import FIXED, Level, PredictionFacts, Predictions, probability_columns
from trapline.recipes import LabelRecipe, Recipe
from trapline.training.arrays import Flags, Floats, Rows
from trapline.training.events import could_be_learnt, intervals_of, judge_events, kept_apart, known_labels
from trapline.training.selection import Selected
from trapline.training.targets import truth_of

OF_SINGLE_MODELS = "calibration and figures are of single models"
AVERAGES_FOLDS = f"; the model file averages the folds' models; {OF_SINGLE_MODELS}"


@dataclass(frozen=True)
class Judged:
    """What is said of media that a model did not train on.

    Attributes:
        rows: of the selected media.
        probabilities: float64 [rows, labels], calibrated.
        calibration: for the model file.
        metrics: name -> value and interval over locations or, where these do not tell, events.
        measured_on: for people.
        measured_at: at how many locations.
        new_locations: figure -> what it will be on new ones; empty where the locations that were judged are
            too few, or are trained on too.
        event: how the media of an event are pooled, and figures of events; None without events.
        held_out_by: what the folds kept together, where each media was predicted by a model of other folds.
    """

    rows: Rows
    probabilities: Floats
    calibration: Calibration
    metrics: dict[str, Interval]
    measured_on: str
    measured_at: MeasuredAt
    new_locations: AtNewLocations
    event: EventPooling | None = None
    held_out_by: str | None = None


def judge(
    recipe: Recipe,
    selected: Selected,
    rows: Rows,
    logits: npt.NDArray[Any],
    base: Calibration,
    *,
    folds: Rows | None = None,
    by: str = "location",
) -> Judged:
    """Fit the calibration, of media and of events, and measure.

    Media of one label that is none of the model's, but stops above some, have a part in neither; they are
    answered as the others are, and judged by rank (`trapline evaluate`).

    Args:
        recipe: its task and calibration are used.
        selected: truth, locations and events.
        rows: the media judged.
        logits: [rows, labels], of models that did not train on them, with the priors put right; in folds by
            what each fold's model was trained on, so that no label of a fold has a part in its own figures.
        base: what puts the priors of the model file right, before what is fitted here.
        folds: [rows], the fold of each media: the calibration of each fold's figures then comes from the
            other folds, so that they are as honest as those of new locations. A label that the other folds
            (or, without folds, the train part) do not show has no part in it.
        by: what the folds keep together.
    """
    targets = selected.targets[rows]
    truth = truth_of(targets, recipe.task)
    told = targets.any(axis=1) if truth.ndim == 1 else np.ones(len(rows), bool)
    groups = selected.groups(rows[told])
    known = known_labels(selected, rows, folds)
    teaches = told & could_be_learnt(known, truth)

    natural = Calibration(exclusive=base.exclusive)

    def fitted(inside: Flags) -> Calibration:
        inside = inside & teaches
        if not inside.any():
            return natural
        weights = None if truth.ndim == 1 else known[inside].astype(np.float64)
        fitted_calibration = choose_calibration(
            recipe.calibration,
            logits[inside],
            truth[inside],
            natural,
            recipe.task,
            selected.labels,
            kept_apart(selected.groups(rows[inside]), None if folds is None else folds[inside]),
            weights,
        )
        if fitted_calibration.method == "none":
            return fitted_calibration
        fitted_on = f"{'validation' if folds is None else 'out of fold'}: {groups.where}"
        return fitted_calibration.model_copy(update={"fitted_on": fitted_on, "locations": groups.locations})

    calibration = fitted(np.ones(len(rows), bool))
    probabilities = apply_calibration(logits, calibration, recipe.task, selected.labels)
    for fold in np.unique(folds) if folds is not None else ():
        inside = folds == fold
        of_others = fitted(~inside)
        probabilities[inside] = apply_calibration(logits[inside], of_others, recipe.task, selected.labels)
    metrics = intervals_of(
        selected.labels,
        truth[told],
        probabilities[told],
        groups.keys,
        seed=recipe.seed,
        exclusive=base.exclusive,
    )
    event = judge_events(recipe, selected, rows, probabilities, folds)
    described = _measured_on(recipe, groups.where, None if folds is None else folds[told], by)
    if not told.all():
        described += f"; {(~told).sum()} media of coarser labels are judged by rank only"
    calibration = calibration.model_copy(
        update={"prior_shift": base.prior_shift, "blank_kept": base.blank_kept}
    )
    locations = selected.catalog.table["location_id"]
    own = told & _at_unseen(locations, rows, selected.train, folds)
    return Judged(
        rows,
        probabilities,
        calibration,
        metrics,
        described,
        MeasuredAt.at(locations[rows[told].tolist()].to_list()),
        at_new_locations(
            truth[own],
            probabilities[own],
            locations[rows[own].tolist()].to_list(),
            blank=blank_column(selected.labels),
            exclusive=base.exclusive,
            seed=recipe.seed,
        ),
        event,
        None if folds is None else by,
    )


def _at_unseen(locations: pl.Series, rows: Rows, train: Rows, folds: Rows | None) -> Flags:
    """[rows]: whether a media's model was trained on none of its location, so that it tells of new ones."""
    judged = locations[rows.tolist()]
    if folds is None:
        return np.asarray(~judged.is_in(locations[train.tolist()].implode()).fill_null(True), bool)
    of_one_fold = pl.col("fold").n_unique().over("location") == 1
    alone = pl.DataFrame({"location": judged, "fold": folds}).select(of_one_fold)
    return np.asarray(alone.to_series(), bool)


def with_note(judged: Judged, note: str) -> Judged:
    """The same, with what else a reader of the figures must know."""
    return replace(judged, measured_on=judged.measured_on + note)


def _measured_on(recipe: Recipe, where: str, folds: Rows | None, by: str) -> str:
    weak = recipe.learn_from == "event" and recipe.answers == "media"
    labels = ", each held to have the labels of its event" if weak else ""
    if folds is None:
        chosen = _chosen_on_validation(recipe)
        return f"validation: {where}{labels}{f', on which {chosen} too' if chosen else ''}"
    epoch = "at the epoch and " if recipe.chooses_epoch else ""
    return (
        f"{len(np.unique(folds))} {by} folds: {where}{labels}, each predicted by a model that never saw its "
        f"{by}, {epoch}with the calibration of the other folds"
    )


def _chosen_on_validation(recipe: Recipe) -> str:
    """What the media that are measured have decided; empty for nothing."""
    epoch, calibration = recipe.chooses_epoch, recipe.calibration != "none"
    if epoch and calibration:
        return "the epoch and the calibration were chosen"
    return "the epoch was chosen" if epoch else "the calibration was fitted" if calibration else ""


def predictions_of(
    recipe: Recipe, selected: Selected, judged: Judged, fingerprint: str, facts: PredictionFacts
) -> Predictions:
    """The judged media as a predictions table; photos that could not be read have their row too."""
    failed = [row for row in selected.failed if _judgeable(selected, row, judged)]
    rows = [*judged.rows.tolist(), *failed]
    by_row = np.full((len(rows), len(selected.labels)), np.nan)
    by_row[: len(judged.rows)] = judged.probabilities
    picked = selected.catalog.table[rows]
    reasons = [None] * len(judged.rows) + [selected.failed[row] for row in failed]
    of_event = recipe.answers == "event"
    table = picked.select(
        pl.when(of_event & pl.col("event_id").is_not_null())
        .then(None)
        .otherwise("media_id")
        .alias("media_id"),
        "event_id",
        pl.lit(None, pl.Int64).alias("box"),
        "file_path",
        pl.Series("status", ["failed" if reason else "ok" for reason in reasons]),
        pl.Series("reason", reasons, pl.String),
        *probability_columns(selected.labels, by_row),
    ).cast({name: kind for name, kind in FIXED.items()})  # noqa: C416  polars wants its own dict
    facts = replace(
        facts,
        held_out_by=judged.held_out_by,
        measured_at=(judged.measured_at,),
        exclusive=isinstance(recipe, LabelRecipe) and recipe.exclusive,
        event=None if judged.event is None else judged.event.without_figures(),
    )
    level: Level = "event" if of_event else "media"
    return Predictions(table, selected.labels, level, fingerprint, recipe.task, facts)


def _judgeable(selected: Selected, row: int, judged: Judged) -> bool:
    """Whether an unreadable photo belongs to the part that was judged."""
    part = selected.catalog.table["split"][row]
    parts = set(selected.catalog.table["split"][judged.rows.tolist()].to_list())
    return part in parts
