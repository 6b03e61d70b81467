"""From written times to wall clocks and, where a zone is known, to instants; nothing is made up."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from trapline.errors import DataError, UsageError
from trapline.tables import describe_lines

_PLAIN = "%Y-%m-%d %H:%M:%S"
_WRITTEN = (
    r"^(?P<date>\d{4}[-:/]\d{1,2}[-:/]\d{1,2})[T ]+(?P<clock>\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)"
    r" ?(?P<zone>Z|[+-]\d{2}:?\d{2})?$"
)


def parse_times(
    rows: pl.DataFrame, time_format: str | None, source: str = "metadata"
) -> tuple[pl.DataFrame, list[str]]:
    """Read `_time_text` into `camera_time`, and into `timestamp` where the text has an offset.

    Understood are `YYYY-MM-DD HH:MM[:SS[.f]]` with `-`, `/` or `:` in the date, a space or `T`, and an
    optional `Z` or offset; anything else needs `time_format`. What cannot be read is left as it was
    (null, or the time of the EXIF) and counted.

    Returns:
        The rows without `_time_text` but with `camera_time`, `timestamp` and `timestamp_source`, and notes.

    Raises:
        DataError: there are times, but not one of them can be read.
        UsageError: `time_format` holds a zone (`%z`), or cannot be used.
    """
    text = pl.col("_time_text")
    try:
        rows = _read_texts(rows, time_format)
    except pl.exceptions.PolarsError as error:
        raise UsageError(f"The time format {time_format!r} cannot be used: {error}") from error
    unread = rows.filter(text.is_not_null() & pl.col("_wall").is_null())
    if unread.height and rows["_wall"].null_count() == rows.height:
        raise DataError(
            f"No time could be read; the first is {unread['_time_text'][0]!r} ({describe_lines(unread)[0]}). "
            "Say how times are written with --time-format, as in '%d/%m/%Y %H:%M:%S'."
        )
    notes = []
    if unread.height:
        first = "; ".join(
            f"{text!r} in {line}"
            for text, line in zip(unread["_time_text"].head(3), describe_lines(unread.head(3)), strict=True)
        )
        notes.append(f"{unread.height} times cannot be read and are left out: {first}")
    old: dict[str, pl.DataType] = {
        "camera_time": pl.Datetime("us"),
        "timestamp": pl.Datetime("us", "UTC"),
        "timestamp_source": pl.String(),
    }
    rows = rows.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in old.items() if name not in rows.columns
    )
    new = {
        "camera_time": pl.col("_wall"),
        "timestamp": (pl.col("_wall") - pl.col("_offset")).dt.replace_time_zone("UTC"),
        "timestamp_source": pl.lit(source),
    }
    read = pl.col("_wall").is_not_null()
    rows = rows.with_columns(
        pl.when(read).then(value).otherwise(name).alias(name) for name, value in new.items()
    )
    return rows.drop("_time_text", "_wall", "_offset"), notes


def _read_texts(rows: pl.DataFrame, time_format: str | None) -> pl.DataFrame:
    """Fill `_wall` and `_offset`; what most files hold is read at a tenth of the cost of everything else."""
    text = pl.col("_time_text")
    if time_format is not None:
        return rows.with_columns(
            _parse_by_format(text, time_format).alias("_wall"), _offset(text).alias("_offset")
        )
    plain = rows.select(text.str.to_datetime(_PLAIN, strict=False, time_unit="us").alias("_wall")).to_series()
    if plain.null_count() == rows["_time_text"].null_count():
        return rows.with_columns(plain, pl.lit(None, pl.Duration("us")).alias("_offset"))
    return rows.with_columns(_wall_clock(text).alias("_wall"), _offset(text).alias("_offset"))


def to_utc(rows: pl.DataFrame, timezone: str) -> tuple[pl.DataFrame, list[str]]:
    """Fill `timestamp` from `camera_time`, a wall clock of `timezone`; a known instant is kept.

    Wall clocks that daylight saving skips or repeats are not instants: null, and counted in the notes.

    Raises:
        UsageError: there is no such zone.
    """
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"There is no time zone {timezone!r}. Name one as Area/City, as in 'Africa/Abidjan'."
        ) from error
    if "camera_time" not in rows.columns:
        return rows, [f"the time zone {timezone} was not used: the source has no times"]
    wall = pl.col("camera_time").cast(pl.Datetime("us"))
    instant = wall.dt.replace_time_zone(timezone, ambiguous="null", non_existent="null").dt.convert_time_zone(
        "UTC"
    )
    known = pl.col("timestamp") if "timestamp" in rows.columns else pl.lit(None, pl.Datetime("us", "UTC"))
    rows = rows.with_columns(pl.coalesce(known, instant).alias("timestamp"))
    lost = rows.filter(pl.col("camera_time").is_not_null() & pl.col("timestamp").is_null()).height
    if not lost:
        return rows, []
    return rows, [
        f"{lost} times are skipped or repeated by daylight saving in {timezone}: no zone-aware time"
    ]


def wall_clock(text: str) -> datetime | None:
    """One time as `parse_times` reads it without a format, in plain Python; None if it cannot be read."""
    match = re.match(_WRITTEN, text)
    if match is None:
        return None
    year, month, day = (int(part) for part in re.split("[-:/]", match["date"]))
    hour, minute, *rest = match["clock"].split(":")
    second, _, fraction = (rest or ["0"])[0].partition(".")
    microsecond = int(fraction[:6].ljust(6, "0"))
    try:
        return datetime(year, month, day, int(hour), int(minute), int(second), microsecond)
    except ValueError:
        return None


def _wall_clock(text: pl.Expr) -> pl.Expr:
    parts = text.str.extract_groups(_WRITTEN).struct
    date = parts.field("date").str.replace_all("[:/]", "-")
    clock = parts.field("clock")
    seconds = pl.when(clock.str.count_matches(":") == 1).then(clock + ":00").otherwise(clock)
    return (date + " " + seconds).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")


def _parse_by_format(text: pl.Expr, time_format: str) -> pl.Expr:
    if "%z" in time_format or "%Z" in time_format:
        raise UsageError("A time format may not hold a zone (%z): times with an offset are read without one.")
    return text.str.to_datetime(time_format, strict=False, time_unit="us")


def _offset(text: pl.Expr) -> pl.Expr:
    """The written offset from UTC as a duration; null where there is none."""
    zone = text.str.extract_groups(_WRITTEN).struct.field("zone")
    digits = zone.str.replace_all("[^0-9]", "")
    minutes = digits.str.slice(0, 2).cast(pl.Int64, strict=False) * 60 + digits.str.slice(2, 2).cast(
        pl.Int64, strict=False
    )
    signed = pl.when(zone.str.starts_with("-")).then(-minutes).otherwise(minutes)
    return pl.duration(minutes=pl.when(zone == "Z").then(0).otherwise(signed))
