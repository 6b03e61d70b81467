"""Wall clocks and zones: the instant of a media for formats that require one; nothing is made up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from trapline.errors import UsageError
from trapline.times import read_offset


def parse_zone(text: str) -> tzinfo:
    """A zone by its name ("Africa/Abidjan"), or a fixed offset ("+01:00") for clocks that never change.

    Raises:
        UsageError: there is no such zone.
    """
    offset = read_offset(text) if re.search("[0-9]", text) else None
    if offset is not None:
        return timezone(offset)
    try:
        return ZoneInfo(text.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"There is no time zone {text!r}. Name one as Area/City ('Africa/Abidjan') or as an offset "
            "('+01:00')."
        ) from error


def localise(wall: datetime, zone: tzinfo) -> datetime | None:
    """The instant of a wall clock; None where daylight saving skips or repeats it."""
    early, late = wall.replace(tzinfo=zone, fold=0), wall.replace(tzinfo=zone, fold=1)
    return early if early.utcoffset() == late.utcoffset() else None


def instant(media: Mapping[str, Any], zone: tzinfo | None) -> datetime | None:
    """When a media of a catalog was taken, in `zone`; None where it is not known.

    A zone-aware time of the catalog stands; else the camera's clock is read in `zone`.
    """
    if media["timestamp"] is not None:
        known: datetime = media["timestamp"]
        return known.astimezone(zone or UTC)
    if media["camera_time"] is None or zone is None:
        return None
    return localise(media["camera_time"], zone)


def format_instant(moment: datetime) -> str:
    """ISO 8601 with the offset, whole seconds, as Camtrap DP wants it."""
    return moment.replace(microsecond=0).isoformat()
