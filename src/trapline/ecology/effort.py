"""Effort: how many days each station worked, and which days the photos contradict."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.arguments import File, checked
from trapline.ecology.matching import RecordsAtStations, match_records
from trapline.ecology.operation import Cameras, Hours, Operation, camera_operation
from trapline.ecology.record_tables import as_records
from trapline.ecology.records import Records
from trapline.ecology.station_tables import as_stations
from trapline.ecology.stations import Stations
from trapline.errors import UsageError, many, name_some

Why = Literal["no camera stood there", "its camera did not work"]


@dataclass(frozen=True)
class StationEffort:
    """Effort of one station, or of one session of it.

    Attributes:
        location_id: where.
        session: None of surveys without.
        camera: None unless each camera has a row.
        first_day: on which it stood.
        last_day: likewise.
        trap_days: how long it worked, in days.
        idle_days: days on which it stood and did not work at all.
        records: how many lie in its time; None where no records were asked about.
    """

    location_id: str
    session: str | None
    camera: str | None
    first_day: date
    last_day: date
    trap_days: float
    idle_days: int
    records: int | None = None


@dataclass(frozen=True)
class Contradiction:
    """A day that photos contradict.

    Attributes:
        location_id: where.
        day: which.
        records: how many there are.
        why: what the table says of that day, or of that hour.
    """

    location_id: str
    day: date
    records: int
    why: Why


@dataclass(frozen=True, eq=False)
class Effort:
    """Effort of a survey.

    Attributes:
        stations: one a row of camera operation.
        operation: by day.
        contradictions: days that photos contradict, by location and day.
        guessed: from when to when cameras stood is a guess.
        notes: what a person must know.
    """

    stations: tuple[StationEffort, ...]
    operation: Operation
    contradictions: tuple[Contradiction, ...] = ()
    guessed: bool = False
    notes: tuple[str, ...] = ()

    @property
    def trap_days(self) -> float:
        """Of all stations together."""
        return sum(station.trap_days for station in self.stations)


@checked
def survey_effort(
    stations: Stations | File,
    records: Records | File | None = None,
    *,
    hours: Hours = "table",
    cameras: Cameras = "any",
    occasion_start: int = 0,
    skip_unknown: bool = False,
) -> Effort:
    """How many days each station worked, and which of its days photos contradict.

    A record on a day on which no camera stood at its location, or at an hour (of a table without hours: on a
    day) at which its camera is said not to have worked, says that the table or the camera's clock is wrong.
    Nothing is corrected here: what is contradicted is named.

    Args:
        stations: where cameras stood from when to when; or their table, as of `read_stations`.
        records: photos of whatever is in them, which were taken there, or their table, as of `read_records`;
            None: nothing is compared.
        hours: as of `camera_operation`, likewise the next two.
        cameras: see there.
        occasion_start: see there.
        skip_unknown: leave out records at locations that no station is at, instead of refusing.

    Raises:
        UsageError: an option that cannot be right.
        DataError: records are at locations that no station is at.
    """
    stations = as_stations(stations)
    records = None if records is None else as_records(records)
    if records is not None and cameras == "separate":
        raise UsageError("Records tell their location, and not always their camera: leave cameras together.")
    operation = camera_operation(stations, hours=hours, cameras=cameras, occasion_start=occasion_start)
    matched = None if records is None else match_records(records, operation, skip_unknown=skip_unknown)
    rows = len(operation.locations)
    counts = None if matched is None else np.bincount(matched.rows[~matched.outside], minlength=rows)
    contradictions = () if matched is None else contradicted_days(matched, operation)
    return Effort(
        tuple(_station(operation, row, None if counts is None else int(counts[row])) for row in range(rows)),
        operation,
        contradictions,
        stations.guessed,
        (*operation.notes, *(() if matched is None else matched.notes), *_describe(contradictions)),
    )


def contradicted_days(matched: RecordsAtStations, operation: Operation) -> tuple[Contradiction, ...]:
    """Days of records on which, by the table, no camera stood there or worked; by location and day."""
    idle = idle_records(matched, operation)
    reasons: dict[Why, npt.NDArray[np.bool_]] = {
        "no camera stood there": matched.outside,
        "its camera did not work": idle,
    }
    days = [
        Contradiction(location, day, count, why)
        for why, which in reasons.items()
        for location, day, count in _days_of(matched, which, operation.hour)
    ]
    return tuple(sorted(days, key=lambda each: (each.location_id, each.day, each.why)))


def idle_records(matched: RecordsAtStations, operation: Operation) -> npt.NDArray[np.bool_]:
    """[records]: whether each was taken while its station stood, and by the table did not work."""
    inside = ~matched.outside
    idle = np.zeros(len(matched.rows), dtype=bool)
    idle[inside] = operation.days[matched.rows[inside], matched.days[inside]] == 0
    moments = matched.table["camera_time"].to_numpy().astype("datetime64[us]")
    order = np.argsort(matched.rows, kind="stable")
    edges = np.searchsorted(matched.rows[order], np.arange(len(operation.locations) + 1))
    for row, exact in enumerate(operation.exact):
        if exact:
            own = order[edges[row] : edges[row + 1]]
            spans = np.array(operation.active[row], dtype="datetime64[us]").reshape(-1, 2)
            within = np.searchsorted(spans[:, 0], moments[own], side="right") - 1
            works = (within >= 0) & (moments[own] <= spans[within, 1] if len(spans) else False)
            idle[own] |= ~works
    return idle


def _days_of(
    matched: RecordsAtStations, which: npt.NDArray[np.bool_], hour: int
) -> list[tuple[str, date, int]]:
    day = (pl.col("camera_time") - timedelta(hours=hour)).dt.date().alias("day")
    table = (
        matched.table.filter(pl.Series(which)).group_by("location_id", day).len().sort("location_id", "day")
    )
    return list(table.iter_rows())


def _station(operation: Operation, row: int, records: int | None) -> StationEffort:
    days = operation.days[row]
    stood = np.flatnonzero(~np.isnan(days))
    return StationEffort(
        operation.locations[row],
        operation.sessions[row],
        operation.cameras[row],
        operation.dates[stood[0]],
        operation.dates[stood[-1]],
        float(np.nansum(days)),
        int((days == 0).sum()),
        records,
    )


def _describe(contradictions: tuple[Contradiction, ...]) -> list[str]:
    if not contradictions:
        return []
    names = name_some([f"{each.location_id} {each.day} ({each.why})" for each in contradictions])
    return [
        f"photos contradict the table on {many(len(contradictions), 'day')} of a station: {names}. Is a "
        "clock or a date wrong?"
    ]
