"""Tables as text (CSV, TSV), read whole as strings with the line of every row."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import polars as pl

from trapline.errors import DataError, UsageError

MAX_BYTES = 2 * 1024**3


def read_text_table(path: Path, *, encoding: str = "utf-8") -> pl.DataFrame:
    """Read a CSV, semicolon- or tab-separated file; the separator is found from the header.

    Returns:
        One String column for each of the file's, stripped, empty cells null, and `_place`
        ("labels.csv line 7") for errors.

    Raises:
        DataError: missing, too large, not in `encoding`, without a header, a column name twice or empty,
            or a row with more or fewer cells than the header; the line is named.
    """
    text = _decoded(path, encoding)
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


def _decoded(path: Path, encoding: str) -> str:
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
