"""The process that does one task; see `process` for the other end.

The task comes as a line of JSON on standard input, and how it ended is written as JSON on standard output.
The process ends when its input does: when whoever started it is gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from types import FrameType
from typing import Any

from trapline.errors import TraplineError, TraplineWarning
from trapline.tasks.task import Task

GRACE_SECONDS = 30.0
"""For a task that is to stop: to finish the batch that it is at and to put its files away."""

STOPPED = 130


def main() -> None:
    """Do the task on standard input."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    job: dict[str, Any] = json.loads(sys.stdin.readline())
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_watch_starter, daemon=True).start()
    try:
        done = _do(Task(**job))
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    with answer:
        json.dump(done, answer)


def _do(task: Task) -> dict[str, Any]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TraplineWarning)
        done: dict[str, Any]
        try:
            done = {"result": task.find()(**task.arguments)}
            json.dumps(done)
        except TraplineError as error:
            done = {"error": str(error), "final": True, "exit_status": error.exit_status}
        except Exception as error:  # noqa: BLE001 - a disk that is full or away, no memory: said, tried again
            traceback.print_exc()
            done = {"error": "".join(traceback.format_exception_only(error)).strip()}
    told = [str(one.message) for one in caught if issubclass(one.category, TraplineWarning)]
    return done | {"warnings": list(dict.fromkeys(told))}


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _watch_starter() -> None:
    """End as if told to, when whoever gave the task is gone; at once if that takes too long."""
    while sys.stdin.readline():
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(STOPPED)
