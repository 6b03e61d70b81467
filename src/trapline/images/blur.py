"""People in photos made unrecognisable."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from PIL import Image

from trapline.images.crops import Rectangle

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


def _span(start: float, end: float, size: int) -> tuple[int, int]:
    return max(0, math.floor(start)), min(size, math.ceil(end))


def _coarse(part: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Of the part the means of few cells, drawn out smoothly to its size."""
    height, width = part.shape[:2]
    cell = max(height, width) / _CELLS
    grid = max(1, round(width / cell)), max(1, round(height / cell))
    means = Image.fromarray(np.ascontiguousarray(part)).resize(grid, Image.Resampling.BOX)
    return np.asarray(means.resize((width, height), Image.Resampling.BICUBIC))
