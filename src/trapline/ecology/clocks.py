"""Times of an ecologist's tables: wall clocks at the location, of columns that are read together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from trapline.errors import DataError
from trapline.formats import TimeColumn, join_date_and_time, parse_zone, read_times

_HOUR_ALONE = r"^(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4})[ T](\d{1,2})h?$"
"""As camtrapR's `dmy H` writes a date and an hour."""

Moment = tuple[datetime, bool]
"""A wall clock, and whether it is a day without an hour (then its first midnight)."""


@dataclass
class Clock:
    """Columns of times, read.

    Attributes:
        columns: name → one moment a row; None where a cell is empty or cannot be read.
        texts: name → what stands there.
        offsets: from UTC of the clock that each row is in, where its times are written with one.
        notes: what was decided from the whole.
    """

    columns: dict[str, list[Moment | None]]
    texts: dict[str, pl.Series]
    offsets: pl.Series
    notes: list[str] = field(default_factory=list)


def read_clock(
    table: pl.DataFrame,
    roles: Mapping[str, str],
    ends: Sequence[str],
    problems: Sequence[tuple[str, str]],
    time_format: str | None,
    timezone: str | None,
) -> Clock:
    """Read all times of a table at once, so that one of its cells tells of all which number is the day.

    Args:
        table: texts, with `_place`.
        roles: what holds what; `<end>_time` is a clock beside the day of an end.
        ends: roles of times that each row has.
        problems: names of further columns, in pairs.
        time_format: see `trapline.formats.read_times`.
        timezone: of the clocks, for times with an offset; None: the offset of the first of `ends`.

    Raises:
        DataError: nothing tells which number is the day, or texts contradict each other.
    """
    texts: dict[str, pl.Series] = {}
    for role in ends:
        column = table[roles[role]].cast(pl.String)
        clock = roles.get(f"{role}_time")
        texts[roles[role]] = column if clock is None else join_date_and_time(column, table[clock])
    texts |= {name: table[name].cast(pl.String) for pair in problems for name in pair}
    whole = pl.concat([series.alias("text") for series in texts.values()])
    whole = whole.str.replace(_HOUR_ALONE, "$1 $2:00")
    lines = table["_place"].to_list()
    read = read_times(whole, time_format, lambda row: str(lines[row % len(lines)]))
    parts = {name: _part(read, number * table.height, table.height) for number, name in enumerate(texts)}
    first = parts[roles[ends[0]]].offsets
    columns = {name: _moments(part, first, timezone) for name, part in parts.items()}
    notes = [*read.notes, *note_clock(first, timezone)]
    return Clock(columns, texts, first, notes)


def note_clock(offsets: pl.Series, timezone: str | None) -> list[str]:
    """What to say of times with an offset from UTC, [rows]; null where there is none."""
    known = offsets.drop_nulls()
    if known.is_empty():
        return (
            [] if timezone is None else [f"no time has an offset from UTC, so that {timezone} changes none"]
        )
    if timezone is not None:
        return [f"times are those of the clock of {timezone}"]
    if (known == timedelta(0)).all():
        return [
            "times are written in UTC, and so are hours and days here; a time zone gives those of the clock"
        ]
    return ["times are those of the clock as written, those in UTC at the offset of their deployment's start"]


def wall_clocks(read: TimeColumn, offsets: pl.Series, timezone: str | None) -> pl.Series:
    """Datetime [rows]: what the clock showed.

    In a zone where one is named. Else as it is written, and what is written in UTC at the offset of its row:
    programs write instants so, whatever the clock was; another offset is the clock's own, in its season.
    """
    if timezone is None:
        in_utc = (read.offsets == timedelta(0)).fill_null(value=False) & offsets.is_not_null()
        return (read.walls + offsets).zip_with(in_utc, read.walls)
    zone = parse_zone(timezone)
    instants = read.instants
    if isinstance(zone, ZoneInfo):
        local = instants.dt.convert_time_zone(zone.key).dt.replace_time_zone(None)
    else:
        local = instants.dt.replace_time_zone(None) + (zone.utcoffset(None) or timedelta(0))
    return local.zip_with(local.is_not_null(), read.walls)


def refuse_unread(table: pl.DataFrame, clock: Clock, name: str, *, needed: bool) -> None:
    """Refuse a column of times of which a cell cannot be read, or is empty though it is needed.

    Raises:
        DataError: there is one; its line is named.
    """
    for row, (moment, text) in enumerate(zip(clock.columns[name], clock.texts[name], strict=True)):
        if moment is not None or (text is None and not needed):
            continue
        where = table["_place"][row]
        if text is None:
            raise DataError(
                f"{where}: {name} is empty. Of a camera that is lost or still stands write the last day that "
                "is known, as that of its last photo."
            )
        raise DataError(
            f"{where}: {name} is {text!r}, which is no date or time. Correct it, or --time-format."
        )


def _part(read: TimeColumn, start: int, rows: int) -> TimeColumn:
    walls, offsets, days, unset = (
        series.slice(start, rows) for series in (read.walls, read.offsets, read.days, read.unset)
    )
    return TimeColumn(walls, offsets, days, unset)


def _moments(part: TimeColumn, offsets: pl.Series, timezone: str | None) -> list[Moment | None]:
    walls = wall_clocks(part, offsets, timezone)
    moments: list[Moment | None] = []
    for wall, day in zip(walls, part.days, strict=True):
        if wall is not None:
            moments.append((wall, False))
        else:
            moments.append(None if day is None else (datetime.combine(day, datetime.min.time()), True))
    return moments
