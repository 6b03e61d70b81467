"""Trapping rates: records per trap day, naive occupancy, and both by month, with intervals over locations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.arguments import File, checked
from trapline.ecology.effort import idle_records
from trapline.ecology.matching import RecordsAtStations, match_records
from trapline.ecology.operation import Cameras, Hours, Operation, camera_operation
from trapline.ecology.record_tables import as_records
from trapline.ecology.records import Records
from trapline.ecology.station_tables import as_stations
from trapline.ecology.stations import Stations
from trapline.ecology.written import Target, as_text, estimate_json, write_rows
from trapline.errors import DataError, UsageError, many, name_some
from trapline.metrics import Estimate, estimate_binomial, estimate_ratio

PER_DAYS = 100
"""Rates are records per so many trap days."""

_LEAST_LOCATIONS = 2
"""At so many locations a species must have been recorded for its rate to have an interval: of one alone the
jackknife's ends lie three to five powers of ten apart, which is true and says nothing."""


@dataclass(frozen=True)
class SpeciesRate:
    """What was recorded of one species.

    Attributes:
        label: of the species.
        records: in the time of stations that worked.
        locations: at which there is one.
        rate: records per 100 trap days, with its interval over locations.
        naive_occupancy: the share of locations that worked at which there is one, with its interval.
    """

    label: str
    records: int
    locations: int
    rate: Estimate
    naive_occupancy: Estimate


@dataclass(frozen=True)
class MonthRate:
    """What was recorded of one species in one month of one year.

    Attributes:
        label: of the species.
        month: as in `2009-04`.
        records: of it.
        locations: that worked then.
        trap_days: of all of them.
        rate: records per 100 trap days, with its interval over locations.
    """

    label: str
    month: str
    records: int
    locations: int
    trap_days: float
    rate: Estimate


@dataclass(frozen=True, eq=False)
class TrappingRates:
    """Trapping rates of a survey.

    Attributes:
        species: one a label, the most recorded first.
        months: by label and month, of months in which a station worked.
        locations: that worked, in the order of the table.
        month_names: of which there is a column.
        labels: of `records`.
        records: int64 [labels, locations, months].
        trap_days: float64 [locations, months].
        notes: what a person must know: records that count nowhere and why.
    """

    species: tuple[SpeciesRate, ...]
    months: tuple[MonthRate, ...]
    locations: tuple[str, ...]
    month_names: tuple[str, ...]
    labels: tuple[str, ...]
    records: npt.NDArray[np.int64]
    trap_days: npt.NDArray[np.float64]
    notes: tuple[str, ...] = ()

    def save(self, to: Target) -> None:
        """Write the species as a CSV."""
        header = [*("label", "records", "locations"), *_columns("rate"), *_columns("naive_occupancy")]
        rows = (
            [one.label, one.records, one.locations, *_cells(one.rate), *_cells(one.naive_occupancy)]
            for one in self.species
        )
        write_rows(to, header, rows)

    def save_months(self, to: Target) -> None:
        """Write species by month as a CSV."""
        rows = (
            [one.label, one.month, one.records, one.locations, as_text(one.trap_days), *_cells(one.rate)]
            for one in self.months
        )
        write_rows(to, [*("label", "month", "records", "locations", "trap_days"), *_columns("rate")], rows)

    def save_by_location(self, to: Target) -> None:
        """Write records and trap days of each location and month that worked, a row a species: zeros too."""
        write_rows(to, ["location_id", "month", "label", "records", "trap_days"], self._by_location())

    def _by_location(self) -> Iterator[list[object]]:
        for at, location in enumerate(self.locations):
            for month in np.flatnonzero(self.trap_days[at] > 0):
                days = as_text(self.trap_days[at, month])
                for number, label in enumerate(self.labels):
                    yield [location, self.month_names[month], label, self.records[number, at, month], days]

    def as_json(self) -> dict[str, object]:
        """For scripts."""
        return {
            "locations": len(self.locations),
            "trap_days": float(self.trap_days.sum()),
            "rate_per_trap_days": PER_DAYS,
            "species": [
                {
                    "label": one.label,
                    "records": one.records,
                    "locations": one.locations,
                    "rate": estimate_json(one.rate),
                    "naive_occupancy": estimate_json(one.naive_occupancy),
                }
                for one in self.species
            ],
            "months": [
                {
                    "label": one.label,
                    "month": one.month,
                    "records": one.records,
                    "locations": one.locations,
                    "trap_days": one.trap_days,
                    "rate": estimate_json(one.rate),
                }
                for one in self.months
            ],
            "notes": list(self.notes),
        }


@checked
def trapping_rates(
    records: Records | File,
    stations: Stations | File,
    *,
    hours: Hours = "table",
    cameras: Cameras = "any",
    occasion_start: int = 0,
    skip_unknown: bool = False,
) -> TrappingRates:
    """Records per 100 trap days and naive occupancy of each species, in all and by month.

    Both say what cameras recorded and not how many animals there are: they depend on how easily a species is
    seen, and on where cameras stand (O'Brien, Kinnaird & Wibisono 2003, *Crouching tigers,
    hidden prey*; Sollmann et al. 2013, *Risky business or simple solution*). A rate's interval is a
    jackknife over locations on the logarithm with Student's t (`trapline.metrics`), and there is none where
    all records are of one location; that of the share of locations is the exact one of Clopper & Pearson
    (1934). Records are counted as they are: make them independent first.

    Args:
        records: of all species; or their table, as of `read_records`.
        stations: where cameras stood from when to when; or their table, as of `read_stations`.
        hours: as of `camera_operation`, likewise the next two.
        cameras: see there.
        occasion_start: see there.
        skip_unknown: leave out records at locations that no station is at, instead of refusing.

    Raises:
        UsageError: cameras are asked for one by one.
        DataError: records are at unknown locations, or no station ever worked.
    """
    records, stations = as_records(records), as_stations(stations)
    if cameras == "separate":
        raise UsageError("Rates are of stations: cameras can be any, all or sum, not separate.")
    operation = camera_operation(stations, hours=hours, cameras=cameras, occasion_start=occasion_start)
    matched = match_records(records, operation, skip_unknown=skip_unknown)
    locations, month_names, days, row_location, day_month = _trap_days(operation)
    worked = days.sum(axis=1) > 0
    if not worked.any():
        raise DataError(
            f"No station of {stations.source} ever worked: there is no effort."
            + (
                " All photos of each are of one day: say when it stood (--stations)."
                if stations.guessed
                else ""
            )
        )
    labels, counts = _counts(matched, row_location, day_month, (len(locations), len(month_names)))
    notes = _notes(matched, operation, counts[:, ~worked].sum(), int(worked.sum()))
    counts, days = counts[:, worked], days[worked]
    notes += _note_single(labels, counts)
    return TrappingRates(
        tuple(_species(label, counts[number], days) for number, label in enumerate(labels)),
        tuple(_months(labels, month_names, counts, days)),
        tuple(name for name, works in zip(locations, worked, strict=True) if works),
        month_names,
        labels,
        counts,
        days,
        (*records.notes, *operation.notes, *matched.notes, *notes),
    )


def _trap_days(
    operation: Operation,
) -> tuple[list[str], tuple[str, ...], npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Locations, months, trap days [locations, months]; the location of each row, the month of each day."""
    locations = list(dict.fromkeys(operation.locations))
    code_of = {name: number for number, name in enumerate(locations)}
    row_location = np.array([code_of[name] for name in operation.locations])
    months, day_month = np.unique([f"{day:%Y-%m}" for day in operation.dates], return_inverse=True)
    days = np.zeros((len(locations), len(months)))
    np.add.at(days, (row_location[:, None], day_month[None, :]), np.nan_to_num(operation.days))
    return locations, tuple(map(str, months)), days, row_location, day_month


def _counts(
    matched: RecordsAtStations,
    row_location: npt.NDArray[np.int64],
    day_month: npt.NDArray[np.int64],
    shape: tuple[int, int],
) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Labels, the most recorded first, and records [labels, locations, months] in the time of stations."""
    names = matched.table["label"]
    order = names.value_counts(sort=True).sort("count", "label", descending=[True, False])["label"].to_list()
    codes = names.replace_strict(order, list(range(len(order))), return_dtype=pl.Int64).to_numpy()
    inside = ~matched.outside
    counts = np.zeros((len(order), *shape), dtype=np.int64)
    cells = codes[inside], row_location[matched.rows[inside]], day_month[matched.days[inside]]
    np.add.at(counts, cells, 1)
    return tuple(order), counts


def _species(label: str, counts: npt.NDArray[np.int64], days: npt.NDArray[np.float64]) -> SpeciesRate:
    """Of counts and days, each [locations, months]."""
    by_location = counts.sum(axis=1)
    present = int((by_location > 0).sum())
    rate = _rate(by_location, days.sum(axis=1))
    return SpeciesRate(label, int(by_location.sum()), present, rate, estimate_binomial(present, len(days)))


def _months(
    labels: tuple[str, ...],
    names: tuple[str, ...],
    counts: npt.NDArray[np.int64],
    days: npt.NDArray[np.float64],
) -> Iterator[MonthRate]:
    for number, label in enumerate(labels):
        for month, name in enumerate(names):
            works = days[:, month] > 0
            if works.any():
                own, effort = counts[number, works, month], days[works, month]
                yield MonthRate(
                    label, name, int(own.sum()), int(works.sum()), float(effort.sum()), _rate(own, effort)
                )


def _rate(counts: npt.NDArray[np.int64], days: npt.NDArray[np.float64]) -> Estimate:
    """Records per 100 trap days, of the records and days of each location.

    Without an interval where all records are of one location: how many there are at another that has some,
    nothing says.
    """
    if np.count_nonzero(counts) < _LEAST_LOCATIONS:
        return Estimate(float(counts.sum() / days.sum()) * PER_DAYS)
    daily = estimate_ratio(counts, days, np.arange(len(days)), rate=True)
    numbers = (daily.value, daily.low, daily.high)
    return Estimate(*(None if number is None else number * PER_DAYS for number in numbers))


def _notes(matched: RecordsAtStations, operation: Operation, never: int, locations: int) -> list[str]:
    notes = []
    outside = int(matched.outside.sum())
    if outside:
        notes.append(f"{many(outside, 'record')} of days on which no camera stood there, counted nowhere")
    if never:
        notes.append(f"{many(never, 'record')} of stations that never worked, counted nowhere")
    idle = int(idle_records(matched, operation).sum())
    if idle:
        notes.append(
            f"{many(idle, 'record')} of times at which the station is said not to have worked, counted all "
            "the same, with the effort as the table has it"
        )
    if locations == 1:
        notes.append("there is one location, so that nothing says how far another would differ: no intervals")
    return notes


def _note_single(labels: tuple[str, ...], counts: npt.NDArray[np.int64]) -> list[str]:
    """Which labels were recorded at one of several locations, of counts [labels, locations, months]."""
    present = np.count_nonzero(counts.sum(axis=2), axis=1)
    single = [label for label, number in zip(labels, present, strict=True) if number == 1]
    if not single or counts.shape[1] < _LEAST_LOCATIONS:
        return []
    return [
        f"recorded at one location alone: {name_some(single)}. Nothing says how many records there are at "
        "another that has some, so that their rates have no interval"
    ]


def _columns(name: str) -> list[str]:
    return [name, f"{name}_low", f"{name}_high"]


def _cells(estimate: Estimate) -> list[str]:
    return [as_text(number) for number in (estimate.value, estimate.low, estimate.high)]
