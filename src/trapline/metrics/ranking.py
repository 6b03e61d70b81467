"""How well the probabilities order the media, label by label. Shapes: see `trapline.metrics.inputs`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from trapline.metrics.inputs import Floats, Weights, check, check_weights, mark_labels, mean_of_defined, ratio

_AT_ONCE = 2**20
"""Media that `rank_label` looks at together."""

LabelFigure = Callable[[npt.NDArray[np.bool_], Floats, Floats], Floats]


def label_auc(truth: ArrayLike, probabilities: ArrayLike, weights: Weights = None) -> Floats:
    """[..., K]: the area under the ROC curve of each label against the rest.

    The chance that a media with the label has a higher probability of it than a media without, ties counting
    half (the Mann-Whitney form). NaN for a label that all media have, or none.
    """
    return _by_label(_auc, truth, probabilities, weights)


def macro_auc(truth: ArrayLike, probabilities: ArrayLike, weights: Weights = None) -> Floats:
    """The mean of `label_auc` over the labels for which it is defined."""
    return mean_of_defined(label_auc(truth, probabilities, weights))


def label_average_precision(truth: ArrayLike, probabilities: ArrayLike, weights: Weights = None) -> Floats:
    """[..., K]: average precision a label, Σ (recall step × precision) over falling thresholds.

    Not interpolated. NaN for a label that no media has.
    """
    return _by_label(_average_precision, truth, probabilities, weights)


def mean_average_precision(truth: ArrayLike, probabilities: ArrayLike, weights: Weights = None) -> Floats:
    """The mean of `label_average_precision` over the labels present."""
    return mean_of_defined(label_average_precision(truth, probabilities, weights))


def _by_label(figure: LabelFigure, truth: ArrayLike, probabilities: ArrayLike, weights: Weights) -> Floats:
    """[..., K]: the figure of each label's own truth and probabilities [N] under weights [N, ...].

    Weights are turned so, because whole rows of them are picked.
    """
    array, values = check(truth, probabilities)
    actual = mark_labels(array, values.shape[1])
    w = np.ascontiguousarray(check_weights(weights, len(values)).T)
    return np.stack([figure(*columns, w) for columns in zip(actual.T, values.T, strict=True)], axis=-1)


def _auc(actual: npt.NDArray[np.bool_], scores: Floats, w: Floats) -> Floats:
    negative = np.flatnonzero(~actual)
    order = negative[np.argsort(scores[negative], kind="stable")]
    below = np.zeros((len(order) + 1, *w.shape[1:]))
    np.cumsum(w[order], axis=0, out=below[1:])  # below[i]: weight of the i lowest negatives
    own = scores[actual]
    strictly = below[np.searchsorted(scores[order], own, side="left")]
    or_equal = below[np.searchsorted(scores[order], own, side="right")]
    won = (w[actual] * (strictly + or_equal)).sum(axis=0) / 2
    return ratio(won, w[actual].sum(axis=0) * below[-1])


def _average_precision(actual: npt.NDArray[np.bool_], scores: Floats, w: Floats) -> Floats:
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))  # the end of each run of equals
    everything = np.cumsum(w[order], axis=0)[last]
    hits = np.cumsum(w[order] * actual[order].reshape(-1, *[1] * (w.ndim - 1)), axis=0)[last]
    precision = np.nan_to_num(ratio(hits, everything))
    steps = np.diff(hits, axis=0, prepend=np.zeros((1, *w.shape[1:])))
    return ratio((steps * precision).sum(axis=0), hits[-1])


def rank_label(present: npt.NDArray[Any], absent: npt.NDArray[Any]) -> tuple[float, float]:
    """`label_auc` and `label_average_precision` of one label of any number of media, which count alike.

    Args:
        present: the probabilities of the label of the media that have it, and
        absent: of those that do not; both are sorted in place.
    """
    present.sort()
    absent.sort()
    media, others = len(present), len(absent)
    won, precision, start = 0, 0.0, 0
    while start < media:  # some at a time: each takes several times its own memory
        last = present[min(start + _AT_ONCE, media) - 1]
        end = int(np.searchsorted(present, last, side="right"))  # equals stay together
        begins = start + np.flatnonzero(np.append(True, np.diff(present[start:end]) != 0))
        counts, values = np.diff(np.append(begins, end)), present[begins]
        below, up_to = (np.searchsorted(absent, values, side) for side in ("left", "right"))
        hits = media - begins  # media with the label that are as probable, or more
        won += int((counts * (below + up_to)).sum())
        precision += float((counts * (hits / (hits + others - below))).sum())
        start = end
    area = won / 2 / media / others if media and others else np.nan
    return area, precision / media if media else np.nan
