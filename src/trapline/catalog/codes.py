"""A number for each row of a table of any size: a few bytes a row are all that is held."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.io.plugins import register_io_source

from trapline.catalog.counting import ROWS_AT_ONCE
from trapline.catalog.grouping import connected
from trapline.catalog.parquet_file import batches, compact, streamed

Codes = npt.NDArray[np.int32]

_FEW_NAMES = 500_000
"""So many different names are looked up in one table; more are ranked range by range."""


def number_of(frame: pl.LazyFrame) -> int:
    """How many rows a frame has."""
    return int(streamed(frame.select(pl.len())).item())


def as_array(frame: pl.LazyFrame, number: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The one column of a frame, without nulls, as an array [number]."""
    array = np.empty(number, dtype)
    for begin, part in _with_begins(frame):
        array[begin : begin + part.height] = part.to_series().to_numpy()
    return array


def _with_begins(frame: pl.LazyFrame) -> Iterator[tuple[int, pl.DataFrame]]:
    begin = 0
    for part in batches(frame):
        yield begin, part
        begin += part.height


def beside(frame: pl.LazyFrame, name: str, values: npt.NDArray[Any] | pl.Series) -> pl.LazyFrame:
    """The frame with a column of values, one a row in its order; one of the same name makes room.

    A horizontal concatenation would do, but keeps in memory what one side is ahead of the other.
    """
    column = pl.Series(name, values)
    schema = {**frame.collect_schema(), name: column.dtype}

    def read(
        wanted: list[str] | None, predicate: pl.Expr | None, most: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        names = list(schema) if wanted is None else wanted
        own = [one for one in names if one != name] or [next(iter(frame.collect_schema()))]
        for begin, some in _with_begins(frame.select(own) if most is None else frame.select(own).head(most)):
            rows = some.with_columns(column.slice(begin, some.height)).select(names)
            yield rows if predicate is None else rows.filter(predicate)

    return register_io_source(read, schema=schema)


def rank_names(names: pl.LazyFrame, number: int) -> Codes:
    """int32 [number]: the dense rank, from 0, of each row of a frame's one column, text without nulls."""
    (name,) = names.collect_schema().names()
    if number <= ROWS_AT_ONCE:
        return _dense(streamed(names).to_series())
    if streamed(names.select(pl.col(name).approx_n_unique())).item() <= _FEW_NAMES:
        known = streamed(names.select(pl.col(name).unique().sort())).to_series()
        ranks = pl.int_range(len(known), dtype=pl.Int32, eager=True)
        ranked = (part.to_series().replace_strict(known, ranks) for part in batches(names))
        return np.concatenate([part.to_numpy() for part in ranked])
    codes, least = np.empty(number, np.int32), 0
    for part in in_ranges(names.with_row_index("_row"), name, number):
        ranks_within = _dense(part[name])
        codes[part["_row"].to_numpy()] = ranks_within + least
        least += int(ranks_within.max(initial=-1)) + 1
    return codes


def _dense(names: pl.Series) -> Codes:
    return names.rank("dense").to_numpy().astype(np.int32) - 1


def in_ranges(frame: pl.LazyFrame, name: str, number: int) -> Iterator[pl.DataFrame]:
    """The rows of a frame in tables that fit into memory, one range of a column of text after the other.

    Args:
        frame: of the columns that are wanted.
        name: the column by which ranges are made, without nulls.
        number: how many rows the frame has.
    """
    if number <= ROWS_AT_ONCE:
        yield streamed(frame)
        return
    rows = frame.select(name).with_row_index("_row")
    every = pl.col("_row") % (number // _SAMPLE + 1) == 0
    sample = streamed(compact(rows.filter(every).select(name))).to_series().sort()
    count = number // ROWS_AT_ONCE + 1
    bounds = sample.gather([len(sample) * cut // count for cut in range(1, count)]).unique().sort()
    for low, high in pairwise([None, *bounds, None]):
        above = pl.lit(True) if low is None else pl.col(name) >= low
        below = pl.lit(True) if high is None else pl.col(name) < high
        yield streamed(compact(frame.filter(above & below)))


_SAMPLE = 100_000


def torn(frame: pl.LazyFrame, key: str, value: str) -> pl.DataFrame:
    """The keys whose rows have several values, and these: distinct pairs, without nulls.

    Keys are looked for by their hashes, and those found by their names.
    """
    known = frame.select(key, value).drop_nulls()
    hashed = known.select(_key=pl.col(key).hash(), _value=pl.col(value).hash())
    count, suspects = 1 + number_of(known) // (2 * ROWS_AT_ONCE), []
    for number in range(count):
        some = hashed.filter(pl.col("_key") // 2**32 % count == number) if count > 1 else hashed
        spread = some.group_by("_key").agg(low=pl.col("_value").min(), high=pl.col("_value").max())
        suspects.append(streamed(spread.filter(pl.col("low") != pl.col("high")).select("_key")).to_series())
    several = pl.concat(suspects)
    if not len(several):
        return streamed(known.head(0))
    pairs = streamed(known.filter(pl.col(key).hash().is_in(several.implode())).unique())
    return pairs.filter(pl.col(key).is_duplicated())


def join_by_events(codes: Codes, frame: pl.LazyFrame) -> Codes:
    """int32 [rows]: groups in which an event's rows are together with all rows of each of its codes.

    Args:
        codes: of the rows, dense, from 0.
        frame: the rows, with `event_id`, which may be null.
    """
    shared = torn(beside(frame.select("event_id"), "_code", codes), "event_id", "_code")
    if shared.is_empty():
        return codes
    every = pl.int_range(int(codes.max()) + 1, dtype=pl.Int32, eager=True)
    values = pl.concat([every, shared["_code"]])
    events = pl.concat([pl.repeat(None, len(every), dtype=pl.String, eager=True), shared["event_id"]])
    return connected(values, events)[: len(every)].astype(np.int32)[codes]
