"""The one way from a photo to the pixels a network sees; training, prediction and serving all take it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from trapline.images.crops import Box, Rectangle, crop_rectangle
from trapline.images.decode import DEFAULT_LIMITS, Content, Decoded, Limits, Size, Source, decode
from trapline.images.preprocessing import Preprocessing
from trapline.images.quick import Pixels
from trapline.images.resize import Fit, fit_image, plan_fit

_MOST_KEPT = 25_000_000
"""Pixels of a picture that is kept: larger ones are decoded again, and their memory is free meanwhile."""


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


class Kept:
    """The picture of a file that was decoded last, for whoever wants another part of it or another size.

    It is used only where decoding the file anew would give the same pixels, and only while the file stays as
    it was.
    """

    def __init__(self) -> None:
        self._picture: tuple[Any, Decoded] | None = None

    def find(
        self, source: Path | Content, preprocessing: Preprocessing, box: Box | None, limits: Limits
    ) -> Decoded | None:
        """The picture, if it serves."""
        if self._picture is None or self._picture[0] != _mark(source, preprocessing, limits):
            return None
        decoded = self._picture[1]
        return decoded if decoded.serves(_least_size(decoded.full_size, preprocessing, box)) else None

    def decode(
        self, source: Path | Content, preprocessing: Preprocessing, box: Box | None, limits: Limits
    ) -> Decoded:
        """The picture; decoded and kept, if it is not here."""
        here = self.find(source, preprocessing, box, limits)
        if here is not None:
            return here
        self._picture = None  # its memory is for the next one
        mark = _mark(source, preprocessing, limits)  # before it is read: what changes meanwhile is not kept
        decoded = _decode(source, preprocessing, box, limits)
        if math.prod(decoded.full_size) / decoded.scale**2 <= _MOST_KEPT:
            self._picture = mark, decoded
        return decoded


def _mark(source: Path | Content, preprocessing: Preprocessing, limits: Limits) -> Any:
    """What must be the same for a picture to be the same but for its scale; never so if there is no file."""
    if isinstance(source, Content):
        content = object() if source.mark is None else (source.name, source.mark)
        return content, preprocessing.decoding, limits
    try:
        status = source.stat()
    except (OSError, ValueError):
        return object()
    return source, status.st_size, status.st_mtime_ns, status.st_ino, preprocessing.decoding, limits


def _decode(source: Source, preprocessing: Preprocessing, box: Box | None, limits: Limits) -> Decoded:
    return decode(
        source,
        min_side=lambda full: _least_size(full, preprocessing, box),
        limits=limits,
        quick=preprocessing.decoding == "quick",
    )


def _least_size(full: Size, preprocessing: Preprocessing, box: Box | None) -> Size:
    """The full frame's least size at which the crop still has enough pixels."""
    plan = _plan(full, preprocessing, box)
    return (
        math.ceil(full[0] * preprocessing.oversampling * plan.height / plan.region.height),
        math.ceil(full[1] * preprocessing.oversampling * plan.width / plan.region.width),
    )


def prepare(
    source: Source,
    preprocessing: Preprocessing,
    box: Box | None = None,
    limits: Limits = DEFAULT_LIMITS,
    kept: Kept | None = None,
) -> Prepared:
    """Decode a photo, mask its banners, cut it to the box, fit it to the network's input.

    Args:
        source: a file, be it in a bucket, or the content of one.
        preprocessing: from the model's card.
        box: what to cut to (see `choose_box`); None, or a `preprocessing` without a crop policy, keeps
            the full frame.
        limits: on the file's bytes and the picture's pixels.
        kept: where the picture may be already, and is kept; of files, and of content that has a mark.

    Raises:
        ImageError: no such file, no picture, nothing decodable, or over the limits.
    """
    if kept is not None and isinstance(source, Path | Content):
        decoded = kept.decode(source, preprocessing, box, limits)
        if preprocessing.mask_top or preprocessing.mask_bottom:
            decoded = replace(decoded, image=decoded.image.copy())
    else:
        decoded = _decode(source, preprocessing, box, limits)
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
