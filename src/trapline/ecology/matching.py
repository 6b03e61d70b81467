"""Records and the stations that they were made at: which row and day of camera operation each belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.ecology.operation import Operation
from trapline.ecology.records import Records
from trapline.errors import DataError, many, name_some

_DAY_US = 86_400_000_000


@dataclass(frozen=True, eq=False)
class RecordsAtStations:
    """Records at stations.

    Attributes:
        table: those at a station of the table and with a time.
        rows: int64 [records]: the row of camera operation; -1 where no camera stood there on that day.
        days: int64 [records]: the day, as an index of its dates; may lie outside of them where the row is -1.
        notes: what a person must know.
    """

    table: pl.DataFrame
    rows: npt.NDArray[np.int64]
    days: npt.NDArray[np.int64]
    notes: tuple[str, ...]

    @property
    def outside(self) -> npt.NDArray[np.bool_]:
        """[records]: no camera stood there on that day."""
        return self.rows < 0


def match_records(records: Records, operation: Operation, *, skip_unknown: bool = False) -> RecordsAtStations:
    """Which row and day of camera operation each record belongs to, by location, session and day.

    Locations are compared to the letter, and where that finds nothing without regard to case, as in camtrapR.
    A record that names a session of the stations is of it; of others the day tells.

    Args:
        records: of one species, or of all.
        operation: one row a location, or a location and session.
        skip_unknown: leave out records at locations that no station is at, and note it, instead of refusing.

    Raises:
        DataError: records are at locations that no station is at, or sessions of one location overlap.
    """
    notes: list[str] = []
    locations = list(dict.fromkeys(operation.locations))
    table = _timed(records, notes)
    codes = _location_codes(table["location_id"], locations, records, skip_unknown, notes)
    table, codes = table.filter(codes.is_not_null()), codes.drop_nulls()
    shifted = table["camera_time"].to_physical().to_numpy() - operation.hour * 3_600_000_000
    first = datetime.combine(operation.dates[0], datetime.min.time()) - datetime(1970, 1, 1)
    days = np.floor_divide(shifted, _DAY_US) - first // timedelta(days=1)
    inside = (days >= 0) & (days < len(operation.dates))
    lookup = _rows_by_day(operation, locations)
    at = codes.to_numpy().astype(np.int64)
    rows = np.where(inside, lookup[at, np.where(inside, days, 0)], -1)
    if table["session"].null_count() < table.height:
        rows = _by_session(table["session"], rows, operation)
    return RecordsAtStations(table, rows.astype(np.int64), days.astype(np.int64), tuple(notes))


def _timed(records: Records, notes: list[str]) -> pl.DataFrame:
    table = records.table.filter(pl.col("camera_time").is_not_null())
    if table.height < len(records):
        notes.append(f"{many(len(records) - table.height, 'record')} without a time, counted nowhere")
    return table


def _location_codes(
    names: pl.Series, locations: list[str], records: Records, skip_unknown: bool, notes: list[str]
) -> pl.Series:
    """Int64 [records]: each one's location as an index; null where no station is at it."""
    distinct = names.drop_nulls().unique(maintain_order=True).to_list()
    exact = {name: number for number, name in enumerate(locations)}
    loose: dict[str, int | None] = {}
    for number, name in enumerate(locations):
        key = name.strip().casefold()
        loose[key] = None if key in loose else number
    code_of = {name: exact.get(name, loose.get(name.strip().casefold())) for name in distinct}
    spelt = [name for name, code in code_of.items() if code is not None and name not in exact]
    if spelt:
        notes.append(f"locations of records that stations spell in another case: {name_some(spelt)}")
    codes = (
        names.replace_strict(code_of, default=None, return_dtype=pl.Int64)
        if distinct
        else names.cast(pl.Int64)
    )
    unknown = [name for name, code in code_of.items() if code is None]
    lost = codes.null_count()
    if not lost:
        return codes
    what = (
        f"{many(lost, 'record')} at locations that no station is at: {name_some(unknown) or 'none is named'}"
    )
    if not skip_unknown or lost == len(codes):
        raise DataError(
            f"{what}. Stations are at {name_some(locations)}. Add these to the table of stations, or leave "
            f"their records of {records.source} out with --skip-unknown."
        )
    notes.append(f"{what}; left out as asked")
    return codes


def _rows_by_day(operation: Operation, locations: list[str]) -> npt.NDArray[np.int32]:
    """[locations, days]: the row that stood there on that day, or -1.

    Raises:
        DataError: two sessions of one location stood there on one day.
    """
    lookup = np.full((len(locations), len(operation.dates)), -1, dtype=np.int32)
    code_of = {name: number for number, name in enumerate(locations)}
    for row, location in enumerate(operation.locations):
        code, stands = code_of[location], ~np.isnan(operation.days[row])
        twice = np.flatnonzero(stands & (lookup[code] >= 0))
        if len(twice):
            sessions = operation.sessions[lookup[code, twice[0]]], operation.sessions[row]
            raise DataError(
                f"The sessions {sessions[0]} and {sessions[1]} of the station {location} overlap on "
                f"{operation.dates[twice[0]]}, so that its records are of both. Correct the table."
            )
        lookup[code, stands] = row
    return lookup


def _by_session(
    sessions: pl.Series, rows: npt.NDArray[np.int32], operation: Operation
) -> npt.NDArray[np.int32]:
    """The rows; -1 of a record that names a session of the stations, where that of its day is another."""
    known = {name for name in operation.sessions if name is not None}
    own = np.array([each if each in known else "" for each in sessions.to_list()], dtype=object)
    of_row = np.array([*(name or "" for name in operation.sessions), ""], dtype=object)
    return np.where((own == "") | (own == of_row[rows]), rows, -1)
