"""Events that are asked by chance, invisibly among those that a stream chooses, and what they say of all."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trapline.errors import UsageError
from trapline.metrics import Estimate
from trapline.review.audit import Audit
from trapline.review.decision import Asked
from trapline.review.drawing import Role
from trapline.review.estimates import AuditEstimate, Quality
from trapline.review.ledger import Ledger
from trapline.review.log import DecisionLog
from trapline.review.project import Project
from trapline.review.situation import Situation
from trapline.review.streams import Chosen, Stream

_AGAIN = 5
"""Decisions after which the estimate is made anew."""

CLOSED = (
    "The audit was closed: nothing more is drawn by chance. `trapline decisions show` has its last estimate; "
    "the next audit begins when the review is started anew."
)


@dataclass(frozen=True)
class Shares:
    """Which share of the events that are asked is drawn by chance.

    Attributes:
        audit: to estimate how good the table is.
        calibration: to calibrate a model on.

    Raises:
        UsageError: they are no shares, or leave nothing to a stream.
    """

    audit: float = 0.0
    calibration: float = 0.0

    def __post_init__(self) -> None:
        if not (self.audit >= 0 and self.calibration >= 0 and self.audit + self.calibration <= 0.9):
            raise UsageError(
                "The share of events that are drawn by chance is from 0 to 0.9 in all, not "
                f"{self.audit:g} and {self.calibration:g}."
            )


class ByChance:
    """The audit of a review, where one is open.

    Args:
        project: what is reviewed.
        ledger: what is decided.
        log: where decisions and draws are kept; an open audit is gone on with.
        shares: of the draws. Without any no audit is opened.
        seed: of the draws.
    """

    def __init__(self, project: Project, ledger: Ledger, log: DecisionLog, shares: Shares, seed: int) -> None:
        self._project, self._ledger, self._log, self._shares = project, ledger, log, shares
        self._random = np.random.default_rng(seed)
        self._audit = Audit.resume(log)
        if self._audit is None and shares != Shares():
            self._audit = Audit.open(log, project.events.keys, self._answers(), seed)
        self._gone: set[str] = set()
        self._estimate: AuditEstimate | None = None
        self._estimated_at = -_AGAIN
        self._estimating: threading.Thread | None = None
        self.follow()

    @property
    def running(self) -> bool:
        """Whether an audit is open."""
        return self._audit is not None

    @property
    def audits(self) -> bool:
        """Whether events are drawn to estimate from."""
        return self._audit is not None and self._shares.audit > 0

    def look(self) -> None:
        """See whether somebody has closed the audit: nothing more is drawn or estimated then."""
        if self._audit is not None and not self._audit.is_open:
            self._audit = None
            self._project.notes.append(CLOSED)

    def follow(self) -> None:
        """Let new photos join, and take up new suggestions."""
        if self._audit is not None:
            self._audit.follow(self._project.events.keys, self._answers())
            self._gone = set(self._audit.events) - set(self._project.events.keys)
            self._estimated_at = -_AGAIN

    def _answers(self) -> list[Collection[str]]:
        return [() if one is None else one.labels for one in self._project.suggestions.answers]

    def role(self, event: str) -> Asked:
        """Why an event is asked for, which every decision of it says."""
        audit = self._audit  # another thread may find it closed
        return "chosen" if audit is None else audit.role(event)

    def choose(self, stream: Stream, situation: Situation, count: int, random: np.random.Generator) -> Chosen:
        """What a stream chooses, without what was drawn."""
        if self._audit is None:
            return stream.choose(situation, count, random)
        return self._audit.ask_stream(stream.choose, situation, count, random)

    def next(self, count: int, shut: npt.NDArray[np.bool_]) -> list[int]:
        """Events to be asked by chance, of `count` that are asked in all.

        Those that were drawn and not answered come before new ones.

        Args:
            count: how many are asked.
            shut: [E], which not to ask for now.
        """
        if self._audit is None:
            return []
        drawn: list[int] = []
        for chance in self._random.random(count):
            role = self._role_of(chance)
            event = None if role is None else self._draw(role, shut)
            if event is not None:
                drawn.append(event)
                shut = shut.copy()
                shut[event] = True
        return drawn

    def left(self, count: int, shut: npt.NDArray[np.bool_]) -> list[int]:
        """Drawn events that nobody has answered, for when there is nothing else to ask."""
        if self._audit is None:
            return []
        drawn = [*self._waiting("audit"), *self._waiting("calibration")]
        return [event for event in drawn if not (shut[event] or self._ledger.decided[event])][:count]

    def _role_of(self, chance: float) -> Role | None:
        if chance < self._shares.audit:
            return "audit"
        return "calibration" if chance < self._shares.audit + self._shares.calibration else None

    def _draw(self, role: Role, shut: npt.NDArray[np.bool_]) -> int | None:
        assert self._audit is not None
        for event in self._waiting(role):
            if not (shut[event] or self._ledger.decided[event]):
                return event
        barred = np.flatnonzero(shut | self._ledger.touched)
        keys = self._project.events.keys
        draw = self._audit.next(role, self._gone.union(keys[event] for event in barred))
        return None if draw is None else self._project.events.index(draw.event)

    def _waiting(self, role: Role) -> list[int]:
        """Events that were drawn, in the order of drawing."""
        assert self._audit is not None
        drawn = [self._audit.events[event] for event, of in self._audit.drawing.roles.items() if of == role]
        return self._project.events.indices(drawn)

    # ---- what it says

    def document(self) -> dict[str, Any] | None:
        """The latest estimate, as the page has it; None before there is one. A newer one is begun."""
        if self._audit is None:
            return None
        idle = self._estimating is None or not self._estimating.is_alive()
        if idle and self._ledger.length >= self._estimated_at + _AGAIN:
            self._estimated_at = self._ledger.length
            self._estimating = threading.Thread(target=self.estimate, daemon=True)
            self._estimating.start()
        return None if self._estimate is None or not self._estimate.audited else _document(self._estimate)

    def estimate(self) -> AuditEstimate | None:
        """How good the table is by what is decided now; kept in the log. None where nothing is audited."""
        if self._audit is None:
            return None
        keys = self._project.events.keys
        sizes = np.diff(self._project.events.starts).tolist()
        answers = dict(zip(keys, self._answers(), strict=True))
        audit = Audit.resume(self._log)  # one of its own: others may draw meanwhile
        if audit is None:
            return None
        by_event = dict(zip(keys, sizes, strict=True))
        made = audit.estimate(answers, self._ledger.current(), by_event, self._project.tree)
        self._estimate = made
        if made.audited:
            audit.keep(made)
        return made


def _document(estimate: AuditEstimate) -> dict[str, Any]:
    return {
        **_figure(estimate.table.accuracy, "accuracy"),
        "audited": estimate.audited,
        "coarser": estimate.coarser,
        "exact": _figure(estimate.table.exact, "accuracy"),
        "cannot_tell": estimate.cannot_tell,
        "waiting": estimate.waiting,
        "accuracy_if": estimate.accuracy_if,
        "narrower": None if estimate.narrower is None else asdict(estimate.narrower),
        "labels": _by_label(estimate.table),
        "unseen": _figure(estimate.unseen.accuracy, "accuracy") | {"events": estimate.unseen.events},
    }


def _by_label(quality: Quality) -> dict[str, Any]:
    return {
        label: {"precision": _figure(one.precision, "estimate"), "recall": _figure(one.recall, "estimate")}
        for label, one in quality.by_label.items()
    }


def _figure(figure: Estimate, name: str) -> dict[str, float | None]:
    return {name: figure.value, "low": figure.low, "high": figure.high}
