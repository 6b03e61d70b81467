"""How often the best guess is right. Shapes: see `trapline.metrics.inputs`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from trapline.metrics.inputs import (
    Floats,
    Weights,
    check,
    check_weights,
    mark_labels,
    mean_of_defined,
    ratio,
    weighted_mean,
)
from trapline.metrics.several import labels_said


@dataclass(frozen=True)
class LabelCounts:
    """Weighted counts a label: each [..., K].

    Attributes:
        support: media that truly have the label.
        predicted: media for which the label was said.
        hits: both.
    """

    support: Floats
    predicted: Floats
    hits: Floats

    @property
    def recall(self) -> Floats:
        """hits / support; NaN for a label that no media has."""
        return ratio(self.hits, self.support)

    @property
    def precision(self) -> Floats:
        """hits / predicted; NaN for a label that was never said."""
        return ratio(self.hits, self.predicted)

    @property
    def f1(self) -> Floats:
        """2 hits / (support + predicted); NaN for a label neither present nor ever said."""
        return ratio(2 * self.hits, self.support + self.predicted)


def count_labels(
    truth: ArrayLike,
    probabilities: ArrayLike,
    weights: Weights = None,
    threshold: float | ArrayLike = 0.5,
    blank: int | None = None,
) -> LabelCounts:
    """Support, predictions and hits a label.

    Single-label: the most probable label is said, the first of equals. Multi-label: every label whose
    probability reaches `threshold` (one for all, or one a label) is said, but the label in column `blank`
    only alone (see `trapline.metrics.labels_said`).
    """
    array, values = check(truth, probabilities)
    w = check_weights(weights, len(values))
    labels = values.shape[1]
    several = array.ndim == 2
    told = labels_said(values, threshold, blank) if several else mark_labels(values.argmax(axis=1), labels)
    actual = mark_labels(array, labels)
    return LabelCounts(
        w @ actual.astype(np.float64), w @ told.astype(np.float64), w @ (actual & told).astype(np.float64)
    )


def ranks(truth: npt.NDArray[np.int64], probabilities: Floats) -> npt.NDArray[np.int64]:
    """[N]: the rank of the true label, 0 for the most probable one; of equals the first leads."""
    own = probabilities[np.arange(len(truth)), truth][:, None]
    earlier = np.arange(probabilities.shape[1]) < truth[:, None]
    ahead = (probabilities > own) | ((probabilities == own) & earlier)
    return np.asarray(ahead.sum(axis=1))


def top_k(truth: ArrayLike, probabilities: ArrayLike, weights: Weights = None, *, k: int) -> Floats:
    """How much of the truth is among the `k` most probable labels, of equals the first.

    Single-label: the share of media whose label is. Multi-label: of each media the share of its labels that
    are, of as many as `k` can hold: |labels among the first k| / min(k, |labels|); the mean over the media
    that have a label. With one label a media both are the same.
    """
    shares, counted = top_shares(truth, probabilities, k)
    w = check_weights(weights, len(shares))
    return ratio(w @ shares, w @ counted)


def top_shares(truth: ArrayLike, probabilities: ArrayLike, k: int) -> tuple[Floats, Floats]:
    """Of each media [N] what `top_k` is the mean of, and 1 where it counts, which has a label; else 0."""
    array, values = check(truth, probabilities)
    if array.ndim == 1:
        return (ranks(array, values) < k).astype(np.float64), np.ones(len(values))
    first = np.argsort(-values, axis=1, kind="stable")[:, :k]
    most = np.minimum(array.sum(axis=1), k)
    shares = np.take_along_axis(array, first, axis=1).sum(axis=1) / np.maximum(most, 1)
    return shares, (most > 0).astype(np.float64)


def accuracy(truth: ArrayLike, probabilities: ArrayLike, weights: Weights = None) -> Floats:
    """The share of media whose most probable label is the true one, or (multi-label) one of the true ones."""
    return top_k(truth, probabilities, weights, k=1)


def balanced_accuracy(truth: ArrayLike, probabilities: ArrayLike, weights: Weights = None) -> Floats:
    """The mean recall over the labels that are present in the truth (single-label)."""
    return mean_of_defined(count_labels(truth, probabilities, weights).recall)


def macro_f1(
    truth: ArrayLike, probabilities: ArrayLike, weights: Weights = None, blank: int | None = None
) -> Floats:
    """The mean F1 over the labels that are present in the truth or were said at least once.

    A label that was said though no media has it counts with F1 = 0, as in scikit-learn.
    """
    return mean_of_defined(count_labels(truth, probabilities, weights, blank=blank).f1)


def subset_accuracy(
    truth: ArrayLike, probabilities: ArrayLike, weights: Weights = None, blank: int | None = None
) -> Floats:
    """The share of media whose set of labels (see `trapline.metrics.labels_said`) is right (multi-label)."""
    array, values = check(truth, probabilities)
    hit = (array.astype(bool) == labels_said(values, blank=blank)).all(axis=1).astype(np.float64)
    return weighted_mean(hit, check_weights(weights, len(hit)))


def confusion_matrix(truth: ArrayLike, probabilities: ArrayLike) -> npt.NDArray[np.int64]:
    """int64 [K, K]: how many media of true label (row) were said to be which label (column); single-label."""
    array, values = check(truth, probabilities)
    labels = values.shape[1]
    cells = array * labels + values.argmax(axis=1)
    return np.bincount(cells, minlength=labels * labels).reshape(labels, labels)
