"""The photos as the page shows them: small, upright, kept for the next look, people hidden if asked."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from trapline.images import Decoder, Decoders, ImageError, Limits, Preprocessing, Rectangle, blur, is_video
from trapline.storage import AnyPath, RemoteStat, replace_whole

PictureSize = Literal["thumb", "1600"]
SIDES: dict[PictureSize, int] = {"thumb": 320, "1600": 1600}
"""The longer side, pixels, of each size."""

MOST_ON_DISK = 2 * 2**30
MOST_IN_MEMORY = 64 * 2**20

_QUALITY = 82
_LIMITS = Limits(max_seconds=30.0)
_CROWDED = 0.9
"""The share of the room that is left filled when the pictures that were looked at longest ago are deleted."""


def as_size(text: str) -> PictureSize:
    """A size by its name.

    Raises:
        ValueError: there is none of this name.
    """
    for size in get_args(PictureSize):
        if text == size:
            return size  # type: ignore[no-any-return]
    raise ValueError(f"there is no size '{text[:20]}'; there are: {', '.join(SIDES)}")


@dataclass(frozen=True)
class Picture:
    """A JPEG, and what it is known by: the same name is the same picture."""

    content: bytes
    etag: str


class PictureStore:
    """Makes pictures of photos, and keeps those that were looked at last, on disk and in memory.

    Photos are decoded in processes of their own, within limits: one that is broken, huge or hangs its decoder
    costs its picture alone.

    Args:
        folder: for the pictures; made when the first is kept. What is in it can be made again.
        most: bytes that they may take there.
    """

    def __init__(self, folder: Path, most: int = MOST_ON_DISK) -> None:
        self.folder, self._most = folder, most
        self._memory: OrderedDict[str, bytes] = OrderedDict()
        self._held, self._on_disk = 0, -1
        self._lock = threading.Lock()
        self._decoders = Decoders()
        self.pool = ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2)), "picture")

    def picture(self, path: AnyPath, size: PictureSize, people: Sequence[dict[str, Any]] = ()) -> Picture:
        """A photo in a size.

        Args:
            path: of the photo.
            size: of the picture.
            people: boxes to be made unrecognisable, as a catalog holds them.

        Raises:
            ImageError: the photo is missing, broken, too large, or a video.
        """
        if is_video(str(path)):
            raise ImageError(
                str(path), "a video, which this page does not play; its frames as photos are shown"
            )
        key = _key(path, size, people)
        content = self._recall(key)
        if content is None:
            with self._decoders.borrow() as decoder:
                pixels = _decode(decoder, path, SIDES[size])
            content = encode(pixels, people)
            self._keep(key, content)
        return Picture(content, f'"{key}"')

    def close(self) -> None:
        """Take no more work, and end what is being decoded."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        self._decoders.end()

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.jpg"

    def _recall(self, key: str) -> bytes | None:
        with self._lock:
            if key in self._memory:
                self._memory.move_to_end(key)
                return self._memory[key]
        path = self._file(key)
        try:
            content = path.read_bytes()
            os.utime(path)  # looked at now: others go first
        except OSError:
            return None
        self._remember(key, content)
        return content

    def _remember(self, key: str, content: bytes) -> None:
        with self._lock:
            if key not in self._memory:
                self._held += len(content)
            self._memory[key] = content
            while self._held > MOST_IN_MEMORY and len(self._memory) > 1:
                self._held -= len(self._memory.popitem(last=False)[1])

    def _keep(self, key: str, content: bytes) -> None:
        """In memory, and on disk if there is room: a full disk costs only the time to make it again."""
        self._remember(key, content)
        path = self._file(key)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replace_whole(path) as partial:
                partial.write_bytes(content)
            with self._lock:
                if self._on_disk < 0:
                    self._on_disk = sum(size for _, size, _ in _files(self.folder))
                else:
                    self._on_disk += len(content)
                if self._on_disk > self._most:
                    self._on_disk = _thin_out(self.folder, self._most * _CROWDED)


def _files(folder: Path) -> list[tuple[float, int, Path]]:
    """When each picture in a folder was looked at last, its bytes, and its path."""
    kept = []
    for path in folder.glob("??/*.jpg"):
        with suppress(OSError):
            status = path.stat()
            kept.append((status.st_mtime, status.st_size, path))
    return kept


def _thin_out(folder: Path, most: float) -> int:
    """Delete the pictures looked at longest ago until so many bytes are left; returns how many are."""
    kept = sorted(_files(folder))
    total = sum(size for _, size, _ in kept)
    for _, size, path in kept:
        if total <= most:
            break
        with suppress(OSError):
            path.unlink()
            total -= size
    return total


def _key(path: AnyPath, size: PictureSize, people: Sequence[dict[str, Any]]) -> str:
    """What a picture is kept under: the same only while the file is.

    Raises:
        ImageError: there is no such file.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise ImageError(str(path), f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    now = status if isinstance(status, RemoteStat) else (status.st_size, status.st_mtime_ns)
    parts = (str(path), now, size, [sorted(box.items()) for box in people])
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _decode(decoder: Decoder, path: AnyPath, side: int) -> npt.NDArray[np.uint8]:
    """uint8 [height, width, 3], the longer side as given."""
    preprocessing = Preprocessing(
        height=side, width=side, fit="corner", interpolation="bilinear", decoding="quick"
    )
    pixels = np.empty((side, side, 3), np.uint8)
    height, width = decoder.prepare_into(pixels, path, preprocessing, limits=_LIMITS).inner
    return pixels[:height, :width]


def encode(pixels: npt.NDArray[np.uint8], people: Sequence[dict[str, Any]] = ()) -> bytes:
    """Pixels as a JPEG, without metadata; what is in the boxes of people unrecognisable."""
    from PIL import Image

    if people:
        pixels = hide(pixels, people)
    output = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(output, "JPEG", quality=_QUALITY)
    return output.getvalue()


def hide(pixels: npt.NDArray[np.uint8], people: Sequence[dict[str, Any]]) -> npt.NDArray[np.uint8]:
    """Pixels with what is in these boxes unrecognisable."""
    height, width = pixels.shape[:2]
    rectangles = [
        Rectangle(
            box["x"] * width,
            box["y"] * height,
            (box["x"] + box["width"]) * width,
            (box["y"] + box["height"]) * height,
        )
        for box in people
    ]
    return blur(pixels, rectangles)
