"""Running a detector over a catalog: boxes for every media, written down as they are found."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import BOX, Catalog, DetectedBoxes, Presence
from trapline.images import DEFAULT_LIMITS, Limits
from trapline.models import Detector, Found
from trapline.prediction.decoding import DecodedBatch, Decoding
from trapline.prediction.engine import Progress, count_not_done
from trapline.prediction.inputs import as_catalog, batches
from trapline.prediction.journal import Journal

BATCH = 4
"""A picture is eight times as large as a classifier's, and the network takes longer than decoding."""
_NUMBERS = tuple(BOX.to_schema())
"""What the journal keeps of a box; a media has as many as the detector gives at most, NaN behind the last."""

Floats = npt.NDArray[np.float32]


def detect(
    detector: Detector,
    inputs: Catalog | Sequence[Path | str],
    journal: Path | str,
    *,
    part: str | None = None,
    where_none: bool = False,
    workers: int | None = None,
    fresh: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    progress: Callable[[Progress], None] | None = None,
) -> Catalog:
    """Find boxes in every media; they take the place of those that the catalog has.

    The work is written to the journal batch by batch: whatever ends the run, the same call goes on where it
    stopped. Called again after the end it looks only at media that are new or whose file has changed, and
    tries the failed ones again.

    Args:
        detector: says with its options how confident a box must be.
        inputs: the media.
        journal: the file that the work is written to.
        part: only this part of the catalog's split; the media of the others keep what they have.
        where_none: only media that have no box yet (null or []); the others keep theirs. A second detector
            so finds what the first has missed.
        workers: processes that decode; as many as the machine has cores.
        fresh: forget what an earlier run has done.
        limits: on the bytes of a file and the pixels of a picture.
        progress: called after every batch.

    Returns:
        the catalog with `boxes`, positions as fractions of the upright picture: [] where nothing was found,
        null where the file cannot be read. `facts.boxes` says which detector, and counts; its `failures`
        are media and reasons.

    Raises:
        UsageError: the journal is of another detector or other options.
        DataError: no media.
        SourceGoneError: none of the photos can be read, or they can no longer be.
        TraplineError: the disk is full.
    """
    catalog = as_catalog(inputs)
    looked = catalog if part is None else catalog.part(part)
    if where_none:
        looked = looked.filter(pl.col("boxes").list.len().fill_null(0) == 0)
    presence = Presence(looked)  # before the journal is touched
    with Journal(Path(journal), journal_header(detector, limits), fresh=fresh) as open_journal:
        wanted = count_not_done(looked, None, "media", open_journal.index(), len(looked))
        done = earlier = len(looked) - int(wanted.sum())
        started = time.monotonic()
        decoding = Decoding(looked, detector.preprocessing, limits, presence, workers)
        for batch in decoding.batches(batches(looked, None, "media", BATCH, wanted), BATCH):
            open_journal.append(batch.entries(), box_numbers(detector, batch))
            done += len(batch.inputs)
            if progress is not None:
                progress(Progress(done, len(looked), earlier, time.monotonic() - started))
        boxes, failures = read_back(open_journal, detector, looked)
    return _with_boxes(catalog, looked, boxes, failures, detector)


def journal_header(detector: Detector, limits: Limits) -> dict[str, Any]:
    """What makes two runs one."""
    # Journals of YOLOX's layout say neither layout nor side: they had no other.
    others = {} if detector.layout.name == "yolox" else {"layout": detector.layout.name}
    if detector.side_asked is not None:
        others["side"] = str(detector.side_asked)
    if detector.bgr != detector.layout.bgr:
        others["channels"] = "BGR" if detector.bgr else "RGB"
    if detector.kinds is not None:
        others["kinds"] = detector.kinds.fingerprint
    return others | {
        "journal_version": 3,
        "model": detector.fingerprint,
        "runtime": detector.runtime,
        "preprocessing": detector.preprocessing.model_dump(),
        "categories": list(detector.categories),
        "min_conf": detector.min_conf,
        "overlap": detector.overlap,
        "labels": [f"{name}{box}" for box in range(detector.most) for name in _NUMBERS],
        "limits": asdict(limits),
    }


def box_numbers(detector: Detector, batch: DecodedBatch) -> Floats:
    """float32 [inputs, most × 6]: the boxes of a batch; the detector sees the readable pictures alone."""
    numbers = np.full((len(batch.inputs), detector.most, len(_NUMBERS)), np.nan, np.float32)
    readable = np.flatnonzero(batch.readable)
    if len(readable):
        inner = [batch.pictures[row].inner for row in readable]
        detections = detector.detect(batch.pixels[batch.slots[readable]], inner)
        for row, one in zip(readable, detections, strict=True):
            numbers[row, : len(one.conf)] = _fractions(one, batch.pictures[row].inner)
    return numbers.reshape(len(numbers), -1)


def _fractions(detections: Found, inner: tuple[int, int]) -> Floats:
    """float32 [n, 6] as `_NUMBERS`: boxes clipped to the picture, which is `inner` (height, width) pixels."""
    sides = np.array([inner[1], inner[0]], np.float32)
    near = np.clip(detections.boxes[:, :2] / sides, 0, 1)
    far = np.clip((detections.boxes[:, :2] + detections.boxes[:, 2:]) / sides, 0, 1)
    kinds = detections.categories.astype(np.float32)[:, None]
    return np.hstack([kinds, detections.conf[:, None], near, far - near])


def read_back(
    journal: Journal, detector: Detector, catalog: Catalog
) -> tuple[dict[str, list[dict[str, Any]] | None], dict[str, str]]:
    """Boxes and reasons by media id: of each media the last entry, of those of this run's catalog only."""
    asked = set(catalog.table["media_id"].to_list())
    boxes: dict[str, list[dict[str, Any]] | None] = {}
    failures: dict[str, str] = {}
    for batch in journal.batches():
        for entry, numbers in zip(batch.entries, batch.probabilities, strict=True):
            if entry.media_id not in asked:
                continue
            failures.pop(entry.media_id, None)
            boxes[entry.media_id] = None
            if entry.status == "ok":
                boxes[entry.media_id] = as_boxes(numbers, detector)
            else:
                failures[entry.media_id] = entry.reason or ""
    return boxes, failures


def as_boxes(row: Floats, detector: Detector) -> list[dict[str, Any]]:
    """A catalog's boxes, of what the journal keeps of a media: those that have an area inside the picture."""
    numbers, categories = row.reshape(detector.most, -1), detector.categories
    kept = numbers[(numbers[:, 4] > 0) & (numbers[:, 5] > 0)]  # NaN is not
    return [
        {"category": categories[int(row[0])]}
        | dict(zip(_NUMBERS[1:], (round(float(value), 5) for value in row[1:]), strict=True))
        for row in kept
    ]


def _with_boxes(
    catalog: Catalog,
    looked: Catalog,
    boxes: dict[str, list[dict[str, Any]] | None],
    failures: dict[str, str],
    detector: Detector,
) -> Catalog:
    ids = looked.table["media_id"]
    boxes_of_media = looked.table.select(
        "media_id",
        _looked=pl.lit(True),
        _found=pl.Series([boxes[one] for one in ids], dtype=pl.List(BOX)),
    )
    joined = (
        catalog.table.join(boxes_of_media, on="media_id", how="left", maintain_order="left")
        .with_columns(boxes=pl.when(pl.col("_looked")).then("_found").otherwise("boxes"))
        .drop("_looked", "_found")
    )
    found_by = DetectedBoxes(
        detector=detector.name,
        fingerprint=detector.fingerprint,
        categories=tuple(detector.categories),
        min_conf=detector.min_conf,
        media=len(looked),
        with_boxes=sum(bool(one) for one in boxes.values()),
        failed=len(failures),
        failures=failures,
        kinds=detector.kinds.fingerprint if detector.kinds else None,
    )
    return catalog.with_table(joined, replace(catalog.facts, boxes=found_by))
