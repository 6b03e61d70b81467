"""Camera clocks that were wrong: times put right by a table that says which clocks, when, and by how much."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path

import polars as pl

from trapline.errors import DataError
from trapline.tables import read_table
from trapline.times import Order, day_evidence, read_time

SHIFT = "clock_shift_seconds"
"""A column of catalogs with wrong clocks: what was added to the camera's time, seconds; null if nothing."""

_WHICH = {"location": "location_id", "deployment": "deployment_id"}
_MOMENTS = ("from", "to", "camera_time", "true_time")
_COLUMNS = (*_WHICH, "from", "to", "shift", "camera_time", "true_time", "note")
_WRITTEN = re.compile(
    r"(?P<sign>[+-])\s*(?:(?P<d>\d{1,6})\s*d)?\s*(?:(?P<h>\d{1,2}):(?P<m>\d{2})(?::(?P<s>\d{2}))?)?"
)


@dataclass(frozen=True)
class ClockShift:
    """A clock that was wrong by so much.

    Attributes:
        which: column of the catalog -> the location, deployment or both that the camera had; empty: all.
        first: the first time on the wrong clock that is put right; None: from the beginning.
        last: the last such time; None: to the end.
        shift: what is added to the clock's time.
        line: file and line, for errors.
    """

    which: dict[str, str]
    first: datetime | None
    last: datetime | None
    shift: timedelta
    line: str


def read_clock_shifts(path: Path) -> list[ClockShift]:
    """Read a CSV of wrong clocks: which, optionally from when to when, and by how much.

    Columns: `location` and `deployment` (either, both, or neither for every camera); `from` and `to` as the
    wrong clock told the time (both included, optional); `shift` as in `+1:00`, `-0:03:20` or `+1095d
    02:00`, or instead what the clock said at one moment, `camera_time`, and what was right, `true_time`;
    `note`, for you.

    Raises:
        DataError: the table has other columns, or a row does not say by how much; file and line are named.
    """
    table = read_table(path)
    strange = [name for name in table.columns if name not in (*_COLUMNS, "_place")]
    if strange:
        raise DataError(
            f"{path} line 1 has the columns {', '.join(strange)}; a table of clocks has only: "
            f"{', '.join(_COLUMNS)}."
        )
    if table.height == 0:
        raise DataError(f"{path} has no clocks: there is no line under its header.")
    moments = [table[name].drop_nulls() for name in _MOMENTS if name in table.columns]
    order = day_evidence(text for column in moments for text in column).order
    return [_clock_shift(row, order) for row in table.iter_rows(named=True)]


def _clock_shift(row: dict[str, str | None], order: Order | None) -> ClockShift:
    line = str(row["_place"])
    which = {column: name for role, column in _WHICH.items() if (name := row.get(role)) is not None}
    first, last = _moment(row, "from", order), _moment(row, "to", order)
    if first is not None and last is not None and last < first:
        raise DataError(f"{line}: `to` ({last}) lies before `from` ({first}).")
    seen, right = _moment(row, "camera_time", order), _moment(row, "true_time", order)
    written = row.get("shift")
    if (written is None) == (seen is None) or (seen is None) != (right is None):
        raise DataError(
            f"{line}: give either `shift`, or both `camera_time` (what the clock said) and `true_time` "
            "(what was right then)."
        )
    if seen is not None and right is not None:
        return ClockShift(which, first, last, right - seen, line)
    return ClockShift(which, first, last, _duration(str(written), line), line)


def _moment(row: dict[str, str | None], column: str, order: Order | None) -> datetime | None:
    text = row.get(column)
    if text is None:
        return None
    written = read_time(text, order)
    if written is None or (written.clock is None and column not in ("from", "to")):
        raise DataError(
            f"{row['_place']}: {column} is {text!r}, which is no time, or more than one. Write it as "
            "2024-05-31 18:05:00."
        )
    if written.offset is not None:
        raise DataError(f"{row['_place']}: {column} is {text!r}, but a camera's clock has no zone.")
    return datetime.combine(written.day, written.clock or time.min)


def _duration(text: str, line: str) -> timedelta:
    match = _WRITTEN.fullmatch(text)
    if match is None or (match["d"] is None and match["h"] is None):
        raise DataError(
            f"{line}: shift is {text!r}. Write what is to be added, with its sign, as +1:00 (an hour), "
            "-0:03:20 or +1095d 02:00 (days, then hours)."
        )
    days, hours, minutes, seconds = (int(match[unit] or 0) for unit in "dhms")
    if minutes > 59 or seconds > 59:
        raise DataError(f"{line}: shift is {text!r}, with more than 59 minutes or seconds.")
    size = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return -size if match["sign"] == "-" else size


def shift_clocks(rows: pl.DataFrame, shifts: list[ClockShift]) -> tuple[pl.DataFrame, list[str]]:
    """Put `camera_time`, and `timestamp` where it is known, right; `clock_shift_seconds` says by how much.

    Media without a time stay without.

    Returns:
        The rows, and a note of how many media were put right.

    Raises:
        DataError: there are no times, or they were shifted before; a row of the table fits no media, two of
            them fit one, or a time comes to lie beyond the years 1 to 9999.
    """
    if "camera_time" not in rows.columns:
        raise DataError(f"{shifts[0].line}: the source has no times that could be put right.")
    if SHIFT in rows.columns:
        raise DataError(f"The source has a column {SHIFT}: its clocks seem to have been put right before.")
    rows = rows.with_columns(pl.col("camera_time").cast(pl.Datetime("us")))
    by = pl.Series("_shift", [None] * rows.height, dtype=pl.Duration("us"))
    for shift in shifts:
        fits = rows.select(_fits(shift, rows.columns)).to_series()
        if not fits.any():
            raise DataError(f"{shift.line} fits no media that has a time. Check the names, and from and to.")
        twice = rows.filter(fits & by.is_not_null())
        if twice.height:
            raise DataError(
                f"{shift.line} fits {twice.height} media that an earlier line puts right already, the first "
                f"{twice['file_path'][0]}. Bound both lines by from and to."
            )
        by = by.zip_with(~fits, pl.Series([shift.shift], dtype=pl.Duration("us")))
    right = rows.with_columns(by).with_columns(
        pl.col(name) + pl.col("_shift").fill_null(timedelta(0))
        for name in ("camera_time", "timestamp")
        if name in rows.columns
    )
    years = right["camera_time"].dt.year()
    if not years.drop_nulls().is_between(1, 9999).all():
        raise DataError(f"{shifts[0].line}, or a line below it, moves a time beyond the years 1 to 9999.")
    right = right.with_columns((pl.col("_shift").dt.total_microseconds() / 1e6).alias(SHIFT)).drop("_shift")
    moved = rows.height - by.null_count()
    return right, [f"the clocks of {moved:,} media were put right; {SHIFT} says by how much"]


def _fits(shift: ClockShift, columns: list[str]) -> pl.Expr:
    """Which rows a shift is for, true or false."""
    time = pl.col("camera_time")
    conditions = [time.is_not_null()]
    for column, name in shift.which.items():
        conditions.append(pl.col(column) == name if column in columns else pl.lit(value=False))
    if shift.first is not None:
        conditions.append(time >= shift.first)
    if shift.last is not None:
        conditions.append(time <= shift.last)
    return pl.all_horizontal(conditions).fill_null(value=False)
