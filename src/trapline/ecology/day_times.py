"""Times of day of records: of tables that have nothing else, and of all records with a date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.ecology.circular import TURN, Floats
from trapline.ecology.independence import independent_records
from trapline.ecology.record_tables import RECORD_ROLES, read_records
from trapline.ecology.records import Records
from trapline.ecology.stations import Stations
from trapline.ecology.sun import Anchoring, radians_of, sun_times
from trapline.errors import DataError, UsageError, many
from trapline.formats import parse_zone
from trapline.tables import (
    Reading,
    find_roles,
    open_reading,
    read_header,
    read_numbers,
    read_table,
    reject_rows,
)
from trapline.times import read_time_of_day

TimeUnit = Literal["fraction", "hours", "radians"]
"""In what numbers are times of day: of the day (0 to 1), hours (0 to 24) or radians (0 to 2π)."""

DAY_TIME_ROLES: dict[str, tuple[str, ...]] = {
    "station": RECORD_ROLES["station"],
    "species": RECORD_ROLES["species"],
    "dated": (*RECORD_ROLES["time"], *RECORD_ROLES["date"]),
    "time_of_day": (
        *RECORD_ROLES["time_of_day"],
        *("timerad", "timeradians", "radians", "rad", "timedecimal", "decimaltime", "clock", "clocktime"),
        *("hours", "hourofday", "dayfraction", "fractionofday", "fraction"),
    ),
}
"""What a column of a table of times of day may hold, and how its name is spelt."""

_MOST: dict[TimeUnit, float] = {"fraction": 1.0, "hours": 24.0, "radians": TURN + 1e-6}
_TABLES = (".csv", ".tsv", ".txt", ".gz")


@dataclass(frozen=True, eq=False)
class DayTimes:
    """Times of day of records.

    Attributes:
        table: one row a record: `label`, `location_id` (null where it is not known), `radians` from midnight,
            and `camera_time` (null where there is no date).
        clock: whose day it is, in words.
        made_of: of what the records are made, as `Records` says.
        source: in words, for people.
        notes: what a person must know.
    """

    table: pl.DataFrame
    clock: str = "the camera's clock"
    made_of: str = "table"
    source: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> list[str]:
        """Those that there are, in order."""
        return self.table["label"].unique().sort().to_list()

    def radians(self, label: str) -> Floats:
        """Times of day of a label [N].

        Raises:
            DataError: there is no record of it; those that there are are named.
        """
        return self._of(label)["radians"].to_numpy()

    def locations(self, label: str) -> npt.NDArray[np.str_] | None:
        """Of the same records [N]; None where not all are known."""
        known = self._of(label)["location_id"]
        return None if known.null_count() else known.to_numpy().astype(np.str_)

    def _of(self, label: str) -> pl.DataFrame:
        rows = self.table.filter(pl.col("label") == label)
        if rows.is_empty():
            raise DataError(
                f"{self.source or 'The table'} has no record of {label!r}; it has: {', '.join(self.labels)}."
            )
        return rows


def read_day_times(
    source: Path | str | Records,
    *,
    columns: Mapping[str, str] | None = None,
    species_column: str | None = None,
    time_unit: TimeUnit | None = None,
    time_format: str | None = None,
    timezone: str | None = None,
    minutes: float | None = None,
) -> DayTimes:
    """Times of day of any records: `Records`, what `read_records` reads, and tables of times without a date.

    A table without a date has a column of species and one of times of day, as `14:03` or as numbers. Numbers
    up to 1 are fractions of the day if nothing else is said; their column's name may say `rad` or `hour`.

    Args:
        source: records, or a table, package, download, catalog or folder of them.
        columns: what a column holds (see `RECORD_ROLES`) → its name, where that is not a usual one.
        species_column: the column of the labels.
        time_unit: of times of day in numbers.
        time_format: of dates, as `read_records`.
        timezone: of the clocks, for times that are written with an offset.
        minutes: records of one label and location that are nearer in time are one; None: each counts.

    Raises:
        DataError: a column is missing, no time can be read, or numbers are of no unit that is known.
        UsageError: a unit was named of times that are not in numbers.
    """
    if isinstance(source, Records):
        if any(option is not None for option in (columns, species_column, time_unit, time_format, timezone)):
            raise UsageError(
                "Columns and forms of times are of what is read; these records are read already."
            )
        return times_of_records(source if minutes is None else independent_records(source, minutes))
    path = Path(source)
    told = dict(columns or {}) | ({} if species_column is None else {"species": species_column})
    if path.is_file() and path.suffix.lower() in _TABLES:
        roles = find_roles(
            read_header(path), DAY_TIME_ROLES, path, {k: v for k, v in told.items() if k in DAY_TIME_ROLES}
        )
        if "time_of_day" in roles and not {"dated", *(told.keys() & {"time", "date"})} & roles.keys():
            idle = [("--minutes", minutes), ("--timezone", timezone), ("--time-format", time_format)]
            for option, value in idle:
                if value is not None:
                    raise UsageError(f"{source} has no dates, and {option} needs them.")
            return _read_undated(path, roles, time_unit)
    if time_unit is not None:
        raise UsageError(f"{source} has times with dates: --time-unit is of times of day in numbers.")
    records = read_records(source, columns=told, time_format=time_format, timezone=timezone)
    return times_of_records(records if minutes is None else independent_records(records, minutes))


def times_of_records(records: Records) -> DayTimes:
    """The times of day of records; those without a time are left out, and counted.

    Raises:
        DataError: none has a time.
    """
    table = records.table.select(
        "label", "location_id", radians_of(records.table["camera_time"]).alias("radians"), "camera_time"
    )
    usable = table.drop_nulls(["label", "radians"])
    if usable.is_empty():
        raise DataError(f"No record of {records.source or 'these'} has a time of day.")
    left = table.height - usable.height
    more = (f"{many(left, 'record')} without a time of day left out",) if left else ()
    return DayTimes(usable, made_of=records.made_of, source=records.source, notes=(*records.notes, *more))


def by_the_sun(
    times: DayTimes,
    zone: str,
    *,
    stations: Stations | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
    anchoring: Anchoring = "average",
) -> DayTimes:
    """The same records by the sun of their location and day instead of the clock; see `sun_times`.

    Args:
        times: with dates.
        zone: of the cameras' clocks: a name, or an offset for clocks that never change.
        stations: whose coordinates the locations have, or
        latitude: of all, degrees north,
        longitude: and degrees east.
        anchoring: where sunrise and sunset are laid.

    Raises:
        DataError: no record has a time by the sun.
        UsageError: there are no coordinates.
    """
    placed = times.table.join(
        _coordinates(times.table, stations, latitude, longitude),
        on="location_id",
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )
    sun = sun_times(placed, parse_zone(zone), anchoring)
    table = times.table.with_columns(radians=sun.radians).drop_nulls("radians")
    if table.is_empty():
        raise DataError(f"No record has a time by the sun: {'; '.join(sun.describe())}.")
    rise, set_ = (f"{int(hour)}:{int(hour % 1 * 60):02}" for hour in sun.anchors)
    clock = f"the sun: sunrise at {rise}, sunset at {set_} ({anchoring}), clocks in {zone}"
    return replace(times, table=table, clock=clock, notes=(*times.notes, *sun.describe()))


def _coordinates(
    table: pl.DataFrame, stations: Stations | None, latitude: float | None, longitude: float | None
) -> pl.DataFrame:
    """Coordinates of each location, null where they are not known; the mean of its stations'."""
    if (latitude is None) != (longitude is None):
        raise UsageError("--latitude and --longitude go together.")
    if latitude is not None and longitude is not None:
        if stations is not None:
            raise UsageError("--stations has coordinates, and so have --latitude and --longitude: tell one.")
        if abs(latitude) > 90 or abs(longitude) > 180:
            raise UsageError(f"--latitude {latitude:g} --longitude {longitude:g} is no place on Earth.")
        everywhere = (pl.lit(value, pl.Float64) for value in (latitude, longitude))
        names = ("latitude", "longitude")
        return table.select("location_id").unique().with_columns(**dict(zip(names, everywhere, strict=True)))
    if stations is None:
        raise UsageError(
            "The sun's times need coordinates: --stations TABLE with latitude and longitude, or "
            "--latitude and "
            "--longitude."
        )
    rows = [(each.location_id, each.latitude, each.longitude) for each in stations.stations]
    schema = {"location_id": pl.String(), "latitude": pl.Float64(), "longitude": pl.Float64()}
    known = pl.DataFrame(rows, schema=schema, orient="row").drop_nulls()
    if known.is_empty():
        raise UsageError(
            f"{stations.source or 'The table of stations'} has no latitude and longitude: name one for "
            "all with "
            "--latitude and --longitude."
        )
    return known.group_by("location_id").mean()


def _read_undated(path: Path, roles: Mapping[str, str], unit: TimeUnit | None) -> DayTimes:
    """Of a table with times of day and no date."""
    if "species" not in roles:
        raise DataError(
            f"{path} line 1 has no column that is known to hold the species; it has: "
            f"{', '.join(read_header(path))}. Say which with --column species=NAME."
        )
    with open_reading(Reading()) as reading:
        table = read_table(path)
        table = reject_rows(table, pl.col(roles["species"]).is_null(), "names no species")
        texts = table[roles["time_of_day"]].cast(pl.String)
        radians, words = _radians(texts, roles["time_of_day"], path, unit)
        table = table.with_columns(radians.alias("_radians"))
        table = reject_rows(table, table["_radians"].is_null(), "has no time of day")
    if table.is_empty():
        raise DataError(f"{path} has no record with a time of day.")
    has_location = "station" in roles
    usable = table.select(
        pl.col(roles["species"]).alias("label"),
        (pl.col(roles["station"]) if has_location else pl.lit(None, pl.String)).alias("location_id"),
        pl.col("_radians").alias("radians"),
        pl.lit(None, pl.Datetime("us")).alias("camera_time"),
    )
    notes = (words, *reading.notes, *reading.describe_rejected())
    return DayTimes(usable, source=path.name, notes=notes)


def _radians(texts: pl.Series, name: str, path: Path, unit: TimeUnit | None) -> tuple[pl.Series, str]:
    """Radians of each text, null where it is no time of day; and what it was taken for."""
    filled = texts.drop_nulls()
    numbers = read_numbers(texts)
    if numbers.null_count() > texts.null_count() + len(filled) / 2:  # most are no numbers: clocks
        if unit is not None:
            raise UsageError(f"The column {name} of {path} is not in numbers: leave out --time-unit.")
        return _clocks(texts), f"the column {name} has clocks"
    largest = numbers.max()
    assert isinstance(largest, float)
    known = unit or _unit_of(name, largest)
    if known is None:
        raise DataError(
            f"{path}: the column {name} has numbers up to {largest:g}, which may be hours, radians or else. "
            "Say with --time-unit hours or radians."
        )
    inside = (numbers >= 0) & (numbers <= _MOST[known])
    radians = numbers * {"fraction": TURN, "hours": TURN / 24, "radians": 1.0}[known] % TURN
    words = {"fraction": "fractions of the day", "hours": "hours", "radians": "radians"}[known]
    return radians.zip_with(inside.fill_null(False), pl.Series([None], dtype=pl.Float64)), (
        f"the column {name} is taken for {words}"
    )


def _unit_of(name: str, largest: float) -> TimeUnit | None:
    lower = name.lower()
    if "rad" in lower:
        return "radians"
    if "hour" in lower:
        return "hours"
    return "fraction" if largest <= 1 else None


def _clocks(texts: pl.Series) -> pl.Series:
    """Radians of texts like 14:03:00; each that occurs is read once."""
    known: dict[str, float] = {}
    for text in texts.drop_nulls().unique():
        clock = read_time_of_day(text)
        if clock is not None:
            seconds = clock.hour * 3600 + clock.minute * 60 + clock.second + clock.microsecond / 1e6
            known[text] = seconds * TURN / 86400
    return texts.replace_strict(known, default=None, return_dtype=pl.Float64)


def choose_species(times: DayTimes, species: Sequence[str]) -> list[str]:
    """The species that were asked for, in that order; all that there are where none was.

    Raises:
        DataError: one has no record.
        UsageError: one is named twice.
    """
    chosen = list(species) or times.labels
    twice = [name for name in chosen if chosen.count(name) > 1]
    if twice:
        raise UsageError(f"--species names {twice[0]!r} twice.")
    for name in chosen:
        times.radians(name)
    return chosen
