"""Tensors of foreign protocols as photos, and answers as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trapline.errors import many
from trapline.models import Card
from trapline.serving.answers import MOST_PHOTOS, Answer, Floats, PreparedPhoto, RequestPhoto
from trapline.serving.lanes import Source
from trapline.serving.refusals import INVALID, UNREADABLE, RefusedError

PIXELS, ENCODED, OUTPUT = "images", "encoded", "probabilities"
"""A photo comes as pixels or as the bytes of its file; either input is enough."""

_WANTED = {
    1: "whole numbers from 0 to 255, or floats from 0 to 1 (a share of 255)",
    255: "numbers from 0 to 255",
}


@dataclass(frozen=True)
class Spec:
    """A tensor as metadata describe it; -1 is a side of any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]


def specs(card: Card) -> tuple[tuple[Spec, ...], tuple[Spec, ...]]:
    """The inputs, of which one is sent, and the outputs; in the Open Inference Protocol's words."""
    size = card.preprocessing
    inputs = (
        Spec(PIXELS, "UINT8", (-1, size.height, size.width, 3)),
        Spec(ENCODED, "BYTES", (-1,)),
    )
    return inputs, (Spec(OUTPUT, "FP32", (-1, len(card.labels))),)


def check_shape(shape: Sequence[int], values: int) -> tuple[int, ...]:
    """The shape, if that many values fill it.

    Raises:
        RefusedError: they do not.
    """
    product = 1
    for side in shape:
        product *= max(side, -1)
    if not shape or min(shape) < 0 or product != values:
        raise RefusedError(INVALID, f"{many(values, 'value does')} not fill the shape {list(shape)[:8]}.")
    return tuple(shape)


def check_pixels(shape: Sequence[int], card: Card) -> None:
    """Refuse pixels of another shape than [N, height, width, 3] of the model's size.

    Raises:
        RefusedError: they are of such a one.
    """
    wanted = (card.preprocessing.height, card.preprocessing.width, 3)
    if len(shape) != 4 or tuple(shape[1:]) != wanted:
        raise RefusedError(
            INVALID, f"The model takes pixels [N, {wanted[0]}, {wanted[1]}, 3], not {list(shape)[:8]}."
        )


def as_numbers(data: Any, kinds: str, wanted: str) -> npt.NDArray[Any]:
    """Numbers in JSON, flat or nested.

    Args:
        data: from the JSON.
        kinds: of NumPy's types, those that they may have.
        wanted: what is told a client that sends others.

    Raises:
        RefusedError: they are none of these kinds, or of no shape.
    """
    try:
        numbers = np.asarray(data)
    except ValueError:  # lists of unequal lengths
        numbers = np.empty(0, object)
    if numbers.dtype.kind not in kinds:
        raise RefusedError(INVALID, wanted)
    return numbers


def pixels_as_sources(pixels: npt.NDArray[Any], card: Card, most: int = 1) -> list[Source]:
    """Pixels that the client has decoded and fitted itself.

    Args:
        pixels: [N, height, width, 3] of the model's size: uint8, other whole numbers from 0 to 255, or
            floats from 0 to `most`. They become the nearest of the 256 values of a pixel, in float32, halves
            the even one.
        card: says the size.
        most: of a float: 1 for a share of 255 (as Keras' `Rescaling(1/255)` makes them), or 255.

    Raises:
        RefusedError: another shape, or values that are outside the range or no numbers.
    """
    check_pixels(pixels.shape, card)
    return [PreparedPhoto(None, one, None) for one in _as_bytes(pixels, most)]


def _as_bytes(pixels: npt.NDArray[Any], most: int) -> npt.NDArray[np.uint8]:
    if pixels.dtype == np.uint8 or not pixels.size:
        return pixels.astype(np.uint8, copy=False)
    if pixels.dtype.kind in "iu":
        most = 255
    else:
        with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is refused
            pixels = pixels.astype(np.float32, copy=False)
    least, largest = pixels.min(), pixels.max()
    if not (least >= 0 and largest <= most):  # not: NaN compares false
        finite = np.isfinite([least, largest]).all()
        raise RefusedError(
            INVALID,
            f"Pixels must be {_WANTED[most]}; "
            + (f"these reach from {least} to {largest}." if finite else "some of these are not finite."),
        )
    return np.rint(pixels * (255 / most)).astype(np.uint8)


def encoded_as_sources(contents: Sequence[bytes]) -> list[Source]:
    """The bytes of files as photos.

    Raises:
        RefusedError: too many.
    """
    check_number(len(contents))
    return [RequestPhoto(content) for content in contents]


def check_number(photos: int) -> None:
    """Refuse a request of so many photos.

    Raises:
        RefusedError: they are too many.
    """
    if photos > MOST_PHOTOS:
        raise RefusedError(INVALID, f"{many(photos, 'photo is')} too many; at most {MOST_PHOTOS} at once.")


def probabilities(answers: Sequence[Answer]) -> Floats:
    """float32 [N, labels].

    Raises:
        RefusedError: a photo has no answer, for which a tensor has no place.
    """
    rows = []
    for index, one in enumerate(answers):
        if one.probabilities is None:
            raise RefusedError(UNREADABLE, f"Photo {index} cannot be used as a picture: {one.reason}.")
        rows.append(one.probabilities)
    return np.stack(rows)
