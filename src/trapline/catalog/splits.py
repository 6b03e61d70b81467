"""Dealing the media of a catalog to parts, whole groups at a time, and the record of a split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog.decided import is_held
from trapline.catalog.facts import PartCounts, SplitMethod, SplitRecord
from trapline.catalog.grouping import assign_groups, connected
from trapline.catalog.leaks import find_leaks
from trapline.catalog.named_parts import Named, deal_named, natural_order
from trapline.catalog.table import EVENT_LABELS, SPLIT_PARTS, Catalog, known_labels
from trapline.errors import DataError
from trapline.taxonomy import PART_NAMES

_LINES_AT_ONCE = 100_000
_READ_TIMES = "`trapline catalog … --exif` takes those of the photos, --column time=NAME those of a column"
_OTHER_WAYS = "--by event, --by random, or in order of time with --by date or --by season"


def fingerprint(catalog: Catalog) -> str:
    """SHA-256 over the sorted media ids with their parts: the order of the rows does not matter."""
    line = pl.concat_str("media_id", pl.col("split").fill_null("-"), separator="\t")
    lines = catalog.table.select(line).to_series().sort()
    digest = hashlib.sha256()
    for start in range(0, len(lines), _LINES_AT_ONCE):
        text = "\n".join(lines.slice(start, _LINES_AT_ONCE).to_list())
        digest.update((text if start == 0 else "\n" + text).encode())
    return digest.hexdigest()


def training_fingerprint(catalog: Catalog) -> str:
    """SHA-256 over all that a training looks at besides the pixels, whatever the order of the rows.

    So besides the parts (`fingerprint`) the labels, boxes, locations, events and seasons of every media.
    """
    wanted = [
        "media_id",
        "split",
        "labels",
        EVENT_LABELS,
        "location_id",
        "event_id",
        "frame",
        "season",
        "boxes",
    ]
    table = catalog.table.select(name for name in wanted if name in catalog.table.columns).sort("media_id")
    table = table.with_columns(pl.col(pl.List(pl.String)).list.sort())
    digest = hashlib.sha256()
    for rows in table.iter_slices(_LINES_AT_ONCE):
        digest.update(rows.write_ndjson().encode())
    return digest.hexdigest()


def _labelled(catalog: Catalog) -> pl.DataFrame:
    """The media of which something is known, by themselves or by their event, and that in `labels`; without
    those that an audit keeps."""
    table = catalog.table.with_columns(known_labels(catalog.table).alias("labels"))
    return table.filter(pl.col("labels").is_not_null() & ~pl.lit(is_held(table)))


def one_location(catalog: Catalog) -> str | None:
    """The location of all labelled media, where they are of one that is known."""
    locations = _labelled(catalog)["location_id"].unique()
    return locations.item() if len(locations) == 1 else None


def times_lacking(catalog: Catalog) -> int:
    """How many labelled media have no time by their camera's clock."""
    return _labelled(catalog)["camera_time"].null_count()


def has_events(catalog: Catalog) -> bool:
    """Whether any labelled media is known to belong to an event."""
    events = _labelled(catalog)["event_id"]
    return events.null_count() < len(events)


def no_way_to_split(catalog: Catalog, lacking: int) -> DataError:
    """All is of one location, and what its photos have to do with one another is not known."""
    which = "none" if lacking == len(_labelled(catalog)) else f"{lacking} of them not"
    times = f"of their times {which} {'is' if which == 'none' else 'are'} known, and no events"
    events = "no events are known, by which folds and what has a seed are dealt"
    again = f"times ({_READ_TIMES}) or events" if lacking else "events"
    return DataError(
        f"All labelled media are of one location ({one_location(catalog)}), and "
        f"{times if lacking else events}: nothing says which photos are of one visit. Read the source again "
        f"with {again} (`trapline catalog … --event-gap 60s`), or deal single photos: --by random, which "
        "`train` takes with --allow-leak."
    )


def deal(catalog: Catalog, by: str, shares: Sequence[float], seed: int) -> npt.NDArray[np.int64]:
    """int [media]: the part of each, −1 for media without labels."""
    rows = _labelled(catalog)
    groups = _groups(rows, by)
    number = int(groups.max(initial=-1)) + 1
    if number < len(shares):
        raise _too_few(by, number, len(shares))
    return _spread(catalog, assign_groups(_counts(rows, groups), shares, seed)[groups])


def _groups(rows: pl.DataFrame, by: str) -> npt.NDArray[np.int64]:
    """int [rows]: the number of each row's group, from 0; rows that share an event are in one group."""
    if rows.height == 0:
        raise DataError("The catalog has no labelled media: there is nothing to split.")
    column = {"location": "location_id", "event": "event_id", "random": "event_id"}[by]
    missing = rows[column].null_count()
    if missing and by == "location":
        which = "None of the" if missing == rows.height else f"Only {rows.height - missing} of {rows.height}"
        raise DataError(
            f"{which} labelled media have a location, so they cannot be split by location. Say where "
            f"locations are when reading (--column location=NAME, --location-level), or split {_OTHER_WAYS}."
        )
    if missing == rows.height and by == "event":
        raise DataError(
            "No labelled media has an event. Make events from times with "
            "`trapline catalog … --event-gap 60s` (and --exif where the source names no times)"
            f"{_or_by_location(rows)}, or deal single photos: --by random."
        )
    own = pl.concat_str(pl.lit("\0"), "media_id")
    return connected(rows.select(pl.col(column).fill_null(own)).to_series(), rows["event_id"])


def _counts(rows: pl.DataFrame, groups: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """int [groups, 1 + labels]: the media of each group, and those with each label."""
    pairs = rows.select("labels").with_columns(pl.Series("group", groups)).explode("labels")
    names = pairs["labels"].unique().sort()
    label = pairs["labels"].replace_strict(names, pl.int_range(len(names), eager=True)).to_numpy()
    counts = np.zeros((int(groups.max()) + 1, 1 + len(names)), np.int64)
    np.add.at(counts[:, 0], groups, 1)
    np.add.at(counts, (pairs["group"].to_numpy(), 1 + label), 1)
    return counts


def _too_few(by: str, have: int, need: int) -> DataError:
    plural = "" if have == 1 else "s"
    thing = f"{by}{plural}" if by in ("location", "event", "season") else f"event{plural} or single media"
    ways = "Ask for fewer parts, or another --by."
    if by == "location":
        ways = f"Split {_OTHER_WAYS}, or into fewer parts."
    return DataError(f"The labelled media are of {have} {thing} only; that cannot fill {need} parts. {ways}")


def deal_in_order_of_time(
    catalog: Catalog, shares: Sequence[float], season: str | None = None
) -> npt.NDArray[np.int64]:
    """int [media]: the part of each, the earliest training; −1 for media without labels.

    Args:
        catalog: the media.
        shares: of the parts.
        season: the column of the seasons, which then stay whole; None deals events.
    """
    rows = _labelled(catalog)
    groups, begins = _moments(rows) if season is None else _seasons(rows, season)
    by = "date" if season is None else "season"
    of_group = _cut(np.bincount(groups), np.argsort(begins, kind="stable"), shares, by)
    return _spread(catalog, of_group[groups])


def season_count(catalog: Catalog, column: str) -> int:
    """How many seasons the labelled media have; those that share an event are one."""
    groups, _ = _seasons(_labelled(catalog), column)
    return int(groups.max()) + 1


def deal_to_named(
    catalog: Catalog, by: str, column: str, named: Named
) -> tuple[npt.NDArray[np.int64], SplitMethod]:
    """int [media]: the part that each was named for, −1 for none; and what the record says of it."""
    rows = _labelled(catalog)
    if by == "season":
        _season_names(rows, column)
    else:
        _groups(rows, by)  # says what is missing
    parts, in_part, left_out = deal_named(rows, column, named, by)
    numbers = parts.replace_strict({part: n for n, part in enumerate(SPLIT_PARTS)}, default=-1)
    how = SplitMethod(by=by, method="named", column=column, named=in_part, left_out=left_out)
    return _spread(catalog, numbers.cast(pl.Int64).to_numpy()), how


def deal_at_dates(catalog: Catalog, dates: Sequence[datetime]) -> npt.NDArray[np.int64]:
    """int [media]: how many of the dates had come when the event of each began; −1 without labels."""
    groups, begins = _moments(_labelled(catalog))
    of_group = np.searchsorted(np.array(dates, "datetime64[us]"), begins, side="right")
    return _spread(catalog, of_group[groups])


def _spread(catalog: Catalog, of_labelled: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The parts of the labelled media at their places among all media; −1 for the others."""
    parts = np.full(len(catalog), -1, np.int64)
    labelled = catalog.table.select(known_labels(catalog.table).is_not_null()).to_series()
    labelled &= ~is_held(catalog.table)
    parts[labelled.to_numpy()] = of_labelled
    return parts


def _or_by_location(rows: pl.DataFrame) -> str:
    """The advice to split by location, where there are several."""
    return ", or split --by location" if rows["location_id"].drop_nulls().n_unique() > 1 else ""


def _moments(rows: pl.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Each row's group (its event, or itself) and when each group begins."""
    if rows["camera_time"].null_count():
        raise DataError(
            f"{rows['camera_time'].null_count()} of {rows.height} labelled media have no time, so the "
            f"catalog cannot be split by date. Read them ({_READ_TIMES}){_or_by_location(rows)}."
        )
    groups = _groups(rows, "random")
    times = rows.select("camera_time").with_columns(pl.Series("group", groups))
    begins = times.group_by("group").agg(pl.col("camera_time").min()).sort("group")["camera_time"]
    return groups, begins.to_numpy()


def _seasons(rows: pl.DataFrame, column: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Each row's group (its season, joined where an event spans two) and the place of each group in time."""
    names = _season_names(rows, column)
    groups = connected(names, rows["event_id"])
    first = rows.select("camera_time").with_columns(pl.Series("group", groups), names.alias("_name"))
    seasons = first.group_by("group").agg(pl.col("camera_time").min(), pl.col("_name").min()).sort("group")
    if seasons["camera_time"].null_count():
        order = {name: index for index, name in enumerate(natural_order(seasons["_name"].to_list()))}
        return groups, np.array([order[name] for name in seasons["_name"]])
    return groups, seasons["camera_time"].to_numpy()


def _season_names(rows: pl.DataFrame, column: str) -> pl.Series:
    """The season of each row."""
    if column not in rows.columns or rows[column].null_count() == rows.height:
        raise DataError(
            f"The catalog has no column '{column}' with the season of a media; "
            f"it has: {', '.join(rows.columns)}. "
            "Name it with --column, or split --by date."
        )
    if rows[column].null_count():
        raise DataError(f"{rows[column].null_count()} labelled media have no value in the column '{column}'.")
    return rows[column].cast(pl.String)


def _cut(
    sizes: npt.NDArray[np.int64], order: npt.NDArray[np.int64], shares: Sequence[float], by: str
) -> npt.NDArray[np.int64]:
    """Cut groups in their order into parts as near to the shares as whole groups allow, none empty."""
    if len(sizes) < len(shares):
        raise _too_few(by, len(sizes), len(shares))
    reached = np.cumsum(sizes[order]) / sizes.sum()
    parts = np.empty(len(sizes), np.int64)
    begin = 0
    for part, target in enumerate(np.cumsum(shares)):
        last = len(sizes) - (len(shares) - part)  # leave one group for each later part
        end = (
            last
            if part == len(shares) - 1
            else begin + int(np.argmin(abs(reached[begin : last + 1] - target)))
        )
        parts[order[begin : end + 1]] = part
        begin = end + 1
    return parts


def published_parts(catalog: Catalog, column: str) -> list[str | None]:
    """The part of each media that a column names, as it is; null where it names none."""
    if column not in catalog.table.columns:
        raise DataError(
            f"The catalog has no column '{column}'; it has: {', '.join(catalog.table.columns)}. "
            "Name the one that holds the split with --column."
        )
    values = catalog.table[column].cast(pl.String)
    parts = values.str.to_lowercase().replace_strict(PART_NAMES, default=None)
    unknown = values.filter(values.is_not_null() & parts.is_null())
    if len(unknown):
        row = int((values == unknown[0]).arg_max() or 0)
        raise DataError(
            f"The column '{column}' says '{unknown[0]}' for {catalog.table['media_id'][row]} "
            f"(row {row + 1}), which is no part of a split: {', '.join(PART_NAMES)}."
        )
    if parts.null_count() == len(parts):
        raise DataError(f"The column '{column}' is empty: it names no part of a split.")
    return parts.to_list()


def with_record(
    catalog: Catalog, parts: Sequence[str | None], how: SplitMethod, check_files: bool
) -> Catalog:
    """The catalog with these parts, those that an audit keeps in none, and the record of them."""
    free = ~pl.lit(is_held(catalog.table))
    table = catalog.table.with_columns(pl.when(free).then(pl.Series("split", parts, pl.String)))
    done = replace(catalog, table=table)
    described = describe_parts(done)
    every = done.table.select(known_labels(done.table).explode().drop_nulls().unique()).to_series().to_list()
    record = SplitRecord(
        **vars(how),
        parts=described,
        lacks={
            part: tuple(sorted(set(every) - set(description.labels)))
            for part, description in described.items()
        },
        fingerprint=fingerprint(done),
        leaks=find_leaks(done, how.by, check_files),
    )
    return replace(done, facts=replace(done.facts, split=record))


def describe_parts(catalog: Catalog) -> dict[str, PartCounts]:
    """What each part of the split holds."""
    labels = known_labels(catalog.table).alias("labels")
    table = catalog.table.select("split", "location_id", "event_id", labels)
    descriptions = {}
    for part in SPLIT_PARTS:
        rows = table.filter(pl.col("split") == part)
        if rows.height:
            of_part = rows["labels"].explode().drop_nulls()
            descriptions[part] = PartCounts(
                media=rows.height,
                locations=rows["location_id"].drop_nulls().n_unique(),
                events=rows["event_id"].drop_nulls().n_unique(),
                labels=dict(of_part.value_counts(name="count").sort("labels").rows()),
            )
    return descriptions
