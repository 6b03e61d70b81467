"""Which media train, validate and test: by location unless asked otherwise, never through an event."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog.facts import IN_ORDER_OF_TIME, PartCounts, SplitMethod, SplitRecord
from trapline.catalog.grouping import assign_groups, connected
from trapline.catalog.leaks import find_leaks
from trapline.catalog.named_parts import Named, check_named, deal_named, natural_order
from trapline.catalog.table import EVENT_LABELS, SPLIT_PARTS, Catalog, known_labels
from trapline.errors import DataError, UsageError
from trapline.taxonomy.names import PART_NAMES

WAYS = ("location", "random", "event", "season", "date", "column")
RATIOS = (0.70, 0.15, 0.15)

_LINES_AT_ONCE = 100_000
_OTHER_WAYS = "--by event, --by random, or in order of time with --by date or --by season"


def split_catalog(
    catalog: Catalog,
    *,
    by: str = "location",
    method: str = "ratios",
    ratios: Sequence[float] = RATIOS,
    folds: int = 5,
    fold: int = 0,
    seed: int = 42,
    column: str | None = None,
    dates: Sequence[datetime] = (),
    named: Named | None = None,
    check_files: bool = True,
) -> Catalog:
    """Say of every labelled media whether it trains, validates or tests.

    Media of which nothing is known, neither by their own labels nor by their event's (`EVENT_LABELS`), are in
    no part (null), except by `column`, which is taken as it is. An event is
    never torn: what shares an event is kept together, also where that joins two locations.

    Args:
        catalog: with labels; a split it has is replaced.
        by: `location`; `event`; `random` (stratified over single events, or media that have none);
            `season` (the values of `column`, in order of time); `date` (events in order of time);
            `column` (a published split, as it is).
        method: `ratios`, or `kfold` (by location, event, random or season): fold `fold` of `folds` validates,
            the rest trains. Seasons stay in order of time: with as many folds as seasons each fold is one
            season, with fewer they are neighbouring ones.
        ratios: of train, validation and, with a third, test; they need not sum to 1.
        folds: how many folds.
        fold: which of them validates, from 0.
        seed: of everything random.
        column: the column used by `season` (its default) and by `column` (`published_split`).
        dates: with `date` one or two moments, by the cameras' clocks, at which validation and test begin,
            instead of ratios.
        named: with `season` or `location` what is in which part (`{"train": ["S1"], "validation": ["S3"]}`),
            instead of ratios. What is named for none trains if nothing is named for `train`; else it is in no
            part. `S1..S4` stands for all of these.
        check_files: whether the leak check compares the content of files.

    Returns:
        the catalog with `split` filled, and `facts.split`: by, method, seed, ratios or folds, media,
        locations, events and labels of each part, the labels that each lacks, a fingerprint and the leak
        check.

    Raises:
        UsageError: an option that cannot be right.
        DataError: no labels, no locations (times, seasons), or too few of them for the parts.
    """
    _check_options(by, method, folds, fold)
    if dates and by != "date":
        raise UsageError(f"Dates are for a split by date, not by {by}.")
    if named:
        check_named(named, by, method)
    if column is not None and by not in ("season", "column"):
        raise UsageError(f"A column is named for a split by season or column, not by {by}.")
    names: tuple[str, ...]
    if by == "column":
        column = column or "published_split"
        how = SplitMethod(by=by, method="published", column=column)
        return _recorded(catalog, _published(catalog, column), how, check_files)
    if method == "kfold":
        equal = [1 / folds] * folds
        drawn = None if by == "season" else seed
        how = SplitMethod(by=by, method=method, folds=folds, fold=fold, seed=drawn)
        if by == "season":
            dealt = _in_order_of_time(catalog, by, column or "season", equal)
        else:
            dealt = _deal(catalog, by, equal, seed)
        names, numbers = ("train", "validation"), np.where(dealt < 0, -1, dealt == fold)
    elif named:
        names, numbers, how = SPLIT_PARTS, *_named(catalog, by, column or "season", named)
    elif dates and by == "date":
        names, numbers = SPLIT_PARTS[: len(dates) + 1], _at_dates(catalog, dates)
        how = SplitMethod(by=by, method="dates", dates=tuple(str(date) for date in dates))
    else:
        names, shares = _shares(ratios)
        drawn = None if by in IN_ORDER_OF_TIME else seed
        how = SplitMethod(by=by, method=method, ratios=dict(zip(names, shares, strict=True)), seed=drawn)
        if by in IN_ORDER_OF_TIME:
            numbers = _in_order_of_time(catalog, by, column or "season", shares)
        else:
            numbers = _deal(catalog, by, shares, seed)
    parts = [names[number] if number >= 0 else None for number in numbers.tolist()]
    return _recorded(catalog, parts, how, check_files)


def location_folds(catalog: Catalog, folds: int = 5, seed: int = 42) -> list[Catalog]:
    """The catalog `folds` times; in each another share of the locations validates and the rest trains.

    Raises:
        DataError: fewer locations than folds, or none.
    """
    return [
        split_catalog(
            catalog, by="location", method="kfold", folds=folds, fold=fold, seed=seed, check_files=False
        )
        for fold in range(folds)
    ]


def season_folds(catalog: Catalog, column: str = "season") -> list[Catalog]:
    """The catalog once for each season, in order of time; in each that season validates, the others train.

    Raises:
        DataError: no column `column`, or media without a season.
        UsageError: there is only one season.
    """
    groups, _ = _seasons(_labelled(catalog), column)
    seasons = int(groups.max()) + 1
    return [
        split_catalog(
            catalog, by="season", method="kfold", folds=seasons, fold=fold, column=column, check_files=False
        )
        for fold in range(seasons)
    ]


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


def _check_options(by: str, method: str, folds: int, fold: int) -> None:
    if by not in WAYS:
        raise UsageError(f"A split is made by {', '.join(WAYS)}, not by '{by}'.")
    if method not in ("ratios", "kfold"):
        raise UsageError(f"A split is made with the method ratios or kfold, not '{method}'.")
    if method == "kfold" and by not in ("location", "event", "random", "season"):
        raise UsageError(f"Folds are made by location, event, random or season, not by {by}.")
    if method == "kfold" and not 0 <= fold < folds:
        raise UsageError(f"There is no fold {fold} of {folds}; they are counted from 0.")
    if method == "kfold" and folds < 2:
        raise UsageError("There must be at least 2 folds.")


def _shares(ratios: Sequence[float]) -> tuple[tuple[str, ...], list[float]]:
    if not 2 <= len(ratios) <= 3 or any(not 0 <= ratio < float("inf") for ratio in ratios) or ratios[0] <= 0:
        raise UsageError(
            f"The ratios are those of train, validation and perhaps test, as in 70,15,15; not {list(ratios)}."
        )
    used = [(name, ratio) for name, ratio in zip(SPLIT_PARTS, ratios, strict=False) if ratio > 0]
    if len(used) < 2:
        raise UsageError("A split has at least two parts that are not empty.")
    total = sum(ratio for _, ratio in used)
    return tuple(name for name, _ in used), [ratio / total for _, ratio in used]


def _labelled(catalog: Catalog) -> pl.DataFrame:
    """The media of which something is known, by themselves or by their event, and that in `labels`."""
    table = catalog.table.with_columns(known_labels(catalog.table).alias("labels"))
    return table.filter(pl.col("labels").is_not_null())


def _deal(catalog: Catalog, by: str, shares: Sequence[float], seed: int) -> npt.NDArray[np.int64]:
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
            "`trapline catalog … --event-gap 60s`, or split --by location or --by random."
        )
    own = pl.format("\0{}", "media_id")
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
    things = {"location": "location", "event": "event", "random": "event or single media", "season": "season"}
    name = things.get(by, "event or single media")
    plural = name if have == 1 else name + "s"
    ways = (
        f"Split {_OTHER_WAYS}, or into fewer parts."
        if by == "location"
        else "Ask for fewer parts, or another --by."
    )
    return DataError(f"The labelled media are of {have} {plural} only; that cannot fill {need} parts. {ways}")


def _in_order_of_time(
    catalog: Catalog, by: str, column: str, shares: Sequence[float]
) -> npt.NDArray[np.int64]:
    """int [media]: the part of each, the earliest training; −1 for media without labels."""
    rows = _labelled(catalog)
    groups, begins = _seasons(rows, column) if by == "season" else _moments(rows)
    of_group = _cut(np.bincount(groups), np.argsort(begins, kind="stable"), shares, by)
    return _spread(catalog, of_group[groups])


def _named(catalog: Catalog, by: str, column: str, named: Named) -> tuple[npt.NDArray[np.int64], SplitMethod]:
    """int [media]: the part that each was named for, −1 for none; and what the record says of it."""
    rows = _labelled(catalog)
    if by == "season":
        _season_names(rows, column)
    else:
        _groups(rows, by)  # says what is missing
        column = "location_id"
    found = deal_named(rows, column, named, by)
    numbers = found.parts.replace_strict({part: n for n, part in enumerate(SPLIT_PARTS)}, default=-1)
    how = SplitMethod(
        by=by,
        method="named",
        column=column,
        named={part: tuple(names) for part, names in found.named.items()},
        left_out=found.left_out,
    )
    return _spread(catalog, numbers.cast(pl.Int64).to_numpy()), how


def _at_dates(catalog: Catalog, dates: Sequence[datetime]) -> npt.NDArray[np.int64]:
    """int [media]: how many of the dates had come when the event of each began; −1 without labels."""
    if any(date.tzinfo is not None for date in dates):
        raise UsageError("Dates are compared with the cameras' clocks, which have no zone: leave it out.")
    if len(dates) > 2 or list(dates) != sorted(set(dates)):
        raise UsageError("Give one or two dates, in order: where validation begins, and where test begins.")
    groups, begins = _moments(_labelled(catalog))
    of_group = np.searchsorted(np.array(dates, "datetime64[us]"), begins, side="right")
    return _spread(catalog, of_group[groups])


def _spread(catalog: Catalog, of_labelled: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The parts of the labelled media at their places among all media; −1 for the others."""
    parts = np.full(len(catalog), -1, np.int64)
    labelled = catalog.table.select(known_labels(catalog.table).is_not_null()).to_series()
    parts[labelled.to_numpy()] = of_labelled
    return parts


def _moments(rows: pl.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Each row's group (its event, or itself) and when each group begins."""
    if rows["camera_time"].null_count():
        raise DataError(
            f"{rows['camera_time'].null_count()} of {rows.height} labelled media have no time, so the "
            "catalog cannot be split by date. Name the column of times when reading "
            "(--column time=NAME), or split --by location."
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
    found = first.group_by("group").agg(pl.col("camera_time").min(), pl.col("_name").min()).sort("group")
    if found["camera_time"].null_count():
        order = {name: place for place, name in enumerate(natural_order(found["_name"].to_list()))}
        return groups, np.array([order[name] for name in found["_name"]])
    return groups, found["camera_time"].to_numpy()


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


def _published(catalog: Catalog, column: str) -> list[str | None]:
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


def _recorded(catalog: Catalog, parts: list[str | None], how: SplitMethod, check_files: bool) -> Catalog:
    """The catalog with these parts, and the record of them."""
    table = catalog.table.with_columns(pl.Series("split", parts, pl.String))
    done = replace(catalog, table=table)
    described = describe_parts(done)
    every = done.table.select(known_labels(done.table).explode().drop_nulls().unique()).to_series().to_list()
    record = SplitRecord(
        **vars(how),
        parts=described,
        lacks={part: tuple(sorted(set(every) - set(found.labels))) for part, found in described.items()},
        fingerprint=fingerprint(done),
        leaks=find_leaks(done, how.by, check_files),
    )
    return replace(done, facts=replace(done.facts, split=record))


def describe_parts(catalog: Catalog) -> dict[str, PartCounts]:
    """What each part of the split holds."""
    labels = known_labels(catalog.table).alias("labels")
    table = catalog.table.select("split", "location_id", "event_id", labels)
    found = {}
    for part in SPLIT_PARTS:
        rows = table.filter(pl.col("split") == part)
        if rows.height:
            of_part = rows["labels"].explode().drop_nulls()
            found[part] = PartCounts(
                media=rows.height,
                locations=rows["location_id"].drop_nulls().n_unique(),
                events=rows["event_id"].drop_nulls().n_unique(),
                labels=dict(of_part.value_counts(name="count").sort("labels").rows()),
            )
    return found
