"""What an attempt at a shard says of itself, and what earlier ones have left for the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from trapline.catalog import Record

State = Literal["working", "finished", "returned", "failed", "died"]


@dataclass(frozen=True, kw_only=True)
class Attempt(Record):
    """One attempt at a shard: its lease while it is `working`, and its record afterwards.

    Only the worker whose it is writes it, again and again while it lives.

    Attributes:
        shard: which.
        number: of the attempt, from 1.
        worker: host, process and a random word.
        state: `working`; `finished`; `returned` before it was done; `failed` with an error; or `died`: its
            process was ended while the worker looked on.
        reason: of `failed` and `died`.
        beat: how often it was written.
        renewed: when, by the worker's clock, ISO 8601.
        inputs: of the shard.
        done: of these are answered, those of earlier attempts among them.
        earlier: of these were answered by earlier attempts.
        seconds: that the worker has been at it.
        media_failed: rows that failed, of a finished one.
        digest: of the table of a finished one.
        refused: first input of a unit -> why no process is asked about it any more.
        trying: units, by their first input, that a process of their own is asked about.
        deaths: how often one has died of them before, where it is one.
    """

    shard: int
    number: int
    worker: str
    state: State = "working"
    reason: str | None = None
    beat: int = 0
    renewed: str = ""
    inputs: int = 0
    done: int = 0
    earlier: int = 0
    seconds: float = 0.0
    media_failed: int = 0
    digest: str | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    trying: tuple[int, ...] = ()
    deaths: int = 0

    @property
    def rate(self) -> float:
        """Inputs a second."""
        return (self.done - self.earlier) / self.seconds if self.seconds > 0 else 0.0


def died(attempt: Attempt, superseded: bool = True) -> bool:
    """Whether it ended without a word, or with the death of its process.

    Args:
        attempt: an earlier one.
        superseded: whether nobody is at it any more, though it says so.
    """
    return attempt.state == "died" or (attempt.state == "working" and superseded)


def deaths_in_place(earlier: Sequence[Attempt]) -> int:
    """How many of the last attempts died one after the other without having got further."""
    count, reached = 0, -1
    for attempt in earlier:
        if attempt.done > reached or not died(attempt):
            count = 0
        reached = max(reached, attempt.done)
        count += died(attempt)
    return count


def refused_before(earlier: Sequence[Attempt]) -> dict[str, str]:
    """What earlier attempts have found that no process survives."""
    return {unit: why for attempt in earlier for unit, why in attempt.refused.items()}


def deaths_of(earlier: Sequence[Attempt]) -> dict[tuple[int, ...], int]:
    """Units -> how often a process that was asked about them alone has died, with its worker or without."""
    deaths: dict[tuple[int, ...], int] = {}
    for attempt in earlier:
        if attempt.trying:
            before = deaths.get(attempt.trying, 0)
            deaths[attempt.trying] = max(before, attempt.deaths + died(attempt))
    return deaths
