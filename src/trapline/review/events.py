"""The events of a catalog, which are what a person is asked about, and the media of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog, event_key, frame_order
from trapline.errors import DataError


@dataclass(frozen=True, eq=False)
class Events:
    """The E events of a catalog, in the order in which it first names them.

    Attributes:
        keys: what each is known by (`trapline.catalog.event_key`).
        rows: int64 [N], the rows of the catalog, those of an event together and in the order they were shot.
        starts: int64 [E + 1]: the rows of event e are `rows[starts[e]:starts[e + 1]]`.
    """

    keys: list[str]
    rows: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, catalog: Catalog) -> Events:
        """The events of a catalog; a media without one is one alone."""
        keys = catalog.table.select(event_key().alias("_event"))["_event"]
        names = keys.unique(maintain_order=True)
        numbers = (
            keys.to_frame()
            .join(names.to_frame().with_row_index("_number"), on="_event", how="left", maintain_order="left")[
                "_number"
            ]
            .to_numpy()
        )
        shot = frame_order(catalog.table)
        rows = shot[np.argsort(numbers[shot], kind="stable")]
        starts = np.zeros(len(names) + 1, np.int64)
        np.cumsum(np.bincount(numbers, minlength=len(names)), out=starts[1:])
        return cls(names.to_list(), rows.astype(np.int64), starts)

    def __len__(self) -> int:
        return len(self.keys)

    def rows_of(self, index: int) -> list[int]:
        """The rows of the catalog that are the media of an event, in the order they were shot."""
        selected: list[int] = self.rows[self.starts[index] : self.starts[index + 1]].tolist()
        return selected

    @cached_property
    def of_row(self) -> npt.NDArray[np.int64]:
        """int64 [N]: the event of each row of the catalog."""
        numbers = np.empty(len(self.rows), np.int64)
        numbers[self.rows] = np.repeat(np.arange(len(self)), np.diff(self.starts))
        return numbers

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {key: index for index, key in enumerate(self.keys)}

    def index(self, key: str) -> int:
        """Which event this is.

        Raises:
            DataError: none of these.
        """
        try:
            return self._indices[key]
        except KeyError:
            raise DataError(f"There is no event {key[:200]!r} in this review.") from None

    def indices(self, keys: Iterable[str]) -> list[int]:
        """Which events these are; what is none of these is left out."""
        return [self._indices[key] for key in keys if key in self._indices]

    @cached_property
    def first_rows(self) -> npt.NDArray[np.int64]:
        """int64 [E]: the row of the first media of each event."""
        return self.rows[self.starts[:-1]]

    def times(self, catalog: Catalog) -> npt.NDArray[np.float64]:
        """float64 [E]: the first time of each event by its camera's clock, seconds; NaN where unknown."""
        seconds = (
            catalog.table["camera_time"].dt.epoch("us").cast(pl.Float64).fill_null(np.nan).to_numpy() / 1e6
        )
        least = np.fmin.reduceat(seconds[self.rows], self.starts[:-1]) if len(self) else np.empty(0)
        return np.asarray(least, np.float64)
