"""What the parts of a split have in common and should not."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from trapline.catalog.duplicates import exact_duplicates
from trapline.catalog.facts import NEAR_MINUTES, LeakCheck
from trapline.catalog.table import Catalog

_NEAR = timedelta(minutes=NEAR_MINUTES)


def check_leaks(catalog: Catalog, *, files: bool = True) -> LeakCheck:
    """Look for locations, events and equal files that lie in more than one part of the catalog's split.

    Args:
        catalog: with a split; media in no part do not count.
        files: also compare the content of the files (those of equal size are read).
    """
    record = catalog.facts.split
    return find_leaks(catalog, None if record is None else record.by, files)


def find_leaks(catalog: Catalog, by: str | None, files: bool) -> LeakCheck:
    """The same for a split made by `by` that the catalog has no record of yet."""
    wanted = [
        "location_id",
        "event_id",
        "camera_time",
        "split",
        *(("media_id", "file_path") if files else ()),
    ]
    table = catalog.table.select(wanted).filter(pl.col("split").is_not_null())
    return LeakCheck(
        locations=_in_several_parts(table, "location_id"),
        events=_in_several_parts(table, "event_id"),
        duplicates=_shared_files(catalog, table) if files else (),
        near=_near(table),
        without_location=table["location_id"].null_count(),
        by=by,
        files_checked=files,
    )


def _in_several_parts(table: pl.DataFrame, column: str) -> tuple[str, ...]:
    pairs = table.select(column, "split").drop_nulls().unique()
    if pairs.height == pairs[column].n_unique():
        return ()
    return tuple(pairs.filter(pl.col(column).is_duplicated())[column].unique().sort().to_list())


def _shared_files(catalog: Catalog, table: pl.DataFrame) -> tuple[tuple[str, ...], ...]:
    groups = exact_duplicates([catalog.path(path) for path in table["file_path"]])
    ids, parts = table["media_id"].to_list(), table["split"].to_list()
    return tuple(
        tuple(ids[row] for row in group) for group in groups if len({parts[row] for row in group}) > 1
    )


def _near(table: pl.DataFrame) -> int:
    timed = table.select("location_id", "camera_time", "split").filter(pl.col("camera_time").is_not_null())
    timed = timed.sort("location_id", "camera_time")
    location, time, part = pl.col("location_id"), pl.col("camera_time"), pl.col("split")
    close = (location == location.shift()) & (time - time.shift() <= _NEAR) & (part != part.shift())
    return timed.filter(close.fill_null(False)).height
