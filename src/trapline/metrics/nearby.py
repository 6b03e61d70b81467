"""What a location shows around the time of a media, as a prior for it: fitted, then Bayes' rule.

One camera shows few kinds, and those of one evening again and again. With q_j the answers for the other
media of the location, Δ_ij the days between, and π the labels' shares over all, the prior of media i is

    m_i = (π + Σ_b a_b Σ_j exp(-Δ_ij / τ_b) c_j q_j) / (1 + Σ_b a_b Σ_j exp(-Δ_ij / τ_b) c_j),

the mean of a Dirichlet distribution whose counts are those of the neighbours, each worth the less the further
away in time (a mixture of exponentials of spans τ_b) and the less it says (c_j: one less its entropy over
that of equal shares). The answer is p_i^s · (m_i / π)^λ, scaled to sum to 1; for labels that do not exclude
each other the sigmoid of s · log odds of p_i + λ · (log odds of m_i - log odds of π). The amplitudes a, the
reliance λ and the sureness s are fitted to labels. With λ = 1 this is Bayes' rule; below, neighbours repeat
each other.

Shapes: answers [N, K]; spans [B], days, the last may be infinite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from trapline.errors import DataError
from trapline.metrics.calibration import softmax
from trapline.metrics.inputs import Floats, check_truth
from trapline.metrics.several import log_odds, sigmoid

SPANS = (1 / 96, 1.0)
"""Days: a quarter of an hour, and a day."""
LEAST = 1e-6
"""Probabilities are kept this far from 0 and 1."""
_AMPLITUDE, _AMPLITUDE_SPREAD = 0.3, 2.0
"""Median of the amplitudes' log-normal prior, and the standard deviation of their logs."""
_RELIANCE_SPREAD = _SURENESS_SPREAD = 0.5


@dataclass(frozen=True)
class Neighbours:
    """What surrounds each media.

    Attributes:
        sums: [N, B, K], Σ_j exp(-Δ_ij / τ_b) c_j q_j.
        counts: [N, B], Σ_j exp(-Δ_ij / τ_b) c_j.
    """

    sums: Floats
    counts: Floats

    def __getitem__(self, rows: npt.NDArray[np.bool_]) -> Neighbours:
        return Neighbours(self.sums[rows], self.counts[rows])


@dataclass(frozen=True)
class Leaning:
    """How far answers lean on those around them.

    Attributes:
        amplitudes: one a span.
        reliance: λ.
        sureness: s.
    """

    amplitudes: tuple[float, ...]
    reliance: float
    sureness: float


def sum_neighbours(
    answers: ArrayLike, locations: ArrayLike, days: ArrayLike, spans: Sequence[float] = SPANS
) -> Neighbours:
    """The other media of each location, weighed by how near in time they are and how much they say.

    Args:
        answers: [N, K], probabilities; a row that is not finite counts for nothing.
        locations: int [N]; media of no known location (-1) have no neighbours.
        days: [N]; media of no known time (NaN) count for the infinite span alone.
        spans: τ, days.
    """
    values, member, times = np.asarray(answers, float), np.asarray(locations), np.asarray(days, float)
    good = np.isfinite(values).all(axis=1)
    values = np.where(good[:, None], values, 0.0)
    weight = np.where(good, _information(values), 0.0)
    summed = np.hstack([values * weight[:, None], weight[:, None]])  # [N, K + 1]
    sums = np.zeros((len(values), len(spans), summed.shape[1]))
    finite = np.array([span for span in spans if np.isfinite(span)])
    order = np.lexsort((times, member))
    for rows in np.split(order, np.flatnonzero(np.diff(member[order])) + 1):
        if not len(rows) or member[rows[0]] < 0:
            continue
        dated = rows[np.isfinite(times[rows])]
        sums[dated, : len(finite)] = _sum_in_time(summed[dated], times[dated], finite)
        sums[rows, len(finite) :] = (summed[rows].sum(axis=0) - summed[rows])[:, None]
    return Neighbours(sums[:, :, :-1], sums[:, :, -1])


def _information(values: Floats) -> Floats:
    """[N]: one less the entropy of each row over that of equal shares; rows are scaled to sum to 1."""
    shares = np.clip(values, LEAST, 1)
    shares = shares / shares.sum(axis=1, keepdims=True)
    return np.asarray(1 + (shares * np.log(shares)).sum(axis=1) / np.log(max(values.shape[1], 2)))


def _sum_in_time(summed: Floats, times: Floats, spans: Floats) -> Floats:
    """[n, B, K + 1] of rows in the order of time: the decayed sum of those before and of those after each."""
    gaps = np.exp(-np.diff(times)[:, None] / spans)[:, :, None] if len(times) else np.zeros((0, 1, 1))
    sums = np.zeros((len(times), len(spans), summed.shape[1]))
    before, after = np.zeros(sums.shape[1:]), np.zeros(sums.shape[1:])
    last = len(times) - 1
    for row in range(last):
        before = gaps[row] * (before + summed[row])
        after = gaps[last - row - 1] * (after + summed[last - row])
        sums[row + 1] += before
        sums[last - row - 1] += after
    return sums


def lean(
    answers: ArrayLike, neighbours: Neighbours, shares: ArrayLike, how: Leaning, *, multi_label: bool = False
) -> Floats:
    """[N, K]: the answers with what surrounds them as a prior; rows that are not finite stay so.

    Args:
        answers: [N, K], p.
        neighbours: of `sum_neighbours`.
        shares: [K], or [N, K], π.
        how: see there.
        multi_label: whether labels do not exclude each other.
    """
    own, around = _evidence(answers, neighbours, np.asarray(shares, float), how.amplitudes, multi_label)
    logits = how.sureness * own + how.reliance * around
    return sigmoid(logits) if multi_label else softmax(logits)


def _evidence(
    answers: ArrayLike, neighbours: Neighbours, shares: Floats, amplitudes: Sequence[float], several: bool
) -> tuple[Floats, Floats]:
    """[N, K] each: of the media itself, and of what surrounds it beside the shares."""
    scale = np.asarray(amplitudes, float)
    prior = (shares + np.einsum("nbk,b->nk", neighbours.sums, scale)) / (1 + neighbours.counts @ scale)[
        :, None
    ]
    if several:
        return log_odds(answers, LEAST), log_odds(prior, LEAST) - log_odds(shares, LEAST)
    own = np.log(np.clip(np.asarray(answers, float), LEAST, 1))
    return own, np.log(np.maximum(prior, LEAST)) - np.log(np.maximum(shares, LEAST))


def fit_leaning(
    answers: ArrayLike,
    truth: ArrayLike,
    neighbours: Neighbours,
    shares: ArrayLike,
    *,
    counted: ArrayLike | None = None,
) -> Leaning:
    """The leaning that minimises the log loss, held by priors near none of surprise.

    The maximum of the posterior: log amplitudes normal around that of 0.3 (standard deviation 2), the
    reliance around 1 and the log sureness around 0 (0.5 each).

    Args:
        answers: [N, K], by models that did not learn from these media.
        truth: int [N] (single-label) or 0/1 [N, K] (multi-label).
        neighbours: of these media, among all of their locations.
        shares: [K], or [N, K].
        counted: bool [N, K], of labels that do not exclude each other: which answers count; None for all.

    Raises:
        DataError: shapes that do not fit, or answers that are not finite.
    """
    from scipy.optimize import minimize

    values, base = np.asarray(answers, float), np.asarray(shares, float)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise DataError("Answers must be finite, of shape [media, labels].")
    array = check_truth(truth, values, "answers")
    several, spans = array.ndim == 2, neighbours.counts.shape[1]
    hits = array if several else np.eye(values.shape[1])[array]
    weight = np.ones(values.shape) if counted is None else np.asarray(counted, float)

    def posterior(numbers: Floats) -> float:
        chances = lean(values, neighbours, base, _leaning(numbers), multi_label=several)
        losses = hits * np.log(np.maximum(chances, 1e-300))
        if several:
            losses = losses + (1 - hits) * np.log(np.maximum(1 - chances, 1e-300))
        loss = -float((weight * losses).sum())
        off = (numbers[:spans] - np.log(_AMPLITUDE)) / _AMPLITUDE_SPREAD
        rest = (numbers[spans] - 1) / _RELIANCE_SPREAD, numbers[spans + 1] / _SURENESS_SPREAD
        return loss + float((off**2).sum() + sum(one**2 for one in rest)) / 2

    start = np.concatenate([np.full(spans, np.log(_AMPLITUDE)), [0.5, 0.0]])
    bounds = [(-8, 8)] * spans + [(0, 3), (-3, 3)]
    return _leaning(minimize(posterior, start, method="L-BFGS-B", bounds=bounds).x)


def _leaning(numbers: Floats) -> Leaning:
    amplitudes = tuple(np.exp(numbers[:-2]).tolist())
    return Leaning(amplitudes, float(numbers[-2]), float(np.exp(numbers[-1])))
