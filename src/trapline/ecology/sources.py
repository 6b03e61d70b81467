"""Records of what Trapline itself knows: of decisions, of answers above a threshold, of probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

import polars as pl

from trapline.arguments import checked
from trapline.catalog import ATTRIBUTES, Catalog, describe_impossible_times, event_key
from trapline.ecology.records import RECORDS, MadeOf, Records
from trapline.errors import DataError, UsageError, many
from trapline.observations import Observations, describe_thresholds, gather
from trapline.prediction import Predictions, are_predictions, pool_events
from trapline.taxonomy import BLANK, Kind, Taxonomy, default_kind

_KindOf = Callable[[str], Kind | None]

LEAST = 0.001
"""A label below this probability in an event has no expected record there."""

_WORDS: dict[str, str] = {
    "decisions": "human decisions alone",
    "threshold": "answers above a threshold, people's word above a model's",
    "probabilities": "calibrated probabilities (expected records), people's word above them",
    "table": "somebody's table",
}


@dataclass(frozen=True, eq=False)
class ExpectedRecords(Records):
    """Records that are expected: `probability` is that the label is in the event; null where people decided.

    `trapline.ecology.draws` makes tables of them in which each is there or not, `over_draws` carries what
    differs between these through to any figure.

    Attributes:
        exclusive: at most one of an event's labels is there (a softmax); else each for itself.
    """

    exclusive: bool = True


def describe_made_of(records: Records) -> str:
    """For people: of what a table is made."""
    return _described(records.made_of)


def _described(made_of: str) -> str:
    return f"made of {_WORDS[made_of]}"


@checked
def records_of(
    source: Observations | Predictions | Catalog | Path | str,
    catalog: Catalog | Path | str | None = None,
    *,
    made_of: MadeOf | None = None,
    threshold: float | None = None,
    thresholds: Path | str | Mapping[str, float] | None = None,
    taxonomy: Taxonomy | None = None,
    observers: Sequence[str] | None = None,
) -> Records:
    """Records of a catalog that is decided, predicted or observed: one a label and event.

    The time is that of the event's first photo, the count the most individuals that a photo showed at once.
    Nothing is a record of what is blank, and nothing of what nobody can tell.

    Args:
        source: observations, predictions, or a catalog whose labels and decisions speak alone; or its path.
        catalog: the media, of observations and predictions.
        made_of: `decisions`: what people say alone; `threshold`: what stands, of people, else of the model
            where it is sure enough; `probabilities`: expected records (`ExpectedRecords`) where nobody
            decided. None for `threshold` where a model speaks, else `decisions`.
        threshold: labels of the model below this probability are no answers; None for the model's own way.
        thresholds: each label with its own (see `trapline.observations.gather`).
        taxonomy: what the labels stand for.
        observers: whose word counts, of predictions and catalogs (see `trapline.observations.gather`).

    Raises:
        UsageError: there is no catalog, or what is asked for is not there.
        DataError: nobody says anything of the media.
    """
    if isinstance(source, Path | str):
        source = _opened(Path(source))
    media = source if isinstance(source, Catalog) else _catalog(source, catalog)
    speaks = isinstance(source, Predictions) or (isinstance(source, Observations) and _has_model(source))
    chosen = made_of or ("threshold" if speaks else "decisions")
    if chosen == "table" or chosen not in get_args(MadeOf):
        raise UsageError(f"Records are made of decisions, threshold or probabilities, not of '{chosen}'.")
    if chosen == "probabilities":
        if not isinstance(source, Predictions):
            raise UsageError("Expected records are made of a model's probabilities: give its predictions.")
        if threshold is not None or thresholds is not None:
            raise UsageError("A threshold is for answers: of probabilities nothing is cut off.")
        return _expected(source, media, taxonomy, observers)
    kind: _KindOf = default_kind
    if isinstance(source, Observations):
        if observers is not None:
            raise UsageError(
                "Who speaks was chosen when the observations were made: --observers is not for these."
            )
        observations, notes = source, [_limit(source)]
    else:
        predictions = source if isinstance(source, Predictions) and chosen == "threshold" else None
        sources = gather(predictions, media, taxonomy=taxonomy, thresholds=thresholds, observers=observers)
        observations, kind = sources.observe(threshold), sources.kind
        own = describe_thresholds(sources.thresholds, predictions) if threshold is None else []
        notes = own or [_limit(observations)]
        notes += [] if predictions is None else _unpredicted(predictions, media)
    rows = observations.per_media(media)
    if chosen == "decisions":
        rows, notes = _of_people(rows)
    table = _records(rows, media, kind)
    notes = [_described(chosen), *notes, *_doubts(table, media)]
    doubts = _doubts_of_model(source) if chosen == "threshold" else ()
    return Records(table, cast(MadeOf, chosen), media.source, tuple(notes), doubts)


def _limit(observations: Observations) -> str:
    """For people: from which probability on a model's label is an answer."""
    limit = observations.facts.threshold
    return "no threshold: the model's own answer counts" if limit is None else f"threshold {limit:g}"


def _opened(path: Path) -> Observations | Predictions | Catalog:
    if Observations.is_at(path):
        return Observations.load(path)
    return Predictions.load(path) if are_predictions(path) else Catalog.load(path)


def _catalog(source: Observations | Predictions, catalog: Catalog | Path | str | None) -> Catalog:
    if catalog is None and isinstance(source, Predictions) and source.catalog is not None:
        return source.catalog
    if catalog is None:
        raise UsageError("Where and when a media was taken stands in its catalog: give it beside these.")
    return catalog if isinstance(catalog, Catalog) else Catalog.load(catalog)


def _has_model(observations: Observations) -> bool:
    return bool(observations.table["observer"].str.starts_with("model").any())


def _of_people(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """What people say alone, and of how many media nobody has decided."""
    human = pl.col("observer").str.starts_with("human").fill_null(value=False)
    own = rows.filter(human)
    if own.is_empty():
        raise DataError("Nobody has decided on any of these media: there are no records of decisions.")
    left = rows["media_id"].n_unique() - own["media_id"].n_unique()
    notes = [f"{left:,} media on which nobody decided are in no record"] if left else []
    return own, notes


def _media(catalog: Catalog) -> pl.DataFrame:
    """media_id, event, and of the event's first media in time its id, location, deployment and clock."""
    first = pl.col("camera_time").arg_min().fill_null(0)
    own = catalog.table.select(
        "media_id", "event_id", "location_id", "deployment_id", "camera_time", event_key().alias("event")
    )
    firsts = own.group_by("event", maintain_order=True).agg(
        pl.col("event_id", "location_id", "deployment_id", "camera_time").get(first)
    )
    return own.select("media_id", "event").join(firsts, on="event", maintain_order="left")


def _records(rows: pl.DataFrame, catalog: Catalog, kind: _KindOf) -> pl.DataFrame:
    """One row a label and event of what stands of each media."""
    media = _media(catalog)
    told = rows.filter((pl.col("status") == "ok") & pl.col("label").is_not_null())
    told = told.filter(
        ~pl.col("label").is_in([name for name in told["label"].unique() if kind(name) == BLANK])
    )
    joined = told.join(media.select("media_id", "event"), on="media_id", maintain_order="left")
    counted = pl.when(pl.col("count").null_count() == 0).then(pl.col("count").sum())
    words = [pl.col(name).drop_nulls() for name in list(ATTRIBUTES)[1:]]
    each = joined.group_by("event", "media_id", "label", maintain_order=True).agg(
        counted.alias("count"), *words, pl.col("probability").max()
    )
    together = each.group_by("event", "label", maintain_order=True).agg(
        pl.col("count").max(),
        *(
            pl.col(one.meta.output_name()).explode().drop_nulls().unique().sort().str.join(", ")
            for one in words
        ),
        pl.col("probability").max(),
    )
    empty = [pl.col(one.meta.output_name()).replace("", None) for one in words]
    facts = media.drop("media_id").unique("event", maintain_order=True)
    return as_records(together.with_columns(empty).join(facts, on="event", maintain_order="left"))


def as_records(table: pl.DataFrame) -> pl.DataFrame:
    """The columns of `RECORDS`, by location and time; `event_id` from `event` where it is null."""
    if "event" in table.columns:
        table = table.with_columns(pl.coalesce("event_id", "event").alias("event_id"))
    return table.select(
        (pl.col(name) if name in table.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in RECORDS.items()
    ).sort("location_id", "camera_time", "event_id", "label", nulls_last=True)


def _doubts(records: pl.DataFrame, catalog: Catalog) -> list[str]:
    """What a person must know of the places and clocks of records."""
    notes = list(describe_impossible_times(catalog.table["camera_time"]))
    for name, what in (("location_id", "location"), ("camera_time", "time")):
        if count := records[name].null_count():
            notes.append(f"{many(count, 'record')} without a {what}")
    return notes


def _doubts_of_model(source: Observations | Predictions | Catalog) -> tuple[str, ...]:
    """What must be known of the model before its answers are counted; observations do not tell it."""
    if not isinstance(source, Predictions):
        return ()
    compared = source.facts.familiar
    return (*source.facts.few_locations, *([] if compared is None else compared.sentences()))


def _expected(
    predictions: Predictions,
    catalog: Catalog,
    taxonomy: Taxonomy | None,
    observers: Sequence[str] | None,
) -> ExpectedRecords:
    """Expected records of the events that nobody decided, and certain ones of those that people did."""
    predicted = predictions.without_skipped()
    sources = gather(predicted, catalog, taxonomy=taxonomy, observers=observers)
    rows = sources.observe().per_media(catalog)
    media = _media(catalog)
    human = pl.col("observer").str.starts_with("human").fill_null(value=False)
    certain = _records(rows.filter(human), catalog, sources.kind)
    spoken, decided = _spoken(rows.filter(human), certain, media)
    open_ones = predicted if predicted.level == "event" else _without_media(predicted, spoken)
    of_events = _by_event(open_ones, catalog, sources.kind)
    of_events = of_events.filter(~pl.col("event").is_in(decided.implode()))
    labels = [name for name in predicted.labels if sources.kind(name) != "blank"]
    long = of_events.unpivot(labels, index="event", variable_name="label", value_name="probability")
    sure = long.filter(pl.col("probability") >= LEAST)
    lost = float(long["probability"].sum() or 0.0) - float(sure["probability"].sum() or 0.0)
    facts = media.drop("media_id").unique("event", maintain_order=True)
    table = as_records(sure.join(facts, on="event", how="left", maintain_order="left"))
    table = as_records(pl.concat([table, certain]))
    calibrated = predicted.facts.calibration or "not known"
    notes = [
        _described("probabilities"),
        f"probabilities calibrated on: {calibrated}",
        "labels of events are drawn as if their errors were independent of each other: where the model errs "
        "alike in all events of a location, the intervals are too narrow; that of locations is in them",
        *(
            [f"labels below {LEAST:g} in an event are left out: {lost:.1f} records expected"]
            if lost >= 0.05
            else []
        ),
        *_unpredicted(predicted, catalog),
        *([f"{many(silent, 'event')} without an answer"] if (silent := _silent(predicted, media)) else []),
        *_doubts(table, catalog),
    ]
    exclusive = predicted.task == "single-label" or predicted.facts.exclusive
    doubts = _doubts_of_model(predictions)
    return ExpectedRecords(table, "probabilities", catalog.source, tuple(notes), doubts, exclusive)


def _spoken(own: pl.DataFrame, certain: pl.DataFrame, media: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Media of which people speak, and events that they have decided by that.

    Of these something is seen in a media, or people speak of all: a photo that is blank says nothing of the
    others.
    """
    spoken = own["media_id"].unique()
    keyed = media.select("media_id", "event", pl.coalesce("event_id", "event").alias("event_id"))
    told = keyed.group_by("event").agg(
        (pl.col("media_id").is_in(spoken.implode())).all().alias("whole"),
        pl.col("event_id").is_in(certain["event_id"].implode()).any().alias("seen"),
    )
    return spoken, told.filter(pl.col("whole") | pl.col("seen"))["event"]


def _without_media(predictions: Predictions, media: pl.Series) -> Predictions:
    return replace(predictions, table=predictions.table.filter(~pl.col("media_id").is_in(media.implode())))


def predicted_media(predictions: Predictions, catalog: Catalog) -> Catalog:
    """The media of a catalog that predictions are of, by themselves or by their events."""
    media, events = (predictions.table[name].drop_nulls().implode() for name in ("media_id", "event_id"))
    return catalog.filter(pl.col("media_id").is_in(media) | pl.col("event_id").is_in(events))


def _unpredicted(predictions: Predictions, catalog: Catalog) -> list[str]:
    """For people: that a model was asked about a part of the media alone."""
    own = predicted_media(predictions, catalog)
    if len(own) == len(catalog):
        return []
    here, there = (one.table["location_id"].n_unique() for one in (own, catalog))
    return [
        f"the predictions are of {len(own):,} of {len(catalog):,} media, at {here:,} of {there:,} "
        "locations: where nobody speaks there is no record, and the effort there says nothing"
    ]


def _silent(predicted: Predictions, media: pl.DataFrame) -> int:
    """Events of which all that the model was asked about failed."""
    events = [
        rows.select(event_key().alias("event"))
        if predicted.level == "event"
        else rows.select("media_id").join(media.select("media_id", "event"), on="media_id").select("event")
        for rows in (predicted.failed, predicted.ok)
    ]
    return events[0].unique().join(events[1], on="event", how="anti").height


def _by_event(predicted: Predictions, catalog: Catalog, kind: _KindOf) -> pl.DataFrame:
    """`event` and a column a label, of events with an answer; of photos that are pooled the least blank."""
    if predicted.level != "event" and predicted.facts.pooled is None and len(predicted):
        predicted = pool_events(predicted, catalog, rows="event")
    table = predicted.ok
    if predicted.level == "event":
        return table.select(event_key().alias("event"), *predicted.labels)
    blank = [name for name in predicted.labels if kind(name) == BLANK]
    keyed = table.join(catalog.table.select("media_id", event_key().alias("event")), on="media_id")
    least = pl.sum_horizontal(pl.col(blank)) if blank else pl.lit(0.0)
    first = keyed.with_columns(least.alias("_blank")).sort("_blank", maintain_order=True)
    return first.unique("event", keep="first", maintain_order=True).select("event", *predicted.labels)
