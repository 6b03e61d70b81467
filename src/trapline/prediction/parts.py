"""Tables of predictions and their catalog side by side, some whole events at a time.

What is as large as a disk never stands in memory: of the catalog first the events are looked through, for
where a part may end without cutting one, then the ids, for which rows of the tables belong to each part.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import SCHEMA, Catalog, Cursor, event_key
from trapline.errors import TraplineWarning
from trapline.prediction.table import Level, Predictions

AT_ONCE = 2**16
"""Media of a part, and then as many as end its last event."""

_LONG = 2**20
"""Rows of a table of which it is told that it is taken into memory."""

Table = tuple[Predictions, pl.LazyFrame]
"""Predictions without rows, and their rows, as `scan_table` gives them."""

Media = tuple[Catalog, pl.LazyFrame]
"""A catalog without rows, and its rows."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SideBySide:
    """Tables whose rows follow one another as the media of a catalog do.

    Attributes:
        tables: of the same media or of some of them.
        media: their catalog.
        counts: of each part the media, then the rows of each table.
    """

    tables: tuple[Table, ...]
    media: Media
    counts: tuple[tuple[int, ...], ...]

    @classmethod
    def open(cls, tables: Sequence[Table], media: Media) -> SideBySide | None:
        """The tables in parts that cut no event; None where the orders differ.

        They do where a table has rows of media that the catalog does not have, too. Of long tables that is
        told, for what asks takes them whole into memory then.
        """
        counts = _rows_of_parts(tables, media[1], whole_events(media[1], AT_ONCE))
        if counts is not None:
            return cls(tuple(tables), media, counts)
        if max(map(count_rows, tables)) > _LONG:
            warnings.warn(
                "The rows of the predictions do not follow the order of the catalog, or are of media that it "
                "does not have: all are taken into memory, and could be gone through in parts.",
                TraplineWarning,
                stacklevel=3,
            )
        return None

    @classmethod
    def of_all(cls, table: Table, media: Media) -> SideBySide:
        """A table that has a row for each media, in their order, which is not looked at."""
        return cls((table,), media, tuple((size, size) for size in whole_events(media[1], AT_ONCE)))

    def parts(self, columns: Sequence[str]) -> Iterator[tuple[list[Predictions], Catalog]]:
        """Each part: the rows of each table, and the media with these columns, all others unknown."""
        heads = [head for head, _ in self.tables]
        frames = self.frames(_narrow(self.media[1], columns), [rows for _, rows in self.tables])
        for taken, media in frames:
            part = self.media[0].with_table(media)
            yield [replace(head, table=table) for head, table in zip(heads, taken, strict=True)], part

    def frames(
        self, media: pl.LazyFrame, tables: Sequence[pl.LazyFrame]
    ) -> Iterator[tuple[list[pl.DataFrame], pl.DataFrame]]:
        """Of each part the rows of each table, and of the catalog, in some columns of theirs."""
        cursors, rows = [Cursor(table, AT_ONCE) for table in tables], Cursor(media, AT_ONCE)
        for count, *heights in self.counts:
            taken = [cursor.take(height) for cursor, height in zip(cursors, heights, strict=True)]
            yield taken, rows.take(count)


def media_of(catalog: Catalog) -> Media:
    """A catalog without rows, and its rows."""
    head = Catalog(pl.DataFrame(schema=SCHEMA), catalog.root, catalog.source, catalog.facts)
    return head, catalog.frame


def count_rows(table: Table) -> int:
    """How many rows a table has."""
    return int(table[1].select(pl.len()).collect(engine="streaming").item())


def whole(table: Table) -> Predictions:
    """A table with all its rows in memory."""
    return replace(table[0], table=table[1].collect())


def whole_catalog(media: Media, columns: Sequence[str]) -> Catalog:
    """A catalog with all its rows in memory, but of these columns alone; all others are unknown."""
    return media[0].with_table(_narrow(media[1], columns).collect(engine="streaming"))


def _narrow(media: pl.LazyFrame, columns: Sequence[str]) -> pl.LazyFrame:
    there = media.collect_schema()
    asked = dict.fromkeys(("media_id", "file_path", *columns))
    return media.select(name for name in asked if name in there)


def _pass_over(cursor: Cursor, keys: pl.Series) -> int:
    """How many rows there are, up to the first whose only column is none of these keys."""
    count, known = 0, keys.implode()
    while cursor.more():
        inside = cursor.left.to_series().is_in(known)
        height = cursor.left.height if inside.all() else int(inside.arg_min() or 0)
        cursor.left = cursor.left[height:]
        count += height
        if cursor.left.height:
            break
    return count


def _rows_of_parts(
    tables: Sequence[Table], media: pl.LazyFrame, sizes: Sequence[int]
) -> tuple[tuple[int, ...], ...] | None:
    """`SideBySide.counts`; None where a table's rows do not follow the order of the media."""
    keys = [shared_key(head.level) for head, _ in tables]
    cursors = [Cursor(rows.select(key), AT_ONCE) for (_, rows), key in zip(tables, keys, strict=True)]
    ids, counts = Cursor(media.select("media_id", "event_id"), AT_ONCE), []
    for size in sizes:
        part = ids.take(size)
        heights = [
            _pass_over(cursor, part.select(key).to_series())
            for cursor, key in zip(cursors, keys, strict=True)
        ]
        counts.append((size, *heights))
    return None if any(cursor.more() for cursor in cursors) else tuple(counts)


def shared_key(level: Level) -> pl.Expr:
    """What a row of a table and the media of a catalog have in common."""
    return (event_key() if level == "event" else pl.col("media_id")).alias("key")


def whole_events(media: pl.LazyFrame, size: int) -> list[int]:
    """How many media each part has: `size`, and then as many as it takes for no event to be in two parts.

    Args:
        media: with `event_id`; what has none may stand alone.
        size: media.
    """
    first, last, total = _events(media)
    order = np.argsort(first, kind="stable")
    first, reach = first[order], np.maximum.accumulate(last[order])
    opens = np.ones(len(first), np.bool_)
    opens[1:] = first[1:] > reach[:-1]  # events between the media of another are not parted from it
    first, ends = first[opens], reach[np.roll(opens, -1)]
    cuts, cut = [0], 0
    while cut < total:
        cut = min(cut + size, total)
        within = int(np.searchsorted(first, cut, side="left")) - 1  # the last that begins before the cut
        if within >= 0 and ends[within] >= cut:
            cut = int(ends[within]) + 1
        cuts.append(cut)
    return np.diff(cuts).tolist()


def _events(media: pl.LazyFrame) -> tuple[Ints, Ints, int]:
    """First and last row of each event, in any order, and how many rows there are.

    Events are known by 64 bits of their name: two that share them are taken for one, and stay together.
    """
    names, begins, ends, total = [], [], [], 0
    for batch in media.select("event_id").collect_batches(maintain_order=True, engine="streaming"):
        ids = batch.to_series()
        changes = ids.ne_missing(ids.shift()).to_numpy().copy()
        changes[:1] = True
        starts = np.flatnonzero(changes)
        stops = np.append(starts[1:], len(ids)) - 1
        known = ids.gather(starts).is_not_null().to_numpy()
        names.append(ids.gather(starts[known]).hash().to_numpy())
        begins.append(starts[known] + total)
        ends.append(stops[known] + total)
        total += len(ids)
    if not names:
        return np.empty(0, np.int64), np.empty(0, np.int64), 0
    name, begin, end = (np.concatenate(arrays) for arrays in (names, begins, ends))
    order = np.argsort(name, kind="stable")  # of one event's runs of rows the first comes first
    name = name[order]
    opens = np.ones(len(name), np.bool_)
    opens[1:] = name[1:] != name[:-1]
    return begin[order[opens]], end[order[np.roll(opens, -1)]], total
