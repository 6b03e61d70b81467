"""From written times to wall clocks and, where a zone is known, to instants; nothing is made up."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from trapline.errors import DataError, many
from trapline.formats.time_columns import TimeColumn, read_times
from trapline.formats.zones import parse_zone
from trapline.tables import describe_lines
from trapline.times import read_time

DATE_ALONE = "camera_date"
"""A column of catalogs whose source has dates without a time of day: the date; null where the time is known.
"""


def parse_times(
    rows: pl.DataFrame, time_format: str | None, source: str = "metadata"
) -> tuple[pl.DataFrame, list[str]]:
    """Read `_time_text` into `camera_time`, and into `timestamp` where the text has an offset.

    What is understood: see `read_times`. What cannot be read is left as it was (null, or the time of the
    EXIF) and counted; a date alone gets no time of day, and is kept in `camera_date`.

    Returns:
        The rows without `_time_text` but with `camera_time`, `timestamp` and `timestamp_source`, and notes.

    Raises:
        DataError: there are times, but not one of them can be read, or nothing tells which number is the day.
        UsageError: `time_format` holds a zone (`%z`), or cannot be used.
    """
    texts = rows["_time_text"].cast(pl.String)
    read = read_times(texts, time_format, lambda row: str(describe_lines(rows[row : row + 1])[0]))
    rows = rows.with_columns(texts)
    nothing = read.walls.is_null() & texts.is_not_null()
    unread = rows.filter(nothing & read.days.is_null() & ~read.unset)
    if unread.height and read.walls.null_count() == read.days.null_count() == rows.height:
        raise DataError(
            f"No time could be read; the first is {unread['_time_text'][0]!r} ({describe_lines(unread)[0]}). "
            "Say how times are written with --time-format, as in '%d/%m/%Y %H:%M:%S' ('%y': a year of two "
            "digits; '%s': seconds since 1970)."
        )
    notes = [*read.notes]
    if unread.height:
        notes.append(f"{many(unread.height, 'time cannot be read and is')} left out: {_first_of(unread)}")
    if read.unset.any():
        notes.append(f"{many(int(read.unset.sum()), 'time is')} zeroes or blanks: none")
    alone = rows.filter(nothing & read.days.is_not_null())
    if alone.height:
        if DATE_ALONE in rows.columns:
            raise DataError(
                f"The source has a column {DATE_ALONE}, which dates without a time need: rename it."
            )
        notes.append(
            f"{alone.height} are dates without a time of day, which is not made up: kept in the column "
            f"{DATE_ALONE}, and camera_time is left empty: {_first_of(alone)}"
        )
        rows = rows.with_columns(read.days.alias(DATE_ALONE))
    return _fill_times(rows, read, source).drop("_time_text"), notes


def _first_of(rows: pl.DataFrame) -> str:
    texts, lines = rows["_time_text"].head(3), describe_lines(rows.head(3))
    return "; ".join(f"{text!r} in {line}" for text, line in zip(texts, lines, strict=True))


def _fill_times(rows: pl.DataFrame, read: TimeColumn, source: str) -> pl.DataFrame:
    old: dict[str, pl.DataType] = {
        "camera_time": pl.Datetime("us"),
        "timestamp": pl.Datetime("us", "UTC"),
        "timestamp_source": pl.String(),
    }
    rows = rows.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in old.items() if name not in rows.columns
    )
    new: dict[str, pl.Series | pl.Expr] = {
        "camera_time": read.walls,
        "timestamp": read.instants,
        "timestamp_source": pl.lit(source),
    }
    known = pl.lit(read.walls.is_not_null())
    return rows.with_columns(
        pl.when(known).then(value).otherwise(name).alias(name) for name, value in new.items()
    )


def to_utc(rows: pl.DataFrame, timezone: str) -> tuple[pl.DataFrame, list[str]]:
    """Fill `timestamp` from `camera_time`, a wall clock of `timezone`; a known instant is kept.

    A zone is named as `Area/City`, or as an offset (`+01:00`) of clocks that never change.

    Wall clocks that daylight saving skips or repeats are not instants: null, and counted in the notes.

    Raises:
        UsageError: there is no such zone.
    """
    zone = parse_zone(timezone)
    if "camera_time" not in rows.columns:
        return rows, [f"the time zone {timezone} was not used: the source has no times"]
    wall = pl.col("camera_time").cast(pl.Datetime("us"))
    if isinstance(zone, ZoneInfo):
        local = wall.dt.replace_time_zone(zone.key, ambiguous="null", non_existent="null")
        instant = local.dt.convert_time_zone("UTC")
    else:
        instant = (wall - (zone.utcoffset(None) or timedelta(0))).dt.replace_time_zone("UTC")
    known = pl.col("timestamp") if "timestamp" in rows.columns else pl.lit(None, pl.Datetime("us", "UTC"))
    rows = rows.with_columns(pl.coalesce(known, instant).alias("timestamp"))
    lost = rows.filter(pl.col("camera_time").is_not_null() & pl.col("timestamp").is_null()).height
    if not lost:
        return rows, []
    return rows, [
        f"{many(lost, 'time is')} skipped or repeated by daylight saving in {timezone}: no zone-aware time"
    ]


def wall_clock(text: str) -> datetime | None:
    """One time as `parse_times` reads it without a format, in plain Python; None if it cannot be read."""
    read = read_time(text)
    return None if read is None else read.wall
