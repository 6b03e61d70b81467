"""What a figure may come out at on locations that are not in the sample: prediction intervals.

The interval of a figure says how well its mean over locations like these is known. What comes at the next
location is another question: locations differ, and how much they do is known from those that there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from trapline.metrics.inputs import Floats, check
from trapline.metrics.intervals import MetricsFunction, codes_of
from trapline.metrics.registry import measure

FEW_LOCATIONS = 5
"""Below this many locations nothing is said of others: how much locations differ is hardly known."""

_CHUNK = 2_000_000


@dataclass(frozen=True)
class NewLocations:
    """The 95 % prediction interval of a figure, measured on locations that are not in the sample.

    Attributes:
        locations: on so many of them together, each with as many media as those of the sample have.
        low: None where there are fewer than `FEW_LOCATIONS` locations, or the figure is mostly undefined.
        high: likewise.
    """

    locations: int
    low: float | None
    high: float | None


def effective_locations(groups: ArrayLike) -> float:
    """To how many locations of equal size those of `groups` [N] amount: N² / Σ n² (Kish 1965)."""
    sizes = np.unique(np.asarray(groups), return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def new_location_intervals(
    truth: ArrayLike,
    probabilities: ArrayLike,
    groups: ArrayLike,
    *,
    locations: int = 1,
    samples: int = 1000,
    seed: int = 42,
    metrics_fn: MetricsFunction = measure,
) -> dict[str, NewLocations]:
    """By figure of `metrics_fn` what `locations` new locations together may show.

    Args:
        truth: int [N] or 0/1 [N, K].
        probabilities: [N, K].
        groups: [N], the location of each media.
        locations: how many new ones are measured together.
        samples: drawings of them.
        seed: of the drawings.
        metrics_fn: as of `bootstrap_all`.
    """
    array, values = check(truth, probabilities)
    codes = codes_of(groups, len(array))
    figures = partial(metrics_fn, array, values)
    drawn: dict[str, list[Floats]] = {name: [] for name in figures(None)}
    for weights in _draw(codes, locations, samples, seed):
        for name, value in figures(weights).items():
            drawn[name].append(value)
    few = codes.max() + 1 < FEW_LOCATIONS
    return {name: _interval(np.concatenate(parts), locations, few) for name, parts in drawn.items()}


def _draw(codes: npt.NDArray[np.int64], locations: int, samples: int, seed: int) -> Iterator[Floats]:
    """Chunks [B, N] of weights: how often the location of each media is among the new ones."""
    groups = int(codes.max()) + 1
    random = np.random.default_rng(seed)
    population = random.multinomial(groups, np.full(groups, 1 / groups), size=samples) / groups
    counts = random.multinomial(locations, population)
    step = max(1, _CHUNK // len(codes))
    for start in range(0, samples, step):
        yield counts[start : start + step][:, codes].astype(np.float64)


def _interval(values: Floats, locations: int, few: bool) -> NewLocations:
    if few or np.isnan(values).mean() > 0.2:
        return NewLocations(locations, None, None)
    low, high = np.nanquantile(values, [0.025, 0.975])
    return NewLocations(locations, float(low), float(high))
