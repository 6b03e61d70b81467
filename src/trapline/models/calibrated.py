"""From logits to probabilities as a card says it, in numbers; `onnx_graph` says the same as a graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trapline.errors import DataError
from trapline.metrics import probabilities_of, restore_blanks
from trapline.models.card import Calibration
from trapline.taxonomy import BLANK

Floats = npt.NDArray[np.float64]


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
