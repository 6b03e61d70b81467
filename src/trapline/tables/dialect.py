"""How a table is written: what stands between its cells, around them, and before its header."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

DELIMITERS = ",;\t|"
_EXCEL_LINE = re.compile(r'"?sep=(.)"?[;,\t|]*[\r\n]*', re.IGNORECASE)
_SAMPLE_LINES = 200
_SAMPLE_CHARACTERS = 2**18


@dataclass(frozen=True)
class Dialect:
    """How the rows of a table are written.

    Attributes:
        delimiter: between cells.
        quote: around cells that hold it.
        skipped: lines before the header: blank ones, and Excel's `sep=;`.
    """

    delimiter: str
    quote: str
    skipped: int

    def reader(self, lines: Iterator[str], *, strict: bool = False) -> Iterator[list[str]]:
        """The records of lines; with `strict` a quote within or without end is an error of csv."""
        return csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote, strict=strict)


def find_dialect(lines: Sequence[str]) -> Dialect:
    """The dialect of a table, from its first lines.

    The delimiter is what `sep=` says, else that of those in the header by which most of the first rows have
    as many cells as the header; of two alike that which the header has more of.

    Args:
        lines: of the table, with their ends; its first ones do.
    """
    skipped = 0
    while skipped < len(lines) and not lines[skipped].strip():
        skipped += 1
    named = _EXCEL_LINE.fullmatch(lines[skipped]) if skipped < len(lines) else None
    if named is not None:
        skipped += 1
        while skipped < len(lines) and not lines[skipped].strip():
            skipped += 1
    sample = _sample(lines, skipped)
    quotes = {delimiter: _quote(sample, delimiter) for delimiter in DELIMITERS}
    if named is not None:
        return Dialect(named[1], quotes.get(named[1], '"'), skipped)

    def fit(delimiter: str) -> tuple[float, int]:
        rows = _records(sample, Dialect(delimiter, quotes[delimiter], 0))
        width = len(rows[0]) if rows else 0
        if width < 2:
            return 0.0, 0
        alike = [len(row) == width for row in rows[1:] if "".join(row).strip()]
        return (0.1 + sum(alike) / len(alike) if alike else 1.0), width

    best = max(DELIMITERS, key=fit)
    return Dialect(best, quotes[best], skipped)


def _sample(lines: Sequence[str], start: int) -> list[str]:
    sample: list[str] = []
    size = 0
    for line in lines[start : start + _SAMPLE_LINES]:
        size += len(line)
        if size > _SAMPLE_CHARACTERS and sample:
            break
        sample.append(line)
    return sample


def _records(sample: Sequence[str], dialect: Dialect) -> list[list[str]]:
    rows: list[list[str]] = []
    with suppress(csv.Error):  # is named when the table is read
        rows.extend(dialect.reader(iter(sample)))
    return rows


def _quote(sample: Sequence[str], delimiter: str) -> str:
    """The apostrophe where every name of the header stands between two, else the usual sign."""
    names = sample[0].strip().split(delimiter) if sample else []
    apostrophes = all(len(name) > 1 and name[0] == name[-1] == "'" for name in names)
    return "'" if names and apostrophes else '"'
