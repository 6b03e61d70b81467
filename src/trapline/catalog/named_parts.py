"""Seasons or locations named for the parts of a split: which media that puts where, and what is in none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from trapline.catalog.codes import torn
from trapline.catalog.counting import count_values
from trapline.catalog.parquet_file import streamed
from trapline.catalog.table import SPLIT_PARTS, Catalog
from trapline.errors import DataError, UsageError, many

Named = Mapping[str, Sequence[str]]
"""`train`, `validation`, `test` → what is named for it."""

NAMED_BY = {"season": "seasons", "location": "locations"}
"""The ways to split in which parts can be named, and what is named."""


def check_named(named: Named, by: str) -> None:
    """Refuse, before anything is read, names that leave nothing to judge on (`UsageError`)."""
    if not any(named.get(part) for part in SPLIT_PARTS[1:]):
        raise UsageError(
            f"Only what trains is named; name {NAMED_BY[by]} that validate or test too (--validate, --test)."
        )


def deal_named(
    rows: pl.LazyFrame, column: str, named: Named, by: str
) -> tuple[pl.Expr, dict[str, tuple[str, ...]], dict[str, int]]:
    """The part of each labelled media, by the value it has in a column.

    What is named for no part trains, if nothing is named for training; else it is in no part. An event is
    never torn.

    Args:
        rows: the labelled media, with a value in `column` each.
        column: of the seasons, or locations.
        named: names as they are written; `A..B` stands for all from A to B, S2 before S10; several may stand
            in one text, with commas between them.
        by: how the split is called.

    Returns:
        the part of each media, null where it is in none; part → the names that are in it, in their order;
        and name → media that are in no part, because it was named for none.

    Raises:
        UsageError: a name that no labelled media has, or one that is named for two parts.
        DataError: an event has media in two parts, or in one and in none; nothing is left to train on.
    """
    value = pl.col(column).cast(pl.String)
    counts = dict(count_values(rows.select(value), column).iter_rows())
    there = natural_order(list(counts))
    wanted = {
        part: [one for text in named[part] for one in _resolve(text, there, by)]
        for part in SPLIT_PARTS
        if named.get(part)
    }
    part_of = _part_of(wanted)
    rest = [name for name in there if name not in part_of]
    if "train" not in wanted:
        part_of |= dict.fromkeys(rest, "train")
        rest = []
    part = value.replace_strict(part_of, default=None, return_dtype=pl.String)
    if "train" not in part_of.values():
        raise DataError(f"All {NAMED_BY[by]} are named for other parts: nothing is left to train on.")
    _refuse_torn_events(rows.select("event_id", value=value, part=part.fill_null("no part")))
    in_part = {part: tuple(name for name in there if part_of.get(name) == part) for part in SPLIT_PARTS}
    return part, in_part, {name: counts[name] for name in rest}


def describe_left_out(catalog: Catalog) -> list[str]:
    """For people: what was named for no part of the split, and so neither trains nor is judged."""
    record = catalog.facts.split
    names = None if record is None else record.left_out
    if not names:
        return []
    counts = ", ".join(f"{name} ({media:,} media)" for name, media in names.items())
    return [f"In no part, as no part was named for {'it' if len(names) == 1 else 'them'}: {counts}."]


def natural_order(names: Sequence[str]) -> list[str]:
    """Names in the order of their numbers: S2 before S10."""
    return sorted(names, key=_natural)


def _natural(name: str) -> list[tuple[bool, int, str]]:
    words = (word for word in re.split(r"(\d+)", name) if word)
    return [(not word.isdecimal(), int(word) if word.isdecimal() else 0, word) for word in words]


def _resolve(text: str, there: Sequence[str], by: str) -> list[str]:
    """The names that one text stands for."""
    text = text.strip()
    if text in there:
        return [text]
    first, dots, last = (word.strip() for word in text.partition(".."))
    if dots and first in there and last in there and there.index(first) <= there.index(last):
        return list(there[there.index(first) : there.index(last) + 1])
    if "," in text:
        return [name for word in text.split(",") for name in _resolve(word, there, by)]
    raise UsageError(
        f"No labelled media is of the {by} '{text}'; there are: {', '.join(there)} (a range is written "
        f"{there[0]}..{there[-1]})."
    )


def _part_of(wanted: Mapping[str, Sequence[str]]) -> dict[str, str]:
    part_of: dict[str, str] = {}
    for part, names in wanted.items():
        for name in names:
            if part_of.setdefault(name, part) != part:
                raise UsageError(
                    f"'{name}' is named for {part_of[name]} and for {part}; it can be in one part."
                )
    return part_of


def _refuse_torn_events(rows: pl.LazyFrame) -> None:
    pairs = torn(rows, "event_id", "part")
    if pairs.height:
        # the first of them in the table, as a person would come upon it
        broken = rows.filter(pl.col("event_id").is_in(pairs["event_id"].unique().implode()))
        event = streamed(broken.select("event_id").head(1)).item()
        of_event = streamed(rows.filter(pl.col("event_id") == event).select("value", "part").unique())
        spans = " and ".join(natural_order(of_event["value"].unique().to_list()))
        raise DataError(
            f"{many(pairs['event_id'].n_unique(), 'event')} would be torn: '{event}' has media of {spans}, "
            f"which would be in {' and '.join(sorted(of_event['part'].unique()))}. Name these for one part."
        )
