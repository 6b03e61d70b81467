"""A media is its bytes: what tells it from others whatever it is called and wherever it lies."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from trapline.catalog.table import Catalog

CONTENT: dict[str, pl.DataType] = {"file_size": pl.Int64(), "content_hash": pl.String()}
"""Columns of a catalog whose files were read whole: their bytes (count), and `content_hash` of them."""

_DIGEST = 16  # bytes: two of 10^9 different files would share one with a probability of 10^-21


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file, and what is kept of its content for when it is not there.

    Attributes:
        path: where it should be.
        size: bytes.
        content_hash: see `content_hash`.
    """

    path: Path
    size: int | None = None
    content_hash: str | None = None


def content_hash(path: Path) -> str:
    """BLAKE2b of a file's bytes (RFC 7693, 128 bits), hexadecimal: equal files and no others have the same.

    Raises:
        OSError: it cannot be read, or is no file but a folder, a pipe or a device.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
        raise OSError(f"{path} is no file")
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_DIGEST)).hexdigest()


def media_files(catalog: Catalog) -> list[MediaFile]:
    """The file of every media, in the order of the table."""
    known = [catalog.table[name] if name in catalog.table.columns else None for name in CONTENT]
    if any(column is None for column in known):
        return [MediaFile(path) for path in catalog.paths()]
    rows = catalog.table.select("file_path", *CONTENT).iter_rows()
    return [MediaFile(catalog.path(path), size, digest) for path, size, digest in rows]


def equal_files(
    files: Sequence[MediaFile], on_file: Callable[[int], object] = lambda number: None
) -> list[list[int]]:
    """Groups of indices in `files` that have the same content.

    Only files of equal size are read, and one that is named more than once is read once. What is kept of the
    content counts for those that cannot be; without that they are in no group.

    Args:
        files: the files.
        on_file: told how many more were dealt with, for a progress display.
    """
    of_path: dict[Path, list[int]] = defaultdict(list)
    for index, file in enumerate(files):
        of_path[file.path].append(index)
    by_size: dict[int, list[list[int]]] = defaultdict(list)
    for indices in of_path.values():
        if (size := size_of(files[indices[0]])) is not None:
            by_size[size].append(indices)
    of_one_size = [indices for group in by_size.values() if len(group) > 1 for indices in group]
    by_content: dict[str, list[int]] = defaultdict(list)
    for indices, digest in zip(of_one_size, _hashes(files[one[0]] for one in of_one_size), strict=True):
        by_content[digest or f"not read: {indices[0]}"] += indices
        on_file(len(indices))
    on_file(len(files) - sum(map(len, of_one_size)))
    alone = [group[0] for group in by_size.values() if len(group) == 1]
    return sorted(sorted(group) for group in (*by_content.values(), *alone) if len(group) > 1)


def size_of(file: MediaFile) -> int | None:
    """Bytes of a file, or those that are kept of it; None if its content cannot be told."""
    try:
        return file.path.stat().st_size
    except (OSError, ValueError):
        return file.size if file.content_hash is not None else None


def _hashes(files: Iterable[MediaFile]) -> Iterable[str | None]:
    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:  # hashing lets go of the interpreter
        yield from pool.map(_hash, files)


def _hash(file: MediaFile) -> str | None:
    try:
        return content_hash(file.path)
    except (OSError, ValueError):
        return file.content_hash


def identify(catalog: Catalog, on_file: Callable[[int], object] = lambda number: None) -> Catalog:
    """The catalog with the columns `CONTENT`: every file is read whole, once.

    What was known of files that cannot be read stays.

    Args:
        catalog: the media.
        on_file: told how many more were read, for a progress display.
    """
    files = media_files(catalog)
    digests = []
    for digest in _hashes(files):
        digests.append(digest)
        on_file(1)
    sizes = [None if digest is None else size_of(file) for file, digest in zip(files, digests, strict=True)]
    table = catalog.table.with_columns(
        pl.Series("file_size", sizes, CONTENT["file_size"]),
        pl.Series("content_hash", digests, CONTENT["content_hash"]),
    )
    return replace(catalog, table=table)
