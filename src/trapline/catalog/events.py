"""Events: the media of one capture, put together by the time between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog.grouping import connected
from trapline.catalog.table import Catalog
from trapline.errors import DataError, UsageError

_CAMERA = ("location_id", "deployment_id")

_DIGITS, _DIGITS_UNTIMED = 3, 4
"""The fewest digits of a camera's counter: of photos of one moment, and of an event without times, which may
have been long."""

_CAMERA_FOLDER = r"(^|/)([1-9][0-9]{2})([A-Za-z0-9_]{5})$"
"""`100RECNX`: folders that cameras make and count (Design rule for Camera File system, JEITA CP-3461)."""

_MOST_NUMBERS = 8
_AT_ONCE = 100_000
"""Moments whose photos' names are in memory, of a card that may have any number."""


def assign_events(catalog: Catalog, gap: timedelta) -> Catalog:
    """Give every media without an event one, by the time between it and the media before it.

    Media of one location and deployment are ordered by `camera_time`, then frame, then the numbers in their
    names (over the end of the camera's counter, see `shooting_order`), then path; a new event begins where
    more than `gap` lies between one and the next. Events that the source named are kept, and media without a
    time get none: nothing says what they belong to. A new event's name is its location, deployment and first
    moment, so that it stays the same when more photos come in; `frame` (from 1) is filled with the order in
    the event where it is null.

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
    columns = catalog.table.select("event_id", "camera_time", "frame")
    ordered = columns[ordered["_row"]].hstack(ordered)
    ordered = ordered.with_columns(pl.Series("_joined", connected(ordered["_event"], ordered["event_id"])))
    new = ordered.sort("camera_time", "frame", maintain_order=True).select(
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

    Cameras number files up to 9999, or another number of nines, and begin again at 1 or 0: where numbers of
    one moment lie further apart than half of what the counter counts, the higher ones come first. Where the
    time of one of its media is unknown, the numbers alone order an event.

    Args:
        rows: with `event_id` (null: no frame), `_frame_number` (the number in the file's name, null if it has
            none), `file_path` and perhaps `camera_time`.

    Returns:
        the rows in their order, with `frame`, without `_frame_number`.
    """
    time = pl.col("camera_time") if "camera_time" in rows.columns else pl.lit(None, pl.Datetime("us"))
    keys = rows.select(_codes(rows), "_frame_number", time.alias("_time"), "file_path", _known="event_id")
    keys = keys.with_row_index("_row").filter(pl.col("_known").is_not_null()).drop("_known")
    untimed = keys.filter(pl.col("_time").is_null())["_event"].unique()
    if len(untimed):
        whole = pl.col("_event").is_in(untimed.implode())
        keys = keys.with_columns(pl.when(~whole).then("_time").alias("_time"))
    digits = pl.when(pl.col("_time").is_null()).then(_DIGITS_UNTIMED).otherwise(_DIGITS)
    keys = _unwrap(keys.with_columns(digits.alias("_digits")), ["_event", "_time"], "_frame_number")
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
    timed = None not in times
    of_moment: dict[datetime | None, list[int]] = {}
    for time, number in zip(times, numbers, strict=True):
        if number is not None:
            of_moment.setdefault(time if timed else None, []).append(number)
    digits = _DIGITS if timed else _DIGITS_UNTIMED
    continued = {time: _continue(some, digits) for time, some in of_moment.items()}

    def key(index: int) -> tuple[datetime | None, bool, int, str]:
        time, number = times[index] if timed else None, numbers[index]
        return time, number is not None, 0 if number is None else continued[time][number], names[index]

    return sorted(range(len(names)), key=key)


def _continue(numbers: Sequence[int], digits: int) -> dict[int, int]:
    """Each number -> where it stands on a counter that did not begin again."""
    ordered = sorted(set(numbers))
    period = 10 ** max(len(str(ordered[-1])), digits)
    widest, start = max(((high - low, high) for low, high in pairwise(ordered)), default=(0, 0))
    again = 2 * widest > period
    return {number: number + period * (again and number < start) for number in ordered}


def shooting_order(paths: pl.Series, moments: pl.Series) -> pl.Series:
    """The indices of media of one moment after another, in the order that the numbers in their names tell.

    The first number that differs tells it. A counter that came to its end and began again is continued
    (`IMG_9999`, `IMG_0001`; `RCNX0999`, `RCNX0001`; `IMG_9999_2`, `IMG_0001_1`), and the numbers of the
    folders that cameras make come first (`100RECNX`, `101RECNX`). Media of other folders are not mixed.

    Args:
        paths: of the media.
        moments: a number for each that is the same for those of one moment, in ascending order.

    Returns:
        indices, UInt32, those of one moment together.
    """
    folder = paths.str.extract("^(.*)/").fill_null("")
    runs = paths.str.replace("^.*/", "").str.replace(r"\.[^.]*$", "").str.extract_all("[0-9]+")
    keys = pl.DataFrame(
        {
            "_event": moments,
            "_letters": folder.str.replace(_CAMERA_FOLDER, "${1}${3}"),
            "_path": paths,
            "_0": folder.str.extract(_CAMERA_FOLDER, 2).cast(pl.Int64),
        }
    ).with_row_index("_row")
    group, digits = ["_event", "_letters"], pl.lit(_DIGITS)
    for number in range(_MOST_NUMBERS + 1):
        name = f"_{number}"
        if number:
            run = runs.list.get(number - 1, null_on_oob=True)
            if run.null_count() == len(run):
                break
            keys = keys.with_columns(run.cast(pl.Int64, strict=False).alias(name))
            digits = pl.when(pl.lit(run.str.len_chars()) == 2).then(2).otherwise(_DIGITS)
        keys = _unwrap(keys.with_columns(digits.alias("_digits")), group, name)
        group.append(name)
    return keys.sort(*group, "_path")["_row"]


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


def _unwrap(keys: pl.DataFrame, group: Sequence[str], number: str) -> pl.DataFrame:
    """A column of numbers continued where the counter began again, within each group of rows.

    Args:
        keys: with `_digits`, the fewest that the counter has; it is dropped.
        group: columns that are the same in a group.
        number: the column.
    """
    row = pl.col(number)
    ordered = keys.select(*group, number, "_digits").drop_nulls(number).sort(*group, number)
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift()) for name in group)
    step = pl.when(same).then(row.diff())
    wide = ordered.with_columns(step.alias("_step")).filter(
        2 * pl.col("_step") > _power_of_ten(pl.col("_digits"))
    )
    keys = keys.drop("_digits")
    if wide.is_empty():
        return keys
    groups = ordered.join(wide.select(group).unique(), on=group, how="semi", nulls_equal=True)
    most = groups.group_by(group).agg(row.max().alias("_most"), pl.col("_digits").max())
    widest = wide.sort("_step").group_by(group, maintain_order=True).agg(pl.col("_step", number).last())
    widest = widest.rename({number: "_start"}).join(most, on=group, nulls_equal=True)
    period = _power_of_ten(pl.max_horizontal(pl.col("_most").cast(pl.String).str.len_chars(), "_digits"))
    again = widest.with_columns(period.alias("_period")).filter(2 * pl.col("_step") > pl.col("_period"))
    keys = keys.join(
        again.select(*group, "_start", "_period"),
        on=group,
        how="left",
        maintain_order="left",
        nulls_equal=True,
    )
    continued = pl.when(row < pl.col("_start")).then(row + pl.col("_period")).otherwise(row)
    return keys.with_columns(continued.alias(number)).drop("_start", "_period")


def _power_of_ten(digits: pl.Expr) -> pl.Expr:
    return pl.lit(10, pl.Int64).pow(digits.cast(pl.UInt32))


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
    return _order_moments(keys, table["file_path"]).select("_row", begins.cum_sum().alias("_event"))


def _order_moments(keys: pl.DataFrame, paths: pl.Series) -> pl.DataFrame:
    """`_row` of the rows of one moment in the order of the numbers in their names; all else is the same."""
    columns = [*_CAMERA, "camera_time", "frame"]
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift()) for name in columns)
    moments = keys.select("_row", (~same.fill_null(False)).cum_sum().alias("_moment")).with_row_index(
        "_index"
    )
    with_others = (pl.col("_moment") == pl.col("_moment").shift()) | (
        pl.col("_moment") == pl.col("_moment").shift(-1)
    )
    moments = moments.filter(with_others.fill_null(False))
    rows = keys["_row"].clone()
    for part in moments.group_by(pl.col("_moment") // _AT_ONCE, maintain_order=True):
        some = part[1]
        order = shooting_order(paths[some["_row"]], some["_moment"])
        rows = rows.scatter(some["_index"], some["_row"][order])
    return keys.with_columns(rows)
