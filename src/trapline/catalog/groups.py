"""Which media are right or wrong together: those of a location, or of an event where none is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog.table import event_key
from trapline.errors import many


@dataclass(frozen=True)
class Groups:
    """What intervals and promises resample of some media.

    Attributes:
        keys: text [N]; media of one key belong together.
        by: `location`; `event` where fewer than two locations are known; `media` where neither a location nor
            an event is. With `location`, media of no known location belong to their event.
        locations: those that are known, sorted.
        unplaced: how many media have no known location.
    """

    keys: npt.NDArray[Any]
    by: Literal["location", "event", "media"]
    locations: tuple[str, ...]
    unplaced: int

    @classmethod
    def of(cls, media: pl.DataFrame) -> Groups:
        """Those of rows of a catalog's table."""
        locations = media["location_id"]
        known = tuple(str(location) for location in locations.drop_nulls().unique().sort())
        location = pl.concat_str(pl.lit("location:"), "location_id")
        by: Literal["location", "event", "media"] = "location" if known else "media"
        if len(known) < 2 and media["event_id"].null_count() < media.height:
            by = "event"
        keys = media.select(pl.coalesce(location, event_key()) if by == "location" else event_key())
        return cls(keys.to_series().to_numpy(), by, known, locations.null_count())

    @property
    def count(self) -> int:
        """How many groups there are."""
        return len(np.unique(self.keys))

    @property
    def over(self) -> str:
        """What the groups are, in the plural, for people."""
        if self.by == "location":
            return "locations and, where none is known, events" if self.unplaced else "locations"
        if self.by == "media":
            return "media"
        return "events of one location" if self.locations and not self.unplaced else "events"

    @property
    def where(self) -> str:
        """How many media of what, for people: `201 media at 19 locations`."""
        number = len(self.locations)
        sentence = f"{len(self.keys)} media at {many(number, 'location')}"
        if not number:
            sentence = f"{len(self.keys)} media, their locations not known"
        elif self.unplaced:
            sentence += f", {self.unplaced} of them at none that is known"
        if self.by == "event":
            return f"{sentence} ({many(self.count, 'event')}; intervals are over events)"
        if self.by == "media":
            return f"{sentence} (no events known; intervals are over single media)"
        return f"{sentence} (these by their events)" if self.unplaced else sentence
