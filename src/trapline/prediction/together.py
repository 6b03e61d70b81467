"""Boxes found and looked into in one pass over the photos, each decoded once where that serves both networks.

The pass writes the journals of `detect` and of `predict`, batch by batch, as these would: same batches, same
numbers. They are called after it, find their work done, and make of it what they always make. So whatever
ends the pass, or whatever it leaves out, costs time and changes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import polars as pl

from trapline.catalog import Catalog
from trapline.images import DEFAULT_LIMITS, Content, Limits
from trapline.models import Detector, ModelFile
from trapline.prediction.decoding import DecodedFile, Decoding, Photo, Pixels
from trapline.prediction.detection import BATCH, as_boxes, box_numbers, journal_header, read_back
from trapline.prediction.engine import Progress, Run, count_not_done, journal_path, not_done, prepare_run
from trapline.prediction.inputs import Input, as_catalog, rows_of
from trapline.prediction.journal import Journal
from trapline.prediction.table import Level
from trapline.storage import FetchAhead

_MOST_PHOTOS = 256
"""That are listed at a time where the detector is asked about none of them."""


def look_once(
    detector: Detector,
    model: ModelFile,
    inputs: Catalog | Sequence[Path | str],
    boxes_journal: Path,
    output: Path,
    *,
    level: Level = "media",
    part: str | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    fresh: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    rows_per_file: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> bool:
    """Do the work of `detect` (of media that have no box) and of `predict_to_file` with the boxes; no table.

    Where a batch is one event, or where its size depends on how many boxes will be found, nothing is done.

    Args:
        detector: finds the boxes.
        model: looks into them.
        inputs: the media.
        boxes_journal: of `detect`.
        output: the table; the journal of `predict_to_file` is beside it.
        level: see `predict_to_file`, likewise the others.
        part: only this part of the catalog's split.
        batch_size: inputs a batch.
        workers: processes that decode; as many as the machine has cores.
        fresh: forget what earlier runs have done.
        limits: on the bytes of a file and the pixels of a picture.
        rows_per_file: of the table, where it is to be a folder.
        progress: called after every batch of answers.

    Returns:
        whether it was done; then the two are not to be called with `fresh`, which would undo it.

    Raises:
        UsageError: a journal is of another detector, model, or other options.
        DataError: no media.
        SourceGoneError: none of the photos can be read, or they can no longer be.
        TraplineError: the disk is full.
    """
    options: dict[str, Any] = {"level": level, "part": part, "batch_size": batch_size, "workers": workers}
    options["rows_per_file"] = rows_per_file
    run, header = prepare_run(model, as_catalog(inputs), output, fresh=fresh, limits=limits, **options)
    if run.whole_events or (level == "box" and len(run.catalog) < header["batch_size"]):
        return False
    with (
        Journal(boxes_journal, journal_header(detector, limits), fresh=fresh) as boxes,
        Journal(journal_path(output), header, fresh=fresh) as answers,
        ThreadPoolExecutor(run.decoding.processes, thread_name_prefix="decode") as pool,
    ):
        try:
            _Pass(detector, run, boxes, answers, pool).go(progress)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return True


@dataclass
class _OnItsWay:
    """A media on its way.

    Attributes:
        media_id: of the catalog, likewise the next two.
        boxes: those it has; None while they are not known, or if it could not be read.
        look: whether the detector is to be asked about it.
        whole: what the second network would see of the full frame, and of what file; None if that has to be
            decoded for it.
    """

    media_id: str
    event_id: str | None
    file_path: str
    boxes: list[dict[str, Any]] | None
    look: bool
    whole: tuple[Pixels, DecodedFile] | None = None


_Ready = dict[int, tuple[Pixels, DecodedFile]]
"""`Input.key` -> pixels that need not be decoded any more."""


@dataclass(frozen=True)
class _SecondLook(Decoding):
    """Decoding where the pixels of some inputs are there already.

    Attributes:
        ready: those; taken out as they are used.
    """

    ready: _Ready = field(default_factory=dict)

    def _is_ready(self, rows: list[tuple[int, Input]]) -> bool:
        return len(rows) == 1 and rows[0][1].key in self.ready

    def _photo(self, rows: list[tuple[int, Input]], fetching: FetchAhead) -> Photo:
        if self._is_ready(rows):
            return lambda: Content("", b"")  # what nobody asks for
        return super()._photo(rows, fetching)

    def _read(self, pixels: Pixels, rows: list[tuple[int, Input]], photo: Photo) -> list[DecodedFile]:
        if not self._is_ready(rows):
            return super()._read(pixels, rows, photo)
        slot, row = rows[0]
        pixels[slot], picture = self.ready.pop(row.key)
        return [picture]


class _Pass:
    """The photos of a run in the order of its catalog: to the detector, and on to the model.

    Args:
        detector: as of `look_once`.
        run: of the model.
        boxes: their journal.
        answers: theirs.
        pool: threads that wait for the processes that decode.
    """

    def __init__(
        self, detector: Detector, run: Run, boxes: Journal, answers: Journal, pool: ThreadPoolExecutor
    ) -> None:
        self.detector, self.run, self.boxes, self.answers, self.pool = detector, run, boxes, answers, pool
        self.ready: _Ready = {}
        self.earlier = 0

    def go(self, progress: Callable[[Progress], None] | None) -> None:
        """Do all that is left of both."""
        second = _SecondLook(**vars(self.run.decoding), ready=self.ready)
        total, done, last, began = len(self.run.catalog), 0, None, monotonic()
        for batch in second.batches(self._inputs(), self.run.batch_size, self.pool):
            entries, numbers = self.run.answer(batch)
            self.answers.append(entries, numbers)
            for entry in entries:  # the boxes of a media follow one another
                done, last = done + (entry.media_id != last), entry.media_id
            if progress is not None:
                progress(Progress(self.earlier + done, total, self.earlier, monotonic() - began))

    def _inputs(self) -> Iterator[list[tuple[int, Input]]]:
        """The batches that `inputs.batches` would make of the catalog with its boxes."""
        done, size, index = self.answers.index(), self.run.batch_size, 0
        batch: list[tuple[int, Input]] = []
        for photos in self._looked_at():
            for photo in photos:
                rows = self._rows(photo)
                wanted = not_done(self.run.catalog, rows, done)
                self.earlier += not wanted.any()
                for row, want in zip(rows, wanted, strict=True):
                    if want:
                        batch.append((index % size, row))
                        if row.box is None and photo.whole is not None:
                            self.ready[row.key] = photo.whole
                    index += 1
                    if index % size == 0 and batch:
                        yield batch
                        batch = []
        if batch:
            yield batch

    def _rows(self, photo: _OnItsWay) -> list[Input]:
        """The inputs that the model is asked about."""
        rows = rows_of(
            photo.media_id, photo.event_id, photo.file_path, photo.boxes, self.run.crop, self.run.level
        )
        return [row for row in rows if row.skipped is None]

    def _looked_at(self) -> Iterator[list[_OnItsWay]]:
        """All photos with their boxes, some at a time; those that were found now are in the journal."""
        run, looks = self.run, self.detector.preprocessing
        size = run.decoding.preprocessing
        also = size if size.decoding == looks.decoding else None  # else no picture serves both
        first = Decoding(run.catalog, looks, run.limits, run.presence, run.workers, also)
        waiting: deque[list[_OnItsWay]] = deque()

        def inputs() -> Iterator[list[tuple[int, Input]]]:
            for photos in self._photos():
                waiting.append(photos)
                asked = (Input(one.media_id, one.event_id, one.file_path) for one in photos if one.look)
                yield list(enumerate(asked))

        for batch in first.batches(inputs(), BATCH, self.pool):
            photos = waiting.popleft()
            if batch.inputs:
                numbers = box_numbers(self.detector, batch)
                self.boxes.append(batch.entries(), numbers)
                looked = (photo for photo in photos if photo.look)
                for photo, row, picture in zip(looked, numbers, batch.pictures, strict=True):
                    photo.boxes = as_boxes(row, self.detector) if picture.decoded else None
                    if picture.also is not None:
                        photo.whole = picture.also, picture
            yield photos

    def _photos(self) -> Iterator[list[_OnItsWay]]:
        """All photos, as many at a time as `detect` looks at in one batch, and those that it does not."""
        table = self.run.catalog.table.select("media_id", "event_id", "file_path", "boxes")
        without = pl.col("boxes").list.len().fill_null(0) == 0
        asked, looked = table.select(without).to_series(), self.run.catalog.filter(without)
        left = count_not_done(looked, None, "media", self.boxes.index(), len(looked))
        known = {} if left.all() else read_back(self.boxes, self.detector, looked)[0]
        photos: list[_OnItsWay] = []
        index = 0
        for (media_id, event_id, file_path, boxes), ask in zip(table.iter_rows(), asked, strict=True):
            look = ask and bool(left[index])
            have = known.get(media_id) if ask and not look else boxes
            photos.append(_OnItsWay(media_id, event_id, file_path, have, look))
            index += ask
            if index % BATCH == 0 and (ask or len(photos) >= _MOST_PHOTOS):
                yield photos
                photos = []
        if photos:
            yield photos
