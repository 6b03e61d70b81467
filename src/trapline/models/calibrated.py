"""From logits to probabilities as a card says it, in numbers; `onnx_graph` says the same as a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from trapline.errors import DataError
from trapline.metrics import fit_scaling, fit_temperature, probabilities_of, restore_blanks
from trapline.models.card import Calibration
from trapline.taxonomy import BLANK

Floats = npt.NDArray[np.float64]
Method = Literal["none", "temperature", "labels"]


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
        method: `none` leaves `base` as it is.
        logits: raw, of media that the model did not train on.
        truth: int [N] or 0/1 [N, K].
        base: what puts priors right; fits nothing itself.
        task: `single-label` or `multi-label`.
        labels: the K names.
        weights: for multi-label [N, K], what each label of each media counts; None for all alike.
    """
    if method == "none":
        return base
    scaled = scale_logits(logits, base, task, labels)
    if method == "temperature":
        temperature = fit_temperature(scaled, truth, weights)
        return base.model_copy(update={"method": "temperature", "temperature": temperature})
    slopes, offsets = (tuple(values.tolist()) for values in fit_scaling(scaled, truth, weights))
    return base.model_copy(update={"method": "labels", "slopes": slopes, "offsets": offsets})


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
