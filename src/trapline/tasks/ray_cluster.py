"""Tasks on the machines of a Ray cluster: Ray chooses the machine, and the task has its own process there."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from trapline import __version__
from trapline.errors import TraplineError, require
from trapline.models import available_cores
from trapline.tasks.process import TaskProcess
from trapline.tasks.task import Task, TryResult
from trapline.tasks.worker import GRACE_SECONDS

PATIENCE_SECONDS = 300.0
"""For a machine that could do a task at all: those of a cloud take minutes to come."""

_KNOCK_SECONDS = 10.0

_AHEAD = 2
"""So many tasks for each core are given to Ray, so that a machine need not wait for the next."""


class RayCluster:
    """A cluster of Ray that runs, or one on this machine that ends with the tasks."""

    def __init__(self, on: str, cores: int, gpus: int = 0, patience: float = PATIENCE_SECONDS) -> None:
        """Connect.

        Args:
            on: `ray` or `ray://HOST:PORT`.
            cores: of a machine that each task is lent.
            gpus: likewise.
            patience: seconds without any machine that could do a task, before that is an error.

        Raises:
            MissingExtraError: Ray is not installed.
            TraplineError: there is no cluster at that address.
        """
        self._ray: Any = require("ray", "ray", "--on ray")
        self._cores, self._gpus, self._patience = cores, gpus, patience
        self._ours = not self._ray.is_initialized()  # else the caller's own connection
        if self._ours:
            _connect(self._ray, on)
        self._remote = self._ray.remote(num_cpus=cores, num_gpus=gpus, max_retries=0)(do_on_node)
        self._tasks: dict[Any, Task] = {}
        self._idle_since: float | None = None
        self._room = max(16, _AHEAD * int(self._ray.cluster_resources().get("CPU", 0)) // cores)

    def room(self) -> int:
        """For how many more tasks there is room; Ray itself lets them wait."""
        return self._room - len(self._tasks)

    def start(self, task: Task) -> None:
        """Give a try of a task to Ray."""
        self._tasks[self._remote.remote(asdict(task), self._cores, __version__)] = task

    def ended(self, seconds: float) -> Iterator[tuple[Task, TryResult]]:
        """The tries that have ended; comes back after so many seconds if none did."""
        self._ray.wait(list(self._tasks), num_returns=1, timeout=seconds)
        done, _ = self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        for reference in done:
            yield self._tasks.pop(reference), self._result_of(reference)

    def trouble(self) -> str | None:
        """Why nothing can be done at the moment: no machine has the cores.

        Raises:
            TraplineError: none came for too long.
        """
        alive = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if any(one.get("CPU", 0) >= self._cores and one.get("GPU", 0) >= self._gpus for one in alive):
            self._idle_since = None
            return None
        now = time.monotonic()
        self._idle_since = self._idle_since or now
        most = max((one.get("CPU", 0) for one in alive), default=0)
        asked = f"{self._cores} core{'s'[: self._cores != 1]}{' and a GPU' if self._gpus else ''}"
        needs = (
            f"no machine of the Ray cluster lends {asked} to a task ({len(alive)} alive, the largest with "
            f"{most:g} cores)"
        )
        if now - self._idle_since >= self._patience:
            raise TraplineError(
                f"Since {self._patience:.0f} s {needs}. Add a machine, or ask for fewer cores with "
                "--threads. What is done is kept, and the same command goes on from there."
            )
        return f"waiting: {needs}"

    def close(self) -> None:
        """End what is still at work, and let go of the cluster."""
        for reference in self._tasks:
            self._ray.cancel(reference)  # an interrupt there: the process is told to stop
        if self._tasks:
            self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=GRACE_SECONDS)
        self._tasks.clear()
        if self._ours:
            self._ray.shutdown()

    def _result_of(self, reference: Any) -> TryResult:
        try:
            done: dict[str, Any] = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, TraplineError):
                return TryResult(error=str(cause), final=True, exit_status=cause.exit_status)
            if isinstance(cause, ModuleNotFoundError) or "No module named" in str(error):
                return TryResult(error=f"{_NOT_INSTALLED} {cause}", final=True)
            return TryResult(error=str(cause))
        except self._ray.exceptions.RayError as error:
            return TryResult(error=f"its process or machine was lost ({type(error).__name__})")
        return TryResult(**done | {"warnings": tuple(done["warnings"])})


_NOT_INSTALLED = (
    "Trapline is not installed on a machine of the Ray cluster: install the same version there, with the "
    "extra 'ray'."
)


def do_on_node(task: dict[str, Any], cores: int, version: str) -> dict[str, Any]:
    """What Ray calls on a machine: do a task in a process of its own there, and say how it ended.

    Raises:
        TraplineError: another version of Trapline is installed there.
    """
    if version != __version__:
        raise TraplineError(
            f"A machine of the Ray cluster has Trapline {__version__}, and this one {version}. Install one "
            "version on all."
        )
    return asdict(TaskProcess(Task(**task), cores).wait())


def _connect(ray: Any, on: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told what is done here
    address = os.environ.get("RAY_ADDRESS", "auto") if on == "ray" else on
    kept = signal.getsignal(signal.SIGTERM)
    try:
        _knock(address)
        _join_or_start(ray, address)
    except (ConnectionError, RuntimeError, ValueError, ImportError, OSError) as error:
        where, why = address.removeprefix("ray://"), str(error).strip().splitlines()[-1]
        raise TraplineError(f"No Ray cluster answers at {where}: {why}") from error
    finally:
        _keep_handler(kept)


def _knock(address: str) -> None:
    """Ray itself asks for ten minutes whether anybody is there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_SECONDS).close()


def _join_or_start(ray: Any, address: str) -> None:
    """The cluster at the address; for `auto` one that was started on this machine, else one of our own."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        ray.init(address, **quiet)
    except ConnectionError:
        if address != "auto":
            raise
        ray.init(
            "local",
            num_cpus=available_cores(),
            include_dashboard=False,
            _node_ip_address="127.0.0.1",  # nobody from outside
            **quiet,
        )


def _keep_handler(handler: Any) -> None:
    """Ray has SIGTERM end the interpreter; whoever had it before has it."""
    try:
        signal.signal(signal.SIGTERM, handler)
    except ValueError:  # not the main thread: Ray did not touch it
        return
