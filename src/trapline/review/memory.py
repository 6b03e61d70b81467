"""Decisions in memory, until the log is there."""

from __future__ import annotations

from collections.abc import Iterable

from trapline.review.decision import Decision


class MemoryLog:
    """Keeps decisions while the process lives."""

    def __init__(self) -> None:
        self.rows: dict[str, Decision] = {}
        self.taken: set[str] = set()
        self._lent: dict[str, str] = {}

    def add(self, decision: Decision) -> bool:
        """Keep one; again changes nothing."""
        if decision.decision_id in self.rows:
            return False
        self.rows[decision.decision_id] = decision
        return True

    def take_back(self, decision_id: str, person: str) -> None:
        """Or back again."""
        self.taken ^= {decision_id}

    def current(self) -> list[Decision]:
        """Those that count."""
        last = {
            (one.person, one.event): one for one in self.rows.values() if one.decision_id not in self.taken
        }
        return list(last.values())

    def of_event(self, event: str) -> list[Decision]:
        """Those that count, of an event."""
        return [one for one in self.current() if one.event == event]

    def lend(self, events: Iterable[str], person: str, seconds: float) -> None:
        """For a while."""
        self._lent |= dict.fromkeys(events, person)

    def lent(self, person: str) -> set[str]:
        """To others."""
        return {event for event, other in self._lent.items() if other != person}
