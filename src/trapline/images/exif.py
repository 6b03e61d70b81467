"""What a camera wrote about a photo: when, with what, how large."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, BinaryIO

from PIL import ExifTags, Image, UnidentifiedImageError

from trapline.images.decode import FORMATS, describe, open_regular
from trapline.images.errors import ImageError
from trapline.storage import AnyPath, RemotePath, SourceGoneError, open_ranges
from trapline.times import WrittenTime, day_evidence, read_offset, read_time

_CAPTURE_TAGS = (
    # where cameras write the moment of capture, most telling first: time, fraction of its second, offset
    ("DateTimeOriginal", ExifTags.Base.SubsecTimeOriginal, ExifTags.Base.OffsetTimeOriginal),
    ("DateTimeDigitized", ExifTags.Base.SubsecTimeDigitized, ExifTags.Base.OffsetTimeDigitized),
)
_CHANGE_TAG = ("DateTime", ExifTags.Base.SubsecTime, ExifTags.Base.OffsetTime)
"""When the file was last changed, says EXIF; in a photo as it came from the camera, when it was taken."""

_XMP_OF_CHANGES = (b"xmp:ModifyDate", b"xmp:CreatorTool", b"xmpMM:History", b"xap:ModifyDate")
_XMP_TIMES = tuple(
    (name, re.compile(rb"\b%s\s*(?:=\s*[\"']([^\"'<>]*)[\"']|>([^<>]*)<)" % name.encode()))
    for name in ("exif:DateTimeOriginal", "photoshop:DateCreated")
)
"""When the photo was taken, where programs that leave out EXIF keep it."""
_VERSION = re.compile(r"(?:v|ver|version|fw|firmware|rev)?[ .:]*[a-z]{0,2}[0-9][0-9a-z._-]*", re.IGNORECASE)


@dataclass(frozen=True)
class ExifInfo:
    """What the EXIF block of a photo says; None where it says nothing.

    Attributes:
        camera_time: the wall clock the camera wrote, without a zone.
        timestamp: the same instant in UTC; None unless the camera wrote its offset.
        time_tag: which tag the time was read from, `DateTimeOriginal` if there is one; `XMP …` if it is none
            of EXIF.
        time_text: what that tag has, where one photo does not tell whether day or month is first in it.
        modified: the time of the tag `DateTime`, where something says that the file was changed after the
            photo was taken, so that it is no time of capture.
        software: the program or firmware that the file names.
        maker_note: whether the maker of the camera wrote a block of its own.
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
    time_text: str | None = None
    modified: datetime | None = None
    software: str | None = None
    maker_note: bool = False
    make: str | None = None
    model: str | None = None
    serial: str | None = None
    orientation: int | None = None
    width: int | None = None
    height: int | None = None
    problem: str | None = None


def read_exif(path: AnyPath) -> ExifInfo:
    """Read a photo's EXIF without decoding its pixels. Of one at an address only its beginning is read.

    Raises nothing but `SourceGoneError`, of a bucket: `problem` says what went wrong with this photo.
    """
    try:
        with _open(path) as file, Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            try:
                exif = image.getexif()
                info = _interpret(dict(exif), dict(exif.get_ifd(ExifTags.IFD.Exif)), width, height)
                return _with_xmp(info, image.info.get("xmp"))
            except Exception as error:  # noqa: BLE001 - damaged EXIF fails in many ways
                return ExifInfo(width=width, height=height, problem=f"EXIF unreadable: {describe(error)}")
    except SourceGoneError:
        raise
    except ImageError as error:
        return ExifInfo(problem=error.reason)
    except UnidentifiedImageError:
        return ExifInfo(problem="not a picture of a known format")
    except Exception as error:  # noqa: BLE001 - whatever a damaged header does, the other photos go on
        return ExifInfo(problem=describe(error))


def _open(path: AnyPath) -> BinaryIO:
    return open_ranges(path) if isinstance(path, RemotePath) else open_regular(path)


def _interpret(main: dict[int, Any], photo: dict[int, Any], width: int, height: int) -> ExifInfo:
    tags = {**main, **photo}
    software = _text(tags.get(ExifTags.Base.Software)) or _text(tags.get(ExifTags.Base.ProcessingSoftware))
    make, model = _text(main.get(ExifTags.Base.Make)), _text(main.get(ExifTags.Base.Model))
    orientation = main.get(ExifTags.Base.Orientation)
    info = ExifInfo(
        software=software,
        maker_note=ExifTags.Base.MakerNote in photo,
        make=make,
        model=model,
        serial=_text(tags.get(ExifTags.Base.BodySerialNumber)),
        orientation=orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else None,
        width=width,
        height=height,
    )
    return _add_time(info, tags, changed=software is not None and _is_program(software, make, model))


def _with_xmp(info: ExifInfo, xmp: Any) -> ExifInfo:
    """What XMP tells besides: that the time is that of a change, and the capture's where EXIF has none."""
    if not isinstance(xmp, bytes):
        return info
    if info.time_tag == _CHANGE_TAG[0] and any(word in xmp for word in _XMP_OF_CHANGES):
        info = replace(info, camera_time=None, timestamp=None, time_tag=None, modified=info.camera_time)
    if info.camera_time is not None and info.time_tag != _CHANGE_TAG[0]:
        return info
    for name, pattern in _XMP_TIMES:
        match = pattern.search(xmp)
        written = None if match is None else (match[1] or match[2] or b"").decode("utf-8", "replace")
        time, instant = _read(written, None, None)
        if time is not None:
            return replace(
                info,
                camera_time=time,
                timestamp=instant,
                time_tag=f"XMP {name}",
                time_text=None,
                problem=None,
            )
    return info


def _is_program(software: str, make: str | None, model: str | None) -> bool:
    """Whether it names a program, which changed the file, and not the camera's firmware."""
    if _VERSION.fullmatch(software):
        return False
    own = {word for name in (make, model) if name for word in name.lower().split() if len(word) > 2}
    return not any(word in software.lower() for word in own)


def _add_time(info: ExifInfo, tags: dict[int, Any], *, changed: bool) -> ExifInfo:
    """The time of capture, and what was wrong if a tag is there and none can be read."""
    problem = None
    for tag, fraction, offset in _CAPTURE_TAGS:
        written = _text(tags.get(ExifTags.Base[tag]))
        if tags.get(ExifTags.Base[tag]) is None:
            continue
        changed = True  # else the camera would have written it
        time, instant = _read(written, _text(tags.get(fraction)), _text(tags.get(offset)))
        if time is not None:
            return replace(info, camera_time=time, timestamp=instant, time_tag=tag)
        if written is not None and day_evidence([written]).texts:
            return replace(info, time_tag=tag, time_text=written, problem=f"{tag} is no time: {written!r}")
        problem = problem or (f"{tag} is no time: {written!r}" if written is not None else None)
    tag, fraction, offset = _CHANGE_TAG
    written = _text(tags.get(ExifTags.Base[tag]))
    time, instant = _read(written, _text(tags.get(fraction)), _text(tags.get(offset)))
    if time is None:
        problem = problem or (f"{tag} is no time: {written!r}" if written is not None else None)
        return replace(info, problem=problem)
    if changed:
        return replace(info, modified=time, problem=problem)
    return replace(info, camera_time=time, timestamp=instant, time_tag=tag)


def _read(
    written: str | None, fraction: str | None, offset: str | None
) -> tuple[datetime | None, datetime | None]:
    """The wall clock of a tag and its instant, if an offset is in it or in the tag that is for it."""
    time = None if written is None else parse_exif_time(written, fraction)
    if time is None or written is None:
        return None, None
    own = read_time(written)
    east = own.offset if own is not None and own.offset is not None else read_offset(offset or "")
    return time, WrittenTime(time.date(), time.time(), east).instant


def parse_exif_time(text: str, subsecond: str | None = None) -> datetime | None:
    """`2016:02:29 23:59:58`, or another way that `read_time` knows, as a wall-clock time.

    None for anything else, also for zeros and blanks.

    Args:
        text: of a tag.
        subsecond: of the tag for the fraction of its second.
    """
    read = read_time(text)
    time = None if read is None else read.wall
    if time is None or time.microsecond or re.fullmatch("[0-9]+", subsecond or "") is None:
        return time
    return time.replace(microsecond=int(str(subsecond)[:6].ljust(6, "0")))


def _text(value: Any) -> str | None:
    """A tag's text without the padding cameras write; None if nothing is left."""
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if not isinstance(value, str):
        return None
    return value.replace("\x00", " ").strip() or None
