"""Stations: where cameras stood from when to when, and when they did not work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from trapline.errors import DataError, many
from trapline.storage import replace_whole

if TYPE_CHECKING:
    from trapline.catalog import Catalog
    from trapline.ecology.records import Records

GUESSED = "guessed"
"""The column of a proposed table that says of a row that it is the span of the photos."""


@dataclass(frozen=True)
class Station:
    """One camera at one location from–to.

    Attributes:
        location_id: where it stood.
        camera: tells cameras of one location apart; None where the table has one a location.
        session: of surveys in several sessions; None where the table has none.
        deployment_id: of tables that name deployments; else None.
        start: wall clock at the location; of whole days midnight at the beginning of the first.
        end: wall clock at the location; of whole days midnight at the beginning of the last.
        whole_days: the table says days, not hours, of start and end.
        problems: from–to when the camera did not work; of whole days to the midnight after the last.
        latitude: degrees, WGS84; None where the table does not say.
        longitude: degrees, WGS84; None likewise.
        values: every other column of the table as text: covariates, coordinates in metres.
    """

    location_id: str
    camera: str | None
    session: str | None
    deployment_id: str | None
    start: datetime
    end: datetime
    whole_days: bool
    problems: tuple[tuple[datetime, datetime], ...] = ()
    latitude: float | None = None
    longitude: float | None = None
    values: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Stations:
    """All stations of a survey.

    Attributes:
        stations: in the order of the table.
        source: in words, for people.
        guessed: they are the span of the photos and nobody's table: offered, never written as fact.
        notes: what a person must know.
    """

    stations: tuple[Station, ...]
    source: str | None = None
    guessed: bool = False
    notes: tuple[str, ...] = ()

    def locations(self) -> list[str]:
        """Each location once, in the order of the table."""
        return list(dict.fromkeys(station.location_id for station in self.stations))

    def save_proposal(self, path: Path) -> None:
        """Write guessed stations as a table for a person to correct, in camtrapR's columns.

        Its last column says that each row is a guess, and a reader goes by that until a person takes it out.

        Raises:
            DataError: they are no guess: nobody needs a second table of what a table says.
        """
        if not self.guessed:
            raise DataError(f"The stations of {self.source} are no guess; there is nothing to propose.")
        rows = [
            {
                "Station": station.location_id,
                "Setup_date": station.start.date().isoformat(),
                "Retrieval_date": station.end.date().isoformat(),
                GUESSED: "yes: first and last photo",
            }
            for station in self.stations
        ]
        with replace_whole(path) as scratch:
            pl.DataFrame(rows).write_csv(scratch)


def guess_stations(photos: Records | Catalog) -> Stations:
    """The span of the photos of each location, from the day of the first to the day of the last: a guess.

    A camera that took no photo in its last weeks stood there all the same, and one that was broken in between
    did not work: both make effort wrong, so that a guess is never taken for a table.

    Raises:
        DataError: no photo has both a time and a location.
    """
    table, source = photos.table, photos.source
    spans = (
        table.lazy()
        .select("location_id", "camera_time")
        .drop_nulls()
        .group_by("location_id")
        .agg(pl.col("camera_time").min().alias("first"), pl.col("camera_time").max().alias("last"))
        .sort("location_id")
        .collect()
    )
    if spans.is_empty():
        raise DataError(
            f"No row of {source} has both a time and a location: nothing says when cameras stood. Read the "
            "photos again with what is missing: times from a table or the photos (trapline catalog --exif), "
            "locations by --location NAME of a folder, or --column location=NAME of a table."
        )
    stations = tuple(
        Station(location, None, None, None, _midnight(first), _midnight(last), whole_days=True)
        for location, first, last in spans.iter_rows()
    )
    note = (
        f"when the cameras of {many(len(stations), 'location')} stood is a guess: the span of their photos. "
        "One that took none in its last weeks stood there all the same"
    )
    return Stations(stations, f"the span of the photos of {source}", guessed=True, notes=(note,))


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.date(), time.min)
