"""How times are written: what one text says of a moment, and what it does not say.

Every door reads times with these functions: tables, JSON, EXIF, names of files, and packages of code, where
there is no Polars. `trapline.formats` reads whole columns; what it does faster it does alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Literal

Order = Literal["day-first", "month-first"]
"""Which of the numbers in 05/06/2021 is the day."""

_SPACES = re.compile(r"[\s\u0085\u00a0]+")  # spreadsheets put odd ones before AM and PM
_PADDING = " :\x00"
_UNSET = re.compile(r"[0\s:/.TZ+-]*")

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LONG = ("uary", "ruary", "ch", "il", "", "e", "y", "ust", "t(?:ember)?", "ober", "ember", "ember")
_MONTH = "|".join(f"{short}(?:{rest})?" for short, rest in zip(_MONTHS, _LONG, strict=True))
_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?\.?,? )?"

_OFFSET = (
    r"(?P<zone>Z|UTC|GMT|(?:UTC|GMT)?(?P<sign>[+\u2212-])(?P<east>[0-9]{2})(?::?(?P<minutes>[0-5][0-9]))?)"
)
_CLOCK = (
    r"(?P<hour>[0-9]{1,2})(?P<colon>[:.])(?P<minute>[0-5][0-9])"
    r"(?:(?P=colon)(?P<second>[0-5][0-9])(?:[.,](?P<fraction>[0-9]+))?)?"
    r"(?: ?(?P<half>[ap])\.? ?m\.?)?"
)
_TIME = rf"(?:(?:,? ?T|,? |,|_){_CLOCK}(?: ?{_OFFSET}(?:\[[\w/+-]+\])?)?)?"
_RUN_TOGETHER = (
    r"(?:[-_ T](?P<hour>[0-9]{2})(?P<between>[-_]?)(?P<minute>[0-5][0-9])(?P=between)(?P<second>[0-5][0-9])"
    rf"(?:[.,](?P<fraction>[0-9]+))?{_OFFSET}?)?"
)


def _form(date_part: str, time_part: str = _TIME) -> re.Pattern[str]:
    return re.compile(date_part + time_part, re.IGNORECASE)


_DAY = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>[0-9]{4})"
_NAME = rf"(?P<month>{_MONTH})\.?"
_FORMS = (
    _form(rf"{_YEAR}(?P<slash>[-:/.])(?P<month>[0-9]{{1,2}})(?P=slash)(?P<day>[0-9]{{1,2}})"),
    _form(rf"{_WEEKDAY}{_DAY}(?P<slash>[-/. ]){_NAME}(?:(?P=slash)|, ?){_YEAR}"),
    _form(rf"{_WEEKDAY}{_NAME}[ .-]?{_DAY}(?:,? |-){_YEAR}"),
    _form(rf"{_YEAR}(?P<slash>[-/ ]){_NAME}(?P=slash){_DAY}"),
    # as names of files have it: 20210501_140300, 2021-05-01_14-03-00
    _form(
        r"(?P<year>[12][0-9]{3})(?P<slash>[-_]?)(?P<month>[01][0-9])(?P=slash)(?P<day>[0-3][0-9])",
        _RUN_TOGETHER,
    ),
    _form(
        r"(?P<year>[12][0-9]{3})(?P<month>[01][0-9])(?P<day>[0-3][0-9])",
        r"(?P<hour>[0-2][0-9])(?P<minute>[0-5][0-9])(?P<second>[0-5][0-9])",
    ),
)
_NUMBERS = _form(rf"(?P<first>[0-9]{{1,2}})(?P<slash>[-/.])(?P<second_number>[0-9]{{1,2}})(?P=slash){_YEAR}")
_TIME_OF_DAY = re.compile(_CLOCK, re.IGNORECASE)


@dataclass(frozen=True)
class WrittenTime:
    """What a text says of a moment.

    Attributes:
        day: the date.
        clock: the time of day; None where the text is a date alone, which is no midnight.
        offset: of that clock from UTC; None where the text has none.
    """

    day: date
    clock: time | None = None
    offset: timedelta | None = None

    @property
    def wall(self) -> datetime | None:
        """Date and time of day as written, without a zone; None of a date alone."""
        return None if self.clock is None else datetime.combine(self.day, self.clock)

    @property
    def moment(self) -> datetime | None:
        """Date and time of day with their own offset; None without one, or of a date alone."""
        if self.wall is None or self.offset is None:
            return None
        return self.wall.replace(tzinfo=timezone(self.offset))

    @property
    def instant(self) -> datetime | None:
        """In UTC; None without an offset, and beyond the years 1 to 9999."""
        if self.wall is None or self.offset is None:
            return None
        try:
            return (self.wall - self.offset).replace(tzinfo=UTC)
        except OverflowError:
            return None


def read_time(text: str, order: Order | None = None) -> WrittenTime | None:
    """What a text says of a moment; None if nothing can be read in it, or it is only zeroes and blanks.

    Read are dates with the year first (`2021-05-01`, `2021:05:01`, `2021/5/1`, `20210501`) and dates with
    an English month (`12-Mar-2021`, `March 12, 2021`), then a space, `T`, comma or `_`, and a clock of 24
    hours or of 12 with AM and PM, with or without seconds and fractions of them (of any length; read to the
    microsecond), then `Z`, `UTC`, `+01`, `+0100` or `+01:00`. Blanks and colons at the end are padding. Years
    have four digits.

    Args:
        text: as it was found.
        order: of day and month in `05/06/2021`; None: such dates cannot be read. One text does not tell it
            (see `day_evidence`).
    """
    cleaned = clean(text)
    for form in _FORMS:
        match = form.fullmatch(cleaned)
        if match is not None:
            month = match["month"].lower()
            number = int(month) if month.isdigit() else _MONTHS.index(month[:3]) + 1
            return _written(match, number, int(match["day"]))
    match = _NUMBERS.fullmatch(cleaned)
    if match is None or order is None:
        return None
    first, second = int(match["first"]), int(match["second_number"])
    return _written(match, second, first) if order == "day-first" else _written(match, first, second)


def read_time_of_day(text: str) -> time | None:
    """A clock without a date, as in `14:03:00` or `2:03 PM`; None if it is none."""
    match = _TIME_OF_DAY.fullmatch(clean(text))
    return None if match is None else _clock(match)


def read_offset(text: str) -> timedelta | None:
    """`+01:00`, `-0530`, `+01`, `Z` or `UTC` as an offset from UTC; None if it is none, or over 14 hours."""
    match = re.fullmatch(_OFFSET, clean(text), re.IGNORECASE)
    return None if match is None else _offset(match)


def is_unset(text: str) -> bool:
    """Whether a text has only zeroes and blanks, as clocks and databases write for "none"."""
    return _UNSET.fullmatch(clean(text)) is not None


def clean(text: str) -> str:
    """A text without the padding that cameras write, and with one space wherever there is any."""
    return _SPACES.sub(" ", text.replace("\x00", " ")).strip(_PADDING)


@dataclass(frozen=True)
class DayEvidence:
    """What dates in two numbers and a year, all of one column, say of their order.

    Attributes:
        texts: how many there are.
        day_first: one whose first number can only be the day; None if there is none.
        month_first: one whose second number can only be the day; None if there is none.
        undecided: one that could be both; None if there is none.
    """

    texts: int = 0
    day_first: str | None = None
    month_first: str | None = None
    undecided: str | None = None

    @property
    def order(self) -> Order | None:
        """None where nothing tells it, or some say this and some that."""
        if (self.day_first is None) == (self.month_first is None):
            return None
        return "month-first" if self.day_first is None else "day-first"


def day_evidence(texts: Iterable[str]) -> DayEvidence:
    """What a whole column says of the order of day and month."""
    examples: dict[str, str] = {}
    count = 0
    for text in texts:
        match = _NUMBERS.fullmatch(clean(text))
        if match is None:
            continue
        count += 1
        first, second = int(match["first"]), int(match["second_number"])
        if first <= 12 and second <= 12:
            kind = "undecided" if first != second else "same"
        else:
            kind = "day_first" if second <= 12 else "month_first" if first <= 12 else "none"
        examples.setdefault(kind, text)
    return DayEvidence(
        count, examples.get("day_first"), examples.get("month_first"), examples.get("undecided")
    )


def _written(match: re.Match[str], month: int, day: int) -> WrittenTime | None:
    try:
        date_read = date(int(match["year"]), month, day)
    except ValueError:
        return None
    if match["hour"] is None:
        return WrittenTime(date_read)
    clock = _clock(match)
    offset = _offset(match)
    named = match.groupdict().get("zone") is not None
    return None if clock is None or (named and offset is None) else WrittenTime(date_read, clock, offset)


def _clock(match: re.Match[str]) -> time | None:
    parts = match.groupdict()
    hour = int(parts["hour"])
    half = (parts.get("half") or "").lower()
    if half:
        # 13:48 PM and 0:05 AM say the same twice; 13:48 AM and 0:05 PM contradict themselves
        if hour > 12 if half == "a" else hour == 0:
            return None
        hour = hour % 12 + 12 * (half == "p") if hour <= 12 else hour
    microsecond = int((parts.get("fraction") or "")[:6].ljust(6, "0"))
    try:
        return time(hour, int(parts["minute"]), int(parts.get("second") or 0), microsecond)
    except ValueError:
        return None


def _offset(match: re.Match[str]) -> timedelta | None:
    parts = match.groupdict()
    if parts.get("zone") is None:
        return None
    if parts["sign"] is None:
        return timedelta(0)
    hours = int(parts["east"])
    size = timedelta(hours=hours, minutes=int(parts["minutes"] or 0))
    if hours > 14:
        return None
    return size if parts["sign"] == "+" else -size
