"""Events: the media of one capture, put together by the time between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog.grouping import connected
from trapline.catalog.table import Catalog
from trapline.errors import DataError, UsageError

_CAMERA = ("location_id", "deployment_id")


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
    _check(catalog, gap)
    table = catalog.table
    open_rows = pl.col("event_id").is_null() & pl.col("camera_time").is_not_null()
    ordered = _sort_by_time(table, open_rows, gap)
    name = pl.concat_str(
        *(pl.col(column).fill_null("") for column in _CAMERA),
        pl.col("camera_time").dt.to_string("%Y-%m-%dT%H:%M:%S%.6f"),
        separator="/",
    )
    # whole seconds are written without a fraction, and nothing for a missing location
    name = name.str.replace(r"\.000000$", "").str.replace_all(r"/+", "/").str.strip_chars("/")
    begins = pl.col("_event").ne_missing(pl.col("_event").shift())
    first = ordered.filter(begins)["_row"]
    names = table.select(*_CAMERA, "camera_time")[first].select(name.alias("_name")).to_series()
    row = pl.int_range(pl.len())
    order = row - pl.when(begins).then(row).forward_fill() + 1
    new = ordered.select("_row", names.gather(ordered["_event"] - 1), order.alias("_order"))
    known = table.select("event_id", "frame").with_row_index("_row")
    events = known.join(new, on="_row", how="left", maintain_order="left").select(
        pl.coalesce("event_id", "_name").alias("event_id"), pl.coalesce("frame", "_order").alias("frame")
    )
    facts = replace(catalog.facts, event_gap_seconds=gap.total_seconds())
    return catalog.with_table(table.with_columns(events), facts)


def join_events(catalog: Catalog, gap: timedelta) -> Catalog:
    """Join the events of one location and deployment that lie at most `gap` apart.

    Publishers often cut one visit into several events, or give every photo its own. A joined event has the
    name of its first media's event, and `frame` is numbered anew (from 1) in order of time. Media without an
    event or a time stay as they are.

    Raises:
        UsageError: `gap` is not above zero.
        DataError: no media has a time.
    """
    _check(catalog, gap)
    table = catalog.table.with_row_index("_row")
    timed = pl.col("event_id").is_not_null() & pl.col("camera_time").is_not_null()
    ordered = _sort_by_time(catalog.table, timed, gap)
    if ordered.height == 0:
        return catalog
    columns = catalog.table.select("event_id", "camera_time", "frame", "file_path")
    ordered = columns[ordered["_row"]].hstack(ordered)
    ordered = ordered.with_columns(pl.Series("_joined", connected(ordered["_event"], ordered["event_id"])))
    new = ordered.sort("camera_time", "frame", "file_path").select(
        "_row",
        pl.col("event_id").first().over("_joined").alias("_name"),
        pl.col("_row").cum_count().over("_joined").cast(pl.Int64).alias("_order"),
        (pl.col("event_id").n_unique().over("_joined") > 1).alias("_changed"),
    )
    joined = table.join(new, on="_row", how="left", maintain_order="left").with_columns(
        pl.coalesce("_name", "event_id").alias("event_id"),
        pl.when(pl.col("_changed")).then("_order").otherwise("frame").alias("frame"),
    )
    return catalog.with_table(
        joined.drop("_row", "_name", "_order", "_changed"),
        replace(catalog.facts, event_join_seconds=gap.total_seconds()),
    )


def number_frames(rows: pl.DataFrame) -> pl.DataFrame:
    """Fill `frame` (from 1) with the order of the media of each event: by time, then by `_frame_number`.

    Cameras number files up to 9999 and begin again at 1 (0 on some), so that 9999 comes before 1 where both
    are in one event; larger numbers wrap at the next power of ten. Where the time of one of its media is
    unknown, the numbers alone order an event.

    Args:
        rows: with `event_id` (null: no frame), `_frame_number` (the number in the file's name, null if it has
            none), `file_path` and perhaps `camera_time`.

    Returns:
        the rows in their order, with `frame`, without `_frame_number`.
    """
    time = pl.col("camera_time") if "camera_time" in rows.columns else pl.lit(None, pl.Datetime("us"))
    keys = rows.select(_codes(rows), "_frame_number", time.alias("_time"), "file_path", _known="event_id")
    keys = _unwrap(keys.with_row_index("_row").filter(pl.col("_known").is_not_null()).drop("_known"))
    ordered = keys.sort("_event", "_time", "_frame_number", "file_path")
    row = pl.int_range(pl.len())
    begins = pl.col("_event").ne_missing(pl.col("_event").shift())
    frames = ordered.select("_row", (row - pl.when(begins).then(row).forward_fill() + 1).alias("frame"))
    rows = rows.drop("frame", "_frame_number", strict=False).with_row_index("_row")
    return rows.join(frames, on="_row", how="left", maintain_order="left").drop("_row")


def shot_order(
    times: Sequence[datetime | None], numbers: Sequence[int | None], names: Sequence[str]
) -> list[int]:
    """The rule of `number_frames` in plain Python, for one event: its indices in the order they were shot.

    It is packed into submissions of code, where there is no Polars.

    Args:
        times: of each media.
        numbers: in the files' names, None if there is none.
        names: of the files.
    """
    known = [number for number in numbers if number is not None]
    least, most = min(known, default=0), max(known, default=0)
    period = 10 ** max(len(str(most)), 4)
    wraps, timed = most - least > period / 2, None not in times

    def key(index: int) -> tuple[datetime | None, bool, int, str]:
        number = numbers[index]
        after = number is not None and wraps and number < period / 2
        time = times[index] if timed else None
        return time, number is not None, (number or 0) + period * after, names[index]

    return sorted(range(len(names)), key=key)


def frame_order(table: pl.DataFrame) -> npt.NDArray[np.int64]:
    """The rows of a catalog so that the media of each event stand in the order they were shot, int [N].

    Sources list them as they like. Media without a `frame` come last, in the order of the table.
    """
    frames = table["frame"].fill_null(np.iinfo(np.int64).max).to_numpy()
    return np.argsort(frames, kind="stable")


def _codes(rows: pl.DataFrame) -> pl.Series:
    """`_event`: a number for each event. Most sources name the media of an event one after the other."""
    runs = rows["event_id"].rle_id()
    if rows.height and runs[-1] + 1 == rows["event_id"].n_unique():
        return runs.alias("_event")
    return rows["event_id"].rank("dense").alias("_event")


def _unwrap(keys: pl.DataFrame) -> pl.DataFrame:
    """`_frame_number` continued over the wrap, and no `_time` in events where one is unknown."""
    number, most = pl.col("_frame_number"), pl.col("_most")
    spans = keys.group_by("_event").agg(
        number.min().alias("_least"),
        number.max().alias("_most"),
        pl.col("_time").is_null().any().alias("_untimed"),
    )
    period = 10 ** pl.max_horizontal(most.cast(pl.String).str.len_chars(), 4).cast(pl.Int64)
    wraps = (most - pl.col("_least") > period / 2).fill_null(False)
    few = spans.select("_event", pl.when(wraps).then(period).alias("_period"), "_untimed")
    few = few.filter(pl.col("_period").is_not_null() | pl.col("_untimed"))
    keys = keys.join(few, on="_event", how="left", maintain_order="left")
    early = (number < pl.col("_period") / 2).fill_null(False)
    return keys.with_columns(
        pl.when(early).then(number + pl.col("_period")).otherwise(number).alias("_frame_number"),
        pl.when(pl.col("_untimed").is_null() | ~pl.col("_untimed")).then("_time").alias("_time"),
    )


def _check(catalog: Catalog, gap: timedelta) -> None:
    if gap <= timedelta(0):
        raise UsageError(f"The time between events must be above zero, not {gap}.")
    if catalog.table["camera_time"].null_count() == len(catalog):
        raise DataError(
            "Events by a time gap need times, and no media of the catalog has one. Of a table or of class "
            "folders, --exif reads those of the photos."
        )


def _sort_by_time(table: pl.DataFrame, wanted: pl.Expr, gap: timedelta) -> pl.DataFrame:
    """`_row` of the wanted rows in order of time at each camera, and `_event`: in which run, from 1.

    A run ends where more than `gap` lies before the next row. Names are numbers here, and where paths are in
    order already so is the row: strings would take several times the memory of a long card.
    """
    path = [] if table["file_path"].is_sorted() else ["file_path"]
    camera_columns = (pl.col(name).cast(pl.Categorical).to_physical() for name in _CAMERA)
    keys = table.select(*camera_columns, "camera_time", "frame", *path).with_row_index("_row")
    keys = keys.filter(table.select(wanted).to_series()).sort(*_CAMERA, "camera_time", "frame", *path, "_row")
    moved = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift()) for name in _CAMERA)
    begins = (moved | (pl.col("camera_time").diff() > gap)).fill_null(True)  # null: the first row
    return keys.select("_row", begins.cum_sum().alias("_event"))
