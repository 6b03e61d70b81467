"""One attempt at a shard, as its worker sees it: the record kept alive, deaths counted, the culprit found."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from trapline.cluster.attempt import Attempt
from trapline.cluster.children import Child, DeadError, FailedError, StoppedError
from trapline.cluster.plan import Plan
from trapline.cluster.run_folder import RunFolder
from trapline.errors import TraplineError, many

_BEATS_IN_A_LEASE = 6
_MOST_SECONDS = 15.0
"""Between two beats, however long a lease is: `status` shows what is going on."""

_JOURNAL_SECONDS = 60.0
"""Between two times that the journal of a run in a bucket is put there."""

_AT_ONCE = 64
"""Units among which a culprit is looked for: photos are decoded three batches ahead."""


class Attempting:
    """An attempt that has begun.

    Args:
        run: the folder.
        plan: of it.
        child: the process that does it.
        report: told of every beat.
        attempt: the record, as it was written.
        deaths: how many attempts before it have died one after the other, without getting further.

    Attributes:
        here: it failed for what is wrong with this machine, so that every shard would.
    """

    def __init__(
        self,
        run: RunFolder,
        plan: Plan,
        child: Child,
        report: Callable[[Attempt], None],
        attempt: Attempt,
        deaths: int,
    ) -> None:
        self.run, self.plan, self.child, self.report = run, plan, child, report
        self.now, self.deaths, self.here = attempt, deaths, False
        self._lock, self._began, self._last = threading.Lock(), time.monotonic(), 0.0
        self._limit = plan.tries

    def go(self, died_of: Mapping[tuple[int, ...], int]) -> Attempt:
        """Do the shard; the record as it was left.

        Args:
            died_of: units -> how often a process that was asked about them alone has died in earlier
                attempts.
        """
        self._died_of = dict(died_of)
        with self._beating():
            try:
                self._fill()
                done = self._ask("finish")
                state = "finished" if done["won"] else "returned"
                digest = done["digest"] if done["won"] else None
                last: dict[str, Any] = {"state": state, "digest": digest}
                last |= {"media_failed": done["media_failed"]}
            except StoppedError:
                last = {"state": "returned"}
            except FailedError as error:
                self.here = error.here
                last = {"state": "failed", "reason": str(error)}
            except DeadError as error:
                last = {"state": "died", "reason": f"its process ended: {error}"}
            except BaseException:
                self._write(state="returned")
                raise
        if self.now.state != "finished":
            self._keep_journal()
        self._write(trying=(), **last)
        return self.now

    def _fill(self) -> None:
        """Have everything answered, whatever dies of it."""
        while True:
            reached = self.now.done
            try:
                if self.deaths < self._limit:
                    self._ask("fill")
                    return
                self._find(self._left()[:_AT_ONCE])
                self.deaths, self._limit = 0, 1  # where one was, the next is looked for at once
            except DeadError:
                self.deaths = 1 if self.now.done > reached else self.deaths + 1

    def _left(self) -> list[int]:
        """Units, by their first input, that are not answered."""
        units: list[int] = self._ask("left")["left"]
        return units

    def _find(self, units: list[int]) -> None:
        """Have units answered by ever smaller groups, until those are alone of which a process dies."""
        if len(units) == 1:
            self._try_alone(units[0])
            return
        if not any(deaths and set(group) <= set(units) for group, deaths in self._died_of.items()):
            try:
                self._try(units)
                return
            except DeadError:
                left = set(self._left())
                units = [unit for unit in units if unit in left]
        half = (len(units) + 1) // 2
        for part in (units[:half], units[half:]):
            if part:
                self._find(part)

    def _try_alone(self, unit: int) -> None:
        """Ask a process about one unit alone, as often as the plan says; then nobody is asked any more."""
        deaths = self._died_of.pop((unit,), 0)
        while deaths < self.plan.tries:
            try:
                self._try([unit], deaths)
                return
            except DeadError:
                deaths += 1
        # how is not told: of a worker that died with it nobody knows, and a table has the same bytes always
        why = f"the process that looked at it ended each of {many(self.plan.tries, 'time')}"
        self._write(trying=(), refused={**self.now.refused, str(unit): why})

    def _try(self, units: list[int], deaths: int = 0) -> None:
        """Ask a process about some units; should the worker die with it, the next one knows of which."""
        self._write(trying=tuple(units), deaths=deaths)
        self._ask("fill", only=units)
        self._write(trying=())

    def _ask(self, do: str, **more: Any) -> dict[str, Any]:
        job = {"do": do, "attempt": self.now.as_json(), "refused": dict(self.now.refused), **more}
        return self.child.ask(job, self._progress)

    # ---- the record

    def _progress(self, done: int, earlier: int) -> None:
        with self._lock:
            if not self.now.done:
                self.now = replace(self.now, earlier=earlier)
            self.now = replace(self.now, done=max(done, self.now.done))

    @contextmanager
    def _beating(self) -> Iterator[None]:
        """Write the record again and again while this lasts."""
        over = threading.Event()
        seconds = min(_MOST_SECONDS, self.plan.lease / _BEATS_IN_A_LEASE)

        def beat() -> None:
            kept = time.monotonic()
            while not over.wait(seconds):
                self._write()
                if time.monotonic() - kept > _JOURNAL_SECONDS:
                    self._keep_journal()
                    kept = time.monotonic()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _keep_journal(self) -> None:
        with suppress(OSError, TraplineError):
            self.run.keep_journal(self.now)

    def _write(self, **changes: Any) -> None:
        with self._lock:
            self.now = replace(
                self.now,
                beat=self.now.beat + 1,
                renewed=datetime.now(UTC).isoformat(timespec="seconds"),
                seconds=round(time.monotonic() - self._began, 3),
                **changes,
            )
            with suppress(OSError, TraplineError):  # the disk is away for a moment; the lease shows how long
                self.run.renew(self.now)
        self.report(self.now)
