"""The user's table of deployments: where cameras stood from when to when. It is asked for, never made up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from pathlib import Path
from typing import Any

import polars as pl

from trapline.errors import DataError, many
from trapline.formats.zones import localise
from trapline.tables import find_roles, read_numbers, read_table, rename_columns
from trapline.times import Order, day_evidence, read_time

DEPLOYMENT_COLUMNS = {
    "deploymentID": ("deploymentid", "deployment"),
    "locationID": (
        *("locationid", "station", "stationid", "location", "siteid", "site", "placename", "locationname"),
        *("stationname", "sitename", "cameratrapstation", "trapstation", "trapid", "trap"),
    ),
    "latitude": ("latitude", "lat", "decimallatitude"),
    "longitude": ("longitude", "lon", "lng", "long", "decimallongitude"),
    "deploymentStart": (
        *("deploymentstart", "setupdate", "setup", "setupdatetime", "start", "startdate", "startdatetime"),
        *("from", "begin", "datestart", "dateset", "datedeployed", "installed", "deployed", "firstday"),
    ),
    "deploymentEnd": (
        *("deploymentend", "retrievaldate", "retrieval", "retrievaldatetime", "end", "enddate"),
        *("enddatetime", "to", "finish", "dateend", "dateretrieved", "removed", "retrieved", "lastday"),
    ),
}
"""What holds what in tables of deployments and of stations, as `find_roles` wants it: Camtrap DP's names,
camtrapR's, Wildlife Insights', and usual others."""
_DEGREES = {"latitude": 90, "longitude": 180}
_NOT_TOLD = ": no row of the table tells the day from the month."
_REQUIRED = ("latitude", "longitude", "deploymentStart", "deploymentEnd")


@dataclass(frozen=True)
class Deployment:
    """One camera at one location from–to.

    Attributes:
        deployment_id: unique.
        location_id: the location; None if the table does not say.
        latitude: degrees, WGS84.
        longitude: degrees, WGS84.
        start: zone-aware.
        end: zone-aware.
        values: every column of the table as text, those of Camtrap DP under its names.
    """

    deployment_id: str
    location_id: str | None
    latitude: float
    longitude: float
    start: datetime
    end: datetime
    values: Mapping[str, str | None]


def read_deployments(path: Path, zone: tzinfo | None) -> list[Deployment]:
    """Read a CSV of deployments: deployment or location, latitude, longitude, start, end, and any more.

    Columns are recognised by Camtrap DP's names and usual others, without regard to case. Without a
    deployment column each location is one deployment. Times without an offset are read in `zone`; a day
    without a time is from its first second to its last.

    Raises:
        DataError: a column is missing, or a value is missing, wrong or out of range; file and line are named.
    """
    table = read_table(path)
    column_of = find_roles(table.columns, DEPLOYMENT_COLUMNS, path)
    missing = [role for role in _REQUIRED if role not in column_of]
    if not {"deploymentID", "locationID"} & set(column_of):
        missing.insert(0, "deploymentID or locationID")
    if missing:
        have = ", ".join(name for name in table.columns if name != "_place")
        raise DataError(f"{path} line 1 lacks the columns {', '.join(missing)}; it has: {have}.")
    named = {name: role for role, name in column_of.items() if name != role}
    table = rename_columns(table, named, path)
    days = pl.concat([table["deploymentStart"], table["deploymentEnd"]]).drop_nulls()
    order = day_evidence(days).order
    degrees = {name: read_numbers(table[name], most=most).to_list() for name, most in _DEGREES.items()}
    deployments = [
        _deployment(row, {name: values[number] for name, values in degrees.items()}, zone, order)
        for number, row in enumerate(table.iter_rows(named=True))
    ]
    if not deployments:
        raise DataError(f"{path} has no deployments.")
    ids = [deployment.deployment_id for deployment in deployments]
    twice = next((each for each in ids if ids.count(each) > 1), None)
    if twice is not None:
        raise DataError(f"{path} has more than one row of the deployment '{twice}'; give each an id.")
    return deployments


def _deployment(
    row: dict[str, str | None],
    degrees: Mapping[str, float | None],
    zone: tzinfo | None,
    order: Order | None,
) -> Deployment:
    where = row.pop("_place")
    name = row.get("deploymentID") or row.get("locationID")
    if not name:
        raise DataError(f"{where} names no deployment.")
    start = _moment(row, "deploymentStart", zone, order, time.min, where)
    end = _moment(row, "deploymentEnd", zone, order, time(23, 59, 59), where)
    if end < start:
        raise DataError(f"{where}: the deployment {name} ends ({end}) before it starts ({start}).")
    latitude, longitude = (_degrees(row, degrees, axis, where) for axis in _DEGREES)
    if latitude == longitude == 0:
        raise DataError(
            f"{where}: latitude and longitude are both 0, in the Atlantic: so programs write what they "
            "do not know. Give those of the camera."
        )
    return Deployment(
        name,
        row.get("locationID"),
        latitude,
        longitude,
        start,
        end,
        row,
    )


def _degrees(
    row: dict[str, str | None], degrees: Mapping[str, float | None], name: str, where: str | None
) -> float:
    """The number, whose text in the row is then with a point."""
    value, limit = degrees[name], _DEGREES[name]
    if row[name] is None:
        raise DataError(f"{where}: the {name} is empty; degrees are needed, coarse ones do.")
    if value is None or not -limit <= value <= limit:
        raise DataError(f"{where}: the {name} is {row[name]!r}, not degrees from -{limit:g} to {limit:g}.")
    row[name] = (row[name] or "").replace(",", ".")
    return value


def _moment(
    row: Mapping[str, str | None],
    name: str,
    zone: tzinfo | None,
    order: Order | None,
    time_of_day: time,
    where: str | None,
) -> datetime:
    text = row[name]
    if text is None:
        raise DataError(
            f"{where}: {name} is empty. Of a camera that is lost or still stands give the last moment that "
            "is known, as that of its last photo."
        )
    written = read_time(text, order)
    if written is None:
        raise DataError(
            f"{where}: {name} is {text!r}, not a date or date-time as in 2020-05-30 or "
            f"2020-05-30T04:57:37+02:00{_NOT_TOLD if day_evidence([text]).texts else '.'}"
        )
    if written.moment is not None:
        return written.moment
    if zone is None:
        raise DataError(f"{where}: {name} is {text!r}, without a zone. Name the zone with --timezone.")
    aware = localise(written.wall or datetime.combine(written.day, time_of_day), zone)
    if aware is None:
        raise DataError(
            f"{where}: {name} is {text!r}: skipped or repeated by daylight saving; add the offset."
        )
    return aware


def assign_deployments(
    media: Iterable[Mapping[str, Any]],
    moments: Mapping[str, datetime | None],
    deployments: Sequence[Deployment],
) -> tuple[dict[str, Deployment], list[str]]:
    """Which deployment each media belongs to: that of its id; else the one at its location at its time.

    Args:
        media: rows of a catalog.
        moments: media id → when it was taken, zone-aware; None where not known.
        deployments: what there is.

    Returns:
        Media id → deployment, and what a person should know.

    Raises:
        DataError: a media has none, or there are several and nothing decides; the first are named.
    """
    by_id = {deployment.deployment_id: deployment for deployment in deployments}
    by_location: dict[str | None, list[Deployment]] = {}
    for deployment in deployments:
        by_location.setdefault(deployment.location_id or deployment.deployment_id, []).append(deployment)
    deployment_of: dict[str, Deployment] = {}
    homeless: dict[str, int] = {}
    outside = 0
    for row in media:
        moment = moments[row["media_id"]]
        at_place = by_location.get(row["location_id"], []) if row["location_id"] is not None else []
        own = by_id.get(row["deployment_id"] or "") or _at_time(at_place, moment)
        if own is None and len(deployments) == 1 and row["location_id"] is row["deployment_id"] is None:
            own = deployments[0]
        if own is None:
            name = f"deployment {row['deployment_id']!r}, location {row['location_id']!r}"
            name += f" at {moment}" if at_place else ""
            homeless[name] = homeless.get(name, 0) + 1
            continue
        deployment_of[row["media_id"]] = own
        outside += moment is not None and not own.start <= moment <= own.end
    if homeless:
        first = "; ".join(f"{name} ({count} media)" for name, count in list(homeless.items())[:3])
        raise DataError(
            f"{many(sum(homeless.values()), 'media has')} no deployment in the table: {first}. Its "
            f"deployments: {', '.join(list(by_id)[:8])}. Add rows to the table, with the ids that the "
            "catalog uses."
        )
    if not outside:
        return deployment_of, []
    return deployment_of, [
        f"{many(outside, 'media was')} taken outside the time of their deployment: is the clock right?"
    ]


def _at_time(deployments: Sequence[Deployment], moment: datetime | None) -> Deployment | None:
    if len(deployments) == 1:
        return deployments[0]
    if moment is None:
        return None
    fits = [deployment for deployment in deployments if deployment.start <= moment <= deployment.end]
    return fits[0] if len(fits) == 1 else None
