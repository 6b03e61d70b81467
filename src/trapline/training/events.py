"""From frames to events in training: which pooling does best on held-out events, and what it scores there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Groups, frame_order, label_events
from trapline.errors import many
from trapline.metrics import (
    binary_losses,
    estimate_all,
    fit_scaling,
    log_loss,
    measure,
)
from trapline.models import (
    Calibration,
    EventPooling,
    Interval,
    Method,
    PoolingMethod,
    apply_calibration,
    as_intervals,
    blank_column,
    choose_calibration,
    fit_calibration,
)
from trapline.prediction import apply_pooling, event_form, pool_column, pooled_logits
from trapline.recipes import LabelRecipe, Recipe
from trapline.training.arrays import Flags, Floats, Rows
from trapline.training.selection import Selected
from trapline.training.targets import target_matrix, truth_of

METHODS: tuple[PoolingMethod, ...] = get_args(PoolingMethod)
Pooled = Callable[[int, PoolingMethod, str], Floats]
FEW = 5
"""A label with fewer events keeps the method of all labels: its own best one would be chance."""
LEAST_EVENTS = 30
"""Events of several media that a choice of pooling needs; with fewer the mean is taken.

Simulated (`benchmarks/pooling_choice.py`), a choice on 30 events of five locations is 0.03 better in log loss
at other locations than the mean, and in the worst kind of bursts 0.05 worse; one on 10 is worse on average.
"""


def known_labels(selected: Selected, rows: Rows, folds: Rows | None) -> Flags:
    """[rows, labels]: whether what a media's model was trained on shows the label at all.

    That is the other folds, or without folds the train part.
    """
    targets = selected.targets[rows]
    known = np.tile(selected.targets[selected.train].any(axis=0), (len(rows), 1))
    for fold in np.unique(folds) if folds is not None else ():
        known[folds == fold] = targets[folds != fold].any(axis=0)
    return known


def could_be_learnt(known: Flags, truth: Rows) -> Flags:
    """[rows]: of one label a media, whether what its model was trained on shows it; of several, all may be.

    Args:
        known: of `known_labels`; of several labels it says of each what counts.
        truth: int [rows], or 0/1 [rows, labels].
    """
    if truth.ndim == 2:
        return np.ones(len(truth), bool)
    return np.asarray(known[np.arange(len(truth)), truth])


def kept_apart(groups: Groups, folds: Rows | None) -> npt.NDArray[Any]:
    """[N]: over what calibrations are compared: locations; where these do not tell, the folds.

    Events of one camera are alike, and would always speak for the method that says more: it then fails in
    another season. Without folds all media are one group, of which none is chosen.
    """
    if groups.by == "location":
        return groups.keys
    return np.zeros(len(groups.keys), np.int64) if folds is None else folds


def intervals_of(
    labels: tuple[str, ...],
    truth: Rows,
    probabilities: Floats,
    groups: npt.NDArray[Any],
    *,
    seed: int,
    exclusive: bool,
) -> dict[str, Interval]:
    """Every figure with its interval over `groups`."""
    figures = partial(measure, blank=blank_column(labels), exclusive=exclusive)
    return as_intervals(estimate_all(truth, probabilities, groups, seed=seed, metrics_fn=figures))


def judge_events(
    recipe: Recipe, selected: Selected, rows: Rows, probabilities: Floats, folds: Rows | None
) -> EventPooling | None:
    """Choose how to pool the frames of these media, and measure events.

    Of fewer than `LEAST_EVENTS` events of several media nothing is chosen: they are pooled by the mean. What
    is chosen says on how many events and locations it rests. With folds, what the figures of a fold's events
    rest on was chosen on the other folds. Where a media has one label, events whose media show several are
    left out and counted: one answer cannot say them.

    Args:
        recipe: its task, `frames` and calibration are used.
        selected: the media.
        rows: those that were judged.
        probabilities: [rows, labels], calibrated, of models that did not train on them.
        folds: [rows], the fold of each media.

    Returns:
        None where no event that can be judged has two of the media, or all such are of one fold.
    """
    if not isinstance(recipe, LabelRecipe) or recipe.answers == "event":
        return None
    order = frame_order(selected.catalog.table[rows.tolist()])
    rows, probabilities = rows[order], probabilities[order]
    folds = None if folds is None else folds[order]
    labelled = label_events(selected.catalog.with_table(selected.catalog.table[rows.tolist()])).table
    single = recipe.task == "single-label"
    one = (labelled["labels"].list.len() == 1).to_numpy() if single else np.ones(len(rows), bool)
    mixed = len(np.unique(selected.events[rows[~one]]))
    labelled, rows, probabilities = labelled.filter(pl.Series(one)), rows[one], probabilities[one]
    folds = None if folds is None else folds[one]
    names, first, codes = np.unique(selected.events[rows], return_index=True, return_inverse=True)
    if len(names) == len(rows) or (folds is not None and len(np.unique(folds)) < 2):
        return None
    shown = selected.catalog.with_table(labelled[first.tolist()])
    targets = target_matrix(shown, selected.labels, recipe.task)
    weights = 1 / np.bincount(codes)[codes]
    of_event = None if folds is None else folds[first]
    known = known_labels(selected, rows, folds)[first]
    truth = truth_of(targets, recipe.task)
    groups, several = selected.groups(rows[first]), np.bincount(codes) > 1
    apart = kept_apart(groups, of_event)
    pooled_by = _pool_all(probabilities, weights, codes)
    chooser = _Chooser(recipe, selected.labels, truth, known, several, apart, pooled_by)
    pooling = chooser.choose(np.ones(len(names), bool))
    pooled = apply_pooling(probabilities, weights, codes, pooling, recipe.task, selected.labels)
    for fold in np.unique(of_event) if of_event is not None else ():
        inside = of_event == fold
        others = chooser.choose(~inside)
        by_event = apply_pooling(probabilities, weights, codes, others, recipe.task, selected.labels)
        pooled[inside] = by_event[inside]
    of_locations = f" of {many(len(groups.locations), 'location')}" if groups.locations else ""
    where = f"{many(len(names), 'event')}{of_locations}"
    rests_on = f"{where}, {several.sum()} of several photos{_too_few(several.sum(), recipe)}"
    if mixed:
        left_out = f" ({mixed} with several labels left out)"
        where, rests_on = where + left_out, rests_on + left_out
    chosen_on = "on which it was chosen" if folds is None else "each with what was chosen on the other folds"
    figures = intervals_of(
        selected.labels, truth, pooled, groups.keys, seed=recipe.seed, exclusive=recipe.exclusive
    )
    return pooling.model_copy(
        update={
            "selected_on": f"{'validation' if folds is None else 'out of fold'}: {rests_on}",
            "metrics": figures,
            "metrics_on": f"{where}, {chosen_on}; intervals over {groups.by}s",
        }
    )


def _too_few(events: int, recipe: LabelRecipe) -> str:
    """Why the mean was taken, for people; empty where there was a choice, or none was wanted."""
    if events >= LEAST_EVENTS or recipe.frames == "first":
        return ""
    return f": fewer than the {LEAST_EVENTS} that a choice needs, so the mean is taken"


def _pool_all(probabilities: Floats, weights: Floats, codes: Rows) -> Pooled:
    """(column, method, label) -> [events], computed once."""
    known: dict[tuple[int, str], Floats] = {}

    def pooled(index: int, method: PoolingMethod, label: str) -> Floats:
        if (index, method) not in known:
            known[index, method] = pool_column(probabilities[:, index], weights, codes, method, label)
        return known[index, method]

    return pooled


def _fit_events(
    method: Method,
    logits: npt.ArrayLike,
    truth: npt.NDArray[np.int64],
    base: Calibration,
    task: str,
    labels: Sequence[str],
    weights: npt.ArrayLike | None = None,
) -> Calibration:
    """As `fit_calibration`; of several labels an event always with an offset, at least one for all labels.

    That an animal is in any of the frames is more often so than pooling says, or less often.
    """
    if method != "temperature" or truth.ndim == 1:
        return fit_calibration(method, logits, truth, base, task, labels, weights)
    slopes, offsets = (tuple(values.tolist()) for values in fit_scaling(logits, truth, weights, spread=0.0))
    return base.model_copy(update={"method": "labels", "slopes": slopes, "offsets": offsets})


@dataclass(frozen=True)
class _Chooser:
    """Chooses the pooling that does best on some of the events; `pooled` is of `_pool_all`.

    What the model of an event could not have learnt has no part in it.
    `groups` [events] is of `kept_apart`.
    """

    recipe: LabelRecipe
    labels: tuple[str, ...]
    truth: Rows
    known: Flags
    several: Flags
    groups: npt.NDArray[Any]
    pooled: Pooled

    def choose(self, inside: Flags) -> EventPooling:
        """What does best on the events `inside`; the mean where too few of them have several media."""
        learnt = inside & could_be_learnt(self.known, self.truth)
        inside = learnt if learnt.any() else inside
        methods = self._methods(inside)
        losses = {method: self._losses(method, inside) for method in methods}
        best = min(methods, key=lambda method: float(losses[method].sum()))
        by_label: dict[str, PoolingMethod] = {}
        if self.truth.ndim == 2:
            often = (self.truth * self.known)[inside].sum(axis=0) >= FEW
            chosen = {
                label: min(methods, key=lambda method: float(losses[method][index]))
                for index, label in enumerate(self.labels)
                if often[index]
            }
            by_label = {label: method for label, method in chosen.items() if method != best}
        pooled = self._pooled([by_label.get(label, best) for label in self.labels], inside)
        return EventPooling(method=best, by_label=by_label, calibration=self._calibration(pooled, inside))

    def _methods(self, inside: Flags) -> Sequence[PoolingMethod]:
        if self.recipe.frames == "first":
            return ("first",)
        return METHODS if (inside & self.several).sum() >= LEAST_EVENTS else ("mean",)

    def _pooled(self, methods: Sequence[PoolingMethod], inside: Flags) -> Floats:
        """[inside, labels]: log odds, or of one label an event log probabilities, as in `apply_pooling`."""
        columns = [
            self.pooled(index, method, self.labels[index])[inside] for index, method in enumerate(methods)
        ]
        table = np.stack(columns, axis=1)
        form = event_form(self._base, self.recipe.task)
        if form == "single-label":
            table = table / table.sum(axis=1, keepdims=True)
        return pooled_logits(table, form)

    @property
    def _base(self) -> Calibration:
        return Calibration(exclusive=self.recipe.exclusive)

    def _calibration(self, pooled: Floats, inside: Flags, *, quick: bool = False) -> Calibration:
        """Fitted to the events `inside`: pooled frames are surer, or less sure, than they should be.

        `quick` leaves a method that the recipe does not name at a temperature.
        """
        known = None if self.truth.ndim == 1 else self.known[inside]
        return choose_calibration(
            "temperature" if quick and self.recipe.calibration == "auto" else self.recipe.calibration,
            pooled,
            self.truth[inside],
            self._base,
            self.recipe.task,
            self.labels,
            self.groups[inside],
            known,
            fit=_fit_events,
        )

    def _losses(self, method: PoolingMethod, inside: Flags) -> Floats:
        """[labels], or [1] of one label an event: of events pooled by one method and calibrated.

        Of several labels, those count that the model of an event knew.
        """
        pooled = self._pooled([method] * len(self.labels), inside)
        calibrated = apply_calibration(
            pooled, self._calibration(pooled, inside, quick=True), self.recipe.task, self.labels
        )
        if self.truth.ndim == 1:
            return np.array([log_loss(self.truth[inside], calibrated)])
        cells = binary_losses(self.truth[inside], calibrated) * self.known[inside]
        return np.asarray(cells.sum(axis=0) / inside.sum())
