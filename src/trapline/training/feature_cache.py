"""Features kept between runs, by content: what was computed once for a photo is not computed again.

One SQLite file in the user's cache folder holds the vectors; the least recently
used go when it grows too large. Losing it costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trapline.errors import DataError
from trapline.training.arrays import Singles

MAX_BYTES = 4 * 2**30
"""Of vectors: features of some 800,000 views at 1,280 numbers each."""

_FORMAT = 1
_CHUNK = 500  # SQLite's limit on parameters was 999 for long
_TABLES = """
CREATE TABLE files (path TEXT PRIMARY KEY, size INTEGER, mtime INTEGER, digest BLOB) WITHOUT ROWID;
CREATE TABLE features (key BLOB PRIMARY KEY, used INTEGER, warning TEXT, vector BLOB);
CREATE INDEX features_used ON features (used);
"""


class CachedFeatures(NamedTuple):
    """Features of one view of one photo: float32 [D], and what was odd about the file or None."""

    vector: Singles
    warning: str | None


class FeatureCache:
    """Vectors by key, and digests of files by path, size and time of change.

    >>> with FeatureCache(folder) as cache:                   # doctest: +SKIP
    ...     cache.put({key: Entry(vector, None)})
    ...     cache.get([key])
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path = folder / "features.sqlite"
        self.max_bytes = max_bytes
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._connection = self._open()
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def __enter__(self) -> FeatureCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, keys: Sequence[bytes]) -> dict[bytes, CachedFeatures]:
        """The entries that are there, marked as used now."""
        cached: dict[bytes, CachedFeatures] = {}
        with self._guarded():
            for chunk in _chunks(keys):
                marks = ",".join("?" * len(chunk))
                rows = self._connection.execute(
                    f"SELECT key, vector, warning FROM features WHERE key IN ({marks})",  # noqa: S608
                    chunk,
                )
                cached |= {
                    key: CachedFeatures(np.frombuffer(vector, "<f4").astype(np.float32), warning)
                    for key, vector, warning in rows
                }
                self._connection.execute(
                    f"UPDATE features SET used = ? WHERE key IN ({marks})",  # noqa: S608
                    (_now(), *chunk),
                )
        return cached

    def put(self, entries: Mapping[bytes, CachedFeatures]) -> None:
        """Keep entries; they are safe on disk when this returns."""
        rows = [
            (key, _now(), entry.warning, entry.vector.astype("<f4").tobytes())
            for key, entry in entries.items()
        ]
        with self._guarded():
            self._connection.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?)", rows)

    def known_digest(self, path: Path) -> bytes | None:
        """The digest of a file's content if it is known and the file has not changed since."""
        status = path.stat()
        with self._guarded():
            row = self._connection.execute(
                "SELECT digest FROM files WHERE path = ? AND size = ? AND mtime = ?",
                (str(path), status.st_size, status.st_mtime_ns),
            ).fetchone()
        return row[0] if row else None

    def keep_digests(self, digests: Iterable[tuple[Path, os.stat_result, bytes]]) -> None:
        """Remember digests with the state of the file before it was read."""
        rows = [(str(path), status.st_size, status.st_mtime_ns, digest) for path, status, digest in digests]
        with self._guarded():
            self._connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Drop the least recently used beyond the limit and close the file."""
        with self._guarded():
            self._drop_oldest()
        self._connection.close()

    def _drop_oldest(self) -> None:
        count, size = self._connection.execute(
            "SELECT count(*), coalesce(sum(length(vector)), 0) FROM features"
        ).fetchone()
        if size > self.max_bytes:
            surplus = int(np.ceil((size - self.max_bytes) / (size / count)))
            self._connection.execute(
                "DELETE FROM features WHERE key IN (SELECT key FROM features ORDER BY used LIMIT ?)",
                (surplus,),
            )
            self._connection.execute("DELETE FROM files")  # cheap to find again, and it must not grow either

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.OperationalError:  # locked, read-only, disk full: not damaged
            raise
        except sqlite3.DatabaseError:
            self.path.unlink()
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=60)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != _FORMAT:
                tables = "DROP TABLE IF EXISTS files; DROP TABLE IF EXISTS features;"
                connection.executescript(
                    f"BEGIN; {tables} {_TABLES} PRAGMA user_version = {_FORMAT}; COMMIT;"
                )
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            with self._connection:
                yield
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> DataError:
        return DataError(
            f"The feature cache {self.path} cannot be used: {error}. Delete that file (it only saves time), "
            "or name another folder in the environment variable TRAPLINE_CACHE."
        )


def digest_file(path: Path) -> bytes:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _chunks(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), _CHUNK):
        yield keys[start : start + _CHUNK]


def _now() -> int:
    return time.time_ns()
