"""Labels that a model contradicts: confident learning (Northcutt, Jiang & Chuang 2021, JAIR 70:1373-1411).

The probabilities must be of a model that was not trained on the media it judges: one that was repeats what it
was told. Shapes as in `trapline.metrics.inputs`. With several labels each is a question by itself, shown or
not shown, and everything holds for each of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from trapline.metrics.inputs import Floats, Weights, check, check_weights, ratio

Codes = npt.NDArray[np.int64]
_ROUNDING = 1e-9
"""A probability this much below its threshold reaches it: a mean of equal numbers may lie above them all."""


def label_doubt(truth: ArrayLike, probabilities: ArrayLike) -> Floats:
    """[N] in 0..1: how much the probabilities speak against the label, 0.5 where another is as probable.

    One minus the normalised margin: (1 + max of the others - p of the label) / 2. With several labels it is
    that of the label that is contradicted most, |truth - p|.

    Args:
        truth: int [N] or 0/1 [N, K].
        probabilities: [N, K].

    Raises:
        DataError: shapes that do not fit, values that are not finite or not in 0..1.
    """
    true, values = check(truth, probabilities)
    if true.ndim == 2:
        return np.asarray(np.abs(true - values).max(axis=1))
    rows = np.arange(len(true))
    own, others = values[rows, true], values.copy()
    others[rows, true] = -np.inf
    return np.asarray((1 + others.max(axis=1) - own) / 2) if values.shape[1] > 1 else 1 - own


def confident_joint(truth: ArrayLike, probabilities: ArrayLike, weights: Weights = None) -> Floats:
    """[..., K, K]: how many media of each label (row) show each label (column), estimated; single-label.

    The paper's confident joint, calibrated: rows sum to the media of the label. Where none of a label's media
    is surely anything, all are held to be what they are called.
    """
    true, values = check(truth, probabilities)
    sets = np.atleast_2d(check_weights(weights, len(true)))
    joints = np.stack([_joint(true, values, one) for one in sets])
    return joints if weights is not None and np.ndim(weights) == 2 else joints[0]


def wrong_label_shares(
    truth: ArrayLike, probabilities: ArrayLike, weights: Weights = None
) -> dict[str, Floats]:
    """Shares of labels that are wrong, estimated: `of_all` [..., 1], `by_label` [..., K], NaN without media.

    A model that is wrong with confidence makes them too large. With several labels `by_label` is the share of
    all media on which the label is wrong, as shown or as not shown, and `of_all` the mean of that.
    """
    true, values = check(truth, probabilities)
    if true.ndim == 2:
        questions = [_question(true, values, k) for k in range(values.shape[1])]
        by_label = np.stack([_wrong(confident_joint(*one, weights))[0] for one in questions], axis=-1)
        return {"of_all": by_label.mean(axis=-1)[..., None], "by_label": by_label}
    of_all, by_label = _wrong(confident_joint(true, values, weights))
    return {"of_all": of_all[..., None], "by_label": by_label}


def _question(true: Codes, values: Floats, label: int) -> tuple[Codes, Floats]:
    """Truth and probabilities of one label: 0 not shown, 1 shown."""
    return true[:, label], np.stack([1 - values[:, label], values[:, label]], axis=1)


def _confident_label(true: Codes, values: Floats, weights: Floats) -> Codes:
    """[N]: the most probable label of those that reach their threshold; -1 where none does.

    The threshold of a label is its mean probability where it is the label. Of equals it is the media's own.
    """
    rows, labels = np.arange(len(true)), values.shape[1]
    own = values[rows, true]
    thresholds = ratio(np.bincount(true, weights * own, labels), np.bincount(true, weights, labels))
    reached = np.where(values >= thresholds - _ROUNDING, values, -1.0)  # one without media is never reached
    most = reached.max(axis=1)
    other = np.where(reached[rows, true] >= most - _ROUNDING, true, reached.argmax(axis=1))
    return np.asarray(np.where(most >= 0, other, -1))


def _joint(true: Codes, values: Floats, weights: Floats) -> Floats:
    labels = values.shape[1]
    confident = _confident_label(true, values, weights)
    sure = confident >= 0
    cells = np.bincount(true[sure] * labels + confident[sure], weights[sure], labels * labels)
    counts, media = cells.reshape(labels, labels), np.bincount(true, weights, labels)
    totals = counts.sum(axis=1)
    return np.where(
        totals[:, None] > 0, ratio(counts * media[:, None], np.tile(totals[:, None], labels)), np.diag(media)
    )


def _wrong(joint: Floats) -> tuple[Floats, Floats]:
    """The share off the diagonal [...], and that of each row [..., K]."""
    media = joint.sum(axis=-1)
    off = media - np.diagonal(joint, axis1=-2, axis2=-1)
    return ratio(off.sum(axis=-1), media.sum(axis=-1)), ratio(off, media)
