"""From logits to probabilities as a card says it, in numbers; `onnx_graph` says the same as a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from trapline.errors import DataError
from trapline.metrics import (
    binary_losses,
    fit_offsets,
    fit_scaling,
    fit_temperature,
    log_loss,
    probabilities_of,
    restore_blanks,
)
from trapline.models.card import Calibration
from trapline.taxonomy import BLANK

Floats = npt.NDArray[np.float64]
Method = Literal["none", "temperature", "labels"]
Asked = Literal["auto", "none", "temperature", "labels"]

ENOUGH_MEDIA, ENOUGH_GROUPS = 200, 5
"""From so many of both on, other groups of media choose between a temperature and offsets."""
CHOICE_FOLDS, CHOICE_MEDIA = 5, 20_000
"""The folds of groups by which is chosen, and the most media that are asked."""


class FitCalibration(Protocol):
    """`fit_calibration`, or what fits something else for the same arguments."""

    def __call__(
        self,
        method: Method,
        logits: npt.ArrayLike,
        truth: npt.NDArray[np.int64],
        base: Calibration,
        task: str,
        labels: Sequence[str],
        weights: npt.ArrayLike | None = None,
    ) -> Calibration:
        """See `fit_calibration`."""
        ...


def blank_column(labels: Sequence[str]) -> int | None:
    """The column of the label `blank`; None if a model has no such label."""
    return labels.index(BLANK) if BLANK in labels else None


def scale_logits(logits: npt.ArrayLike, calibration: Calibration, task: str, labels: Sequence[str]) -> Floats:
    """Logits [..., K] as they stand before softmax or sigmoid: priors put right, then calibrated.

    Raises:
        DataError: blanks are to be put back and no label is `blank`.
    """
    values = np.asarray(logits, np.float64)
    if calibration.prior_shift:
        values = values + np.asarray(calibration.prior_shift)
    if calibration.blank_kept < 1 and task == "multi-label" and not calibration.exclusive:
        blank = blank_column(labels)
        if blank is None:
            raise DataError(
                "Blanks that were left out of training can only be put back into a label 'blank'."
            )
        values = restore_blanks(values, blank, calibration.blank_kept)
    if calibration.method == "temperature":
        return values / calibration.temperature
    if calibration.method == "labels":
        return np.asarray(values * np.asarray(calibration.slopes) + np.asarray(calibration.offsets))
    return values


def fit_calibration(
    method: Method,
    logits: npt.ArrayLike,
    truth: npt.NDArray[np.int64],
    base: Calibration,
    task: str,
    labels: Sequence[str],
    weights: npt.ArrayLike | None = None,
) -> Calibration:
    """`base` with what the method fits to logits [N, K] that have passed through it.

    Args:
        method: `none` leaves `base` as it is; `temperature` divides by one number; `labels` has an offset a
            label besides (`fit_offsets`), for several labels a media also a slope (`fit_scaling`).
        logits: raw, of media that the model did not train on.
        truth: int [N] or 0/1 [N, K].
        base: what puts priors right; fits nothing itself.
        task: `single-label` or `multi-label`.
        labels: the K names.
        weights: for multi-label [N, K], what each label of each media counts; None for all alike.

    Raises:
        DataError: labels exclude each other, and no media shows just one.
    """
    if method == "none":
        return base
    scaled = scale_logits(logits, base, task, labels)
    if base.exclusive and truth.ndim == 2:
        one = truth.sum(axis=1) == 1  # a softmax says one label
        if not one.any():
            raise DataError(
                "The labels of this model exclude each other, and each of these media shows several, or none "
                "of them. Give some media of one label, or a model that says several."
            )
        scaled, truth, weights = scaled[one], truth[one].argmax(axis=1), None
    if method == "temperature":
        temperature = fit_temperature(scaled, truth, weights)
        return base.model_copy(update={"method": "temperature", "temperature": temperature})
    if truth.ndim == 1:
        slope, shifts = fit_offsets(scaled, truth)
        slopes, offsets = (slope,) * len(labels), tuple(shifts.tolist())
    else:
        slopes, offsets = (tuple(values.tolist()) for values in fit_scaling(scaled, truth, weights))
    return base.model_copy(update={"method": "labels", "slopes": slopes, "offsets": offsets})


def choose_calibration(
    asked: Asked,
    logits: npt.ArrayLike,
    truth: npt.NDArray[np.int64],
    base: Calibration,
    task: str,
    labels: Sequence[str],
    groups: npt.NDArray[Any],
    weights: npt.ArrayLike | None = None,
    *,
    few: Method = "temperature",
    fit: FitCalibration = fit_calibration,
) -> Calibration:
    """What is asked for, fitted; with `auto` the method that does better on groups it was not fitted on.

    A temperature and the method `labels` are fitted on four fifths of the groups and answer the last: the
    lower log loss over all of them decides, and what it chose is fitted on all.

    Args:
        asked: a method, or `auto`.
        logits: as of `fit_calibration`, likewise truth, base, task, labels and weights.
        groups: [N], the location of each media, or what else belongs together.
        few: what `auto` takes below `ENOUGH_MEDIA` and `ENOUGH_GROUPS`.
        fit: for people who fit otherwise.
    """
    values, counts = np.asarray(logits), None if weights is None else np.asarray(weights)
    codes = np.unique(groups, return_inverse=True)[1]

    def fitted(method: Method, rows: npt.NDArray[Any]) -> Calibration:
        of_rows = None if counts is None else counts[rows]
        return fit(method, values[rows], truth[rows], base, task, labels, of_rows)

    every = np.arange(len(truth))
    if asked != "auto":
        return fitted(asked, every)
    if len(truth) < ENOUGH_MEDIA or len(np.unique(codes)) < ENOUGH_GROUPS:
        return fitted(few, every)
    some = every if len(every) <= CHOICE_MEDIA else np.linspace(0, len(every) - 1, CHOICE_MEDIA).astype(int)
    folds = deal_groups(codes[some])

    def loss(method: Method) -> float:
        """The sum of the log losses of all folds, each by what is fitted on the others."""
        total = 0.0
        for fold in np.unique(folds):
            held = some[folds == fold]
            of_others = fitted(method, some[folds != fold])
            answered = apply_calibration(values[held], of_others, task, labels)
            if truth.ndim == 1:
                total += len(held) * float(log_loss(truth[held], answered))
            else:
                total += float((binary_losses(truth[held], answered) * _of(counts, held)).sum())
        return total

    methods: tuple[Method, ...] = ("temperature", "labels")
    return fitted(min(methods, key=loss), every)


def _of(weights: npt.NDArray[Any] | None, rows: npt.NDArray[Any]) -> Any:
    return 1.0 if weights is None else weights[rows]


def deal_groups(groups: npt.NDArray[Any], folds: int = CHOICE_FOLDS) -> npt.NDArray[np.int64]:
    """[N]: the fold of each media, of about as many media each; a group is of one fold."""
    from sklearn.model_selection import GroupKFold

    numbers = np.zeros(len(groups), np.int64)
    dealt = GroupKFold(min(folds, len(np.unique(groups)))).split(numbers, groups=groups)
    for fold, (_, inside) in enumerate(dealt):
        numbers[inside] = fold
    return numbers


def fit_again(
    asked: Asked,
    logits: npt.ArrayLike,
    truth: npt.NDArray[np.int64],
    current: Calibration,
    task: str,
    labels: Sequence[str],
    groups: npt.NDArray[Any],
) -> Calibration:
    """`current`, with what these media change of it fitted on top.

    So a few media leave a model as it was: the priors of what is fitted are around no change. Below
    `ENOUGH_MEDIA`, `auto` takes offsets for labels that exclude each other (their prior says how many of
    them a few media bear), and a temperature for several labels a media.

    Args:
        asked: as of `choose_calibration`, likewise the others.
        logits: raw.
        current: of the model.
    """
    softmax = task == "single-label" or current.exclusive
    few: Method = "labels" if softmax else "temperature"
    scaled = scale_logits(logits, current, task, labels)
    base = Calibration(exclusive=current.exclusive)
    change = choose_calibration(asked, scaled, truth, base, task, labels, groups, few=few)
    return _join(current, change, len(labels))


def _join(first: Calibration, then: Calibration, labels: int) -> Calibration:
    """One calibration that does what both do, one after the other."""
    (slopes, offsets), (more, shift) = _line(first, labels), _line(then, labels)
    if "labels" not in (first.method, then.method):
        if then.method == "none":
            return first
        temperature = first.temperature * then.temperature if first.method != "none" else then.temperature
        return first.model_copy(update={"method": "temperature", "temperature": temperature})
    changes = {
        "method": "labels",
        "temperature": 1.0,
        "slopes": tuple((slopes * more).tolist()),
        "offsets": tuple((offsets * more + shift).tolist()),
    }
    return first.model_copy(update=changes)


def _line(calibration: Calibration, labels: int) -> tuple[Floats, Floats]:
    """Slopes and offsets [labels] of what a calibration does to logits whose priors are put right."""
    if calibration.method == "labels":
        return np.array(calibration.slopes), np.array(calibration.offsets)
    slope = 1 / calibration.temperature if calibration.method == "temperature" else 1.0
    return np.full(labels, slope), np.zeros(labels)


def apply_calibration(
    logits: npt.ArrayLike, calibration: Calibration, task: str, labels: Sequence[str]
) -> Floats:
    """What a model file with this calibration makes of its logits [N, K]: probabilities [N, K].

    Args:
        logits: raw.
        calibration: of the card.
        task: `single-label` (softmax) or `multi-label` (sigmoid).
        labels: the K names.
    """
    softmax = "single-label" if task == "single-label" or calibration.exclusive else "multi-label"
    return probabilities_of(scale_logits(logits, calibration, task, labels), softmax)
