"""Features of photos: a model file's embedding, computed once for each photo and kept by content."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NamedTuple, TypedDict, Unpack

import numpy as np

from trapline import __version__
from trapline.catalog import Catalog, Presence
from trapline.errors import DataError, many
from trapline.images import ImageError, Prepared, Preprocessing, Source, choose_box, libraries, prepare
from trapline.models import ModelFile, read_photos
from trapline.prediction import event_rows
from trapline.storage import user_cache_folder
from trapline.training.arrays import Flags, Pixels, Rows, Singles
from trapline.training.digests import digests_of
from trapline.training.feature_cache import CachedFeatures, FeatureCache

Progress = Callable[[int, int], None]
"""Called with the number of views that are done and the number of all."""

Cache = Path | Literal["user"] | None
"""A folder for the feature cache, the user's own, or none."""

_BATCH = 32


@dataclass(frozen=True)
class FeatureView:
    """One way to look at a photo: how it is prepared, and whether it is mirrored left to right."""

    preprocessing: Preprocessing
    mirrored: bool = False


@dataclass(frozen=True)
class Features:
    """What `embed_views` found.

    Attributes:
        values: float32 [media, views, D]; NaN where the photo could not be read.
        failed: row -> why that photo could not be read.
        warnings: row -> what was odd about a photo that could.
    """

    values: Singles
    failed: dict[int, str] = field(default_factory=dict)
    warnings: dict[int, str] = field(default_factory=dict)


class _Look(NamedTuple):
    """One view of one photo, decoded."""

    slot: tuple[int, int]  # row and view
    pixels: Pixels
    warning: str | None


class EmbedOptions(TypedDict, total=False):
    """How photos are embedded; see `embed`."""

    cache: Cache
    workers: int | None
    skip_unreadable: bool
    progress: Progress | None


def embed(
    model: ModelFile,
    catalog: Catalog,
    *,
    preprocessing: Preprocessing | None = None,
    mirrored: bool = False,
    **options: Unpack[EmbedOptions],
) -> Singles:
    """The embedding of each media of the catalog: float32 [N, D], in the catalog's order.

    Args:
        model: any model file, a backbone or a classifier.
        catalog: its boxes are used if the preprocessing crops.
        preprocessing: another than the model's own: larger, uncropped, …
        mirrored: look at the mirror images.
        options: `cache`, where features are kept between runs, None for nowhere, by default the user's own;
            `workers`, threads that decode, None for one a core; `skip_unreadable`, to give unreadable photos
            rows of NaN instead of raising; `progress`, told of what is done.

    Raises:
        DataError: photos cannot be read (they are listed), or the cache cannot be used.
    """
    view = FeatureView(preprocessing or model.card.preprocessing, mirrored)
    return embed_views(model, catalog, [view], **options).values[:, 0]


def embed_views(
    model: ModelFile,
    catalog: Catalog,
    views: Sequence[FeatureView],
    *,
    cache: Cache = "user",
    workers: int | None = None,
    skip_unreadable: bool = False,
    progress: Progress | None = None,
) -> Features:
    """The embedding of each media of the catalog in each of several views; see `embed`."""
    folder = user_cache_folder() if cache == "user" else cache
    with nullcontext() if folder is None else FeatureCache(folder) as store:
        features = _Job(model, catalog, list(views), store, workers, progress).run()
    if features.failed and not skip_unreadable:
        listed = "; ".join(list(features.failed.values())[:10])
        more = f" and {len(features.failed) - 10} more" if len(features.failed) > 10 else ""
        raise DataError(
            f"{len(features.failed)} of {many(len(catalog), 'photo')} cannot be read: {listed}{more}"
        )
    return features


class _Job:
    """One call of `embed_views`: what is known already is taken, the rest computed in batches and kept."""

    def __init__(
        self,
        model: ModelFile,
        catalog: Catalog,
        views: list[FeatureView],
        store: FeatureCache | None,
        workers: int | None,
        progress: Progress | None,
    ) -> None:
        self.model, self.views, self.store, self.workers = model, views, store, workers
        self.presence, self.paths = Presence(catalog), catalog.paths()
        self.boxes = [
            [choose_box(boxes, view.preprocessing.crop) for view in views]
            for boxes in catalog.table["boxes"].to_list()
        ]
        shape = (len(catalog), len(views), model.card.embedding_size)
        self.features = Features(np.full(shape, np.nan, np.float32))
        self.progress, self.done = progress, 0
        self.events = _event_numbers(catalog) if model.card.batch == "event" else None
        self.keys: dict[tuple[int, int], bytes] = {}
        if store is not None:
            self.groups = [group_of(model, view.preprocessing) for view in views]
            keys = Keys(model, catalog, store.folder.parent, workers)
            every = {
                (row, index): keys.of(row, view)
                for row in range(len(catalog))
                for index, view in enumerate(views)
            }
            self.keys = {slot: key for slot, key in every.items() if key is not None}

    def run(self) -> Features:
        self._take_known()
        missing = self._missing()
        for preprocessing in dict.fromkeys(view.preprocessing for view in self.views):
            self._compute(preprocessing, missing)
        return self.features

    def _missing(self) -> Flags:
        """[media, views]: what must be computed; of an event that is looked at together, all or nothing."""
        missing = np.isnan(self.features.values[:, :, 0])
        if self.events is not None:
            for view_index in range(missing.shape[1]):
                missing[:, view_index] = np.isin(self.events, self.events[missing[:, view_index]])
        self.done = int((~missing).sum())
        return missing

    def _take_known(self) -> None:
        slots: dict[str, dict[bytes, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
        for slot, key in self.keys.items():
            slots[self.groups[slot[1]]][key].append(slot)
        for group, of_key in slots.items():
            for key, entry in () if self.store is None else self.store.get(group, of_key):
                for slot in of_key[key]:
                    if entry.vector.shape == self.features.values.shape[2:]:
                        self._set(slot, entry)
        self._tell()

    def _compute(self, preprocessing: Preprocessing, missing: Flags) -> None:
        """Fill in the missing views that share one preprocessing, so that each photo is decoded once."""
        indices = [index for index, view in enumerate(self.views) if view.preprocessing == preprocessing]
        rows = [row for row in self._in_turn() if missing[row, indices].any()]
        model = self.model.with_preprocessing(preprocessing)

        def make(row: int, photo: Source) -> Prepared:
            return prepare(photo, preprocessing, self.boxes[row][indices[0]])

        photos = read_photos(self.paths, self.presence, rows, make, workers=self.workers, ahead=2 * _BATCH)
        looks: list[_Look] = []
        for row, prepared in photos:
            if self._is_whole(looks, row):
                self._run_batches(model, looks)
                looks = []
            if isinstance(prepared, ImageError):
                self.features.failed[row] = str(prepared)
                self.done += len(indices)
                continue
            for view_index in indices:
                if missing[row, view_index]:
                    seen = prepared.pixels[:, ::-1] if self.views[view_index].mirrored else prepared.pixels
                    looks.append(_Look((row, view_index), seen, prepared.warning))
        self._run_batches(model, looks)

    def _in_turn(self) -> list[int]:
        """All rows, those of an event that is looked at together one after the other."""
        if self.events is None:
            return list(range(len(self.paths)))
        return [int(row) for row in np.argsort(self.events, kind="stable")]

    def _is_whole(self, looks: Sequence[_Look], row: int) -> bool:
        """Whether what has been gathered is run before the row is: it is enough, or of another event."""
        if self.events is None:
            return len(looks) >= _BATCH
        return bool(looks) and self.events[looks[-1].slot[0]] != self.events[row]

    def _run_batches(self, model: ModelFile, looks: Sequence[_Look]) -> None:
        """Run all in one batch; where the model looks at events, one view of the event at a time."""
        batches: dict[int, list[_Look]] = defaultdict(list)
        for look in looks:
            batches[0 if self.events is None else look.slot[1]].append(look)
        for batch in batches.values():
            vectors = model.run(np.stack([look.pixels for look in batch])).embedding
            entries = {
                look.slot: CachedFeatures(vector, look.warning)
                for vector, look in zip(vectors, batch, strict=True)
            }
            for slot, entry in entries.items():
                self._set(slot, entry)
            self._keep(entries)
            self._tell()

    def _keep(self, entries: Mapping[tuple[int, int], CachedFeatures]) -> None:
        """Keep what was computed in one batch, of one preprocessing, for the next run."""
        keyed = {self.keys[slot]: entry for slot, entry in entries.items() if slot in self.keys}
        if self.store is not None and keyed:
            self.store.put(self.groups[next(iter(entries))[1]], keyed)

    def _set(self, slot: tuple[int, int], entry: CachedFeatures) -> None:
        self.features.values[slot] = entry.vector
        if entry.warning is not None:
            self.features.warnings[slot[0]] = entry.warning
        self.done += 1

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(self.done, len(self.paths) * len(self.views))


def _event_numbers(catalog: Catalog) -> Rows:
    """[media]: the number of each media's event; a media without one is one by itself."""
    numbers = np.empty(len(catalog), np.int64)
    for number, rows in enumerate(event_rows(catalog)):
        numbers[rows.to_numpy()] = number
    return numbers


class Keys:
    """By what the cache knows the features of the media of a catalog: what the files hold, and what is cut.

    Args:
        model: that looks at them; where it looks at whole events, their other files are in the key.
        catalog: the media.
        folder: for caches.
        workers: threads that read files; None for one a core.
    """

    def __init__(self, model: ModelFile, catalog: Catalog, folder: Path, workers: int | None) -> None:
        self._digests = digests_of(catalog.paths(), catalog.root, folder, workers)
        self._boxes = catalog.table["boxes"].to_list()
        self._events = _event_numbers(catalog) if model.card.batch == "event" else None
        self._files: dict[int, list[str]] = defaultdict(list)
        if self._events is not None:
            for event, digest in zip(self._events.tolist(), self._digests, strict=True):
                if digest is not None:
                    self._files[event].append(digest.hex())

    def of(self, row: int, view: FeatureView) -> bytes | None:
        """16 bytes; None for a file that cannot be read."""
        digest = self._digests[row]
        if digest is None:
            return None
        box = choose_box(self._boxes[row], view.preprocessing.crop)
        parts: list[object] = [view.mirrored, None if box is None else asdict(box), digest.hex()]
        if self._events is not None:
            parts.append(sorted(self._files[int(self._events[row])]))
        return _digest(parts, 16)


def group_of(model: ModelFile, preprocessing: Preprocessing) -> str:
    """Where the cache keeps what a model says of photos that are prepared so, by the libraries of today."""
    versions = [__version__, *libraries(), version("onnxruntime")]
    return _digest([model.fingerprint, preprocessing.model_dump(mode="json"), versions], 12).hex()


def _digest(parts: Sequence[object], size: int) -> bytes:
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=size).digest()
