"""Richness of a survey: from records and stations to sampling units and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import polars as pl

from trapline.arguments import Count, Whole, checked
from trapline.ecology.operation import camera_operation
from trapline.ecology.record_tables import read_records
from trapline.ecology.records import Records
from trapline.ecology.richness import Richness, Units, hill_numbers
from trapline.ecology.station_tables import read_stations
from trapline.ecology.stations import Stations
from trapline.errors import DataError, UsageError


@dataclass(frozen=True)
class _Sampled:
    """How often each species was recorded, of how many units."""

    counts: dict[str, int]
    size: int
    words: str
    notes: tuple[str, ...] = ()


@checked
def richness(
    records: Path | str | Records,
    *,
    stations: Path | str | Stations | None = None,
    units: Units = "locations",
    days: Count = 7,
    exclude: Sequence[str] = (),
    species_column: str | None = None,
    sizes: Sequence[int] | None = None,
    at_coverage: float | None = None,
    resamples: Count = 500,
    seed: Whole = 42,
) -> Richness:
    """How many species a survey recorded, how many there are at least, and how diverse they are.

    Species accumulation, Chao2 (of records Chao1) and Hill numbers of orders 0, 1 and 2, as `hill_numbers`
    says. A sampling unit is a location, or a location for some days in a row; of records, which must be
    independent for that, each is taken for an individual.

    Args:
        records: a table, package, download, catalog or folder of them.
        stations: the table of cameras: locations without any record are sampling units too.
        units: what is counted.
        days: of an occasion; the first is each location's first day of work.
        exclude: labels that are no species here.
        species_column: the column of the labels.
        sizes: rarefied and extrapolated to these; None: 40 from 1 to twice the sample.
        at_coverage: also compare at this share of completeness.
        resamples: of the estimated assemblage.
        seed: of the resamples.

    Raises:
        DataError: there are records at locations that the stations do not have, or too little of anything.
        UsageError: occasions were asked for without stations.
    """
    known = (
        records
        if isinstance(records, Records)
        else read_records(records, species_column=species_column, exclude=exclude)
    )
    placed = stations if stations is None or isinstance(stations, Stations) else read_stations(stations)
    sampled = _sample(known, placed, units, days)
    result = hill_numbers(
        list(sampled.counts.values()),
        sampled.size,
        "abundance" if units == "records" else "incidence",
        labels=list(sampled.counts),
        sizes=sizes,
        at_coverage=at_coverage,
        resamples=resamples,
        seed=seed,
    )
    notes = (*known.notes, *(placed.notes if placed else ()), *sampled.notes)
    return replace(result, units=sampled.words, source=known.source, notes=notes)


def _sample(records: Records, stations: Stations | None, units: Units, days: int) -> _Sampled:
    table = records.table.drop_nulls("label")
    if units == "records":
        counted = table["label"].value_counts(name="times").sort("label")
        words = f"{table.height:,} records"
        return _Sampled(dict(counted.iter_rows()), table.height, words, (_INDEPENDENT,))
    without = table["location_id"].null_count()
    if without:
        raise DataError(f"{without:,} records have no location, and locations are the sampling units.")
    refuse_strangers(table, stations)
    if units == "occasions":
        if stations is None:
            raise UsageError("--units occasions needs --stations: when each location was sampled.")
        return _by_occasion(table, stations, days)
    names = table["location_id"] if stations is None else [one.location_id for one in stations.stations]
    size = len(set(names))
    notes = (
        () if stations else ("locations without any record are not known, and are no sampling units here",)
    )
    return _Sampled(_incidences(table, ["location_id"]), size, f"{size:,} locations", notes)


_INDEPENDENT = "records are taken for independent of each other: thin them first where they are not"


def refuse_strangers(table: pl.DataFrame, stations: Stations | None) -> None:
    """Refuse records at locations that the table of stations does not have; they are named."""
    if stations is None:
        return
    known = {one.location_id for one in stations.stations}
    strange = sorted(set(table["location_id"].unique()) - known)
    if strange:
        raise DataError(
            f"{len(strange)} locations of records are not in the table of stations: {', '.join(strange[:5])}."
        )


def _incidences(table: pl.DataFrame, unit: Sequence[str]) -> dict[str, int]:
    """label → in how many units it was recorded."""
    counted = table.select("label", *unit).unique()["label"].value_counts(name="times").sort("label")
    return dict(counted.iter_rows())


def _by_occasion(table: pl.DataFrame, stations: Stations, days: int) -> _Sampled:
    firsts, sampled = _occasions(stations, days)
    dated = table.drop_nulls("camera_time")
    begin = pl.DataFrame(
        {"location_id": list(firsts), "first": list(firsts.values())},
        schema={"location_id": pl.String(), "first": pl.Date()},
    )
    dated = dated.join(begin, on="location_id", how="left").with_columns(
        occasion=(pl.col("camera_time").dt.date() - pl.col("first")).dt.total_days() // days
    )
    units = pl.DataFrame(
        sorted(sampled), schema={"location_id": pl.String(), "occasion": pl.Int64()}, orient="row"
    )
    kept = dated.join(units, on=["location_id", "occasion"], how="semi")
    notes = []
    if dated.height < table.height:
        notes.append(f"{table.height - dated.height:,} records without a date are left out")
    if kept.height < dated.height:
        notes.append(f"{dated.height - kept.height:,} records on days when no camera worked are left out")
    words = f"{len(sampled):,} occasions of {days} days at {len(firsts):,} locations"
    return _Sampled(_incidences(kept, ["location_id", "occasion"]), len(sampled), words, tuple(notes))


def _occasions(stations: Stations, days: int) -> tuple[dict[str, date], set[tuple[str, int]]]:
    """The first day of each location, and the occasions in which a camera of it worked on any day."""
    operation = camera_operation(stations, hours="whole")
    firsts: dict[str, date] = {}
    sampled: set[tuple[str, int]] = set()
    for location, row in zip(operation.locations, operation.days, strict=True):
        worked = [day for day, share in zip(operation.dates, row, strict=True) if share > 0]
        if worked:
            first = firsts.setdefault(location, worked[0])
            sampled |= {(location, (day - first).days // days) for day in worked}
    return firsts, sampled
