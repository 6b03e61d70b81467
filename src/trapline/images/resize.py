"""Fitting a part of a picture to the network's input, always with an antialiasing filter."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from trapline.images.crops import Rectangle
from trapline.images.decode import as_rgb
from trapline.images.preprocessing import Preprocessing
from trapline.images.quick import Pixels, resize_quickly

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
}

_REACH = 3
"""How far the widest filter looks, pixels of the smaller of the two pictures."""

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


def fit_image(image: Image.Image | Pixels, plan: Fit, preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """Carry out a plan on a picture, grey or RGB: uint8 [height, width, 3].

    `Preprocessing.decoding` says of which kind it is, and by whom it is resized.
    """
    if isinstance(image, Image.Image):
        bounds = _within(plan.region, image.height, image.width)
        inner: Image.Image | Pixels = image.resize(
            (plan.width, plan.height), FILTERS[preprocessing.interpolation], box=bounds
        )
    else:
        inner = _fit_pixels(image, plan, preprocessing)
    pixels = as_rgb(inner)
    if (plan.height, plan.width) == (preprocessing.height, preprocessing.width):
        return pixels
    colour = _GREY if preprocessing.fit == "corner" else 0
    padded = np.full((preprocessing.height, preprocessing.width, 3), colour, np.uint8)
    padded[plan.top : plan.top + plan.height, plan.left : plan.left + plan.width] = pixels
    return padded


def _within(region: Rectangle, height: int, width: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the region, no further than the picture."""
    return (
        max(0.0, region.left),
        max(0.0, region.top),
        min(float(width), region.right),
        min(float(height), region.bottom),
    )


def _fit_pixels(pixels: Pixels, plan: Fit, preprocessing: Preprocessing) -> Pixels:
    """The region resized; of the picture no more is looked at than the filter reaches."""
    left, top, right, bottom = _within(plan.region, *pixels.shape[:2])
    around = [
        math.ceil(_REACH * max(1.0, seen / made)) + 1
        for seen, made in ((right - left, plan.width), (bottom - top, plan.height))
    ]
    first, above = max(0, math.floor(left) - around[0]), max(0, math.floor(top) - around[1])
    part = pixels[above : math.ceil(bottom) + around[1], first : math.ceil(right) + around[0]]
    bounds = (left - first, top - above, right - first, bottom - above)
    how = preprocessing.interpolation
    resized = resize_quickly(part, plan.height, plan.width, bounds, how)
    if resized is not None:
        return resized
    image = Image.fromarray(part)
    return np.asarray(image.resize((plan.width, plan.height), FILTERS[how], box=bounds))


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
    image = pixels if preprocessing.decoding == "quick" else Image.fromarray(pixels)
    return fit_image(image, plan_fit(rectangle or whole, preprocessing), preprocessing)
