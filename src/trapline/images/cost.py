"""What a picture's header does not say of its cost: scans of a JPEG, frames of an animation.

Each scan of a progressive JPEG goes over the whole picture, and a scan can be of a few bytes: 4 MB can hold
50,000, which take two minutes of processor. Frames cost where somebody counts them by reading each. Both are
counted here without decoding, and no further than the limit.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import islice

from PIL import ImageFile

_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]", re.DOTALL)
"""What is no stuffed byte and no restart: the next segment after coded data."""

_SEQUENTIAL = {0xC0, 0xC1, 0xC9}
"""Frames of which one scan may hold all; in a progressive one no scan does."""

_ALONE = {0x01, *range(0xD0, 0xD9)}
"""Markers without a length: TEM, restarts, start of image."""


def count_scans(content: bytes, most: int) -> int:
    """The scans of a JPEG file's first picture; `most` + 1 if there are more than `most`.

    Thumbnails within its metadata and whatever follows its end are not counted, nor what follows a scan that
    holds all of a picture: libjpeg reads no further.
    """
    scans, at, components = 0, 2, 0
    while scans <= most:
        match = _MARKER.search(content, at)
        if match is None or content[match.end() - 1] == 0xD9:
            break
        at, marker = match.end(), content[match.end() - 1]
        if marker in _ALONE:
            continue
        if marker in _SEQUENTIAL:
            components = content[at + 7] if at + 7 < len(content) else 0
        elif marker == 0xDA:
            scans += 1
            if components and content[at + 2 : at + 3] == bytes([components]):
                break
        at += int.from_bytes(content[at : at + 2], "big")
    return scans


def count_frames(image: ImageFile.ImageFile, content: bytes, most: int) -> int:
    """The frames of a picture that is open; `most` + 1 if there are more than `most`.

    Args:
        image: of one of the formats that Trapline opens.
        content: the file.
        most: where counting stops.
    """
    if image.format in _FRAMES:
        return sum(1 for _ in islice(_FRAMES[image.format](content), most + 1))
    return min(int(getattr(image, "n_frames", 1)), most + 1)


def _gif_frames(content: bytes) -> Iterator[int]:
    """Where each image block begins: GIF89a, sections 18 to 26."""
    at = 13 + _colours(content, 10)
    while at < len(content):
        kind = content[at]
        if kind == 0x2C:
            yield at
            at += 11 + _colours(content, at + 9)
        elif kind == 0x21:
            at += 2
        else:  # the end, or damage
            return
        while at < len(content) and content[at]:
            at += content[at] + 1
        at += 1


def _colours(content: bytes, at: int) -> int:
    """Bytes of the colour table that the flags at an offset announce."""
    flags = content[at] if at < len(content) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _tiff_directories(content: bytes) -> Iterator[int]:
    """Where each directory of the chain begins; one that comes again ends it."""
    order = "<" if content[:2] == b"II" else ">"
    big = content[2:4] in (b"+\0", b"\0+")
    number, pointer, entry = ("Q", "Q", 20) if big else ("H", "I", 12)
    seen: set[int] = set()
    at = 8 if big else 4
    try:
        while (offset := struct.unpack_from(order + pointer, content, at)[0]) and offset not in seen:
            seen.add(offset)
            yield offset
            entries = struct.unpack_from(order + number, content, offset)[0]
            at = offset + struct.calcsize("=" + number) + entries * entry
    except (struct.error, OverflowError):  # cut off, or beyond any file
        return


_FRAMES = {"GIF": _gif_frames, "TIFF": _tiff_directories}
"""The formats whose frames Pillow counts by reading each."""
