"""Estimators of the overlap of two densities of times of day, of records and of many resamples at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np

from trapline.ecology.circular import TURN, Floats
from trapline.ecology.curves import ActivityCurve, activity_density
from trapline.ecology.resampling import BinnedDensities

Estimator = Literal["dhat1", "dhat4", "dhat5"]

ADJUST: dict[Estimator, float] = {"dhat1": 0.8, "dhat4": 1.0, "dhat5": 4.0}
"""What the plug-in concentrations are divided by (Ridout & Linkie 2009; R's overlap does it so)."""
_GRID = 127
"""Steps of Dhat1's integral."""


def choose_estimator(sizes: Iterable[int]) -> Estimator:
    """Dhat4 where the smaller sample has at least 75 records, else Dhat1 (Ridout & Linkie 2009).

    They recommend Dhat1 below 50. From 50 to 74 either will do; Dhat1 is smooth in the data, so it is kept.
    """
    return "dhat4" if min(sizes) >= 75 else "dhat1"


def overlap_estimates(first: Floats, second: Floats) -> dict[Estimator, float]:
    """Three estimators of the overlap ∫ min(f, g).

    Schmid & Schmidt (2006), Computational Statistics & Data Analysis 50:1583, on the circle as Ridout &
    Linkie (2009), Journal of Agricultural, Biological and Environmental Statistics 14:322.

    Args:
        first: times of day of one species, radians [N].
        second: of the other [M].
    """
    f, g = (activity_density(times, adjust=ADJUST["dhat1"]) for times in (first, second))
    dhat1 = float(np.minimum(f.on_grid(_GRID), g.on_grid(_GRID)).mean() * TURN)
    f, g = (activity_density(times, adjust=ADJUST["dhat4"]) for times in (first, second))
    dhat4 = (_lower_share(f, g) + _lower_share(g, f)) / 2
    f, g = (activity_density(times, adjust=ADJUST["dhat5"]) for times in (first, second))
    dhat5 = float((f.at(first) < g.at(first)).mean() + (g.at(second) <= f.at(second)).mean())
    return {"dhat1": dhat1, "dhat4": dhat4, "dhat5": dhat5}


def _lower_share(own: ActivityCurve, other: ActivityCurve) -> float:
    """Mean over the records of the lower of both densities, by their own."""
    return float(np.minimum(1.0, other.at(own.radians) / own.at(own.radians)).mean())


def binned_estimates(first: BinnedDensities, second: BinnedDensities) -> dict[Estimator, Floats]:
    """The three estimators of each resample, [B] each."""
    f, g = first.at_bins(ADJUST["dhat1"]), second.at_bins(ADJUST["dhat1"])
    dhat1 = np.minimum(f, g).mean(axis=1) * TURN
    dhat4 = binned_dhat4(first, second)
    f, g = first.at_bins(ADJUST["dhat5"]), second.at_bins(ADJUST["dhat5"])
    dhat5 = (first.counts * (f < g)).sum(axis=1) / first.sizes
    dhat5 += (second.counts * (g <= f)).sum(axis=1) / second.sizes
    return {"dhat1": dhat1, "dhat4": dhat4, "dhat5": dhat5}


def binned_dhat4(first: BinnedDensities, second: BinnedDensities) -> Floats:
    """[B]."""
    f, g = first.at_bins(ADJUST["dhat4"]), second.at_bins(ADJUST["dhat4"])
    lower = np.minimum(f, g)
    of_first, of_second = (
        (one.counts * np.divide(lower, own, out=np.zeros_like(own), where=own > 0)).sum(axis=1) / one.sizes
        for one, own in ((first, f), (second, g))
    )
    return np.asarray((of_first + of_second) / 2)
