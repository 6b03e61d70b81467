"""How many species there are: accumulation, Chao's estimators, Hill numbers, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from trapline.arguments import Count, Whole, checked
from trapline.ecology.hill import (
    ORDERS,
    Floats,
    Ints,
    Kind,
    SpeciesCounts,
    assemblage,
    asymptotic,
    coverage,
    diversity,
    drawn,
    unseen_species,
    unseen_variance,
)
from trapline.ecology.written import as_text, write_rows
from trapline.errors import DataError, UsageError
from trapline.metrics import Estimate

Units = Literal["locations", "occasions", "records"]
"""What is counted: locations in which a species is recorded, locations by occasions of some days, or
records.
"""

_KNOTS = 40
_Z = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Richness:
    """What a sample says of the diversity of an assemblage.

    Attributes:
        sample: how often each species was recorded.
        labels: of the species.
        units: what was counted, in words.
        observed: order q → Hill number of the sample itself.
        whole: order q → that of the whole assemblage; of order 0 it is Chao2 or Chao1, a lower bound.
        completeness: the sample's coverage: the share of all incidences, or individuals, that belong to
            recorded species.
        curve: `order`, `size`, `method` (rarefied, observed, extrapolated), `estimate`, `low`, `high`,
            `coverage`, `coverage_low`, `coverage_high`. The rows of order 0 are the accumulation curve.
        at_coverage: `order`, `coverage`, `size`, `estimate`, `low`, `high`; None where it was not asked for.
        resamples: of the estimated assemblage.
        source: in words, for people.
        notes: what a person must know.
    """

    sample: SpeciesCounts
    labels: tuple[str, ...]
    units: str
    observed: Mapping[int, float]
    whole: Mapping[int, Estimate]
    completeness: Estimate
    curve: pl.DataFrame
    at_coverage: pl.DataFrame | None
    resamples: int
    source: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def accumulation(self) -> pl.DataFrame:
        """Expected species by sampling units (Mao's tau; Colwell et al. 2012), and beyond the sample."""
        return self.curve.filter(pl.col("order") == 0).drop("order")

    def save(self, path: Path) -> None:
        """Write the curve as a CSV, `NA` where there is no number."""
        rows = (
            [value if isinstance(value, int | str) else as_text(value) for value in row]
            for row in self.curve.iter_rows()
        )
        write_rows(path, self.curve.columns, rows)


@checked
def hill_numbers(
    counts: Sequence[int],
    size: Count,
    kind: Kind = "incidence",
    *,
    labels: Sequence[str] | None = None,
    sizes: Sequence[int] | None = None,
    at_coverage: float | None = None,
    resamples: Count = 500,
    seed: Whole = 42,
) -> Richness:
    """Hill numbers of orders 0, 1 and 2 of one sample, with 95 % intervals.

    Formulas in `trapline.ecology.hill`. Intervals are estimates ± 1.96 standard errors from resamples of the
    estimated assemblage (Chao et al. 2014, Ecological Monographs 84:45, appendix G); of Chao1 and Chao2 the
    log-normal ones of Chao (1987), Biometrics 43:783, rounded outward to whole species: where all species of
    an assemblage were recorded, the lower limit as it is lies a little above their number and misses it.

    Args:
        counts: of each recorded species: in how many sampling units it was, or of individuals.
        size: sampling units, or individuals in all.
        kind: which of both.
        labels: of the species.
        sizes: of which rarefied or extrapolated samples; None: 40 from 1 to twice the sample's.
        at_coverage: also compare at this coverage.
        resamples: how many.
        seed: of the resamples.

    Raises:
        DataError: counts do not fit the size, or there is one sampling unit.
        UsageError: a size is below 1, or a coverage not between 0 and 1.
    """
    sample = _check(np.asarray(counts, dtype=np.int64), size, kind)
    wanted = _sizes(size, sizes)
    if at_coverage is not None and not 0 < at_coverage < 1:
        raise UsageError(f"--coverage is a share between 0 and 1, not {at_coverage:g}.")
    anew = drawn(assemblage(sample), sample, resamples, np.random.default_rng(seed))
    completeness = coverage(sample, np.array([size]))[0]
    complete_anew = coverage(anew, np.array([size]))[:, 0]
    return Richness(
        sample,
        tuple(labels or (f"species {number}" for number in range(1, len(sample.counts) + 1))),
        {"incidence": f"{size:,} sampling units", "abundance": f"{size:,} individuals"}[kind],
        {order: float(diversity(sample, order, np.array([size]))[0]) for order in ORDERS},
        {order: _whole(sample, anew, order) for order in ORDERS},
        _normal(float(completeness), complete_anew, most=1.0),
        _curve(sample, anew, wanted),
        None if at_coverage is None else _at_coverage(sample, anew, at_coverage),
        resamples,
    )


def chao_interval(sample: SpeciesCounts) -> Estimate:
    """Chao1 or Chao2 and its log-normal interval.

    Chao (1987), Biometrics 43:783; where all species were recorded more than once, the interval of Colwell's
    EstimateS (appendix B), which takes the records of a species as Poisson.
    """
    observed, unseen = float(sample.observed), float(unseen_species(sample))
    if unseen > 0:
        spread = math.exp(_Z * math.sqrt(math.log(1 + float(unseen_variance(sample)) / unseen**2)))
        return Estimate(observed + unseen, observed + unseen / spread, observed + unseen * spread)
    missed = float(np.exp(-sample.counts[sample.counts > 0].astype(np.float64)).mean())
    middle, half = observed / (1 - missed), _Z * math.sqrt(observed * missed) / (1 - missed)
    return Estimate(observed, max(observed, middle - half), middle + half)


def size_at_coverage(sample: SpeciesCounts, share: float) -> float:
    """The size of the sample of one assemblage that has a coverage; between whole sizes in a straight line.

    Infinite where no sample is predicted to have it.
    """
    low, high = 1, sample.size
    while coverage(sample, np.array([high]))[0] < share:
        low, high = high, high * 2
        if high > 1000 * sample.size:
            return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if coverage(sample, np.array([middle]))[0] < share else (low, middle)
    at = coverage(sample, np.array([low, high]))
    part = 1.0 if at[1] == at[0] else (share - at[0]) / (at[1] - at[0])
    return low + float(np.clip(part, 0, 1)) * (high - low)


def _check(counts: Ints, size: int, kind: Kind) -> SpeciesCounts:
    counts = counts[counts != 0]
    if not len(counts):
        raise DataError("No species was recorded.")
    if counts.min() < 0:
        raise DataError(f"A species was recorded {counts.min()} times.")
    if kind == "abundance" and counts.sum() != size:
        raise DataError(f"The counts sum to {counts.sum():,}, and {size:,} individuals were told.")
    if kind == "incidence" and counts.max() > size:
        raise DataError(f"A species is in {counts.max():,} sampling units of {size:,}.")
    if size < 2:
        raise DataError("Of one sampling unit nothing can be said of what it misses; two are the least.")
    return SpeciesCounts(counts, size, kind)


def _sizes(size: int, sizes: Sequence[int] | None) -> Ints:
    if sizes is None:
        knots = np.linspace(1, 2 * size, min(_KNOTS, 2 * size)).round()
        return np.unique(np.append(knots, size).astype(np.int64))
    if min(sizes, default=0) < 1:
        raise UsageError("--sizes are whole numbers from 1 on.")
    return np.unique(np.asarray(sizes, dtype=np.int64))


def _whole(sample: SpeciesCounts, anew: SpeciesCounts, order: int) -> Estimate:
    if order == 0:
        one = chao_interval(sample)
        assert one.low is not None
        assert one.high is not None
        return Estimate(one.value, float(math.floor(one.low)), float(math.ceil(one.high)))
    least = float(diversity(sample, order, np.array([sample.size]))[0])
    return _normal(float(asymptotic(sample, order)), asymptotic(anew, order), least=min(least, 1.0))


def _normal(value: float, anew: Floats, *, least: float = 0.0, most: float = math.inf) -> Estimate:
    """An estimate ± 1.96 standard errors of the resamples, within limits; none where it is not finite."""
    usable = anew[np.isfinite(anew)]
    if not math.isfinite(value):
        return Estimate(None)
    if len(usable) < max(2, len(anew) / 2):
        return Estimate(value)
    half = _Z * float(usable.std(ddof=1))
    return Estimate(value, max(value - half, least), min(value + half, most))


def _curve(sample: SpeciesCounts, anew: SpeciesCounts, sizes: Ints) -> pl.DataFrame:
    share, share_anew = coverage(sample, sizes), coverage(anew, sizes)
    shares = [_normal(float(a), b, most=1.0) for a, b in zip(share, share_anew.T, strict=True)]
    rows = []
    for order in ORDERS:
        values, values_anew = diversity(sample, order, sizes), diversity(anew, order, sizes)
        for size, value, again, covered in zip(sizes, values, values_anew.T, shares, strict=True):
            method = ("rarefied", "observed", "extrapolated")[int(np.sign(size - sample.size)) + 1]
            one = _normal(float(value), again)
            rows.append(
                (
                    order,
                    int(size),
                    method,
                    one.value,
                    one.low,
                    one.high,
                    covered.value,
                    covered.low,
                    covered.high,
                )
            )
    names = ("order", "size", "method", "estimate", "low", "high")
    return pl.DataFrame(rows, schema=[*names, "coverage", "coverage_low", "coverage_high"], orient="row")


def _at_coverage(sample: SpeciesCounts, anew: SpeciesCounts, share: float) -> pl.DataFrame:
    """At one coverage, each resample at the size that has it there."""
    each = [SpeciesCounts(counts, sample.size, sample.kind) for counts in anew.counts]
    reached = [size_at_coverage(one, share) for one in each]
    size = size_at_coverage(sample, share)
    rows = []
    for order in ORDERS:
        value = _between(sample, order, size)
        again = np.array([_between(one, order, at) for one, at in zip(each, reached, strict=True)])
        one = _normal(value, again, least=min(value, 1.0))
        rows.append((order, share, size, one.value, one.low, one.high))
    return pl.DataFrame(rows, schema=["order", "coverage", "size", "estimate", "low", "high"], orient="row")


def _between(sample: SpeciesCounts, order: int, size: float) -> float:
    """The Hill number at a size between whole ones; the asymptote where the size is infinite."""
    if math.isinf(size):
        return float(asymptotic(sample, order))
    low = math.floor(size)
    values = diversity(sample, order, np.array([low, low + 1]))
    return float(values[0] + (size - low) * (values[1] - values[0]))
