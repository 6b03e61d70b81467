"""Features of photos: a model file's embedding, computed once for each photo and kept by content."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np

from trapline import __version__
from trapline.catalog import Catalog, Presence
from trapline.errors import DataError
from trapline.images import ImageError, Preprocessing, choose_box, prepare
from trapline.models import ModelFile, user_cache_folder
from trapline.prediction import event_rows
from trapline.training.arrays import Flags, Pixels, Rows, Singles
from trapline.training.feature_cache import CachedFeatures, FeatureCache, digest_file

Progress = Callable[[int, int], None]
"""Called with the number of views that are done and the number of all."""

Cache = Path | Literal["user"] | None
"""A folder for the feature cache, the user's own, or none."""

_BATCH = 32
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


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

    row: int
    view_index: int
    pixels: Pixels
    warning: str | None


def embed(
    model: ModelFile,
    catalog: Catalog,
    *,
    preprocessing: Preprocessing | None = None,
    mirrored: bool = False,
    cache: Cache = "user",
    workers: int | None = None,
    skip_unreadable: bool = False,
    progress: Progress | None = None,
) -> Singles:
    """The embedding of each media of the catalog: float32 [N, D], in the catalog's order.

    Args:
        model: any model file, a backbone or a classifier.
        catalog: its boxes are used if the preprocessing crops.
        preprocessing: another than the model's own: larger, uncropped, …
        mirrored: look at the mirror images.
        cache: where features are kept between runs; None for nowhere.
        workers: threads that decode; None for one a core.
        skip_unreadable: give unreadable photos rows of NaN instead of raising.
        progress: told of what is done.

    Raises:
        DataError: photos cannot be read (they are listed), or the cache cannot be used.
    """
    view = FeatureView(preprocessing or model.card.preprocessing, mirrored)
    features = embed_views(
        model,
        catalog,
        [view],
        cache=cache,
        workers=workers,
        skip_unreadable=skip_unreadable,
        progress=progress,
    )
    return features.values[:, 0]


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
    job = _Job(model, catalog, list(views), workers or os.cpu_count() or 1, progress)
    with nullcontext() if folder is None else FeatureCache(folder) as store:
        features = job.run(store)
    if features.failed and not skip_unreadable:
        listed = "; ".join(list(features.failed.values())[:10])
        more = f" and {len(features.failed) - 10} more" if len(features.failed) > 10 else ""
        raise DataError(f"{len(features.failed)} of {len(catalog)} photos cannot be read: {listed}{more}")
    return features


class _Job:
    """One call of `embed_views`: what is known already is taken, the rest computed in batches and kept."""

    def __init__(
        self,
        model: ModelFile,
        catalog: Catalog,
        views: list[FeatureView],
        workers: int,
        progress: Progress | None,
    ) -> None:
        self.model, self.views, self.workers = model, views, workers
        self.presence = Presence(catalog)
        self.paths = catalog.paths()
        self.boxes = [
            [choose_box(boxes, view.preprocessing.crop) for view in views]
            for boxes in catalog.table["boxes"].to_list()
        ]
        shape = (len(catalog), len(views), model.card.embedding_size)
        self.features = Features(np.full(shape, np.nan, np.float32))
        self.progress, self.done = progress, 0
        self.events = _event_numbers(catalog) if model.card.batch == "event" else None

    def run(self, store: FeatureCache | None) -> Features:
        with ThreadPoolExecutor(self.workers) as pool:
            keys = {} if store is None else self._keys(store, pool)
            self._take_known(store, keys)
            missing = self._missing()
            for preprocessing in dict.fromkeys(view.preprocessing for view in self.views):
                self._compute(preprocessing, missing, store, keys, pool)
        return self.features

    def _missing(self) -> Flags:
        """[media, views]: what must be computed; of an event that is looked at together, all or nothing."""
        missing = np.isnan(self.features.values[:, :, 0])
        if self.events is not None:
            for view_index in range(missing.shape[1]):
                missing[:, view_index] = np.isin(self.events, self.events[missing[:, view_index]])
        self.done = int((~missing).sum())
        return missing

    def _keys(self, store: FeatureCache, pool: ThreadPoolExecutor) -> dict[tuple[int, int], bytes]:
        """(row, view) -> key in the cache; files that cannot be read have none."""
        digests = _digests(self.paths, store, pool)
        versions = [__version__, version("pillow"), version("onnxruntime")]
        together = self._together(digests)
        keys = {}
        for row, digest in enumerate(digests):
            if digest is None:
                continue
            for view_index, view in enumerate(self.views):
                box = self.boxes[row][view_index]
                parts = [
                    self.model.fingerprint,
                    view.preprocessing.model_dump(mode="json"),
                    view.mirrored,
                    None if box is None else asdict(box),
                    digest.hex(),
                    versions,
                    *together[row],
                ]
                keys[row, view_index] = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()
        return keys

    def _together(self, digests: Sequence[bytes | None]) -> list[list[list[str]]]:
        """For each media: nothing, or the files of the event that it is looked at with."""
        if self.events is None:
            return [[] for _ in digests]
        files: dict[int, list[str]] = defaultdict(list)
        for event, digest in zip(self.events.tolist(), digests, strict=True):
            if digest is not None:
                files[event].append(digest.hex())
        return [[sorted(files[event])] for event in self.events.tolist()]

    def _take_known(self, store: FeatureCache | None, keys: dict[tuple[int, int], bytes]) -> None:
        known = {} if store is None else store.get(list(dict.fromkeys(keys.values())))
        for (row, view_index), key in keys.items():
            entry = known.get(key)
            if entry is not None and entry.vector.shape == self.features.values.shape[2:]:
                self._set(row, view_index, entry)
        self._tell()

    def _compute(
        self,
        preprocessing: Preprocessing,
        missing: Flags,
        store: FeatureCache | None,
        keys: dict[tuple[int, int], bytes],
        pool: ThreadPoolExecutor,
    ) -> None:
        """Fill in the missing views that share one preprocessing, so that each photo is decoded once."""
        view_indices = [
            view_index for view_index, view in enumerate(self.views) if view.preprocessing == preprocessing
        ]
        rows = [row for row in self._in_turn() if missing[row, view_indices].any()]
        model = self.model.with_preprocessing(preprocessing)
        prepared = in_order(pool, lambda row: self._prepare(row, view_indices[0]), rows, ahead=2 * _BATCH)
        looks: list[_Look] = []
        for row, (pixels, warning) in zip(rows, prepared, strict=True):
            if self._is_whole(looks, row):
                self._run_batches(model, looks, store, keys)
                looks = []
            if pixels is not None:
                self.presence.saw(self.paths[row])
            for view_index in view_indices:
                if pixels is None:
                    self.presence.refuse_if_gone([self.paths[row]])
                    self.features.failed[row] = warning or ""
                    self.done += 1
                elif missing[row, view_index]:
                    seen = pixels[:, ::-1] if self.views[view_index].mirrored else pixels
                    looks.append(_Look(row, view_index, seen, warning))
        self._run_batches(model, looks, store, keys)

    def _in_turn(self) -> list[int]:
        """All rows, those of an event that is looked at together one after the other."""
        if self.events is None:
            return list(range(len(self.paths)))
        return [int(row) for row in np.argsort(self.events, kind="stable")]

    def _is_whole(self, looks: Sequence[_Look], row: int) -> bool:
        """Whether what has been gathered is run before the row is: it is enough, or of another event."""
        if self.events is None:
            return len(looks) >= _BATCH
        return bool(looks) and self.events[looks[-1].row] != self.events[row]

    def _run_batches(
        self,
        model: ModelFile,
        looks: Sequence[_Look],
        store: FeatureCache | None,
        keys: dict[tuple[int, int], bytes],
    ) -> None:
        """Run all in one batch; where the model looks at events, one view of the event at a time."""
        view_indices = dict.fromkeys(look.view_index for look in looks) if self.events is not None else [None]
        for only in view_indices:
            batch = [look for look in looks if only in (None, look.view_index)]
            if batch:
                self._run_batch(model, batch, store, keys)

    def _prepare(self, row: int, view_index: int) -> tuple[Pixels | None, str | None]:
        """The pixels and a warning, or None and the reason."""
        try:
            prepared = prepare(
                self.paths[row], self.views[view_index].preprocessing, self.boxes[row][view_index]
            )
        except ImageError as error:
            return None, str(error)
        return prepared.pixels, prepared.warning

    def _run_batch(
        self,
        model: ModelFile,
        batch: Sequence[_Look],
        store: FeatureCache | None,
        keys: dict[tuple[int, int], bytes],
    ) -> None:
        vectors = model.run(np.stack([look.pixels for look in batch])).embedding
        entries = [CachedFeatures(vector, look.warning) for vector, look in zip(vectors, batch, strict=True)]
        for look, entry in zip(batch, entries, strict=True):
            self._set(look.row, look.view_index, entry)
        if store is not None:
            store.put(
                {
                    keys[look.row, look.view_index]: entry
                    for look, entry in zip(batch, entries, strict=True)
                    if (look.row, look.view_index) in keys
                }
            )
        self._tell()

    def _set(self, row: int, view_index: int, entry: CachedFeatures) -> None:
        self.features.values[row, view_index] = entry.vector
        if entry.warning is not None:
            self.features.warnings[row] = entry.warning
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


def _digests(paths: Sequence[Path], store: FeatureCache, pool: ThreadPoolExecutor) -> list[bytes | None]:
    """The digest of each file's content; None where it cannot be read (decoding will say why)."""
    digests: list[bytes | None] = []
    for path in paths:
        try:
            digests.append(store.known_digest(path))
        except OSError:
            digests.append(None)
    unknown = [row for row, digest in enumerate(digests) if digest is None]
    fresh = []
    for row, content_digest in zip(
        unknown, pool.map(_read_digest, [paths[row] for row in unknown]), strict=True
    ):
        if content_digest is not None:
            digests[row] = content_digest[1]
            fresh.append((paths[row], *content_digest))
    store.keep_digests(fresh)
    return digests


def _read_digest(path: Path) -> tuple[os.stat_result, bytes] | None:
    try:
        return path.stat(), digest_file(path)
    except OSError:
        return None


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[_Item], _Result], items: Iterable[_Item], ahead: int
) -> Iterator[_Result]:
    """The results of `work` in the order of the items; at most `ahead` items are read before their turn."""
    waiting: deque[Future[_Result]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
