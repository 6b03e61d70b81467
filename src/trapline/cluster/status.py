"""How far a run in shards is, as its folder tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from trapline.cluster.attempt import Attempt
from trapline.cluster.plan import Plan
from trapline.cluster.run_folder import RunFolder, read_attempt
from trapline.storage import AnyPath

State = Literal["finished", "working", "silent", "waiting", "failed", "died"]


@dataclass(frozen=True)
class ShardStatus:
    """How far a shard is.

    Attributes:
        shard: which.
        state: `finished`; `working`; `silent`, where its worker says nothing any more; `waiting`, for whoever
            takes it; `failed` with an error, or `died` with its process.
        media: that it has.
        done: inputs that are answered.
        rate: inputs a second, of one that is worked at.
        attempts: at it.
        worker: of the last attempt.
        reason: why it failed or died.
        media_failed: rows that failed, of a finished one.
    """

    shard: int
    state: State
    media: int
    done: int = 0
    rate: float = 0.0
    attempts: int = 0
    worker: str | None = None
    reason: str | None = None
    media_failed: int = 0


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Attributes:
        work: its kind.
        media: altogether.
        inputs: that the model is asked about.
        done: of these are answered.
        rate: inputs a second, of all that work now.
        seconds_left: at this rate; None where nobody works.
        shards: one each.
    """

    work: str
    media: int
    inputs: int
    done: int
    rate: float
    seconds_left: float | None
    shards: tuple[ShardStatus, ...]

    def count(self, state: State) -> int:
        """Shards that are in a state."""
        return sum(one.state == state for one in self.shards)

    @property
    def finished(self) -> bool:
        """Whether it can be merged."""
        return self.count("finished") == len(self.shards)


def run_status(folder: AnyPath | str) -> RunStatus:
    """How far a run in shards is; nothing is changed, and nobody is waited for.

    Whether a worker is silent is told by its clock and this machine's: where they differ by more than the
    lease it is shown wrongly, and nothing else comes of that.

    Raises:
        DataError: the folder is none of a run.
    """
    run = RunFolder(folder)
    plan = run.plan()
    finished, attempts = run.finished(), run.attempts()
    shards = [
        _shard(plan, number, number in finished, [path for _, path in attempts.get(number, [])])
        for number in range(len(plan.shards))
    ]
    inputs, done = sum(shard.asked for shard in plan.shards), sum(one.done for one in shards)
    rate = sum(one.rate for one in shards if one.state == "working")
    left = (inputs - done) / rate if rate else None
    return RunStatus(plan.work, plan.media, inputs, done, rate, left, tuple(shards))


def _shard(plan: Plan, number: int, is_finished: bool, records: Sequence[AnyPath]) -> ShardStatus:
    shard = plan.shards[number]
    media = shard.stop - shard.start
    read = [attempt for attempt in (read_attempt(path)[1] for path in records) if attempt is not None]
    if is_finished:
        failed = max((attempt.media_failed for attempt in read), default=0)
        return ShardStatus(number, "finished", media, shard.asked, attempts=len(records), media_failed=failed)
    if not read:
        return ShardStatus(number, "waiting", media, attempts=len(records))
    last, done = read[-1], max(attempt.done for attempt in read)
    state = _state(last, plan)
    return ShardStatus(
        number, state, media, done, last.rate, len(records), last.worker, last.reason, last.media_failed
    )


def _state(last: Attempt, plan: Plan) -> State:
    if last.state == "working":
        renewed = datetime.fromisoformat(last.renewed) if last.renewed else datetime.now(UTC)
        return "silent" if (datetime.now(UTC) - renewed).total_seconds() > plan.lease else "working"
    return last.state if last.state in ("failed", "died") else "waiting"
