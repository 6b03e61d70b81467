"""What decisions can teach: which of them train, which calibrate, and which must not be looked at.

Events are dealt whole. What a stream asked for trains. What was drawn by chance to calibrate on never does,
so that how sure the model is can be put right on events like all others. What was drawn for an audit has no
part in anything while the audit is open: the estimate of how good the answers are rests on it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from trapline.catalog import (
    BY_DECISIONS,
    DECISIONS,
    EVENT_LABELS,
    Catalog,
    SplitMethod,
    event_key,
    known_labels,
    with_record,
)
from trapline.errors import TraplineWarning
from trapline.recipes import HeadRecipe
from trapline.training import UNNAMED, teachable, unnamed

FIRST = 20
"""Events that are decided before the first lesson."""

ENOUGH_TO_CALIBRATE = 20
"""Events drawn by chance, from which on they put right how sure the model is: by fewer it would be chance."""

_SHARE_HELD = 5
"""One event in so many is kept from training where nothing was drawn by chance to judge by."""

TRAIN, JUDGE, KEPT = "train", "validation", "test"
SEVERAL, NO_LABEL, UNSHOWN, UNTAUGHT, COPIES = (
    "several labels",
    "no label could be told",
    "no sure box of it in any photo of the event",
    "its label was not among those taught yet",
    "a copy of what is kept apart",
)


@dataclass(frozen=True, eq=False)
class Lesson:
    """Decisions that are ready to be trained on.

    Attributes:
        catalog: the decided media alone, with their labels and a split: `train` teaches, `validation` judges;
            `test`, without labels, is kept for an open audit.
        events: that train.
        labels: of these → events that show it.
        judged: events that the model is judged and calibrated on.
        drawn: these were drawn by chance; else they are of what streams asked for.
        left_out: why → how many decided events teach nothing.
        streams: that asked for what trains.
    """

    catalog: Catalog
    events: int
    labels: Mapping[str, int]
    judged: int
    drawn: bool
    left_out: Mapping[str, int]
    streams: tuple[str, ...]

    @property
    def calibrated(self) -> bool:
        """Whether there is enough to put right how sure the model is."""
        return self.drawn and self.judged >= ENOUGH_TO_CALIBRATE

    @property
    def lacks(self) -> str:
        """What is still missing before anything can be learnt; empty if nothing is."""
        if self.events + self.judged < FIRST:
            return f"{self.events + self.judged} of the first {FIRST} events are decided"
        if len(self.labels) < 2:
            return "all that is decided so far is of one label, and a model needs two (blank is one)"
        if not self.judged:
            return "no label has been decided often enough to judge a model by"
        return ""

    def recipe(self, recipe: HeadRecipe) -> HeadRecipe:
        """The recipe as this lesson can be taught by it."""
        changes = {} if self.calibrated else {"calibration": "none"}
        return recipe.model_copy(update={"fit": "train", **changes})


def deal(decided: Catalog, drawn: pl.DataFrame, seed: int = 0) -> Lesson:
    """Deal decided events to the parts.

    Args:
        decided: a catalog with decisions alone as labels (`trapline.review.with_decisions`).
        drawn: what was drawn by chance (`DecisionLog.drawn`).
        seed: of what is kept from training where nothing was drawn.
    """
    known = known_labels(decided.table).alias("known")
    decided = _label_media(
        decided.with_table(decided.table.with_columns(known, unnamed(decided).alias("coarse")))
    )
    events = _events(decided, drawn)
    there_is_some = events.filter(pl.col("role") == JUDGE).height > 0
    if not there_is_some:
        events = _hold_some(events, seed)
    lesson = _lesson(decided, events, there_is_some)
    if copies := _copies(lesson.catalog):
        events = events.with_columns(
            pl.when(pl.col("event").is_in(copies)).then(pl.lit(COPIES)).otherwise("role").alias("role")
        )
        lesson = _lesson(decided, events, there_is_some)
    return lesson


def _events(decided: Catalog, drawn: pl.DataFrame) -> pl.DataFrame:
    """event, labels, streams, role: a part, or why it teaches nothing; one row a decided event."""
    entered = decided.table.select(
        event_key().alias("event"), "labels", "known", "coarse", pl.col(DECISIONS).alias("entered")
    )
    entered = entered.filter(pl.col("entered").is_not_null())
    entries = pl.col("entered").list.explode(keep_nulls=False, empty_as_null=False).struct
    events = entered.group_by("event", maintain_order=True).agg(
        pl.col("labels").list.explode(keep_nulls=False, empty_as_null=False).unique().sort(),
        pl.col("known").list.len().max().fill_null(0).alias("most"),
        pl.col("coarse").any(),
        entries.field("stream").drop_nulls().unique().sort().alias("streams"),
        entries.field("asked").drop_nulls().unique().alias("asked"),
    )
    audits = drawn.filter(pl.col("asked") == "audit")
    shut = audits.filter("open")["event"]
    ended = audits.filter(~pl.col("open"))["event"]
    for_audit = pl.col("event").is_in(shut.implode())
    if audits.is_empty() or len(shut):  # what is called otherwise now than when it was drawn
        for_audit |= pl.col("asked").list.contains("audit") & ~pl.col("event").is_in(ended.implode())
    to_calibrate = drawn.filter(pl.col("asked") == "calibration")["event"].implode()
    by_chance = pl.col("event").is_in(to_calibrate) | pl.col("asked").list.contains("calibration")
    role = (
        pl.when(for_audit)
        .then(pl.lit(KEPT))
        .when(pl.col("most") == 0)
        .then(pl.lit(NO_LABEL))
        .when(pl.col("most") > 1)
        .then(pl.lit(SEVERAL))
        .when("coarse")
        .then(pl.lit(UNNAMED))
        .when(pl.col("labels").list.len() == 0)
        .then(pl.lit(UNSHOWN))
        .when(by_chance)
        .then(pl.lit(JUDGE))
        .otherwise(pl.lit(TRAIN))
    )
    return events.select("event", "labels", "streams", role.alias("role"))


def _label_media(decided: Catalog) -> Catalog:
    """With the labels that single media teach; those of an event as a whole stay beside them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TraplineWarning)  # the lesson counts what teaches nothing, by events
        taught, _ = teachable(decided, frames=True)
    labels = decided.table.select("media_id").join(
        taught.table.select("media_id", "labels"), on="media_id", how="left", maintain_order="left"
    )
    return decided.with_table(decided.table.with_columns(labels["labels"]))


def _hold_some(events: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Keep some events of what streams asked for from training, so that there is something to judge by."""
    train = events.with_row_index("at").filter(pl.col("role") == TRAIN)
    frequent = train.filter(pl.len().over("labels") >= _SHARE_HELD)["at"].to_numpy()
    held = np.random.default_rng(seed).permutation(frequent)[: len(train) // _SHARE_HELD]
    judged = pl.int_range(pl.len()).is_in(held.tolist())
    return events.with_columns(pl.when(judged).then(pl.lit(JUDGE)).otherwise("role").alias("role"))


def _lesson(decided: Catalog, events: pl.DataFrame, drawn: bool) -> Lesson:
    taught = events.filter(pl.col("role") == TRAIN)
    counted = taught["labels"].explode().value_counts(name="count").sort("labels")
    new = pl.col("labels").list.set_difference(counted["labels"].to_list()).list.len() > 0
    unknown = (pl.col("role") == JUDGE) & new
    events = events.with_columns(pl.when(unknown).then(pl.lit(UNTAUGHT)).otherwise("role").alias("role"))
    counts = dict(events["role"].value_counts(name="count").sort("role").iter_rows())
    left_out = {why: count for why, count in counts.items() if why not in (TRAIN, JUDGE, KEPT)}
    streams = tuple(sorted(set(taught["streams"].explode().drop_nulls())))
    catalog = _split(decided, events, streams, left_out, drawn)
    labels = dict(counted.iter_rows())
    return Lesson(catalog, len(taught), labels, counts.get(JUDGE, 0), drawn, left_out, streams)


def _split(
    decided: Catalog,
    events: pl.DataFrame,
    streams: Sequence[str],
    left_out: Mapping[str, int],
    drawn: bool,
) -> Catalog:
    """The media of the events that have a part, with the record of it; what is kept shows no label."""
    parts = decided.table.select(event_key().alias("event")).join(
        events.select("event", "role"), on="event", how="left", maintain_order="left"
    )["role"]
    shown = pl.lit(parts.is_in([TRAIN, JUDGE]))
    placed = parts.is_in([TRAIN, JUDGE, KEPT])
    table = decided.table.with_columns(pl.when(shown).then("labels").alias("labels")).filter(placed)
    how = SplitMethod(
        by=BY_DECISIONS,
        method="named",
        named={
            TRAIN: tuple(streams),
            JUDGE: ("drawn by chance",) if drawn else ("kept from training",),
        },
        left_out=dict(left_out),
    )
    catalog = decided.with_table(table.drop(DECISIONS, "known", "coarse", EVENT_LABELS, strict=False))
    return with_record(catalog, parts.filter(placed), how, check_files=True)


def _copies(catalog: Catalog) -> list[str]:
    """Events that train of which a photo is, byte for byte, one of an event that is kept apart."""
    record = catalog.facts.split
    copied = [media for group in record.leaks.duplicates for media in group] if record else []
    twice = (pl.col("split") == TRAIN) & pl.col("media_id").is_in(copied)
    return catalog.table.filter(twice).select(event_key().unique()).to_series().to_list()
