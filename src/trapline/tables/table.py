"""Tables as text (CSV, TSV), read whole with the line of every row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from trapline.errors import DataError, kind_of, many
from trapline.tables.decode import read_start, read_text
from trapline.tables.dialect import Dialect, are_row_names, find_dialect, shape
from trapline.tables.missing import mark_missing
from trapline.tables.reading import MOST_KEPT, RejectedRow, current_reading, note, reject, reject_rows

MAX_BYTES = 2 * 1024**3
_CHUNK = 50_000
_MOST_TORN = 1000
"""Rows whose quotes do not close; for each csv reads on up to its longest cell, so that many take long."""
_SHAPES_OF = 1000
_HEAD = 2**16
_DIALECT = 2**20
"""Bytes that hold all characters which `find_dialect` looks at."""
_PATTERN = re.compile(r"\*|\^.*\$")
"""Names that Polars takes for patterns of names."""
_HEADER_AGAIN = "is the header once more"
_DAMAGED = "has NUL bytes, which no text has: the file is damaged there"
_NAMELESS = re.compile(r"(Unnamed: \d+(\.\d+)*)?")
"""No name, or what pandas calls a column that has none."""

TAKEN = frozenset(
    {"_box", "_changed", "_event", "_file", "_folders", "_found", "_frame_number", "_given", "_head"}
    | {"_instant", "_joined", "_known", "_label", "_labels", "_line", "_looked", "_name", "_named", "_offset"}
    | {"_order", "_place", "_roll", "_row", "_shift", "_time_text", "_wall"}
)
"""What readers, and the making and joining of events and boxes after them, call columns of their own."""


def read_table(
    path: Path,
    *,
    missing: Sequence[str] = (),
    max_bytes: int = MAX_BYTES,
    encoding: str | None = None,
    header: Sequence[str] | None = None,
    comment: str | None = None,
) -> pl.DataFrame:
    """Read a table of text however it is written: delimiter, quotes, encoding, gzip are found out.

    What is no cell is taken away and noted: columns without name and content, row names of R and pandas,
    separators at the ends of lines. What stands for a missing value (`MISSING`) is null, counted and noted.
    A row with cells too many, whose quotes do not close, or that is the header once more, as where files were
    put together, cannot be used (`reject_rows`); one with cells
    too few has the last ones empty, as spreadsheets leave them, if no row ends with an empty cell and each
    of its cells looks like others of its column, and else, or where the reading is strict, cannot be used
    either.

    Args:
        path: the file.
        missing: more words that stand for a missing value, as a schema says.
        max_bytes: of the text.
        encoding: what the source says of it; what the user says goes before.
        header: the names of the columns, of a file that has none.
        comment: what the lines that are no rows begin with, as a descriptor says.

    Returns:
        One String column for each of the file's, stripped, and `_place` ("labels.csv line 7").

    Raises:
        DataError: missing, too large, in another encoding, without a header, or with a column name twice;
            or rows cannot be used, where that is refused.
        UsageError: the encoding that was asked for does not exist.
    """
    flat = None
    if header is None and comment is None:
        flat = _read_flat(path, missing, max_bytes=max_bytes, encoding=encoding)
    if flat is not None:
        return flat.with_columns(_line_text(path, pl.col("_line"))).drop("_line")
    return _read_by_record(
        path, missing, max_bytes=max_bytes, encoding=encoding, header=header, comment=comment
    )


def _line_text(path: Path, line: pl.Expr | pl.Series) -> pl.Expr:
    return pl.format("{} line {}", pl.lit(path.name), line).alias("_place")


def _read_by_record(
    path: Path,
    missing: Sequence[str],
    *,
    max_bytes: int,
    encoding: str | None,
    header: Sequence[str] | None,
    comment: str | None,
) -> pl.DataFrame:
    """As `read_table`, record by record: the way of all tables in which a row may be more than its line."""
    text = read_text(path, max_bytes, encoding)
    damaged = "\0" in text
    lines = list(io.StringIO(text, newline=""))
    del text
    if comment:
        lines = ["\n" if line.startswith(comment) else line for line in lines]
    dialect = _find_dialect(path, lines, headed=header is None)
    rows = _read_rows(path, lines, dialect, header, damaged=damaged)
    del lines
    whole = rows.table()
    names = _name_columns(path, rows.header, whole)
    table = whole.select(pl.col(f"column_{index}").alias(name) for index, name in names.items())
    table = mark_missing(table, table.columns, path.name, missing)
    return table.with_columns(_line_text(path, whole["line"]))


def read_records(path: Path) -> Iterator[list[str]]:
    """The cells of each row as they stand, the header first; empty lines are left out.

    For files whose every column and cell counts: nothing is stripped, left out or taken for missing.

    Raises:
        DataError: missing, too large, in another encoding or empty, or a quote does not close.
    """
    lines = list(io.StringIO(read_text(path, MAX_BYTES), newline=""))
    empty = True
    for line, row in _records(path, lines, _find_dialect(path, lines)):
        if row is None:
            raise DataError(f"{path} line {line} has a quote that is not closed.")
        if "\0" in "".join(row):
            raise DataError(f"{path} line {line} {_DAMAGED}.")
        empty = False
        yield row
    if empty:
        raise DataError(f"{path} is empty.")


def _find_dialect(path: Path, lines: Sequence[str], *, headed: bool = True) -> Dialect:
    dialect = find_dialect(lines, headed=headed)
    if dialect.titles:
        note(f"{path.name}: {dialect.describe_titles()}")
    return dialect


def read_flat_table(path: Path, needed: Sequence[str]) -> pl.DataFrame:
    """As `read_table`, with the number of each row's line and not its text: for tens of millions of rows.

    Args:
        path: the file.
        needed: columns that must be there.

    Returns:
        One String column for each of the file's, stripped, null where `read_table` has null, and `_line`,
        UInt32.

    Raises:
        DataError: as in `read_table`, or a column that is needed is missing.
    """
    table = _read_flat(path, ())
    if table is None:
        table = with_lines(read_table(path))
    refuse_missing_columns(path, table.columns, needed)
    return table


def _read_flat(
    path: Path, missing: Sequence[str], *, max_bytes: int = MAX_BYTES, encoding: str | None = None
) -> pl.DataFrame | None:
    """The columns of a table whose rows are all lines of one width, and `_line`; None of other tables."""
    head = _plain_head(path, max_bytes, encoding)
    table = None if head is None else _read_plain(path, dict.fromkeys(head[0], pl.String), head[1])
    if table is None:
        return None
    text = [name for name in table.columns if name != "_line"]
    _check_names(path, text)
    edges = table.select(pl.col(text).str.contains(r"^\s|\s$").any())
    padded = [name for name in text if edges[name][0]]
    if padded:
        table = table.with_columns(pl.col(padded).str.strip_chars().replace("", None))
    if table[text[-1]].null_count():
        table = table.filter(~pl.all_horizontal(pl.col(text).is_null()))  # lines without content
    return mark_missing(_without_headers(path, table, text), text, path.name, missing)


def _without_headers(path: Path, table: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """The rows without those that are the header once more; the first column tells where to look."""
    if len(names) < 2 or not (table[names[0]] == names[0]).any():
        return table
    again = pl.all_horizontal(pl.col(name) == name for name in names)
    placed = table.with_columns(pl.lit(path.name).alias("_file"))
    return reject_rows(placed, again, _HEADER_AGAIN).drop("_file")


def read_number_table(path: Path, needed: Sequence[str]) -> pl.DataFrame | None:
    """A table all of whose columns but those needed hold numbers, quickly; None where anything is unusual.

    What `read_table` would read as something else than it is written is unusual: a missing value, a row of
    another width, a word among numbers. It then says what it is.

    Returns:
        Those needed as in `read_flat_table`, the others Int8 if the first row has 0 and 1 only, else
        Float32, without nulls; and `_line`, UInt32.

    Raises:
        DataError: a column that is needed is missing.
    """
    head = _plain_head(path)
    if head is None:
        return None
    header, delimiter, first = head
    refuse_missing_columns(path, header, needed)
    cells = [cell.strip() for name, cell in zip(header, first, strict=False) if name not in needed]
    numbers = pl.Int8 if set(cells) <= {"0", "1"} else pl.Float32
    schema = {name: pl.String if name in needed else numbers for name in header}
    table = _read_plain(path, schema, delimiter)
    if table is None or any(table[name].null_count() for name in header if name not in needed):
        return None
    _check_names(path, header)
    stripped = table.with_columns(pl.col(needed).str.strip_chars().replace("", None))
    return mark_missing(stripped, list(needed), path.name, ())


def read_header(path: Path) -> list[str]:
    """The names of a table's columns, stripped; none where its beginning is not one. It reads little.

    For telling what a file is: names of bytes that are in no encoding known have signs for them.
    """
    if not path.is_file():
        return []
    lines = list(io.StringIO(read_start(path, _HEAD), newline=""))
    if len(lines) > 1 and path.stat().st_size > _HEAD:
        lines.pop()  # a part of one
    dialect = find_dialect(lines)
    try:
        return [name.strip() for name in next(dialect.reader(iter(lines[dialect.skipped :])), [])]
    except csv.Error:
        return []


def with_lines(table: pl.DataFrame) -> pl.DataFrame:
    """A table of `read_table` with `_line` for `_place`."""
    number = pl.col("_place").str.extract(r"(\d+)$").cast(pl.UInt32)
    return table.with_columns(number.alias("_line")).drop("_place")


def refuse_missing_columns(path: Path, have: Sequence[str], needed: Sequence[str]) -> None:
    """Refuse a table without a column that is needed.

    Raises:
        DataError: it is named, and what there is.
    """
    missing = [name for name in needed if name not in have]
    if missing:
        names = ", ".join(name for name in have if name not in ("_place", "_line"))
        raise DataError(f"{path} line 1: the column {' and '.join(missing)} is missing; it has: {names}.")


def rename_columns(table: pl.DataFrame, names: Mapping[str, str], source: Path) -> pl.DataFrame:
    """The table with those of its columns renamed that `names` has: theirs -> ours.

    Raises:
        DataError: it has a column of that name already.
    """
    twice = [f"{old} and {new}" for old, new in names.items() if {old, new} <= set(table.columns)]
    if twice:
        raise DataError(f"{source} has both {', '.join(twice)}: keep one of them.")
    return table.rename(dict(names), strict=False)


@dataclass
class _Rows:
    """Records of a table: those of the header's width in columns, the others by line."""

    header: list[str]
    frames: list[pl.DataFrame] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    cells: list[list[str]] = field(default_factory=list)
    odd: dict[int, list[str]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Rows of the header's width."""
        return sum(frame.height for frame in self.frames) + len(self.lines)

    def add(self, line: int, row: list[str]) -> None:
        self.lines.append(line)
        self.cells.append(row)
        if len(self.lines) == _CHUNK:
            self.flush()

    def flush(self) -> None:
        columns = list(zip(*self.cells, strict=True)) or [()] * len(self.header)
        series = [pl.Series(f"column_{n}", column, pl.String) for n, column in enumerate(columns)]
        frame = pl.DataFrame([pl.Series("line", self.lines, pl.Int64), *series])
        self.frames.append(frame.with_columns(pl.exclude("line").str.strip_chars().replace("", None)))
        self.lines, self.cells = [], []

    def table(self) -> pl.DataFrame:
        """`line`, and `column_0`, `column_1`, …: stripped, empty cells null."""
        if self.lines or not self.frames:
            self.flush()
        return pl.concat(self.frames).sort("line")


def _read_rows(
    path: Path, lines: list[str], dialect: Dialect, names: Sequence[str] | None, *, damaged: bool
) -> _Rows:
    records = _records(path, lines, dialect)
    header = next(records, (0, None))[1] if names is None else [*names]
    if header is None or not any(name.strip() for name in header):
        raise DataError(f"{path} is empty: it has no header line.")
    if damaged and "\0" in "".join(header):
        raise DataError(f"{path} line {dialect.skipped + 1}, the header, {_DAMAGED}.")
    rows = _Rows([name.strip() for name in header])
    width = len(header)
    broken: list[RejectedRow] = []
    for line, row in records:
        if row is None:
            broken.append(RejectedRow(f"{path.name} line {line}", "has a quote that is not closed"))
        elif not "".join(row).strip():
            continue
        elif damaged and "\0" in "".join(row):
            broken.append(RejectedRow(f"{path.name} line {line}", _DAMAGED))
        elif row == header and width > 1:
            broken.append(RejectedRow(f"{path.name} line {line}", _HEADER_AGAIN))
        elif len(row) == width:
            rows.add(line, row)
        else:
            rows.odd[line] = row
    if rows.odd and not rows.count and _have_row_names(rows, lines):
        rows.header.insert(0, "")
    _place_odd_rows(path, rows, broken, dialect.delimiter)
    return rows


class _Feed:
    """Lines from an index on that can be set back."""

    def __init__(self, lines: list[str], index: int) -> None:
        self._lines, self.index = lines, index

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        if self.index >= len(self._lines):
            raise StopIteration
        self.index += 1
        return self._lines[self.index - 1]


def _records(path: Path, lines: list[str], dialect: Dialect) -> Iterator[tuple[int, list[str] | None]]:
    """First line and cells of each record; cells None where a quote opens that does not close.

    Such a quote would take the rows below it into its cell: reading goes on with the line after it.
    """
    feed, torn, width = _Feed(lines, dialect.skipped), 0, None
    reader = dialect.reader(feed)
    while True:
        start = feed.index
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            row = None
        if row is not None and (
            feed.index == start + 1 or not _is_torn(lines[start : feed.index], row, width, dialect)
        ):
            if row:
                width = len(row) if width is None else width
                yield start + 1, row
            continue
        torn += 1
        if width is None or torn > _MOST_TORN:
            raise DataError(f"{path} line {start + 1} cannot be read as a table: a quote does not close.")
        feed.index = start + 1
        reader = dialect.reader(feed)
        yield start + 1, None


def _is_torn(lines: list[str], row: list[str], width: int | None, dialect: Dialect) -> bool:
    """Whether the lines of one record are rows of their own that a lone quote put together."""
    try:
        next(dialect.reader(iter(lines), strict=True))
    except csv.Error:
        return True
    if width is None or len(row) == width:
        return False
    return any(len(next(dialect.reader(iter([line])), [])) == width for line in lines[1:])


def _place_odd_rows(path: Path, rows: _Rows, broken: list[RejectedRow], delimiter: str) -> None:
    """Take in the rows of another width that are certain, and list the others."""
    width = len(rows.header)
    trailing: list[int] = []
    for line, row in list(rows.odd.items()):
        if len(row) >= width and not "".join(row[width:]).strip():
            rows.add(line, row[:width])
            trailing += [line] * (len(row) > width)
            del rows.odd[line]
    if trailing:
        note(f"{path.name}: rows end in separators behind which there is nothing ({len(trailing):,} do)")
    short = [] if current_reading().strict else _certainly_short(rows)
    for line in short:
        row = rows.odd.pop(line)
        rows.add(line, row + [""] * (width - len(row)))
    if short:
        first = ", ".join(str(line) for line in short[:5]) + (", …" if len(short) > 5 else "")
        note(
            f"{path.name}: rows without their last cells are taken to have empty ones ({len(short):,}): line "
            f"{first}"
        )
    hint = f"quote cells that hold a '{delimiter}', or put the missing cells in"
    listed = broken + [
        RejectedRow(
            f"{path.name} line {line}",
            f"has {many(len(row), 'cell')}, but the header names {many(width, 'column')}: {hint}",
        )
        for line, row in rows.odd.items()
    ]
    if listed:
        listed.sort(key=lambda row: int(row.where.rsplit(" ", 1)[1]))
        reject(listed[:MOST_KEPT], len(listed), of=len(listed) + rows.count)


def _have_row_names(rows: _Rows, lines: Sequence[str]) -> bool:
    """Whether rows have one cell more than the header, the first, which names them."""
    longer = {line: row for line, row in rows.odd.items() if len(row) == len(rows.header) + 1}
    quoted = all(lines[line - 1].lstrip().startswith('"') for line in longer)
    filled = any(row[-1].strip() for row in longer.values())
    return (
        filled
        and 2 * len(longer) > len(rows.odd)
        and are_row_names([row[0] for row in longer.values()], quoted=quoted)
    )


def _certainly_short(rows: _Rows) -> list[int]:
    """The rows that lack their last cells only because these are empty."""
    short = [line for line, row in rows.odd.items() if len(row) < len(rows.header)]
    if not short or not rows.count:
        return []
    table = rows.table()
    if table[:, -1].null_count():
        return []  # empty cells are written here
    shapes = [
        {shape(cell) for cell in table[:, index + 1].drop_nulls().unique().head(_SHAPES_OF)}
        for index in range(len(rows.header))
    ]
    return [
        line
        for line in short
        if all(
            not cell.strip() or shape(cell.strip()) in shapes[index]
            for index, cell in enumerate(rows.odd[line])
        )
    ]


def _name_columns(path: Path, header: Sequence[str], table: pl.DataFrame) -> dict[int, str]:
    """Index of each column that is one → its name; row names and columns without content are left out."""
    names: dict[int, str] = {}
    notes = []
    for index, name in enumerate(header):
        cells = table[f"column_{index}"]
        nameless = _NAMELESS.fullmatch(name) is not None
        if nameless and cells.null_count() == len(cells):
            continue
        if nameless and (index == 0 or name) and _count_rows(cells):
            notes.append(f"column {index + 1} numbers the rows and is left out")
        elif name and not _PATTERN.fullmatch(name):
            names[index] = name
        elif name:
            names[index] = f"column_{index + 1}"
            notes.append(f"column {index + 1}, '{name}', is called 'column_{index + 1}'")
        else:
            names[index] = f"column_{index + 1}"
            notes.append(f"column {index + 1} has no name and is called 'column_{index + 1}'")
    _check_names(path, list(names.values()))
    if notes:
        note(f"{path.name}: {'; '.join(notes)}")
    return names


def _count_rows(cells: pl.Series) -> bool:
    whole = cells.str.contains(r"^(0|[1-9][0-9]*)$").fill_null(False).all()  # 007 is a name
    return whole and cells.n_unique() == len(cells)


def _check_names(path: Path, names: Sequence[str]) -> None:
    if not names:
        raise DataError(f"{path} line 1 names no column.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path} line 1 names a column more than once: {', '.join(twice)}.")
    taken = sorted(TAKEN & set(names)) or [name for name in names if _PATTERN.fullmatch(name)]
    if taken:
        raise DataError(
            f"{path} line 1: rename the column {', '.join(taken)}, a name that readers use themselves."
        )


def _plain_head(
    path: Path, max_bytes: int = MAX_BYTES, encoding: str | None = None
) -> tuple[list[str], str, list[str]] | None:
    """Header, delimiter and first row of a table that is plain UTF-8 without any quote; None of others."""
    if not path.is_file() or path.stat().st_size > max_bytes or kind_of(path) != "text":
        return None
    if (current_reading().encoding or encoding or "utf-8").lower() not in ("utf-8", "utf8"):
        return None
    with path.open("rb") as file:
        start = file.read(_DIALECT)
    try:
        text = (
            start.decode("utf-8-sig")
            if len(start) < _DIALECT
            else start.rpartition(b"\n")[0].decode("utf-8-sig")
        )
    except UnicodeDecodeError:
        return None
    lines = list(io.StringIO(text, newline=""))
    dialect = find_dialect(lines)
    if not lines or dialect.skipped or dialect.quote != '"' or _has_quotes_or_lone_returns(path):
        return None
    rows = list(dialect.reader(iter(lines[:2])))
    header = [name.strip() for name in rows[0]]
    if any(_NAMELESS.fullmatch(name) or _PATTERN.fullmatch(name) for name in header):
        return None
    if len(set(header)) < len(header):
        return None
    return header, dialect.delimiter, rows[1] if len(rows) > 1 else []


def _has_quotes_or_lone_returns(path: Path) -> bool:
    """Whether a file has what Polars may read otherwise than csv does."""
    with path.open("rb") as file:
        while block := file.read(2**24):
            if block.endswith(b"\r"):
                block += file.read(1)
            if b'"' in block or b"\0" in block or b"\r" in block.replace(b"\r\n", b""):
                return True
    return False


def _read_plain(
    path: Path, schema: Mapping[str, pl.DataType | type[pl.DataType]], delimiter: str
) -> pl.DataFrame | None:
    """The table as Polars reads it; None where that is not sure to be what it says."""
    numbers = any(kind != pl.String for kind in schema.values())  # null where a cell is none
    try:
        table = pl.read_csv(
            path,
            schema=schema,
            separator=delimiter,
            quote_char=None,
            ignore_errors=numbers,
            null_values=[""],
            row_index_name="_line",
            row_index_offset=2,
        )
    except pl.exceptions.PolarsError:
        return None
    except pl.exceptions.PanicException:  # no Exception: how Polars meets some kinds of damage
        return None
    if numbers or not table.height or not table[:, -1].null_count():
        return table
    return None if _is_ragged(path, len(schema), delimiter) else table


def _is_ragged(path: Path, width: int, delimiter: str) -> bool:
    """Whether a row has fewer cells than the header; Polars fills it up without a word."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return any(line.count(delimiter) + 1 != width for line in file if line.strip())
