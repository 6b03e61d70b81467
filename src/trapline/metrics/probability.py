"""How good the probabilities themselves are: proper scores. Shapes: see `trapline.metrics.inputs`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from trapline.metrics.inputs import Floats, Weights, check, check_weights, mark_labels, weighted_mean

CLIP = 1e-7
"""Probabilities are kept this far from 0 and 1 before a logarithm, so that one media costs at most 16.1."""


def log_losses(truth: ArrayLike, probabilities: ArrayLike) -> Floats:
    """float64 [N]: the log loss of each media.

    Single-label: minus the natural logarithm of the true label's probability. Multi-label: the mean over the
    labels of the binary log loss.
    """
    array, values = check(truth, probabilities)
    if array.ndim == 1:
        return np.asarray(-np.log(values.clip(CLIP, 1 - CLIP)[np.arange(len(array)), array]))
    return np.asarray(binary_losses(array, values).mean(axis=1))


def binary_losses(truth: ArrayLike, probabilities: ArrayLike) -> Floats:
    """float64 [N, K]: the binary log loss of each label of each media (multi-label)."""
    array, values = check(truth, probabilities)
    values = values.clip(CLIP, 1 - CLIP)
    return np.asarray(-np.where(array == 1, np.log(values), np.log1p(-values)))


def log_loss(truth: ArrayLike, probabilities: ArrayLike, weights: Weights = None) -> Floats:
    """The mean of `log_losses`: lower is better; a uniform guess over K labels scores ln K."""
    losses = log_losses(truth, probabilities)
    return weighted_mean(losses, check_weights(weights, len(losses)))


def categorical_cross_entropy(truth: ArrayLike, probabilities: ArrayLike, weights: Weights = None) -> Floats:
    """The loss of a softmax, for labels that exclude each other in the model though media may have several.

    Of each media -Σ ln(p / Σp) over its true labels, the probabilities of all labels made to sum to 1 first;
    then the mean. So a media with two labels counts both, as in Keras's `categorical_crossentropy`. Of
    single-label truth it is `log_loss`.
    """
    losses = cross_entropies(truth, probabilities)
    return weighted_mean(losses, check_weights(weights, len(losses)))


def cross_entropies(truth: ArrayLike, probabilities: ArrayLike) -> Floats:
    """float64 [N]: of each media what `categorical_cross_entropy` is the mean of."""
    array, values = check(truth, probabilities)
    if array.ndim == 1:
        return log_losses(array, values)
    shares = values / np.maximum(values.sum(axis=1, keepdims=True), CLIP)
    return np.asarray(-(array * np.log(shares.clip(CLIP, 1 - CLIP))).sum(axis=1))


def label_log_loss(truth: ArrayLike, probabilities: ArrayLike, weights: Weights = None) -> Floats:
    """[..., K]: the binary log loss of each label (multi-label)."""
    losses = binary_losses(truth, probabilities)
    w = check_weights(weights, len(losses))
    return np.asarray(w @ losses / w.sum(axis=-1, keepdims=True))


def brier_score(truth: ArrayLike, probabilities: ArrayLike, weights: Weights = None) -> Floats:
    """The mean squared distance between the probabilities and the truth.

    Single-label: summed over the labels, 0..2 (Brier 1950, Monthly Weather Review 78:1). Multi-label: the
    mean over the labels of the binary score, 0..1.
    """
    scores = brier_scores(truth, probabilities)
    return weighted_mean(scores, check_weights(weights, len(scores)))


def brier_scores(truth: ArrayLike, probabilities: ArrayLike) -> Floats:
    """float64 [N]: the Brier score of each media."""
    array, values = check(truth, probabilities)
    squares = (values - mark_labels(array, values.shape[1])) ** 2
    return np.asarray(squares.sum(axis=1) if array.ndim == 1 else squares.mean(axis=1))
