"""Whether the photos of a catalog are there at all: a drive that is gone is not a season of failed photos."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trapline.catalog.table import Catalog
from trapline.errors import many
from trapline.storage import AnyPath, RemotePath
from trapline.storage import SourceGoneError as SourceGoneError

_TRIED = 512
"""Photos of a bucket, spread over the catalog, of which one at least must be given: each is a request."""

_AT_ONCE = 16


class Presence:
    """The photos of a catalog, of which one at least can be read; and whether that stays so.

    A photo that cannot be read among others that can is a row with its reason. Where none can, or where one
    that could be read a moment ago no longer can, it is the drive, the share, the bucket or the rights, and
    whatever follows would fail for that alone.

    Args:
        catalog: the media that are asked for.

    Raises:
        SourceGoneError: none of their files can be read.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._root = catalog.root
        self._read: AnyPath | None = None
        if len(catalog):
            self._read = _first_readable(catalog)

    def saw(self, path: AnyPath) -> None:
        """A file was read."""
        self._read = path

    def refuse_if_gone(self, failed: Iterable[AnyPath]) -> None:
        """Stop if files that failed could not be read and the one that was read last can neither.

        Raises:
            SourceGoneError: so it is.
        """
        if self._read is None or not any(_why_unreadable(path) for path in failed):
            return
        why = _why_unreadable(self._read)
        if why is not None:
            raise SourceGoneError(
                f"The photos in {self._root} are gone: {self._read} could be read a moment ago and now "
                f"cannot ({why}). {_question(self._root)} What was done is kept; the same command goes on "
                "when it is back."
            )


def refuse_gone(catalog: Catalog) -> None:
    """Stop where none of a catalog's files can be read; see `Presence`.

    Raises:
        SourceGoneError: so it is.
    """
    Presence(catalog)


def _first_readable(catalog: Catalog) -> AnyPath:
    """The first file of the catalog that can be read."""
    if isinstance(catalog.root, RemotePath):
        return _first_given(catalog)
    if (why := _why_not_a_folder(catalog.root)) is not None:
        raise _is_gone(catalog, why)
    reason = ""
    for file_path in catalog.table["file_path"]:
        path = catalog.path(file_path)
        why = _why_unreadable(path)
        if why is None:
            return path
        reason = reason or f"of {path}: {why}"
    empty = "the folder is empty" if _is_empty(catalog.root) else reason
    raise _is_gone(catalog, empty)


def _first_given(catalog: Catalog) -> AnyPath:
    """A file of the catalog that its server gives; of a large one so many are tried, and not each."""
    every = max(1, len(catalog) // _TRIED)
    paths = [catalog.path(file_path) for file_path in catalog.table["file_path"].gather_every(every)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        reason = ""
        for start in range(0, len(paths), _AT_ONCE):
            some: Sequence[AnyPath] = paths[start : start + (_AT_ONCE if start else 1)]
            for path, why in zip(some, pool.map(_why_unreadable, some), strict=True):
                if why is None:
                    return path
                reason = reason or f"of {path}: {why}"
    raise _is_gone(catalog, reason if every == 1 else f"{reason}; {len(paths)} were tried")


def _is_gone(catalog: Catalog, why: str) -> SourceGoneError:
    return SourceGoneError(
        f"None of the {many(len(catalog), 'photo')} in {catalog.root} can be read ({why}). "
        f"{_question(catalog.root)} Nothing was changed. If the photos have moved, "
        "`trapline catalog OLD.parquet --root FOLDER -o NEW.parquet` finds them again."
    )


def _question(root: AnyPath) -> str:
    if isinstance(root, RemotePath):
        return "Is that the bucket and the folder in it, and may the account that is used read them?"
    return "Is the drive or the network share connected, and may this user read it?"


def _why_not_a_folder(root: Path) -> str | None:
    """Why a folder cannot be used; None if it can, be it without the right to list it."""
    try:
        mode = root.stat().st_mode
    except OSError as error:
        return _reason(error)
    return None if stat.S_ISDIR(mode) else "it is no folder"


def _is_empty(root: Path) -> bool:
    try:
        return next(root.iterdir(), None) is None
    except OSError:
        return False


def _why_unreadable(path: AnyPath) -> str | None:
    """Why the system does not give the beginning of a file; None if it does, or if it is no file at all."""
    try:
        if isinstance(path, RemotePath):
            path.stat()
            return None
        if not stat.S_ISREG(
            path.stat().st_mode
        ):  # a pipe would wait for ever, and is no sign of a lost drive
            return None
        with path.open("rb", buffering=0) as file:
            if hasattr(os, "posix_fadvise"):  # what memory keeps of a drive that was pulled is no proof
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.read(1)
    except (OSError, ValueError) as error:
        return _reason(error)
    return None


def _reason(error: OSError | ValueError) -> str:
    return ((isinstance(error, OSError) and error.strerror) or str(error)).lower()
