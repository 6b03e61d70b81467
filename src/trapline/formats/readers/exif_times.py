"""Times and cameras from the EXIF of photos, for readers whose source does not say them."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from trapline.catalog import as_name

PHOTOS_AT_ONCE = 512
"""Photos whose EXIF is in memory as Python objects, of a card that may have any number."""

_EXIF_COLUMNS: dict[str, pl.DataType] = {
    "camera_time": pl.Datetime("us"),
    "timestamp": pl.Datetime("us", "UTC"),
    "camera_make": pl.String(),
    "camera_model": pl.String(),
    "camera_serial": pl.String(),
}


def add_exif(rows: pl.DataFrame, root: Path) -> tuple[pl.DataFrame, list[str]]:
    """Rows with `file_path` and, of each photo, its clock and camera; also what is to be told of it.

    Pixels are not decoded.
    """
    from trapline.images import read_exif

    problems: Counter[str] = Counter()
    silent = 0
    parts = []
    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
        for part in rows.select("file_path").iter_slices(PHOTOS_AT_ONCE):
            infos = list(pool.map(read_exif, [root / as_name(path) for path in part["file_path"]]))
            problems.update(info.problem for info in infos if info.problem is not None)
            silent += sum(info.camera_time is None and info.problem is None for info in infos)
            times = [(info.camera_time, info.timestamp, info.make, info.model, info.serial) for info in infos]
            parts.append(pl.DataFrame(times, schema=_EXIF_COLUMNS, orient="row"))
    known = pl.col("camera_time").is_not_null()
    rows = rows.hstack(pl.concat(parts)).with_columns(
        pl.when(known).then(pl.lit("exif")).otherwise(pl.lit("none")).alias("timestamp_source")
    )
    notes = [f"EXIF: {count:,} photos: {problem}" for problem, count in problems.most_common(5)]
    return rows, notes + ([f"EXIF: {silent:,} photos have no time"] if silent else [])
