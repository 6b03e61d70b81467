"""Linear heads on features: multinomial and one-vs-rest logistic regression, and how strong to regularise.

Pure numbers. Features are float32 [N, V, D]: N media, each seen in V views. Training uses all views,
weighted; what is fitted is measured on the views that prediction looks at.

The loss is the weighted mean cross-entropy plus `weight_decay / 2` times the sum of the squared weights (of
standardised features), so that a strength means the same for few photos and for many.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from trapline.training.arrays import Floats, Rows, Singles

Truth = Rows
"""int [N] (single-label: the column of the label) or 0/1 [N, K] (multi-label)."""

_MAX_ITERATIONS = 500
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class LinearLayer:
    """logits = ((features - mean) / scale) @ weights + bias, with weights [D, K] and bias [K]."""

    mean: Floats
    scale: Floats
    weights: Floats
    bias: Floats

    def logits(self, features: npt.NDArray[Any]) -> Floats:
        """float64 [..., K] for features [..., D]."""
        return np.asarray((features - self.mean) / self.scale @ self.weights + self.bias)


class Standardised(NamedTuple):
    """Rows [N × V, D] of mean 0 and spread 1, the share [N × V] of each, and the mean and scale [D]."""

    values: Floats
    weights: Floats
    mean: Floats
    scale: Floats


class FittedHead(Protocol):
    """What turns features into logits."""

    def logits(self, features: npt.NDArray[Any]) -> Floats:
        """float64 [..., K] for features [..., D]."""
        ...


def fit_head(
    features: Singles,
    truth: Truth,
    labels: int,
    weight_decay: float,
    *,
    media_weights: Floats | None = None,
    view_weights: Sequence[float] = (1.0,),
    start: LinearLayer | None = None,
    exclusive: bool = False,
) -> LinearLayer:
    """Fit one head on all views.

    A label that no media has keeps a chance of half a media in N.

    Args:
        features: float32 [N, V, D].
        truth: of the N media.
        labels: K.
        weight_decay: strength of the regularisation, see the module.
        media_weights: [N], or for multi-label [N, K] (each label its own); None for all alike.
        view_weights: [V], the share of each view.
        start: a head to start from (the same features, another strength): sooner there, the same end.
        exclusive: fit a softmax though a media may have several labels: it counts once for each of them, as
            in the cross-entropy of a network with several ones in its target; one without a label does not.
    """
    if exclusive and truth.ndim == 2:
        media, columns = np.nonzero(truth)
        features, truth = features[media], columns
        if media_weights is not None:
            media_weights = media_weights[media, columns] if media_weights.ndim == 2 else media_weights[media]
    views = features.shape[1]
    scaled, of_view, mean, scale = standardised(features, view_weights)
    basis = None
    if len(scaled) < scaled.shape[1]:
        # The optimum's weights lie in the space that the rows span; it is the smaller: look for them there.
        basis, scaled = _within_rows(scaled)
        start = start and replace(start, weights=basis.T @ start.weights)
    rows = np.repeat(truth, views, axis=0)
    of_media = np.ones(truth.shape) if media_weights is None else media_weights
    if truth.ndim == 1:
        weights = of_view * np.repeat(of_media / of_media.mean(), views)
        coefficients, bias = _multinomial(scaled, rows, weights, labels, weight_decay, start)
    else:
        of_media = np.broadcast_to(of_media if of_media.ndim == 2 else of_media[:, None], truth.shape)
        matrix = of_view[:, None] * np.repeat(of_media / of_media.mean(axis=0), views, axis=0)
        coefficients, bias = _one_vs_rest(scaled, rows, matrix, labels, weight_decay, start)
    return LinearLayer(mean, scale, coefficients if basis is None else basis @ coefficients, bias)


def standardised(features: Singles, view_weights: Sequence[float]) -> Standardised:
    """Features [N, V, D] as rows of mean 0 and spread 1, and what was done to them."""
    media, views, size = features.shape
    flat = features.reshape(media * views, size).astype(np.float64)
    of_view = np.tile(np.asarray(view_weights) / np.sum(view_weights), media) / media
    mean = of_view @ flat
    scale = np.sqrt(of_view @ (flat - mean) ** 2)
    scale = np.where(scale > 1e-6, scale, 1.0)  # a feature that never changes says nothing
    return Standardised((flat - mean) / scale, of_view, mean, scale)


def _within_rows(scaled: Floats) -> tuple[Floats, Floats]:
    """A basis [D, rows] of what the rows span, and the rows in it."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # as in `_logistic`
        basis = np.linalg.qr(scaled.T).Q
        return basis, scaled @ basis


def _multinomial(
    scaled: Floats, rows: Truth, weights: Floats, labels: int, weight_decay: float, start: LinearLayer | None
) -> tuple[Floats, Floats]:
    present = np.unique(rows)
    coefficients, bias = np.zeros((scaled.shape[1], labels)), np.zeros(labels)
    if len(present) > 1:
        before = None if start is None else (start.weights[:, present], start.bias[present])
        coefficients[:, present], bias[present] = _logistic(scaled, rows, weights, weight_decay, before)
    absent = np.setdiff1d(np.arange(labels), present)
    logits = scaled @ coefficients[:, present] + bias[present]
    typical = np.average(np.logaddexp.reduce(logits, axis=1), weights=weights)
    bias[absent] = typical + np.log(0.5 / len(rows))
    return coefficients, bias


def _one_vs_rest(
    scaled: Floats, rows: Truth, weights: Floats, labels: int, weight_decay: float, start: LinearLayer | None
) -> tuple[Floats, Floats]:
    coefficients, bias = np.zeros((scaled.shape[1], labels)), np.zeros(labels)
    for label in range(labels):
        there = rows[:, label]
        if len(np.unique(there)) == 1:  # always or never there: all that is known is how often
            share = (there.sum() + 0.5) / (len(there) + 1)
            bias[label] = np.log(share / (1 - share))
            continue
        halves = None
        if start is not None:
            half = np.stack([-start.weights[:, label], start.weights[:, label]], axis=1) / 2
            halves = (half, np.array([-start.bias[label], start.bias[label]]) / 2)
        pair, pair_bias = _logistic(scaled, there, weights[:, label], weight_decay, halves)
        coefficients[:, label], bias[label] = pair[:, 1] - pair[:, 0], pair_bias[1] - pair_bias[0]
    return coefficients, bias


def _logistic(
    scaled: Floats, rows: Truth, weights: Floats, weight_decay: float, start: tuple[Floats, Floats] | None
) -> tuple[Floats, Floats]:
    """Weights [D, K'] and bias [K'] for the K' values that occur in `rows`; scikit-learn's own optimum."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    # scikit-learn minimises C · Σ loss + ‖w‖² / 2; with weights that sum to 1, C is 1 / weight_decay.
    model = LogisticRegression(
        C=1 / weight_decay, max_iter=_MAX_ITERATIONS, tol=_TOLERANCE, warm_start=start is not None
    )
    if start is not None:
        model.classes_ = np.unique(rows)
        pair = len(model.classes_) == 2
        model.coef_ = (start[0][:, 1:] - start[0][:, :1]).T if pair else start[0].T.copy()
        model.intercept_ = start[1][1:] - start[1][:1] if pair else start[1].copy()
    # The matrices are narrow: on two cores, two threads took ten times as long as one.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough: the folds judge what comes out
        model.fit(scaled, rows, sample_weight=weights)
    if len(model.coef_) == 1:  # two values: scikit-learn gives the difference of their logits
        coefficients, bias = (
            np.vstack([-model.coef_, model.coef_]) / 2,
            np.array([-1, 1]) * model.intercept_ / 2,
        )
        return coefficients.T, bias
    return model.coef_.T, model.intercept_


def view_logits(head: FittedHead, features: Singles, views: Sequence[int]) -> Floats:
    """The mean of the logits [N, K] over the views that prediction looks at."""
    return np.asarray(head.logits(features[:, list(views)]).mean(axis=1))
