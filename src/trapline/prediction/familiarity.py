"""How far the locations of a run lie from what the model has learnt from: sums by location, one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.io.plugins import register_io_source

from trapline.catalog import Cursor, event_key
from trapline.models import FAR, Familiar
from trapline.prediction.assembly import COORDINATES
from trapline.prediction.facts import Compared, FarLocation
from trapline.prediction.parts import AT_ONCE, Media, SideBySide
from trapline.prediction.table import Predictions

MOST_FAR = 100
"""Locations that the header of a table names."""


class _Sums:
    """Of the coordinates of each location, added row by row: the same however the rows are divided."""

    def __init__(self, width: int) -> None:
        self.of_location: dict[str | None, int] = {}
        self.counts: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self.sums: npt.NDArray[np.float64] = np.zeros((0, width))

    def add(self, locations: pl.Series, coordinates: npt.NDArray[np.float32]) -> None:
        """Rows [N] and their coordinates [N, P]."""
        for name in locations.unique(maintain_order=True):
            self.of_location.setdefault(name, len(self.of_location))
        new = len(self.of_location) - len(self.counts)
        self.counts = np.pad(self.counts, (0, new))
        self.sums = np.pad(self.sums, ((0, new), (0, 0)))
        indices = np.array([self.of_location[name] for name in locations.to_list()], np.int64)
        np.add.at(self.counts, indices, 1)
        np.add.at(self.sums, indices, coordinates.astype(np.float64))

    def compared(self, familiar: Familiar) -> Compared:
        """Each location's mean beside those of training."""
        far = [
            FarLocation(location_id=location, media=count, distance=round(distance, 3))
            for location, index in self.of_location.items()
            if (count := int(self.counts[index]))
            and (distance := familiar.distance(self.sums[index] / count, count)) >= FAR
        ]
        far.sort(key=lambda one: (-one.distance, one.location_id or ""))
        return Compared(
            by=familiar.by,
            groups=familiar.groups,
            locations=len(self.counts),
            far=len(far),
            farthest=tuple(far[:MOST_FAR]),
        )


def compare(
    head: Predictions,
    rows: Iterable[pl.DataFrame],
    media: Media,
    familiar: Familiar,
    *,
    whole_events: bool = False,
) -> Predictions:
    """The head of a table that says how far each location lies.

    Args:
        head: everything but the rows, which are of media or boxes.
        rows: with `COORDINATES`, in the order of the catalog.
        media: the catalog.
        familiar: of the model's card.
        whole_events: the model sees the frames of an event together: each event counts once.
    """
    sums, kept = _Sums(familiar.width), ["media_id", "event_id", "status"]
    schema = {name: head.table.schema[name] for name in kept}
    table = register_io_source(
        lambda *_: (part.select([*kept, COORDINATES]) for part in rows),
        schema=pl.Schema({**schema, COORDINATES: pl.Array(pl.Float32, familiar.width)}),
    )
    for locations, part in _with_locations(head, table, media):
        there = part.with_columns(location=locations).filter(pl.col("status") == "ok")
        if whole_events:  # the frames of one are seen together, and all alike
            there = there.unique(event_key(), keep="first", maintain_order=True)
        sums.add(there["location"], there[COORDINATES].to_numpy())
    return replace(head, facts=replace(head.facts, familiar=sums.compared(familiar)))


def _with_locations(
    head: Predictions, table: pl.LazyFrame, media: Media
) -> Iterator[tuple[pl.Series, pl.DataFrame]]:
    """Parts of the rows, each with the locations of its rows."""
    columns = ["media_id", "event_id", "location_id"]
    if head.level == "media":
        side = SideBySide.of_all((head, table), media)
        for (rows,), part in side.frames(media[1].select(columns), [table]):
            yield part["location_id"], rows
        return
    boxes, photos = Cursor(table, AT_ONCE), Cursor(media[1].select(columns), AT_ONCE)
    before = photos.left  # the last media of the part before: its boxes may go on
    while boxes.more():
        rows = boxes.take(AT_ONCE)
        ids = rows["media_id"]
        opens = ids.ne_missing(ids.shift()).to_numpy().copy()
        opens[0] = before.is_empty() or before["media_id"][0] != ids[0]
        known = pl.concat([before, photos.take(int(opens.sum()))])
        index = np.cumsum(opens) - int(before.is_empty())
        yield known["location_id"].gather(index), rows
        before = known[-1:]
