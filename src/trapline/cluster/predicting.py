"""Prediction in shards: of media, of boxes, and of events, which are pooled when all media are there."""

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
from trapline.images import Limits
from trapline.models import Familiar, ModelFile
from trapline.prediction import (
    COORDINATES,
    DEFAULT_BATCH_SIZE,
    Answer,
    Index,
    Input,
    Journal,
    Level,
    Run,
    Summary,
    compare,
    inputs_of,
    journal_header,
    make_run,
    measure,
    media_of,
    narrow,
    predictions_head,
    write_answers,
)


def prediction(
    model: ModelFile, catalog: Catalog, *, level: Level = "media", batch_size: int = DEFAULT_BATCH_SIZE
) -> ToPlan:
    """A prediction to be planned: `trapline predict` of the same arguments gives the same table.

    A shard ends where a batch of the whole run ends; of a model that looks at whole events between two of
    them, so that where events are scattered over the catalog, all that lies between is one shard.

    Args:
        model: a classifier.
        catalog: the media.
        level: a row a `media`, `box` or `event`.
        batch_size: inputs a batch.

    Raises:
        UsageError, DataError: the model, the level and the media do not go together.
    """
    run = make_run(model, narrow(catalog), level, batch_size)
    asked = _asked(run)
    options = {
        "level": level,
        "batch_size": batch_size,
        "slots": run.batch_size,
        "runtime": model.runtime,
        "limits": asdict(run.limits),
    }
    if model.card.familiar is not None:
        statistics = model.card.familiar.model_dump(mode="json")
        options |= {"familiar": statistics, "whole_events": run.whole_events}
    return ToPlan(
        work="predict",
        name=model.path.name,
        content=model.content(),
        fingerprint=model.fingerprint,
        header=journal_header(model, level, batch_size, run.limits),
        media=run.catalog,
        asked=asked,
        cut=bounds_of(run, asked, batch_size),
        options=options,
        whole=run.head(batch_size).header(),
    )


def _asked(run: Run) -> npt.NDArray[np.int64] | None:
    """int64 [media]: the inputs of each that the model is asked about; None for one each."""
    if run.rows_are != "box":
        return None
    asked = np.zeros(len(run.catalog), np.int64)
    media, row = -1, None
    for inputs in inputs_of(run.catalog, run.crop, run.level):
        for one in inputs:
            media, row = media + (one.media_id != row), one.media_id
            asked[media] += one.skipped is None
    return asked


@dataclass(frozen=True)
class _ShardRun:
    """A run over the media of a shard, with the batches of the whole."""

    engine: Run
    header: dict[str, Any]

    @property
    def schema(self) -> pl.Schema:
        schema = self.engine.head(self.header["batch_size"]).table.schema
        width = self.engine.coordinates
        return pl.Schema({**schema, COORDINATES: pl.Array(pl.Float32, width)}) if width else schema

    def inputs(self) -> Iterator[Input]:
        for rows in inputs_of(self.engine.catalog, self.engine.crop, self.engine.level):
            yield from (row for row in rows if row.skipped is None)

    def units(self) -> Units:
        return units_of(self.engine)

    def wanted(self, index: Index) -> npt.NDArray[np.bool_]:
        return self.engine.wanted(index)

    def batches(self, wanted: npt.NDArray[np.bool_]) -> Iterator[Answer]:
        return self.engine.batches(wanted)

    def rows(self, journal: Journal) -> Iterator[pl.DataFrame]:
        return self.engine.rows(journal)


@dataclass(frozen=True)
class _Open:
    model: ModelFile
    level: Level
    slots: int
    workers: int | None
    limits: Limits
    header: dict[str, Any]

    def run(self, media: Catalog, presence: Presence) -> ShardRun:
        extent = measure(media, self.model.card.preprocessing.crop, self.level)
        run = Run(self.model, media, self.level, self.slots, presence, self.workers, self.limits, extent)
        return _ShardRun(run, self.header)


class Predicting:
    """Rows of media or boxes; the whole is that of `trapline predict`."""

    def open(self, plan: Plan, model: Path, workers: int | None, threads: int | None) -> OpenWork:
        """See `ShardedWork`."""
        options: dict[str, Any] = dict(plan.options)
        opened = ModelFile(model, threads=threads, runtime=options["runtime"])
        limits, level = Limits(**options["limits"]), options["level"]
        header = journal_header(opened, level, options["batch_size"], limits)
        return _Open(opened, level, options["slots"], workers, limits, header)

    def merge(
        self,
        plan: Plan,
        rows: Callable[[], Iterator[pl.DataFrame]],
        media: Callable[[], Catalog],
        output: Path,
    ) -> Summary:
        """See `ShardedWork`."""
        head, statistics = predictions_head(plan.whole, "The plan"), plan.options.get("familiar")
        of_events = plan.options["level"] == "event"
        whole = media() if of_events or statistics is not None else None
        if whole is not None and statistics is not None:
            familiar = Familiar.model_validate(statistics)
            whole_events = bool(plan.options["whole_events"])
            head = compare(head, rows(), media_of(whole), familiar, whole_events=whole_events)
        return write_answers(head, rows(), output, whole if of_events else None)
