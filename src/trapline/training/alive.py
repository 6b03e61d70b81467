"""Which of the processes that work in one folder are alive, on one machine or on many.

Each has a file there that it changes every few seconds. Who looks needs no clock that agrees with another's:
a file that he has not seen change for long enough is of one that is dead. On one machine nobody needs to wait
for that: each holds a lock as well, on a file of the machine's own disk, which the system takes from whoever
dies.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from trapline.errors import UsageError
from trapline.storage import lock

_NAME = re.compile(r"[\w.-]{1,200}")
BEAT_SECONDS = 5.0
SILENT_SECONDS = 90.0
"""Until one that is not heard of is held for dead: longer than a network disk shows old news."""


class Alive:
    """This process, as long as it is open.

    Attributes:
        name: of it, which no other has.
    """

    def __init__(self, folder: Path) -> None:
        host = re.sub(r"[^\w.-]", "-", socket.gethostname())[:60]
        self.name = f"{host}-{os.getpid()}-{secrets.token_hex(4)}"
        self._file, self._held = folder / self.name, _hold(self.name)
        folder.mkdir(parents=True, exist_ok=True)
        self._ended = threading.Event()
        self._beat(0)
        self._thread = threading.Thread(target=self._beat_on, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """It ends in order."""
        self._ended.set()
        self._thread.join()
        with suppress(OSError):
            self._file.unlink()
        if self._held is not None:
            self._held.close()
            with suppress(OSError):
                _own_disk(self.name).unlink()

    def _beat_on(self) -> None:
        number = 0
        while not self._ended.wait(BEAT_SECONDS):
            number += 1
            self._beat(number)

    def _beat(self, number: int) -> None:
        with suppress(OSError):  # the disk is away for a moment: what it costs is what this is for
            self._file.write_text(str(number), encoding="utf-8")


class Watch:
    """What one process knows of the others in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._heard: dict[str, tuple[str | None, float]] = {}

    def is_alive(self, name: str) -> bool:
        """Whether the process of that name is; in doubt, until it was silent for long enough, it is."""
        if not _NAME.fullmatch(name):
            return False
        here = _is_held(name)
        if here is not None:
            return here
        news, now = self._news(name), time.monotonic()
        before = self._heard.get(name)
        if before is None or before[0] != news:
            self._heard[name] = (news, now)
            return True
        return now - before[1] < SILENT_SECONDS

    def others(self, own: str) -> list[str]:
        """The names of those that are not known to be dead, without the own one."""
        with suppress(OSError):
            names = [path.name for path in self._folder.iterdir()]
            return [name for name in names if name != own and self.is_alive(name)]
        return []

    def forget(self, name: str) -> None:
        """Tidy up after one that is dead."""
        if _NAME.fullmatch(name):
            for path in (self._folder / name, _own_disk(name)):
                with suppress(OSError):
                    path.unlink()

    def _news(self, name: str) -> str | None:
        try:
            return (self._folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeError):
            return None


def _own_disk(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"trapline-alive-{name}"


def _hold(name: str) -> BinaryIO | None:
    """The lock of this process on this machine; None where its disk knows no locks."""
    path = _own_disk(name)
    try:
        file = path.open("x+b")
    except OSError:
        return None
    with suppress(UsageError):
        lock(file, path)
        if _is_held(name):
            return file
    file.close()
    with suppress(OSError):
        path.unlink()
    return None


def _is_held(name: str) -> bool | None:
    """Whether a process of this machine holds its lock; None if that cannot be told here."""
    path = _own_disk(name)
    try:
        with path.open("r+b") as file:
            lock(file, path)
    except UsageError:
        return True
    except (OSError, ValueError):
        return None
    return False
