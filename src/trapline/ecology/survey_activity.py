"""Activity and overlap of a survey's species: from any records to curves, levels and overlaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl

from trapline.arguments import Count, Whole, checked
from trapline.ecology.circular import TURN
from trapline.ecology.curves import (
    LEAST_LOCATIONS,
    ActivityCurve,
    ActivityIntervals,
    Over,
    activity_density,
    curve_intervals,
    enough,
)
from trapline.ecology.day_times import (
    DayTimes,
    TimeUnit,
    by_the_sun,
    choose_species,
    read_day_times,
)
from trapline.ecology.overlaps import Overlap, activity_overlap
from trapline.ecology.records import Records
from trapline.ecology.station_tables import read_stations
from trapline.ecology.stations import Stations
from trapline.ecology.sun import Anchoring
from trapline.ecology.written import write_rows
from trapline.errors import DataError, UsageError


@dataclass(frozen=True, eq=False)
class SpeciesActivity:
    """When a species is active.

    Attributes:
        label: of the species.
        curve: its density.
        intervals: of the curve at 96 times, and of the activity level.
    """

    label: str
    curve: ActivityCurve
    intervals: ActivityIntervals


@dataclass(frozen=True, eq=False)
class SurveyActivity:
    """Activity of several species.

    Attributes:
        species: one after the other.
        times: what it was made of.
        left_out: species with too few records for a curve → how many they have; only where none was asked
            for.
    """

    species: tuple[SpeciesActivity, ...]
    times: DayTimes
    left_out: Mapping[str, int]

    @property
    def table(self) -> pl.DataFrame:
        """`label`, `hour`, and of the density an hour `density`, `low`, `high`: 96 rows a species."""
        parts = []
        for one in self.species:
            size = len(one.intervals.low)
            per_hour = TURN / 24
            columns = {
                "hour": np.arange(size) * (24 / size),
                "density": one.curve.on_grid(size) * per_hour,
                "low": one.intervals.low * per_hour,
                "high": one.intervals.high * per_hour,
            }
            parts.append(pl.DataFrame(columns).insert_column(0, pl.Series("label", [one.label] * size)))
        return pl.concat(parts)

    def save(self, path: Path) -> None:
        """Write the table as a CSV."""
        write_rows(path, self.table.columns, self.table.iter_rows())


@dataclass(frozen=True, eq=False)
class SurveyOverlap:
    """Overlaps of several species' activity.

    Attributes:
        pairs: (label, label) → their overlap.
        curves: label → its density.
        times: what it was made of.
    """

    pairs: Mapping[tuple[str, str], Overlap]
    curves: Mapping[str, ActivityCurve]
    times: DayTimes


@checked
def activity(
    records: Path | str | Records,
    *,
    species: Sequence[str] = (),
    species_column: str | None = None,
    columns: Mapping[str, str] | None = None,
    time_unit: TimeUnit | None = None,
    time_format: str | None = None,
    minutes: float | None = None,
    sun: Anchoring | None = None,
    timezone: str | None = None,
    stations: Path | str | Stations | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
    adjust: float = 1.0,
    over: Over = "auto",
    resamples: Count = 1000,
    seed: Whole = 42,
) -> SurveyActivity:
    """When in the day species are recorded, as a density on the circle, and their activity level.

    `activity_density` and `ActivityCurve.level` have the formulas and their sources. Records are to be
    independent of each other: thin bursts first.

    Args:
        records: a table, package, download, catalog or folder; also a table of times of day without dates.
        species: labels; none: all with records enough.
        species_column: the column of the labels.
        columns: what a column holds (see `RECORD_ROLES`) → its name, where that is not a usual one.
        time_unit: of times of day in numbers: `fraction`, `hours` or `radians`.
        time_format: of dates: `day-first`, `month-first`, or `strptime`'s.
        minutes: records of one label and location that are nearer in time are one; None: each counts.
        sun: times by the sun instead of the clock, and where sunrise and sunset are laid.
        timezone: of the cameras' clocks: for `sun`, and for times that are written with an offset.
        stations: the table of cameras, whose coordinates the locations have.
        latitude: of all records, degrees north, instead.
        longitude: likewise, degrees east.
        adjust: what the kernel's concentration is divided by: larger is smoother.
        over: what is drawn anew for intervals: `records`, `locations`, or `auto`: locations from 10 on.
        resamples: how many.
        seed: of what is drawn.

    Raises:
        DataError: a column is missing, no time can be read, or a species has too few records.
        UsageError: options contradict each other, or the sun lacks coordinates or the zone of the clocks.
    """
    times = read_day_times(
        records,
        columns=columns,
        species_column=species_column,
        time_unit=time_unit,
        time_format=time_format,
        timezone=None if isinstance(records, Records) else timezone,
        minutes=minutes,
    )
    times = _on_clock(times, sun, timezone, stations, latitude, longitude)
    chosen, few = _with_enough(times, species)
    each = []
    for label in chosen:
        try:
            curve = activity_density(times.radians(label), adjust=adjust)
        except DataError as error:
            raise DataError(f"{label}: {error}") from error
        intervals = curve_intervals(curve, times.locations(label), over=over, resamples=resamples, seed=seed)
        each.append(SpeciesActivity(label, curve, intervals))
    times = _with_note(times, over, [one.intervals.over for one in each])
    return SurveyActivity(tuple(each), times, few)


@checked
def overlap(
    records: Path | str | Records,
    species: Sequence[str],
    *,
    species_column: str | None = None,
    columns: Mapping[str, str] | None = None,
    time_unit: TimeUnit | None = None,
    time_format: str | None = None,
    minutes: float | None = None,
    sun: Anchoring | None = None,
    timezone: str | None = None,
    stations: Path | str | Stations | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
    over: Over = "auto",
    compare: Whole = 0,
    resamples: Count = 1000,
    seed: Whole = 42,
) -> SurveyOverlap:
    """How far the activity of two species coincides, of each pair of those that are named.

    `activity_overlap` has the formulas, their sources and what the intervals are.

    Args:
        records: a table, package, download, catalog or folder; also a table of times of day without dates.
        species: two labels or more.
        species_column: the column of the labels.
        columns: what a column holds (see `RECORD_ROLES`) → its name, where that is not a usual one.
        time_unit: of times of day in numbers: `fraction`, `hours` or `radians`.
        time_format: of dates: `day-first`, `month-first`, or `strptime`'s.
        minutes: records of one label and location that are nearer in time are one; None: each counts.
        sun: times by the sun instead of the clock, and where sunrise and sunset are laid.
        timezone: of the cameras' clocks: for `sun`, and for times that are written with an offset.
        stations: the table of cameras, whose coordinates the locations have.
        latitude: of all records, degrees north, instead.
        longitude: likewise, degrees east.
        over: what is drawn anew for intervals: `records`, `locations`, or `auto`: locations from 10 on.
        compare: random exchanges of the test that two species have one pattern; 0: no test.
        resamples: for intervals.
        seed: of all that is random.

    Raises:
        DataError: a column is missing, no time can be read, or a species has too few records.
        UsageError: fewer than two species, options that contradict each other, or the sun lacks something.
    """
    if len(species) < 2:
        raise UsageError("An overlap is of two species at least: --species tiger,macaque.")
    times = read_day_times(
        records,
        columns=columns,
        species_column=species_column,
        time_unit=time_unit,
        time_format=time_format,
        timezone=None if isinstance(records, Records) else timezone,
        minutes=minutes,
    )
    times = _on_clock(times, sun, timezone, stations, latitude, longitude)
    pairs = {}
    chosen = choose_species(times, species)
    for pair in combinations(chosen, 2):
        where = [times.locations(label) for label in pair]
        known = None if where[0] is None or where[1] is None else (where[0], where[1])
        try:
            pairs[pair] = activity_overlap(
                *(times.radians(label) for label in pair),
                locations=known,
                over=over,
                resamples=resamples,
                compare=compare,
                seed=seed,
            )
        except DataError as error:
            raise DataError(f"{' and '.join(pair)}: {error}") from error
    times = _with_note(times, over, [one.over for one in pairs.values()])
    return SurveyOverlap(pairs, {label: activity_density(times.radians(label)) for label in chosen}, times)


def _on_clock(
    times: DayTimes,
    sun: Anchoring | None,
    timezone: str | None,
    stations: Path | str | Stations | None,
    latitude: float | None,
    longitude: float | None,
) -> DayTimes:
    """The times as they are, or by the sun where that is asked for."""
    told = {"stations": stations, "latitude": latitude, "longitude": longitude}
    if sun is None:
        idle = [f"--{name}" for name, value in told.items() if value is not None]
        if idle:
            raise UsageError(
                f"{', '.join(idle)}: only --sun needs that, and without it nothing would come of it."
            )
        return times
    if timezone is None:
        raise UsageError("--sun needs --timezone: cameras do not know the zone of their clocks.")
    placed = stations if stations is None or isinstance(stations, Stations) else read_stations(stations)
    return by_the_sun(times, timezone, stations=placed, latitude=latitude, longitude=longitude, anchoring=sun)


def _with_note(times: DayTimes, asked: Over, drawn: Sequence[str]) -> DayTimes:
    """The times; with a note where locations are known, and too few to be drawn anew."""
    if asked != "auto" or "records" not in drawn or times.table["location_id"].is_null().all():
        return times
    few = (
        f"some species are known at fewer than {LEAST_LOCATIONS} locations: their intervals are over "
        "records, and too short where locations differ"
    )
    return replace(times, notes=(*times.notes, few))


def _with_enough(times: DayTimes, species: Sequence[str]) -> tuple[list[str], dict[str, int]]:
    """Those that were asked for; where none was, those with records enough, and how many the others have."""
    chosen = choose_species(times, species)
    if species:
        return chosen, {}
    sizes = {label: times.radians(label) for label in chosen}
    few = {label: len(each) for label, each in sizes.items() if not enough(each)}
    if len(few) == len(chosen):
        raise DataError(f"No species has records enough for a curve; the most are {max(few.values())}.")
    return [label for label in chosen if label not in few], few
