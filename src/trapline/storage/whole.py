"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replace_whole(path: Path) -> Iterator[Path]:
    """Where to write a file that takes the place of `path` at the end, and of which nothing is left if that
    does not come. Folders above it are made.

    Raises:
        OSError: the folder cannot be made, or what was written cannot take the place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        with suppress(OSError):  # what went wrong first is what the user must hear of
            partial.unlink()
        raise


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
