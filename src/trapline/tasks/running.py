"""All tasks of a run, dealt to an engine: what died is tried again, and what failed is said."""

from __future__ import annotations

import re
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from trapline.errors import TraplineError, TraplineWarning, UsageError, name_some, require
from trapline.models import available_cores
from trapline.tasks.task import Task, TryResult

_REPORT_SECONDS = 1.0

_ALIKE = 3
"""So many tasks that fail with none done between them end the run: the rest would fail as well."""


class TaskEngine(Protocol):
    """Where tasks are done."""

    def room(self) -> int:
        """For how many more tasks there is room."""
        ...

    def start(self, task: Task) -> None:
        """Start a try of a task."""
        ...

    def ended(self, seconds: float) -> Iterable[tuple[Task, TryResult]]:
        """The tries that have ended; comes back after so many seconds if none did."""
        ...

    def trouble(self) -> str | None:
        """Why nothing can be done at the moment; raises if that will not change."""
        ...

    def close(self) -> None:
        """End what is still at work."""
        ...


class TasksFailedError(TraplineError):
    """Tasks that failed for good; what the others left stands.

    Attributes:
        failures: the name of each → why.
    """

    def __init__(self, failures: dict[str, str], undone: int, exit_status: int) -> None:
        self.failures, self.exit_status = failures, exit_status
        lines = name_some([f"{name}: {error}" for name, error in failures.items()], 3, between="\n  ")
        rest = f" {undone} were not begun after that." if undone else ""
        are = "task" if len(failures) == 1 else "tasks"
        super().__init__(
            f"{len(failures)} {are} failed; what the others have done is kept, and the same command goes on "
            f"from there.{rest}\n  {lines}"
        )


@dataclass
class Standing:
    """How far the tasks of a run are.

    Attributes:
        total: tasks.
        done: that ended well.
        running: names of those that were given to the engine.
        failed: names of those that failed for good, and why.
        tries: of each task that was begun.
        news: what happened since the last report, for people.
    """

    total: int
    done: int = 0
    running: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)
    news: list[str] = field(default_factory=list)


Report = Callable[[Standing], object]


def run_tasks(
    tasks: Sequence[Task],
    on: str = "local",
    *,
    cores: int | None = None,
    gpus: int = 0,
    retries: int = 3,
    report: Report | None = None,
) -> list[Any]:
    """Do tasks in processes of their own, several at once.

    A task whose process died (killed, out of memory, its machine lost) or that met an error which is none of
    Trapline's is tried again, after those that wait; an error of Trapline's is final. The others go on.

    Args:
        tasks: each with a name of its own.
        on: where: `local:N` for N processes on this machine, `local` for as many as it has cores, `ray` for
            the running Ray cluster (the one of RAY_ADDRESS, or one that is started here), `ray://HOST:PORT`
            for one that is reached from outside.
        cores: that a task uses; None for this machine's shared out among its processes, on Ray one.
        gpus: that a task uses, of which Ray shows it none otherwise; on this machine all tasks see all.
        retries: how often a task is tried again.
        report: told how far they are, about once a second and whenever something happened.

    Returns:
        what each returned, in the order of the tasks.

    Raises:
        TasksFailedError: tasks failed for good; with the exit status of the first.
        UsageError: `on` is none of these.
        MissingExtraError: Ray is not installed.
    """
    names = Counter(task.name for task in tasks)
    if doubled := [name for name, count in names.items() if count > 1]:
        raise UsageError(f"Two tasks have the name {name_some(doubled)}.")
    if not tasks:
        return []
    dealt = _Dealt(tasks, retries, report or (lambda standing: None))
    engine = _open_engine(on, cores or cores_each(on, len(tasks)), gpus, len(tasks))
    try:
        dealt.run(engine)
    finally:
        engine.close()
    return dealt.results()


def check_engine(on: str) -> None:
    """Refuse an engine that there is not, before anything is done for it.

    Raises:
        UsageError: `on` is none.
        MissingExtraError: Ray is not installed.
    """
    if _processes(on) is None:
        require("ray", "ray", f"--on {on}")


def cores_each(on: str, tasks: int | None = None) -> int:
    """How many cores a task has on an engine, so that it can be told how many threads to start.

    Args:
        on: as in `run_tasks`.
        tasks: how many there are, where that is known.
    """
    processes = _processes(on, tasks)
    return 1 if processes is None else max(1, available_cores() // processes)


def _processes(on: str, tasks: int | None = None) -> int | None:
    """How many at once on this machine; None on Ray.

    Raises:
        UsageError: `on` is no engine.
    """
    if on == "ray" or re.fullmatch(r"ray://[^/\s]+:\d+", on):
        return None
    local = re.fullmatch(r"local(?::([1-9]\d{0,3}))?", on)
    if local is None:
        raise UsageError(
            f"--on takes local, local:N (N processes on this machine), ray or ray://HOST:PORT, not '{on}'."
        )
    processes = int(local[1]) if local[1] else available_cores()
    return processes if tasks is None else max(1, min(processes, tasks))


def _open_engine(on: str, cores: int, gpus: int, tasks: int) -> TaskEngine:
    processes = _processes(on, tasks)
    if processes is None:
        from trapline.tasks.ray_cluster import RayCluster

        return RayCluster(on, cores, gpus)
    from trapline.tasks.local import LocalProcesses

    return LocalProcesses(processes, cores)


class _Dealt:
    """What has become of each task."""

    def __init__(self, tasks: Sequence[Task], retries: int, report: Report) -> None:
        self._tasks, self._retries, self._report = tasks, retries, report
        self._waiting = deque(tasks)
        self._results: dict[str, Any] = {}
        self._exit_status = 0
        self._alike = 0
        self.standing = Standing(len(tasks))

    def run(self, engine: TaskEngine) -> None:
        """Until all are done or given up."""
        trouble = None
        while (self._waiting and self._alike < _ALIKE) or self.standing.running:
            while self._waiting and self._alike < _ALIKE and engine.room() > 0:
                self._begin(engine, self._waiting.popleft())
            for task, outcome in engine.ended(_REPORT_SECONDS):
                self._end(task, outcome)
            before, trouble = trouble, engine.trouble()
            if trouble is not None and trouble != before:
                self.standing.news.append(trouble)
            self._tell()
        self._tell()

    def results(self) -> list[Any]:
        """In the order of the tasks."""
        if self.standing.failed:
            raise TasksFailedError(self.standing.failed, len(self._waiting), self._exit_status)
        return [self._results[task.name] for task in self._tasks]

    def _begin(self, engine: TaskEngine, task: Task) -> None:
        self.standing.tries[task.name] += 1
        engine.start(task)
        self.standing.running.append(task.name)

    def _end(self, task: Task, outcome: TryResult) -> None:
        self.standing.running.remove(task.name)
        for warning in outcome.warnings:
            warnings.warn(f"{task.name}: {warning}", TraplineWarning, stacklevel=5)
        if outcome.error is None:
            self._results[task.name] = outcome.result
            self.standing.done += 1
            self._alike = 0
        elif outcome.final or self.standing.tries[task.name] > self._retries:
            self._give_up(task, outcome)
        else:
            self.standing.news.append(f"{task.name} is tried again: {outcome.error}")
            self._waiting.append(task)

    def _give_up(self, task: Task, outcome: TryResult) -> None:
        tries = self.standing.tries[task.name]
        times = f" ({tries} tries)" if tries > 1 else ""
        self.standing.failed[task.name] = f"{outcome.error}{times}"
        self._exit_status = self._exit_status or outcome.exit_status
        self._alike += 1

    def _tell(self) -> None:
        self._report(self.standing)
        self.standing.news.clear()
