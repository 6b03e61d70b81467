"""Tasks on this machine: so many processes at once."""

from __future__ import annotations

import time
from collections.abc import Iterator

from trapline.tasks.process import TaskProcess
from trapline.tasks.task import Task, TryResult
from trapline.tasks.worker import GRACE_SECONDS

_LOOK_SECONDS = 0.05


class LocalProcesses:
    """So many processes at once on this machine."""

    def __init__(self, processes: int, cores: int) -> None:
        self._processes, self._cores = processes, cores
        self._children: list[TaskProcess] = []

    def room(self) -> int:
        """For how many more tasks there is room."""
        return self._processes - len(self._children)

    def start(self, task: Task) -> None:
        """Start a try of a task."""
        self._children.append(TaskProcess(task, self._cores))

    def ended(self, seconds: float) -> Iterator[tuple[Task, TryResult]]:
        """The tries that have ended; comes back after so many seconds if none did."""
        until = time.monotonic() + seconds
        while True:
            done = [(child, outcome) for child in self._children if (outcome := child.poll()) is not None]
            if done or time.monotonic() >= until:
                break
            time.sleep(_LOOK_SECONDS)
        for child, outcome in done:
            self._children.remove(child)
            yield child.task, outcome

    def trouble(self) -> str | None:
        """Why nothing can be done at the moment."""
        return None

    def close(self) -> None:
        """End what is still at work: told to stop, killed if it does not."""
        for child in self._children:
            child.stop()
        until = time.monotonic() + GRACE_SECONDS
        for child in self._children:
            child.end(until)
        self._children.clear()
