"""Where a network is trained: on one device, or on several, of which each has a process of its own.

The processes are started as plain commands and not by `multiprocessing`, which would run the caller's script
once more. They end with the one that started them, however that ends.
"""

from __future__ import annotations

import os
import pickle
import queue
import re
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from trapline.errors import TraplineError, TraplineWarning, UsageError, many
from trapline.models import available_cores

if TYPE_CHECKING:
    from trapline.training.batches import Batches
    from trapline.training.ranks import RankGroup

DevicesLike = int | str | None
"""A number, `auto` (all accelerators), `cpu`, `cpu:2`, `cuda:0,cuda:2`; None for the one that is there."""

_GRACE_SECONDS = 2.0
"""After one process complains that another has gone, for that one to be seen."""

_LOOK_SECONDS = 1.0

Steps = Callable[[int, int, str], None]
"""Called with steps done, steps in all and a line about the last epoch."""

Message = tuple[int, str, Any]
"""From which process, what it is, and what it says."""


@dataclass(frozen=True)
class Devices:
    """On what a network is trained.

    Attributes:
        names: as PyTorch has them, `cuda:0`; one a process. None is the accelerator, if there is one.
        as_many_as_fit: whether fewer will do, where a batch cannot be dealt to all.
    """

    names: tuple[str | None, ...]
    as_many_as_fit: bool = False

    def for_batches(self, batches: Batches) -> tuple[str | None, ...]:
        """Those that each have some of every batch.

        Raises:
            UsageError: that are not all that were asked for.
        """
        pairs = (len(batches.rows) // len(batches) + 1) // 2
        if len(self.names) <= pairs:
            return self.names
        told = (
            f"The smallest batch has {many(len(batches.rows) // len(batches), 'photo')}, which are dealt in "
            f"pairs: {pairs} of the {len(self.names)} devices have a part in it"
        )
        if not self.as_many_as_fit:
            raise UsageError(
                f"{told}. Ask for fewer (--devices), or for larger batches (--set batch_size=…)."
            )
        warnings.warn(f"{told}, and train.", TraplineWarning, stacklevel=2)
        return self.names[:pairs]


def find_devices(asked: DevicesLike = None) -> Devices:
    """The devices of this machine that are asked for.

    Raises:
        UsageError: it has them not, or they cannot be read.
    """
    if asked is None:
        return Devices((None,))
    import torch

    kind = torch.accelerator.current_accelerator(check_available=True)
    there = [] if kind is None else [f"{kind.type}:{one}" for one in range(torch.accelerator.device_count())]
    text = str(asked).strip().lower()
    if text == "auto":
        return Devices(tuple(there or ["cpu"]), as_many_as_fit=True)
    have = f"this machine has {', '.join(there) or 'no accelerator'}"
    if counted := re.fullmatch(r"(?:(cpu):?)?(\d*)", text):
        count = int(counted[2] or 1)
        on_processor = counted[1] is not None or not there
        if count < 1 or (not on_processor and count > len(there)):
            more = f", and cpu:{count} are as many processes on the processor" if count > 1 else ""
            raise UsageError(f"--devices {asked}: {have}{more}.")
        return Devices(("cpu",) * count if on_processor else tuple(there[:count]))
    names = [name.strip() for name in text.split(",")]
    if any(name not in there for name in names) or len(set(names)) < len(names):
        raise UsageError(
            f"--devices {asked}: give a number, auto, cpu, cpu:2, or names with commas, each once; {have}."
        )
    return Devices(tuple(names))


class Shared(Protocol):
    """Work that several processes do together; it is sent to each."""

    def take_part(self, ranks: RankGroup, report: Steps | None) -> None:
        """Do the work of one of them."""
        ...


@dataclass(frozen=True)
class RankJob:
    """What a process is told of its work.

    Attributes:
        shared: what all do together.
        rank: which of the processes it is, from 0.
        devices: of all.
        meeting: a folder by which they find each other.
    """

    shared: Shared
    rank: int
    devices: tuple[str | None, ...]
    meeting: Path


def work_together(shared: Shared, devices: Sequence[str | None], report: Steps | None = None) -> None:
    """Do something in processes of its own, one a device.

    Raises:
        TraplineError: one of them died; or what went wrong in one of them.
    """
    with tempfile.TemporaryDirectory(prefix="trapline-") as meeting:
        jobs = [RankJob(shared, rank, tuple(devices), Path(meeting)) for rank in range(len(devices))]
        together = _Together(jobs)
        try:
            together.follow(report)
        finally:
            together.end()


class _Together:
    """The processes of one training, and what they say."""

    def __init__(self, jobs: Sequence[RankJob]) -> None:
        self._jobs = jobs
        self._said: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            for job in jobs:
                self._start(job)
        except BaseException:
            self.end()
            raise

    def _start(self, job: RankJob) -> None:
        content = pickle.dumps(job)
        threads = max(1, available_cores() // len(self._jobs))
        wishes = {"OMP_NUM_THREADS": str(threads), "TORCH_CPP_LOG_LEVEL": "ERROR"}
        with self._words(job.rank).open("wb") as words:
            try:
                process = subprocess.Popen(  # noqa: S603 - our own command
                    _command(),
                    env=wishes | os.environ,
                    stdin=subprocess.PIPE,  # it ends when this does
                    stdout=subprocess.PIPE,
                    stderr=words,
                    start_new_session=True,  # Ctrl-C is for the run, which then ends it
                )
            except OSError as error:
                raise TraplineError(f"No process for training can be started: {error}.") from error
        self._processes.append(process)
        threading.Thread(target=_tell, args=(process, content), daemon=True).start()
        threading.Thread(target=self._listen, args=(job, process), daemon=True).start()

    def _words(self, rank: int) -> Path:
        """What it writes on standard error."""
        return self._jobs[rank].meeting / f"words-{rank}.txt"

    def _listen(self, job: RankJob, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with suppress(EOFError, OSError, ValueError, pickle.UnpicklingError):
            while True:
                what, told = pickle.load(process.stdout)  # noqa: S301 - of our own process
                self._said.put((job.rank, what, told))
        self._said.put((job.rank, "gone", None))

    def follow(self, report: Steps | None) -> None:
        """Until all are done; raises what ends one of them."""
        done: set[int] = set()
        while len(done) < len(self._jobs):
            try:
                rank, what, told = self._said.get(timeout=_LOOK_SECONDS)
            except queue.Empty:  # Windows lets nobody interrupt a longer wait
                continue
            if what == "step" and report is not None:
                report(*told)
            elif what == "done":
                done.add(rank)
            elif what == "failed":
                if not isinstance(told, TraplineError):
                    self._refuse_dead(_GRACE_SECONDS)  # one that lost another complains, but is not the cause
                raise told
            elif what == "gone" and rank not in done:
                self._refuse_dead(_GRACE_SECONDS, rank)

    def _refuse_dead(self, patience: float, rank: int | None = None) -> None:
        """Raise for the process that ended without a word, if there is one within so many seconds."""
        for number in range(len(self._processes)) if rank is None else (rank,):
            with suppress(subprocess.TimeoutExpired):
                status = self._processes[number].wait(patience if rank is not None else patience / 2)
                if status != 0:
                    raise TraplineError(self._describe(number, status))
        if rank is not None:
            raise TraplineError(self._describe(rank, None))

    def _describe(self, rank: int, status: int | None) -> str:
        how = "stopped answering"
        if status is not None:
            how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        short = " (9 is what a system short of memory sends)" if status == -9 else ""
        words = self._words(rank).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = f" Its last words: {words[-1][:300]}." if words else ""
        kept = (
            " Whole epochs are kept: the same command goes on after the last one (of train, with --resume)."
        )
        return (
            f"The process on {self._jobs[rank].devices[rank]}, number {rank + 1} of the {len(self._jobs)} "
            f"that train together, {how}{short}.{last}{kept}"
        )

    def end(self) -> None:
        """Kill those that still run, and wait until all are gone."""
        for process in self._processes:
            with suppress(OSError):
                process.kill()
        for process in self._processes:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError, ValueError):
                    _close(pipe)


def _tell(process: subprocess.Popen[bytes], content: bytes) -> None:
    assert process.stdin is not None
    with suppress(OSError, ValueError):  # it is gone, which is seen elsewhere
        process.stdin.write(len(content).to_bytes(8, "little") + content)
        process.stdin.flush()


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        pipe.close()


def _command() -> list[str]:
    """The worker, with this process's import path wherever that came from."""
    start = f"import sys; sys.path[:] = {sys.path!r}; from trapline.training.rank_worker import main; main()"
    return [sys.executable, "-c", start]
