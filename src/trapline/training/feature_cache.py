"""Features kept between runs, by content: what was computed once for a photo is not computed again.

In the user's cache folder, in pieces that any number of processes add to at once, on network disks too; see
`trapline.storage.Pieces`. Losing them, or a part of them, costs time and nothing else.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trapline.errors import DataError, TraplineWarning, describe_system_error
from trapline.storage import PIECE_BYTES, Pieces, drop_oldest
from trapline.training.arrays import Singles

MAX_BYTES = 32 * 2**30
"""Features of some 6 million views at 1,280 numbers each."""

_OLD = "features.sqlite"
"""Where earlier versions kept features, of no more use."""
_LENGTH = struct.Struct("<I")


class CachedFeatures(NamedTuple):
    """Features of one view of one photo: float32 [D], and what was odd about the file or None."""

    vector: Singles
    warning: str | None


class FeatureCache:
    """Vectors by group and key. A group is what is asked for together: one model, one preprocessing.

    Args:
        folder: for caches; the features are in its folder `features`.
        max_bytes: beyond it, or beyond half of the room on the disk, what was used longest ago goes.

    Raises:
        DataError: the folder cannot be made.

    >>> with FeatureCache(folder) as cache:                   # doctest: +SKIP
    ...     cache.put(group, {key: CachedFeatures(vector, None)})
    ...     dict(cache.get(group, [key]))
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self.folder, self.max_bytes = folder / "features", max_bytes
        self._pieces: dict[str, Pieces] = {}
        self._added, self._refused = 0, False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"Features cannot be kept in {self.folder}: {describe_system_error(error)} Name another "
                "folder in the environment variable TRAPLINE_CACHE."
            ) from error
        _remove_old(folder / _OLD)

    def __enter__(self) -> FeatureCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, group: str, keys: Collection[bytes]) -> Iterator[tuple[bytes, CachedFeatures]]:
        """The entries that are there, in no order; they are used now."""
        for key, value in self._of(group).get(keys):
            length = _LENGTH.unpack_from(value)[0]
            begin = _LENGTH.size + length
            vector = np.frombuffer(value, "<f4", offset=begin).astype(np.float32)
            yield key, CachedFeatures(vector, value[_LENGTH.size : begin].decode() or None)

    def lacking(self, group: str, keys: Collection[bytes]) -> set[bytes]:
        """Those of the keys that have no entry."""
        return self._of(group).lacking(keys)

    def put(self, group: str, entries: Mapping[bytes, CachedFeatures]) -> None:
        """Keep entries; a disk that does not take them costs a warning, and the time to make them again."""
        if self._refused:
            return
        values = {key: _encode(entry) for key, entry in entries.items()}
        try:
            self._of(group).put(values)
        except OSError as error:
            self._refuse(describe_system_error(error))
        self._added += sum(map(len, values.values()))
        if self._added >= PIECE_BYTES:
            self._added = 0
            self._drop_oldest()

    def close(self) -> None:
        """End what is written, and drop what was used longest ago beyond the limit."""
        for pieces in self._pieces.values():
            pieces.close()
        self._drop_oldest()

    def _drop_oldest(self) -> None:
        """Make room; where what was written just now must go, nothing more is kept."""
        dropped = drop_oldest(self.folder, self.max_bytes)
        if not self._refused and any(dropped & pieces.written for pieces in self._pieces.values()):
            self._refuse(
                f"{self.folder} has no room for all of them, beside what else the disk must take. Name a "
                "folder on a larger disk in the environment variable TRAPLINE_CACHE."
            )

    def _refuse(self, why: str) -> None:
        self._refused = True
        warnings.warn(f"Features are not kept for the next run: {why}", TraplineWarning, stacklevel=3)

    def _of(self, group: str) -> Pieces:
        return self._pieces.setdefault(group, Pieces(self.folder / group))


def _encode(entry: CachedFeatures) -> bytes:
    warning = (entry.warning or "").encode()
    return _LENGTH.pack(len(warning)) + warning + entry.vector.astype("<f4").tobytes()


def _remove_old(path: Path) -> None:
    """Remove the file of earlier versions, up to 4 GiB of which nothing is read any more."""
    with suppress(OSError):
        with path.open("rb") as file:
            ours = file.read(16) == b"SQLite format 3\0"
        if ours:
            path.unlink()
            for ending in ("-journal", "-wal", "-shm"):
                path.with_name(path.name + ending).unlink(missing_ok=True)
