"""Events: the media of one capture, put together by the time between them."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from trapline.catalog.table import Catalog
from trapline.errors import DataError, UsageError


def assign_events(catalog: Catalog, gap: timedelta) -> Catalog:
    """Give every media without an event one, by the time between it and the media before it.

    Media of one location and deployment are ordered by `camera_time` (then frame, then path); a new event
    begins where more than `gap` lies between one and the next. Events that the source named are kept, and
    media without a time get none: nothing says what they belong to. A new event's name is its location,
    deployment and first moment, so that it stays the same when more photos come in; `frame` (from 1) is
    filled with the order in the event where it is null.

    Raises:
        UsageError: `gap` is not above zero.
        DataError: no media has a time.
    """
    if gap <= timedelta(0):
        raise UsageError(f"The time between events must be above zero, not {gap}.")
    table = catalog.table.with_row_index("_row")
    if table["camera_time"].null_count() == table.height:
        raise DataError("Events by a time gap need times, and no media of the catalog has one.")
    place = ["location_id", "deployment_id"]
    open_rows = table.filter(pl.col("event_id").is_null() & pl.col("camera_time").is_not_null())
    ordered = open_rows.sort(*place, "camera_time", "frame", "file_path")
    begins = (pl.col("camera_time").diff().over(place) > gap).fill_null(True)
    ordered = ordered.with_columns(begins.cum_sum().over(place).alias("_event"))
    name = pl.concat_str(
        *(pl.col(column).fill_null("") for column in place),
        pl.col("camera_time").first().over(*place, "_event").dt.to_string("%Y-%m-%dT%H:%M:%S%.6f"),
        separator="/",
    )
    # whole seconds are written without a fraction, and nothing for a missing place
    name = name.str.replace(r"\.000000$", "").str.replace_all(r"/+", "/").str.strip_chars("/")
    new = ordered.select(
        "_row",
        name.alias("_name"),
        pl.col("camera_time").cum_count().over(*place, "_event").cast(pl.Int64).alias("_order"),
    )
    joined = table.join(new, on="_row", how="left", maintain_order="left").with_columns(
        pl.coalesce("event_id", "_name").alias("event_id"), pl.coalesce("frame", "_order").alias("frame")
    )
    return catalog.with_table(joined.drop("_row", "_name", "_order"), event_gap_seconds=gap.total_seconds())
