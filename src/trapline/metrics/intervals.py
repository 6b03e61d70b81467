"""95 % intervals by a jackknife over groups of media that belong together: locations, unless told otherwise.

Photos of one camera share a background, a season and often one animal, so that they are not independent.
Each location is therefore left out whole, one after the other, and the figure computed of the others. How far
it moves, d, is what that location says; Σ d² is the variance of the figure (the cluster jackknife CV3; Bell &
McCaffrey 2002, *Bias reduction in standard errors for linear regression with multi-stage samples*; MacKinnon,
Nielsen & Webb 2023, *Fast and reliable jackknife and bootstrap methods for cluster-robust inference*). Unlike
the percentiles of resamples it sees how much hangs on a location that is larger than the others.

The interval is that of Student's t on a scale on which figures are nearer to symmetric, so that it is longer
on the side where it can be: the logit for a share, the logarithm for a loss, the figure itself for a
difference. It ends where the figure cannot go on: a log loss at 16.1, a Brier score at 2, or at 1 where media
may have several labels. A few large locations, or a label that few show, leave few degrees of freedom,
whatever the count of locations: they are twice the effective number of movements (Σ d²)² / Σ d⁴, at most one
fewer than the locations that move the figure at all. The two was chosen by simulation
(`benchmarks/coverage.py`), whose table says how often these intervals hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from trapline.errors import DataError
from trapline.metrics.inputs import Floats, Weights, check, check_weights, ratio
from trapline.metrics.probability import CLIP
from trapline.metrics.registry import LOWER_IS_BETTER, measure

CHUNK = 2_000_000
WITHOUT_INTERVAL = frozenset({"expected_calibration_error"})
"""Figures whose error is a bias more than a spread: a sample's calibration error is too large, the more so
the fewer media it has, and intervals around it held in 12 to 62 of 100 simulated studies."""

RATE = "rate"
"""The name of a figure that is from 0 on and has no upper end."""

_MOST = {"log_loss": -math.log(CLIP), "brier_score": 2.0}
"""What a loss cannot pass, by its definition in `trapline.metrics.probability`; and where media may have
several labels, so that it is a mean over the labels:"""

_MOST_OF_SEVERAL = _MOST | {"brier_score": 1.0}

_STILL = 1e-12
"""A movement of less than this is rounding."""

_FARTHEST = 700.0
"""The largest number that can be raised from a logarithm."""

Scale = Literal["itself", "logit", "logarithm"]
MetricFunction = Callable[[ArrayLike, ArrayLike, Weights], Floats]
MetricsFunction = Callable[[ArrayLike, ArrayLike, Weights], Mapping[str, Floats]]


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval; all None where the figure is undefined, `low` and `high` None where
    there is no honest interval: one location only, a figure that no location moves or that is undefined
    without one of them, or one of `WITHOUT_INTERVAL`."""

    value: float | None
    low: float | None = None
    high: float | None = None


def estimate(
    metric_fn: MetricFunction,
    truth: ArrayLike,
    probabilities: ArrayLike,
    groups: ArrayLike,
    samples: int = 1000,
    seed: int = 42,
) -> Estimate:
    """One figure with its 95 % interval over `groups`.

    Args:
        metric_fn: one of this package (`accuracy`, `log_loss`, …), or any function of truth, probabilities
            and weights that takes weights [B, N] and answers [B].
        truth: int [N] or 0/1 [N, K].
        probabilities: [N, K].
        groups: [N], the location of each media: any values, none missing.
        samples: how many times something is left out, at most: with more locations than that, a random set
            of them together.
        seed: of these sets.

    Returns:
        The figure on all media, and its interval; without one if there is a single group.
    """

    def one(truth: ArrayLike, probabilities: ArrayLike, weights: Weights) -> dict[str, Floats]:
        return {"figure": metric_fn(truth, probabilities, weights)}

    return estimate_all(truth, probabilities, groups, samples, seed, metrics_fn=one)["figure"]


def estimate_ratio(
    above: ArrayLike,
    below: ArrayLike,
    groups: ArrayLike,
    samples: int = 1000,
    seed: int = 42,
    *,
    rate: bool = False,
) -> Estimate:
    """Σ above / Σ below over media, each [N], with its interval over `groups` [N].

    Args:
        above: of what the ratio is.
        below: what it is of.
        groups: the location of each.
        samples: as of `estimate`, likewise the next.
        seed: see there.
        rate: `above` is no part of `below` (events a day), so that it has no upper end: on the logarithm.
    """
    parts, wholes = np.asarray(above, np.float64), np.asarray(below, np.float64)
    name = RATE if rate else "share"

    def ratios(weights: Weights) -> dict[str, Floats]:
        w = check_weights(weights, len(wholes))
        return {name: ratio(w @ parts, w @ wholes)[..., None]}

    return _leave_out(ratios, codes_of(groups, len(wholes)), samples, seed)[name][0]


def estimate_all(
    truth: ArrayLike,
    probabilities: ArrayLike,
    groups: ArrayLike,
    samples: int = 1000,
    seed: int = 42,
    *,
    metrics_fn: MetricsFunction = measure,
    differences: bool = False,
) -> dict[str, Estimate]:
    """Every figure of `metrics_fn` (by default all registered ones) with its interval.

    Args:
        truth: as of `estimate`, likewise the next four.
        probabilities: see there.
        groups: see there.
        samples: see there.
        seed: see there.
        metrics_fn: the figures, by name: of those of `LOWER_IS_BETTER` less is better and 0 is best, others
            within 0..1 are shares.
        differences: they are differences of such figures, and may be of either sign.
    """
    vectors = estimate_vectors(
        truth,
        probabilities,
        groups,
        samples,
        seed,
        metrics_fn=lambda t, p, w: {name: value[..., None] for name, value in metrics_fn(t, p, w).items()},
        differences=differences,
    )
    return {name: estimates[0] for name, estimates in vectors.items()}


def estimate_vectors(
    truth: ArrayLike,
    probabilities: ArrayLike,
    groups: ArrayLike,
    samples: int = 1000,
    seed: int = 42,
    *,
    metrics_fn: MetricsFunction,
    differences: bool = False,
) -> dict[str, list[Estimate]]:
    """As `estimate_all`, for figures that are lists: `metrics_fn` answers [B, M], M estimates come back."""
    figures = partial(metrics_fn, *check(truth, probabilities))
    codes = codes_of(groups, len(np.asarray(truth)))
    several = np.ndim(truth) == 2
    return _leave_out(figures, codes, samples, seed, differences=differences, several=several)


def estimate_sums(
    sums: Mapping[str, Floats],
    samples: int = 1000,
    seed: int = 42,
    *,
    figures: Callable[[Mapping[str, Floats]], Mapping[str, Floats]],
    several: bool = False,
) -> dict[str, list[Estimate]]:
    """As `estimate_vectors`, of sums over groups: the same intervals, however many media there are.

    Args:
        sums: each [groups, D], of the groups in their order.
        samples: as of `estimate`, likewise the next.
        seed: see there.
        figures: of sums [..., D] the figures, each [..., M].
        several: they are of media that may have several labels.
    """
    groups = len(next(iter(sums.values())))

    def weighted(weights: Weights) -> Mapping[str, Floats]:
        w = check_weights(weights, groups)
        return figures({name: w @ values for name, values in sums.items()})

    return _leave_out(weighted, np.arange(groups), samples, seed, several=several)


def _leave_out(
    figures: Callable[[Weights], Mapping[str, Floats]],
    codes: npt.NDArray[np.int64],
    samples: int,
    seed: int,
    *,
    differences: bool = False,
    several: bool = False,
) -> dict[str, list[Estimate]]:
    points = {name: np.asarray(value) for name, value in figures(None).items()}
    without: dict[str, list[Floats]] = {name: [] for name in points}
    if codes.max() > 0:  # without the only group nothing is left
        for weights in leave_out_weights(codes, samples, seed):
            for name, value in figures(weights).items():
                without[name].append(value)
    return {
        name: _estimates(name, point, without[name], differences=differences, several=several)
        for name, point in points.items()
    }


def codes_of(groups: ArrayLike, media: int) -> npt.NDArray[np.int64]:
    """[N]: the group of each media as 0..groups-1."""
    array = np.asarray(groups)
    if array.shape != (media,):
        raise DataError(f"There must be one group for each of the {media} media; got {list(array.shape)}.")
    return np.asarray(np.unique(array, return_inverse=True)[1], dtype=np.int64)


def leave_out_weights(codes: npt.NDArray[np.int64], samples: int, seed: int) -> Iterator[Floats]:
    """Chunks [B, N] of weights: 0 for the media that are left out, 1 for the others.

    Args:
        codes: [N], the group of each media as 0..groups-1.
        samples: sets in all, at most: each is one group, or where there are more groups several of them.
        seed: of which groups are in a set.
    """
    groups = int(codes.max()) + 1
    if groups > samples:
        codes = (np.random.default_rng(seed).permutation(groups) % samples)[codes]
        groups = samples
    step = max(1, CHUNK // len(codes))
    for start in range(0, groups, step):
        left_out = np.arange(start, min(start + step, groups))
        yield (codes != left_out[:, None]).astype(np.float64)


def _estimates(
    name: str, points: Floats, without: list[Floats], *, differences: bool, several: bool
) -> list[Estimate]:
    lows, highs = (np.full(points.shape, np.nan) for _ in range(2))
    if without and name not in WITHOUT_INTERVAL:
        values = np.concatenate(without)  # [sets, M]
        for index, point in enumerate(points):
            scale = "itself" if differences else scale_of(name, point, values[:, index])
            lows[index], high = _interval(float(point), values[:, index], scale)
            highs[index] = high if differences else end_of(name, high, several=several)
    return [
        Estimate(*(None if np.isnan(number) else float(number) for number in numbers))
        for numbers in zip(points, lows, highs, strict=True)
    ]


def end_of(name: str, high: float, *, several: bool) -> float:
    """The upper end of an interval, or what the figure of this name cannot pass; NaN stays."""
    most = _MOST_OF_SEVERAL if several else _MOST
    return min(high, most.get(name, math.inf))  # the first of the two where they cannot be compared


def scale_of(name: str, point: float, others: Floats) -> Scale:
    """On what scale the interval of a figure is made, by its name and what it is with other weights."""
    if name in LOWER_IS_BETTER or name == RATE:
        return "logarithm" if point > 0 else "itself"
    within = 0 < point < 1 and others.min(initial=0) >= 0 and others.max(initial=1) <= 1
    return "logit" if within else "itself"


def _interval(point: float, without: Floats, scale: Scale) -> tuple[float, float]:
    """Both ends; NaN where there is no honest interval.

    The movements are brought to the scale by its slope at the figure: a location that has all the mistakes
    there are would else move the figure infinitely far.
    """
    from scipy.special import expit, logit, stdtrit  # of `scipy.stats` each call takes ten times as long

    moved = without - point
    moved = np.where(np.abs(moved) > _STILL * max(1.0, abs(point)), moved, 0.0)  # NaN counts as still here
    squares = moved**2
    if np.isnan(without).any() or np.isnan(point) or not squares.any():
        return np.nan, np.nan
    shares = squares / squares.sum()
    freedom = max(1.0, min(np.count_nonzero(moved) - 1, 2 / (shares**2).sum()))
    reach = float(stdtrit(freedom, 0.975) * np.sqrt(squares.sum()))
    if scale == "logit":
        middle, reach = logit(point), reach / (point * (1 - point))
        return float(expit(middle - reach)), float(expit(middle + reach))
    if scale == "logarithm":
        factor = float(np.exp(min(reach / point, _FARTHEST)))
        return point / factor, point * factor
    return point - reach, point + reach
