"""Tables of media, or of boxes, pooled to one answer an event; the formulas are those of `frames`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypedDict, Unpack, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog, event_key, frame_order
from trapline.errors import DataError, UsageError
from trapline.models import Calibration, Card, EventPooling, PoolingMethod
from trapline.prediction.facts import Pooled, PooledBy, PredictionFacts, facts_of_card
from trapline.prediction.frames import Floats, apply_pooling, keep_blanks_of_frames, pool_nodes
from trapline.prediction.location_answers import answer_by_location
from trapline.prediction.parts import Media, SideBySide, Table, whole, whole_catalog
from trapline.prediction.ranks import Ranks
from trapline.prediction.table import FIXED, Predictions, check_output, write_predicted
from trapline.taxonomy import BLANK, Hierarchy

NODE_MEAN = "node-mean"
_MULTIPLIES: tuple[PoolingMethod, ...] = ("mean-logit", "geometric-mean")

Rows = Literal["media", "event"]
Blanks = Literal["own", "event"]
"""Who says whether anything is on a photo: its own answer, or its event's."""

_ASKED = ("event_id", "frame", "boxes", "location_id", "camera_time")
"""What is asked of the catalog besides what identifies its media."""


class PoolingKeywords(TypedDict, total=False):
    """Of `pool_events`."""

    how: PoolingMethod | EventPooling | Literal["node-mean"] | None
    without_box: float
    place_days: float | None
    rows: Rows
    blanks: Blanks | None


def pool_events(
    predictions: Predictions,
    catalog: Catalog,
    *,
    how: PoolingMethod | EventPooling | Literal["node-mean"] | None = None,
    without_box: float = 1.0,
    place_days: float | None = None,
    rows: Rows = "media",
    blanks: Blanks | None = None,
) -> Predictions:
    """Pool the probabilities of the media of each event.

    In rows of media an event says *what* is there, and each media for itself *whether* anything is: a frame
    from which the animal has walked out stays blank beside those that show it (`keep_blanks_of_frames`).

    Args:
        predictions: one row a media; or one a box, then into rows of events (the boxes of a media that has
            no event are one), skipped rows left out.
        catalog: with the `event_id` and `frame` (and `boxes`, if `without_box` is not 1) of these media;
            media without an event stand alone. `first` takes the least frame, whatever the order of rows.
        how: the method (see `trapline.prediction.frames`), or what a card says (`Card.event`: a method a
            label, and the calibration of events); of a model of taxa also `node-mean`, the mean at each node
            of the tree, as the published cascade has it. None takes what the predictions say that their model
            says, or else `mean-logit`; `mean` where only the surest labels have their probability.
        without_box: the weight of media in which the detector found nothing, over 1 for the others. Where
            all media of an event are such, they weigh alike.
        place_days: answer events without a box by what the other events of their location show within this
            many days (see `trapline.prediction.location_answers`); None leaves them their own answers.
        rows: `media` keeps a row a media; `event` makes one row an event, with `reason` telling how many of
            its media failed.
        blanks: in rows of media, who says how likely a media is `blank`: `own`, its own answer, or `event`,
            which gives every media the whole answer of its event. None is `own` where the model has such a
            label; one that has none says something of every photo, and its events say it of all of theirs.

    Returns:
        predictions of the same labels; failed media stay failed and do not count, an event fails when all
        of its media did.

    Raises:
        UsageError: an unknown way to pool, one that multiplies where the surest labels alone have a
            probability, `node-mean` without a tree, a weight outside 0..1, events to be
            answered by their location by a model of several labels or of blanks, or `blanks` in rows of
            events, or `own` of a model that has no such label.
        DataError: predictions not of media, or media that are not in the catalog.
    """
    if rows not in get_args(Rows):
        raise UsageError(f"Events are pooled into rows of {' or '.join(get_args(Rows))}, not of '{rows}'.")
    hierarchy = _hierarchy(predictions) if how == "node-mean" else None
    pooling = EventPooling() if how == "node-mean" else _as_pooling(how, predictions)
    if predictions.level == "box" and rows != "event":
        raise UsageError("Boxes are pooled into rows of events, not of media: give rows 'event'.")
    if rows == "event":
        predictions = predictions.without_skipped()
    blanks = _who_says_blank(blanks, rows, predictions)
    if not 0 <= without_box <= 1:
        raise UsageError(f"The weight of media without a box must be from 0 to 1, not {without_box}.")
    _check_location(place_days, predictions)
    media = _media(predictions, catalog, without_box)
    codes = media["code"].to_numpy()
    ok = (predictions.table["status"] == "ok").to_numpy()
    weights = _weights(media["weight"].to_numpy(), ok, codes)
    order = frame_order(media)
    frames = predictions.probabilities()[order], weights[order], codes[order]
    if hierarchy is None:
        whole = predictions.facts.kept is None
        pooled = apply_pooling(*frames, pooling, predictions.task, predictions.labels, whole)
        by = PooledBy(method=pooling.method, by_label=dict(pooling.by_label), selected_on=pooling.selected_on)
    else:
        pooled = pool_nodes(*frames, hierarchy)
        by = PooledBy(method=NODE_MEAN, by_label={}, selected_on="")
    if place_days is not None:
        pooled = answer_by_location(pooled, *_events(media), place_days)
    record = Pooled(how=by, without_box=without_box, place_days=place_days, blanks=blanks)
    facts = replace(predictions.facts, pooled=record)
    if rows == "media":
        table, pooled = predictions.table.select(*FIXED).with_columns(media["event_id"]), pooled[codes]
        if blanks == "own":
            pooled = keep_blanks_of_frames(predictions.probabilities(), pooled, predictions.labels)
    else:
        table = _event_rows(media.with_columns(pl.Series("ok", ok)))
    numbers = pl.from_numpy(pooled.astype(np.float32), list(predictions.labels))
    good = table["status"] == "ok"
    numbers = numbers.select(pl.when(good).then(numbers[label]).alias(label) for label in predictions.labels)
    return Predictions(
        table.hstack(numbers), predictions.labels, rows, predictions.model, predictions.task, facts
    )


def facts_of_pooled(card: Card, rows: Rows) -> PredictionFacts:
    """What predictions of a model say of themselves, pooled as its card says and not otherwise."""
    facts, pooling = facts_of_card(card), card.pooling
    by = PooledBy(method=pooling.method, by_label=dict(pooling.by_label), selected_on=pooling.selected_on)
    blanks: Blanks = "own" if rows == "media" and BLANK in card.labels else "event"
    return replace(facts, pooled=Pooled(how=by, without_box=1.0, place_days=None, blanks=blanks))


@dataclass(frozen=True)
class PooledTable:
    """What became of a table that was pooled.

    Attributes:
        facts: of the pooled table.
        pooled: rows of the table that was given.
        rows: of the pooled one.
    """

    facts: PredictionFacts
    pooled: int
    rows: int


def pool_table(
    table: Table,
    media: Media,
    output: Path | str,
    *,
    rows_per_file: int | None = None,
    **options: Unpack[PoolingKeywords],
) -> PooledTable:
    """`pool_events` from table to table, some events at a time; memory grows with the events alone.

    All is in memory at once where the rows do not follow the order of the catalog, and with `place_days`,
    which asks for what the other events of a location show.

    Args:
        table: of `scan_table`.
        media: of `media_of`.
        output: as of `write_table`, likewise `rows_per_file`.
        options: of `pool_events`.

    Raises:
        UsageError: as of `pool_events` and of `check_output`.
        DataError: likewise; or the disk is full.
    """
    check_output(Path(output), rows_per_file)
    side = None if options.get("place_days") is not None else SideBySide.open([table], media)
    if side is None:
        given = whole(table)
        pooled = pool_events(given, whole_catalog(media, _ASKED), **options)
        pooled.save(output, rows_per_file=rows_per_file)
        return PooledTable(pooled.facts, len(given), len(pooled))
    facts, rows = write_predicted(pool_parts(side, **options), output, rows_per_file)
    return PooledTable(facts, sum(heights[1] for heights in side.counts), rows)


def pool_parts(side: SideBySide, **options: Unpack[PoolingKeywords]) -> Iterator[Predictions]:
    """The pooled events of each part of a table, in their order."""
    for (part,), catalog in side.parts(_ASKED):
        given = part.without_skipped() if options.get("rows") == "event" else part
        if len(given):
            yield pool_events(given, catalog, **options)


def _media(predictions: Predictions, catalog: Catalog, without_box: float) -> pl.DataFrame:
    """event_id, code (0..events-1, in order of appearance), frame and weight of each row."""
    if predictions.level == "event":
        raise DataError("These predictions are of events already; pool those of media or boxes.")
    nothing = pl.col("boxes").list.len() == 0
    known = catalog.table.select(
        "media_id",
        "event_id",
        "frame",
        pl.when(nothing).then(without_box).otherwise(1.0).alias("weight"),
        (pl.col("boxes").list.len() > 0).fill_null(True).alias("seen"),
        "location_id",
        (pl.col("camera_time").dt.epoch("s") / 86_400).alias("day"),
        pl.lit(True).alias("known"),
    )
    media = predictions.table.select("media_id").join(known, on="media_id", how="left", maintain_order="left")
    strangers = media.filter(pl.col("known").is_null())["media_id"].to_list()
    if strangers:
        raise DataError(
            f"{len(strangers)} predicted media are not in the catalog, so their events are unknown: "
            f"{', '.join(strangers[:5])}. Give the catalog that was predicted."
        )
    ranked = media.with_columns(event_key().alias("key"))
    order = ranked.select("key").unique(maintain_order=True).with_row_index("code")
    return ranked.join(order, on="key", how="left", maintain_order="left")


def _who_says_blank(blanks: Blanks | None, rows: Rows, predictions: Predictions) -> Blanks:
    if blanks is not None and blanks not in get_args(Blanks):
        raise UsageError(
            f"Whether a photo is blank is said by its {' or '.join(get_args(Blanks))}, not '{blanks}'."
        )
    if blanks is not None and rows == "event":
        raise UsageError(
            "A row an event has the answer of its event: leave blanks out, or give rows 'media'."
        )
    if rows == "event" or blanks == "event":
        return "event"
    if BLANK in predictions.labels:
        return "own"
    if blanks == "own":
        raise UsageError(
            f"This model has no label '{BLANK}', so that no photo can say for itself that it is: leave "
            "blanks out."
        )
    return "event"


def _check_location(days: float | None, predictions: Predictions) -> None:
    if days is None:
        return
    if not days > 0:
        raise UsageError(f"A location answers from within a number of days above 0, not {days:g}.")
    if predictions.task == "multi-label" or BLANK in predictions.labels:
        raise UsageError(
            "Photos without a box can be answered by their location only where every photo shows something, "
            "and one thing: this model knows blanks or says several labels. Leave place_days out."
        )


def _events(media: pl.DataFrame) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64], Floats]:
    """Of each event: whether it has a box, its location (-1 if unknown) and its mean day (NaN if unknown)."""
    events = media.group_by("code").agg(
        pl.col("seen").any(), pl.col("location_id").first(), pl.col("day").mean()
    )
    events = events.sort("code").with_columns(
        pl.col("location_id").rank("dense").cast(pl.Int64).fill_null(0) - 1,
        pl.col("day").fill_null(float("nan")),
    )
    return events["seen"].to_numpy(), events["location_id"].to_numpy(), events["day"].to_numpy()


def _weights(weights: Floats, ok: npt.NDArray[np.bool_], codes: npt.NDArray[np.int64]) -> Floats:
    """[N], summing to 1 over the good media of each event; 0 for failed media."""
    events = int(codes.max()) + 1
    weights = np.where(ok, weights, 0.0)
    nothing_counts = np.bincount(codes, weights, events) == 0
    weights = np.where(nothing_counts[codes] & ok, 1.0, weights)
    totals = np.maximum(np.bincount(codes, weights, events), 1e-300)
    return np.asarray(weights / totals[codes], np.float64)


def _as_pooling(how: PoolingMethod | EventPooling | None, predictions: Predictions) -> EventPooling:
    if isinstance(how, EventPooling):
        return how
    told_of_few = predictions.facts.kept is not None
    if how is None:
        usual: PoolingMethod = "mean" if told_of_few else "mean-logit"
        return predictions.facts.event or _plain(usual, predictions)
    if how not in get_args(PoolingMethod):
        ways = ", ".join((*get_args(PoolingMethod), NODE_MEAN))
        raise UsageError(f"Events are pooled by {ways}, not by '{how}'.")
    if told_of_few and how in _MULTIPLIES:
        raise UsageError(
            f"{how} rules out a label that one photo's answer does not tell of, and these predictions tell "
            "of the surest labels only. Pool them by mean, max, noisy-or or first."
        )
    return _plain(how, predictions)


def _plain(method: PoolingMethod, predictions: Predictions) -> EventPooling:
    """Without a calibration; where labels exclude each other, what is said of an event sums to 1 as well."""
    return EventPooling(method=method, calibration=Calibration(exclusive=predictions.facts.exclusive))


def _hierarchy(predictions: Predictions) -> Hierarchy:
    ranks = Ranks.of_facts(predictions.labels, predictions.facts)
    if ranks is None:
        raise UsageError(f"{NODE_MEAN} averages at the nodes of a tree; these predictions have no taxonomy.")
    return ranks.hierarchy


def _event_rows(media: pl.DataFrame) -> pl.DataFrame:
    """The fixed columns of one row an event; media without an event keep their own id."""
    counted = media.group_by("code", maintain_order=True).agg(
        pl.col("event_id", "media_id").first(), pl.len().alias("media"), (~pl.col("ok")).sum().alias("failed")
    )
    all_failed = pl.col("failed") == pl.col("media")
    text = pl.concat_str("failed", pl.lit(" of "), "media", pl.lit(" media failed"))
    return counted.select(
        pl.when(pl.col("event_id").is_null()).then("media_id").alias("media_id"),
        "event_id",
        pl.lit(None, pl.Int64).alias("box"),
        pl.lit(None, pl.String).alias("file_path"),
        pl.when(all_failed).then(pl.lit("failed")).otherwise(pl.lit("ok")).alias("status"),
        pl.when(pl.col("failed") > 0).then(text).alias("reason"),
    )
