"""The worker's end of the process that does its shards."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from trapline.errors import TraplineError

SILENT_SECONDS = 1800.0
"""Without a word while photos are looked at: whatever it waits for, a driver or a disk, does not come.
Decoders have limits of their own, and a server that is away is waited for for minutes."""


class DeadError(Exception):
    """The process has ended without an answer; the message says how."""


class StoppedError(Exception):
    """It was told to stop, and has."""


class FailedError(TraplineError):
    """It answered with an error.

    Attributes:
        here: it is this machine's trouble, and no shard's: it lacks the photos, or the runtime.
    """

    def __init__(self, reason: str, here: bool) -> None:
        super().__init__(reason)
        self.here = here


class Child:
    """A process that does one job after the other; another takes its place when it has died.

    Args:
        settings: see `child.main`.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = json.dumps(settings, default=str)
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.RLock()  # again in a signal's handler
        self._stopping = threading.Event()

    def ask(self, job: Mapping[str, Any], progress: Callable[[int, int], None]) -> dict[str, Any]:
        """The answer to a job.

        Args:
            job: see `child.Work`.
            progress: told how many inputs are answered, and how many of them were before this job.

        Raises:
            DeadError: the process has ended.
            StoppedError: see `stop`.
            FailedError: the job cannot be done.
        """
        if self._stopping.is_set():
            raise StoppedError
        self._send(job)
        for line in self._lines(job["do"] == "fill"):
            answer: dict[str, Any] = json.loads(line)
            if "end" not in answer:
                progress(answer["done"], answer["earlier"])
            elif answer["end"] == "stopped":
                raise StoppedError
            elif answer["end"] == "failed":
                raise FailedError(answer["reason"], answer["here"])
            else:
                return answer
        raise DeadError(self.close())

    def _lines(self, watched: bool) -> Iterator[str]:
        """What it says; while it is watched, it is killed when it says nothing for too long.

        Raises:
            FailedError: it was. No photo is blamed for that: it may be the disk of this machine that is gone.
        """
        process = self._process
        assert process is not None
        assert process.stdout is not None
        heard, over, silent = time.monotonic(), threading.Event(), threading.Event()

        def watch() -> None:
            while not over.wait(max(0.1, heard + SILENT_SECONDS - time.monotonic())):
                if time.monotonic() - heard >= SILENT_SECONDS:
                    silent.set()
                    process.kill()
                    return

        if watched:
            threading.Thread(target=watch, daemon=True).start()
        try:
            for line in process.stdout:
                heard = time.monotonic()
                yield line
        finally:
            over.set()
        if silent.is_set():
            self.close()
            raise FailedError(
                f"Its process said nothing for {SILENT_SECONDS / 60:.0f} minutes and was ended: a disk, a "
                "driver or the runtime hangs on this machine. Other workers can take the shard.",
                here=True,
            )

    def _send(self, job: Mapping[str, Any]) -> None:
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(  # noqa: S603 - our own command
                    _command(self._settings),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    encoding="utf-8",
                )
            assert self._process.stdin is not None
            with suppress(OSError):  # it has just ended, which reading tells
                self._process.stdin.write(json.dumps(job) + "\n")
                self._process.stdin.flush()

    def stop(self) -> None:
        """Have it finish its batch and no more; also from a signal's handler."""
        self._stopping.set()
        if self._process is not None:
            self._send({"do": "stop"})

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until it is told to stop; whether it was."""
        return self._stopping.wait(seconds)

    def close(self) -> str:
        """End it; how it has ended."""
        process, self._process = self._process, None
        if process is None:
            return "it was not there"
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):
            process.stdin.close()
        status = process.wait()
        process.stdout.close()
        if status < 0:
            with suppress(ValueError):
                return f"signal {-status}, {signal.Signals(-status).name}"
        return f"exit status {status}"


def _command(settings: str) -> list[str]:
    """The child, with this process's import path wherever that came from."""
    path = f"import sys; sys.path[:] = {sys.path!r}"
    return [sys.executable, "-c", f"{path}; from trapline.cluster.child import main; main({settings!r})"]
