"""What a camera wrote about a photo: when, with what, how large."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, UnidentifiedImageError

from trapline.images.decode import FORMATS, describe, open_regular
from trapline.images.errors import ImageError

_TIME_TAGS = (
    # time, hundredths, offset from UTC: where the camera writes the moment of capture, most telling first
    ("DateTimeOriginal", ExifTags.Base.SubsecTimeOriginal, ExifTags.Base.OffsetTimeOriginal),
    ("DateTimeDigitized", ExifTags.Base.SubsecTimeDigitized, ExifTags.Base.OffsetTimeDigitized),
    ("DateTime", ExifTags.Base.SubsecTime, ExifTags.Base.OffsetTime),
)


@dataclass(frozen=True)
class ExifInfo:
    """What the EXIF block of a photo says; None where it says nothing.

    Attributes:
        camera_time: the wall clock the camera wrote, without a zone.
        timestamp: the same instant in UTC; None unless the camera wrote its offset.
        time_tag: which tag the time was read from, `DateTimeOriginal` if there is one.
        make: of the camera.
        model: of the camera.
        serial: the camera body's number.
        orientation: 1 to 8.
        width: of the file's pixels before they are turned upright.
        height: of the file's pixels before they are turned upright.
        problem: why something could not be read: no such file, no picture, a senseless time.
    """

    camera_time: datetime | None = None
    timestamp: datetime | None = None
    time_tag: str | None = None
    make: str | None = None
    model: str | None = None
    serial: str | None = None
    orientation: int | None = None
    width: int | None = None
    height: int | None = None
    problem: str | None = None


def read_exif(path: Path) -> ExifInfo:
    """Read a photo's EXIF without decoding its pixels. Never raises: `problem` says what went wrong."""
    try:
        with open_regular(path) as file, Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            try:
                exif = image.getexif()
                return _interpret(dict(exif), dict(exif.get_ifd(ExifTags.IFD.Exif)), width, height)
            except Exception as error:  # noqa: BLE001 - damaged EXIF fails in many ways
                return ExifInfo(width=width, height=height, problem=f"EXIF unreadable: {describe(error)}")
    except ImageError as error:
        return ExifInfo(problem=error.reason)
    except UnidentifiedImageError:
        return ExifInfo(problem="not a picture of a known format")
    except Exception as error:  # noqa: BLE001 - whatever a damaged header does, the other photos go on
        return ExifInfo(problem=describe(error))


def _interpret(main: dict[int, Any], photo: dict[int, Any], width: int, height: int) -> ExifInfo:
    tags = {**main, **photo}
    time, tag, offset, problem = _find_time(tags)
    orientation = main.get(ExifTags.Base.Orientation)
    return ExifInfo(
        camera_time=time,
        timestamp=_to_utc(time, offset),
        time_tag=tag,
        make=_text(main.get(ExifTags.Base.Make)),
        model=_text(main.get(ExifTags.Base.Model)),
        serial=_text(tags.get(ExifTags.Base.BodySerialNumber)),
        orientation=orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else None,
        width=width,
        height=height,
        problem=problem,
    )


def _find_time(tags: dict[int, Any]) -> tuple[datetime | None, str | None, str | None, str | None]:
    """The time, its tag, its offset, and what was wrong if a tag is there and none can be read."""
    problem = None
    for tag, subsecond, offset in _TIME_TAGS:
        written = _text(tags.get(ExifTags.Base[tag]))
        if written is None:
            continue
        time = parse_exif_time(written, _text(tags.get(subsecond)))
        if time is not None:
            return time, tag, _text(tags.get(offset)), None
        problem = problem or f"{tag} is no time: {written!r}"
    return None, None, None, problem


def parse_exif_time(text: str, subsecond: str | None = None) -> datetime | None:
    """`2016:02:29 23:59:58` as a wall-clock time; None for anything else, also for zeros and blanks."""
    try:
        time = datetime.strptime(text[:19].replace("-", ":"), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    if subsecond is not None and re.fullmatch(r"[0-9]{1,6}", subsecond):
        time = time.replace(microsecond=int(subsecond.ljust(6, "0")))
    return time


def _to_utc(time: datetime | None, offset: str | None) -> datetime | None:
    """The instant in UTC, if the camera wrote `+01:00` or `Z` beside its clock."""
    if time is None or offset is None:
        return None
    if offset == "Z":
        return time.replace(tzinfo=UTC)
    match = re.fullmatch(r"([+-])([0-9]{2}):([0-9]{2})", offset)
    if match is None:
        return None
    east = timedelta(hours=int(match[2]), minutes=int(match[3])) * (1 if match[1] == "+" else -1)
    if abs(east) > timedelta(hours=14):
        return None
    try:
        return time.replace(tzinfo=timezone(east)).astimezone(UTC)
    except OverflowError:
        return None


def _text(value: Any) -> str | None:
    """A tag's text without the padding cameras write; None if nothing is left."""
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if not isinstance(value, str):
        return None
    return value.replace("\x00", " ").strip() or None
