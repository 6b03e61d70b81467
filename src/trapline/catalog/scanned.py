"""Catalogs whose table stays on the disk, and is asked in parts."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import polars as pl

from trapline.arguments import checked
from trapline.catalog.facts import CatalogFacts
from trapline.catalog.parquet_file import streamed
from trapline.catalog.stored import Stored, find_stored
from trapline.catalog.table import Catalog, check, conform
from trapline.storage import AnyPath

ROWS_IN_MEMORY = 2_000_000
"""A catalog that is named by its path is taken into memory up to so many rows (1 GiB, at 600 bytes a row)."""


class ScannedCatalog(Catalog):
    """A catalog of any number of rows: `ScannedCatalog.load(path)`.

    It is a `Catalog`. What is written for tables of any size asks its `frame`, in parts, and needs memory for
    the answers alone: saving, filtering, counts, splits, fingerprints and the checks for leaks. All else asks
    for its `table`, which is then read whole.
    """

    def __init__(
        self,
        table: pl.LazyFrame | pl.DataFrame,
        root: AnyPath,
        source: str,
        facts: CatalogFacts | None = None,
        *,
        rows: int | None = None,
        on_disk: Stored | None = None,
    ) -> None:
        """As of `Catalog`.

        Args:
            table: the rows; checked.
            root: the folder that `file_path` is relative to.
            source: what was read, for people.
            facts: what is known of the whole.
            rows: how many there are, where that is known.
            on_disk: where they lie, which must stay as it is.
        """
        frame = table.lazy()
        count = streamed(frame.select(pl.len()), source).item() if rows is None else rows
        known = {"root": root, "source": source, "facts": facts or CatalogFacts()}
        vars(self).update(known, _frame=frame, _rows_=count, _on_disk=on_disk)

    @classmethod
    @checked
    def load(cls, path: Path | str) -> ScannedCatalog:
        """Open a catalog that `save` wrote, and check it, without taking its table into memory.

        Raises:
            DataError: as of `Catalog.load`.
        """
        return cls._of(find_stored(Path(path).absolute()))

    @classmethod
    def _of(cls, stored: Stored) -> ScannedCatalog:
        frame = conform(stored.scan())
        rows = check(frame, None, stored.path)
        header = stored.header
        return cls(frame, header.root, header.source, header.facts, rows=rows, on_disk=stored)

    def __len__(self) -> int:
        return int(vars(self)["_rows_"])

    @property
    def frame(self) -> pl.LazyFrame:
        """See `Catalog.frame`.

        Raises:
            DataError: the catalog on the disk is no longer the one that was opened.
        """
        stored: Stored | None = vars(self)["_on_disk"]
        if stored is not None:
            stored.refuse_changed()
        frame: pl.LazyFrame = vars(self)["_frame"]
        return frame

    @cached_property
    def table(self) -> pl.DataFrame:
        """The whole table in memory."""
        return streamed(self.frame, self.source)

    def with_frame(self, frame: pl.LazyFrame) -> ScannedCatalog:
        """See `Catalog.with_frame`."""
        return ScannedCatalog(frame, self.root, self.source, self.facts, on_disk=vars(self)["_on_disk"])

    def with_facts(self, facts: CatalogFacts) -> ScannedCatalog:
        """See `Catalog.with_facts`."""
        own = vars(self)
        return ScannedCatalog(
            own["_frame"], self.root, self.source, facts, rows=len(self), on_disk=own["_on_disk"]
        )

    def _rows(self) -> pl.LazyFrame:
        return self.frame


@checked
def open_catalog(path: Path | str) -> Catalog:
    """The catalog at a path: in memory, or scanned where it has more than `ROWS_IN_MEMORY` rows.

    Raises:
        DataError: as of `Catalog.load`.
    """
    stored = find_stored(Path(path).absolute())
    return ScannedCatalog._of(stored) if stored.rows > ROWS_IN_MEMORY else Catalog.load(path)
