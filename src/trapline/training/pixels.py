"""Pixels for training, decoded once: an epoch reads them from a memory-mapped file and decodes nothing.

The pixels of each photo are exactly those that prediction sees (`trapline.images.prepare`). Files are named
by the content of the photos, their boxes and the preprocessing, so that another run, fold or trial over the
same photos finds them.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trapline.catalog import Catalog, Presence
from trapline.errors import DataError
from trapline.images import (
    Box,
    ImageError,
    Preprocessing,
    Rectangle,
    Source,
    choose_box,
    crop_rectangle,
    fit,
    libraries,
    load,
    plan_fit,
    prepare,
)
from trapline.models import read_photos
from trapline.recipes import Augmentation
from trapline.storage import AnyPath, RemotePath, user_cache_folder
from trapline.training.arrays import Pixels, Singles
from trapline.training.digests import digests_of

Progress = Callable[[int, int], None]

FORMAT = "1"
SHARPER = 1.2
MAX_CACHE_BYTES = 40 * 2**30
"""The least recently used files of pixels go beyond this."""


@dataclass(frozen=True)
class Store:
    """A memory-mapped array of pictures, and what is known of each; other processes open it again.

    Attributes:
        pixels: uint8 [N, height, width, 3]; black where the photo could not be read.
        failed: row -> why.
        facts: float32 [N, F], of the kind of the store.
    """

    pixels: np.memmap[Any, np.dtype[np.uint8]]
    failed: dict[int, str]
    facts: Singles

    def __reduce__(self) -> tuple[Callable[..., Store], tuple[object, ...]]:
        """By its folder, and not by all its pixels."""
        return _open, (Path(str(self.pixels.filename)).parent, self.pixels.shape)


@dataclass(frozen=True)
class PixelSource:
    """What decides the pixels of one media."""

    path: AnyPath
    box: Box | None


class PixelCache:
    """Makes and finds stores of pixels in a folder.

    Args:
        folder: None for the user's cache folder.
        max_bytes: of all stores together.
    """

    def __init__(self, folder: Path | None = None, max_bytes: int = MAX_CACHE_BYTES) -> None:
        self.cache = folder or user_cache_folder()
        self.folder = self.cache / "pixels"
        self.max_bytes = max_bytes
        self._digests: dict[AnyPath, bytes | None] = {}

    def exact(
        self, catalog: Catalog, preprocessing: Preprocessing, progress: Progress | None = None
    ) -> Store:
        """The pixels that prediction sees; no facts."""

        def make(photo: Source, box: Box | None) -> tuple[Pixels, list[float]]:
            return prepare(photo, preprocessing, box).pixels, []

        shape = (preprocessing.height, preprocessing.width)
        return self._store(catalog, preprocessing, ["exact", preprocessing], shape, make, 0, progress)

    def canvas(
        self,
        catalog: Catalog,
        preprocessing: Preprocessing,
        augmentation: Augmentation,
        progress: Progress | None = None,
        *,
        whole: bool = False,
    ) -> Store:
        """Wider pictures that random crops are cut from; see `canvas_of` for the facts.

        With `whole`, full frames in pictures of the same size.
        """
        reach, shape = canvas_shape(preprocessing, augmentation)
        if whole:
            preprocessing = preprocessing.model_copy(update={"crop": None})

        def make(photo: Source, box: Box | None) -> tuple[Pixels, list[float]]:
            return canvas_of(photo, box, preprocessing, reach, shape)

        kind: list[Any] = ["canvas", preprocessing, reach, shape]
        return self._store(catalog, preprocessing, kind, shape, make, 8, progress)

    def _store(
        self,
        catalog: Catalog,
        preprocessing: Preprocessing,
        kind: Sequence[Any],
        shape: tuple[int, int],
        make: Callable[[Source, Box | None], tuple[Pixels, list[float]]],
        facts: int,
        progress: Progress | None,
    ) -> Store:
        presence, boxes = Presence(catalog), catalog.table["boxes"].to_list()
        photos = [
            PixelSource(path, choose_box(some, preprocessing.crop))
            for path, some in zip(catalog.paths(), boxes, strict=True)
        ]
        size, folder = (len(photos), *shape, 3), self.folder / self._key(photos, catalog.root, kind)
        if not (folder / "done.json").is_file():
            partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
            partial.mkdir(parents=True, exist_ok=True)
            try:
                self._check_space(int(np.prod(size)))
                _fill(partial, photos, presence, size, make, facts, progress)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
            shutil.rmtree(folder, ignore_errors=True)  # left over from a killed run
            try:
                partial.replace(folder)
            except OSError:  # another run of the same was first
                shutil.rmtree(partial, ignore_errors=True)
        (folder / "done.json").touch()  # marks it as used now
        self._drop_oldest(keep=folder)
        return _open(folder, size)

    def _key(self, photos: Sequence[PixelSource], root: AnyPath, kind: Sequence[Any]) -> str:
        unread = [photo.path for photo in photos if photo.path not in self._digests]
        self._digests |= zip(unread, digests_of(unread, root, self.cache), strict=True)
        parts = [
            FORMAT,
            *libraries(),
            *(part.model_dump() if isinstance(part, Preprocessing) else part for part in kind),
        ]
        digest = hashlib.sha256(json.dumps(parts).encode())
        for photo in photos:
            box = None if photo.box is None else list(asdict(photo.box).values())
            content = self._digests[photo.path]
            if content is None and isinstance(photo.path, RemotePath):
                content = os.urandom(32)  # of one that nothing is known of nothing is found again
            digest.update(json.dumps([None if content is None else content.hex(), box]).encode())
        return digest.hexdigest()[:32]

    def _check_space(self, wanted: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if wanted > free * 0.9:
            raise DataError(
                f"The pixels of this training take {wanted / 2**30:.1f} GB and the disk of {self.folder} has "
                f"{free / 2**30:.1f} GB left. Name a folder on a larger disk in the environment variable "
                "TRAPLINE_CACHE, or make preprocessing.height and width smaller."
            )

    def _drop_oldest(self, keep: Path) -> None:
        stores = sorted(self.folder.glob("*/done.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        total = 0
        for mark in stores:
            total += (mark.parent / "pixels.npy").stat().st_size
            recent = time.time() - mark.stat().st_mtime < 86_400  # perhaps another run is reading it
            if total > self.max_bytes and mark.parent != keep and not recent:
                shutil.rmtree(mark.parent, ignore_errors=True)


def _fill(
    folder: Path,
    photos: Sequence[PixelSource],
    presence: Presence,
    size: tuple[int, ...],
    make: Callable[[Source, Box | None], tuple[Pixels, list[float]]],
    width: int,
    progress: Progress | None,
) -> None:
    """Write the pixels, the facts (`width` a photo) and which photos failed, these last."""
    pixels: Any = np.lib.format.open_memmap(folder / "pixels.npy", "w+", np.uint8, size)
    facts = np.full((len(photos), width), np.nan, np.float32)
    failed: dict[int, str] = {}

    def make_one(row: int, photo: Source) -> tuple[Pixels, list[float]]:
        return make(photo, photos[row].box)

    paths = [photo.path for photo in photos]
    for row, made in read_photos(paths, presence, range(len(photos)), make_one):
        if isinstance(made, ImageError):
            failed[row] = str(made)
        else:
            pixels[row], facts[row] = made
        if progress is not None:
            progress(row + 1, len(photos))
    pixels.flush()  # and is let go of when this returns: Windows renames no folder with an open file
    np.save(folder / "facts.npy", facts)
    (folder / "done.json").write_text(json.dumps({"failed": failed}), encoding="utf-8")


def _open(folder: Path, shape: tuple[int, ...]) -> Store:
    pixels: np.memmap[Any, np.dtype[np.uint8]] = np.load(folder / "pixels.npy", mmap_mode="r")
    if pixels.shape != shape:
        raise DataError(f"The cached pixels in {folder} are damaged; delete that folder.")
    failed = json.loads((folder / "done.json").read_text(encoding="utf-8"))["failed"]
    return Store(pixels, {int(row): why for row, why in failed.items()}, np.load(folder / "facts.npy"))


def canvas_shape(preprocessing: Preprocessing, augmentation: Augmentation) -> tuple[float, tuple[int, int]]:
    """How far the canvas reaches (context around the box) and its height and width.

    A crop at the nominal context has somewhat more pixels in the canvas than in the input, so that narrower
    ones are not blurred next to what prediction sees; no canvas is more than twice as high as the input.
    """
    crop = preprocessing.crop
    if crop is None:
        growth, reach = 1.15, 1.0
    else:
        most = augmentation.context[1] if augmentation.context else crop.context
        reach = min(10.0, max(most, crop.context) * (1 + 2 * augmentation.box_shift))
        growth = min(2.0, max(1.15, SHARPER * reach / crop.context))
    return reach, (round(preprocessing.height * growth), round(preprocessing.width * growth))


def canvas_of(
    photo: Source, box: Box | None, preprocessing: Preprocessing, reach: float, shape: tuple[int, int]
) -> tuple[Pixels, list[float]]:
    """The canvas of one photo and eight facts, all fractions of the canvas.

    Facts: left, top, right, bottom of what prediction would see (beyond 0..1 where it pads), and of the
    animal's box (NaN without one).
    """
    wide = preprocessing.model_copy(
        update={"height": shape[0], "width": shape[1], "fit": "squash", "crop": None}
    )
    policy = preprocessing.crop
    wider = policy and policy.model_copy(update={"context": reach})

    def least_size(full: tuple[int, int]) -> tuple[int, int]:
        region = crop_rectangle(*full, box, wider)
        return (
            math.ceil(full[0] * preprocessing.oversampling * shape[0] / region.height),
            math.ceil(full[1] * preprocessing.oversampling * shape[1] / region.width),
        )

    loaded = load(photo, min_side=least_size, quick=preprocessing.decoding == "quick")
    height, width = loaded.pixels.shape[:2]
    pixels = _masked(loaded.pixels, preprocessing)
    region = crop_rectangle(height, width, box, wider)
    plan = plan_fit(crop_rectangle(height, width, box, policy), preprocessing)
    across, down = plan.region.width / plan.width, plan.region.height / plan.height
    left = plan.region.left - plan.left * across
    top = plan.region.top - plan.top * down
    seen = Rectangle(left, top, left + preprocessing.width * across, top + preprocessing.height * down)
    facts = _fractions(seen, region)
    if box is None:
        facts += [float("nan")] * 4
    else:
        corners = (box.x * width, box.y * height, (box.x + box.width) * width, (box.y + box.height) * height)
        facts += _fractions(Rectangle(*corners), region)
    return fit(pixels, wide, region), facts


def _masked(pixels: Pixels, preprocessing: Preprocessing) -> Pixels:
    top = round(len(pixels) * preprocessing.mask_top)
    bottom = len(pixels) - round(len(pixels) * preprocessing.mask_bottom)
    if top or bottom < len(pixels):
        pixels = pixels.copy()
        pixels[:top] = 0
        pixels[bottom:] = 0
    return pixels


def _fractions(rectangle: Rectangle, of: Rectangle) -> list[float]:
    return [
        (rectangle.left - of.left) / of.width,
        (rectangle.top - of.top) / of.height,
        (rectangle.right - of.left) / of.width,
        (rectangle.bottom - of.top) / of.height,
    ]
