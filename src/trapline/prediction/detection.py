"""Running a detector over a catalog: boxes for every media, written down as they are found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import BOX, Catalog, DetectedBoxes, Presence
from trapline.images import DEFAULT_LIMITS, Limits
from trapline.models import Detector, Found
from trapline.prediction.decoding import DecodedBatch, Decoding
from trapline.prediction.engine import Answer, Progress, count_not_done, fill_journal
from trapline.prediction.inputs import as_catalog, batches
from trapline.prediction.journal import Index, Journal

BATCH = 4
"""A picture is eight times as large as a classifier's, and the network takes longer than decoding."""
_NUMBERS = tuple(BOX.to_schema())
"""What the journal keeps of a box; a media has as many as the detector gives at most, NaN behind the last."""

DETECTED = pl.Schema(
    {"media_id": pl.String(), "status": pl.String(), "reason": pl.String(), "boxes": pl.List(BOX)}
)
"""What was found in a media: `ok` with boxes, or `failed` with the reason and null."""

_ROWS = 1024

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
    looked = media_to_look_at(catalog, part, where_none)
    run = DetectionRun(detector, looked, limits, Presence(looked), workers)  # before the journal is touched
    with Journal(Path(journal), run.header, fresh=fresh) as open_journal:
        fill_journal(run, open_journal, run.wanted(open_journal.index()), progress)
        rows = pl.concat([run.empty, *run.rows(open_journal)])
    return with_found_boxes(catalog, rows, run.found_by)


def media_to_look_at(catalog: Catalog, part: str | None, where_none: bool) -> Catalog:
    """The media of a catalog that a detector is asked about; see `detect`."""
    looked = catalog if part is None else catalog.part(part)
    return looked.filter(pl.col("boxes").list.len().fill_null(0) == 0) if where_none else looked


@dataclass(frozen=True)
class DetectionRun:
    """A detector over media, batch by batch.

    Attributes:
        detector: says with its options how confident a box must be.
        catalog: of the media that are looked at.
        limits: on the bytes of a file and the pixels of a picture.
        presence: of the photos.
        workers: processes that decode; None for as many as the machine has cores.
    """

    detector: Detector
    catalog: Catalog
    limits: Limits
    presence: Presence
    workers: int | None = None

    @property
    def header(self) -> dict[str, Any]:
        """Of the journal."""
        return journal_header(self.detector, self.limits)

    @property
    def found_by(self) -> DetectedBoxes:
        """What a catalog says of the boxes, without the counts."""
        detector = self.detector
        return DetectedBoxes(
            detector=detector.name,
            fingerprint=detector.fingerprint,
            categories=tuple(detector.categories),
            min_conf=detector.min_conf,
            media=0,
            with_boxes=0,
            failed=0,
            failures={},
            kinds=detector.kinds.fingerprint if detector.kinds else None,
        )

    def wanted(self, index: Index) -> npt.NDArray[np.bool_]:
        """One boolean a media: whether it is new, its file has changed, or it failed."""
        return count_not_done(self.catalog, None, "media", index, len(self.catalog))

    def batches(self, wanted: npt.NDArray[np.bool_]) -> Iterator[Answer]:
        """Entries of the wanted media and their boxes, as the journal keeps both."""
        decoding = Decoding(
            self.catalog, self.detector.preprocessing, self.limits, self.presence, self.workers
        )
        for batch in decoding.batches(batches(self.catalog, None, "media", BATCH, wanted), BATCH):
            yield batch.entries(), box_numbers(self.detector, batch)

    def rows(self, journal: Journal) -> Iterator[pl.DataFrame]:
        """What was found in each media, in the order of the catalog; columns as in `DETECTED`."""
        boxes, failures = read_back(journal, self.detector, self.catalog)
        for part in self.catalog.table.select("media_id").iter_slices(_ROWS):
            ids = part["media_id"].to_list()
            columns: dict[str, list[Any]] = {
                "media_id": ids,
                "status": ["failed" if one in failures else "ok" for one in ids],
                "reason": [failures.get(one) for one in ids],
                "boxes": [boxes[one] for one in ids],
            }
            yield pl.DataFrame(columns, schema=DETECTED)

    @property
    def empty(self) -> pl.DataFrame:
        """No rows of such."""
        return pl.DataFrame(schema=DETECTED)


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


def with_found_boxes(catalog: Catalog, rows: pl.DataFrame, found_by: DetectedBoxes) -> Catalog:
    """The catalog with what was found in some or all of its media.

    Args:
        catalog: the media; those without a row keep their boxes.
        rows: columns as in `DETECTED`.
        found_by: what the catalog is to say of them, without the counts.
    """
    looked = rows.select("media_id", pl.lit(value=True).alias("_looked"), pl.col("boxes").alias("_boxes"))
    joined = (
        catalog.table.join(looked, on="media_id", how="left", maintain_order="left")
        .with_columns(boxes=pl.when(pl.col("_looked")).then("_boxes").otherwise("boxes"))
        .drop("_looked", "_boxes")
    )
    failed = rows.filter(pl.col("status") == "failed")
    counted = replace(
        found_by,
        media=rows.height,
        with_boxes=int((rows["boxes"].list.len() > 0).sum()),
        failed=failed.height,
        failures=dict(failed.select("media_id", pl.col("reason").fill_null("")).iter_rows()),
    )
    return catalog.with_table(joined, replace(catalog.facts, boxes=counted))
