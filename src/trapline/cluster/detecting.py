"""Boxes found in shards; the whole is what `trapline detect` writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog, DetectedBoxes, Presence
from trapline.cluster.bounds import cut_at_batches
from trapline.cluster.kinds import OpenWork, ShardRun, ToPlan, Units, one_by_one
from trapline.cluster.plan import Plan
from trapline.errors import UsageError
from trapline.images import DEFAULT_LIMITS, Limits
from trapline.models import Detector
from trapline.prediction import (
    BATCH,
    DETECTED,
    Answer,
    DetectionRun,
    Index,
    Input,
    Journal,
    inputs_of,
    media_to_look_at,
    narrow,
    with_found_boxes,
)


def detection(
    detector: Detector, catalog: Catalog, *, part: str | None = None, where_none: bool = False
) -> ToPlan:
    """A detection to be planned: `trapline detect` of the same arguments gives the same file.

    Args:
        detector: with its options.
        catalog: the media.
        part: only this part of the split.
        where_none: only media without a box; the others keep theirs.
    """
    looked = narrow(media_to_look_at(catalog, part, where_none))
    run = DetectionRun(detector, looked, DEFAULT_LIMITS, Presence(looked.filter(pl.lit(value=False))))
    return ToPlan(
        work="detect",
        name=detector.path.name,
        content=detector.content(),
        fingerprint=detector.fingerprint,
        header=run.header,
        media=looked,
        asked=None,
        cut=lambda size: cut_at_batches(len(looked), size, BATCH),
        options={
            "name": detector.name,
            "detector": detector.options(),
            "runtime": detector.runtime,
            "limits": asdict(DEFAULT_LIMITS),
        },
        whole=run.found_by.as_json(),
        around=catalog,
    )


@dataclass(frozen=True)
class _DetectionShard:
    """The detection of one shard."""

    detection: DetectionRun

    @property
    def header(self) -> dict[str, Any]:
        return self.detection.header

    @property
    def schema(self) -> pl.Schema:
        return DETECTED

    def inputs(self) -> Iterator[Input]:
        for rows in inputs_of(self.detection.catalog, None, "media"):
            yield from rows

    def units(self) -> Units:
        return one_by_one(len(self.detection.catalog))

    def wanted(self, index: Index) -> npt.NDArray[np.bool_]:
        return self.detection.wanted(index)

    def batches(self, wanted: npt.NDArray[np.bool_]) -> Iterator[Answer]:
        return self.detection.batches(wanted)

    def rows(self, journal: Journal) -> Iterator[pl.DataFrame]:
        return self.detection.rows(journal)


@dataclass(frozen=True)
class _OpenDetector:
    detector: Detector
    limits: Limits
    workers: int | None

    def run(self, media: Catalog, presence: Presence) -> ShardRun:
        return _DetectionShard(DetectionRun(self.detector, media, self.limits, presence, self.workers))


class Detecting:
    """Boxes of media; the whole is the catalog with them, or MegaDetector's JSON."""

    def open(self, plan: Plan, model: Path, workers: int | None, threads: int | None) -> OpenWork:
        """See `ShardedWork`."""
        options: dict[str, Any] = dict(plan.options)
        detector = Detector(model, threads=threads, runtime=options["runtime"], **options["detector"])
        detector.name = options["name"]
        return _OpenDetector(detector, Limits(**options["limits"]), workers)

    def merge(
        self,
        plan: Plan,
        rows: Callable[[], Iterator[pl.DataFrame]],
        media: Callable[[], Catalog],
        output: Path,
    ) -> DetectedBoxes:
        """See `ShardedWork`; all of it is in memory, as the catalog is that it writes."""
        if output.suffix.lower() not in (".parquet", ".json"):
            raise UsageError(
                f"Boxes are written as a catalog (.parquet) or as .json, not as '{output.name}'."
            )
        from trapline.formats import write_boxes  # workers do without that room

        found_by = DetectedBoxes.from_json(plan.whole, "The plan")
        parts = [pl.DataFrame(schema=DETECTED), *rows()]
        detected = with_found_boxes(media(), pl.concat(parts, rechunk=True), found_by)
        if output.suffix.lower() == ".json":
            write_boxes(detected, output)
        else:
            detected.save(output)
        assert isinstance(detected.facts.boxes, DetectedBoxes)
        return detected.facts.boxes
