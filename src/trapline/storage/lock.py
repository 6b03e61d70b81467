"""One writer at a time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

from trapline.errors import UsageError


def lock(file: BinaryIO, path: Path) -> None:
    """Take an open file for this process; the system gives it back however the process ends.

    Args:
        file: open for reading and writing.
        path: as the refusal names it.

    Raises:
        UsageError: another process has it.
    """
    busy = UsageError(f"Another run is writing {path}. Wait for it, or name another output with -o.")
    if sys.platform == "win32":
        import msvcrt

        file.seek(2**31 - 2)  # a byte far behind the content: Windows locks are for readers too
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            raise busy from None
        file.seek(0)
    else:
        import fcntl

        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        except OSError:  # a network disk without locks: one run at a time is then up to the user
            return
