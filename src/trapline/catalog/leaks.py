"""What the parts of a split have in common and should not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import polars as pl

from trapline.catalog.codes import torn
from trapline.catalog.counting import slices
from trapline.catalog.facts import NEAR_MINUTES, LeakCheck
from trapline.catalog.identity import equal_files, media_files
from trapline.catalog.parquet_file import streamed
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
    chosen = catalog.frame.filter(pl.col("split").is_not_null())
    equal = equal_files(media_files(replace(catalog, table=streamed(chosen)))) if files else ()
    return replace(compare_parts(chosen, equal), by=by, files_checked=files)


def compare_parts(media: pl.LazyFrame, equal: Sequence[Sequence[int]] = ()) -> LeakCheck:
    """What the parts of a table of media have in common.

    Args:
        media: `media_id`, `location_id`, `event_id`, `camera_time` and `split`, which is not null.
        equal: groups of rows whose files are equal.
    """
    location = pl.col("location_id")
    few = location.n_unique().alias("locations"), location.null_count().alias("unknown")
    rows, locations, unknown = streamed(media.select(pl.len(), *few)).row(0)
    twice = _rows_of(media, sorted({row for group in equal for row in group}))
    groups = [[twice[row] for row in group] for group in equal]
    return LeakCheck(
        locations=_in_several_parts(media, "location_id"),
        events=_in_several_parts(media, "event_id"),
        duplicates=tuple(
            tuple(media_id for media_id, _ in group)
            for group in groups
            if len({part for _, part in group}) > 1
        ),
        near=_near(media, rows),
        without_location=unknown,
        one_location=locations == 1 and unknown == 0,
    )


def _rows_of(media: pl.LazyFrame, rows: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Row → id and part of its media."""
    if not rows:
        return {}
    wanted = pl.col("_row").is_in(rows)
    chosen = media.select("media_id", "split").with_row_index("_row").filter(wanted)
    return {row: (media_id, part) for row, media_id, part in streamed(chosen).iter_rows()}


def _in_several_parts(media: pl.LazyFrame, column: str) -> tuple[str, ...]:
    return tuple(torn(media, column, "split")[column].unique().sort().to_list())


def _near(media: pl.LazyFrame, rows: int) -> int:
    location, time, part = pl.col("location_id"), pl.col("camera_time"), pl.col("split")
    timed = media.select("location_id", "camera_time", "split").drop_nulls()
    close = (location == location.shift()) & (time - time.shift() <= _NEAR) & (part != part.shift())
    return sum(
        some.sort("location_id", "camera_time", maintain_order=True).filter(close.fill_null(False)).height
        for some in slices(timed, location, rows)
    )
