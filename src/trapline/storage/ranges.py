"""A file at an address, read in parts as it is asked for: its beginning says when a photo was taken."""

from __future__ import annotations

import io
import os
from typing import BinaryIO, cast

from trapline.storage.remote_path import RemotePath

_BLOCK = 128 * 2**10
"""Bytes of a request. EXIF and XMP of a JPEG are nearly always in its first ones."""


def open_ranges(path: RemotePath) -> BinaryIO:
    """Open a file at an address for reading; what is read and sought is asked for, and no more.

    Raises:
        OSError: there is no such file, or it cannot be read.
        SourceGoneError: nothing of the bucket can be.
    """
    return cast("BinaryIO", io.BufferedReader(_Ranges(path), _BLOCK))


class _Ranges(io.RawIOBase):
    """Reads whatever range is asked for."""

    def __init__(self, path: RemotePath) -> None:
        self._path, self._size, self._at = path, path.stat().size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        length = min(len(buffer), self._size - self._at)
        if length <= 0:
            return 0
        content = self._path.read(self._at, length, most=length)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)
