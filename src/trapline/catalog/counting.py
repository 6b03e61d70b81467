"""How many there are of what in a table of any size, worked out in parts."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from trapline.catalog.parquet_file import streamed

_ROWS_AT_ONCE = 8_000_000
"""Of the tables that are taken into memory, of some narrow columns."""


def distinct(name: str) -> pl.Expr:
    """How many values a column has, null not counted.

    Long names are told apart by hashes of 64 bits, which fit into memory: of 10^8 names two share one with a
    probability below 0.0003, and the count is then lower by one.
    """
    return pl.col(name).drop_nulls().hash().n_unique()


def count_values(frame: pl.LazyFrame, name: str) -> pl.DataFrame:
    """The values of a column, in their order, null left out, and how many rows have each (`count`)."""
    return streamed(frame.select(name).drop_nulls().group_by(name).agg(count=pl.len())).sort(name)


def slices(frame: pl.LazyFrame, by: pl.Expr, rows: int) -> Iterator[pl.DataFrame]:
    """The rows of a frame in tables that fit into memory, each with all rows of every value of `by` in it.

    The rows of a table are in their order; which values are together is not to be relied on.

    Args:
        frame: of the columns that are wanted.
        by: what is not to be torn: text, null being one value.
        rows: how many there are.
    """
    number = 1 + rows // _ROWS_AT_ONCE
    for slice_ in range(number):
        yield streamed(frame.filter(by.hash() % number == slice_) if number > 1 else frame)
