"""How well the probabilities order the media, label by label. Shapes: see `trapline.metrics.inputs`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trapline.metrics.inputs import Floats, check, check_weights, mean_of_defined, ratio


def label_auc(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> Floats:
    """[..., K]: the area under the ROC curve of each label against the rest.

    The chance that a media with the label has a higher probability of it than a media without, ties counting
    half (the Mann-Whitney form). NaN for a label that all media have, or none.
    """
    actual, values, w = _by_label(truth, probabilities, weights)
    columns = [_auc(actual[:, k], values[:, k], w) for k in range(values.shape[1])]
    return np.stack(columns, axis=-1)


def macro_auc(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> Floats:
    """The mean of `label_auc` over the labels for which it is defined."""
    return mean_of_defined(label_auc(truth, probabilities, weights))


def label_average_precision(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> Floats:
    """[..., K]: average precision a label, Σ (recall step × precision) over falling thresholds.

    Not interpolated. NaN for a label that no media has.
    """
    actual, values, w = _by_label(truth, probabilities, weights)
    columns = [_average_precision(actual[:, k], values[:, k], w) for k in range(values.shape[1])]
    return np.stack(columns, axis=-1)


def mean_average_precision(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> Floats:
    """The mean of `label_average_precision` over the labels present."""
    return mean_of_defined(label_average_precision(truth, probabilities, weights))


def _by_label(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.bool_], Floats, Floats]:
    """Truth as bool [N, K], probabilities [N, K], weights turned to [N, ...]: whole rows are then picked."""
    array, values = check(truth, probabilities)
    actual = array[:, None] == np.arange(values.shape[1]) if array.ndim == 1 else array.astype(bool)
    return actual, values, np.ascontiguousarray(check_weights(weights, len(values)).T)


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
