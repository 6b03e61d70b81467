"""How many there are of what in a table of any size, worked out in parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import polars as pl

from trapline.catalog.parquet_file import compact, streamed

ROWS_AT_ONCE = 8_000_000
"""Of the tables that are taken into memory, of some narrow columns."""


def count_distinct(frame: pl.LazyFrame, name: str, rows: int) -> int:
    """How many values a column has, null not counted; see `count_distinct_by`."""
    return sum(count_distinct_by(frame.with_columns(_all=pl.lit(0)), name, "_all", rows).values())


def count_distinct_by(frame: pl.LazyFrame, name: str, by: str, rows: int) -> dict[Any, int]:
    """How many values a column has in the rows of each value of another; null is none in either.

    Long names are told apart by hashes of 64 bits, which fit into memory: of 10^8 names two share one with a
    probability below 0.0003, and the count is then lower by one.

    Args:
        frame: with these columns.
        name: the column.
        by: the other.
        rows: how many there are.
    """
    hashed = frame.select(by, _hash=pl.col(name).hash(), _known=pl.col(name).is_not_null())
    hashed = hashed.filter("_known").drop_nulls(by)
    number, counts = 1 + rows // ROWS_AT_ONCE, Counter[Any]()
    for slice_ in range(number):
        some = hashed.filter(pl.col("_hash") // 2**32 % number == slice_) if number > 1 else hashed
        counts.update(dict(streamed(some.group_by(by).agg(pl.col("_hash").n_unique())).iter_rows()))
    return dict(counts)


def count_values(frame: pl.LazyFrame, name: str) -> pl.DataFrame:
    """The values of a column, in their order, null left out, and how many rows have each (`count`)."""
    return streamed(frame.select(name).drop_nulls().group_by(name).agg(count=pl.len())).sort(name)


def slices(frame: pl.LazyFrame, by: pl.Expr, rows: int, *, wide: int = 1) -> Iterator[pl.DataFrame]:
    """The rows of a frame in tables that fit into memory, each with all rows of every value of `by` in it.

    The rows of a table are in their order; which values are together is not to be relied on.

    Args:
        frame: of the columns that are wanted.
        by: what is not to be torn: text, null being one value.
        rows: how many there are.
        wide: how many times as wide as usual they are.
    """
    number = 1 + wide * rows // ROWS_AT_ONCE
    for slice_ in range(number):
        some = compact(frame.filter(by.hash() % number == slice_)) if number > 1 else frame
        yield streamed(some)
