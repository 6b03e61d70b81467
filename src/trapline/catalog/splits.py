"""Dealing the media of a catalog to parts, whole groups at a time, and the record of a split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog.codes import (
    Codes,
    as_array,
    beside,
    in_ranges,
    join_by_events,
    number_of,
    rank_names,
)
from trapline.catalog.counting import count_distinct, count_distinct_by, count_values
from trapline.catalog.decided import is_held
from trapline.catalog.facts import PartCounts, SplitMethod, SplitRecord
from trapline.catalog.grouping import Parts, assign_groups
from trapline.catalog.leaks import find_leaks
from trapline.catalog.named_parts import Named, deal_named, natural_order
from trapline.catalog.parquet_file import batches, streamed
from trapline.catalog.table import EVENT_LABELS, SPLIT_PARTS, Catalog, known_labels
from trapline.errors import DataError, many
from trapline.taxonomy import PART_NAMES

_LINES_AT_ONCE = 100_000
_MANY_GROUPS = 200_000
_READ_TIMES = "`trapline catalog … --exif` takes those of the photos, --column time=NAME those of a column"
_OTHER_WAYS = "--by event, --by random, or in order of time with --by date or --by season"
_PARTS = pl.Enum(SPLIT_PARTS)


def fingerprint(catalog: Catalog) -> str:
    """SHA-256 over the sorted media ids with their parts: the order of the rows does not matter."""
    rows = catalog.frame.select("media_id", "split")
    digest, before = hashlib.sha256(), ""
    line = pl.concat_str("media_id", pl.col("split").fill_null("-"), separator="\t")
    # ids are in the order of their lines, but where a character below the tabulator follows the same letters
    below = streamed(rows.select(pl.col("media_id").str.contains("[\\x00-\\x08]").any())).item()
    rows, by = (rows.select(line=line), "line") if below else (rows, "media_id")
    for some in in_ranges(rows, by, len(catalog)):
        lines = (some["line"] if below else some.select(line).to_series()).sort()
        for start in range(0, len(lines), _LINES_AT_ONCE):
            text = "\n".join(lines.slice(start, _LINES_AT_ONCE).to_list())
            digest.update((before + text).encode())
            before = "\n"
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
    columns = catalog.frame.collect_schema()
    frame = catalog.frame.select(name for name in wanted if name in columns)
    frame = frame.with_columns(pl.col(pl.List(pl.String)).list.sort())
    digest = hashlib.sha256()
    for some in in_ranges(frame, "media_id", len(catalog)):
        for rows in some.sort("media_id").iter_slices(_LINES_AT_ONCE):
            digest.update(rows.write_ndjson().encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Labelled:
    """The media of which something is known, by themselves or by their event, without what an audit keeps.

    Attributes:
        catalog: in which they are.
        chosen: of each media of it whether it is one.
    """

    catalog: Catalog
    chosen: pl.Expr

    @classmethod
    def of(cls, catalog: Catalog) -> _Labelled:
        frame = catalog.frame
        return cls(catalog, known_labels(frame).is_not_null() & ~is_held(frame))

    @cached_property
    def frame(self) -> pl.LazyFrame:
        """They, and what is known of them in `labels`."""
        frame = self.catalog.frame
        return frame.filter(self.chosen).with_columns(known_labels(frame).alias("labels"))

    @cached_property
    def rows(self) -> int:
        """How many there are."""
        return number_of(self.frame)

    def missing(self, column: str) -> int:
        """How many have none in a column."""
        return int(streamed(self.frame.select(pl.col(column).null_count())).item())

    def spread(self, parts: Parts) -> Parts:
        """The parts of the labelled media at their places among all media; −1 for the others."""
        everywhere = np.full(len(self.catalog), -1, np.int16)
        everywhere[as_array(self.catalog.frame.select(self.chosen), len(self.catalog), bool)] = parts
        return everywhere


def one_location(catalog: Catalog) -> str | None:
    """The location of all labelled media, where they are of one that is known."""
    locations = streamed(_Labelled.of(catalog).frame.select(pl.col("location_id").unique())).to_series()
    return locations.item() if len(locations) == 1 else None


def times_lacking(catalog: Catalog) -> int:
    """How many labelled media have no time by their camera's clock."""
    return _Labelled.of(catalog).missing("camera_time")


def has_events(catalog: Catalog) -> bool:
    """Whether any labelled media is known to belong to an event."""
    labelled = _Labelled.of(catalog)
    return labelled.missing("event_id") < labelled.rows


def no_way_to_split(catalog: Catalog, lacking: int) -> DataError:
    """All is of one location, and what its photos have to do with one another is not known."""
    which = "none" if lacking == _Labelled.of(catalog).rows else f"{lacking} of them not"
    times = f"of their times {which} {'is' if which == 'none' else 'are'} known, and no events"
    events = "no events are known, by which folds and what has a seed are dealt"
    again = f"times ({_READ_TIMES}) or events" if lacking else "events"
    return DataError(
        f"All labelled media are of one location ({one_location(catalog)}), and "
        f"{times if lacking else events}: nothing says which photos are of one visit. Read the source again "
        f"with {again} (`trapline catalog … --event-gap 60s`), or deal single photos: --by random, which "
        "`train` takes with --allow-leak."
    )


def deal(catalog: Catalog, by: str, shares: Sequence[float], seed: int) -> Parts:
    """int [media]: the part of each, −1 for media without labels."""
    labelled = _Labelled.of(catalog)
    groups = _groups(labelled, by)
    number = int(groups.max(initial=-1)) + 1
    if number < len(shares):
        raise _too_few(by, number, len(shares))
    counts, kinds = _count_kinds(labelled, groups)
    return labelled.spread(assign_groups(counts, shares, seed, kinds)[groups])


def _groups(labelled: _Labelled, by: str) -> Codes:
    """int [rows]: the number of each row's group, from 0; rows that share an event are in one group."""
    if labelled.rows == 0:
        raise DataError("The catalog has no labelled media: there is nothing to split.")
    if by == "location":
        missing = labelled.missing("location_id")
        if missing:
            which = f"Only {labelled.rows - missing} of {labelled.rows}"
            which = "None of the" if missing == labelled.rows else which
            raise DataError(
                f"{which} labelled media have a location, so they cannot be split by location. Say where "
                f"locations are when reading (--column location=NAME, --location-level), or split "
                f"{_OTHER_WAYS}."
            )
        locations = rank_names(labelled.frame.select("location_id"), labelled.rows)
        return join_by_events(locations, labelled.frame)
    if by == "event" and labelled.missing("event_id") == labelled.rows:
        raise DataError(
            "No labelled media has an event. Make events from times with "
            "`trapline catalog … --event-gap 60s` (and --exif where the source names no times)"
            f"{_or_by_location(labelled)}, or deal single photos: --by random."
        )
    own = pl.concat_str(pl.lit("\0"), "media_id")
    return rank_names(labelled.frame.select(pl.col("event_id").fill_null(own)), labelled.rows)


def _count_kinds(labelled: _Labelled, groups: Codes) -> tuple[npt.NDArray[np.int64], Codes]:
    """int [kinds, 1 + labels], the media of a group and those with each label; int [groups], its kind.

    Millions of events are of a few thousand kinds: those with the same number of media of each list of
    labels are told by the sums of the hashes of these lists, and one of each kind is counted. Where groups
    are few, each is a kind of its own.
    """
    number = int(groups.max()) + 1
    names = streamed(labelled.frame.select(pl.col("labels").explode().unique().sort())).to_series()
    if number <= _MANY_GROUPS:
        return _count(labelled, names, groups, number), np.arange(number, dtype=np.int32)
    sums = np.zeros(number, np.uint64)
    begin = 0
    for some in batches(labelled.frame.select(pl.col("labels").hash())):
        np.add.at(sums, groups[begin : begin + some.height], some.to_series().to_numpy())
        begin += some.height
    _, shown, kinds = np.unique(sums, return_index=True, return_inverse=True)
    kind_of = np.full(number, -1, np.int32)
    kind_of[shown] = np.arange(len(shown), dtype=np.int32)
    return _count(labelled, names, kind_of[groups], len(shown)), kinds.astype(np.int32)


def _count(labelled: _Labelled, names: pl.Series, kinds: Codes, number: int) -> npt.NDArray[np.int64]:
    """int [kinds, 1 + labels]: the media of each kind, and those with each label; kinds below 0 are none."""
    counts = np.zeros((number, 1 + len(names)), np.int64)
    numbers = pl.int_range(1, 1 + len(names), dtype=pl.Int32, eager=True)
    rows = beside(labelled.frame.select("labels"), "_kind", kinds).filter(pl.col("_kind") >= 0)
    counts[:, 0] = np.bincount(kinds[kinds >= 0], minlength=number)
    pairs = rows.explode("labels").group_by("_kind", "labels").agg(count=pl.len())
    kind, label, count = streamed(pairs).with_columns(pl.col("labels").replace_strict(names, numbers))
    counts[kind.to_numpy(), label.to_numpy()] = count.to_numpy()
    return counts


def _too_few(by: str, have: int, need: int) -> DataError:
    things = (
        many(have, by) if by in ("location", "event", "season") else f"{many(have, 'event')} or single media"
    )
    ways = "Ask for fewer parts, or another --by."
    if by == "location":
        ways = f"Split {_OTHER_WAYS}, or into fewer parts."
    return DataError(
        f"The labelled media are of {things} only; that cannot fill {many(need, 'part')}. {ways}"
    )


def deal_in_order_of_time(catalog: Catalog, shares: Sequence[float], season: str | None = None) -> Parts:
    """int [media]: the part of each, the earliest training; −1 for media without labels.

    Args:
        catalog: the media.
        shares: of the parts.
        season: the column of the seasons, which then stay whole; None deals events.
    """
    labelled = _Labelled.of(catalog)
    groups, begins = _moments(labelled) if season is None else _seasons(labelled, season)
    by = "date" if season is None else "season"
    of_group = _cut(np.bincount(groups), np.argsort(begins, kind="stable"), shares, by)
    return labelled.spread(of_group[groups])


def season_count(catalog: Catalog, column: str) -> int:
    """How many seasons the labelled media have; those that share an event are one."""
    groups, _ = _seasons(_Labelled.of(catalog), column)
    return int(groups.max()) + 1


def deal_to_named(catalog: Catalog, by: str, column: str, named: Named) -> tuple[Parts, SplitMethod]:
    """int [media]: the part that each was named for, −1 for none; and what the record says of it."""
    labelled = _Labelled.of(catalog)
    if by == "season":
        _refuse_without_season(labelled, column)
    else:
        _groups(labelled, by)  # says what is missing
    part, in_part, left_out = deal_named(labelled.frame, column, named, by)
    numbers = part.replace_strict({part: n for n, part in enumerate(SPLIT_PARTS)}, default=-1)
    how = SplitMethod(by=by, method="named", column=column, named=in_part, left_out=left_out)
    parts = as_array(labelled.frame.select(numbers.cast(pl.Int16)), labelled.rows, np.int16)
    return labelled.spread(parts), how


def deal_at_dates(catalog: Catalog, dates: Sequence[datetime]) -> Parts:
    """int [media]: how many of the dates had come when the event of each began; −1 without labels."""
    labelled = _Labelled.of(catalog)
    groups, begins = _moments(labelled)
    of_group = np.searchsorted(np.array(dates, "datetime64[us]"), begins, side="right")
    return labelled.spread(of_group.astype(np.int16)[groups])


def _or_by_location(labelled: _Labelled) -> str:
    """The advice to split by location, where there are several."""
    locations = count_distinct(labelled.frame, "location_id", labelled.rows)
    return ", or split --by location" if locations > 1 else ""


def _moments(labelled: _Labelled) -> tuple[Codes, npt.NDArray[Any]]:
    """Each row's group (its event, or itself) and when each group begins."""
    if missing := labelled.missing("camera_time"):
        raise DataError(
            f"{missing} of {labelled.rows} labelled media have no time, so the "
            f"catalog cannot be split by date. Read them ({_READ_TIMES}){_or_by_location(labelled)}."
        )
    groups = _groups(labelled, "random")
    latest = np.iinfo(np.int64).max
    begins = np.full(int(groups.max()) + 1, latest, np.int64)
    begin = 0
    for some in batches(labelled.frame.select(pl.col("camera_time").cast(pl.Int64))):
        np.minimum.at(begins, groups[begin : begin + some.height], some.to_series().to_numpy())
        begin += some.height
    return groups, begins.view("datetime64[us]")


def _seasons(labelled: _Labelled, column: str) -> tuple[Codes, npt.NDArray[Any]]:
    """Each row's group (its season, joined where an event spans two) and the place of each group in time."""
    _refuse_without_season(labelled, column)
    names = labelled.frame.select(_name=pl.col(column).cast(pl.String))
    groups = join_by_events(rank_names(names, labelled.rows), labelled.frame)
    named = labelled.frame.select("camera_time", _name=pl.col(column).cast(pl.String))
    first = beside(named, "group", groups).group_by("group")
    seasons = streamed(first.agg(pl.col("camera_time").min(), pl.col("_name").min())).sort("group")
    if seasons["camera_time"].null_count():
        order = {name: index for index, name in enumerate(natural_order(seasons["_name"].to_list()))}
        return groups, np.array([order[name] for name in seasons["_name"]])
    return groups, seasons["camera_time"].to_numpy()


def _refuse_without_season(labelled: _Labelled, column: str) -> None:
    """Stop where the season of a media is not known."""
    columns = labelled.frame.collect_schema().names()
    missing = labelled.missing(column) if column in columns else labelled.rows
    if missing == labelled.rows:
        raise DataError(
            f"The catalog has no column '{column}' with the season of a media; "
            f"it has: {', '.join(columns)}. "
            "Name it with --column, or split --by date."
        )
    if missing:
        raise DataError(f"{missing} labelled media have no value in the column '{column}'.")


def _cut(
    sizes: npt.NDArray[np.int64], order: npt.NDArray[np.int64], shares: Sequence[float], by: str
) -> Parts:
    """Cut groups in their order into parts as near to the shares as whole groups allow, none empty."""
    if len(sizes) < len(shares):
        raise _too_few(by, len(sizes), len(shares))
    reached = np.cumsum(sizes[order]) / sizes.sum()
    parts = np.empty(len(sizes), np.int16)
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


def published_parts(catalog: Catalog, column: str) -> pl.Series:
    """The part of each media that a column names, as it is; null where it names none."""
    frame, columns = catalog.frame, catalog.frame.collect_schema().names()
    if column not in columns:
        raise DataError(
            f"The catalog has no column '{column}'; it has: {', '.join(columns)}. "
            "Name the one that holds the split with --column."
        )
    value = pl.col(column).cast(pl.String)
    part = value.str.to_lowercase().replace_strict(PART_NAMES, default=None, return_dtype=pl.String)
    unknown = frame.select("media_id", value=value, part=part).with_row_index("_row")
    unknown = unknown.filter(pl.col("value").is_not_null() & pl.col("part").is_null())
    for media_id, written, row in streamed(unknown.head(1).select("media_id", "value", "_row")).iter_rows():
        raise DataError(
            f"The column '{column}' says '{written}' for {media_id} "
            f"(row {row + 1}), which is no part of a split: {', '.join(PART_NAMES)}."
        )
    parts = streamed(frame.select(part.cast(_PARTS).alias("split"))).to_series()
    if parts.null_count() == len(parts):
        raise DataError(f"The column '{column}' is empty: it names no part of a split.")
    return parts


def name_parts(numbers: Parts, names: Sequence[str]) -> pl.Series:
    """The parts that numbers mean, null for those below 0."""
    codes = np.array([*(SPLIT_PARTS.index(name) for name in names), len(SPLIT_PARTS)], np.uint8)[numbers]
    known = pl.Series("split", codes)
    return known.set(known == len(SPLIT_PARTS), None).cat.to(_PARTS)


def with_record(catalog: Catalog, parts: pl.Series, how: SplitMethod, check_files: bool) -> Catalog:
    """The catalog with these parts, those that an audit keeps in none, and the record of them."""
    frame = beside(catalog.frame, "split", parts.cast(_PARTS))
    part = pl.when(~is_held(catalog.frame)).then(pl.col("split").cast(pl.String))
    done = catalog.with_frame(frame.with_columns(part.alias("split")))
    described = describe_parts(done)
    labels = known_labels(done.frame).explode().drop_nulls().unique()
    every = streamed(done.frame.select(labels)).to_series().to_list()
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
    return done.with_facts(replace(done.facts, split=record))


def describe_parts(catalog: Catalog) -> dict[str, PartCounts]:
    """What each part of the split holds."""
    frame = catalog.frame.filter(pl.col("split").is_not_null())
    table = frame.select("split", "location_id", "event_id", labels=known_labels(frame))
    media = dict(count_values(table, "split").iter_rows())
    locations = count_distinct_by(table, "location_id", "split", len(catalog))
    events = count_distinct_by(table, "event_id", "split", len(catalog))
    pairs = count_labels(table)
    return {
        part: PartCounts(
            media=media[part],
            locations=locations.get(part, 0),
            events=events.get(part, 0),
            labels=dict(pairs.filter(pl.col("split") == part).select("labels", "count").iter_rows()),
        )
        for part in SPLIT_PARTS
        if part in media
    }


def count_labels(table: pl.LazyFrame) -> pl.DataFrame:
    """`split`, `labels`, `count`: how many media of each part have each label, in order of the labels."""
    pairs = table.select("split", "labels").explode("labels").drop_nulls()
    return streamed(pairs.group_by("split", "labels").agg(count=pl.len())).sort("labels")
