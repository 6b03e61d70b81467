"""Which camera took which photo of a card, where nobody has said it: by folders and by serial numbers."""

from __future__ import annotations

import polars as pl

from trapline.errors import many, name_some

_DATE = r"(?i)^(19|20)\d\d([-_. ]?(0[1-9]|1[0-2])([-_. ]?[0-3]\d)?)?$"
"""Folders of a year, a month or a day, into which one camera's photos are put."""


def name_cameras(rows: pl.DataFrame, name: str) -> tuple[pl.DataFrame, list[str]]:
    """Give the photos of a card locations: one, unless folders or serial numbers are clearly several.

    Folders are cameras unless they are named like dates, or their photos are of one serial number and lie
    between one another in time: a camera is not in two folders at once. Where no folder is a camera, several
    serial numbers are several cameras, and photos without one are then of no known location.

    Args:
        rows: `location_id` as folders say it; `camera_serial` and `camera_time` where EXIF data were read.
        name: of the folder of all photos: the location of what no folder places.

    Returns:
        the rows, and what was decided, for people.
    """
    folders = rows["location_id"]
    serials = rows["camera_serial"] if "camera_serial" in rows.columns else folders.clear(rows.height)
    several = serials.drop_nulls().unique().sort().to_list()
    why = _why_no_cameras(rows, len(several))
    if why is None:
        count = folders.drop_nulls().n_unique()
        loose = folders.null_count()
        rest = f"; {many(loose, 'photo that lies in none is')} of '{name}'" if loose else ""
        cameras = (
            "1 folder is a location" if count == 1 else f"{count:,} folders are locations, a camera each"
        )
        return rows.with_columns(pl.col("location_id").fill_null(name)), [f"{cameras}{rest}"]
    if len(several) > 1:
        location = pl.when(serials.is_not_null()).then(pl.lit("camera ") + serials)
        without = serials.null_count()
        rest = f"; {many(without, 'photo without one is')} of no known location" if without else ""
        numbers = name_some(several)
        return rows.with_columns(location.alias("location_id")), [
            f"{many(len(several), 'camera')} by their serial numbers ({numbers}), a location each{rest}"
        ]
    return rows.with_columns(pl.lit(name).alias("location_id")), [
        f"all photos are taken for one camera's at one location, '{name}'{why}"
    ]


def _why_no_cameras(rows: pl.DataFrame, serials: int) -> str | None:
    """Why the folders are no cameras; None if they are."""
    folders = rows["location_id"].drop_nulls()
    if folders.is_empty():
        return ""
    if folders.str.contains(_DATE).all():
        return ": its folders are named like dates"
    if serials == 1 and folders.n_unique() > 1 and _is_one_camera(rows):
        return ": its folders hold photos of one serial number, taken in turn"
    return None


def _is_one_camera(rows: pl.DataFrame) -> bool:
    """Whether all photos have one serial number, and those of different folders lie between one another."""
    if rows["camera_serial"].null_count() or rows["camera_time"].null_count():
        return False
    spans = (
        rows.group_by("location_id")
        .agg(first=pl.col("camera_time").min(), last=pl.col("camera_time").max())
        .sort("first")
    )
    return bool((spans["first"].shift(-1) < spans["last"]).drop_nulls().all())
