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
_MOST_TITLES = 50
"""Lines above a header that are looked at."""
_COMMENT = "#"
_IDENTIFIERS = re.compile(r"#?\s*[^\W\d][\w.]*")
SHAPES = {
    "number": re.compile(r"[+-]?\d+([.,]\d+)?"),
    "time": re.compile(r"\d{1,4}[-:/.]\d{1,2}[-:/.]\d{1,4}.*|\d{1,2}:\d{2}.*"),
    "file": re.compile(r".*\.[A-Za-z]\w{1,4}"),
}
"""What cells of a column look like, when they are no mere words."""


def shape(cell: str) -> str:
    """What a cell looks like: one of `SHAPES`, or text."""
    return next((name for name, pattern in SHAPES.items() if pattern.fullmatch(cell)), "text")


@dataclass(frozen=True)
class Dialect:
    """How the rows of a table are written.

    Attributes:
        delimiter: between cells.
        quote: around cells that hold it.
        skipped: lines before the header: blank ones, Excel's `sep=;`, titles and comments.
        titles: number, from 1, and text of those of them that say something.
    """

    delimiter: str
    quote: str
    skipped: int
    titles: tuple[tuple[int, str], ...] = ()

    def describe_titles(self) -> str:
        """What to say of the lines above the header; nothing where there are none."""
        if not self.titles:
            return ""
        line, text = self.titles[0]
        more = f", and {len(self.titles) - 1} more" if len(self.titles) > 1 else ""
        return f"what stands above the header is no row and left out: line {line}, {text[:60]!r}{more}"

    def reader(self, lines: Iterator[str], *, strict: bool = False) -> Iterator[list[str]]:
        """The records of lines; with `strict` a quote within or without end is an error of csv."""
        return csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote, strict=strict)


def find_dialect(lines: Sequence[str], *, headed: bool = True) -> Dialect:
    """The dialect of a table, from its first lines.

    The delimiter is what `sep=` says, else that of those in the header by which most of the first rows have
    as many cells as the header; of two alike that which the header has more of. A space is one where no
    other sign is, as R's `write.table` writes, and quotes or the ends of files tell cells from words.

    Lines above the header are titles and comments where it is certain: see `_below_titles`.

    Args:
        lines: of the table, with their ends; its first ones do.
        headed: whether one of them is the header.
    """
    skipped = _skip_blank(lines, 0)
    named = _EXCEL_LINE.fullmatch(lines[skipped]) if skipped < len(lines) else None
    if named is not None:
        skipped = _skip_blank(lines, skipped + 1)
    sample = _sample(lines, skipped)
    delimiters = DELIMITERS if named is None else named[1]
    fits = {sign: _fit(sample, sign) for sign in delimiters}
    best = max(fits, key=fits.__getitem__)
    alike = fits[best][0]
    top = Dialect(best, _quote(sample, best), skipped)
    if headed and _may_be_title(sample, top, alike):
        below = _below_titles(lines, sample, top, delimiters)
        if below is not None:
            return below
    if named is None and alike == 0 and _has_spaces_between_cells(sample):
        return Dialect(" ", '"', skipped)
    return top


def _skip_blank(lines: Sequence[str], start: int) -> int:
    while start < len(lines) and not lines[start].strip():
        start += 1
    return start


def _fit(sample: Sequence[str], delimiter: str) -> tuple[float, int]:
    """How many rows are as wide as the first, and its width; nothing where that is one cell."""
    rows = _records(sample, Dialect(delimiter, _quote(sample, delimiter), 0))
    width = len(rows[0]) if rows else 0
    if width < 2:
        return 0.0, 0
    alike = [len(row) == width for row in rows[1:] if "".join(row).strip()]
    return (0.1 + sum(alike) / len(alike) if alike else 1.0), width


def _may_be_title(sample: Sequence[str], dialect: Dialect, alike: float) -> bool:
    """Whether the first line may be none: a comment, of another width than most rows, or with few cells."""
    rows = _records(sample[:1], dialect)
    if not rows:
        return False
    return alike < 0.6 or sample[0].lstrip(' "').startswith(_COMMENT) or _is_sparse(rows[0])


def _is_sparse(row: Sequence[str]) -> bool:
    """Whether cells are empty as in titles and groups above names: half of the row, or one between others."""
    filled = [index for index, cell in enumerate(row) if cell.strip()]
    between = bool(filled) and len(filled) <= filled[-1] - filled[0]
    return len(row) > 1 and (between or 2 * len(filled) <= len(row))


def _below_titles(
    lines: Sequence[str], sample: Sequence[str], top: Dialect, delimiters: str
) -> Dialect | None:
    """The dialect of a table whose header is not its first line; None where that is not certain.

    Certain it is where a line names columns (words, none of them twice), all rows below it are as wide and
    one column of them holds files, times or numbers throughout, and each line above it is narrower or wider,
    a comment, or has few of its cells filled. A comment that could be the names of these columns is the
    header.
    """
    first = _cells(sample[0], top)
    if _names_columns(first, least=2) and _rows_as_wide(sample[1:], len(first), top):
        return None
    several = delimiters + " " if len(delimiters) > 1 else delimiters
    for index in range(1, min(_MOST_TITLES, len(sample) - 1)):
        above = [line for line in sample[:index] if line.strip()]
        commented = all(line.lstrip(' "').startswith(_COMMENT) for line in above)
        for sign in several:
            dialect = Dialect(sign, _quote(sample[index:], sign), 0)
            header = _cells(sample[index], dialect)
            if not _names_columns(header, least=1 if commented and sign == delimiters[0] else 2):
                continue
            if sign == " " and not _has_spaces_between_cells(sample[index:]):
                continue
            if all(_is_title(line, header, dialect) for line in above) and _has_rows(
                sample[index + 1 :], header, dialect
            ):
                start = top.skipped
                titles = [(n + 1, lines[n].strip()) for n in range(start, start + index)]
                return Dialect(
                    sign, dialect.quote, start + index, tuple(title for title in titles if title[1])
                )
    return None


def _cells(line: str, dialect: Dialect) -> list[str]:
    rows = _records([line], dialect)
    return [cell.strip() for cell in rows[0]] if rows else []


def _names_columns(row: Sequence[str], least: int) -> bool:
    names = list(row)
    while names and not names[-1]:
        names.pop()
    if names and not names[0]:
        names = names[1:]  # above names of rows
    if len(names) < least or not all(names) or len(set(names)) < len(names):
        return False
    return names[0][0] != _COMMENT and all(shape(name) == "text" for name in names)


def _is_title(line: str, header: Sequence[str], dialect: Dialect) -> bool:
    cells = _cells(line, dialect)
    if len(cells) != len(header):
        return True
    if cells and cells[0].startswith(_COMMENT):
        return not all(_IDENTIFIERS.fullmatch(cell) for cell in cells)
    return _is_sparse(cells)


def _has_rows(below: Sequence[str], header: Sequence[str], dialect: Dialect) -> bool:
    """Whether rows are as a header says, and one of their columns is of files, times or numbers."""
    rows = _rows_as_wide(below, len(header), dialect)
    columns = ([cell.strip() for cell in column if cell.strip()] for column in zip(*rows, strict=True))
    return any(cells and all(shape(cell) != "text" for cell in cells) for cells in columns)


def _rows_as_wide(below: Sequence[str], width: int, dialect: Dialect) -> list[list[str]]:
    """The rows below a header if all are as wide, or have their name before them; else none."""
    written = [line for line in below if line.strip() and not line.lstrip().startswith(_COMMENT)]
    rows = [row for row in _records(written, dialect) if "".join(row).strip()]
    rows = rows[:-1] if len(rows) > 2 else rows  # the sample may end within one; below tables stand remarks
    widths = {len(row) for row in rows}
    if widths == {width}:
        return rows
    quoted = all(line.lstrip().startswith('"') for line in written)
    return rows if widths == {width + 1} and are_row_names([row[0] for row in rows], quoted=quoted) else []


def are_row_names(cells: Sequence[str], *, quoted: bool) -> bool:
    """Whether first cells, of rows one cell wider than the header, name the rows, as R writes them.

    They are numbers, or are in quotes as all words are: then no separator within a cell made it two.
    """
    names = {cell for cell in cells if quoted or cell.strip().isdecimal()}
    return len(names) == len(cells)


def _has_spaces_between_cells(sample: Sequence[str]) -> bool:
    """Whether spaces stand between cells and not within them, as R's `write.table` writes.

    All rows are as wide as the header or have one cell more, their name. Where the header is not in quotes
    a column before the last holds files, since a file's name may have a space in it.
    """
    dialect = Dialect(" ", '"', 0)
    header = _cells(sample[0], dialect) if sample else []
    rows = _rows_as_wide(sample[1:], len(header), dialect)
    if len(header) < 2 or not rows:
        return False
    if sample[0].lstrip().startswith('"'):
        return sample[0].count('"') == 2 * len(header)
    return any(all(shape(cell) == "file" for cell in column) for column in list(zip(*rows, strict=True))[:-1])


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
