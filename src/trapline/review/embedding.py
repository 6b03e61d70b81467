"""The embeddings of a project's media, computed in the background and read while they come.

Two files of numbers lie in a folder, written by one process and read by another; losing them costs time only,
as every embedding is also kept by content (`trapline.training.embed`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from numpy.lib.format import open_memmap

from trapline.catalog import Catalog, event_key
from trapline.images import CropPolicy, choose_box
from trapline.models import ModelFile
from trapline.training import FeatureView, embed_views

Singles = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_VECTORS, _STATES, _WORDS = "vectors.npy", "states.npy", "words.jsonl"
WAITING, KNOWN, UNREADABLE = 0, 1, 2
_FIRST_CHUNK, _LARGEST_CHUNK = 64, 2048


@dataclass(frozen=True, eq=False)
class Embeddings:
    """What is known so far of each media of a catalog.

    Attributes:
        folder: where it is kept.
        vectors: float32 [N, D], on disk; numbers only where the state is `KNOWN`.
        states: uint8 [N], on disk: `WAITING`, `KNOWN` or `UNREADABLE`.
    """

    folder: Path
    vectors: Singles
    states: npt.NDArray[np.uint8]

    @classmethod
    def make(cls, folder: Path, media: int, size: int) -> Embeddings:
        """New ones, of which nothing is known yet."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in (_STATES, _VECTORS, _WORDS):
            (folder / name).unlink(missing_ok=True)
        vectors = open_memmap(folder / _VECTORS, "w+", np.float32, (media, size))
        states = open_memmap(folder / _STATES, "w+", np.uint8, (media,))
        return cls(folder, vectors, states)

    @classmethod
    def open(cls, folder: Path) -> Embeddings | None:
        """Those that another process makes; None before it has begun."""
        try:
            return cls(folder, open_memmap(folder / _VECTORS, "r"), open_memmap(folder / _STATES, "r"))
        except (OSError, ValueError):  # not there, or not yet as long as it will be
            return None

    def put(self, rows: Rows, vectors: Singles, unreadable: dict[int, str], odd: dict[int, str]) -> None:
        """Keep what was computed for some rows.

        Args:
            rows: of the catalog.
            vectors: float32 [rows, D].
            unreadable: row → why.
            odd: row → what is odd about a photo that can be read.
        """
        readable = ~np.isin(rows, list(unreadable))
        self.vectors[rows[readable]] = vectors[readable]
        if unreadable or odd:
            with (self.folder / _WORDS).open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(pair) + "\n" for pair in (unreadable | odd).items())
        self.states[rows[readable]] = KNOWN  # last: who reads meanwhile sees numbers where it is told of some
        self.states[list(unreadable)] = UNREADABLE

    @property
    def known(self) -> Flags:
        """[N]: of which media there is an embedding."""
        return np.asarray(self.states == KNOWN)

    def words(self) -> dict[int, str]:
        """Row → why its photo cannot be read, or what is odd about it."""
        try:
            lines = (self.folder / _WORDS).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        return dict(json.loads(line) for line in lines)

    def of_events(self, of_row: Rows, count: int, boxed: Flags) -> Singles:
        """Float32 [E, D]: the mean over each event's boxed media, else over all; NaN where none is known yet.

        Args:
            of_row: int [N], the event of each media.
            count: E.
            boxed: [N], which media have a box that the model looks at.
        """
        from scipy.sparse import csr_array

        known = self.known
        any_boxed = np.bincount(of_row, known & boxed, count) > 0
        used = np.flatnonzero(known & (boxed | ~any_boxed[of_row]))
        of_used = of_row[used]
        shares = 1 / np.maximum(np.bincount(of_used, minlength=count), 1)
        weights = csr_array(
            (shares[of_used].astype(np.float32), (of_used, np.arange(len(used)))), (count, len(used))
        )
        means = np.asarray(weights @ self.vectors[used], np.float32)
        means[np.bincount(of_used, minlength=count) == 0] = np.nan
        return means


def boxed_media(catalog: Catalog, crop: CropPolicy | None) -> Flags:
    """[N]: which media have a box that a model with this policy looks at."""
    policy = crop or CropPolicy()
    return np.array(
        [choose_box(boxes, policy) is not None for boxes in catalog.table["boxes"].to_list()], bool
    )


def reading_order(catalog: Catalog, boxed: Flags, seed: int) -> Rows:
    """int [N], the rows in the order in which a review can use their embeddings soonest.

    First one media of every event, with a box if it has one: events with a box before those without, else by
    chance, so that any beginning of it is spread over the project. Then the others.
    """
    media = catalog.table.select(event_key().alias("event"), pl.Series("boxed", boxed)).with_row_index("row")
    first = (
        media.sort("boxed", descending=True, maintain_order=True)
        .group_by("event", maintain_order=True)
        .agg(pl.col("row", "boxed").first())
        .sort("row")  # so that the draw is the same for the same catalog
        .sample(fraction=1, shuffle=True, seed=seed)
        .sort("boxed", descending=True, maintain_order=True)["row"]
        .to_numpy()
        .astype(np.int64)
    )
    return np.concatenate([first, np.setdiff1d(np.arange(len(catalog)), first)])


def embed_project(
    model: ModelFile,
    catalog: Catalog,
    view: FeatureView,
    folder: Path,
    *,
    seed: int = 0,
    cache: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Embeddings:
    """Embed all media of a project, those first that a review needs first.

    Args:
        model: the backbone.
        catalog: of the project.
        view: how the photos are prepared.
        folder: for the embeddings; what another catalog left there goes.
        seed: of the order.
        cache: folder of the feature cache; None for the user's.
        progress: called with the media that are done and the number of all.
    """
    made = Embeddings.make(folder, len(catalog), model.card.embedding_size)
    order = reading_order(catalog, boxed_media(catalog, view.preprocessing.crop), seed)
    done = 0
    for rows in _chunks(order):
        part = catalog.with_table(catalog.table[rows.tolist()])

        def tell(views: int, _: int, before: int = done) -> None:
            progress(before + views, len(order))

        looked = embed_views(model, part, [view], cache=cache or "user", skip_unreadable=True, progress=tell)
        unreadable, odd = (
            {int(rows[at]): why for at, why in words.items()} for words in (looked.failed, looked.warnings)
        )
        made.put(rows, looked.values[:, 0], unreadable, odd)
        done += len(rows)
    return made


def _chunks(order: Rows) -> Iterator[Rows]:
    """Short ones first, so that there is soon something to begin with."""
    start, length = 0, _FIRST_CHUNK
    while start < len(order):
        yield order[start : start + length]
        start, length = start + length, min(2 * length, _LARGEST_CHUNK)
