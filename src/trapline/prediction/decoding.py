"""Photos become pixels in other processes, a few batches ahead of the one that a network looks at."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trapline.catalog import Catalog, Presence
from trapline.images import Content, Decoder, ImageError, Limits, Preprocessing, ask_for, borrowed
from trapline.models import NO_PROBABILITY, available_cores
from trapline.prediction.inputs import Input, stamp
from trapline.prediction.journal import JournalEntry
from trapline.storage import FetchAhead

Pixels = npt.NDArray[np.uint8]

Photo = Callable[[], Path | Content]
"""A photo whose turn it is: its file, or its content, for which it may have to be waited."""

_AHEAD = 3
"""Batches that are decoded or being decoded while one runs: what memory holds is this many and no more."""


@dataclass(frozen=True)
class DecodedFile:
    """What became of a file; its pixels are in the batch.

    Attributes:
        size: bytes, None if the file could not be found.
        modified: its modification time in nanoseconds, None likewise.
        decoded: whether there are pixels.
        reason: why there are none, or what was odd.
        inner: height and width, pixels, of the picture in the input; 0 and 0 if there is none.
        also: what `Decoding.also` wants of the full frame, uint8 [height, width, 3]; None if that would have
            to be decoded anew.
    """

    size: int | None
    modified: int | None
    decoded: bool
    reason: str | None
    inner: tuple[int, int] = (0, 0)
    also: Pixels | None = None


@dataclass(frozen=True)
class DecodedBatch:
    """A batch of inputs that are decoded.

    Attributes:
        inputs: each with its slot in the batch.
        pixels: uint8 [slots, height, width, 3], RGB; black where nothing was decoded.
        pictures: one an input.
    """

    inputs: list[tuple[int, Input]]
    pixels: Pixels
    pictures: list[DecodedFile]

    @property
    def readable(self) -> npt.NDArray[np.bool_]:
        """One boolean an input: whether it has pixels."""
        return np.array([picture.decoded for picture in self.pictures], np.bool_)

    @property
    def slots(self) -> npt.NDArray[np.int64]:
        """int64 [inputs]: where in `pixels` each input is."""
        return np.array([slot for slot, _ in self.inputs], np.int64)

    def entries(self, finite: npt.NDArray[np.bool_] | None = None) -> list[JournalEntry]:
        """What the journal keeps of the inputs besides numbers.

        Args:
            finite: one boolean an input: false if the model's numbers for it are none, which fails it.
        """
        finite_rows = [True] * len(self.inputs) if finite is None else finite.tolist()
        return [
            _entry(row, picture, fine)
            for (_, row), picture, fine in zip(self.inputs, self.pictures, finite_rows, strict=True)
        ]


@dataclass(frozen=True)
class Decoding:
    """How the photos of a run are decoded.

    A thread for each decoding process carries pixels from its pipe into the batch, where the network takes
    them; nothing is copied twice. Photos of a bucket are fetched here, many at once before their turn, and go
    through the pipe to the process.

    Attributes:
        catalog: says where the files are.
        preprocessing: from the model's card, or the detector's.
        limits: on the bytes of a file, the pixels of a picture and the seconds it may take.
        presence: of the photos; a run stops when they go.
        workers: processes; None for as many as the machine has cores.
        also: of another model's card: its pixels of each photo's full frame are wanted too, if the picture
            that was decoded serves both.
    """

    catalog: Catalog
    preprocessing: Preprocessing
    limits: Limits
    presence: Presence
    workers: int | None = None
    also: Preprocessing | None = None

    @property
    def processes(self) -> int:
        """How many there are."""
        return self.workers or available_cores()

    def black(self, slots: int) -> Pixels:
        """uint8 [slots, height, width, 3], nothing but zeros."""
        return np.zeros((slots, self.preprocessing.height, self.preprocessing.width, 3), np.uint8)

    def batches(
        self,
        inputs: Iterable[list[tuple[int, Input]]],
        slots: int | None = None,
        threads: ThreadPoolExecutor | None = None,
    ) -> Iterator[DecodedBatch]:
        """The batches of inputs, decoded, in their order.

        Args:
            inputs: batches, each input with its slot in it.
            slots: of every batch; None for as many as it has inputs.
            threads: that carry pixels; None for as many as there are processes.

        Raises:
            SourceGoneError: the photos can no longer be read; of the batch in which that shows nothing is
                given out.
        """
        pool = threads or ThreadPoolExecutor(self.processes, thread_name_prefix="decode")
        waiting: deque[_Waiting] = deque()
        fetching = FetchAhead(self.limits.max_bytes)
        try:
            for batch in inputs:
                waiting.append(self._begin(pool, fetching, batch, slots or len(batch)))
                if len(waiting) > _AHEAD:
                    yield self._still_there(_finish(*waiting.popleft()))
            while waiting:
                yield self._still_there(_finish(*waiting.popleft()))
        finally:
            fetching.close()
            if threads is None:
                pool.shutdown(cancel_futures=True)

    def _still_there(self, batch: DecodedBatch) -> DecodedBatch:
        """The batch, unless what failed in it did so because the photos are gone."""
        paths = [self.catalog.path(row.file_path) for _, row in batch.inputs]
        read = batch.readable
        if read.any():
            self.presence.saw(paths[np.flatnonzero(read)[-1]])
        self.presence.refuse_if_gone(path for path, fine in zip(paths, read, strict=True) if not fine)
        return batch

    def warm_up(self, row: Input, inputs: int) -> None:
        """Start the processes that so many inputs need, and have each decode `row`, as proof that it can."""
        count = min(self.processes, inputs)
        pixels = self.black(count)
        with ExitStack() as stack, ThreadPoolExecutor(count) as pool:
            fetching = stack.enter_context(FetchAhead(self.limits.max_bytes))
            pictures = [
                pool.submit(
                    self._decode_all,
                    stack.enter_context(borrowed()),
                    pixels,
                    [(slot, row)],
                    ask_for(self.catalog.path(row.file_path), fetching),
                )
                for slot in range(count)
            ]
            for picture in pictures:
                picture.result()

    def _begin(
        self,
        pool: ThreadPoolExecutor,
        fetching: FetchAhead,
        inputs: list[tuple[int, Input]],
        slots: int,
    ) -> _Waiting:
        """The boxes of a photo follow one another, and are cut by one process, which keeps the picture."""
        pixels = self.black(slots)
        photos = [list(rows) for _, rows in groupby(inputs, lambda one: one[1].file_path)]
        ahead = [self._photo(rows, fetching) for rows in photos]
        begun = [pool.submit(self._read, pixels, *one) for one in zip(photos, ahead, strict=True)]
        return inputs, pixels, begun

    def _photo(self, rows: list[tuple[int, Input]], fetching: FetchAhead) -> Photo:
        return ask_for(self.catalog.path(rows[0][1].file_path), fetching)

    def _read(self, pixels: Pixels, rows: list[tuple[int, Input]], photo: Photo) -> list[DecodedFile]:
        with borrowed() as decoder:
            return self._decode_all(decoder, pixels, rows, photo)

    def _decode_all(
        self, decoder: Decoder, pixels: Pixels, rows: list[tuple[int, Input]], photo: Photo
    ) -> list[DecodedFile]:
        try:
            source = photo()
        except ImageError as error:
            return [DecodedFile(None, None, False, error.reason) for _ in rows]
        return [self._decode(decoder, pixels[slot], row, source) for slot, row in rows]

    def _decode(self, decoder: Decoder, pixels: Pixels, row: Input, source: Path | Content) -> DecodedFile:
        # before reading: a file that changes meanwhile is then redone
        size, modified = stamp(source) if isinstance(source, Path) else source.mark or (None, None)
        try:
            prepared = decoder.prepare_into(pixels, source, self.preprocessing, row.box, self.limits)
        except ImageError as error:
            return DecodedFile(size, modified, False, error.reason)
        also = None if self.also is None else self._once_more(decoder, source, self.also)
        return DecodedFile(size, modified, True, prepared.warning, prepared.inner, also)

    def _once_more(self, decoder: Decoder, source: Path | Content, size: Preprocessing) -> Pixels | None:
        known = source if isinstance(source, Path) else replace(source, content=b"")
        pixels = np.zeros((size.height, size.width, 3), np.uint8)
        try:
            decoder.prepare_into(pixels, known, size, None, self.limits, only_kept=True)
        except ImageError:
            return None
        return pixels


_Waiting = tuple[list[tuple[int, Input]], Pixels, list[Future[list[DecodedFile]]]]


def _finish(
    inputs: list[tuple[int, Input]], pixels: Pixels, photos: list[Future[list[DecodedFile]]]
) -> DecodedBatch:
    return DecodedBatch(inputs, pixels, [picture for photo in photos for picture in photo.result()])


def _entry(row: Input, picture: DecodedFile, finite: bool) -> JournalEntry:
    status = "ok" if picture.decoded and finite else "failed"
    reason = NO_PROBABILITY if picture.decoded and not finite else picture.reason
    file = (row.file_path, picture.size, picture.modified, row.box_text)
    return JournalEntry(row.media_id, row.number, *file, status, reason)
