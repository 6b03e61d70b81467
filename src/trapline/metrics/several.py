"""Several labels at once: what is said of a media, and the prior that dropping blanks has changed.

A sigmoid a label says each label's chance as if the others did not exist. Two things tie them: a photo that
is blank shows nothing else, and a training set from which blanks were dropped makes all else look common.
Shapes: logits and probabilities [..., K]; `blank` is the column of the label `blank`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from trapline.metrics.inputs import Floats


def sigmoid(logits: ArrayLike) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    values = np.asarray(logits, np.float64)
    return np.asarray(np.exp(-np.logaddexp(0, -values)))


def log_odds(probabilities: ArrayLike, least: float = 1e-7) -> Floats:
    """log(p / (1 - p)), with p kept `least` away from 0 and 1."""
    values = np.clip(np.asarray(probabilities, np.float64), least, 1 - least)
    return np.asarray(np.log(values) - np.log1p(-values))


def labels_said(
    probabilities: ArrayLike, threshold: float | ArrayLike = 0.5, blank: int | None = None
) -> npt.NDArray[np.bool_]:
    """[..., K]: which labels are said of a media: those that reach the threshold, one for all or one a label.

    `blank` is never said beside another label: where both reach the threshold, the less probable side is not
    said. The probabilities themselves stay as they are: making them exclude each other cost log loss
    wherever an unknown animal left every other label unlikely.
    """
    values = np.asarray(probabilities, np.float64)
    passes = values >= np.asarray(threshold)
    if blank is None:
        return passes
    others = np.where(passes, values, -1.0)
    others[..., blank] = -1.0
    empty = passes[..., blank] & (values[..., blank] >= others.max(axis=-1))
    passes &= ~empty[..., None]
    passes[..., blank] = empty
    return passes


def restore_blanks(logits: ArrayLike, blank: int, kept: float) -> Floats:
    """Logits of a model trained on a share `kept` of the blank media, as if trained on all of them.

    Dropping blanks at random divides the odds of `blank` by 1 / kept, and makes every other label likelier by
    the chance that the media was kept, which depends on the media: with s the model's chance of `blank`,
    P(blank) = s / (kept + (1 - kept) s) and P(label) = P_model(label) · kept / (kept + (1 - kept) s). This is
    Bayes' rule, exact for every media; for sigmoids no constant shift can do it, as it can for a softmax.

    Args:
        logits: [..., K], of sigmoids.
        blank: its column.
        kept: share of the blank media that training saw, above 0.
    """
    values = np.asarray(logits, np.float64)
    if kept == 1:
        return values
    blanks = values[..., blank]
    empty = blanks - np.log(kept)  # log odds of blank, all blanks counted
    log_left = np.logaddexp(np.log(kept), blanks) - np.logaddexp(0, blanks)  # log(kept + (1 - kept) s)
    log_factor = np.log(kept) - log_left
    lost = np.log1p(-kept) - np.logaddexp(0, -blanks) - log_left  # log(1 - factor)
    present = -np.logaddexp(0, -values) + log_factor[..., None]
    absent = np.logaddexp(-np.logaddexp(0, values), -np.logaddexp(0, -values) + lost[..., None])
    difference = present - absent
    difference[..., blank] = empty
    return np.asarray(difference)
