"""A worker: it does one shard, or takes one after the other until none is left."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from trapline.cluster.attempt import Attempt, deaths_in_place, deaths_of, refused_before
from trapline.cluster.attempting import Attempting
from trapline.cluster.children import Child
from trapline.cluster.leases import Leases
from trapline.cluster.plan import Plan
from trapline.cluster.run_folder import RunFolder, read_attempt
from trapline.errors import TraplineError, UsageError, many, name_some
from trapline.storage import AnyPath

_TASK_NUMBERS = ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX")
"""Where a scheduler says which task of an array this is: Slurm, and Kubernetes' Indexed Jobs."""


@dataclass
class Worked:
    """What a worker has done.

    Attributes:
        finished: shards whose table it has written.
        inputs: it has had answered.
        seconds: it took.
        failed: shard -> why it could not be done.
    """

    finished: list[int] = field(default_factory=list)
    inputs: int = 0
    seconds: float = 0.0
    failed: dict[int, str] = field(default_factory=dict)

    def refuse_failures(self) -> None:
        """Raise `TraplineError` if a shard could not be done."""
        if self.failed:
            told = [f"{number}: {why}" for number, why in self.failed.items()]
            raise TraplineError(
                f"{many(len(told), 'shard')} could not be done. {name_some(told, 3, between=' ')}"
            )


def work(
    folder: AnyPath | str,
    shard: int | None = None,
    *,
    claim: bool = False,
    root: AnyPath | str | None = None,
    workers: int | None = None,
    threads: int | None = None,
    report: Callable[[Attempt], None] | None = None,
) -> Worked:
    """Do one shard of a plan, or take one after the other until none is left.

    A shard that is done already costs nothing. One that another has begun goes on from the journal that it
    left. Nothing depends on locks: where two do the same shard, the table of the first stays.

    Args:
        folder: of the run.
        shard: which, from 0; None for that of the task of a Slurm array or of Kubernetes' Indexed Job that
            this is.
        claim: take whichever nobody is at, until all are done; those of a worker that says nothing any more
            are taken over.
        root: where the photos are, if not where the plan says.
        workers: processes that decode photos; None for one a core.
        threads: the network runs on; None for one a core.
        report: told how far it is, every now and then.

    Raises:
        UsageError: neither says which shard.
        DataError: the folder is none of a run, or the plan lacks the shard.
        KeyboardInterrupt: SIGINT or SIGTERM came; the batch is finished, and the shard given back.
    """
    run = RunFolder(folder)
    plan = run.plan()
    number = None if claim else _which(shard)
    if claim and shard is not None:
        raise UsageError("Name a shard, or let the worker claim what is left; not both.")
    child = Child(
        {"folder": str(run.path), "root": root and str(root), "workers": workers, "threads": threads}
    )
    worker = _Shift(run, plan, child, report or (lambda attempt: None))
    try:
        with _stopping(child.stop) as came:
            worker.claim_all() if number is None else worker.do_one(number)
            if came and worker.stopped:
                raise KeyboardInterrupt
    finally:
        child.close()
        worker.worked.seconds = time.monotonic() - worker.began
    return worker.worked


def _which(shard: int | None) -> int:
    if shard is not None:
        return shard
    for name in _TASK_NUMBERS:
        if os.environ.get(name, "").isdecimal():
            return int(os.environ[name])
    raise UsageError(
        "Say which shard is to be done, with --shard N; or --claim, to do those that nobody is at. In an "
        f"array of Slurm or an Indexed Job of Kubernetes {' or '.join(_TASK_NUMBERS)} says it."
    )


@contextmanager
def _stopping(stop: Callable[[], None]) -> Iterator[list[int]]:
    """SIGINT and SIGTERM let the batch be finished; a second one does not wait. Yields those that came."""
    came: list[int] = []
    before: dict[int, Any] = {}

    def take(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt
        stop()

    if threading.current_thread() is threading.main_thread():
        for which in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(which) is not signal.SIG_IGN:
                before[which] = signal.signal(which, take)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Shift:
    """Does shards, one after the other.

    Attributes:
        worked: what it has done.
        stopped: whether it was told to stop before the end.
    """

    def __init__(self, run: RunFolder, plan: Plan, child: Child, report: Callable[[Attempt], None]) -> None:
        self.run, self.plan, self.child, self.report = run, plan, child, report
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.worked, self.stopped, self.began = Worked(), False, time.monotonic()

    def do_one(self, number: int) -> None:
        """Do the shard of this number, whoever else is at it."""
        self.plan.shard(number)
        while not self.run.is_finished(number):
            earlier = [read_attempt(path)[1] for _, path in self.run.attempts().get(number, [])]
            if self._attempt(number, [one for one in earlier if one is not None], len(earlier) + 1):
                return

    def claim_all(self) -> None:
        """Do what nobody is at, until all is done or has failed here."""
        leases = Leases(self.run, self.plan, self.name)
        while not self.stopped:
            claim = leases.next(set(self.worked.failed))
            if claim is None:
                return
            if claim.number is None:
                self.stopped = self.child.wait(leases.patience)
            else:
                self._attempt(claim.number, claim.earlier, claim.attempt)

    def _attempt(self, number: int, earlier: list[Attempt], attempt: int) -> bool:
        """Attempt a shard; False where another has begun the attempt of this number."""
        mine = Attempt(
            shard=number,
            number=attempt,
            worker=self.name,
            inputs=self.plan.shard(number).asked,
            refused=refused_before(earlier),
        )
        if not self.run.begin(mine):
            return False
        doing = Attempting(self.run, self.plan, self.child, self.report, mine, deaths_in_place(earlier))
        last = doing.go(deaths_of(earlier))
        self.worked.inputs += last.done - last.earlier
        if last.state == "finished":
            self.worked.finished.append(number)
        elif last.state == "returned":
            self.stopped = not self.run.is_finished(number)
        else:
            self.worked.failed[number] = last.reason or ""
            self.stopped = self.stopped or doing.here
        return True
