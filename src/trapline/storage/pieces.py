"""Values kept by key in files that any number of processes write at once, on any disk, without locks.

A group of values is a folder of pieces. Each process writes pieces of its own, under names that nobody else
uses, and only adds to their ends; all read all. A piece is a row of blocks, each with a digest of its keys
and one of its values: what is damaged, torn or being written right now is not there. Beyond a limit the
pieces that were used longest ago go.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import struct
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

KEY_SIZE = 16
PIECE_BYTES = 64 * 2**20
"""A piece that has grown so large is ended: what is thrown away together is no more than that."""

_HEAD = struct.Struct("<8sIQ16s16s")  # magic, keys, bytes of values, digest of head and keys, of values
_MAGIC = b"trapcas1"
_ENDING = ".piece"
_MOST_KEYS = 2**20
_MOST_VALUES = 2**31


@dataclass(frozen=True)
class _Block:
    """One block of a piece: where its values begin, and what they must be."""

    keys: list[bytes]
    lengths: tuple[int, ...]
    begin: int
    size: int
    digest: bytes


class Pieces:
    """The values of one group, in a folder that is made when the first is written.

    Args:
        folder: of the group.

    Attributes:
        written: the pieces that this object has written.

    >>> with Pieces(folder) as pieces:                         # doctest: +SKIP
    ...     pieces.put({key: b"value"})
    ...     dict(pieces.get([key]))
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: set[Path] = set()
        self._file: BinaryIO | None = None

    def __enter__(self) -> Pieces:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, keys: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Those of the keys (16 bytes each) that are there, each once, with its value; they are used now."""
        left = set(keys)
        for path in sorted(self.folder.glob(f"*{_ENDING}")):
            if not left:
                return
            before = len(left)
            with suppress(OSError):  # thrown away meanwhile, or unreadable: then it is not there
                yield from _take(path, left)
            if len(left) < before:
                with suppress(OSError):  # a cache that may only be read is read all the same
                    os.utime(path)

    def lacking(self, keys: Collection[bytes]) -> set[bytes]:
        """Those of the keys that are not there, as far as can be said without reading values."""
        left = set(keys)
        for path in self.folder.glob(f"*{_ENDING}"):
            with suppress(OSError), path.open("rb") as file:
                for block in _blocks(file):
                    left.difference_update(block.keys)
        return left

    def put(self, values: Mapping[bytes, bytes]) -> None:
        """Add values; they outlive the process when this returns.

        Raises:
            OSError: the disk is full, or may not be written; what was added before is kept.
        """
        if not values:
            return
        try:
            file = self._file or self._begin()
            self._file = file
            file.write(_encode(values))
            file.flush()
            if file.tell() >= PIECE_BYTES:
                self.close()
        except OSError:
            self._abandon()
            raise

    def close(self) -> None:
        """End the piece that is being written; the next value begins another."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _begin(self) -> BinaryIO:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{secrets.token_hex(8)}{_ENDING}"
        self.written.add(path)
        return path.open("xb")

    def _abandon(self) -> None:
        """Behind half a block nothing could be read: the next value begins another piece."""
        with suppress(OSError):
            self.close()


def drop_oldest(folder: Path, most_bytes: int) -> set[Path]:
    """Throw away the pieces below a folder that were used longest ago, until the others are no larger.

    Nor may they take more than half of the room that the disk has for them. Several processes may do so at
    once; a piece that somebody reads or writes costs him no more than the time to make its values again.

    Returns:
        those that were thrown away.
    """
    dropped: set[Path] = set()
    pieces, total = [], 0
    for path in folder.glob(f"*/*{_ENDING}"):
        with suppress(OSError):
            status = path.stat()
            pieces.append((status.st_mtime_ns, status.st_size, path))
            total += status.st_size
    with suppress(OSError):
        most_bytes = min(most_bytes, (total + shutil.disk_usage(folder).free) // 2)
    for _, size, path in sorted(pieces):
        if total <= most_bytes:
            break
        with suppress(OSError):
            path.unlink(missing_ok=True)
            total -= size
            dropped.add(path)
        with suppress(OSError):  # the last of its group
            path.parent.rmdir()
    return dropped


def _encode(values: Mapping[bytes, bytes]) -> bytes:
    keys, content = b"".join(values), b"".join(values.values())
    lengths = struct.pack(f"<{len(values)}I", *map(len, values.values()))
    if len(keys) != KEY_SIZE * len(values) or len(values) > _MOST_KEYS or len(content) > _MOST_VALUES:
        raise ValueError(f"{len(values)} keys of {len(keys)} bytes, values of {len(content)}")
    of_values = _digest(content)
    start = struct.pack("<IQ", len(values), len(content))
    of_head = _digest(start + of_values + keys + lengths)
    head = _HEAD.pack(_MAGIC, len(values), len(content), of_head, of_values)
    return head + keys + lengths + content


def _take(path: Path, left: set[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """What a piece has of the keys that are left, which it takes from them."""
    with path.open("rb") as file:
        for block in _blocks(file):
            wanted = left.intersection(block.keys)
            if not wanted:
                continue
            file.seek(block.begin)
            content = file.read(block.size)
            if _digest(content) != block.digest:
                continue
            begin = 0
            for key, length in zip(block.keys, block.lengths, strict=True):
                if key in wanted:
                    wanted.remove(key)
                    left.discard(key)
                    yield key, content[begin : begin + length]
                begin += length


def _blocks(file: BinaryIO) -> Iterator[_Block]:
    """The blocks of a piece, up to the first whose head is damaged or whose end is not there yet."""
    size, begin = os.fstat(file.fileno()).st_size, 0
    while True:
        file.seek(begin)
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return
        magic, count, length, of_head, of_values = _HEAD.unpack(head)
        if magic != _MAGIC or not 0 < count <= _MOST_KEYS:
            return
        named = file.read(count * (KEY_SIZE + 4))
        begin += _HEAD.size + count * (KEY_SIZE + 4)
        if begin + length > size or _digest(head[8:20] + of_values + named) != of_head:
            return
        keys = [named[start : start + KEY_SIZE] for start in range(0, count * KEY_SIZE, KEY_SIZE)]
        lengths = struct.unpack_from(f"<{count}I", named, count * KEY_SIZE)
        if sum(lengths) != length:
            return
        yield _Block(keys, lengths, begin, length, of_values)
        begin += length


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
