"""One try of a task in a process of its own; `worker` is what runs there.

Started as a plain command and not by `multiprocessing`, which would run the caller's script once more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import IO

from trapline.errors import TraplineError
from trapline.tasks.task import Task, TryResult
from trapline.tasks.worker import GRACE_SECONDS

_TOLD_OF_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
"""What libraries ask for how many threads to start, each of which takes all cores by itself otherwise."""

_WORDS = 2000
"""Of a process that died: the last characters that it wrote are told."""


class TaskProcess:
    """The process of one try."""

    def __init__(self, task: Task, cores: int) -> None:
        """Start it.

        Args:
            task: what it does.
            cores: for which libraries start threads there.

        Raises:
            TraplineError: no process can be started.
        """
        self.task = task
        self._answer, self._words = _open_file(), _open_file()
        threads = dict.fromkeys(_TOLD_OF_THREADS, str(cores))
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                _command(),
                env=threads | dict(os.environ),  # what the user has said of threads stands
                stdin=subprocess.PIPE,  # it ends when this does
                stdout=self._answer,
                stderr=self._words,
                start_new_session=True,  # Ctrl-C is for the run, which then ends it
            )
        except OSError as error:
            self._close()
            raise TraplineError(f"No process for the task '{task.name}' can be started: {error}.") from error
        assert self._process.stdin is not None
        job = {"name": task.name, "function": task.function, "arguments": dict(task.arguments)}
        with suppress(OSError):  # it has ended already: its status says how
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()

    def poll(self) -> TryResult | None:
        """How it ended; None while it is at work."""
        status = self._process.poll()
        if status is None:
            return None
        self._answer.seek(0)
        answer = self._answer.read()
        self._words.seek(0)
        words = self._words.read().decode(errors="replace").strip()[-_WORDS:]
        self._close()
        try:
            done = json.loads(answer)
            return TryResult(**done | {"warnings": tuple(done.pop("warnings"))})
        except (ValueError, KeyError, TypeError):
            how = f"signal {-status}" if status < 0 else f"exit status {status}"
            return TryResult(error=f"its process died ({how}){f': {words}' if words else ''}")

    def wait(self) -> TryResult:
        """Wait until it has ended; whatever ends the waiting ends the process."""
        try:
            while (outcome := self.poll()) is None:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(0.2)
            return outcome
        finally:
            self.end(time.monotonic() + GRACE_SECONDS)

    def stop(self) -> None:
        """Tell it to finish what it is at, and no more."""
        with suppress(OSError):
            self._process.terminate()

    def end(self, until: float) -> None:
        """Stop it, and kill it if it is still there at a moment of `time.monotonic`."""
        if self._process.poll() is None:
            self.stop()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(max(0.0, until - time.monotonic()))
            with suppress(OSError):
                self._process.kill()
            self._process.wait()
        self._close()

    def _close(self) -> None:
        self._answer.close()
        self._words.close()
        process = getattr(self, "_process", None)
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()


def _open_file() -> IO[bytes]:
    """A file without a name, into which a process may write as much as it likes while nobody reads."""
    return tempfile.TemporaryFile()


def _command() -> list[str]:
    """The worker, with this process's import path wherever that came from."""
    start = f"import sys; sys.path[:] = {sys.path!r}; from trapline.tasks.worker import main; main()"
    return [sys.executable, "-c", start]
