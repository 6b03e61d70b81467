"""The probabilities of several models as one: a log-linear pool, fitted.

Of M models' probabilities p_m for K labels the pool makes ∏ p_m^(s · w_m), scaled to sum to 1; for labels
that do not exclude each other, the sigmoid of s · Σ w_m · log odds of p_m (Genest and Zidek 1986, *Combining
Probability Distributions*). A weight w_m says how much a model knows that the others do not. The sureness s
is one number for all models and differs between groups of media (with and without a box, say): of one model,
s · w is one over a temperature. Shapes: probabilities [N, K, M], groups int [N], weights [M], sureness [G].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from trapline.errors import DataError
from trapline.metrics.calibration import softmax
from trapline.metrics.inputs import Floats, check_truth
from trapline.metrics.several import log_odds, sigmoid

LEAST = 1e-6
"""Probabilities are kept this far from 0 and 1: no model is sure enough to silence the others."""
SPREAD = 0.5
"""Standard deviation of the groups' log sureness."""


def pool_opinions(
    probabilities: ArrayLike, weights: ArrayLike, sureness: ArrayLike, *, multi_label: bool = False
) -> Floats:
    """The pool of M models: float64 [N, K]; `sureness` [N] is of each media."""
    evidence = _evidence(np.asarray(probabilities, np.float64), multi_label)
    pooled = (evidence @ np.asarray(weights, np.float64)) * np.asarray(sureness, np.float64)[:, None]
    return sigmoid(pooled) if multi_label else softmax(pooled)


def fit_opinions(
    probabilities: ArrayLike,
    truth: ArrayLike,
    groups: ArrayLike,
    count: int,
    *,
    counted: ArrayLike | None = None,
    spread: float = SPREAD,
) -> tuple[Floats, Floats]:
    """Weights [M], none below 0, and sureness [count] that minimise the log loss of the pool.

    The maximum of the posterior: the weights are drawn from normal distributions around 1 / M (standard
    deviation 1), the log sureness around 0 (`spread`), so that models that say the same share their weight
    and a small group keeps near the others.

    Args:
        probabilities: [N, K, M], by models that did not learn from these media.
        truth: int [N] (single-label) or 0/1 [N, K] (multi-label).
        groups: int [N], 0..count-1; a group without media has sureness 1.
        count: of groups.
        counted: bool [N, K], of labels that do not exclude each other: which opinions count; None for all.
        spread: see above.

    Raises:
        DataError: shapes that do not fit, or probabilities that are not finite.
    """
    from scipy.optimize import minimize

    values, member = np.asarray(probabilities, np.float64), np.asarray(groups)
    if values.ndim != 3 or not np.isfinite(values).all() or member.shape != values.shape[:1]:
        raise DataError("Opinions must be finite, of shape [media, labels, models], with a group a media.")
    array = check_truth(truth, values, "opinions")
    several, models = array.ndim == 2, values.shape[2]
    evidence = _evidence(values, several)
    hits = array if several else np.eye(values.shape[1])[array]  # [N, K]

    weight = np.ones(values.shape[:2]) if counted is None else np.asarray(counted, np.float64)

    def posterior(parameters: Floats) -> tuple[float, Floats]:
        weights, logs = parameters[:models], parameters[models:]
        sureness = np.exp(logs)[member]
        logits = (evidence @ weights) * sureness[:, None]
        pooled = sigmoid(logits) if several else softmax(logits)
        losses = hits * np.log(np.maximum(pooled, 1e-300))
        if several:
            losses = losses + (1 - hits) * np.log(np.maximum(1 - pooled, 1e-300))
        loss = -float((weight * losses).sum())
        off, away = weight * (pooled - hits), weights - 1 / models
        by_weight = np.einsum("nk,nkm->m", off * sureness[:, None], evidence)
        by_group = np.bincount(member, (off * logits).sum(axis=1), count)
        loss += float((away**2).sum() + (logs**2).sum() / spread**2) / 2
        return loss, np.concatenate([by_weight + away, by_group + logs / spread**2])

    start = np.concatenate([np.full(models, 1 / models), np.zeros(count)])
    bounds = [(0, None)] * models + [(-5, 5)] * count
    best = minimize(posterior, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(best.x[:models]), np.exp(best.x[models:])


def _evidence(probabilities: Floats, multi_label: bool) -> Floats:
    """[N, K, M]: log odds, or log probabilities about their mean over the labels."""
    if multi_label:
        return log_odds(probabilities, LEAST)
    logs = np.log(np.clip(probabilities, LEAST, 1))
    return np.asarray(logs - logs.mean(axis=1, keepdims=True))
