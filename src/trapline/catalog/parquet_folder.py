"""A table as a folder of Parquet files, as Spark, DuckDB, Polars and Arrow read and write long tables.

The files are `part-00000.parquet`, …, in the order of the rows. Beside them a JSON file, whose name begins
with `_` so that others leave it alone, says what is known of the whole and how many rows each file has; it is
written last: a folder without it is no table.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from trapline.catalog.names import as_listed
from trapline.catalog.parquet_file import Cursor, for_polars, readable
from trapline.errors import DataError, UsageError, many, name_some
from trapline.storage import beside, replace_text, sync_folder

_AT_ONCE = 2**16
"""Rows that are taken at a time where rows are counted out."""

_FILES = "files"


@dataclass(frozen=True)
class ParquetFolder:
    """A table in several files, of which nothing but the header and the lengths were read.

    Attributes:
        rows_of: file -> its rows, in their order.
        document: what is known of the whole.
    """

    rows_of: Mapping[Path, int]
    document: dict[str, Any]

    @property
    def rows(self) -> int:
        """Of the whole."""
        return sum(self.rows_of.values())

    def scan(self) -> pl.LazyFrame:
        """The rows, read as they are asked for."""
        return pl.scan_parquet(list(self.rows_of), glob=False, hive_partitioning=False)


def find_folder(folder: Path, header_name: str) -> ParquetFolder:
    """The table in a folder.

    Raises:
        DataError: it is no such table, or not whole.
    """
    path = folder / header_name
    if not path.is_file():
        raise DataError(
            f"{folder} is a folder without {header_name}, which is written last: it is no such table, or its "
            "writing was broken off."
        )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        listed = document.pop(_FILES)
        rows_of = {folder / name: int(rows) for name, rows in listed.items() if Path(name).name == name}
        if not rows_of or len(rows_of) < len(listed):
            raise ValueError("files are names with their numbers of rows")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is damaged: {error!r}.") from error
    missing = [file.name for file in rows_of if not file.is_file()]
    if missing:
        raise DataError(f"{folder} is not whole: it lacks {name_some(missing)}. Copy it again.")
    for file, rows in rows_of.items():
        if (there := count_rows(file)) != rows:
            raise DataError(f"{folder} was changed: {file.name} has {many(there, 'row')} and not {rows:,}.")
    return ParquetFolder(rows_of, document)


def count_rows(path: Path) -> int:
    """How many rows a Parquet file says that it has.

    Raises:
        DataError: it cannot be read.
    """
    with readable(path), for_polars(path, "rb") as file:
        return int(pl.scan_parquet(file, glob=False).select(pl.len()).collect().item())


def write_folder(
    rows: pl.LazyFrame,
    folder: Path,
    header_name: str,
    document: Mapping[str, Any],
    rows_per_file: int,
    **options: Any,
) -> None:
    """Write a table as files of so many rows each; the folder appears when all of them are whole.

    Args:
        rows: worked out once, some at a time.
        folder: what is there is replaced; see `refuse_other_folder`.
        header_name: of the file that says what is known of the whole.
        document: that, JSON-able.
        rows_per_file: of each file but the last.
        options: of `pl.LazyFrame.sink_parquet`.

    Raises:
        OSError: the disk is full or not writable.
    """
    partial, before = beside(folder, ".partial"), beside(folder, ".before")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        schema, cursor = rows.collect_schema(), Cursor(rows, _AT_ONCE)
        files: dict[str, int] = {}
        while cursor.more() or not files:
            name = f"part-{len(files):05}.parquet"
            part = register_io_source(lambda *_: cursor.batches(rows_per_file), schema=schema)
            with for_polars(partial / name, "wb") as file:
                part.sink_parquet(file, sync_on_close="all", **options)
            files[name] = count_rows(partial / name)
        replace_text(partial / header_name, as_listed(json.dumps({**document, _FILES: files}, indent=1)))
        sync_folder(partial)
        if os.path.lexists(folder):
            _remove(before)
            folder.rename(before)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync_folder(folder.parent)
    _remove(before)


def _remove(path: Path) -> None:
    """Remove a table, be it a folder or a file."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def refuse_other_folder(folder: Path, header_name: str) -> None:
    """Refuse to put a table in several files where anything else is.

    Raises:
        UsageError: something else is there.
    """
    if not os.path.lexists(folder) or (folder / header_name).is_file():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise UsageError(
            f"{folder} is there and no such table: a folder of files would take its place. It is never "
            "overwritten, not even with --force: name another folder with -o."
        )
