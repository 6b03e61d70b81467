"""JPEGs decoded, and pictures resized, by libraries that use a processor's vector instructions.

Both are several times quicker than Pillow, and both can do less: what one of them cannot do, or where it is
not installed (a system for which it is not built; a competition's container), Pillow does.
"""

from __future__ import annotations

import math
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""uint8 [height, width, 3], RGB; or [height, width], grey."""

_FILTERS = {"bilinear": "bilinear", "bicubic": "catmull_rom", "lanczos": "lanczos3", "area": "box"}
"""Names of the filters here and there; `nearest` looks at too few pixels to be worth it."""


def decode_quickly(
    content: bytes, size: tuple[int, int], grey: bool, least: tuple[int, int] | None
) -> tuple[Pixels, int] | None:
    """Decode a JPEG as it is stored, by libjpeg-turbo; None if it cannot, or if there is any damage.

    The pixels are those that Pillow gives.

    Args:
        content: the file.
        size: height and width that were found in it.
        grey: whether it has one component only; else it has three.
        least: height and width that are wanted at least; None for all.

    Returns:
        the pixels, and how many of the file's one of them stands for along one side.
    """
    turbo = _turbo()
    if turbo is None:
        return None
    scale = divisor(size, least)
    height, width = (-(-side // scale) for side in size)
    try:
        if turbo.decode_jpeg_header(content)[:2] != size:
            return None
        pixels: Pixels = turbo.decode_jpeg(
            content,
            "GRAY" if grey else "RGB",
            min_height=height,
            min_width=width,
        )
    except (ValueError, MemoryError):
        return None
    if pixels.shape[:2] != (height, width):
        return None
    return pixels[..., 0] if grey else pixels, scale


def divisor(size: tuple[int, int], least: tuple[int, int] | None) -> int:
    """Of 8, 4, 2 and 1 the largest by which a size can be divided and leaves at least so much; None for all.

    libjpeg knows all eighths; but 3/8 changes some answers and takes no less time than 1/2.
    """
    for scale in (8, 4, 2) if least is not None else ():
        if all(-(-side // scale) >= wanted for side, wanted in zip(size, least or (), strict=True)):
            return scale
    return 1


def resize_quickly(
    pixels: Pixels, height: int, width: int, bounds: tuple[float, float, float, float], interpolation: str
) -> Pixels | None:
    """Resize a part of a picture; None if it cannot be done here.

    First across and then down, rounded between, as Pillow does: all but some 0.5 % of the values come out as
    its own, and those differ by one or two.

    Args:
        pixels: the picture.
        height: of the result.
        width: of the result.
        bounds: of the part: left, top, right, bottom.
        interpolation: as in `Preprocessing`.
    """
    library = _resizer()
    if library is None or interpolation not in _FILTERS:
        return None
    left, top, right, bottom = bounds
    kind = library.PixelType.U8 if pixels.ndim == 2 else library.PixelType.U8x3
    algorithm = library.ResizeAlg.convolution(library.FilterType[_FILTERS[interpolation]])
    high, wide = pixels.shape[:2]
    picture = library.ImageData(wide, high, kind, pixels.tobytes())
    for size, box in (
        ((width, high), (left, 0, _length(left, right, wide), high)),
        ((width, height), (0, top, width, _length(top, bottom, high))),
    ):
        source, picture = picture, library.ImageData(*size, kind)
        options = library.ResizeOptions(algorithm, use_alpha=False, crop_box=library.CropBox(*box))
        library.Resizer().resize(source, picture, options)
    return np.frombuffer(picture.get_buffer(), np.uint8).reshape(height, width, *pixels.shape[2:])


def _length(start: float, end: float, limit: int) -> float:
    """`end` less `start`, where their sum, rounded, is not beyond the limit."""
    length = end - start
    return length if start + length <= limit else math.nextafter(length, 0)


@cache
def libraries() -> tuple[str, ...]:
    """What pixels come from, with versions: pixels made by others may differ in their last bits."""
    return tuple(f"{name} {_version(name)}" for name in ("pillow", "simplejpeg", "cykooz-resizer"))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


@cache
def _turbo() -> Any | None:
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg


@cache
def _resizer() -> Any | None:
    try:
        import cykooz_resizer
    except ImportError:
        return None
    return cykooz_resizer
