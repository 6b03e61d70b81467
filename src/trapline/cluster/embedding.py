"""Embeddings in shards; the whole is what `trapline embed` writes, and each worker's cache has its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog, Presence
from trapline.cluster.kinds import OpenWork, ShardRun, ToPlan, Units, bounds_of, units_of
from trapline.cluster.plan import Plan
from trapline.images import Limits, Preprocessing
from trapline.models import ModelFile
from trapline.prediction import (
    DEFAULT_BATCH_SIZE,
    Answer,
    EmbeddingRun,
    Index,
    Input,
    Journal,
    Summary,
    inputs_of,
    narrow,
    write_embeddings,
)
from trapline.storage import user_cache_folder
from trapline.training import Seeing, kept_in_cache


def embedding(seeing: Seeing, catalog: Catalog, *, batch_size: int = DEFAULT_BATCH_SIZE) -> ToPlan:
    """Embeddings to be planned: `trapline embed` of the same arguments gives the same table.

    Args:
        seeing: the network, and the views; those that are prepared otherwise than the first have no part.
        catalog: the media.
        batch_size: photos a batch.

    Raises:
        UsageError: the batch size is less than 1.
    """
    model = seeing.network
    run = EmbeddingRun.of(model, narrow(catalog), batch_size, mirrored=seeing.mirrored)

    return ToPlan(
        work="embed",
        name=model.path.name,
        content=model.content(),
        fingerprint=model.fingerprint,
        header=run.header(batch_size),
        media=run.catalog,
        asked=None,
        cut=bounds_of(run, None, batch_size),
        options={
            "batch_size": batch_size,
            "slots": run.batch_size,
            "mirrored": run.mirrored,
            "preprocessing": model.card.preprocessing.model_dump(mode="json"),
            "runtime": model.runtime,
            "limits": asdict(run.limits),
        },
        whole=run.facts(batch_size),
    )


@dataclass(frozen=True)
class _EmbeddingShard:
    """A run over the media of a shard, with the batches of the whole."""

    engine: EmbeddingRun
    batch_size: int

    @property
    def header(self) -> dict[str, Any]:
        return self.engine.header(self.batch_size)

    @property
    def schema(self) -> pl.Schema:
        return self.engine.schema

    def inputs(self) -> Iterator[Input]:
        for rows in inputs_of(self.engine.catalog, self.engine.crop, "media"):
            yield from rows

    def units(self) -> Units:
        return units_of(self.engine)

    def wanted(self, index: Index) -> npt.NDArray[np.bool_]:
        return self.engine.wanted(index)

    def batches(self, wanted: npt.NDArray[np.bool_]) -> Iterator[Answer]:
        return self.engine.batches(wanted)

    def rows(self, journal: Journal) -> Iterator[pl.DataFrame]:
        engine = self.engine
        return kept_in_cache(
            engine.rows(journal), engine.model, engine.catalog, user_cache_folder(), engine.workers
        )


@dataclass(frozen=True)
class _OpenEmbedder:
    model: ModelFile
    options: dict[str, Any]
    workers: int | None

    def run(self, media: Catalog, presence: Presence) -> ShardRun:
        batch_size = self.options["batch_size"]
        run = EmbeddingRun.of(
            self.model,
            media,
            batch_size,
            mirrored=self.options["mirrored"],
            slots=self.options["slots"],
            presence=presence,
            workers=self.workers,
            limits=Limits(**self.options["limits"]),
        )
        return _EmbeddingShard(run, batch_size)


class Embedding:
    """Embeddings of media; the whole is one table of them."""

    def open(self, plan: Plan, model: Path, workers: int | None, threads: int | None) -> OpenWork:
        """See `ShardedWork`."""
        options: dict[str, Any] = dict(plan.options)
        opened = ModelFile(model, threads=threads, runtime=options["runtime"])
        wanted = Preprocessing.model_validate(options["preprocessing"])
        return _OpenEmbedder(opened.with_preprocessing(wanted), options, workers)

    def merge(
        self,
        plan: Plan,
        rows: Callable[[], Iterator[pl.DataFrame]],
        media: Callable[[], Catalog],
        output: Path,
    ) -> Summary:
        """See `ShardedWork`."""
        return write_embeddings(plan.whole, rows(), output)
