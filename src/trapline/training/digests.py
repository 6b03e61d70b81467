"""A digest of what each file holds, read once and known as long as the file does not change."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from trapline.prediction import stamp
from trapline.storage import AnyPath, Pieces, RemotePath, drop_oldest, remote_identities

MAX_BYTES = 2**30
"""Digests of some 18 million files."""

_AT_ONCE = 1024
"""Files whose digests are kept together: as many at most are read again by a run that was killed."""

Stamp = tuple[object, object]


def digests_of(
    paths: Sequence[AnyPath], root: AnyPath, folder: Path | None, workers: int | None = None
) -> list[bytes | None]:
    """The SHA-256 of each file's content; None where it cannot be read (decoding will say why).

    Of files in a bucket it is what the bucket says of them, and none is read.

    Args:
        paths: of the files.
        root: of the catalog that they are of: digests are kept by it.
        folder: for caches, None for nowhere. What is kept there holds as long as a file's size and time of
            change are the same.
        workers: threads that read; None for one a core.
    """
    if remote := [path for path in paths if isinstance(path, RemotePath)]:  # a catalog's are all of one root
        return remote_identities(remote)
    return _digests_on_disk([path for path in paths if isinstance(path, Path)], root, folder, workers)


def _digests_on_disk(
    paths: Sequence[Path], root: AnyPath, folder: Path | None, workers: int | None
) -> list[bytes | None]:
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        if folder is None:
            return list(pool.map(_digest_or_none, paths))
        stamps = list(pool.map(stamp, paths))
        keys = [_key(path, one) for path, one in zip(paths, stamps, strict=True)]
        with Pieces(folder / "digests" / _name(root)) as kept:
            known = dict(kept.get({key for key in keys if key is not None}))
            unknown = [row for row, key in enumerate(keys) if key is not None and key not in known]
            for start in range(0, len(unknown), _AT_ONCE):
                rows = unknown[start : start + _AT_ONCE]
                read = pool.map(_digest_or_none, [paths[row] for row in rows])
                fresh = {
                    key: digest
                    for row, digest in zip(rows, read, strict=True)
                    if digest is not None and (key := keys[row]) is not None
                }
                known |= fresh
                with suppress(OSError):  # a disk that keeps nothing costs the reading
                    kept.put(fresh)
        if unknown:
            drop_oldest(folder / "digests", MAX_BYTES)
    return [None if key is None else known.get(key) for key in keys]


def _digest_or_none(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return None


def _key(path: Path, stamped: Stamp) -> bytes | None:
    """16 bytes of all by which a change of the file is noticed; None without a file."""
    if stamped[0] is None:
        return None
    text = json.dumps([os.fspath(path), *stamped]).encode()
    return hashlib.blake2b(text, digest_size=16).digest()


def _name(root: AnyPath) -> str:
    return hashlib.blake2b(str(root).encode(errors="surrogateescape"), digest_size=8).hexdigest()
