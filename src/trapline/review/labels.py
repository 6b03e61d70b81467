"""Decisions as labels of a catalog: whose stands, of what, and what the catalog said before."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Literal

import polars as pl

from trapline.catalog import (
    CONTENT,
    DECISION,
    DECISIONS,
    EVENT_LABELS,
    Catalog,
    any_decision,
    event_key,
    has_decisions,
    is_held,
    same_photos,
    without_decisions,
)
from trapline.errors import DataError, many
from trapline.review.decision import Asked
from trapline.review.log import DecisionLog
from trapline.review.standing import MEDIA, NAMES
from trapline.taxonomy import BLANK

DRAWN: tuple[Asked, ...] = ("audit", "calibration")
"""Why an event is asked for that was drawn by chance."""

Judged = Literal["audit", "calibration", "chosen", "all"]
"""On which decisions answers are judged: by why the event was asked for."""

_NAMED = 3


def with_decisions(
    catalog: Catalog,
    log: DecisionLog,
    *,
    by: Collection[str] | None = None,
    sure_only: bool = False,
    asked: Collection[Asked] | None = None,
    held: Collection[Asked] = DRAWN,
) -> Catalog:
    """The catalog with what people decided: its labels, those of its events, and the column `decisions`.

    Media are known by their content under any name, and by name only where a content is not known: a
    photo that bears the name of another gets nothing. Of several people the later word stands. *Blank* is
    the label of each media of its event. What is *seen* in an event of several media is the label of the
    event (`event_labels`), of one media or chosen ones their labels. What *cannot be told* is no label:
    the column says it, and observations do. Labels that the catalog came with go where a decision says
    otherwise; the column keeps them. Decisions that were put into the catalog before are put aside. Media
    without an event take that in which they were decided; where the events of the catalog cut one in two,
    what is decided of it as a whole is left out.

    To teach, give the catalog as it is to `trapline.training`: media that are `held` are left out there (they
    are in no part of the split either), and an event decided as a whole teaches its label by the media in
    which a box is sure (`trapline.training.decided`).

    Args:
        catalog: the media.
        log: the decisions.
        by: whose decisions count; None for all people's.
        sure_only: leave out decisions of which the person was not sure.
        asked: leave out decisions on events that were asked for otherwise; None for all.
        held: what of the drawn is marked as held while an audit is open, with its copies, so that nothing
            learns from it.

    Raises:
        DataError: no decision counts, or none is of a media of the catalog.
    """
    people = _people(catalog)
    catalog = without_decisions(catalog)
    current = _counting(log, by, sure_only, asked, held)
    owners = _find(catalog, current, log)
    placed = _cut(catalog.table, _assign(current, owners))
    before = catalog.table.with_columns(_events(catalog.table, placed))
    table = before.with_columns(_labels(before, placed), *_event_labels(before, placed))
    table = table.with_columns(_column(before, table, placed))
    table = table.with_columns(pl.when(~is_held(table.lazy())).then("split").alias("split"))
    absent = current.join(owners, on=list(MEDIA), how="anti", nulls_equal=True, maintain_order="left")
    note = _describe(before, table, placed, absent, log)
    if gone := sorted(people - set(current["person"])):
        note += f"; those of {', '.join(gone)}, which the catalog had, are not among them and count no more"
    return catalog.with_table(table, replace(catalog.facts, notes=(*catalog.facts.notes, note)))


def as_truth(
    catalog: Catalog,
    log: DecisionLog,
    *,
    asked: Judged | None = None,
    by: Collection[str] | None = None,
    sure_only: bool = False,
) -> Catalog:
    """The catalog with what people decided as its only labels, to judge answers by.

    Args:
        catalog: the media.
        log: the decisions.
        asked: on which events: those drawn for an `audit` or for `calibration`, those that were `chosen`, or
            `all`. None for those of the audit, where there are some and not everything is decided: what
            streams choose is what a model is unsure of, and tells little of the rest.
        by: whose decisions count; None for all people's.
        sure_only: leave out decisions of which the person was not sure.

    Raises:
        DataError: no decision counts, or none is of a media of the catalog.
    """
    if asked is None and not (log.current()["asked"] == "audit").any():
        asked = "all"
    if asked is None or asked == "all":
        decided = only_decided(with_decisions(catalog, log, by=by, sure_only=sure_only))
        if asked == "all" or decided.table.select(any_decision("stands").all()).item():
            return decided
    return only_decided(
        with_decisions(catalog, log, by=by, sure_only=sure_only, asked=["audit" if asked is None else asked])
    )


def _people(catalog: Catalog) -> set[str]:
    """Whose decisions the catalog has already."""
    if not has_decisions(catalog):
        return set()
    return set(catalog.table[DECISIONS].explode().struct.field("person").drop_nulls())


def only_decided(catalog: Catalog) -> Catalog:
    """The catalog with labels where somebody decided alone: what is known otherwise is no truth here."""
    whole = any_decision("stands", "of_event")
    direct = any_decision("stands") & ~whole
    columns = [pl.when(direct).then("labels").alias("labels")]
    if EVENT_LABELS in catalog.table.columns:
        columns.append(pl.when(whole.any().over(event_key())).then(EVENT_LABELS).alias(EVENT_LABELS))
    return catalog.with_table(catalog.table.with_columns(columns))


# ---- what counts, and of which media


def _counting(
    log: DecisionLog,
    by: Collection[str] | None,
    sure_only: bool,
    asked: Collection[Asked] | None,
    held: Collection[Asked],
) -> pl.DataFrame:
    """What counts, in the order of deciding: `DecisionLog.current`, with `whole` (it is said of an event of
    several media, and of none of them what it shows) and `held`."""
    current = log.current()
    people = set(current["person"])
    if unknown := sorted(set(by or ()) - people):
        raise DataError(
            f"Nobody called {unknown[0]} decided anything in {log.path}: {', '.join(sorted(people))} did."
        )
    counts = [
        pl.lit(value=True) if by is None else pl.col("person").is_in(list(by)),
        pl.col("sure") if sure_only else pl.lit(value=True),
        pl.lit(value=True) if asked is None else pl.col("asked").is_in(list(asked)),
    ]
    current = current.filter(counts)
    if current.is_empty():
        raise DataError(
            f"No decision in {log.path} counts: there is none, or none of those that are asked for."
        )
    drawn = log.drawn().filter(pl.col("open") & pl.col("asked").is_in(list(held)))["event"].unique()
    current = current.with_columns(
        (pl.col("of_event") & (pl.col("verdict") != "blank") & (pl.col("media_count") > 1)).alias("whole"),
        pl.col("event").is_in(drawn.implode()).alias("held"),
    )
    contents = current.filter("held").select(list(CONTENT)).drop_nulls().unique()
    copied = current.join(contents, on=list(CONTENT), how="semi")["event"].unique()
    return current.with_columns(pl.col("held") | pl.col("event").is_in(copied.implode()))


def _find(catalog: Catalog, current: pl.DataFrame, log: DecisionLog) -> pl.DataFrame:
    """`row` of the catalog, and the media that it is: of copies the one of the same name, else all."""
    media = current.select(*MEDIA).unique(maintain_order=True)
    other = replace(catalog, table=media, source=str(log.path))
    pairs = same_photos(catalog, other, as_kept=True).filter(pl.col("by") != "name alone")
    own, theirs = catalog.table[pairs["row"]], media[pairs["other"]]
    namesake = (own["media_id"] == theirs["media_id"]) | (own["file_path"] == theirs["file_path"])
    pairs = pairs.with_columns(namesake.alias("_namesake"))
    best = pairs.filter(pl.col("_namesake") | ~pl.col("_namesake").any().over("other"))
    if best.is_empty():
        raise DataError(
            f"None of the {len(media):,} media that are decided in {log.path} is one of {catalog.source}: "
            f"neither by content nor by name (the first is {media['file_path'][0]}). Give the photos that "
            "were reviewed, or say where they are now: `trapline catalog CATALOG --root FOLDER`."
        )
    return media[best["other"]].with_columns(best["row"])


def _assign(current: pl.DataFrame, owners: pl.DataFrame) -> pl.DataFrame:
    """What is said of each row, the latest last; `stands`: the latest of all people."""
    placed = current.drop("stands").with_row_index("order")
    placed = placed.join(owners, on=list(MEDIA), nulls_equal=True).sort("order")
    placed = placed.unique(["row", "number"], maintain_order=True)
    return placed.with_columns((pl.col("order") == pl.col("order").max().over("row")).alias("stands"))


def _cut(table: pl.DataFrame, placed: pl.DataFrame) -> pl.DataFrame:
    """With `event_id`, that of the catalog or else of the decision; what is said of an event as a whole does
    not stand where its media are of several events now (`cut`)."""
    own = table["event_id"][placed["row"]]
    decided_in = pl.when(pl.col("event").str.starts_with("event:")).then(
        pl.col("event").str.slice(len("event:"))
    )
    homes = placed.with_columns(pl.coalesce(own, decided_in).alias("event_id"))
    homes = homes.with_columns(
        (pl.col("whole") & (pl.col("event_id").n_unique().over("number") > 1)).alias("cut")
    )
    return homes.with_columns(pl.col("stands") & ~pl.col("cut"))


# ---- the columns


def _by_row(table: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The table with the columns of rows; null where there is none."""
    return table.with_row_index("row").join(rows, on="row", how="left", maintain_order="left").drop("row")


def _events(table: pl.DataFrame, placed: pl.DataFrame) -> pl.Series:
    of_several = placed.filter(pl.col("stands") & pl.col("of_event"))
    filled = _by_row(table.select("media_id"), of_several.select("row", "event_id"))
    return table.select(pl.coalesce("event_id", filled["event_id"])).to_series()


def _standing(table: pl.DataFrame, placed: pl.DataFrame) -> pl.DataFrame:
    """A row a media of the catalog: its `key` of an event and `labels`, and of what stands the `number`,
    whether it is `whole`, and the labels (`new`; null where it cannot be told)."""
    new = pl.when(pl.col("verdict") != "cannot tell").then(NAMES)
    standing = placed.filter("stands").select("row", "number", "whole", new.alias("new"))
    return _by_row(table.select("labels", event_key().alias("key")), standing)


def _labels(table: pl.DataFrame, placed: pl.DataFrame) -> pl.Series:
    """Of each row what stands; of an event as a whole what its media had, where that says the same."""
    rows = _standing(table, placed)
    shown = rows.filter("whole").explode("labels").filter(pl.col("labels") != BLANK)
    shown = shown.group_by("number").agg(pl.col("labels").unique().sort().alias("shown"))
    rows = rows.join(shown, on="number", how="left", maintain_order="left")
    agrees = pl.col("new").list.sort() == pl.col("shown")
    kept = pl.when(pl.col("number").is_null() | (pl.col("whole") & agrees)).then("labels")
    return rows.select(kept.when(~pl.col("whole")).then("new").alias("labels")).to_series()


def _event_labels(table: pl.DataFrame, placed: pl.DataFrame) -> pl.DataFrame:
    """Of events of which something is said as a whole all that is seen in them; else as it was, unless each
    media of the event is decided by itself. No column where there is none and none is needed."""
    rows = _standing(table, placed)
    if EVENT_LABELS not in table.columns and not rows["whole"].any():
        return pl.DataFrame()
    before = table[EVENT_LABELS] if EVENT_LABELS in table.columns else pl.Series([None] * len(table))
    rows = rows.with_columns(before.cast(pl.List(pl.String)).alias("before"))
    of_event = rows.group_by("key").agg(
        pl.col("whole").any(), decided=pl.col("number").is_not_null().all(), seen=_seen(pl.col("new"))
    )
    rows = rows.join(of_event, on="key", maintain_order="left", suffix="_any")
    kept = pl.when(~pl.col("decided")).then("before")
    return rows.select(pl.when(pl.col("whole_any")).then("seen").otherwise(kept).alias(EVENT_LABELS))


def _seen(lists: pl.Expr) -> pl.Expr:
    """All labels of lists but blank, sorted; null for none."""
    seen = lists.list.explode().drop_nulls().unique().sort()
    seen = seen.filter(seen != BLANK).implode()
    return pl.when(seen.list.len() > 0).then(seen)


def _column(before: pl.DataFrame, table: pl.DataFrame, placed: pl.DataFrame) -> pl.Series:
    """The column `decisions`: what the catalog said and what stands no more, then each decision."""
    fields = list(DECISION.to_schema())
    current = placed.explode("labels", empty_as_null=True).unnest("labels").with_columns(of_event="whole")
    entries = [
        _unsaid(before, placed),
        current.select("row", pl.struct(fields).cast(DECISION).alias("entry")),
    ]
    lists = pl.concat(entries).group_by("row", maintain_order=True).agg(pl.col("entry").alias(DECISIONS))
    return _by_row(table, lists)[DECISIONS]


def _unsaid(before: pl.DataFrame, placed: pl.DataFrame) -> pl.DataFrame:
    """What the catalog said of decided media and of their events, as entries."""
    decided = placed.filter("stands")["row"].unique()
    rows = []
    for name in (name for name in ("labels", EVENT_LABELS) if name in before.columns):
        old = before.select(label=name).with_row_index("row").drop_nulls("label")
        old = old.filter(pl.col("row").is_in(decided.implode())).explode("label")
        verdict = pl.when(pl.col("label") == BLANK).then(pl.lit("blank")).otherwise(pl.lit("seen"))
        rows.append(old.with_columns(verdict=verdict, of_event=pl.lit(name == EVENT_LABELS)))
    values = pl.concat(rows).with_columns(stands=pl.lit(value=False), held=pl.lit(value=False))
    label = pl.when(pl.col("verdict") == "seen").then("label")
    fields = [
        (label if name == "label" else pl.col(name) if name in values.columns else pl.lit(None))
        .cast(kind)
        .alias(name)
        for name, kind in DECISION.to_schema().items()
    ]
    return values.select("row", pl.struct(fields).alias("entry"))


# ---- for people


def _describe(
    before: pl.DataFrame, table: pl.DataFrame, placed: pl.DataFrame, absent: pl.DataFrame, log: DecisionLog
) -> str:
    """What became of the decisions, in a sentence."""
    standing = placed.filter("stands")
    rows = table[standing["row"]]
    old = before[standing["row"]]["labels"]
    changed = (old.is_not_null() & old.list.sort().ne_missing(rows["labels"].list.sort())).sum()
    people = standing["person"].unique().sort()
    note = f"decisions of {log.path}: on {len(standing):,} media by {', '.join(people)}"
    for number, what in (
        (int(standing["whole"].sum()), "of their events as wholes"),
        (int(changed), "where other labels were"),
        (int((standing["verdict"] == "cannot tell").sum()), "which cannot be told and have no label"),
        (int(standing["held"].sum()), "held for an audit that goes on, which nothing learns from"),
    ):
        note += f", {number:,} {what}" if number else ""
    absent = absent.unique(MEDIA, maintain_order=True)
    if absent.height:
        first = ", ".join(absent["file_path"].head(_NAMED))
        note += f"; {absent.height:,} decided media are not of this catalog ({first})"
    if cut := placed.filter("cut")["number"].n_unique():
        first = ", ".join(placed.filter("cut")["event"].unique(maintain_order=True).head(_NAMED))
        note += f"; {many(cut, 'decision')} left out, of events that this catalog cuts in several ({first})"
    return note
