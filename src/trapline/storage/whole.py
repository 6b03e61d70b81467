"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trapline.storage.remote_path import AnyPath, RemotePath

_LONGEST = 255
"""Bytes of a name, on all usual disks."""


@contextmanager
def replace_whole(path: AnyPath) -> Iterator[Path]:
    """Where to write a file that takes the place of `path` at the end, and of which nothing is left if that
    does not come. Folders above it are made. What is for a bucket is written on this machine's disk and put
    there whole.

    Raises:
        OSError: the folder cannot be made, or what was written cannot take the place.
        SourceGoneError: nothing can be written to the bucket.
    """
    if isinstance(path, RemotePath):
        import tempfile  # not at every start

        with tempfile.TemporaryDirectory(prefix="trapline-") as folder:
            local = Path(folder) / path.name
            yield local
            path.put(local)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = beside(path, ".partial")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        with suppress(OSError):  # what went wrong first is what the user must hear of
            partial.unlink()
        raise


def beside(path: Path, ending: str) -> Path:
    """The path with an ending behind its name, or another where disks do not take so long a name."""
    name = path.name + ending
    if len(os.fsencode(name)) > _LONGEST:
        import hashlib

        name = hashlib.blake2b(os.fsencode(path.name), digest_size=16).hexdigest() + ending
    return path.with_name(name)


def replace_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, and through to the disk."""
    with replace_whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a renaming outlive a power cut; where folders cannot be opened (Windows) the system sees to it."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
