"""Richness of a survey: from records and stations to sampling units and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from trapline.arguments import Count, Whole, checked
from trapline.ecology.effort import idle_records
from trapline.ecology.hill_curves import Richness, Units, hill_numbers
from trapline.ecology.independence import independent_records
from trapline.ecology.matching import match_records
from trapline.ecology.operation import camera_operation
from trapline.ecology.record_tables import read_records
from trapline.ecology.records import Records
from trapline.ecology.station_tables import read_stations
from trapline.ecology.stations import Stations
from trapline.errors import DataError, UsageError, many


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
    days: Count | None = None,
    minutes: float | None = None,
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
        days: of an occasion, None: 7; the first is each location's first day of work.
        minutes: of `records`: those of one location that are nearer in time are one.
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
    if isinstance(records, Records) and (exclude or species_column is not None):
        raise UsageError(
            "--exclude and --species-column are of what is read; these records are read already."
        )
    known = (
        records
        if isinstance(records, Records)
        else read_records(records, species_column=species_column, exclude=exclude)
    )
    placed = stations if stations is None or isinstance(stations, Stations) else read_stations(stations)
    if minutes is not None and units != "records":
        raise UsageError(
            "--minutes thins records, and --units counts none: a species is at a unit or is not."
        )
    if days is not None and units != "occasions":
        raise UsageError("--days is of --units occasions; without it nothing would come of it.")
    known = known if minutes is None else independent_records(known, minutes)
    sampled = _sample(known, placed, units, days or _WEEK)
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
    table = records.table
    if units == "records":
        counted = table["label"].value_counts(name="times").sort("label")
        words = many(table.height, "record")
        return _Sampled(dict(counted.iter_rows()), table.height, words, (_INDEPENDENT,))
    if stations is not None:
        return _at_stations(records, stations, days if units == "occasions" else None)
    if units == "occasions":
        raise UsageError("--units occasions needs --stations: when each location was sampled.")
    without = table["location_id"].null_count()
    if without:
        raise DataError(
            f"{many(without, 'record')} without a location, and locations are the sampling units."
        )
    size = table["location_id"].n_unique()
    return _Sampled(_incidences(table, ["location_id"]), size, many(size, "location"), (_UNKNOWN,))


_WEEK = 7
_INDEPENDENT = "records are taken for independent of each other"
_UNKNOWN = "locations without any record are not known, and are no sampling units here: name the stations"


def _incidences(table: pl.DataFrame, unit: Sequence[str]) -> dict[str, int]:
    """label → in how many units it was recorded."""
    counted = table.select("label", *unit).unique()["label"].value_counts(name="times").sort("label")
    return dict(counted.iter_rows())


def _at_stations(records: Records, stations: Stations, days: int | None) -> _Sampled:
    """Of locations that worked, or of their occasions of so many days; records of other days do not count."""
    operation = camera_operation(stations)
    matched = match_records(records, operation)
    idle = matched.outside | idle_records(matched, operation)
    notes = list(matched.notes)
    if idle.any():
        notes.append(f"{many(int(idle.sum()), 'record')} of times when no camera worked left out")
    known, location = np.unique(np.array(operation.locations), return_inverse=True)
    worked = np.nan_to_num(operation.days) > 0
    first = np.full(len(known), worked.shape[1])
    np.minimum.at(first, location, np.where(worked.any(axis=1), worked.argmax(axis=1), worked.shape[1]))
    row, day = matched.rows[~idle], matched.days[~idle]
    rows, dates = np.nonzero(worked)
    span = days or worked.shape[1] + 1
    sampled = {*zip(location[rows], (dates - first[location[rows]]) // span, strict=True)}
    table = matched.table.filter(~idle).with_columns(
        unit=location[row], occasion=(day - first[location[row]]) // span
    )
    words = many(len(sampled), "location")
    if days is not None:
        words = (
            f"{many(len(sampled), 'occasion')} of {many(days, 'day')} "
            f"at {many(int(worked.any(axis=1).sum()), 'station')}"
        )
    return _Sampled(_incidences(table, ["unit", "occasion"]), len(sampled), words, tuple(notes))
