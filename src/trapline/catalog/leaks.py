"""What the parts of a split have in common and should not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import polars as pl

from trapline.catalog.facts import NEAR_MINUTES, LeakCheck
from trapline.catalog.identity import equal_files, media_files
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
    chosen = catalog.filter(pl.col("split").is_not_null())
    equal = equal_files(media_files(chosen)) if files else ()
    return replace(compare_parts(chosen.table, equal), by=by, files_checked=files)


def compare_parts(table: pl.DataFrame, equal: Sequence[Sequence[int]] = ()) -> LeakCheck:
    """What the parts of a table of media have in common.

    Args:
        table: `media_id`, `location_id`, `event_id`, `camera_time` and `split`, none of which is null.
        equal: groups of rows whose files are equal.
    """
    ids, parts = table["media_id"], table["split"]
    return LeakCheck(
        locations=_in_several_parts(table, "location_id"),
        events=_in_several_parts(table, "event_id"),
        duplicates=tuple(
            tuple(ids[row] for row in group) for group in equal if len({parts[row] for row in group}) > 1
        ),
        near=_near(table),
        without_location=table["location_id"].null_count(),
        one_location=table["location_id"].n_unique() == 1 and table["location_id"].null_count() == 0,
    )


def _in_several_parts(table: pl.DataFrame, column: str) -> tuple[str, ...]:
    pairs = table.select(column, "split").drop_nulls().unique()
    if pairs.height == pairs[column].n_unique():
        return ()
    return tuple(pairs.filter(pl.col(column).is_duplicated())[column].unique().sort().to_list())


def _near(table: pl.DataFrame) -> int:
    timed = table.select("location_id", "camera_time", "split").filter(pl.col("camera_time").is_not_null())
    timed = timed.sort("location_id", "camera_time")
    location, time, part = pl.col("location_id"), pl.col("camera_time"), pl.col("split")
    close = (location == location.shift()) & (time - time.shift() <= _NEAR) & (part != part.shift())
    return timed.filter(close.fill_null(False)).height
