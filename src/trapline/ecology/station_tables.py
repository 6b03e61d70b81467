"""Tables of stations: camtrapR's, Camtrap DP's, Wildlife Insights', and anybody's with usual names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from trapline.arguments import checked
from trapline.ecology.clocks import Clock, read_clock, refuse_unread
from trapline.ecology.stations import GUESSED, Station, Stations
from trapline.errors import DataError, many, name_some
from trapline.formats import (
    DEPLOYMENT_COLUMNS,
    choose_reader,
    deployment_tables,
    read_camtrap_dp_tables,
)
from trapline.tables import Reading, find_roles, open_reading, plain_name, read_numbers, read_table

STATION_ROLES: dict[str, tuple[str, ...]] = {
    "station": DEPLOYMENT_COLUMNS["locationID"],
    "camera": ("camera", "cameraid", "cam", "camid", "cameraname", "cameranumber", "cameraserial"),
    "session": ("session", "sessionid", "season", "seasonid", "surveysession"),
    "deployment": DEPLOYMENT_COLUMNS["deploymentID"],
    "start": DEPLOYMENT_COLUMNS["deploymentStart"],
    "start_time": ("setuptime", "starttime", "timestart"),
    "end": DEPLOYMENT_COLUMNS["deploymentEnd"],
    "end_time": ("retrievaltime", "endtime", "timeend"),
    "latitude": DEPLOYMENT_COLUMNS["latitude"],
    "longitude": DEPLOYMENT_COLUMNS["longitude"],
}
"""What a column of a table of stations may hold, and how its name is spelt."""

_OF_PROBLEMS = ("problem", "malfunction", "failure", "inactive")
_PROBLEM = re.compile(
    rf"(?:{'|'.join(_OF_PROBLEMS)})s?(\d*)(from|start|begin|to|end|until)(?:date|datetime)?(\d*)"
)
_FIRST = ("from", "start", "begin")
_DAY = timedelta(days=1)
_TABLES = (".csv", ".csv.gz", ".tsv", ".txt")


@checked
def read_stations(
    source: Path | str,
    *,
    columns: Mapping[str, str] | None = None,
    time_format: str | None = None,
    timezone: str | None = None,
) -> Stations:
    """Where cameras stood from when to when: of a table, or of a package or download that has one.

    Read are camtrapR's table of camera traps (with any number of columns `ProblemN_from` and `ProblemN_to`, a
    column of cameras and one of sessions), the deployments of Camtrap DP (drafts too) and of Wildlife
    Insights, and CSVs with usual names of columns. Days without hours stay days.

    Args:
        source: the table; or the folder, zip or descriptor of a package.
        columns: what a column holds (see `STATION_ROLES`) → its name, where that is not a usual one.
        time_format: `day-first` or `month-first`, or `strptime`'s, where the table does not tell.
        timezone: the zone of the cameras' clocks, for times that are written with an offset; where None the
            clock is as it is written.

    Raises:
        DataError: a column is missing, or a value is missing or wrong; file and line are named.
    """
    source = Path(source)
    if not source.exists():
        raise DataError(f"There is nothing at {source}. Name the table of stations.")
    with open_reading(Reading(strict=True)) as reading:
        stations = _read(source, dict(columns or {}), time_format, timezone)
    return replace(stations, notes=(*reading.notes, *stations.notes))


def read_stations_beside(
    source: Path | str,
    *,
    columns: Mapping[str, str] | None = None,
    time_format: str | None = None,
    timezone: str | None = None,
) -> Stations:
    """As `read_stations`, where records are read too: errors name the options of the stations."""
    try:
        return read_stations(source, columns=columns, time_format=time_format, timezone=timezone)
    except DataError as error:
        named = re.sub(r"--(?=(?:time-format|column)\b)", "--stations-", str(error))
        raise DataError(named) from error


def as_stations(stations: Stations | Path | str) -> Stations:
    """Stations as they are, or of their table."""
    return stations if isinstance(stations, Stations) else read_stations(stations)


def _read(source: Path, columns: dict[str, str], time_format: str | None, timezone: str | None) -> Stations:
    if source.name.lower().endswith(_TABLES) and source.name != "deployments.csv":
        return _stations_of(read_table(source), source, columns, time_format, timezone)
    reader = "" if source.name == "deployments.csv" and columns else _reader_of(source)
    if reader == "camtrap_dp":
        package = read_camtrap_dp_tables(source)
        told = {"station": "location_id", **columns}
        return _stations_of(package.deployments, source, told, time_format, timezone)
    if (reader == "wildlife_insights" and not source.is_file()) or source.suffix.lower() == ".zip":
        with deployment_tables(source) as paths:
            if not paths:
                raise DataError(f"{source} has no deployments.csv, which says when cameras stood.")
            table = pl.concat([read_table(path) for path in paths], how="diagonal")
            return _stations_of(table, source, columns, time_format, timezone)
    if source.is_file():
        return _stations_of(read_table(source), source, columns, time_format, timezone)
    raise DataError(f"{source} has no table of stations that is known here. Name its CSV.")


def _reader_of(source: Path) -> str:
    try:
        return choose_reader(source)[0].name
    except DataError:
        return ""


def _stations_of(
    table: pl.DataFrame,
    source: Path,
    columns: Mapping[str, str],
    time_format: str | None,
    timezone: str | None,
) -> Stations:
    names = [name for name in table.columns if name != "_place"]
    roles = find_roles(names, STATION_ROLES, source, columns)
    missing = [role for role in ("start", "end") if role not in roles]
    if not {"station", "deployment"} & set(roles):
        missing.insert(0, "station")
    if missing:
        raise DataError(
            f"{source} line 1 has no column that is known to hold the {', the '.join(missing)}; it has: "
            f"{', '.join(names)}. Say which with --column {missing[0]}=NAME."
        )
    if table.is_empty():
        raise DataError(f"{source} has no stations.")
    problems = _problem_columns(names, source)
    clock = read_clock(table, roles, ("start", "end"), problems, time_format, timezone)
    for role in ("start", "end"):
        refuse_unread(table, clock, roles[role], needed=True)
    spans = [(first, last) for first, last in problems]
    for pair in spans:
        for name in pair:
            refuse_unread(table, clock, name, needed=False)
    taken = {*roles.values(), *(name for pair in spans for name in pair), "_place", GUESSED}
    stations = tuple(_rows(table, roles, spans, clock, sorted(set(table.columns) - taken, key=names.index)))
    guesses = table[GUESSED].drop_nulls() if GUESSED in names else pl.Series([], dtype=pl.String)
    return Stations(
        stations,
        source.name,
        guessed=len(guesses) > 0,
        notes=(*clock.notes, *_notes(stations), *_unread_notes(names, taken), *_guess_notes(len(guesses))),
    )


def _problem_columns(names: Sequence[str], source: Path) -> list[tuple[str, str]]:
    """From and to of each problem period, in the order of their numbers."""
    ends: dict[str, dict[bool, str]] = {}
    for name in names:
        match = _PROBLEM.fullmatch(plain_name(name))
        if match:
            end = ends.setdefault(match[1] or match[3], {})
            if (match[2] in _FIRST) in end:
                raise DataError(
                    f"{source} has {end[match[2] in _FIRST]} and {name}, which are one end of a period."
                )
            end[match[2] in _FIRST] = name
    lone = [next(iter(pair.values())) for pair in ends.values() if len(pair) == 1]
    if lone:
        raise DataError(f"{source} has the column {lone[0]} without the other end of the period. Add it.")
    return [(pair[True], pair[False]) for _, pair in sorted(ends.items(), key=lambda item: int(item[0] or 0))]


def _rows(
    table: pl.DataFrame,
    roles: Mapping[str, str],
    problems: Sequence[tuple[str, str]],
    clock: Clock,
    others: Sequence[str],
) -> list[Station]:
    axes = {
        role: read_numbers(table[roles[role]].cast(pl.String), most=most).to_list()
        for role, most in (("latitude", 90), ("longitude", 180))
        if role in roles
    }
    start, end = clock.columns[roles["start"]], clock.columns[roles["end"]]
    stations = []
    for number, row in enumerate(table.iter_rows(named=True)):
        where = str(row["_place"])
        location = row.get(roles.get("station", "")) or row.get(roles.get("deployment", ""))
        if not location:
            raise DataError(f"{where} names no station.")
        first, last, whole = _span(start[number], end[number])
        if last < first:
            raise DataError(f"{where}: the station {location} ends ({last}) before it starts ({first}).")
        station = Station(
            location,
            row.get(roles.get("camera", "")),
            row.get(roles.get("session", "")),
            row.get(roles.get("deployment", "")),
            first,
            last,
            whole,
            latitude=axes["latitude"][number] if "latitude" in axes else None,
            longitude=axes["longitude"][number] if "longitude" in axes else None,
            values={name: row[name] for name in others},
        )
        periods = [(clock.columns[a][number], clock.columns[b][number], a, b) for a, b in problems]
        stations.append(replace(station, problems=_problems(station, periods, where)))
    return stations


def _span(
    start: tuple[datetime, bool] | None, end: tuple[datetime, bool] | None
) -> tuple[datetime, datetime, bool]:
    """Start, end, and whether both are days; a day beside an hour is that day's noon."""
    assert start is not None
    assert end is not None
    if start[1] == end[1]:
        return start[0], end[0], start[1]
    noon = timedelta(hours=12)
    return start[0] + (noon if start[1] else timedelta()), end[0] + (noon if end[1] else timedelta()), False


def _problems(
    station: Station,
    periods: Sequence[tuple[tuple[datetime, bool] | None, tuple[datetime, bool] | None, str, str]],
    where: str,
) -> tuple[tuple[datetime, datetime], ...]:
    spans = []
    for first, last, from_name, to_name in periods:
        if first is None and last is None:
            continue
        if first is None or last is None:
            empty = from_name if first is None else to_name
            raise DataError(f"{where}: {empty} is empty, and the other end of the period is not. Fill it in.")
        begin, finish = first[0], last[0] + (_DAY if last[1] else timedelta())
        if finish <= begin:
            raise DataError(f"{where}: the period ends ({to_name}) before it starts ({from_name}).")
        closing = station.end + (_DAY if station.whole_days else timedelta())
        if finish <= station.start or begin >= closing:
            raise DataError(
                f"{where}: the period {from_name} to {to_name} lies outside the time of the station "
                f"{station.location_id} ({station.start:%Y-%m-%d} to {station.end:%Y-%m-%d})."
            )
        spans.append((begin, finish))
    return tuple(spans)


def _notes(stations: Sequence[Station]) -> list[str]:
    notes = []
    midnight = [each for each in stations if not each.whole_days and _is_midnight(each)]
    if midnight and len(midnight) == len(stations):
        notes.append(
            "all times of setup and retrieval are midnight, as programs write days that have no hour: if so, "
            "ask for noon"
        )
    if beyond := [each.location_id for each in stations if _reaches_out(each)]:
        notes.append(f"problems reach beyond the time of {name_some(beyond)}, and count within it")
    mixed = {each.whole_days for each in stations}
    if len(mixed) > 1:
        notes.append("some stations have hours of setup and retrieval, others only days: these are noon")
    return notes


def _reaches_out(station: Station) -> bool:
    """Whether a problem begins on a day before the station's first, or ends after its last."""
    moment = timedelta(microseconds=1)
    first, last = station.start.date(), station.end.date()
    return any(begin.date() < first or (end - moment).date() > last for begin, end in station.problems)


def _unread_notes(names: Sequence[str], taken: set[str]) -> list[str]:
    """Columns that are named for problems, and that tell no end of a period."""
    others = [name for name in names if name not in taken and plain_name(name).startswith(_OF_PROBLEMS)]
    if not others:
        return []
    return [
        f"not read as the time of a problem: the column {name_some(others)}. Names that are read: "
        "Problem1_from and Problem1_to"
    ]


def _is_midnight(station: Station) -> bool:
    return all(moment.time() == datetime.min.time() for moment in (station.start, station.end))


def _guess_notes(count: int) -> list[str]:
    if not count:
        return []
    return [
        f"{many(count, 'row')} with a guess, the span of the photos, as the column '{GUESSED}' says: correct "
        "them, and take that column out"
    ]
