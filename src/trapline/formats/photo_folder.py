"""A card, or a folder of cards, as it comes from the cameras."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import polars as pl

from trapline.catalog import as_name
from trapline.errors import UsageError
from trapline.formats.class_folders import refuse_what_may_be_labels
from trapline.formats.draft import Draft
from trapline.formats.folders import find_pictures
from trapline.formats.path_pattern import apply_pattern
from trapline.formats.registry import reader

_CARD = r"^(DCIM|[1-9]\d\d[A-Z_][A-Z0-9_]{4})$"
"""Folders that cameras make by themselves (Design rule for Camera File system, JEITA CP-3461)."""

_PHOTOS_AT_ONCE = 4096
"""Photos whose EXIF is in memory as Python objects, of a card that may have any number."""

_EXIF_COLUMNS: dict[str, pl.DataType] = {
    "camera_time": pl.Datetime("us"),
    "timestamp": pl.Datetime("us", "UTC"),
    "camera_make": pl.String(),
    "camera_model": pl.String(),
    "camera_serial": pl.String(),
}


def _recognise(source: Path) -> str | None:
    if not source.is_dir():
        return None
    refuse_what_may_be_labels(source)
    return (
        "a folder of photos; nothing says that its folders are labels (if they are: --format class-folders)"
    )


@reader("photo_folder", recognise=_recognise, rank=9, event_gap=timedelta(seconds=60))
def read_photo_folder(
    source: Path,
    *,
    location_level: int = 1,
    location: str | None = None,
    pattern: str | None = None,
    exif: bool = True,
) -> Draft:
    """Photos as they come from the cameras: EXIF times, a location for each folder, events by time gap.

    Args:
        source: the folder.
        location_level: which folder below `source` is the location, the first being 1; 0 for none. Folders
            that cameras make (`DCIM`, `100RECNX`) are no location.
        location: the one location of all photos, instead of folders.
        pattern: a regular expression with named groups over the path, as in `(?P<location>[^/]+)_card`;
            groups: location, deployment, event, frame, time, or a column of your own.
        exif: read each photo's EXIF for its time and camera (pixels are not decoded).

    Raises:
        DataError: no picture.
        UsageError: an option that cannot be right.
    """
    if location_level < 0:
        raise UsageError(f"--location-level counts folders from 1 (0: no location), not {location_level}.")
    found = find_pictures(source)
    path = pl.col("file_path")
    rows = pl.concat(
        part.with_columns(path.alias("media_id"), path.alias("_place"), _location(location, location_level))
        for part in found.pictures.to_frame().iter_slices(_PHOTOS_AT_ONCE)
    )
    notes = list(found.notes)
    tables = sorted(file.name for file in source.glob("*.csv"))
    if tables:
        notes.append(f"there are tables beside the photos ({', '.join(tables[:4])}), which are not read")
    if exif:
        rows, more = _add_exif(rows, source)
        notes += more
    if pattern is not None:
        rows, more = apply_pattern(rows, pattern)
        notes += more
    without = rows["location_id"].null_count()
    if without:
        notes.append(f"{without:,} photos have no location; --location NAME or --location-level gives one")
    return Draft(rows, source, f"photo folder {source.name}", time_source="filename", notes=notes)


def _location(name: str | None, level: int) -> pl.Expr:
    if name is not None or level == 0:
        return pl.lit(name, pl.String).alias("location_id")
    folders = pl.col("file_path").str.split("/").list.head(pl.col("file_path").str.count_matches("/"))
    folder = folders.list.get(level - 1, null_on_oob=True)
    made_by_camera = folder.str.contains(_CARD)
    return pl.when(~made_by_camera).then(folder).alias("location_id")


def _add_exif(rows: pl.DataFrame, root: Path) -> tuple[pl.DataFrame, list[str]]:
    from trapline.images import read_exif

    problems: Counter[str] = Counter()
    silent = 0
    parts = []
    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
        for part in rows.select("file_path").iter_slices(_PHOTOS_AT_ONCE):
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
