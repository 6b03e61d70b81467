"""A card, or a folder of cards, as it comes from the cameras."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import polars as pl

from trapline.errors import UsageError, many
from trapline.formats.keywords import label_by_keywords
from trapline.formats.readers.cameras import name_cameras
from trapline.formats.readers.class_folders import refuse_what_may_be_labels
from trapline.formats.readers.draft import Draft
from trapline.formats.readers.exif_times import PHOTOS_AT_ONCE, add_exif
from trapline.formats.readers.folders import find_pictures
from trapline.formats.readers.path_pattern import apply_pattern
from trapline.formats.readers.registry import reader

AUTO = "auto"
"""Asked for as the location: folders and cameras say it, and what they leave open is one camera's."""

_CARD = r"^(DCIM|[1-9]\d\d[A-Z_][A-Z0-9_]{4})$"
"""Folders that cameras make by themselves (Design rule for Camera File system, JEITA CP-3461)."""


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
    keywords: Sequence[str] = (),
) -> Draft:
    """Photos as they come from the cameras: EXIF times, a location for each folder, events by time gap.

    Args:
        source: the folder.
        location_level: which folder level is the location, the first being 1; 0 for none. Folders that
            cameras make (`DCIM`, `100RECNX`) are no location.
        location: the one location of all photos, instead of folders; `auto` for what folders and cameras say
            (see `name_cameras`), where one card is one location.
        pattern: a regular expression with named groups over the path, as in `(?P<location>[^/]+)_card`;
            groups: location, deployment, event, frame, time, or a column of your own.
        exif: read each photo's EXIF data for its time and camera; without, it has none.
        keywords (KEYWORD): labels are the photos' keywords below this one, as in Species, or this one itself;
            read with ExifTool from the photos and their XMP sidecars. A model's answers are left out.

    Raises:
        DataError: no picture, or no photo has such a keyword.
        UsageError: an option that cannot be right.
    """
    if location_level < 0:
        raise UsageError(f"--location-level counts folders from 1 (0: no location), not {location_level}.")
    files = find_pictures(source)
    path = pl.col("file_path")
    given = None if location == AUTO else location
    rows = pl.concat(
        part.with_columns(path.alias("media_id"), path.alias("_place"), _location(given, location_level))
        for part in files.pictures.to_frame().iter_slices(PHOTOS_AT_ONCE)
    )
    notes: list[str] = []
    left_out = list(files.left_out)
    tables = sorted(file.name for file in source.glob("*.csv"))
    if tables:
        left_out.append(f"there are tables beside the photos ({', '.join(tables[:4])}), which are not read")
    if exif:
        rows, more = add_exif(rows, source)
        notes += more
    if keywords:
        rows, more = label_by_keywords(rows, source, keywords)
        notes += more
    if pattern is not None:
        rows, more = apply_pattern(rows, pattern)
        notes += more
    if location == AUTO:
        rows, more = name_cameras(rows, source.resolve().name or "card")
        notes += more
    without = rows["location_id"].null_count()
    if without:
        notes.append(
            f"{many(without, 'photo has')} no location; `trapline catalog --location NAME` gives one"
        )
    return Draft(
        rows,
        source,
        f"photo folder {source.name}",
        time_source="filename",
        notes=notes,
        left_out=left_out,
        unreadable_folders=files.unreadable_folders,
        from_disk=True,
    )


def _location(name: str | None, level: int) -> pl.Expr:
    if name is not None or level == 0:
        return pl.lit(name, pl.String).alias("location_id")
    folders = pl.col("file_path").str.split("/").list.head(pl.col("file_path").str.count_matches("/"))
    folder = folders.list.get(level - 1, null_on_oob=True)
    made_by_camera = folder.str.contains(_CARD)
    return pl.when(~made_by_camera).then(folder).alias("location_id")
