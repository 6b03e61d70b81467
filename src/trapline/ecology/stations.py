"""Stations: where cameras stood from when to when, and when they did not work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Station:
    """One camera at one location from–to.

    Attributes:
        location_id: where it stood.
        camera: tells cameras of one location apart; None where the table has one a location.
        session: of surveys in several sessions; None where the table has none.
        deployment_id: of tables that name deployments; else None.
        start: wall clock at the location.
        end: wall clock at the location.
        whole_days: the table says days, not hours, of start and end.
        problems: from–to when the camera did not work.
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
