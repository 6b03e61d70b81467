"""The audit of a review: events drawn by chance among those that streams choose, and what they say of all."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from trapline.errors import UsageError
from trapline.review.decision import Asked
from trapline.review.drawing import Drawing, Role
from trapline.review.estimates import Audited, AuditEstimate, estimate_quality
from trapline.review.log import DecisionLog, Draw
from trapline.review.situation import NOT_DECIDED, Situation
from trapline.review.standing import together
from trapline.review.streams import Chosen, StreamFunction
from trapline.taxonomy import Taxonomy, coarser_labels, with_kinds

ALL = "all"
"""The one stratum of events of which nothing is suggested yet."""

_NONE = np.empty(0, np.int64)


@dataclass(frozen=True)
class _Group:
    """Events that joined together: all of them, the names of strata, and the stratum of each."""

    events: list[str]
    strata: list[str]
    codes: list[int]

    @classmethod
    def of(cls, events: Sequence[str], answers: Sequence[Collection[str]]) -> _Group:
        """By what is suggested of each."""
        suggested = any(answers)
        names = [_stratum(labels) if suggested else ALL for labels in answers]
        strata = sorted(set(names))
        codes = {name: code for code, name in enumerate(strata)}
        return cls(list(events), strata, [codes[name] for name in names])


@dataclass(eq=False)
class Audit:
    """An audit that is open: what may be drawn, what was, and what a stream has picked of it.

    Streams must not see what was drawn: if they passed over drawn events, those that they would have picked
    would be left in the sample and gone from the rest, and a stream that looks for doubtful events would
    make the answers look worse than they are. So a drawn event stays open for them (`ask_stream`), and once
    picked it stands for nothing but itself.

    Attributes:
        log: where all of it is kept.
        number: of the audit in the log.
        seed: of the draws.
        groups: the events of the opening, and those that joined later, each time.
        picked: drawn event → what a stream asked for after it had picked it as well.
        events: that may be drawn, E of them, by `trapline.catalog.event_key`.
        strata: their names.
        drawing: of these events.
    """

    log: DecisionLog
    number: int
    seed: int
    groups: list[_Group] = field(default_factory=list)
    picked: dict[str, list[str]] = field(default_factory=dict)
    events: list[str] = field(init=False)
    strata: list[str] = field(init=False)
    drawing: Drawing = field(init=False)
    _index: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._arrange({})

    # --- open, go on, close

    @classmethod
    def open(
        cls, log: DecisionLog, events: Sequence[str], answers: Sequence[Collection[str]], seed: int
    ) -> Audit:
        """Begin an audit of these events.

        Args:
            log: without an open audit.
            events: all of the project, E.
            answers: [E], the labels that a machine suggests of each, which are the strata; none where nothing
                is suggested.
            seed: of the draws.

        Raises:
            UsageError: one is open already, or there is no event.
        """
        if _open_number(log) is not None:
            raise UsageError(f"An audit is open in {log.path} already: go on with it, or close it first.")
        if not events:
            raise UsageError("There are no events to audit.")
        audit = cls(log, log.open_audit({"seed": seed}), seed)
        audit._keep_group(0, _Group.of(events, answers))
        return audit

    @classmethod
    def resume(cls, log: DecisionLog) -> Audit | None:
        """The open audit of a log; None if none is open."""
        number = _open_number(log)
        if number is None:
            return None
        facts = log.facts()
        groups: list[_Group] = []
        while (group := facts.get(_events_fact(number, len(groups)))) is not None:
            groups.append(_Group(**group))
        seed = json.loads(log.audits().filter(pl.col("audit") == number)["facts"][0])["seed"]
        audit = cls(log, number, seed, groups, facts.get(_picked_fact(number), {}))
        for event, role in log.drawn(number).select("event", "asked").iter_rows():
            audit.drawing.roles[audit._index[event]] = role
        return audit

    def follow(self, events: Sequence[str], answers: Sequence[Collection[str]]) -> None:
        """Let new events of the project join, and tell strata apart once there are suggestions.

        The order of events does not depend on their strata; those drawn while there was one stratum are a
        random sample of each of those that it falls into, as long as no model has learnt of them.

        Args:
            events: all of the project now.
            answers: what is suggested of each.
        """
        suggested = dict(zip(events, answers, strict=True))
        for number, group in enumerate(self.groups):
            answered = [suggested.get(event, ()) for event in group.events]
            if group.strata == [ALL] and any(answered):
                self._keep_group(number, _Group.of(group.events, answered))
        new = [event for event in events if event not in self._index]
        if new:
            self._keep_group(len(self.groups), _Group.of(new, [suggested[event] for event in new]))

    def _keep_group(self, number: int, group: _Group) -> None:
        self.groups[number : number + 1] = [group]
        self.log.keep_fact(_events_fact(self.number, number), asdict(group))
        self._arrange({self.events[event]: role for event, role in self.drawing.roles.items()})

    def _arrange(self, drawn: Mapping[str, Role]) -> None:
        """Put the groups one behind the other; each keeps the random order that it had."""
        self.events = [event for group in self.groups for event in group.events]
        self._index = {event: index for index, event in enumerate(self.events)}
        self.strata, codes, ranks = [], [_NONE], [_NONE]
        for number, group in enumerate(self.groups):
            codes.append(np.asarray(group.codes, np.int64) + len(self.strata))
            order = np.random.default_rng([self.seed, number]).permutation(len(group.events))
            ranks.append(order + sum(map(len, ranks)))
            self.strata += [f"{name} (joined {number})" if number else name for name in group.strata]
        roles = {self._index[event]: role for event, role in drawn.items()}
        self.drawing = Drawing(np.concatenate(codes), np.concatenate(ranks), roles)

    @property
    def is_open(self) -> bool:
        """Whether nobody has closed it meanwhile."""
        return _open_number(self.log) == self.number

    def close(self) -> None:
        """End the audit: what was decided for it may be learnt of from now on, and estimates no more.

        The last estimate that was kept (`keep`) remains in the log.
        """
        self.log.close_audit(self.number)

    # --- what is drawn

    def next(self, role: Role, barred: Collection[str] = ()) -> Draw | None:
        """Draw one more event; it is kept in the log before it is shown.

        Args:
            role: to estimate from, or to calibrate on.
            barred: events that cannot be asked now: decided, or lent to somebody.

        Returns:
            None if none is left.
        """
        mask = np.zeros(len(self.events), bool)
        mask[[self._index[event] for event in barred if event in self._index]] = True
        drawn = self.drawing.next(role, mask)
        if drawn is None:
            return None
        event, chance = drawn
        strata = self.drawing.strata
        draw = Draw(
            audit=self.number,
            event=self.events[event],
            asked=role,
            stratum=self.strata[strata[event]],
            position=int((strata[list(self.drawing.roles)] == strata[event]).sum()) - 1,
            chance=chance,
            drawn_at=self.log.now(),
        )
        try:
            self.log.draw([draw])
        except BaseException:  # a full disk, say: it was not drawn then
            del self.drawing.roles[event]
            raise
        return draw

    def role(self, event: str) -> Asked:
        """What an event is asked for, which every decision of it is to say while the audit is open."""
        return self.drawing.roles.get(self._index.get(event, -1), "chosen")

    def ask_stream(
        self, choose: StreamFunction, situation: Situation, count: int, random: np.random.Generator
    ) -> Chosen:
        """What a stream chooses, to which drawn events are as open as any other, less the drawn ones.

        Drawn events that it picks are noted. All that asks in an order of its own is to be wrapped so.

        Args:
            choose: of a stream, or any other order.
            situation: as it is; drawn events may be open or not, decided or not.
            count: how many to ask.
            random: for the stream.

        Returns:
            At most `count` events that were not drawn, fewer if no more are open.
        """
        situation = self._blinded(situation)
        picks: list[int] = []
        asked: list[int] = []
        groups: list[int] = []
        while (missing := count - len(asked)) > 0:
            chosen = choose(situation, missing, random)
            if not len(chosen.events):
                break
            kept = [self.role(situation.events[event]) == "chosen" for event in chosen.events]
            picks += chosen.events.tolist()
            asked += chosen.events[kept].tolist()
            if chosen.groups is not None:
                groups += (chosen.groups[kept] + max(groups, default=-1) + 1).tolist()
            still = situation.open.copy()
            still[chosen.events] = False
            situation = replace(situation, open=still)
        self._note([situation.events[event] for event in picks])
        return Chosen(np.asarray(asked, np.int64), np.asarray(groups, np.int64) if groups else None)

    def _note(self, picks: Sequence[str]) -> None:
        """Keep which drawn events stand among these picks, and what is asked after them, or else before."""
        asked = [(at, event) for at, event in enumerate(picks) if self.role(event) == "chosen"]
        drawn = [(at, event) for at, event in enumerate(picks) if self.role(event) != "chosen"]
        if not asked or not drawn:
            return
        for at, event in drawn:
            after = [other for later, other in asked if later > at] or [asked[-1][1]]
            self.picked[event] = sorted({*self.picked.get(event, ()), *after})
        self.log.keep_fact(_picked_fact(self.number), self.picked)

    def _picked_by(self, decided: Collection[str]) -> set[str]:
        """Drawn events that streams would have had decided by now, when these are decided."""
        return {event for event, after in self.picked.items() if any(other in decided for other in after)}

    def _blinded(self, situation: Situation) -> Situation:
        """As if nothing was drawn: but what a stream has picked is picked."""
        index = {event: row for row, event in enumerate(situation.events)}
        events = [self.events[event] for event in self.drawing.roles]
        rows = [index[event] for event in events if event in index]
        open_now, decided = situation.open.copy(), situation.decided.copy()
        decided[rows] = NOT_DECIDED
        picked = self._picked_by(
            {situation.events[row] for row in np.flatnonzero(decided != NOT_DECIDED).tolist()}
        )
        open_now[rows] = [situation.events[row] not in picked for row in rows]
        return replace(situation, open=open_now, decided=decided)

    # --- what it says

    def estimate(
        self,
        answers: Mapping[str, Collection[str]],
        current: pl.DataFrame,
        sizes: Mapping[str, int] | None = None,
        taxonomy: Taxonomy | None = None,
    ) -> AuditEstimate:
        """How good the machine's answers and the table are, by what was decided so far.

        Any answers may be judged, the newest model's too, as long as it has not learnt of what was drawn for
        the audit, nor was calibrated on it.

        Args:
            answers: event → the labels that the machine says now, none where it says nothing. Events that
                are not named here are no part of the project.
            current: `DecisionLog.current()`; where photos have moved since, with names as they are now
                (`trapline.review.matching.named_here`).
            sizes: event → how many media it has. An event of which only some are decided is not answered
                yet; without sizes one decided media is enough.
            taxonomy: by which an answer may say less than what is seen and is right; of labels that it
                lacks, or without one, their kinds are known by their names.
        """
        audited = self._audited(answers, current, sizes or {})
        labels = audited.labels
        coarser = coarser_labels(with_kinds(taxonomy, labels), labels, labels)
        return estimate_quality(replace(audited, coarser=coarser if coarser.any() else None))

    def keep(self, estimate: AuditEstimate) -> None:
        """Keep an estimate in the log as the last one of this audit."""
        self.log.keep_fact(f"audit {self.number} estimate", asdict(estimate))

    @staticmethod
    def last_estimate(log: DecisionLog) -> dict[str, Any] | None:
        """What the latest audit last said (`AuditEstimate` as JSON), closed or not; None if nothing."""
        facts = log.facts()
        kept = [facts.get(f"audit {number} estimate") for number in log.audits()["audit"]]
        return next((estimate for estimate in reversed(kept) if estimate is not None), None)

    def _audited(
        self, answers: Mapping[str, Collection[str]], current: pl.DataFrame, sizes: Mapping[str, int]
    ) -> Audited:
        """The events of the project as they stand, in the order of `answers`."""
        truths = _truths(current)
        labels = sorted(
            {label for some in (*answers.values(), *truths["labels"].to_list()) for label in some}
        )
        columns = {label: column for column, label in enumerate(labels)}
        rows = {event: row for row, event in enumerate(answers)}
        answered, truth = (np.zeros((len(rows), len(labels)), bool) for _ in range(2))
        for at, named in enumerate(answers.values()):
            answered[at, [columns[label] for label in named]] = True
        decided, drawn = (np.zeros(len(rows), bool) for _ in range(2))
        picked = self._picked_by(set(truths.filter("chosen")["event"]))
        joined = len(self.strata)  # what nobody let join: no event of it was drawn
        indices = [self._index.get(event) for event in rows]
        sample = {index for index, role in self.drawing.roles.items() if role == "audit"}
        for event, media, named, chosen in truths.iter_rows():
            if (row := rows.get(event)) is None:
                continue
            whole = media >= sizes.get(event, 1)
            if chosen or event in picked or indices[row] not in sample:
                decided[row] = True
            elif whole:
                drawn[row] = True
            truth[row, [columns[label] for label in named if whole]] = True
        codes = [joined if at is None else int(self.drawing.strata[at]) for at in indices]
        waiting = sum(
            at in sample and not looked for at, looked in zip(indices, decided | drawn, strict=True)
        )
        return Audited(labels, answered, truth, np.asarray(codes, np.int64), decided, drawn, waiting)


def _truths(current: pl.DataFrame) -> pl.DataFrame:
    """Of each event that is decided: how many media are, what is seen (nothing where it cannot be told), and
    whether any of it was asked otherwise than by chance."""
    return (
        current.filter("stands")
        .group_by("event", maintain_order=True)
        .agg(
            pl.col("media_id").n_unique(),
            together().alias("labels"),
            (pl.col("asked") == "chosen").any().alias("chosen"),
        )
    )


def _stratum(labels: Collection[str]) -> str:
    return " + ".join(sorted(labels)) or "no suggestion"


def _events_fact(audit: int, group: int) -> str:
    return f"audit {audit} events {group}"


def _picked_fact(audit: int) -> str:
    return f"audit {audit} picked"


def _open_number(log: DecisionLog) -> int | None:
    numbers = log.audits().filter(pl.col("closed_at").is_null())["audit"]
    return int(numbers[0]) if len(numbers) else None
