"""95 % intervals by a bootstrap over groups of media that belong together: locations, unless told otherwise.

Photos of one camera share a background, a season and often one animal, so that they are not independent.
Whole locations are drawn with replacement, as many as there are, and every media of a location counts
as often as its location was drawn (cluster bootstrap; Field & Welsh 2007, *Bootstrapping Clustered Data*).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from trapline.errors import DataError
from trapline.metrics.inputs import Floats, Weights, check, check_weights, ratio
from trapline.metrics.registry import measure

CHUNK = 2_000_000
UNDEFINED_ALLOWED = 0.2
"""An interval is only given if at most this share of the resamples leaves the figure undefined: a label seen
at one location is missing from 37 % of the resamples, one seen at two from 14 %."""

MetricFunction = Callable[[ArrayLike, ArrayLike, Weights], Floats]
MetricsFunction = Callable[[ArrayLike, ArrayLike, Weights], Mapping[str, Floats]]


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval; all None where the figure is undefined, `low` and `high` None where
    there is no honest interval (one location only, or the same figure in every resample)."""

    value: float | None
    low: float | None = None
    high: float | None = None


def bootstrap(
    metric_fn: MetricFunction,
    truth: ArrayLike,
    probabilities: ArrayLike,
    groups: ArrayLike,
    samples: int = 1000,
    seed: int = 42,
) -> Estimate:
    """One figure with the 95 % percentile interval of a bootstrap over `groups`.

    Args:
        metric_fn: one of this package (`accuracy`, `log_loss`, …), or any function of truth, probabilities
            and weights that takes weights [B, N] and answers [B].
        truth: int [N] or 0/1 [N, K].
        probabilities: [N, K].
        groups: [N], the location of each media: any values, none missing.
        samples: how many times the locations are drawn.
        seed: of the draws.

    Returns:
        The figure on all media, and its interval; without one if there is a single group.
    """

    def one(truth: ArrayLike, probabilities: ArrayLike, weights: Weights) -> dict[str, Floats]:
        return {"figure": metric_fn(truth, probabilities, weights)}

    return bootstrap_all(truth, probabilities, groups, samples, seed, metrics_fn=one)["figure"]


def bootstrap_ratio(
    above: ArrayLike, below: ArrayLike, groups: ArrayLike, samples: int = 1000, seed: int = 42
) -> Estimate:
    """Σ above / Σ below over media, each [N], with its interval over `groups` [N]."""
    parts, wholes = np.asarray(above, np.float64), np.asarray(below, np.float64)

    def shares(weights: Weights) -> dict[str, Floats]:
        w = check_weights(weights, len(wholes))
        return {"share": ratio(w @ parts, w @ wholes)[..., None]}

    return _resample(shares, codes_of(groups, len(wholes)), samples, seed)["share"][0]


def bootstrap_all(
    truth: ArrayLike,
    probabilities: ArrayLike,
    groups: ArrayLike,
    samples: int = 1000,
    seed: int = 42,
    *,
    metrics_fn: MetricsFunction = measure,
) -> dict[str, Estimate]:
    """Every figure of `metrics_fn` (by default all registered ones) with its interval, from shared draws."""
    vectors = bootstrap_vectors(
        truth,
        probabilities,
        groups,
        samples,
        seed,
        metrics_fn=lambda t, p, w: {name: value[..., None] for name, value in metrics_fn(t, p, w).items()},
    )
    return {name: estimates[0] for name, estimates in vectors.items()}


def bootstrap_vectors(
    truth: ArrayLike,
    probabilities: ArrayLike,
    groups: ArrayLike,
    samples: int = 1000,
    seed: int = 42,
    *,
    metrics_fn: MetricsFunction,
) -> dict[str, list[Estimate]]:
    """As `bootstrap_all`, for figures that are lists: `metrics_fn` answers [B, M], M estimates come back."""
    figures = partial(metrics_fn, *check(truth, probabilities))
    return _resample(figures, codes_of(groups, len(np.asarray(truth))), samples, seed)


def bootstrap_sums(
    sums: Mapping[str, Floats],
    samples: int = 1000,
    seed: int = 42,
    *,
    figures: Callable[[Mapping[str, Floats]], Mapping[str, Floats]],
) -> dict[str, list[Estimate]]:
    """As `bootstrap_vectors`, of sums over groups: the same draws, however many media there are.

    Args:
        sums: each [groups, D], of the groups in their order.
        samples: how many times the groups are drawn.
        seed: of the draws.
        figures: of sums [..., D] the figures, each [..., M].
    """
    groups = len(next(iter(sums.values())))

    def weighted(weights: Weights) -> Mapping[str, Floats]:
        w = check_weights(weights, groups)
        return figures({name: w @ values for name, values in sums.items()})

    return _resample(weighted, np.arange(groups), samples, seed)


def _resample(
    figures: Callable[[Weights], Mapping[str, Floats]],
    codes: npt.NDArray[np.int64],
    samples: int,
    seed: int,
) -> dict[str, list[Estimate]]:
    points = {name: np.asarray(value) for name, value in figures(None).items()}
    drawn: dict[str, list[Floats]] = {name: [] for name in points}
    if codes.max() > 0:  # with one group every resample is the data itself: that is no interval
        for weights in draw_weights(codes, samples, seed):
            for name, value in figures(weights).items():
                drawn[name].append(value)
    return {name: _estimates(point, drawn[name]) for name, point in points.items()}


def codes_of(groups: ArrayLike, media: int) -> npt.NDArray[np.int64]:
    """[N]: the group of each media as 0..groups-1."""
    array = np.asarray(groups)
    if array.shape != (media,):
        raise DataError(f"There must be one group for each of the {media} media; got {list(array.shape)}.")
    return np.asarray(np.unique(array, return_inverse=True)[1], dtype=np.int64)


def draw_weights(codes: npt.NDArray[np.int64], samples: int, seed: int) -> Iterator[Floats]:
    """Chunks [B, N] of weights: how often the group of each media was drawn.

    Args:
        codes: [N], the group of each media as 0..groups-1.
        samples: resamples in all.
        seed: of the draws; the same seed gives the same weights whatever the chunking.
    """
    groups = int(codes.max()) + 1
    random = np.random.default_rng(seed)
    counts = random.multinomial(groups, np.full(groups, 1 / groups), size=samples)  # [samples, groups]
    step = max(1, CHUNK // len(codes))
    for start in range(0, samples, step):
        by_media = counts[start : start + step].T.astype(np.float64)[codes]  # [N, B]: rows are copied whole
        yield by_media.T


def _estimates(points: Floats, drawn: list[Floats]) -> list[Estimate]:
    lows, highs = (np.full(points.shape, np.nan) for _ in range(2))
    if drawn:
        values = np.concatenate(drawn)  # [samples, M]
        steady = np.isnan(values).mean(axis=0) <= UNDEFINED_ALLOWED
        if steady.any():
            lows[steady], highs[steady] = np.nanquantile(values[:, steady], [0.025, 0.975], axis=0)
        same = lows == highs  # a flawless score has no spread to resample, which is no proof of flawlessness
        lows[same] = highs[same] = np.nan
    return [
        Estimate(*(None if np.isnan(number) else float(number) for number in numbers))
        for numbers in zip(points, lows, highs, strict=True)
    ]
