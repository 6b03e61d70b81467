"""What the parts of a split have in common and should not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import polars as pl

from trapline.catalog.duplicates import exact_duplicates
from trapline.catalog.table import Catalog

NEAR = timedelta(minutes=5)
IN_ORDER_OF_TIME = ("season", "date")


@dataclass(frozen=True)
class LeakCheck:
    """What lies in more than one part of a split.

    Attributes:
        locations: ids of locations with media in several parts.
        events: ids of events with media in several parts.
        duplicates: media ids of equal files that lie in different parts.
        near: how many neighbours in time at one location lie in different parts within `NEAR`; a warning.
        without_location: media in a part whose location is unknown, so that nothing can be said of it.
        by: what the split was made by; one by season or date is allowed to share locations.
        files_checked: whether the content of the files was compared.
    """

    locations: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    duplicates: tuple[tuple[str, ...], ...] = ()
    near: int = 0
    without_location: int = 0
    by: str | None = None
    files_checked: bool = True

    @property
    def leaking(self) -> bool:
        """Whether a figure from this split would flatter the model."""
        shared = self.locations and self.by not in IN_ORDER_OF_TIME
        return bool(shared or self.events or self.duplicates)

    def lines(self) -> list[str]:
        """One sentence for each thing found, for people; empty if there is nothing."""
        said = []
        if self.locations:
            what = (
                f"{len(self.locations)} locations have media in more than one part ({_some(self.locations)})"
            )
            told = "figures tell how it does at known locations at other times, not at new ones"
            said.append(f"{what}: {told}" if self.by in IN_ORDER_OF_TIME else f"LEAK: {what}")
        if self.events:
            said.append(
                f"LEAK: {len(self.events)} events have media in more than one part ({_some(self.events)})"
            )
        if self.duplicates:
            pairs = [" = ".join(group[:3]) for group in self.duplicates]
            said.append(f"LEAK: {len(pairs)} files occur in more than one part ({_some(pairs)})")
        if self.without_location:
            said.append(
                f"warning: the location of {self.without_location} media is unknown; whether parts share "
                "locations cannot be told"
            )
        if self.near:
            minutes = int(NEAR.total_seconds() // 60)
            said.append(
                f"warning: photos of one location that are less than {minutes} minutes apart are in "
                f"different parts ({self.near} such pairs)"
            )
        return said

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> LeakCheck:
        """From the record of a split (`info["split"]`), whose leak check is kept as a dictionary."""
        kept = {name: value for name, value in record["leaks"].items() if name != "leaking"}
        pairs = tuple(tuple(group) for group in kept["duplicates"])
        return cls(
            **{
                **kept,
                "locations": tuple(kept["locations"]),
                "events": tuple(kept["events"]),
                "duplicates": pairs,
            }
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, with `leaking`."""
        return {**asdict(self), "leaking": self.leaking}


def check_leaks(catalog: Catalog, *, files: bool = True) -> LeakCheck:
    """Look for locations, events and equal files that lie in more than one part of the catalog's split.

    Args:
        catalog: with a split; media in no part do not count.
        files: also compare the content of the files (those of equal size are read).
    """
    wanted = [
        "location_id",
        "event_id",
        "camera_time",
        "split",
        *(("media_id", "file_path") if files else ()),
    ]
    table = catalog.table.select(wanted).filter(pl.col("split").is_not_null())
    return LeakCheck(
        locations=_in_several_parts(table, "location_id"),
        events=_in_several_parts(table, "event_id"),
        duplicates=_shared_files(catalog, table) if files else (),
        near=_near(table),
        without_location=table["location_id"].null_count(),
        by=catalog.info.get("split", {}).get("by"),
        files_checked=files,
    )


def _in_several_parts(table: pl.DataFrame, column: str) -> tuple[str, ...]:
    pairs = table.select(column, "split").drop_nulls().unique()
    if pairs.height == pairs[column].n_unique():
        return ()
    return tuple(pairs.filter(pl.col(column).is_duplicated())[column].unique().sort().to_list())


def _shared_files(catalog: Catalog, table: pl.DataFrame) -> tuple[tuple[str, ...], ...]:
    groups = exact_duplicates([catalog.path(path) for path in table["file_path"]])
    ids, parts = table["media_id"].to_list(), table["split"].to_list()
    return tuple(
        tuple(ids[row] for row in group) for group in groups if len({parts[row] for row in group}) > 1
    )


def _near(table: pl.DataFrame) -> int:
    timed = table.select("location_id", "camera_time", "split").filter(pl.col("camera_time").is_not_null())
    timed = timed.sort("location_id", "camera_time")
    place, time, part = pl.col("location_id"), pl.col("camera_time"), pl.col("split")
    close = (place == place.shift()) & (time - time.shift() <= NEAR) & (part != part.shift())
    return timed.filter(close.fill_null(False)).height


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
