"""Thresholds that keep a promise on new locations: how low the share of right answers may be, honestly.

Photos of one location are right or wrong together, so that a hundred photos of five locations say less than
a hundred of a hundred. The bound is Clopper and Pearson's (1934) at the effective number of photos: what is
left of them after the design effect of the clusters, with Student's correction for few locations (Korn &
Graubard 1998, *Confidence intervals for proportions with small expected number of positive counts estimated
from survey data*). Two estimates of that effect are made, and the smaller number counts: from how far the
locations differ in the very answers that are judged, which sees nothing where there are few mistakes, and
from the correlation within locations over all answers (Kish 1965).

Neither sees the bad location that is not in the sample: where one in twelve is bad, ten locations show none
in four of ten samples, and everything looks well. A second bound therefore imagines one more location, as
heavy as they are and half of its answers wrong, beside the mistakes that there are, which come by whole
locations (the gamma bound of Fay & Feuer 1997, *Confidence intervals for directly standardized rates*). The
lower of the two bounds counts.

The confidence of a bound is over all surveys, and not over those that make a promise: where no threshold
keeps one well, the surveys that make it are the lucky ones, and luck with locations lets every threshold
pass. So the first threshold, the strictest, is tried at the confidence asked for, and each lower one at ten
times fewer failures (`surer_than`). If the first one keeps the promise, it is then broken in at most a
hundredth of all surveys (with confidence 0.9), which is at most a tenth of those that make it as soon as one
survey in ten does. So that the first threshold can be a strict one, a promise needs a least number of
locations (`least_locations`): with confidence 0.9 it is 24 for 0.8, 42 for 0.9, 78 for 0.95 and 369 for 0.99.
How often promises were broken in simulated surveys is the table of `benchmarks/coverage.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from trapline.errors import DataError
from trapline.metrics.inputs import Floats
from trapline.metrics.new_locations import FEW_LOCATIONS

STEPS = 20
"""Thresholds that are tried, at most."""

_IMAGINED_MISTAKES = 0.5
"""Share of wrong answers of the location that is imagined. With all of them wrong, a hundred locations of
unequal size, none of them bad, promised 0.9 in 2 of 100 simulated surveys, and with this in 77."""

_RARER = 10
"""So many times rarer a lower threshold may fail than the first: 1 in 10 of the promises made is then the
most that are broken, where 1 in 10 surveys makes one. By that reckoning, and not by what was simulated."""

_MOST_LOCATIONS = 1_000_000
_FEW_CODES = 1_000_000
_MISTAKES_AT_FIRST = 0.5
"""The first threshold is tried where this share of the mistakes that the promise allows would pass."""


@dataclass(frozen=True)
class Promise:
    """A threshold and what it was chosen on.

    Attributes:
        threshold: the least score of an answer.
        answered: media that reach it.
        right: of these.
        groups: groups (locations) of these.
        bound: the least share of right answers at the confidence asked for.
    """

    threshold: float
    answered: int
    right: int
    groups: int
    bound: float


def intraclass_correlation(right: ArrayLike, groups: ArrayLike) -> float:
    """How alike the outcomes of one group are: 0 as if of different ones, 1 all the same.

    The estimator of the analysis of variance for groups of unequal size (Donner 1986); negative estimates
    are 0. With one group, or one media a group, nothing can be known of it: 1 and 0.
    """
    values = np.asarray(right, np.float64)
    codes = _codes(groups)
    sizes = np.bincount(codes).astype(np.float64)
    count, total = len(sizes), len(values)
    if count == 1:
        return 1.0
    if total == count:
        return 0.0
    means = np.bincount(codes, values) / sizes
    between = (sizes * (means - values.mean()) ** 2).sum() / (count - 1)
    within = ((values - means[codes]) ** 2).sum() / (total - count)
    typical = (total - (sizes**2).sum() / total) / (count - 1)
    spread = between + (typical - 1) * within
    return float(np.clip((between - within) / spread, 0, 1)) if spread > 0 else 0.0


def _codes(groups: ArrayLike) -> npt.NDArray[np.int64]:
    array = np.asarray(groups)
    if array.dtype.kind == "i" and len(array) and array.min() >= 0 and array.max() < _FEW_CODES:
        return np.asarray(np.cumsum(np.bincount(array) > 0)[array] - 1, np.int64)  # without sorting
    return np.asarray(np.unique(array, return_inverse=True)[1], np.int64)


def effective_size(groups: ArrayLike, correlation: float) -> float:
    """To how many independent media those of `groups` [N] amount: N² / Σ n (1 + (n - 1) correlation)."""
    sizes = np.bincount(_codes(groups)).astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes * (1 + (sizes - 1) * correlation)).sum())


def lower_bound(
    right: ArrayLike, groups: ArrayLike, confidence: float = 0.9, correlation: float | None = None
) -> float:
    """The one-sided lower bound of the share that is right, over all media of all groups like these.

    Of a single new group it says nothing.
    It is that of the smaller of the two effective sizes, or that of unseen bad groups if that is lower.

    Args:
        right: 0/1 [N].
        groups: [N], the location of each media.
        confidence: of the bound.
        correlation: of the outcomes of a group; None: estimated from these.

    Returns:
        0 for a single group, which says nothing of others.
    """
    hits, codes = np.asarray(right, np.float64), _codes(groups)
    alike = intraclass_correlation(hits, codes) if correlation is None else correlation
    return min(bound_of_seen(hits, codes, confidence, alike), bound_of_unseen(hits, codes, confidence))


def bound_of_seen(right: ArrayLike, groups: ArrayLike, confidence: float, correlation: float) -> float:
    """The lower bound of the share that is right, by the smaller of the two effective sizes.

    0 for a single group. Of seasons and data sets it is all that counts: there are a handful of them, and
    none imagined beside them could ever be ruled out.
    """
    hits, codes = np.asarray(right, np.float64), _codes(groups)
    smaller = min(1.0, effective_size_observed(hits, codes) / effective_size(codes, correlation))
    return _bound(hits.mean(), _size(codes, correlation, confidence) * smaller, confidence)


def bound_of_unseen(right: ArrayLike, groups: ArrayLike, confidence: float = 0.9) -> float:
    """The lower bound of the share that is right where whole groups may be bad, though none of these is.

    One less the bound of Fay and Feuer (1997): the quantile of a gamma variable with the mean and the
    variance of the mistakes, summed by group, and of an imagined group of the effective number's weight
    Σ n² / N².

    Returns:
        0 for a single group.
    """
    from scipy.special import gammaincinv

    values, codes = np.asarray(right, np.float64), _codes(groups)
    shares = np.bincount(codes) / len(codes)
    if len(shares) < 2:
        return 0.0
    imagined = _IMAGINED_MISTAKES * float((shares**2).sum())
    mistakes = np.bincount(codes, 1 - values) / len(codes)
    mean, variance = float(mistakes.sum()) + imagined, float((mistakes**2).sum()) + imagined**2
    return max(0.0, 1 - float(gammaincinv(mean**2 / variance, confidence)) * variance / mean)


def surer_than(confidence: float) -> float:
    """The confidence at which thresholds below the first are tried: 0.99 for 0.9."""
    return 1 - (1 - confidence) / _RARER


def least_locations(promise: float, confidence: float = 0.9) -> int:
    """How many locations of equal size a promise needs.

    So many that lower thresholds than the first could be promised too, if half of the mistakes are made that
    the promise allows.
    """
    low, high = FEW_LOCATIONS, 2 * FEW_LOCATIONS

    def enough(count: int) -> bool:
        return enough_locations(np.arange(count), promise, confidence)

    while not enough(high):
        if high > _MOST_LOCATIONS:
            return high
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high


def enough_locations(groups: ArrayLike, promise: float, confidence: float = 0.9) -> bool:
    """Whether media of so many locations, of these sizes, can show that a promise is kept.

    It asks nothing of what is right there. The same as `least_locations` where all are of one size.

    Args:
        groups: [N], the location of each media.
        promise: the share of right answers.
        confidence: that it holds at new locations.
    """
    share = 1 - _MISTAKES_AT_FIRST * (1 - promise)
    right = np.full(len(np.asarray(groups)), share)
    return bound_of_unseen(right, groups, surer_than(confidence)) >= promise


def effective_size_observed(right: ArrayLike, groups: ArrayLike) -> float:
    """To how many independent media these outcomes amount: p (1 - p) over the variance of p by groups.

    The variance is that of a ratio over groups (linearised). Infinite where all outcomes are the same.
    """
    values = np.asarray(right, np.float64)
    codes = _codes(groups)
    sizes, hits = np.bincount(codes), np.bincount(codes, values)
    share, count = values.mean(), len(sizes)
    if count < 2 or share in (0.0, 1.0):
        return float("inf")
    variance = count / (count - 1) * ((hits - share * sizes) ** 2).sum() / len(values) ** 2
    return float(share * (1 - share) / variance) if variance > 0 else float("inf")


def _size(groups: ArrayLike, correlation: float, confidence: float) -> float:
    """The effective size after Student's correction for few groups."""
    from scipy.special import ndtri, stdtrit  # of `scipy.stats` each call takes ten times as long

    count = _number(np.asarray(groups))
    if count < 2:
        return 0.0
    correction = (ndtri(confidence) / stdtrit(count - 1, confidence)) ** 2
    return effective_size(groups, correlation) * float(correction)


def _bound(share: float, size: float, confidence: float) -> float:
    from scipy.special import betaincinv

    hits = share * size
    return 0.0 if hits <= 0 else float(betaincinv(hits, size - hits + 1, 1 - confidence))


def choose_threshold(
    scores: ArrayLike,
    right: ArrayLike,
    groups: ArrayLike,
    *,
    promise: float,
    confidence: float = 0.9,
    also: Sequence[ArrayLike] = (),
) -> Promise | None:
    """The lowest threshold of which it can be said that `promise` of the answers are right.

    Thresholds are tried from the strictest on that has enough media to show anything, in equal steps of media
    sorted by score, until one fails; the last that held is kept. The first is tried at `confidence`, each
    other one at `surer_than` that. Tried in an order fixed beforehand and
    stopped at the first failure, the chosen one fails with at most the chance 1 - `confidence` however many
    were tried (fixed-sequence testing; Angelopoulos et al. 2021, *Learn then Test*), and with a tenth of that
    chance if the first one keeps the promise. Here that holds nearly,
    not strictly: where the order begins, and the bound's effective size, rest on a correlation that is
    estimated from the same outcomes. Simulation is what shows that the promise is kept. The chance is over
    samples of locations, and the share that is promised over all media of all locations like these: a single
    location may be far below it (`new_location_intervals`).

    Args:
        scores: [N], higher is surer.
        right: 0/1 [N].
        groups: [N], the location of each media.
        promise: the share of right answers.
        confidence: that it holds at new locations.
        also: other axes [N] along which outcomes may be alike, as the season of each media: the promise must
            hold along each, and the least of their bounds counts (`bound_of_seen`). Where an axis has few
            units its effective size falls by Student's correction; of a single unit nothing can be promised.

    Returns:
        None where no threshold can promise that much, and with fewer locations than it needs
        (`least_locations`, more of unequal size).

    Raises:
        DataError: the lengths differ.
    """
    values, hits = np.asarray(scores, np.float64), np.asarray(right, np.float64)
    axes = [_codes(axis) for axis in (groups, *also)]
    if not len(values) == len(hits) or any(len(axis) != len(values) for axis in axes):
        raise DataError("Scores, outcomes and groups must be of one length.")
    if len(values) == 0:
        return None
    order = np.argsort(-values, kind="stable")
    values, hits, axes = values[order], hits[order], [axis[order] for axis in axes]
    alike = [intraclass_correlation(hits, axis) for axis in axes]

    def bound(count: int, confidence: float) -> float:
        others = (
            bound_of_seen(hits[:count], axis[:count], confidence, one)
            for axis, one in zip(axes[1:], alike[1:], strict=True)
        )
        return min((lower_bound(hits[:count], axes[0][:count], confidence, alike[0]), *others))

    kept = 0
    for count in _counts(values, axes, alike, promise, confidence):
        tried_at = surer_than(confidence) if kept else confidence
        if _number(axes[0][:count]) < FEW_LOCATIONS or bound(count, tried_at) < promise:
            break
        kept = count
    if not kept:
        return None
    right_there, groups_there = int(hits[:kept].sum()), _number(axes[0][:kept])
    return Promise(float(values[kept - 1]), kept, right_there, groups_there, bound(kept, confidence))


def _number(groups: npt.NDArray[np.int64]) -> int:
    return int(_codes(groups).max()) + 1


def _counts(
    values: Floats,
    axes: Sequence[npt.NDArray[np.int64]],
    alike: Sequence[float],
    promise: float,
    confidence: float,
) -> list[int]:
    """How many media pass each threshold that is tried: decided by the scores, the groups and `alike`.

    Of the outcomes only their correlation within groups is used, which says where enough media are for a
    first try, and not which of them are right. None where there are too few locations.
    """
    if not enough_locations(axes[0], promise, confidence):
        return []
    ends = np.append(np.flatnonzero(np.diff(values) < 0) + 1, len(values))  # ties pass together
    share = 1 - _MISTAKES_AT_FIRST * (1 - promise)

    def enough(count: int) -> bool:
        sizes = [_size(axis[:count], one, confidence) for axis, one in zip(axes, alike, strict=True)]
        unseen = bound_of_unseen(np.full(count, share), axes[0][:count], confidence)
        return min(_bound(share, min(sizes), confidence), unseen) >= promise

    low, high = 0, len(ends)
    while low < high:  # the first end with enough media; nearly monotone, which is near enough
        middle = (low + high) // 2
        low, high = (low, middle) if enough(int(ends[middle])) else (middle + 1, high)
    left = ends[low:]
    picked = np.unique(np.linspace(0, len(left) - 1, min(STEPS, len(left))).round().astype(int))
    return [int(left[index]) for index in picked] if len(left) else []
