"""People in photos made unrecognisable."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from trapline.images.crops import Box, Rectangle
from trapline.images.decode import load
from trapline.images.errors import ImageError

_CELLS = 6
"""Numbers that are left along the longer side of what is blurred: a head is one or two of them."""

_MARGIN = 0.1
"""Of the sides of a rectangle, on each side: detectors cut hands, hair and what people carry."""


def blur(pixels: npt.NDArray[np.uint8], rectangles: Iterable[Rectangle]) -> npt.NDArray[np.uint8]:
    """A picture in which nobody is to be known in some rectangles.

    Each, with a margin, is replaced by the means of at most 6 × 6 cells, spread smoothly: nothing else of
    what was there is left in the pixels, so that it cannot be undone as a blur by a kernel can.

    Args:
        pixels: uint8 [height, width, 3]; it is not changed.
        rectangles: parts of it, pixels; what lies outside of the picture is cut off.

    Returns:
        uint8 [height, width, 3].
    """
    blurred = pixels.copy()
    height, width = pixels.shape[:2]
    for rectangle in rectangles:
        aside, above = _MARGIN * rectangle.width, _MARGIN * rectangle.height
        left, right = _span(rectangle.left - aside, rectangle.right + aside, width)
        top, bottom = _span(rectangle.top - above, rectangle.bottom + above, height)
        if left < right and top < bottom:
            blurred[top:bottom, left:right] = _coarse(pixels[top:bottom, left:right])
    return blurred


def blurred_copy(source: Path, copy: Path, boxes: Sequence[Box]) -> None:
    """A copy of a photo, of its kind, in which nobody is to be known in some boxes.

    It stands upright, and of what the file says of itself has the EXIF data alone, without the preview and
    the maker's note, in which many cameras keep the picture once more.

    Args:
        source: the photo.
        copy: where the copy is written.
        boxes: fractions of the upright picture.

    Raises:
        ImageError: the photo cannot be decoded whole, or not be written as what it is.
        OSError: the copy cannot be written.
    """
    loaded = load(source)
    if loaded.warning is not None:
        raise ImageError(str(source), f"{loaded.warning}; a copy would lose what is left of it")
    height, width = loaded.pixels.shape[:2]
    rectangles = [
        Rectangle(box.x * width, box.y * height, (box.x + box.width) * width, (box.y + box.height) * height)
        for box in boxes
    ]
    with Image.open(source) as original:
        kind, exif = original.format, original.getexif()
    try:
        Image.fromarray(blur(loaded.pixels, rectangles)).save(
            copy, format={"MPO": "JPEG"}.get(kind or "", kind), exif=_without_pictures(exif), quality=_QUALITY
        )
    except (ValueError, KeyError) as error:  # a kind that can be read alone
        raise ImageError(str(source), f"no copy of its kind ({kind}) can be written: {error}") from error


def _without_pictures(exif: Image.Exif) -> Image.Exif:
    """EXIF data of an upright copy: no preview, no maker's note."""
    kept = Image.Exif()
    kept.update({tag: value for tag, value in exif.items() if tag not in _POINTERS})
    kept[ExifTags.Base.Orientation] = 1
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if entries := exif.get_ifd(directory):
            own = {tag: value for tag, value in entries.items() if tag not in _POINTERS}
            kept.get_ifd(directory).update(own)
    return kept


_QUALITY = 95
"""Of the JPEG (ITU-T T.81) that is written."""

_POINTERS = {
    *(int(directory) for directory in ExifTags.IFD),
    int(ExifTags.Base.MakerNote),
    *(int(ExifTags.Base.JpegIFOffset), int(ExifTags.Base.JpegIFByteCount)),
}
"""Entries that lead to other parts of the data, or to pictures."""


def _span(start: float, end: float, size: int) -> tuple[int, int]:
    return max(0, math.floor(start)), min(size, math.ceil(end))


def _coarse(part: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Of the part the means of few cells, drawn out smoothly to its size."""
    height, width = part.shape[:2]
    cell = max(height, width) / _CELLS
    grid = max(1, round(width / cell)), max(1, round(height / cell))
    means = Image.fromarray(np.ascontiguousarray(part)).resize(grid, Image.Resampling.BOX)
    return np.asarray(means.resize((width, height), Image.Resampling.BICUBIC))
