"""Fitting a part of a picture to the network's input, always with an antialiasing filter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from trapline.images.crops import Rectangle
from trapline.images.preprocessing import Preprocessing

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
}


_GREY = 114


@dataclass(frozen=True)
class Fit:
    """How a rectangle of the picture lands in the input.

    Attributes:
        region: the part of the picture that is seen.
        height: of the region in the input, pixels.
        width: of the region in the input, pixels.
        top: empty pixels above it.
        left: empty pixels to its left.
    """

    region: Rectangle
    height: int
    width: int
    top: int = 0
    left: int = 0


def plan_fit(rectangle: Rectangle, preprocessing: Preprocessing) -> Fit:
    """Where `rectangle` lands in the input: squashed, padded, or cut to the centre."""
    height, width = preprocessing.height, preprocessing.width
    if preprocessing.fit == "crop":
        return Fit(_centre(rectangle, width / height, preprocessing.crop_fraction), height, width)
    if preprocessing.fit == "squash":
        return Fit(rectangle, height, width)
    scale = min(height / rectangle.height, width / rectangle.width)
    inner_height = min(height, max(1, round(rectangle.height * scale)))
    inner_width = min(width, max(1, round(rectangle.width * scale)))
    if preprocessing.fit == "corner":
        return Fit(rectangle, inner_height, inner_width)
    return Fit(rectangle, inner_height, inner_width, (height - inner_height) // 2, (width - inner_width) // 2)


def _centre(rectangle: Rectangle, aspect: float, fraction: float) -> Rectangle:
    """The largest centred part with this width over height, its sides times `fraction`."""
    height = min(rectangle.height, rectangle.width / aspect) * fraction
    width = height * aspect
    left = rectangle.left + (rectangle.width - width) / 2
    top = rectangle.top + (rectangle.height - height) / 2
    return Rectangle(left, top, left + width, top + height)


def fit_image(image: Image.Image, plan: Fit, preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """Carry out a plan on a picture of mode `L` or `RGB`: uint8 [height, width, 3]."""
    region = plan.region
    bounds = (
        max(0.0, region.left),
        max(0.0, region.top),
        min(float(image.width), region.right),
        min(float(image.height), region.bottom),
    )
    inner = image.resize((plan.width, plan.height), FILTERS[preprocessing.interpolation], box=bounds)
    pixels = np.asarray(inner.convert("RGB"))
    if (plan.height, plan.width) == (preprocessing.height, preprocessing.width):
        return pixels
    colour = _GREY if preprocessing.fit == "corner" else 0
    padded = np.full((preprocessing.height, preprocessing.width, 3), colour, np.uint8)
    padded[plan.top : plan.top + plan.height, plan.left : plan.left + plan.width] = pixels
    return padded


def fit(
    pixels: npt.NDArray[np.uint8], preprocessing: Preprocessing, rectangle: Rectangle | None = None
) -> npt.NDArray[np.uint8]:
    """Fit a part of a picture that is already in memory to the network's input.

    Args:
        pixels: uint8 [height, width, 3].
        preprocessing: gives the size, the kind of fit and the filter.
        rectangle: the part, None for all of it.

    Returns:
        uint8 [preprocessing.height, preprocessing.width, 3].
    """
    height, width = pixels.shape[:2]
    whole = Rectangle(0.0, 0.0, float(width), float(height))
    return fit_image(Image.fromarray(pixels), plan_fit(rectangle or whole, preprocessing), preprocessing)
