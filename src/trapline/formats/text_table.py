"""Tables as text (CSV, TSV), read whole with the line of every row."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from trapline.errors import DataError, UsageError

MAX_BYTES = 2 * 1024**3

_TAKEN = frozenset(
    {"_box", "_changed", "_event", "_file", "_folders", "_found", "_frame_number", "_given", "_head"}
    | {"_instant", "_joined", "_known", "_label", "_labels", "_line", "_looked", "_name", "_named", "_offset"}
    | {"_order", "_place", "_roll", "_row", "_shift", "_time_text", "_wall"}
)
"""What readers, and the making and joining of events and boxes after them, call columns of their own."""


def read_text_table(path: Path, *, encoding: str = "utf-8") -> pl.DataFrame:
    """Read a CSV, semicolon- or tab-separated file; the separator is found from the header.

    Returns:
        One String column for each of the file's, stripped, empty cells null, and `_place`
        ("labels.csv line 7") for errors.

    Raises:
        DataError: missing, too large, not in `encoding`, without a header, a column name twice or empty,
            or a row with more or fewer cells than the header; the line is named.
    """
    text = _decode(path, encoding)
    first = text.lstrip("\r\n").split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        header = [name.strip() for name in next((row for row in reader if row), [])]
        _check_header(path, header)
        lines, rows = [], []
        last = reader.line_num
        for row in reader:
            start, last = last + 1, reader.line_num
            if len(row) != len(header):
                if not row or not "".join(row).strip():
                    continue
                raise DataError(
                    f"{path.name} line {start} has {len(row)} cells, but the header names {len(header)} "
                    f"columns ({path}). Quote cells that hold a '{separator}', or put the missing cells in."
                )
            lines.append(start)
            rows.append(row)
    except csv.Error as error:
        raise DataError(f"{path} line {reader.line_num} cannot be read as a table: {error}") from error
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    series = [pl.Series(name, column, pl.String) for name, column in zip(header, columns, strict=True)]
    stripped = pl.DataFrame(series).with_columns(pl.all().str.strip_chars().replace("", None))
    return stripped.with_columns(
        pl.format("{} line {}", pl.lit(path.name), pl.Series(lines, dtype=pl.Int64)).alias("_place")
    )


def read_flat_table(path: Path, needed: Sequence[str], *, numbers: bool = False) -> pl.DataFrame:
    """Read a CSV of a row a line, quickly enough for tens of millions of them.

    Other than in `read_text_table`, cells hold no line ends, and the separator is the comma.

    Args:
        path: the file.
        needed: columns that must be there.
        numbers: all columns but those that are needed hold numbers, and are read as such: Int8 if the
            first row has whole numbers only, else Float32; null where a cell is something else.

    Returns:
        One column for each of the file's, else String, stripped, empty cells null, and `_line`, UInt32.

    Raises:
        DataError: missing, too large, not UTF-8, without a header, without a column that is needed, or a
            row with more or fewer cells than the header; the line is named.
    """
    header, first = _first_rows(path, needed)
    whole = all(
        cell.strip() in ("0", "1") for name, cell in zip(header, first, strict=False) if name not in needed
    )
    others = (pl.Int8 if whole else pl.Float32) if numbers else pl.String
    schema = {name: pl.String if name in needed else others for name in header}
    try:
        table = pl.read_csv(
            path,
            schema=schema,
            ignore_errors=numbers,
            null_values=[""],
            row_index_name="_line",
            row_index_offset=2,
        )
    except pl.exceptions.PolarsError as error:
        _refuse_ragged(path, len(header))
        raise DataError(f"{path} cannot be read as a table: {error}") from error
    except pl.exceptions.PanicException as error:  # no Exception: how Polars meets some kinds of damage
        raise DataError(f"{path} cannot be read as a table: it is damaged.") from error
    if table.height and table[header[-1]].null_count():
        _refuse_ragged(path, len(header))
    text = [name for name, kind in schema.items() if kind == pl.String]
    edges = table.select(pl.col(text).str.contains(r"^\s|\s$").any())
    padded = [name for name in text if edges[name][0]]
    return table.with_columns(pl.col(padded).str.strip_chars().replace("", None)) if padded else table


def _first_rows(path: Path, needed: Sequence[str]) -> tuple[list[str], list[str]]:
    """The header, checked, and the row after it."""
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path} is larger than {MAX_BYTES // 1024**3} GiB; split it.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            first = next(reader, [])
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8.") from error
    _check_header(path, header)
    missing = [name for name in needed if name not in header]
    if missing:
        raise DataError(
            f"{path} line 1: the column {' and '.join(missing)} is missing; it has: {', '.join(header)}."
        )
    return header, first


def _refuse_ragged(path: Path, width: int) -> None:
    """Name the first line with another number of cells; Polars does not say where it is."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.reader(file)
        for row in reader:
            if row and len(row) != width:
                raise DataError(
                    f"{path.name} line {reader.line_num} has {len(row)} cells, but the header names {width} "
                    f"columns ({path}). Quote cells that hold a ',', or put the missing cells in."
                )


def describe_lines(rows: pl.DataFrame) -> pl.Series:
    """File and line of each row, from its `_place`, or its `_file` and `_line`."""
    if "_place" in rows.columns:
        return rows["_place"]
    return rows.select(pl.format("{} line {}", pl.col("_file").cast(pl.String), "_line")).to_series()


def describe_line(path: Path, line: int) -> str:
    """How a line of a file is named in messages."""
    return f"{path.name} line {line}"


def _decode(path: Path, encoding: str) -> str:
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path} is larger than {MAX_BYTES // 1024**3} GiB; split it.")
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path} line {line} is not {encoding}. Name its encoding (Excel often writes cp1252): "
            "--encoding cp1252."
        ) from error
    except LookupError as error:
        raise UsageError(
            f"There is no encoding '{encoding}'; usual ones are utf-8, cp1252, utf-16."
        ) from error


def _check_header(path: Path, header: list[str]) -> None:
    if not header:
        raise DataError(f"{path} is empty: it has no header line.")
    if "" in header:
        raise DataError(f"{path} line 1: column {header.index('') + 1} has no name.")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{path} line 1 names a column more than once: {', '.join(twice)}.")
    taken = sorted(_TAKEN & set(header))
    if taken:
        raise DataError(
            f"{path} line 1: rename the column {', '.join(taken)}, a name that readers use themselves."
        )


def rename_columns(table: pl.DataFrame, names: Mapping[str, str], source: Path) -> pl.DataFrame:
    """The table with those of its columns renamed that `names` has: theirs -> ours.

    Raises:
        DataError: it has a column of that name already.
    """
    twice = [f"{old} and {new}" for old, new in names.items() if {old, new} <= set(table.columns)]
    if twice:
        raise DataError(f"{source} has both {', '.join(twice)}: keep one of them.")
    return table.rename(dict(names), strict=False)
