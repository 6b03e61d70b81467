"""Independent records: of several that are near in time, one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Literal

import polars as pl

from trapline.arguments import File, checked
from trapline.ecology.package_records import in_words
from trapline.ecology.record_tables import as_records
from trapline.ecology.records import RECORDS, Records
from trapline.ecology.written import STATION, Target, write_table
from trapline.errors import DataError, UsageError, many
from trapline.formats import independent_times

Since = Literal["last record", "last independent record"]
By = Literal["location", "deployment", "individual"]

_KEYS: dict[By, list[str]] = {
    "location": ["location_id", "label"],
    "deployment": ["location_id", "deployment_id", "label"],
    "individual": ["location_id", "label", "individual"],
}
SECONDS_SINCE = "seconds_since"
"""A column of independent records: seconds since the one that each was compared to; null of the first."""
_MOST_MINUTES = 1e9
MERGED = "records"
"""A column of independent records: how many records each stands for."""

_WORDS = ("life_stage", "sex", "behaviour", "individual")
_WHOLE = {"secs": (1, 0), "mins": (60, 0), "hours": (3600, 1), "days": (86400, 1)}
_OF_INDIVIDUALS = ("individual", "count", "life_stage", "sex", "behaviour")


@checked
def independent_records(
    records: Records | File,
    minutes: float,
    *,
    since: Since = "last independent record",
    by: By = "location",
) -> Records:
    """Of records of one label at one location that are near in time, one.

    A record is independent if it lies at least `minutes` after the last record, which need not be an
    independent one itself, or after the last independent one (camtrapR's `minDeltaTime` and
    `deltaTimeComparedTo`). Records of one moment are one record, also where `minutes` is 0. One that stands
    for several has the largest of their counts, the most that were seen at once, and all their words.

    Args:
        records: as they were read; or their table, as of `read_records`.
        minutes: from 0 on.
        since: what the time is measured from.
        by: `location`: records of all its cameras together; `deployment`: each camera for itself;
            `individual`: each individual for itself.

    Returns:
        The independent ones by location, label and time, with the columns `seconds_since` (null of the first)
        and `records`, how many each stands for.

    Raises:
        UsageError: `minutes` is negative, or no time that a survey can last.
        DataError: the records do not say what `by` names, or no record has a time.
    """
    if not 0 <= minutes <= _MOST_MINUTES:
        raise UsageError(f"--minutes is a time from 0 on, and of at most {_MOST_MINUTES:g}; not {minutes:g}.")
    records = as_records(records)
    keys, table, notes = _KEYS[by], records.table, list(records.notes)
    if by != "location" and table[keys[-1] if by == "individual" else "deployment_id"].is_null().all():
        raise DataError(f"{records.source} names no {by}, by which records were to be told apart.")
    timed = table.filter(pl.col("camera_time").is_not_null())
    if timed.is_empty():
        raise DataError(f"No record of {records.source} has a time.")
    if timed.height < table.height:
        notes.append(f"{many(table.height - timed.height, 'record')} without a time, left out here")
    if by == "individual" and (unknown := timed["individual"].null_count()):
        notes.append(f"{many(unknown, 'record')} of no named individual, judged together as one")
    order = [name for name in ("file_path", "event_id") if name in timed.columns]
    timed = timed.sort([*keys, "camera_time", *order], maintain_order=True)
    kept = _kept_of_all(timed, keys, minutes) if since == "last record" else _kept_alone(timed, keys, minutes)
    merged = _merge(timed.with_columns(kept.alias("_kept")), keys)
    gap = pl.col("_gap") if since == "last record" else pl.col("camera_time").diff().over(keys)
    merged = merged.with_columns(gap.dt.total_seconds().alias(SECONDS_SINCE)).drop("_gap")
    notes.append(_describe(timed.height, merged.height, minutes, since, by))
    return replace(records, table=merged, notes=tuple(notes))


def _kept_of_all(timed: pl.DataFrame, keys: list[str], minutes: float) -> pl.Series:
    """Which records lie far enough after the one before them, independent or not."""
    gap = pl.col("camera_time").diff().over(keys)
    least = timedelta(minutes=minutes)
    return timed.select((gap.is_null() | ((gap >= least) & (gap > timedelta(0)))).alias("kept"))["kept"]


def _kept_alone(timed: pl.DataFrame, keys: list[str], minutes: float) -> pl.Series:
    """Which records are the first at a time that lies far enough after the last one that was kept."""
    gap = timedelta(minutes=minutes)
    times = timed.group_by(keys, maintain_order=True).agg(pl.col("camera_time").unique(maintain_order=True))
    kept = [independent_times(each, gap) for each in times["camera_time"].to_list()]
    wanted = times.with_columns(
        pl.Series("camera_time", kept, dtype=pl.List(pl.Datetime("us"))), pl.lit(value=True).alias("kept")
    ).explode("camera_time")
    hits = timed.select(
        *keys,
        "camera_time",
        pl.int_range(pl.len()).over([*keys, "camera_time"]).alias("_nth"),
    ).join(wanted, on=[*keys, "camera_time"], how="left", nulls_equal=True, maintain_order="left")
    return hits.select((pl.col("kept").fill_null(value=False) & (pl.col("_nth") == 0)).alias("kept"))["kept"]


def _merge(timed: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """One row for each record that was kept, in which those after it that were not are told."""
    numbered = timed.with_columns(
        pl.col("_kept").cum_sum().alias("_number"),
        pl.col("camera_time").diff().over(keys).alias("_gap"),
    )
    words = [name for name in _WORDS if name not in keys and _says(timed, name)]
    plain = [name for name in timed.columns if name not in (*words, "count", "probability", "_kept")]
    return (
        numbered.group_by("_number", maintain_order=True)
        .agg(
            *(pl.col(name).first() for name in (*plain, "_gap")),
            pl.col("count").max(),
            pl.col("probability").max(),
            *(in_words(name) for name in words),
            pl.len().alias(MERGED),
        )
        .select(*(name for name in timed.columns if name != "_kept"), MERGED, "_gap")
    )


def _describe(before: int, after: int, minutes: float, since: Since, by: By) -> str:
    return (
        f"{after:,} of {many(before, 'record is')} independent: at least {minutes:g} minutes after the "
        f"{since} of the same label at the same {'location' if by == 'location' else f'location and {by}'}"
    )


def save_records(records: Records, to: Target) -> None:
    """Write records as camtrapR's table of records, with our columns after its own.

    As in camtrapR's table `delta.time.*` of the first record of its kind is 0.
    """
    table, time = records.table, pl.col("camera_time")
    extra = [name for name in RECORDS if name in ("deployment_id", "session", "event_id", "probability")]
    others = [name for name in (*_OF_INDIVIDUALS, *extra, MERGED, "file_path") if _says(table, name)]
    gaps = _gaps(table[SECONDS_SINCE]) if SECONDS_SINCE in table.columns else []
    written = table.select(
        pl.col("location_id").alias(STATION),
        pl.col("label").alias("Species"),
        time.dt.strftime("%Y-%m-%d %H:%M:%S").alias("DateTimeOriginal"),
        time.dt.strftime("%Y-%m-%d").alias("Date"),
        time.dt.strftime("%H:%M:%S").alias("Time"),
        *gaps,
        *others,
    )
    write_table(to, written)


def _says(table: pl.DataFrame, name: str) -> bool:
    return name in table.columns and table[name].null_count() < table.height


def _gaps(seconds: pl.Series) -> list[pl.Series]:
    """In seconds, minutes, hours and days, rounded as camtrapR does: the last two to tenths."""
    numbers = seconds.fill_null(0).to_list()
    return [
        pl.Series(f"delta.time.{unit}", [f"{round(number / size, digits):.10g}" for number in numbers])
        for unit, (size, digits) in _WHOLE.items()
    ]
