"""Calibration and metrics of a trained model, and the predictions they were measured on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.metrics import bootstrap_all, fit_temperature, probabilities_of
from trapline.models import Calibration, Interval
from trapline.models.recipe import Recipe
from trapline.prediction import Predictions
from trapline.prediction.table import FIXED
from trapline.training.selection import Rows, Selected
from trapline.training.targets import truth_of

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """What is said of media that a model did not train on.

    Attributes:
        rows: of the selected media.
        probabilities: float64 [rows, labels], calibrated.
        calibration: for the model file.
        metrics: name -> value and interval over locations.
        measured_on: for people.
    """

    rows: Rows
    probabilities: Floats
    calibration: Calibration
    metrics: dict[str, Interval]
    measured_on: str


def judge(
    recipe: Recipe,
    selected: Selected,
    rows: Rows,
    logits: npt.NDArray[Any],
    shift: tuple[float, ...],
    *,
    folds: npt.NDArray[np.int64] | None = None,
    caveat: str = "",
) -> Judged:
    """Fit the temperature and measure.

    Args:
        recipe: its task and calibration are used.
        selected: truth and locations.
        rows: the media judged.
        logits: [rows, labels], raw; of models that did not train on them.
        shift: prior shift of the model file, in order of the labels.
        folds: [rows], the fold of each media: the temperature of each fold's figures then comes from the
            other folds, so that they are as honest as those of new locations.
        caveat: what else a reader of the figures must know.
    """
    truth = truth_of(selected.targets[rows], recipe.task)
    shifted = np.asarray(logits, np.float64) + (np.asarray(shift) if shift else 0.0)
    places = np.unique(selected.groups[rows])
    where = f"{len(rows)} media at {len(places)} locations"
    calibration = Calibration(prior_shift=shift)
    temperature = np.ones((len(rows), 1))
    if recipe.calibration == "temperature":
        calibration = Calibration(
            method="temperature",
            temperature=fit_temperature(shifted, truth),
            fitted_on=f"{'validation' if folds is None else 'out of fold'}: {where}",
            locations=tuple(str(place) for place in places),
            prior_shift=shift,
        )
        temperature[:] = calibration.temperature
        for fold in np.unique(folds) if folds is not None else ():
            others = folds != fold
            temperature[~others] = fit_temperature(shifted[others], truth[others])
    probabilities = probabilities_of(shifted / temperature, recipe.task)
    found = bootstrap_all(truth, probabilities, selected.groups[rows], seed=recipe.seed)
    metrics = {
        name: Interval(value=figure.value, low=figure.low, high=figure.high)
        for name, figure in found.items()
        if figure.value is not None
    }
    return Judged(rows, probabilities, calibration, metrics, _measured_on(where, folds) + caveat)


def _measured_on(where: str, folds: npt.NDArray[np.int64] | None) -> str:
    if folds is None:
        return f"validation: {where}, on which the epoch and the temperature were chosen too"
    return (
        f"{len(np.unique(folds))} location folds: {where}, each predicted by a model that never saw its "
        "location, with the temperature of the other folds"
    )


def predictions_of(
    recipe: Recipe, selected: Selected, judged: Judged, fingerprint: str, info: Mapping[str, Any]
) -> Predictions:
    """The judged media as a predictions table; photos that could not be read have their row too."""
    failed = [row for row in selected.failed if _judgeable(selected, row, judged)]
    rows = [*judged.rows.tolist(), *failed]
    found = np.full((len(rows), len(selected.labels)), np.nan)
    found[: len(judged.rows)] = judged.probabilities
    picked = selected.catalog.table[rows]
    reasons = [None] * len(judged.rows) + [selected.failed[row] for row in failed]
    table = picked.select(
        "media_id",
        "event_id",
        pl.lit(None, pl.Int64).alias("box"),
        "file_path",
        pl.Series("status", ["failed" if reason else "ok" for reason in reasons]),
        pl.Series("reason", reasons, pl.String),
        *(
            pl.Series(label, found[:, place], pl.Float32).fill_nan(None)
            for place, label in enumerate(selected.labels)
        ),
    ).cast({name: kind for name, kind in FIXED.items()})  # noqa: C416  polars wants its own dict
    return Predictions(table, selected.labels, "media", fingerprint, recipe.task, dict(info))


def _judgeable(selected: Selected, row: int, judged: Judged) -> bool:
    """Whether an unreadable photo belongs to the part that was judged."""
    part = selected.catalog.table["split"][row]
    parts = set(selected.catalog.table["split"][judged.rows.tolist()].to_list())
    return part in parts
