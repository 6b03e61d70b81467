"""The process in which a worker has its shards done: whatever a photo does to it, the worker sees it end.

It reads jobs on standard input and writes answers on standard output, a line of JSON each; see `children` for
the other end. It ends with its input, whatever it is doing: the journal keeps all but a batch.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.io.plugins import register_io_source

from trapline.catalog import Catalog, Presence, SourceGoneError
from trapline.cluster.attempt import Attempt
from trapline.cluster.kinds import OpenWork, ShardRun
from trapline.cluster.kinds_by_name import kind_of_work
from trapline.cluster.plan import Plan
from trapline.cluster.run_folder import RunFolder
from trapline.errors import DataError, TraplineError, describe_system_error
from trapline.prediction import Journal, JournalEntry, Progress, fill_journal, width_of
from trapline.storage import as_any_path


class _MachineError(TraplineError):
    """On this machine no shard can be done."""


class _StoppedError(Exception):
    """The worker wants to end; what was answered is in the journal."""


def main(settings: str) -> None:
    """Do jobs until there are no more.

    Args:
        settings: JSON: `folder`, and `root`, `workers`, `threads`, which may be null.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # the worker gets them too, and says when to stop
        signal.signal(number, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    Work(Jobs(), answers.write, answers.flush, **json.loads(settings)).go()


class Jobs:
    """Lines of standard input, and whether one of them said to stop."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._waiting: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def next(self) -> dict[str, Any]:
        """The next job, as soon as there is one."""
        return self._waiting.get()

    def _read(self) -> None:
        for line in sys.stdin:
            job = json.loads(line)
            if job["do"] == "stop":
                self.stopped.set()
            else:
                self._waiting.put(job)
        os._exit(0)  # the worker is gone, and with it the lease


@dataclass
class _AtWork:
    """A shard that is being done."""

    attempt: Attempt
    run: ShardRun
    journal: Journal


@dataclass
class Work:
    """What does the jobs."""

    jobs: Jobs
    write: Any
    flush: Any
    folder: str
    root: str | None
    workers: int | None
    threads: int | None
    _now: _AtWork | None = field(default=None, init=False)
    _open: OpenWork | None = field(default=None, init=False)

    def go(self) -> None:
        """Do one job after the other."""
        while True:
            job = self.jobs.next()
            try:
                self._say({"end": "done"} | self._do(**job))
            except _StoppedError:
                self._say({"end": "stopped"})
            except (TraplineError, OSError) as error:
                reason = describe_system_error(error) if isinstance(error, OSError) else str(error)
                here = isinstance(error, SourceGoneError | _MachineError)
                if isinstance(error, SourceGoneError):  # a plan cannot be given another catalog
                    reason += (
                        f" Where this machine has them elsewhere, `trapline cluster work {self.folder} "
                        "--root FOLDER` says so; the plan holds."
                    )
                self._say({"end": "failed", "reason": reason, "here": here})

    def _say(self, answer: dict[str, Any]) -> None:
        self.write(json.dumps(answer) + "\n")
        self.flush()

    def _do(
        self, do: str, attempt: dict[str, Any], refused: dict[str, str], only: list[int] | None = None
    ) -> dict[str, Any]:
        if self.jobs.stopped.is_set():
            raise _StoppedError
        now = self._at(Attempt.from_json(attempt, "the attempt"))
        if do == "finish":
            return self._finish(now, refused)
        units = now.run.units()
        wanted = now.run.wanted(now.journal.index())
        for first in units_by_first(units, map(int, refused)):
            wanted[first] = False
        if do == "left":
            return {"left": [int(unit[0]) for unit in units if wanted[unit].any()], "all": len(wanted)}
        if only is not None:
            chosen = np.zeros_like(wanted)
            for inputs in units_by_first(units, only):
                chosen[inputs] = True
            wanted &= chosen
        fill_journal(now.run, now.journal, wanted, self._tell)
        return {}

    def _tell(self, progress: Progress) -> None:
        self._say({"done": progress.done, "earlier": progress.earlier})
        if self.jobs.stopped.is_set():
            raise _StoppedError

    def _at(self, attempt: Attempt) -> _AtWork:
        """The shard that is at work, or another that begins."""
        now = self._now
        if now is None or (now.attempt.shard, now.attempt.number) != (attempt.shard, attempt.number):
            if now is not None:
                now.journal.close()
                self._now = None
            now = self._now = self._begin(attempt)
        return now

    def _begin(self, attempt: Attempt) -> _AtWork:
        folder = RunFolder(self.folder)
        plan = folder.plan()
        media = folder.part(plan, attempt.shard, None if self.root is None else as_any_path(self.root))
        presence = presence_of(folder, plan, attempt.shard, media)
        try:
            if self._open is None:
                with folder.model(plan) as model:
                    self._open = kind_of_work(plan).open(plan, model, self.workers, self.threads)
            run = self._open.run(media, presence)
            refuse_other_header(plan, run.header)
        except TraplineError as error:
            raise _MachineError(str(error)) from error
        return _AtWork(attempt, run, Journal(folder.journal(attempt), run.header))

    def _finish(self, now: _AtWork, refused: dict[str, str]) -> dict[str, Any]:
        """Write the table."""
        _write_refused(now, refused)
        folder = RunFolder(self.folder)
        plan = folder.plan()
        failed = 0

        def rows() -> Iterable[pl.DataFrame]:
            nonlocal failed
            for part in now.run.rows(now.journal):
                failed += int((part["status"] == "failed").sum())
                yield part

        counted = register_io_source(lambda *_: iter(rows()), schema=now.run.schema)
        won, digest = folder.publish(now.attempt, counted, plan)
        now.journal.close()
        self._now = None
        folder.tidy(now.attempt.shard)
        return {"won": won, "digest": digest, "media_failed": failed}


def presence_of(folder: RunFolder, plan: Plan, number: int, media: Catalog) -> Presence:
    """Of the photos of the whole run: where none of a shard's can be read, one of another's tells.

    Raises:
        SourceGoneError: none of any shard's can be read.
    """
    try:
        return Presence(media)
    except SourceGoneError:
        if not media.root.is_dir():
            raise
        for other in range(len(plan.shards)):
            if other != number:
                with suppress(SourceGoneError):
                    return Presence(folder.part(plan, other, media.root))
        raise


def refuse_other_header(plan: Plan, header: Mapping[str, Any]) -> None:
    """Refuse to work where the journal would be another than planned.

    Raises:
        DataError: so it is; it says what differs.
    """
    names = [name for name in {**plan.header, **header} if plan.header.get(name) != header.get(name)]
    if names:
        told = [f"{name} is {header.get(name)!r}, not {plan.header.get(name)!r}" for name in names]
        raise DataError(
            f"On this machine the answers would not be those that were planned: {'; '.join(told)}. Use the "
            "same version of Trapline, the model of the plan and the same runtime on all machines."
        )


def units_by_first(
    units: Iterable[npt.NDArray[np.int64]], firsts: Iterable[int]
) -> list[npt.NDArray[np.int64]]:
    """The units that begin with these inputs."""
    wanted = set(firsts)
    return [unit for unit in units if int(unit[0]) in wanted] if wanted else []


def _write_refused(now: _AtWork, refused: dict[str, str]) -> None:
    """Write down as failed what no process survives."""
    reasons = {
        int(index): refused[str(int(unit[0]))]
        for unit in units_by_first(now.run.units(), map(int, refused))
        for index in unit
    }
    if not reasons:
        return
    entries = [
        JournalEntry(
            row.media_id, row.number, row.file_path, None, None, row.box_text, "failed", reasons[index]
        )
        for index, row in enumerate(now.run.inputs())
        if index in reasons
    ]
    numbers = np.full((len(entries), width_of(now.run.header)), np.nan, np.float32)
    now.journal.append(entries, numbers)
