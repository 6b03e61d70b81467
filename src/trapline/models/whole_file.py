"""The bytes of a model file: of a regular file, whole and no more than a model can have."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from trapline.errors import DataError

MAX_BYTES = 2**31 - 1
"""Of one protobuf message, and so of a model file."""


@contextmanager
def open_whole(path: Path) -> Iterator[BufferedReader]:
    """A model file, open to be read. A pipe or a device could give bytes for ever, or none, and is refused.

    Raises:
        DataError: it is none, cannot be read, is empty or too large.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder; name the model file in it (model.onnx).")
    try:
        # without waiting: to open a pipe that nobody writes to would take for ever
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    with os.fdopen(number, "rb") as file:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path} is no regular file, so no model file.")
        if status.st_size > MAX_BYTES:
            raise DataError(f"{path} has {status.st_size:,} bytes; a model file has {MAX_BYTES:,} at most.")
        yield file


def fingerprint_of(content: bytes) -> str:
    """SHA-256 of all bytes of a model file, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def read_same(path: Path, fingerprint: str) -> bytes:
    """The bytes of a model file that was opened before.

    Raises:
        DataError: it is not what it was then.
    """
    with open_whole(path) as file:
        content = file.read()
    if fingerprint_of(content) != fingerprint:
        raise DataError(f"{path} has changed since it was opened. Begin again.")
    return content
