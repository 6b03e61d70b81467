"""The kinds of work that are done in shards: each says how a shard is run, and how the whole is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog, Presence
from trapline.cluster.bounds import cut_at_batches, cut_between_events
from trapline.cluster.plan import Plan
from trapline.prediction import Answer, EmbeddingRun, Index, Input, Journal, Run, event_rows

Units = Sequence[npt.NDArray[np.int64]]
"""Asked inputs, int64 each, that one process is asked about together or not at all."""


def units_of(run: Run | EmbeddingRun) -> Units:
    """Whole events where the model looks at these, else each input by itself."""
    if run.whole_events:
        return [rows.to_numpy().astype(np.int64) for rows in event_rows(run.catalog)]
    return one_by_one(run.extent.asked)


def bounds_of(
    run: Run | EmbeddingRun, asked: npt.NDArray[np.int64] | None, batch_size: int
) -> Callable[[int], Sequence[int]]:
    """What gives the bounds of shards of so many media at least, between which a run answers the same.

    Args:
        run: over all media.
        asked: int64 [media], the inputs of each that the model is asked about; None for one each.
        batch_size: inputs a batch.
    """

    def cut(size: int) -> list[int]:
        if run.whole_events:
            return cut_between_events(last_of_event(run.catalog), size)
        return cut_at_batches(len(run.catalog) if asked is None else asked, size, batch_size)

    return cut


def last_of_event(catalog: Catalog) -> npt.NDArray[np.int64]:
    """int64 [media]: the row of the last media of each one's event."""
    last = np.zeros(len(catalog), np.int64)
    for rows in event_rows(catalog):
        last[rows.to_numpy()] = rows.item(-1)
    return last


def one_by_one(inputs: int) -> Units:
    """Each input a unit of its own."""
    return list(np.arange(inputs, dtype=np.int64).reshape(-1, 1))


class ShardRun(Protocol):
    """The run of one shard: an ordinary one, of which the journal is kept and the rows are written."""

    @property
    def header(self) -> dict[str, Any]:
        """Of the journal."""
        ...

    @property
    def schema(self) -> pl.Schema:
        """Of the rows."""
        ...

    def inputs(self) -> Iterator[Input]:
        """What is asked, in the order of the catalog."""
        ...

    def units(self) -> Units:
        """The inputs whose answers depend on one another: a frame alone, or those of an event."""
        ...

    def wanted(self, index: Index) -> npt.NDArray[np.bool_]:
        """One boolean an asked input: whether it is still to be answered."""
        ...

    def batches(self, wanted: npt.NDArray[np.bool_]) -> Iterator[Answer]:
        """Entries and numbers of the wanted inputs, batch by batch, as the whole run would have them."""
        ...

    def rows(self, journal: Journal) -> Iterator[pl.DataFrame]:
        """The rows of the shard's table."""
        ...


class OpenWork(Protocol):
    """Work whose model is open: it runs one shard after the other."""

    def run(self, media: Catalog, presence: Presence) -> ShardRun:
        """The run of the media of one shard."""
        ...


@dataclass(frozen=True)
class ToPlan:
    """Work that can be planned.

    Attributes:
        work: its kind, a name in `SHARDED_WORK`.
        name: of the model's file.
        content: of it.
        fingerprint: of the model.
        header: of the journals; a worker on whose machine it would be another does not begin.
        media: that are asked for, in the order of the table that is to be written.
        asked: int64 [media], the inputs of each that the model is asked about; None for one each.
        cut: gives the bounds of shards of so many media at least.
        options: JSON-able, all that a worker must know.
        whole: JSON-able, what is true of the whole table and not of a shard's.
        around: the catalog of which `media` are a part, where what is written needs it; else None.
    """

    work: str
    name: str
    content: bytes
    fingerprint: str
    header: Mapping[str, Any]
    media: Catalog
    asked: npt.NDArray[np.int64] | None
    cut: Callable[[int], Sequence[int]]
    options: Mapping[str, Any]
    whole: Mapping[str, Any]
    around: Catalog | None = None

    def on(self, runtime: str) -> ToPlan:
        """The same on another runtime, that this machine need not have."""
        whole = dict(self.whole)
        if "info" in whole:
            whole["info"] = {**whole["info"], "runtime": runtime}
        named = {"runtime": runtime}
        return replace(self, header={**self.header, **named}, options={**self.options, **named}, whole=whole)


class ShardedWork(Protocol):
    """A kind of work. What is planned is in the plan; nothing of it is asked for again."""

    def open(self, plan: Plan, model: Path, workers: int | None, threads: int | None) -> OpenWork:
        """Open the model.

        Args:
            plan: of the run.
            model: its file.
            workers: processes that decode; None for one a core.
            threads: the network runs on; None for one a core.

        Raises:
            DataError: the model's file cannot be read.
            UsageError: this machine lacks the runtime of the plan.
        """
        ...

    def merge(
        self,
        plan: Plan,
        rows: Callable[[], Iterator[pl.DataFrame]],
        media: Callable[[], Catalog],
        output: Path,
    ) -> Any:
        """Write the whole, byte for byte as one run would have.

        Args:
            plan: of the run.
            rows: gives those of all shards, in the order of the catalog, some at a time.
            media: gives the whole catalog, which few need.
            output: what to write.

        Returns:
            counts of it.
        """
        ...
