"""Overlap of two activity patterns: how far they coincide, and a test of whether they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from trapline.ecology.circular import TURN, Floats
from trapline.ecology.curves import ActivityCurve, Over, activity_density, choose_over, resampled
from trapline.ecology.overlap_estimators import (
    Estimator,
    binned_dhat4,
    binned_estimates,
    choose_estimator,
    overlap_estimates,
)
from trapline.ecology.overlap_limits import Made, by_shift, limits, together
from trapline.ecology.resampling import AT_ONCE, BINS, BinnedDensities, bin_of
from trapline.metrics import Estimate


@dataclass(frozen=True, eq=False)
class Overlap:
    """How far two activity patterns coincide: 0 not at all, 1 they are the same.

    Attributes:
        dhat1: area under the lower of both curves, on a grid.
        dhat4: mean over the records of what the lower curve is of their own.
        dhat5: mean over the records of whether their own curve is the lower one.
        estimator: which of the three is to be reported of samples of these sizes.
        sizes: records of each.
        basic0: of each estimator the interval of R's overlap, for comparison: over records, whatever was
            drawn for the others.
        over: what was drawn anew for them.
        locations: how many there are among both, where they were drawn.
        resamples: how many were made.
        difference: p of the randomisation test that both are of one pattern; None where it was not asked for.
    """

    dhat1: Estimate
    dhat4: Estimate
    dhat5: Estimate
    estimator: Estimator
    sizes: tuple[int, int]
    basic0: Mapping[Estimator, Estimate]
    over: Literal["records", "locations"]
    locations: int | None
    resamples: int
    difference: float | None = None

    @property
    def recommended(self) -> Estimate:
        """That of `estimator`."""
        return {"dhat1": self.dhat1, "dhat4": self.dhat4, "dhat5": self.dhat5}[self.estimator]


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
    The intervals are of `trapline.ecology.overlap_limits.limits`, since the field's usual one, `basic0` of
    Meredith & Ridout's R package overlap, does not cover where patterns are much alike; it stands beside.

    Args:
        first: times of day of one species, radians [N].
        second: of the other [M].
        locations: of both's records; None where they are not known.
        over: what is drawn anew.
        resamples: how many, at least 100.
        compare: random exchanges of the test that both are of one pattern; 0 makes none.
        seed: of all that is random.

    Raises:
        DataError: too few records of one of them, or locations to draw are not known.
    """
    samples = np.asarray(first, np.float64) % TURN, np.asarray(second, np.float64) % TURN
    values = overlap_estimates(*samples)
    drawn = choose_over(over, locations or (None, None))
    curves = [activity_density(sample) for sample in samples]
    sizes = len(samples[0]), len(samples[1])
    made = _resampled(curves, locations or (), drawn, resamples, seed)
    usual = made if drawn == "records" else _resampled(curves, (), "records", resamples, seed)
    known = len(np.unique(np.concatenate(locations))) if locations and drawn == "locations" else None
    return Overlap(
        **limits(values, made, curves, known, seed),
        estimator=choose_estimator(sizes),
        sizes=sizes,
        basic0=by_shift(values, usual),
        over=drawn,
        locations=known,
        resamples=len(made["dhat4"]),
        difference=randomisation_test(*samples, exchanges=compare, seed=seed) if compare else None,
    )


def _resampled(
    curves: Sequence[ActivityCurve],
    locations: Sequence[npt.NDArray[np.str_]],
    drawn: Literal["records", "locations"],
    resamples: int,
    seed: int,
) -> Made:
    """The estimates of samples drawn anew, [≤ resamples] each."""
    return together(binned_estimates(*pair) for pair in resampled(curves, locations, drawn, resamples, seed))


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
    statistic = binned_dhat4(BinnedDensities(observed), BinnedDensities(total - observed))[0]
    as_small = 1
    for start in range(0, exchanges, AT_ONCE):
        many = min(AT_ONCE, exchanges - start)
        mine = rng.multivariate_hypergeometric(total, len(first), many, method="marginals").astype(np.float64)
        made = binned_dhat4(BinnedDensities(mine), BinnedDensities(total - mine))
        as_small += int((made <= statistic + 1e-12).sum())
    return as_small / (exchanges + 1)
