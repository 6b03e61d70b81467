"""What a network sees in each media, as a table: a row a media, with its embedding."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.io.plugins import register_io_source

from trapline.catalog import Catalog, Presence, for_polars
from trapline.errors import DataError, UsageError
from trapline.images import DEFAULT_LIMITS, Limits
from trapline.models import ModelFile
from trapline.prediction.decoding import Pixels
from trapline.prediction.engine import DEFAULT_BATCH_SIZE, EMBEDDING, BatchRunner, Run
from trapline.prediction.inputs import measure
from trapline.prediction.journal import Journal
from trapline.prediction.summary import Summary, Tally
from trapline.prediction.table import FIXED, ROW_GROUP
from trapline.storage import replace_whole, sync_folder

HEADER = "trapline_embeddings"
"""What the Parquet file's metadata call the JSON that says of which model they are, and how it looked."""


@dataclass(frozen=True)
class EmbeddingRun(Run):
    """A run of which the journal keeps what the network sees, and not what it says.

    Attributes:
        mirrored: whether it looks at the mirror images too, for whoever wants them; see `rows`.
    """

    mirrored: bool = False

    @classmethod
    def of(
        cls,
        model: ModelFile,
        catalog: Catalog,
        batch_size: int = DEFAULT_BATCH_SIZE,
        *,
        mirrored: bool = False,
        slots: int | None = None,
        presence: Presence | None = None,
        workers: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> EmbeddingRun:
        """A run over a catalog.

        Args:
            model: any model file, a backbone or a classifier, that prepares photos as is wanted.
            catalog: the media; its boxes are used if the model crops.
            batch_size: photos a batch.
            mirrored: look at the mirror images too.
            slots: of a batch, where the catalog is a part of another; None for what suits it alone.
            presence: of the photos; None if none is asked for yet.
            workers: processes that decode; None for as many as the machine has cores.
            limits: on the bytes of a file and the pixels of a picture.

        Raises:
            UsageError: the batch size is less than 1.
        """
        if batch_size < 1:
            raise UsageError(f"The batch size must be at least 1, not {batch_size}.")
        extent = measure(catalog, model.card.preprocessing.crop, "media")
        slots = slots or max(1, min(batch_size, extent.asked))
        presence = presence or Presence(catalog.filter(pl.lit(value=False)))
        return cls(model, catalog, "media", slots, presence, workers, limits, extent, mirrored)

    @property
    def width(self) -> int:
        """Numbers that are kept of an input: its embedding, and perhaps that of its mirror image."""
        return self.size * (2 if self.mirrored else 1)

    @property
    def size(self) -> int:
        """Numbers of an embedding."""
        return self.model.card.embedding_size

    @cached_property
    def network(self) -> BatchRunner:
        """What is asked about the batches."""
        return (_BothWays if self.mirrored else BatchRunner)(self.model, EMBEDDING)

    def header(self, batch_size: int) -> dict[str, Any]:
        """Of the journal: what makes two runs one."""
        return {
            "journal_version": 2,
            "what": "embedding",
            "model": self.model.fingerprint,
            "runtime": self.model.runtime,
            "preprocessing": self.model.card.preprocessing.model_dump(mode="json"),
            "labels": [str(number) for number in range(self.width)],
            "batch_size": batch_size,
            "limits": asdict(self.limits),
        }

    def facts(self, batch_size: int) -> dict[str, Any]:
        """Of the table."""
        kept, model = self.header(batch_size), self.model
        names = ("preprocessing", "runtime", "batch_size", "limits")
        named = {"name": model.card.name, "model": model.fingerprint, "size": self.size}
        how = {name: kept[name] for name in names}
        return {"format_version": 1, **named, "info": {"source": self.catalog.source, **how}}

    @property
    def schema(self) -> pl.Schema:
        """Of the rows."""
        return embedding_schema(self.size)

    def rows(self, journal: Journal) -> Iterator[pl.DataFrame]:
        """The table's rows of a journal that has them all, in the order of the catalog.

        Where mirror images were looked at, with one more column, `mirrored`.
        """
        numbers, there = list(journal.header["labels"]), pl.col("status") == "ok"
        for part in super().rows(journal):
            vectors = part.select(numbers).to_numpy().astype(np.float32)
            seen = {"embedding": vectors[:, : self.size]}
            if self.mirrored:
                seen[MIRRORED] = vectors[:, self.size :]
            columns = [
                pl.Series(name, values, pl.Array(pl.Float32, self.size)) for name, values in seen.items()
            ]
            either = [pl.when(there).then(name).alias(name) for name in seen]
            yield part.select(_FIXED).with_columns(columns).with_columns(either)


class _BothWays(BatchRunner):
    """A network that looks at each picture and at its mirror image."""

    def run(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """float32 [batch, 2 D] for uint8 [batch, height, width, 3]."""
        mirrored = np.ascontiguousarray(pixels[:, :, ::-1])
        return np.hstack([super().run(pixels), super().run(mirrored)])


MIRRORED = "mirrored"
"""The column of the embeddings of mirror images, which is in no table that is written."""

_FIXED = [name for name in FIXED if name != "box"]


def embedding_schema(size: int) -> pl.Schema:
    """Columns of a table of embeddings of so many numbers; null where a photo could not be read."""
    fixed = {name: kind for name, kind in FIXED.items() if name in _FIXED}
    return pl.Schema({**fixed, "embedding": pl.Array(pl.Float32, size)})


def check_embeddings_path(path: Path) -> None:
    """Refuse a table of embeddings that is not Parquet, before any work.

    Raises:
        UsageError: so it is.
    """
    if path.suffix.lower() != ".parquet":
        raise UsageError(f"Embeddings are written as .parquet, not as '{path.name}'.")


def write_embeddings(facts: Mapping[str, Any], parts: Iterable[pl.DataFrame], path: Path) -> Summary:
    """Write a table of embeddings, of which no more than a part is in memory, and count it.

    Args:
        facts: of the table, JSON-able; `size` is that of an embedding.
        parts: the rows, in the order of the catalog.
        path: `.parquet`; it appears under its name when it is whole and on disk.

    Raises:
        UsageError: another suffix.
        DataError: the disk is full or not writable.
    """
    check_embeddings_path(path)
    tally = Tally(())
    counted = register_io_source(
        lambda *_: (tally.add(part) for part in parts), schema=embedding_schema(int(facts["size"]))
    )
    try:
        with replace_whole(path) as partial, for_polars(partial, "wb") as file:
            counted.sink_parquet(
                file,
                metadata={HEADER: json.dumps(facts, indent=1)},
                row_group_size=ROW_GROUP,
                sync_on_close="all",
            )
        sync_folder(path.parent)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{path} cannot be written: {reason}.") from error
    return tally.summary()
