"""From the bytes of a file to an upright picture; nothing else in Trapline decodes an image."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, UnidentifiedImageError

from trapline.images.cost import count_frames, count_scans
from trapline.images.errors import ImageError
from trapline.images.kinds import begins_as_video
from trapline.images.quick import Pixels, decode_quickly, divisor
from trapline.storage import AnyPath, FetchAhead, RemotePath, RemoteStat, as_any_path

Image.init()  # here, once: Pillow would do it at the first odd file, and not safely in threads
FORMATS = tuple(
    name
    for name in ("JPEG", "PNG", "TIFF", "GIF", "BMP", "WEBP", "AVIF", "JPEG2000")
    if name in Image.OPEN  # a Pillow built without a codec does not know its format
)
"""What is opened, whatever the file's name says. Pillow knows more formats; some of them start programs."""

_JPEGS = ("JPEG", "MPO")
_ORIENTATION_TAG = 0x0112
_JPEG_END, _JPEG_TABLE = b"\xff\xd9", b"\xff\xc4"
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
_FLIPPED = ((3, 4, 7, 8), (2, 3, 6, 7))
"""Orientations whose rows, and whose columns, are in the other order once sideways ones are transposed."""

# What Pillow raises on garbage, found by fuzzing its decoders; MemoryError comes from absurd dimensions.
_BROKEN = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, OverflowError)
_REFUSED = (*_BROKEN, MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning)

Size = tuple[int, int]
"""Height and width, pixels."""


@dataclass(frozen=True)
class Content:
    """The content of a photo that was read already, and where.

    Attributes:
        name: where it is from, as messages call it.
        content: its bytes.
        mark: what tells it from another content of that name; None if that is not known.
    """

    name: str
    content: bytes
    mark: tuple[int, int | None] | None = None


Source = Path | RemotePath | Content | bytes | str
"""A file, be it in a bucket, or the content of one."""

LeastSize = Size | Callable[[Size], Size] | None
"""The least size that is wanted of a picture, perhaps by its full size; None for the full size itself."""


@dataclass(frozen=True)
class Limits:
    """How large a file may be before it is refused unread.

    Attributes:
        max_bytes: of the file.
        max_pixels: of the picture, height times width, as its header states them.
        max_scans: of a JPEG; each goes over the whole picture. Cameras write 1, libjpeg 10 if progressive.
        max_frames: of an animation or of a file of several pages; the first is read.
        max_seconds: for reading and decoding it, where that is done in a process of its own, as `predict` and
            `serve` do.
        max_memory: bytes that decoding it may take in such a process (Linux); None for what the pixels need.
    """

    max_bytes: int = 256 * 2**20
    max_pixels: int = 150_000_000
    max_scans: int = 100
    max_frames: int = 10_000
    max_seconds: float = 120.0
    max_memory: int | None = None

    @property
    def memory(self) -> int:
        """`max_memory`, or what four copies of the largest picture take at 4 bytes a pixel, and a little."""
        return 256 * 2**20 + 16 * self.max_pixels if self.max_memory is None else self.max_memory


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Loaded:
    """An upright picture.

    Attributes:
        pixels: uint8 [height, width, 3], RGB.
        full_size: height and width of the upright picture at full scale.
        warning: what was odd about the file, or None.
    """

    pixels: npt.NDArray[np.uint8]
    full_size: Size
    warning: str | None


@dataclass(frozen=True)
class Decoded:
    """An upright picture as it was decoded.

    Attributes:
        image: Pillow's, mode `L` or `RGB`; if it was decoded quickly its pixels, grey or RGB.
        full_size: height and width of the upright picture at full scale.
        scale: pixels of the full picture that one pixel of `image` stands for, along one side.
        warning: what was odd about the file, or None.
        reduced_by: how the scale follows from the least size that was wanted: of a JPEG that was decoded
            quickly by `divisor`, of others by Pillow's own rule; other formats have one scale.
    """

    image: Image.Image | Pixels
    full_size: Size
    scale: float
    warning: str | None
    reduced_by: Literal["divisor", "Pillow", "nothing"] = "nothing"

    def serves(self, least: Size | None) -> bool:
        """Whether decoding the file once more for this least size would give the same picture."""
        if self.reduced_by == "divisor":
            return divisor(self.full_size, least) == self.scale
        return self.reduced_by == "nothing"


def load(
    source: Source,
    *,
    min_side: LeastSize = None,
    limits: Limits = DEFAULT_LIMITS,
    quick: bool = False,
) -> Loaded:
    """Decode a picture: upright by its EXIF orientation, RGB, eight bits.

    CMYK is converted without its colour profile (embedded profiles are ignored everywhere), transparent
    parts become black, 16-bit values are divided by 257, of an animation the first frame is taken. What
    can be read of a truncated file is returned, the rest black, with a warning.

    Args:
        source: a file, or the content of one.
        min_side: the least height and width wanted; a JPEG is then decoded at 1/2, 1/4 or 1/8 of its size
            where that leaves at least as much, which is several times quicker. May be a function of the full
            height and width. None decodes at full size.
        limits: on the file's bytes and the picture's pixels.
        quick: decode a JPEG by the quicker of two libraries; see `Preprocessing.decoding`.

    Raises:
        ImageError: no such file, no picture, nothing decodable, or over the limits.
    """
    decoded = decode(source, min_side=min_side, limits=limits, quick=quick)
    return Loaded(as_rgb(decoded.image), decoded.full_size, decoded.warning)


def as_rgb(image: Image.Image | Pixels) -> Pixels:
    """uint8 [height, width, 3] of a picture that may be grey."""
    if isinstance(image, Image.Image):
        return np.asarray(image.convert("RGB"))
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def decode(
    source: Source,
    *,
    min_side: LeastSize = None,
    limits: Limits = DEFAULT_LIMITS,
    quick: bool = False,
) -> Decoded:
    """The same as `load`, with a grey picture left grey: resizing one channel is three times quicker."""
    source = as_any_path(source) if isinstance(source, str) else source
    name = name_of(source)
    content = read_bytes(source, limits)
    try:
        try:
            with open_image(content, name, limits) as image:
                decoded = _decode_open(image, content, min_side, name, quick)
        except _IncompleteError:
            decoded = _decode_coarse(content, min_side, name, limits)
    except _REFUSED as error:
        raise ImageError(name, describe(error)) from error
    if quick and isinstance(decoded.image, Image.Image):
        return replace(decoded, image=np.array(decoded.image))
    return decoded


class _IncompleteError(ImageError):
    """A progressive JPEG whose end is missing: Pillow decodes none of it."""


def _decode_coarse(content: bytes, min_side: LeastSize, name: str, limits: Limits) -> Decoded:
    """What the scans that are there give; libjpeg shows it once the file ends with an end marker."""
    try:
        with open_image(content + _JPEG_END, name, limits) as image:
            decoded = _decode_open(image, content, min_side, name)
    except _IncompleteError:  # cut within a table: leave that table out
        with open_image(content[: content.rfind(_JPEG_TABLE)] + _JPEG_END, name, limits) as image:
            decoded = _decode_open(image, content, min_side, name)
    pixels = np.asarray(decoded.image)
    if (pixels == pixels[0, 0]).all():
        raise ImageError(name, "truncated or damaged, nothing of it is readable")
    warning = "truncated or damaged: a coarse or incomplete version of it could be read"
    return replace(decoded, warning="; ".join(filter(None, (warning, decoded.warning))))


def name_of(source: Source) -> str:
    """How a source is called in messages."""
    if isinstance(source, Content):
        return source.name
    return "<bytes>" if isinstance(source, bytes) else str(source)


def describe(error: BaseException) -> str:
    """A decoder's complaint in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = " ".join(str(error).split()).rstrip(".")
    return f"the decoder failed ({text or type(error).__name__})"


def read_bytes(source: Path | RemotePath | Content | bytes, limits: Limits) -> bytes:
    """The content of a regular file that is not empty and not over the limit.

    Raises:
        ImageError: it is not.
        SourceGoneError: nothing of the bucket can be read.
    """
    if isinstance(source, RemotePath):
        source = fetch(source, limits)
    if isinstance(source, Content | bytes):
        content = source if isinstance(source, bytes) else source.content
        _check_bytes(len(content), name_of(source), limits)
        return content
    try:
        with open_regular(source) as file:
            size = os.fstat(file.fileno()).st_size
            _check_bytes(size, str(source), limits)
            return file.read(size)  # of the limit's bytes, all would be allocated first
    except (OSError, ValueError) as error:
        raise ImageError(str(source), describe(error)) from error


def fetch(source: RemotePath, limits: Limits = DEFAULT_LIMITS) -> Content:
    """The content of a photo in a bucket, unless it is over the limit.

    Raises:
        ImageError: it cannot be read.
        SourceGoneError: nothing of the bucket can be.
    """
    return _content_of(source, lambda: source.fetch(most=limits.max_bytes))


def ask_for(path: AnyPath, ahead: FetchAhead) -> Callable[[], Path | Content]:
    """Have a photo fetched before its turn, if it is in a bucket.

    Returns:
        what to call when its turn has come, for the file, or for the content; it raises as `fetch` does.
    """
    if isinstance(path, Path):
        return lambda: path
    fetching = ahead.ask(path)
    return lambda: _content_of(path, fetching.take)


def _content_of(source: RemotePath, taken: Callable[[], tuple[bytes, RemoteStat]]) -> Content:
    try:
        content, stat = taken()
    except OSError as error:
        raise ImageError(str(source), describe(error)) from error
    return Content(str(source), content, (stat.size, stat.digest))


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file; a pipe or a device could block for ever and is refused.

    Raises:
        ImageError: it is a folder, a pipe or a device.
        OSError: it cannot be opened.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise ImageError(str(path), "is a folder" if stat.S_ISDIR(mode) else "not a regular file")
    return path.open("rb")


def _check_bytes(size: int, name: str, limits: Limits) -> None:
    if size == 0:
        raise ImageError(name, "the file is empty")
    if size > limits.max_bytes:
        raise ImageError(name, f"{size} bytes are more than the limit of {limits.max_bytes}")


def open_image(content: bytes, name: str, limits: Limits) -> ImageFile.ImageFile:
    """Read a picture's header.

    Raises:
        ImageError: it is no picture of `FORMATS`, or has more pixels, scans or frames than the limits.
    """
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        what = "a video, and no picture" if begins_as_video(content) else "not a picture of a known format"
        raise ImageError(name, what) from None
    width, height = image.size
    if width * height > limits.max_pixels:
        raise ImageError(name, f"{width} × {height} pixels are more than the limit of {limits.max_pixels}")
    if image.format in _JPEGS and count_scans(content, limits.max_scans) > limits.max_scans:
        raise ImageError(name, f"a JPEG of more scans than the limit of {limits.max_scans}")
    if count_frames(image, content, limits.max_frames) > limits.max_frames:
        raise ImageError(name, f"more frames than the limit of {limits.max_frames}")
    return image


def _decode_open(
    image: ImageFile.ImageFile, content: bytes, min_side: LeastSize, name: str, quick: bool = False
) -> Decoded:
    warnings: list[str] = []
    is_jpeg = image.format in _JPEGS
    if not is_jpeg and count_frames(image, content, 1) > 1:
        warnings.append("several frames: only the first was read")
    orientation = _orientation(image, warnings) if is_jpeg else 1
    full_size, scale = _upright_size(image, orientation), 1.0
    least = min_side(full_size) if callable(min_side) else min_side
    if least is not None and orientation in _SIDEWAYS:
        least = least[::-1]
    if is_jpeg and quick and image.mode in ("L", "RGB"):
        decoded = decode_quickly(content, image.size[::-1], image.mode == "L", least)
        if decoded is not None:
            pixels, scale = _turn(decoded[0], orientation), decoded[1]
            return Decoded(pixels, full_size, scale, "; ".join(warnings) or None, "divisor")
    if is_jpeg and least is not None:
        scale = _draft(image, least)
    _load_readable(image, name, warnings)
    if not is_jpeg:  # the other formats may keep their EXIF behind the pixels
        orientation = _orientation(image, warnings)
        full_size = _upright_size(image, orientation)
    upright = _to_eight_bits(image, name)
    if orientation in _UPRIGHT:
        upright = upright.transpose(_UPRIGHT[orientation])
    reduced_by: Literal["Pillow", "nothing"] = "Pillow" if is_jpeg else "nothing"
    return Decoded(upright, full_size, scale, "; ".join(warnings) or None, reduced_by)


def _upright_size(image: Image.Image, orientation: int) -> Size:
    width, height = image.size
    return (width, height) if orientation in _SIDEWAYS else (height, width)


def _orientation(image: Image.Image, warnings: list[str]) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - damaged EXIF fails in many ways and must not cost the photo
        warnings.append("EXIF unreadable: taken as upright")
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _turn(pixels: Pixels, orientation: int) -> Pixels:
    """The same as `_UPRIGHT`, of an array."""
    if orientation in _SIDEWAYS:
        pixels = pixels.swapaxes(0, 1)
    down, across = (slice(None, None, -1 if orientation in some else 1) for some in _FLIPPED)
    return pixels[down, across]


def _draft(image: ImageFile.ImageFile, least: Size) -> float:
    """Ask libjpeg for the smallest of 1/1, 1/2, 1/4, 1/8 that is at least `least`; returns the divisor."""
    height, width = (max(1, side) for side in least)
    full_width = image.size[0]
    drafted = image.draft(None, (width, height))
    return 1.0 if drafted is None else full_width / drafted[1][2]


def _load_readable(image: ImageFile.ImageFile, name: str, warnings: list[str]) -> None:
    try:
        image.load()
    except _BROKEN as error:
        nothing = _IncompleteError if image.info.get("progressive") else ImageError
        # The decoder has filled its image line by line up to the damage. Without its tiles Pillow takes
        # that image as loaded; its LOAD_TRUNCATED_IMAGES would do the same for the whole process.
        image.tile = []
        try:
            image.load()
            bounds = image.getbbox(alpha_only=False)
        except _REFUSED:
            bounds = None
        if bounds is None:
            reason = f"truncated or damaged, nothing of it is readable: {describe(error)}"
            raise nothing(name, reason) from error
        share = bounds[3] / image.size[1]
        warnings.append(f"truncated or damaged: only the upper {share:.0%} could be read")


def _to_eight_bits(image: Image.Image, name: str) -> Image.Image:
    """`L` or `RGB` from any mode."""
    if image.mode in ("L", "RGB") and not image.has_transparency_data:
        return image
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ImageError(name, "32-bit values, whose range is not known")
        return Image.fromarray((values.astype(np.uint32) // 257).astype(np.uint8))
    if image.mode == "F":
        raise ImageError(name, "floating-point values, whose range is not known")
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, (0, 0, 0, 255))
        opaque.alpha_composite(image.convert("RGBA"))
        return opaque.convert("RGB")
    return image.convert("L" if image.mode == "1" else "RGB")
