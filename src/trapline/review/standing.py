"""All decisions as tables: what counts of each person and media, and whose word stands."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

import polars as pl

from trapline.catalog import ATTRIBUTES
from trapline.review.database import TIME, frame
from trapline.taxonomy import BLANK

_DECISION: dict[str, Any] = {
    "number": pl.Int64,
    "decision_id": pl.String,
    "person": pl.String,
    "decided_at": TIME,
    "event": pl.String,
    "of_event": pl.Boolean,
    "verdict": pl.String,
    "sure": pl.Boolean,
    "flagged": pl.Boolean,
    "remark": pl.String,
    "stream": pl.String,
    "asked": pl.String,
    "suggested_by": pl.String,
    "suggested_probability": pl.Float64,
}
_MEDIA: dict[str, Any] = {
    "media_id": pl.String,
    "file_path": pl.String,
    "content_size": pl.Int64,
    "content_hash": pl.String,
}
_SIGHTING: dict[str, Any] = {"label": pl.String, **ATTRIBUTES}
MEDIA = tuple(_MEDIA)
"""What a decided media is known by."""

CURRENT: dict[str, Any] = {
    **_DECISION,
    "labels": pl.List(pl.Struct(_SIGHTING)),
    "suggested": pl.List(pl.String),
    "media_count": pl.UInt32,
    **_MEDIA,
    "stands": pl.Boolean,
}
"""The columns of `DecisionLog.current`; one row a person and media.

What the decision has, `labels` (none of a blank, or where it cannot be told), `suggested`: the labels that
were filled in, `media_count`: of how many media it is, then the media as it was, and `stands`: nobody
decided later of this media.
"""

NAMES: pl.Expr = (
    pl.when(pl.col("verdict") == "blank")
    .then(pl.lit([BLANK]))
    .otherwise(pl.col("labels").list.eval(pl.element().struct.field("label").unique(maintain_order=True)))
)
"""Of rows of `CURRENT`: the labels; `blank` where nothing is seen, none where it cannot be told."""


def together(names: pl.Expr = NAMES) -> pl.Expr:
    """What is said of the media of an event, aggregated: the labels that are seen in any of them, sorted;
    `blank` alone where nothing is seen in any, none where that cannot be told."""
    seen = names.list.explode(keep_nulls=False, empty_as_null=False).unique().sort()
    seen = seen.filter(seen != BLANK)
    blank = (names.list.len() > 0).all()
    nothing = pl.when(blank).then(pl.lit([BLANK])).otherwise(pl.lit([], pl.List(pl.String)))
    return pl.when(seen.len() > 0).then(seen.implode()).otherwise(nothing.first())


_COLUMNS = ", ".join(_DECISION)
_COUNTING = f"SELECT {_COLUMNS} FROM counting"  # noqa: S608  # made of names of this module
_DECISIONS = f"SELECT {_COLUMNS} FROM decisions WHERE takes_back IS NULL"  # noqa: S608
_LINKS = "SELECT number, media FROM decided_media"
_FILES = "SELECT media, media_id, file_path, content_size, content_hash FROM media"
_SIGHTINGS = f"SELECT number, {', '.join(_SIGHTING)} FROM sightings"  # noqa: S608
_SUGGESTED = "SELECT number, label FROM suggested_labels"

_CHOOSE = """
CREATE TEMP TABLE chosen_media AS SELECT DISTINCT media FROM main.media WHERE media_id IN (
    SELECT media_id FROM main.media JOIN main.decided_media USING (media) JOIN main.decisions USING (number)
    WHERE event IN (SELECT value FROM json_each(?)));
"""
_CHOSEN_FILES = " WHERE media IN (SELECT media FROM chosen_media)"
_CHOSEN = " WHERE number IN (SELECT number FROM chosen_decisions)"


def current_decisions(
    connection: sqlite3.Connection, events: Sequence[str] | None = None, without: str | None = None
) -> pl.DataFrame:
    """What counts, by the rule that stands at `DecisionLog`; of the media of some events, or of all.

    Args:
        connection: that reads.
        events: whose media; None for all.
        without: a stream whose decisions are left out.

    Returns:
        Columns as in `CURRENT`, in the order of deciding.
    """
    chosen = chosen_files = ""
    if events is not None:
        _choose(connection, events)
        chosen, chosen_files = _CHOSEN, _CHOSEN_FILES
    rows = frame(connection, _COUNTING + chosen, _DECISION)
    if without is not None:
        rows = rows.filter(pl.col("stream").ne_missing(without))
    rows = rows.sort("decided_at", "number").with_row_index("order")
    links = frame(connection, _LINKS + chosen, {"number": pl.Int64, "media": pl.Int64})
    files = frame(connection, _FILES + chosen_files, {"media": pl.Int64, **_MEDIA})
    latest = _latest(rows.select("number", "order", "person"), links, files)
    counts = links.group_by("number").agg(media_count=pl.len())
    parts = rows.join(counts, on="number").join(_parts(connection, chosen), on="number", how="left")
    table = latest.join(parts, on="number", maintain_order="left")
    table = table.join(files, on="media", maintain_order="left")
    return table.with_columns(pl.col("labels", "suggested").fill_null([])).select(CURRENT.keys())


def _choose(connection: sqlite3.Connection, events: Sequence[str]) -> None:
    connection.execute(_CHOOSE, (json.dumps(list(events)),))
    connection.execute(
        "CREATE TEMP TABLE chosen_decisions AS SELECT DISTINCT number FROM main.decided_media"
        " WHERE media IN (SELECT media FROM chosen_media)"
    )


def _latest(rows: pl.DataFrame, links: pl.DataFrame, files: pl.DataFrame) -> pl.DataFrame:
    """number, media, stands: of each person and media the latest decision.

    Args:
        rows: number, order (of deciding), person.
        links: number, media.
        files: media, and what it was.
    """
    pairs = links.join(rows, on="number").join(_same(files), on="media")
    latest = pairs.filter(pl.col("order") == pl.col("order").max().over("person", "same"))
    stands = pl.col("order") == pl.col("order").max().over("same")
    return latest.with_columns(stands=stands).sort("order", "media").select("number", "media", "stands")


def _same(files: pl.DataFrame) -> pl.DataFrame:
    """media, same: equal numbers for rows that are one media.

    That is, of one id and one content. One whose content could not be read is the one whose content is
    known, where only one is known under this id.
    """
    known = pl.col("content_hash").drop_nulls()
    content = pl.when(known.n_unique().over("media_id") == 1).then(known.first().over("media_id"))
    several = files.filter(pl.col("media_id").is_duplicated())
    several = several.with_columns(content=pl.coalesce("content_hash", content))
    same = several.select("media", same=pl.col("media").min().over("media_id", "content"))
    return pl.concat([files.join(same, on="media", how="anti").select("media", same="media"), same])


def _parts(connection: sqlite3.Connection, chosen: str = "") -> pl.DataFrame:
    """number, labels, suggested: of the decisions that have any."""
    order = " ORDER BY number, position"
    schema: dict[str, Any] = {"number": pl.Int64, **_SIGHTING}
    seen = frame(connection, _SIGHTINGS + chosen + order, schema)
    labels = seen.group_by("number", maintain_order=True).agg(labels=pl.struct(*_SIGHTING))
    schema = {"number": pl.Int64, "suggested": pl.String}
    suggested = frame(connection, _SUGGESTED + chosen + order, schema)
    suggested = suggested.group_by("number", maintain_order=True).agg("suggested")
    return labels.join(suggested, on="number", how="full", coalesce=True)


def all_decisions(connection: sqlite3.Connection) -> pl.DataFrame:
    """All decisions, one row a sighting; one row too where nothing is seen, or it cannot be told."""
    rows = frame(connection, _DECISIONS, _DECISION)
    taken = frame(connection, "SELECT decision_id FROM taken_back", {"decision_id": pl.String})
    links = frame(connection, _LINKS + " ORDER BY number, position", {"number": pl.Int64, "media": pl.Int64})
    files = frame(connection, _FILES, {"media": pl.Int64, **_MEDIA})
    rows = rows.with_columns(taken_back=pl.col("decision_id").is_in(taken["decision_id"].implode()))
    valid = rows.filter(~pl.col("taken_back")).sort("decided_at", "number").with_row_index("order")
    counting = _latest(valid.select("number", "order", "person"), links, files)["number"].unique()
    named = links.join(files.select("media", "media_id"), on="media", maintain_order="left")
    media = named.group_by("number", maintain_order=True).agg(media="media_id")
    table = rows.join(media, on="number", how="left").join(_parts(connection), on="number", how="left")
    table = table.sort("number").explode("labels", empty_as_null=True).unnest("labels")
    return table.with_columns(
        label=pl.when(pl.col("verdict") == "blank").then(pl.lit(BLANK)).otherwise("label"),
        suggested=pl.col("suggested").fill_null([]),
        counts=pl.col("number").is_in(counting.implode()),
    )
