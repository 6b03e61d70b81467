"""Overlap of two activity patterns: estimators, intervals, and a test of whether they differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from trapline.ecology.activity import ActivityCurve, Over, activity_density, choose_over, resampled
from trapline.ecology.circular import TURN, Floats
from trapline.ecology.resampling import AT_ONCE, BINS, BinnedDensities, bin_of
from trapline.metrics import Estimate

Estimator = Literal["dhat1", "dhat4", "dhat5"]

ADJUST: dict[Estimator, float] = {"dhat1": 0.8, "dhat4": 1.0, "dhat5": 4.0}
"""What the plug-in concentrations are divided by (Ridout & Linkie 2009; R's overlap does it so)."""
_GRID = 127
"""Steps of Dhat1's integral."""


@dataclass(frozen=True, eq=False)
class Overlap:
    """How far two activity patterns coincide: 0 not at all, 1 they are the same.

    Attributes:
        dhat1: area under the lower of both curves, on a grid.
        dhat4: mean over the records of what the lower curve is of their own.
        dhat5: mean over the records of whether their own curve is the lower one.
        estimator: which of the three is to be reported of samples of these sizes.
        sizes: records of each.
        over: what was drawn anew for the intervals.
        locations: how many there are among both, where they were drawn.
        resamples: how many were made.
        difference: p of the randomisation test that both are of one pattern; None where it was not asked for.
    """

    dhat1: Estimate
    dhat4: Estimate
    dhat5: Estimate
    estimator: Estimator
    sizes: tuple[int, int]
    over: Literal["records", "locations"]
    locations: int | None
    resamples: int
    difference: float | None = None

    @property
    def recommended(self) -> Estimate:
        """That of `estimator`."""
        return {"dhat1": self.dhat1, "dhat4": self.dhat4, "dhat5": self.dhat5}[self.estimator]


def choose_estimator(sizes: Iterable[int]) -> Estimator:
    """Dhat4 where the smaller sample has at least 75 records, else Dhat1 (Ridout & Linkie 2009).

    They recommend Dhat1 below 50. From 50 to 74 either will do; Dhat1 is smooth in the data, so it is kept.
    """
    return "dhat4" if min(sizes) >= 75 else "dhat1"


def overlap_estimates(first: Floats, second: Floats) -> dict[Estimator, float]:
    """Three estimators of the overlap ∫ min(f, g).

    Schmid & Schmidt (2006), Computational Statistics & Data Analysis 50:1583, on the circle as Ridout & Linkie
    (2009), Journal of Agricultural, Biological and Environmental Statistics 14:322.

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


def activity_overlap(
    first: Floats,
    second: Floats,
    *,
    locations: tuple[npt.NDArray[np.str_], npt.NDArray[np.str_]] | None = None,
    over: Over = "auto",
    resamples: int = 1000,
    compare: int = 0,
    seed: int = 42,
) -> Overlap:
    """The overlap of two activity patterns, with 95 % intervals.

    Where records are drawn anew, they are drawn from both curves (smoothed bootstrap); where locations are,
    they are drawn with all their records of both species, as records of one location resemble each other.
    The quantiles of the resamples are moved by how far their mean lies from the estimate (`basic0` of Meredith
    & Ridout): resamples of resamples are smoother than the data.

    Args:
        first: times of day of one species, radians [N].
        second: of the other [M].
        locations: of both's records; None where they are not known.
        over: what is drawn anew.
        resamples: how many.
        compare: random exchanges of the test that both are of one pattern; 0 makes none.
        seed: of all that is random.

    Raises:
        DataError: too few records of one of them, or locations to draw are not known.
    """
    samples = np.asarray(first, np.float64) % TURN, np.asarray(second, np.float64) % TURN
    values = overlap_estimates(*samples)
    drawn = choose_over(over, locations or (None, None))
    curves = [activity_density(sample) for sample in samples]
    anew = [_binned_estimates(*pair) for pair in resampled(curves, locations or (), drawn, resamples, seed)]
    made: dict[Estimator, Floats] = {name: np.concatenate([each[name] for each in anew]) for name in ADJUST}
    sizes = len(samples[0]), len(samples[1])
    return Overlap(
        **{name: _interval(values[name], made[name]) for name in ADJUST},
        estimator=choose_estimator(sizes),
        sizes=sizes,
        over=drawn,
        locations=len(np.unique(np.concatenate(locations))) if locations and drawn == "locations" else None,
        resamples=len(made["dhat4"]),
        difference=randomisation_test(*samples, exchanges=compare, seed=seed) if compare else None,
    )


def randomisation_test(first: Floats, second: Floats, *, exchanges: int = 999, seed: int = 42) -> float:
    """p of the hypothesis that both species' times are of one pattern; the statistic is Dhat4.

    Which record is whose is exchanged at random; p is the share of exchanges, the data among them, whose
    overlap is as small as that of the data. Records are taken for independent of each other.

    Args:
        first: times of day, radians [N].
        second: likewise [M].
        exchanges: how many.
        seed: of the exchanges.
    """
    rng = np.random.default_rng(seed)
    pooled = np.concatenate([bin_of(first), bin_of(second)])
    total = np.bincount(pooled, minlength=BINS)
    observed = np.bincount(pooled[: len(first)], minlength=BINS)[None].astype(np.float64)
    statistic = _dhat4(BinnedDensities(observed), BinnedDensities(total - observed))[0]
    as_small = 1
    for start in range(0, exchanges, AT_ONCE):
        many = min(AT_ONCE, exchanges - start)
        mine = rng.multivariate_hypergeometric(total, len(first), many, method="marginals").astype(np.float64)
        made = _dhat4(BinnedDensities(mine), BinnedDensities(total - mine))
        as_small += int((made <= statistic + 1e-12).sum())
    return as_small / (exchanges + 1)


def _lower_share(own: ActivityCurve, other: ActivityCurve) -> float:
    """Mean over the records of the lower of both densities, by their own."""
    return float(np.minimum(1.0, other.at(own.radians) / own.at(own.radians)).mean())


def _binned_estimates(first: BinnedDensities, second: BinnedDensities) -> dict[Estimator, Floats]:
    """The three estimators of each resample, [B] each."""
    f, g = first.at_bins(ADJUST["dhat1"]), second.at_bins(ADJUST["dhat1"])
    dhat1 = np.minimum(f, g).mean(axis=1) * TURN
    dhat4 = _dhat4(first, second)
    f, g = first.at_bins(ADJUST["dhat5"]), second.at_bins(ADJUST["dhat5"])
    dhat5 = (first.counts * (f < g)).sum(axis=1) / first.sizes
    dhat5 += (second.counts * (g <= f)).sum(axis=1) / second.sizes
    return {"dhat1": dhat1, "dhat4": dhat4, "dhat5": dhat5}


def _dhat4(first: BinnedDensities, second: BinnedDensities) -> Floats:
    """[B]."""
    f, g = first.at_bins(ADJUST["dhat4"]), second.at_bins(ADJUST["dhat4"])
    lower = np.minimum(f, g)
    of_first, of_second = (
        (one.counts * np.divide(lower, own, out=np.zeros_like(own), where=own > 0)).sum(axis=1) / one.sizes
        for one, own in ((first, f), (second, g))
    )
    return np.asarray((of_first + of_second) / 2)


def _interval(value: float, anew: Floats) -> Estimate:
    """Quantiles of the resamples, moved to the estimate, within 0 to 1."""
    low, high = np.quantile(anew, [0.025, 0.975]) - (anew.mean() - value)
    return Estimate(value, float(max(low, 0.0)), float(min(high, 1.0)))
