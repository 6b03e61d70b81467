"""A table as a folder of Parquet files, as Spark, DuckDB, Polars and Arrow read and write long tables.

The files are `part-00000.parquet`, …, in the order of the rows. Beside them a JSON file, whose name begins
with `_` so that others leave it alone, says what is known of the whole and how many rows each file has; it is
written last: a folder without it is no table.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from trapline.catalog.parquet_file import for_polars
from trapline.errors import DataError, UsageError, name_some
from trapline.storage import beside, replace_text, sync_folder

_AT_ONCE = 2**16
"""Rows that are taken at a time where rows are counted out."""

_FILES = "files"


def scan_folder(folder: Path, header_name: str) -> tuple[pl.LazyFrame, dict[str, Any]]:
    """The rows of a table in several files, read as they are asked for, and what is known of the whole.

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
        rows_of = {name: int(rows) for name, rows in listed.items() if Path(name).name == name}
        if not rows_of or len(rows_of) < len(listed):
            raise ValueError("files are names with their numbers of rows")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is damaged: {error!r}.") from error
    missing = [name for name in rows_of if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder} is not whole: it lacks {name_some(missing)}. Copy it again.")
    frames = []
    for name, rows in rows_of.items():
        frames.append(pl.scan_parquet(folder / name, glob=False, hive_partitioning=False))
        try:
            there = frames[-1].select(pl.len()).collect().item()
        except (pl.exceptions.PolarsError, OSError, pl.exceptions.PanicException) as error:
            raise DataError(f"{folder / name} cannot be read as Parquet: {error}") from error
        if there != rows:
            raise DataError(f"{folder} was changed: {name} has {there:,} rows and not {rows:,}.")
    return pl.concat(frames), document


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
        folder: another such table that is there is replaced.
        header_name: of the file that says what is known of the whole.
        document: that, JSON-able.
        rows_per_file: of each file but the last.
        options: of `pl.LazyFrame.sink_parquet`.

    Raises:
        UsageError: something else is there.
        OSError: the disk is full or not writable.
    """
    refuse_other_folder(folder, header_name)
    partial, before = beside(folder, ".partial"), beside(folder, ".before")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        files: dict[str, int] = {}
        for part in parts_of(rows, rows_per_file):
            name = f"part-{len(files):05}.parquet"
            with for_polars(partial / name, "wb") as file:
                part.lazy().sink_parquet(file, sync_on_close="all", **options)
            files[name] = part.height
        replace_text(partial / header_name, json.dumps({**document, _FILES: files}, indent=1))
        sync_folder(partial)
        if os.path.lexists(folder):
            shutil.rmtree(before, ignore_errors=True)
            folder.rename(before)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync_folder(folder.parent)
    shutil.rmtree(before, ignore_errors=True)


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


def parts_of(rows: pl.LazyFrame, size: int) -> Iterator[pl.DataFrame]:
    """The rows in their order, `size` at a time; one part without rows where there are none."""
    waiting: list[pl.DataFrame] = []
    height, none_yet = 0, True
    for batch in rows.collect_batches(
        chunk_size=min(size, _AT_ONCE), maintain_order=True, engine="streaming"
    ):
        rest = batch
        while height + rest.height >= size:
            yield pl.concat([*waiting, rest[: size - height]])
            rest, waiting, height, none_yet = rest[size - height :], [], 0, False
        waiting, height = [*waiting, rest], height + rest.height
    if height or none_yet:
        yield pl.concat(waiting) if waiting else pl.DataFrame(schema=rows.collect_schema())
