"""Activity: when in the day a species is recorded, as a density on the circle, and how long it is active."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from trapline.ecology.circular import (
    TURN,
    Floats,
    Moments,
    density_at,
    density_on_grid,
    kernel_moments,
    moments,
    orders_needed,
    plug_in_concentration,
)
from trapline.ecology.resampling import (
    BINS,
    BinnedDensities,
    bin_of,
    drawn_locations,
    location_counts,
    smooth_counts,
    widening,
)
from trapline.errors import DataError, UsageError, many
from trapline.metrics import Estimate

Over = Literal["auto", "records", "locations"]
"""What is drawn anew for an interval; `auto`: locations where enough of them are known, else records."""

LEAST_RECORDS = 5
LEAST_LOCATIONS = 10
"""Of fewer nothing can be told of how they differ."""
_PEAK_GRID = 4096
_TAILS = (0.025, 0.975)


@dataclass(frozen=True, eq=False)
class ActivityCurve:
    """A density of times of day.

    Attributes:
        radians: the times that it was made of [N].
        concentration: of the kernel, after the adjustment.
        adjust: what the plug-in concentration was divided by.
        coefficients: its trigonometric moments [K + 1].
    """

    radians: Floats
    concentration: float
    adjust: float
    coefficients: Moments

    def at(self, radians: Floats) -> Floats:
        """The density at times of day, per radian [N]."""
        return density_at(self.coefficients, radians)

    def on_grid(self, size: int) -> Floats:
        """The density at `size` times from midnight on, per radian."""
        fine = size * -(-2 * len(self.coefficients) // size)
        return density_on_grid(self.coefficients, fine)[:: fine // size]

    @property
    def peak(self) -> float:
        """Its largest value, per radian."""
        return float(self.on_grid(_PEAK_GRID).max())

    @property
    def peak_hour(self) -> float:
        """The hour of the day at which it is largest."""
        return float(self.on_grid(_PEAK_GRID).argmax()) * 24 / _PEAK_GRID

    @property
    def level(self) -> float:
        """The share of the day that the species is active, if all are active at the peak.

        Rowcliffe et al. (2014), Methods in Ecology and Evolution 5:1170: the area under the curve by that of
        the rectangle about it, 1 / (2π max f).
        """
        return 1 / (TURN * self.peak)


def activity_density(radians: Floats, *, adjust: float = 1.0) -> ActivityCurve:
    """The density of times of day by a von Mises kernel, its concentration by Taylor's plug-in rule.

    Ridout & Linkie (2009), Journal of Agricultural, Biological and Environmental Statistics 14:322.

    Args:
        radians: times of day [N], at least 5.
        adjust: the plug-in concentration is divided by it: larger is smoother.

    Raises:
        DataError: too few times, or all the same.
        UsageError: `adjust` is not above 0.
    """
    times = np.asarray(radians, dtype=np.float64) % TURN
    if adjust <= 0:
        raise UsageError(f"--adjust must be above 0, not {adjust:g}.")
    if not enough(times):
        raise DataError(
            f"of {many(len(times), 'record')} no density of times of day can be made: it needs "
            f"{LEAST_RECORDS}, and not all of one time."
        )
    concentration = float(plug_in_concentration(moments(times, 3), len(times))) / adjust
    orders = orders_needed(concentration)
    return ActivityCurve(
        times,
        concentration,
        adjust,
        moments(times, orders) * kernel_moments(concentration, orders),  # type: ignore[arg-type]
    )


def enough(radians: Floats) -> bool:
    """Whether a density can be made of these times of day."""
    return len(radians) >= LEAST_RECORDS and bool(np.ptp(radians) > 0)


@dataclass(frozen=True, eq=False)
class ActivityIntervals:
    """What resamples of a curve say.

    Attributes:
        level: the activity level and its interval.
        level_error: its standard error.
        low: of the density at the grid's points, per radian, each point for itself [size].
        high: likewise.
        over: what was drawn anew.
    """

    level: Estimate
    level_error: float
    low: Floats
    high: Floats
    over: Literal["records", "locations"]


def choose_over(
    over: Over, locations: Sequence[npt.NDArray[np.str_] | None]
) -> Literal["records", "locations"]:
    """What to draw anew: locations if the user says so, or `auto` and there are enough of them.

    Args:
        over: what the user says.
        locations: of the records of each sample; None where they are not known.

    Raises:
        DataError: locations were asked for and are not known, or there is but one.
    """
    known = [sample for sample in locations if sample is not None]
    count = len(np.unique(np.concatenate(known))) if known and len(known) == len(locations) else 0
    if over == "locations" and count < 2:
        raise DataError(
            f"Intervals over locations need locations, and {'one alone is' if count else 'none is'} known: "
            "name their column, or take --over records."
        )
    if over == "auto":
        return "locations" if count >= LEAST_LOCATIONS else "records"
    return over


def resampled(
    curves: Sequence[ActivityCurve],
    locations: Sequence[npt.NDArray[np.str_] | None],
    over: Literal["records", "locations"],
    resamples: int,
    seed: int,
) -> Iterator[list[BinnedDensities]]:
    """The samples drawn anew, together: smoothed where records are drawn, whole locations where those are.

    Yields:
        for each curve its resamples, at most 64.
    """
    rng = np.random.default_rng(seed)
    if over == "records":
        draws = [smooth_counts(one.coefficients, len(one.radians), resamples, rng) for one in curves]
        for together in zip(*draws, strict=True):
            yield [BinnedDensities(each) for each in together]
        return
    names = np.concatenate([sample for sample in locations if sample is not None])
    known, indices = np.unique(names, return_inverse=True)
    ends = np.cumsum([len(one.radians) for one in curves])[:-1]
    of_curve = np.split(indices, ends)
    bins = [bin_of(one.radians) for one in curves]
    for weights in drawn_locations(len(known), resamples, rng):
        counts = [location_counts(*pair, weights) for pair in zip(bins, of_curve, strict=True)]
        filled = np.all([each.sum(axis=1) >= LEAST_RECORDS for each in counts], axis=0)
        yield [BinnedDensities(each[filled]) for each in counts]


def curve_intervals(
    curve: ActivityCurve,
    locations: npt.NDArray[np.str_] | None = None,
    *,
    over: Over = "auto",
    resamples: int = 1000,
    size: int = 96,
    seed: int = 42,
) -> ActivityIntervals:
    """95 % intervals of a curve and of its activity level.

    Quantiles of resamples, moved to the estimate: resamples of a smooth curve are smoother than the data. Of
    the curve each point is for itself. Smoothing lowers the peak, so that levels are too high; the interval
    of the level reaches from where it would be without that to where it is with it.

    Args:
        curve: of all records.
        locations: of each record; None where they are not known.
        over: what is drawn anew.
        resamples: how many.
        size: points of the grid, from midnight on: a divisor of 1024 or less.
        seed: of what is drawn.

    Raises:
        DataError: locations to draw are not known.
    """
    drawn = choose_over(over, [locations])
    peaks, points = [], []
    every = np.round(np.arange(size) * (BINS / size)).astype(int)
    for (binned,) in resampled([curve], [locations], drawn, resamples, seed):
        heights = binned.at_bins(curve.adjust)
        peaks.append(heights.max(axis=1))
        points.append(heights[:, every])
    levels = 1 / (TURN * np.concatenate(peaks))
    heights = np.concatenate(points)
    estimate = curve.on_grid(BINS)[every]
    low, high = np.quantile(heights, _TAILS, axis=0) * (estimate / np.maximum(heights.mean(axis=0), 1e-300))
    drift = curve.level / float(levels.mean())
    least, most = np.quantile(levels, _TAILS) * drift * (min(1.0, drift), max(1.0, drift))
    wider = 1.0
    if drawn == "locations" and locations is not None:
        wider = widening(len(np.unique(locations)))
    level = Estimate(
        curve.level,
        max(0.0, curve.level - wider * (curve.level - float(least))),
        min(1.0, curve.level + wider * (float(most) - curve.level)),
    )
    low, high = np.maximum(estimate - wider * (estimate - low), 0), estimate + wider * (high - estimate)
    return ActivityIntervals(level, wider * float(levels.std(ddof=1)), low, high, drawn)
