"""Columns of written times, read: how one is written is decided from the whole of it.

Which number is the day, and whether numbers are Excel's days, is told by the column and said in a note, or
asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime

import polars as pl

from trapline.errors import DataError, UsageError
from trapline.times import DayEvidence, Order, day_evidence, is_unset, read_time

_PLAIN = "%Y-%m-%d %H:%M:%S"
_IS_PLAIN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-5][0-9]$"
_ISO = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-5][0-9]:[0-5][0-9])(?:\.([0-9]+))?"
    r"(?:(Z)|([+-])(0[0-9]|1[0-4])(?::?([0-5][0-9]))?)?$"
)
_ISO_PARTS = ("_date", "_clock", "_fraction", "_utc", "_sign", "_hours", "_minutes")
"""Most of what files hold, read at a tenth of the cost of everything else, and just as `read_time` does."""

_MAY_BE_NUMBERS = r"[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4}"
_CLOCKS = re.compile("%[-_0]?[HIklTRXrcsS+]")
_SERIAL = r"^[0-9]{5}(?:[.,][0-9]+)?$"
_SERIAL_DAYS = (25_569, 73_051)  # 1970 to 2099
_FIRST_DAYS = {"excel": date(1899, 12, 30), "excel-1904": date(1904, 1, 1)}
_MIDNIGHT = r"[T ]0{1,2}:00(?::00(?:\.0+)?)?(?: ?[Aa][Mm])?$"
_NO_DAY = r"^(?:1899-12-3[01]|1900-01-0[01]|1904-01-01)[T ]"
_ORDERS: dict[str, Order] = {"day-first": "day-first", "month-first": "month-first"}


@dataclass
class TimeColumn:
    """A column of texts, read.

    Attributes:
        walls: date and time of day as written; null where a text is none.
        offsets: from UTC; null where a text has none.
        days: the date where a text is a date alone.
        unset: where a text is only zeroes and blanks.
        notes: what was decided from the whole column.
    """

    walls: pl.Series
    offsets: pl.Series
    days: pl.Series
    unset: pl.Series
    notes: list[str] = field(default_factory=list)

    @property
    def instants(self) -> pl.Series:
        """In UTC; null without an offset, and beyond the years 1 to 9999."""
        moment = self.walls - self.offsets
        inside = moment.dt.year().is_between(1, 9999)
        return moment.zip_with(
            inside.fill_null(value=False), pl.Series([None], dtype=pl.Datetime("us"))
        ).dt.replace_time_zone("UTC")


def read_times(
    texts: pl.Series, time_format: str | None = None, describe: Callable[[int], str] | None = None
) -> TimeColumn:
    """Read a column of texts (or of numbers) as times: what `read_time` reads, and by the whole column more.

    Dates of two numbers and a year have the day or the month first, which the column tells if in one of its
    texts only the one can be; a column that is all numbers of five digits, perhaps with a fraction, is
    Excel's days since 1900.

    Args:
        texts: as they were found.
        time_format: `strptime`'s, or one of `day-first`, `month-first`, `excel`, `excel-1904`.
        describe: where a row was read, by its index, for errors.

    Raises:
        DataError: nothing tells whether day or month is first, or texts contradict each other.
        UsageError: `time_format` holds a zone (`%z`), or cannot be used.
    """
    texts = texts.cast(pl.String)
    if time_format in _FIRST_DAYS:
        return _read_serials(texts, _FIRST_DAYS[str(time_format)])
    if time_format is not None and time_format not in _ORDERS:
        return _read_by_format(texts, time_format)
    if texts.drop_nulls().str.contains(_IS_PLAIN).all():
        walls = _known_years(texts.str.to_datetime(_PLAIN, strict=False, time_unit="us"))
        if walls.null_count() == texts.null_count():
            return _column(walls)
    read = _read_iso(texts)
    rest = texts.filter(read.walls.is_null()).drop_nulls().unique(maintain_order=True)
    if rest.is_empty():
        return read
    unset = [text for text in rest.filter(~rest.str.contains("[1-9]")) if is_unset(text)]
    others = rest.filter(~rest.is_in(unset)) if unset else rest
    if time_format is None and _are_serials(texts, others):
        number = others[0]
        read = _read_serials(texts.replace(unset, None) if unset else texts, _FIRST_DAYS["excel"])
        read.notes.append(
            f"times are numbers, read as Excel's days since 1900: {number} is "
            f"{_serial_words(read, texts, number)}; if it counts from 1904: --time-format excel-1904"
        )
        return _with_unset(read, texts, unset)
    evidence = day_evidence(others.filter(others.str.contains(_MAY_BE_NUMBERS)))
    order = _ORDERS[time_format] if time_format else _order(evidence, texts, describe)
    if evidence.order is not None and time_format is None:
        example = evidence.day_first or evidence.month_first
        read.notes.append(
            f"dates are read {order}, as {_quoted(str(example), texts, describe)} can be read in no other way"
        )
    return _with_unset(_read_one_by_one(read, texts, others, order), texts, unset)


def read_instants(texts: pl.Series) -> pl.Series:
    """The moments of texts with an offset, in UTC; null for others, and where only a column tells the day."""
    read = _read_iso(texts)
    rest = texts.filter(read.walls.is_null()).drop_nulls().unique(maintain_order=True)
    return _read_one_by_one(read, texts, rest, None).instants


def _order(evidence: DayEvidence, texts: pl.Series, describe: Callable[[int], str] | None) -> Order | None:
    """Which number is the day, of a column.

    Raises:
        DataError: it cannot be told.
    """
    ask = (
        "Say it with --time-format day-first or --time-format month-first (or give the whole format, as in "
        "'%d/%m/%Y %H:%M:%S')."
    )
    if evidence.day_first is not None and evidence.month_first is not None:
        raise DataError(
            f"Dates contradict each other: {_quoted(evidence.day_first, texts, describe)} has the day first, "
            f"{_quoted(evidence.month_first, texts, describe)} the month. Spreadsheets turn some dates of a "
            "column round and leave others: go back to the file that the program or camera wrote. "
            "--time-format day-first or month-first reads all as of one kind, and leaves out what cannot be."
        )
    if evidence.order is None and evidence.undecided is not None:
        raise DataError(
            f"Is the day first or the month in {_quoted(evidence.undecided, texts, describe)}? None of the "
            f"{evidence.texts} dates written so tells it. {ask}"
        )
    return evidence.order or ("day-first" if evidence.texts else None)  # the rest have day and month alike


def _quoted(text: str, texts: pl.Series, describe: Callable[[int], str] | None) -> str:
    if describe is None:
        return repr(text)
    row = (texts == text).arg_max()
    return f"{text!r} ({describe(row or 0)})"


def _read_iso(texts: pl.Series) -> TimeColumn:
    parts = texts.str.extract_groups(_ISO).struct.rename_fields(list(_ISO_PARTS)).struct.unnest()
    number = {name: pl.col(name).cast(pl.Int64, strict=False).fill_null(0) for name in ("_hours", "_minutes")}
    east = pl.duration(hours=number["_hours"], minutes=number["_minutes"])
    microseconds = pl.col("_fraction").str.head(6).str.pad_end(6, "0").cast(pl.Int64).fill_null(0)
    wall = pl.concat_str("_date", "_clock", separator=" ").str.to_datetime(
        _PLAIN, strict=False, time_unit="us"
    )
    read = parts.select(
        (wall + pl.duration(microseconds=microseconds)).alias("walls"),
        pl.when(pl.col("_utc").is_not_null())
        .then(pl.duration(hours=0))
        .when(pl.col("_sign") == "+")
        .then(east)
        .when(pl.col("_sign") == "-")
        .then(-east)
        .cast(pl.Duration("us"))
        .alias("offsets"),
    )
    return _column(_known_years(read["walls"]), read["offsets"])


def _known_years(walls: pl.Series) -> pl.Series:
    """Null in the year 0, which neither Python nor a calendar has."""
    return walls.zip_with(
        (walls.dt.year() > 0).fill_null(value=False), pl.Series([None], dtype=pl.Datetime("us"))
    )


def _read_one_by_one(
    read: TimeColumn, texts: pl.Series, unread: pl.Series, order: Order | None
) -> TimeColumn:
    """Fill in what is written in less usual ways; each text is read once."""
    results = [read_time(text, order) for text in unread]
    table = pl.DataFrame(
        {
            "text": unread,
            "wall": [one and one.wall for one in results],
            "offset": [one and one.offset for one in results],
            "day": [one.day if one and one.clock is None else None for one in results],
        },
        schema={"text": pl.String, "wall": pl.Datetime("us"), "offset": pl.Duration("us"), "day": pl.Date},
    )
    rows = texts.alias("text").to_frame().join(table, on="text", how="left", maintain_order="left")
    usual = read.walls.is_not_null()
    return TimeColumn(
        read.walls.zip_with(usual, rows["wall"]),
        read.offsets.zip_with(usual, rows["offset"]),
        rows["day"],
        read.unset,
        read.notes,
    )


def _are_serials(texts: pl.Series, unread: pl.Series) -> bool:
    if unread.is_empty() or texts.drop_nulls().n_unique() > len(unread) + 1:
        return False
    if not unread.str.contains(_SERIAL).all():
        return False
    days = unread.str.head(5).cast(pl.Int64)
    return bool(days.is_between(*_SERIAL_DAYS, closed="left").all())


def _read_serials(texts: pl.Series, first: date) -> TimeColumn:
    """Days since `first`, the time of day as their fraction (to the millisecond).

    Where all are whole they are dates; else a whole one is midnight.
    """
    days = texts.str.strip_chars().str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    days = days.zip_with(
        days.is_between(1, 2_900_000).fill_null(value=False), pl.Series([None], dtype=pl.Float64)
    )
    wall = pl.select(
        pl.lit(datetime(first.year, first.month, first.day))
        + pl.duration(milliseconds=(pl.lit(days) * 86_400_000).round().cast(pl.Int64), time_unit="us")
    ).to_series()
    if ((days % 1) > 0).any():
        return _column(wall)
    nothing = _column(pl.Series([None] * len(texts), dtype=pl.Datetime("us")))
    nothing.days = wall.dt.date()
    return nothing


def _serial_words(read: TimeColumn, texts: pl.Series, text: str) -> str:
    row = (texts == text).arg_max() or 0
    return str(read.days[row] if read.walls[row] is None else read.walls[row])


def _read_by_format(texts: pl.Series, time_format: str) -> TimeColumn:
    if re.search("%[-_0]?:?[zZ]", time_format):
        raise UsageError("A time format may not hold a zone (%z): times with an offset are read without one.")
    try:
        walls = texts.str.to_datetime(time_format, strict=False, time_unit="us")
    except pl.exceptions.PolarsError as error:
        raise UsageError(f"The time format {time_format!r} cannot be used: {error}") from error
    if "%Y" in time_format:  # to which 21 is the year 21
        walls = walls.zip_with(
            (walls.dt.year() >= 1000).fill_null(value=False), pl.Series([None], dtype=pl.Datetime("us"))
        )
    walls = _known_years(walls)
    if _CLOCKS.search(time_format):
        return _column(walls, _read_iso(texts).offsets)
    nothing = _column(pl.Series([None] * len(texts), dtype=pl.Datetime("us")))
    nothing.days = walls.dt.date()
    return nothing


def _column(walls: pl.Series, offsets: pl.Series | None = None) -> TimeColumn:
    def empty(kind: pl.DataType) -> pl.Series:
        return pl.Series([None], dtype=kind).new_from_index(0, len(walls))

    return TimeColumn(
        walls,
        empty(pl.Duration("us")) if offsets is None else offsets,
        empty(pl.Date()),
        pl.Series([False]).new_from_index(0, len(walls)),
    )


def _with_unset(read: TimeColumn, texts: pl.Series, unset: list[str]) -> TimeColumn:
    if unset:
        read.unset = texts.is_in(unset).fill_null(value=False)
    return read


def join_date_and_time(dates: pl.Series, times: pl.Series) -> pl.Series:
    """One text of a date and a time of day in two columns, as spreadsheets and programs write them.

    A midnight after the date, and the day zero before a time, are a spreadsheet's and not the source's. A
    column that has both date and time is taken alone. A date without a time stays a date.
    """
    dates, times = dates.cast(pl.String), times.cast(pl.String)
    days = dates.str.replace(_MIDNIGHT, "")
    if (
        times.str.contains("[0-9]{4}[-:/.][0-9]|[/.-][0-9]{4}").any()
        and not times.str.contains(_NO_DAY).any()
    ):
        return pl.select(pl.coalesce(times, days)).to_series()
    if days.str.contains("[T ][0-9]{1,2}:[0-9]{2}").any():
        return dates
    clocks = times.str.replace(_NO_DAY, "")
    fractions = clocks.str.extract(r"^0?([.,][0-9]+)$").fill_null(
        clocks.str.extract("^(0)$").replace("0", ".0")
    )
    if fractions.null_count() == clocks.null_count() and days.drop_nulls().str.contains(_SERIAL).all():
        return pl.select(pl.coalesce(pl.lit(days.str.head(5)) + fractions, days)).to_series()
    return pl.select(pl.coalesce(pl.lit(days) + " " + clocks, days)).to_series()
