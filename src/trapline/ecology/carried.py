"""Uncertainty of labels carried through: records drawn by their probabilities, figures over the draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from statistics import fmean, variance

import numpy as np
import polars as pl

from trapline.arguments import Count, Whole, checked
from trapline.ecology.records import Records
from trapline.ecology.sources import ExpectedRecords
from trapline.metrics import Estimate

DRAWS = 20
"""Of which a figure is made: with as many the interval is hardly wider than with any number (Rubin 1987)."""

_Z = 1.959964
"""Half of a 95 % interval in standard errors."""

Figures = Mapping[Hashable, Estimate]


@checked
def draws(records: ExpectedRecords, count: Count = DRAWS, seed: Whole = 0) -> Iterator[Records]:
    """Tables of records of which each is there or not, drawn by the probabilities.

    Of an event whose labels exclude each other at most one is drawn, else each for itself. What people
    decided is in every table.

    Args:
        records: expected ones, of `records_of(…, made_of="probabilities")`.
        count: how many tables.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    for _ in range(count):
        kept = _exclusive(records.table, random) if records.exclusive else _each(records.table, random)
        yield Records(records.table.filter(kept), records.made_of, records.source, records.notes)


def _each(table: pl.DataFrame, random: np.random.Generator) -> pl.Series:
    return pl.Series(random.random(len(table)) < table["probability"].fill_null(1.0).to_numpy())


def _exclusive(table: pl.DataFrame, random: np.random.Generator) -> pl.Series:
    """Of each event the label into whose part of 0 to 1 one number falls; none where it falls behind all."""
    numbered = table.select(
        pl.col("event_id").rank("dense").alias("event") - 1, pl.col("probability").alias("share")
    )
    points = random.random(int(numbered["event"].n_unique()))
    own = numbered.with_columns(pl.Series("point", points[numbered["event"].to_numpy()]))
    upper = pl.col("share").fill_null(0.0).cum_sum().over("event")
    inside = (pl.col("point") < upper) & (pl.col("point") >= upper - pl.col("share").fill_null(0.0))
    return own.select((inside | pl.col("share").is_null()).alias("kept"))["kept"]


@checked
def over_draws(
    records: Records,
    figures: Callable[[Records], Figures],
    *,
    count: Count = DRAWS,
    seed: Whole = 0,
) -> dict[Hashable, Estimate]:
    """Figures of records, whatever these are made of; of expected ones with what is not known of the labels.

    The figures of each draw have the interval that their own method gives (over locations, by likelihood, …).
    Together they are combined as those of multiply imputed data: the estimate is the mean over the draws, and
    its variance that of the method within a draw, on the mean, and (1 + 1/m) times that between the m draws
    (Rubin 1987, Multiple Imputation for Nonresponse in Surveys, section 3.1), above and below apart, so that
    intervals that are not symmetric stay so. A figure that some draws do not have is that of the others.

    Args:
        records: of any kind; those that are not expected are taken as they are.
        figures: of records, by name, each with its interval if its method has one.
        count: draws.
        seed: of the draws.
    """
    if not isinstance(records, ExpectedRecords):
        return dict(figures(records))
    each = [figures(one) for one in draws(records, count, seed)]
    names = dict.fromkeys(name for one in each for name in one)
    return {name: _combined([one[name] for one in each if name in one]) for name in names}


def _combined(each: list[Estimate]) -> Estimate:
    """The lower end is not below 0 where that of no draw is."""
    known = [one for one in each if one.value is not None and math.isfinite(one.value)]
    if not known:
        return Estimate(None)
    values = [one.value for one in known if one.value is not None]
    middle = fmean(values)
    between = (1 + 1 / len(values)) * (variance(values) if len(values) > 1 else 0.0)
    with_interval = [one for one in known if one.low is not None and one.high is not None]
    sides = []
    for sign, name in ((-1, "low"), (1, "high")):
        own = [(getattr(one, name) - one.value) ** 2 for one in with_interval]
        sides.append(middle + sign * math.sqrt((fmean(own) if own else 0.0) + _Z**2 * between))
    positive = all((one.value if one.low is None else one.low) >= 0 for one in known)  # type: ignore[operator]
    low, high = max(sides[0], 0.0 if positive else -math.inf), sides[1]
    return Estimate(middle, low, high) if with_interval or between else Estimate(middle)


def expected_counts(records: ExpectedRecords) -> dict[str, float]:
    """Records expected of each label: the sum of the probabilities, and one of each that people decided."""
    table = records.table.with_columns(pl.col("probability").fill_null(1.0))
    return dict(table.group_by("label").agg(pl.col("probability").sum()).sort("label").iter_rows())
