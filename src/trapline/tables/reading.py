"""One reading of a source: how the user says that its files are written, what was understood and left out.

A reading is open while a reader works. All that opens a table or a JSON file looks it up, so that no reader
can go round what the user said of the source, nor keep to itself what was taken for something.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from trapline.errors import DataError, TraplineWarning, UsageError, many

MISSING = (
    *("NA", "N/A", "n/a", "#N/A", "#NA", "#NV"),
    *("#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#ERROR!", "#SPILL!", "#CALC!"),
    *("#BEZUG!", "#WERT!", "#ZAHL!"),
    *("NaN", "nan", "NaT", "NULL", "null", "None", "<NA>", "\\N"),
)
"""What R, spreadsheets (errors too, some in German), pandas, NumPy and data bases write for "no value"."""

MOST_KEPT = 2000
"""Rows that are listed one by one; the others are counted."""
_SHOWN = 5


@dataclass(frozen=True)
class RejectedRow:
    """A row that cannot be used.

    Attributes:
        where: file and line, as in "labels.csv line 7".
        reason: what is wrong with it, as in "has no path".
    """

    where: str
    reason: str


@dataclass
class Reading:
    """How a source is to be read, and what is known of it afterwards.

    Attributes:
        encoding: of its text files; None where each is to be found out.
        not_missing: words of `MISSING` that are words here, `NA` in every column or `country=NA` in one.
        strict: refuse the first row that cannot be used.
        notes: what was understood, in sentences for people.
        rejected: the first `MOST_KEPT` rows that cannot be used.
        rejected_count: how many there are.
        videos: path, and ending or media type, of each video that was left out.
    """

    encoding: str | None = None
    not_missing: Sequence[str] = ()
    strict: bool = False
    notes: list[str] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    rejected_count: int = 0
    videos: list[tuple[str, str]] = field(default_factory=list)
    _markers: set[str] = field(default_factory=lambda: set(MISSING))

    def missing_words(self, column: str, more: Sequence[str] = ()) -> list[str]:
        """What stands for a missing value in a column: `MISSING` and `more`, less what is a word here."""
        self._markers.update(more)
        kept = {word for word in self.not_missing if "=" not in word}
        kept |= {
            word.removeprefix(f"{column}=") for word in self.not_missing if word.startswith(f"{column}=")
        }
        return [word for word in dict.fromkeys((*MISSING, *more)) if word not in kept]

    def check_words(self) -> None:
        """Refuse a word of `not_missing` that nothing would have taken for missing.

        Raises:
            UsageError: there is one.
        """
        strange = [word for word in self.not_missing if word.rpartition("=")[2] not in self._markers]
        if strange:
            raise UsageError(
                f"'{strange[0]}' is never taken for a missing value here; what is: "
                f"{', '.join(sorted(self._markers - {''}))}. Name one of them, or COLUMN=WORD for one column."
            )

    def describe_rejected(self) -> list[str]:
        """What to say of the rows that cannot be used; nothing where there are none."""
        if not self.rejected_count:
            return []
        first = "; ".join(f"{row.where} {row.reason}" for row in self.rejected[:_SHOWN])
        more = "; …" if self.rejected_count > _SHOWN else ""
        rows = many(self.rejected_count, "row cannot be used and is")
        them = "it" if self.rejected_count == 1 else "them"
        return [f"{rows} left out (--strict refuses {them}): {first}{more}"]


_open: ContextVar[Reading | None] = ContextVar("trapline_reading", default=None)


@contextmanager
def open_reading(reading: Reading) -> Iterator[Reading]:
    """Whatever is read meanwhile is read as `reading` says, and noted in it."""
    token = _open.set(reading)
    try:
        yield reading
    finally:
        _open.reset(token)


def current_reading() -> Reading:
    """The reading that is open; a strict one that keeps its notes to itself where none is."""
    return _open.get() or Reading(strict=True)


def is_reading_open() -> bool:
    """Whether somebody reads a source who can be given options for it."""
    return _open.get() is not None


def note(sentence: str) -> None:
    """Note what was understood of a file; where no reading is open it is a warning."""
    reading = _open.get()
    if reading is None:
        warnings.warn(sentence, TraplineWarning, stacklevel=3)
    elif sentence not in reading.notes:
        reading.notes.append(sentence)


def reject_rows(rows: pl.DataFrame, bad: pl.Expr | pl.Series, reason: str | pl.Expr) -> pl.DataFrame:
    """The rows without those that cannot be used, which are listed with file, line and reason.

    Args:
        rows: with `_place`, or with `_file` and `_line`.
        bad: which cannot be used; null is false.
        reason: what is wrong, to be read after file and line: "has no path".

    Raises:
        DataError: the first of them, where the reading is strict or none is open; or all rows are such.
    """
    if isinstance(bad, pl.Series):
        bad = pl.lit(bad)
    flags = rows.select(bad.cast(pl.Boolean).fill_null(False).alias("bad"))["bad"]
    if len(flags) != rows.height:  # a literal
        flags = flags.new_from_index(0, rows.height) if len(flags) else flags
    count = int(flags.sum())
    if not count:
        return rows
    first = rows.filter(flags).head(MOST_KEPT).rechunk()  # Polars' format panics where a first chunk is empty
    reasons = [reason] * first.height if isinstance(reason, str) else first.select(reason.alias("why"))["why"]
    listed = [
        RejectedRow(str(where), str(why)) for where, why in zip(describe_lines(first), reasons, strict=True)
    ]
    reject(listed, count, of=rows.height)
    return rows.filter(~flags)


def reject(listed: Sequence[RejectedRow], count: int, *, of: int) -> None:
    """List rows that cannot be used: the first ones, how many there are, and of how many.

    Raises:
        DataError: as of `reject_rows`.
    """
    if not count:
        return
    reading = current_reading()
    first = listed[0]
    if reading.strict or count == of:
        such = f" ({count} such rows)" if count > 1 else ""
        raise DataError(f"{first.where} {first.reason}{such}.")
    reading.rejected_count += count
    reading.rejected += listed[: MOST_KEPT - len(reading.rejected)]


def describe_lines(rows: pl.DataFrame) -> pl.Series:
    """File and line of each row, from its `_place`, or its `_file` and `_line`."""
    if "_place" in rows.columns:
        return rows["_place"]
    return rows.select(pl.concat_str(pl.col("_file").cast(pl.String), pl.lit(" line "), "_line")).to_series()


def describe_line(path: Path, line: int) -> str:
    """How a line of a file is named in messages."""
    return f"{path.name} line {line}"
