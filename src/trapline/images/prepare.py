"""The one way from a photo to the pixels a network sees; training, prediction and serving all take it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from trapline.images.crops import Box, Rectangle, crop_rectangle
from trapline.images.decode import DEFAULT_LIMITS, Limits, Size, decode
from trapline.images.preprocessing import Preprocessing
from trapline.images.quick import Pixels
from trapline.images.resize import Fit, fit_image, plan_fit


@dataclass(frozen=True)
class Prepared:
    """What a network sees of a photo.

    Attributes:
        pixels: uint8 [height, width, 3], RGB.
        warning: what was odd about the file ("truncated …"), or None.
        inner: height and width, pixels, of the picture in the input; the rest is padding.
    """

    pixels: npt.NDArray[np.uint8]
    warning: str | None
    inner: Size


def prepare(
    source: Path | str | bytes,
    preprocessing: Preprocessing,
    box: Box | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Prepared:
    """Decode a photo, mask its banners, cut it to the box, fit it to the network's input.

    Args:
        source: a file, or the content of one.
        preprocessing: from the model's card.
        box: what to cut to (see `choose_box`); None, or a `preprocessing` without a crop policy, keeps
            the full frame.
        limits: on the file's bytes and the picture's pixels.

    Raises:
        ImageError: no such file, no picture, nothing decodable, or over the limits.
    """

    def least_size(full: Size) -> Size:
        """The full frame's least size at which the crop still has enough pixels."""
        plan = _plan(full, preprocessing, box)
        return (
            math.ceil(full[0] * preprocessing.oversampling * plan.height / plan.region.height),
            math.ceil(full[1] * preprocessing.oversampling * plan.width / plan.region.width),
        )

    quick = preprocessing.decoding == "quick"
    decoded = decode(source, min_side=least_size, limits=limits, quick=quick)
    plan = _plan(decoded.full_size, preprocessing, box)
    image = mask_banners(decoded.image, preprocessing.mask_top, preprocessing.mask_bottom)
    reduced = Fit(plan.region.scale(1 / decoded.scale), plan.height, plan.width, plan.top, plan.left)
    return Prepared(fit_image(image, reduced, preprocessing), decoded.warning, (plan.height, plan.width))


def _plan(size: Size, preprocessing: Preprocessing, box: Box | None) -> Fit:
    height, width = size
    region = crop_rectangle(height, width, box, preprocessing.crop)
    if preprocessing.cut_banners and (box is None or preprocessing.crop is None):
        top, bottom = height * preprocessing.mask_top, height * (1 - preprocessing.mask_bottom)
        region = Rectangle(0.0, top, float(width), bottom)
    return plan_fit(region, preprocessing)


def mask_banners(image: Image.Image | Pixels, top: float, bottom: float) -> Image.Image | Pixels:
    """Blacken shares of the height at the top and at the bottom, in place; returns the picture."""
    if not isinstance(image, Image.Image):
        height = len(image)
        image[: round(height * top)] = 0
        image[height - round(height * bottom) :] = 0
        return image
    if top:
        image.paste(0, (0, 0, image.width, round(image.height * top)))
    if bottom:
        image.paste(0, (0, image.height - round(image.height * bottom), image.width, image.height))
    return image
