"""Records of a Camtrap DP package: what its observations say of events."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl

from trapline.ecology.clocks import note_clock, wall_clocks
from trapline.ecology.records import RECORDS, Records
from trapline.errors import many
from trapline.formats import CamtrapDpTables, read_camtrap_dp_tables, read_times
from trapline.tables import read_numbers

_ATTRIBUTES = {"life_stage": ("lifeStage",), "sex": ("sex",), "behaviour": ("behavior", "behaviour")}
_OF_EVENT = ["deployment_id", "event_id"]


def package_records(
    source: Path, classified_by: Literal["human", "machine", "all"], timezone: str | None
) -> Records:
    """One record a label (and individual) at an event; see `read_records`.

    Observations of one event that name the same label tell of different animals (two of its rows are an adult
    and a young one), so that their counts are added; those of several media show the same ones again, so
    that the most of them counts. Where an event is observed as a whole, its media do not speak.
    """
    package = read_camtrap_dp_tables(source, classified_by)
    rows = _observations(package)
    times, offsets = _clock(package, rows, timezone)
    rows = rows.with_columns(times.alias("camera_time")).drop("_time", "_place")
    of_media = rows.filter(pl.col("_level") == "media")
    of_events = rows.filter(pl.col("_level") == "event")
    observed = of_events.select(*_OF_EVENT).unique()
    media_alone = of_media.join(observed, on=_OF_EVENT, how="anti", nulls_equal=True, maintain_order="left")
    by_media = _together(media_alone, [*_OF_EVENT, "media_id", "label", "individual"])
    keys = [*_OF_EVENT, "label", "individual"]
    records = pl.concat([_together(of_events, keys), _most(by_media, keys)], how="diagonal")
    records = records.join(_locations(package), on="deployment_id", how="left", maintain_order="left")
    records = records.sort("location_id", "camera_time", "label", maintain_order=True)
    filled = records.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in RECORDS.items() if name not in records.columns
    )
    notes = [*package.notes, *note_clock(offsets, timezone)]
    covered = of_media.height - media_alone.height
    if covered:
        notes.append(
            f"{many(covered, 'observation of media is')} of events that are observed as a whole, and told by "
            "them"
        )
    table = filled.select(pl.col(name).cast(kind) for name, kind in RECORDS.items())
    return Records(table, "table", f"Camtrap DP {source.name}", tuple(notes))


def _observations(package: CamtrapDpTables) -> pl.DataFrame:
    """The observations with a label, under our names; `_time` and `_level` of each."""
    media = package.media.select(
        pl.col("mediaID"),
        pl.col("deploymentID").alias("_deployment"),
        pl.col("timestamp").alias("_taken"),
        pl.col("eventID").alias("_event"),
    ).unique("mediaID", maintain_order=True)
    table = package.observations.filter(pl.col("_label").is_not_null())
    table = table.join(media, on="mediaID", how="left", maintain_order="left")
    event = pl.coalesce("eventID", "_event", pl.lit("media ") + pl.col("mediaID"), "observationID")
    return table.select(
        pl.coalesce("deploymentID", "_deployment").alias("deployment_id"),
        event.alias("event_id"),
        pl.col("mediaID").alias("media_id"),
        pl.col("_label").alias("label"),
        _column(table, "individualID").alias("individual"),
        read_numbers(table["count"].cast(pl.String)).cast(pl.Int64).alias("count")
        if "count" in table.columns
        else pl.lit(None, pl.Int64).alias("count"),
        *(_column(table, *names).alias(name) for name, names in _ATTRIBUTES.items()),
        read_numbers(table["classificationProbability"].cast(pl.String), most=1).alias("probability"),
        pl.coalesce("eventStart", "_taken").alias("_time"),
        pl.col("observationLevel").alias("_level"),
        "_place",
    )


def _column(table: pl.DataFrame, *names: str) -> pl.Expr:
    there = [name for name in names if name in table.columns]
    return pl.coalesce(there) if there else pl.lit(None, pl.String)


def _clock(package: CamtrapDpTables, rows: pl.DataFrame, timezone: str | None) -> tuple[pl.Series, pl.Series]:
    """When each row was, on the clock of its deployment; and the offsets of the deployments' clocks."""
    lines = rows["_place"]
    read = read_times(rows["_time"], None, lambda row: str(lines[row]))
    deployments = package.deployments
    if "deploymentStart" not in deployments.columns:
        return wall_clocks(read, read.offsets, timezone), read.offsets
    starts = read_times(deployments["deploymentStart"])
    clocks = deployments.select(
        pl.col("deploymentID").alias("deployment_id"), starts.offsets.alias("_offset")
    ).unique("deployment_id")
    offsets = rows.join(clocks, on="deployment_id", how="left", maintain_order="left")["_offset"]
    return wall_clocks(read, offsets, timezone), starts.offsets


def _together(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """One row for each of `keys`: counts added (null where nobody counted), attributes in words."""
    counted = pl.col("count")
    return rows.group_by(keys, maintain_order=True).agg(
        pl.col("camera_time").min(),
        pl.when(counted.count() > 0).then(counted.sum()).alias("count"),
        *(in_words(name) for name in _ATTRIBUTES),
        pl.col("probability").max(),
    )


def _most(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    return rows.group_by(keys, maintain_order=True).agg(
        pl.col("camera_time").min(),
        pl.col("count").max(),
        *(in_words(name) for name in _ATTRIBUTES),
        pl.col("probability").max(),
    )


def in_words(name: str) -> pl.Expr:
    """What the rows of a group say in a column of text, each once: `adult; juvenile`; null if nothing."""
    words = pl.col(name).drop_nulls().unique(maintain_order=True)
    return pl.when(pl.col(name).count() > 0).then(words.str.join("; ")).alias(name)


def _locations(package: CamtrapDpTables) -> pl.DataFrame:
    deployments = package.deployments
    session = [_column(deployments, "session").alias("session")]
    return deployments.select(pl.col("deploymentID").alias("deployment_id"), "location_id", *session).unique(
        "deployment_id"
    )
