"""Camera operation: what share of each day each station worked, as camtrapR's matrix says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from trapline.arguments import File, checked
from trapline.ecology.spans import Span, cut, day_shares, join
from trapline.ecology.station_tables import as_stations
from trapline.ecology.stations import Station, Stations
from trapline.ecology.written import Target, write_matrix
from trapline.errors import DataError, UsageError, many, name_some

Hours = Literal["table", "noon", "exact", "whole"]
"""What counts of the days of setup and of retrieval: the hours that the table says, and noon where it says
days; noon whatever it says; its hours, which must be there; the whole days."""

Cameras = Literal["any", "all", "sum", "separate"]
"""When a station with several cameras works: while one does, while all that are set up do, as often as there
are cameras that do; or each by itself."""

_MOST_DAYS = 40_000
_DAY = timedelta(days=1)


@dataclass(frozen=True, eq=False)
class Operation:
    """Camera operation by day.

    Attributes:
        locations: of each row.
        sessions: of each row; None of surveys without.
        cameras: of each row; None unless each camera has one.
        dates: of each column.
        days: float64 [rows, days]: the share of the day that the station worked (with `sum` of cameras, the
            sum of theirs); 0 where it stood and did not work; NaN where it did not stand.
        active: of each row from–to when it worked.
        exact: of each row, whether the table says hours, so that `active` is known to the minute.
        hour: at which a day begins.
        notes: what a person must know.
    """

    locations: tuple[str, ...]
    sessions: tuple[str | None, ...]
    cameras: tuple[str | None, ...]
    dates: tuple[date, ...]
    days: npt.NDArray[np.float64]
    active: tuple[tuple[Span, ...], ...]
    exact: tuple[bool, ...]
    hour: int = 0
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of each row, as camtrapR writes it: `StationA__SESS_2009__CAM_1`."""
        return tuple(map(row_name, self.locations, self.sessions, self.cameras))

    def save(self, to: Target) -> None:
        """Write the matrix as camtrapR does: a row a station, a column a day, `NA` where it did not stand."""
        shift = f"+{self.hour}h" if self.hour else ""
        write_matrix(to, self.names, [f"{day.isoformat()}{shift}" for day in self.dates], self.days)


def row_name(location: str, session: str | None, camera: str | None = None) -> str:
    """camtrapR's name of a row: `StationA__SESS_2009__CAM_1`."""
    parts = [location, *([] if session is None else [f"SESS_{session}"])]
    return "__".join([*parts, *([] if camera is None else [f"CAM_{camera}"])])


@checked
def camera_operation(
    stations: Stations | File, *, hours: Hours = "table", cameras: Cameras = "any", occasion_start: int = 0
) -> Operation:
    """The share of each day that each station worked.

    By camtrapR's convention a station that is known by days was set up and fetched at noon, so that these two
    days count half, and a problem period takes whole days; where hours are known they count as they are
    (camtrapR 2.1 and later; Niedballa et al. 2016, *camtrapR: an R package for efficient camera trap data
    management*, and its vignette 3). Several deployments of one location are one row; between two
    of them it is NaN. With several cameras of which days are known, `any` is the sum of theirs and 1 at most,
    as in camtrapR: a day on which two were set up is a whole one. Where hours are known times are joined
    exactly; camtrapR takes means of days.

    Args:
        stations: where cameras stood from when to when; or their table, as of `read_stations`.
        hours: what counts of the first and last days (see `Hours`).
        cameras: when a station of several cameras works (see `Cameras`).
        occasion_start: the full hour at which a day begins: 12 for nights that are not cut at midnight.

    Raises:
        UsageError: `hours` is `exact` and the table has days, or the hour is none.
        DataError: the survey is longer than a century, as one with a year mistyped.
    """
    stations = as_stations(stations)
    if not 0 <= occasion_start <= 23:
        raise UsageError(f"--occasion-start is a full hour from 0 to 23, not {occasion_start}.")
    days_alone = [station.location_id for station in stations.stations if station.whole_days]
    if hours == "exact" and days_alone:
        raise UsageError(
            f"{stations.source} has days without hours ({name_some(days_alone)}), so that exact hours are "
            "not known. Ask for noon, or write the hours."
        )
    rows: dict[tuple[str, str | None, str | None], list[Station]] = {}
    for station in stations.stations:
        camera = _camera(station) if cameras == "separate" else None
        rows.setdefault((station.location_id, station.session, camera), []).append(station)
    dates = _dates([_stood(station, hours) for station in stations.stations], hours, occasion_start)
    matrix = np.stack([_row(each, hours, cameras, dates, occasion_start) for each in rows.values()])
    idle = [row_name(*key) for key, row in zip(rows, matrix, strict=True) if not np.nansum(row)]
    notes = [f"{many(len(idle), 'station')} without any effort: {name_some(idle)}"] if idle else []
    return Operation(
        tuple(location for location, _, _ in rows),
        tuple(session for _, session, _ in rows),
        tuple(camera for _, _, camera in rows),
        dates,
        matrix,
        tuple(tuple(_active(each, hours, cameras)) for each in rows.values()),
        tuple(hours != "whole" and not any(one.whole_days for one in each) for each in rows.values()),
        occasion_start,
        (*stations.notes, *notes, *_overlaps(rows, hours)),
    )


def _camera(station: Station) -> str | None:
    """What tells the cameras of a location apart."""
    return station.deployment_id if station.camera is None else station.camera


def _stood(station: Station, hours: Hours) -> Span:
    """From when to when a station counts as set up."""
    if not station.whole_days and hours in ("table", "exact"):
        return station.start, station.end
    first, last = (datetime.combine(moment, datetime.min.time()) for moment in (station.start, station.end))
    if hours == "whole":
        return first, last + _DAY
    noon = timedelta(hours=12)
    return first + noon, last + noon


def _dates(stood: Sequence[Span], hours: Hours, hour: int) -> tuple[date, ...]:
    ends = [_day_range(span, hours, hour) for span in stood]
    first, last = min(first for first, _ in ends), max(last for _, last in ends)
    days = (last - first).days + 1
    if days > _MOST_DAYS:
        raise DataError(f"The stations stood from {first} to {last}. Is a year mistyped?")
    return tuple(first + timedelta(days=number) for number in range(days))


def _day_range(span: Span, hours: Hours, hour: int) -> tuple[date, date]:
    """The first and the last day on which a station stood, if only for its first or last moment.

    The day of the last moment belongs to it though nothing of it may count, as of a day that begins at noon
    when the camera was fetched: a photo taken on fetching it is then not of no deployment.
    """
    shift = timedelta(hours=hour)
    last = span[1] - (timedelta(microseconds=1) if hours == "whole" else timedelta())
    return (span[0] - shift).date(), (last - shift).date()


def _row(
    stations: Sequence[Station], hours: Hours, cameras: Cameras, dates: Sequence[date], hour: int
) -> npt.NDArray[np.float64]:
    first = dates[0]
    capped = cameras == "any" and all(map(_has_days_alone, stations))
    if cameras == "sum" or capped:
        each = [_active(group, hours, "any") for group in _by_camera(stations)]
    else:
        each = [_active(stations, hours, cameras)]
    shares = sum(day_shares(spans, first, len(dates), hour) for spans in each)
    if capped:
        shares = np.minimum(shares, 1)
    stands = np.zeros(len(dates), dtype=bool)
    for station in stations:
        begin, end = _day_range(_stood(station, hours), hours, hour)
        stands[(begin - first).days : (end - first).days + 1] = True
    return np.where(stands, shares, np.nan)


def _has_days_alone(station: Station) -> bool:
    """Whether the table says days of all its times, so that halves of days are a convention."""
    moments = [moment for span in station.problems for moment in span]
    return station.whole_days and all(moment.time() == datetime.min.time() for moment in moments)


def _by_camera(stations: Sequence[Station]) -> list[list[Station]]:
    groups: dict[str | None, list[Station]] = {}
    for station in stations:
        groups.setdefault(_camera(station), []).append(station)
    return list(groups.values())


def _active(stations: Sequence[Station], hours: Hours, cameras: Cameras) -> list[Span]:
    """From–to when a row worked: while any of its cameras did, or while none that stood did not."""
    stood = [[_stood(station, hours)] for station in stations]
    active = [cut(span, station.problems) for span, station in zip(stood, stations, strict=True)]
    if cameras != "all":
        return join(span for spans in active for span in spans)
    broken = [cut(span, works) for span, works in zip(stood, active, strict=True)]
    return cut((span for spans in stood for span in spans), (span for spans in broken for span in spans))


def _overlaps(rows: Mapping[tuple[str, str | None, str | None], list[Station]], hours: Hours) -> list[str]:
    """Rows of the table that are of one location at one time, and of no cameras that tell them apart."""
    names = []
    for key, stations in rows.items():
        spans = sorted(_stood(station, hours) for station in stations if _camera(station) is None)
        if any(later[0] < earlier[1] for earlier, later in pairwise(spans)):
            names.append(row_name(*key))
    if not names:
        return []
    return [
        f"rows of {name_some(names)} overlap in time and name no camera: they are taken for one camera's, "
        "and count once"
    ]
