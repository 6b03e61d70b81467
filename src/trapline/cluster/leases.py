"""Which shard a worker may take: one that nobody is at, as far as it can see."""

from __future__ import annotations

import time
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field

from trapline.cluster.attempt import Attempt
from trapline.cluster.plan import Plan
from trapline.cluster.run_folder import RunFolder, read_attempt
from trapline.storage import AnyPath


@dataclass(frozen=True)
class Claim:
    """What to do next.

    Attributes:
        number: of the shard; None where all that is left is being done by others.
        attempt: the number of the attempt to begin.
        earlier: the attempts before it, that can be read.
    """

    number: int | None
    attempt: int = 0
    earlier: list[Attempt] = field(default_factory=list)


class Leases:
    """The leases of a run as one worker sees them.

    A lease is the record of an attempt that is `working`. It has expired when it has stayed the same, byte
    for byte, for as long as the plan says by this worker's own clock: clocks of several machines, or of a
    network disk, are never compared. Who takes the shard over begins the attempt of the next number.

    Args:
        run: the folder.
        plan: of it.
        name: of the worker, by which they begin at different shards.
    """

    def __init__(self, run: RunFolder, plan: Plan, name: str) -> None:
        self.run, self.plan = run, plan
        self._order = list(range(len(plan.shards)))
        begin = zlib.crc32(name.encode()) % max(1, len(self._order))
        self._order = self._order[begin:] + self._order[:begin]
        self._seen: dict[AnyPath, tuple[bytes, float]] = {}

    @property
    def patience(self) -> float:
        """Seconds to wait before others' leases are looked at again."""
        return min(5.0, self.plan.lease / 6)

    def next(self, without: Collection[int]) -> Claim | None:
        """What to do next; None where nothing is left that this worker could do.

        Args:
            without: shards that have failed here.
        """
        finished, attempts = self.run.finished(), self.run.attempts()
        left = [number for number in self._order if number not in finished]
        waiting = False
        for number in sorted(left, key=lambda one: one in attempts):  # what nobody has begun comes first
            records = attempts.get(number, [])
            taken = bool(records) and not self._is_over(records[-1][1])
            waiting |= taken
            if not taken and number not in without:
                read = (read_attempt(path)[1] for _, path in records)
                earlier = [one for one in read if one is not None]
                return Claim(number, 1 + (records[-1][0] if records else 0), earlier)
        return Claim(None) if waiting else None

    def _is_over(self, path: AnyPath) -> bool:
        """Whether nobody holds the lease of a record any more."""
        content, attempt = read_attempt(path)
        if attempt is not None and attempt.state != "working":
            return True
        now = time.monotonic()
        before, since = self._seen.get(path, (None, now))
        if content != before:
            self._seen[path] = content, now
            return False
        return now - since >= self.plan.lease
