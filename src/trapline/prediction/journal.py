"""The journal of a run: what is already predicted, kept so that being killed costs one batch at most.

A file of frames. A frame is the payload's length (4 bytes), a BLAKE2b digest of the frame before it and its
payload (16 bytes), and the payload; the first payload is the header as JSON, every other one a batch. Because
the digests are chained, whatever happens to the file leaves a prefix that can be trusted, and nothing after
the first damaged byte is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from trapline.errors import DataError, TraplineError, UsageError
from trapline.prediction.inputs import key, state
from trapline.storage import lock, sync_folder

_LENGTH = struct.Struct("<I")
_DIGEST_SIZE = 16
_MOST_IN_A_BATCH = 65_536
_SYNC_SECONDS = 5.0
"""How often the disk is made to write: what a power cut, not a killed process, may cost."""


class JournalEntry(NamedTuple):
    """One input as it was when it was predicted.

    Attributes:
        media_id: of the catalog.
        number: the box's index in the catalog's list, None for the media.
        file_path: of the catalog.
        size: bytes, None if the file could not be found.
        modified: its modification time in nanoseconds, None likewise.
        box: what it was cut to, as text; empty for the full frame.
        status: `ok` or `failed`.
        reason: why it failed, or what was odd.
    """

    media_id: str
    number: int | None
    file_path: str
    size: int | None
    modified: int | None
    box: str
    status: str
    reason: str | None


@dataclass(frozen=True)
class Index:
    """Where in a journal the last entry of each input is: 24 bytes an input, however long the names are.

    Attributes:
        keys: int64 [N], rising: `inputs.key` of each input.
        states: int64 [N]: `inputs.state` of an input that is `ok`, 0 of one that failed.
        spots: int64 [N]: where the entry's frame begins in the file, times 65,536, plus its index in it.
    """

    keys: npt.NDArray[np.int64]
    states: npt.NDArray[np.int64]
    spots: npt.NDArray[np.int64]

    def spots_at(self, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Where the frames of the entries at `indices` begin, and the entries' indices in them."""
        begins, rows = np.divmod(self.spots[indices], _MOST_IN_A_BATCH)
        return begins, rows

    def find(self, keys: Sequence[int]) -> npt.NDArray[np.int64]:
        """int64 [keys]: for each key its position in this index, -1 if the journal does not have it."""
        wanted = np.array(keys, np.int64)
        if len(self.keys) == 0:
            return np.full(len(wanted), -1)
        indices = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[indices] == wanted, indices, -1)


@dataclass(frozen=True)
class Batch:
    """What one frame holds.

    Attributes:
        entries: one an input.
        probabilities: float32 [entries, labels]; NaN where an input failed.
        coordinates: float32 [entries, P], where the embedding lies (`trapline.models.Familiar`); P is 0 where
            the model's card has no statistics of it.
    """

    entries: list[JournalEntry]
    probabilities: npt.NDArray[np.float32]
    coordinates: npt.NDArray[np.float32]


class Journal:
    """A journal, open for one run; nobody else can open it meanwhile.

    Args:
        path: of the journal; made if it is not there.
        header: what must be the same for two runs to be one: the model, its labels, the options.
        fresh: throw away what an earlier run wrote there.

    Raises:
        UsageError: it was written with another header, or by a run that is still going on.
        DataError: it is no journal, or its beginning is damaged.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], *, fresh: bool = False) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("r+b" if path.exists() else "w+b")
        try:
            lock(self._file, path)
            if fresh:
                if next(_frames(self._file), None) is None:
                    _refuse_no_beginning(self._file, path, header)  # no run has written this file
                self._file.truncate(0)
            self.header, self.dropped_bytes = self._resume(dict(header))
        except BaseException:
            self._file.close()
            raise
        self._synced = time.monotonic()
        self._refused = False

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _resume(self, header: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """Go to the end of what can be trusted and cut off the rest; returns header and bytes cut off."""
        size = os.fstat(self._file.fileno()).st_size
        self._digest = b""
        frames = _frames(self._file)
        first = next(frames, None)
        if first is None:
            _refuse_no_beginning(self._file, self.path, header)
        if first is None or (first[1] == size and json.loads(first[0]) != header):  # without any work
            self._file.seek(0)
            self._file.truncate()
            self._write(_json(header))
            os.fsync(self._file.fileno())
            sync_folder(self.path.parent)  # else a power cut could take the new file's name
            return header, 0
        stored, end, self._digest = json.loads(first[0]), first[1], first[2]
        _refuse_other_header(self.path, stored, header)
        for _, end, digest in frames:  # noqa: B007 - only the last is wanted
            self._digest = digest
        self._file.seek(end)
        self._file.truncate()
        return stored, size - end

    def index(self) -> Index:
        """Where everything is that was predicted so far."""
        frames = _frames(self._file)
        index = _index(frames, next(frames)[1])
        self._file.seek(0, os.SEEK_END)
        return index

    def batches(self) -> Iterator[Batch]:
        """Everything in the journal, in the order it was written."""
        frames = _frames(self._file)
        next(frames)
        for payload, _, _ in frames:
            yield _decode_batch(payload, self.header)
        self._file.seek(0, os.SEEK_END)

    def batch_at(self, begin: int) -> Batch:
        """The frame that begins there, as `Index.spot` says."""
        self._file.seek(begin)
        length = _LENGTH.unpack(self._file.read(_LENGTH.size))[0]
        self._file.seek(_DIGEST_SIZE, os.SEEK_CUR)
        batch = _decode_batch(self._file.read(length), self.header)
        self._file.seek(0, os.SEEK_END)
        return batch

    def append(self, entries: Sequence[JournalEntry], numbers: npt.NDArray[np.float32]) -> None:
        """Write one batch; it outlives the process as soon as this returns.

        Args:
            entries: one an input.
            numbers: float32 [entries, labels + P], probabilities and coordinates; NaN for a failed one.

        Raises:
            TraplineError: the disk is full or gone; what was written before is kept.
        """
        expected = (len(entries), width_of(self.header))
        if len(entries) > _MOST_IN_A_BATCH or numbers.shape != expected:
            raise ValueError(f"{len(entries)} entries with numbers {numbers.shape}")
        text = _json(entries)
        self._write(_LENGTH.pack(len(text)) + text + numbers.astype("<f4").tobytes())
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            self.sync()

    def _write(self, payload: bytes) -> None:
        frame, digest = _encode_payload(payload, self._digest)
        try:
            self._file.write(frame)
            self._file.flush()
        except OSError as error:
            self._refused = True
            raise TraplineError(
                f"The journal {self.path} cannot be written: {error.strerror or error}. What was predicted "
                "so far is kept; make room and run the same command again."
            ) from error
        self._digest = digest

    def sync(self) -> None:
        """Make the disk write everything."""
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        """Make the disk write everything, and let others open the journal."""
        if self._file.closed:
            return
        if self._refused:  # the file would try to write it once more, and hide what was said of it
            with suppress(OSError):
                self._file.close()
        else:
            self.sync()
            self._file.close()


def _index(frames: Iterator[tuple[bytes, int, bytes]], begin: int) -> Index:
    """Where the last entry of each input is in the frames behind the header, which ends at `begin`."""
    columns = [array("q"), array("q"), array("q")]
    keys, states, spots = (column.append for column in columns)
    for payload, end, _ in frames:
        spot = begin * _MOST_IN_A_BATCH
        for media_id, number, file_path, size, modified, box, status, _reason in _entry_values(payload):
            keys(key(media_id, number))
            done = status == "ok"
            states(state(media_id, number, file_path, box, size, modified) if done else 0)
            spots(spot)
            spot += 1
        begin = end
    return Index(*_sort(columns))


def _sort(columns: list[array[int]]) -> list[npt.NDArray[np.int64]]:
    """The columns in the order of the first one's values, of equal values the last; `columns` is emptied.

    They are the largest thing in memory at the end of a long run, so there are never two of all of them.
    """
    views = [np.frombuffer(column, np.int64) if column else np.empty(0, np.int64) for column in columns]
    columns.clear()
    order = np.argsort(views[0], kind="stable").astype(np.uint32)
    views[0] = views[0][order]
    last = np.ones(len(order), np.bool_)
    last[:-1] = views[0][1:] != views[0][:-1]
    order = order[last]
    return [views.pop(0)[last], *(views.pop(0)[order] for _ in range(len(views)))]


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _encode_payload(payload: bytes, before: bytes) -> tuple[bytes, bytes]:
    """The frame of a payload that follows the frame with digest `before`, and its own digest."""
    digest = hashlib.blake2b(before + payload, digest_size=_DIGEST_SIZE).digest()
    return _LENGTH.pack(len(payload)) + digest + payload, digest


def _frames(file: BinaryIO) -> Iterator[tuple[bytes, int, bytes]]:
    """Payload, end in the file and digest of every frame up to the first that is damaged or incomplete."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    end, before = 0, b""
    while True:
        start = file.read(_LENGTH.size + _DIGEST_SIZE)
        if len(start) < _LENGTH.size + _DIGEST_SIZE:
            return
        length = _LENGTH.unpack_from(start)[0]
        end += len(start) + length
        if end > size:
            return
        payload = file.read(length)
        digest = hashlib.blake2b(before + payload, digest_size=_DIGEST_SIZE).digest()
        if digest != start[_LENGTH.size :]:
            return
        before = digest
        yield payload, end, digest


def _entry_values(payload: bytes) -> list[list[Any]]:
    """The values of each `JournalEntry` of a batch."""
    length = _LENGTH.unpack_from(payload)[0]
    values: list[list[Any]] = json.loads(payload[_LENGTH.size : _LENGTH.size + length])
    return values


def width_of(header: Mapping[str, Any]) -> int:
    """Numbers that a journal keeps of an input: a probability a label, and perhaps coordinates."""
    return len(header["labels"]) + int(header.get("coordinates", 0))


def _decode_batch(payload: bytes, header: Mapping[str, Any]) -> Batch:
    entries = [JournalEntry._make(values) for values in _entry_values(payload)]
    numbers = np.frombuffer(payload, "<f4", offset=_LENGTH.size + _LENGTH.unpack_from(payload)[0])
    numbers = numbers.reshape(len(entries), width_of(header)).astype(np.float32)
    labels = len(header["labels"])
    return Batch(entries, numbers[:, :labels], numbers[:, labels:])


def _refuse_other_header(path: Path, stored: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    different = [name for name in {**stored, **header} if stored.get(name) != header.get(name)]
    if different:
        shown = "; ".join(f"{name} was {stored.get(name)!r}, is {header.get(name)!r}" for name in different)
        raise UsageError(
            f"{path} holds the work of a run with another model or other options ({shown}). Use those to go "
            "on, name another output with -o, or start again with --fresh."
        )


def _refuse_no_beginning(file: BinaryIO, path: Path, header: Mapping[str, Any]) -> None:
    """Refuse a file without a whole header, unless a run was killed while it wrote just this one."""
    file.seek(0)
    if not _encode_payload(_json(header), b"")[0].startswith(file.read()):
        raise DataError(
            f"{path} is no journal of Trapline or its beginning is damaged. "
            "Delete it if it is a journal, move it away if it is not, or name another output with -o."
        )


def read_header(path: Path) -> dict[str, Any] | None:
    """The header of a journal, None if there is none that can be read."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        first = next(_frames(file), None)
    return None if first is None else json.loads(first[0])


def read_index(path: Path, header: Mapping[str, Any]) -> Index:
    """`Journal.index` of a file that is only looked at: a run may be writing it, and its end may be torn.

    Raises:
        UsageError: it was written with another header.
        DataError: it is no journal, or its beginning is damaged.
    """
    with path.open("rb") as file:
        frames = _frames(file)
        first = next(frames, None)
        if first is None:
            _refuse_no_beginning(file, path, header)
            return _index(iter(()), 0)
        _refuse_other_header(path, json.loads(first[0]), header)
        return _index(frames, first[1])
