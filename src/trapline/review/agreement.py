"""Where persons differ, and how much they agree beyond chance: with each other and with suggestions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from trapline.metrics import Estimate
from trapline.review.log import SETTLING, DecisionLog
from trapline.review.standing import NAMES, together
from trapline.taxonomy import BLANK

SUGGESTION = "suggestion"
"""Who a person is compared with where it is what was filled in."""

_Z = 1.959963984540054
"""Of a normal distribution, 97.5 % lies below."""


@dataclass(frozen=True)
class PersonsAnswer:
    """What one person's decisions of an event come to.

    Attributes:
        person: who.
        labels: what is seen, sorted; `blank` where nothing is; none where it cannot be told.
        decided_at: the latest time, in UTC.
        decision_id: of the latest.
    """

    person: str
    labels: tuple[str, ...]
    decided_at: datetime
    decision_id: str


@dataclass(frozen=True)
class Disagreement:
    """An event of which persons say different things.

    Attributes:
        event: as it was decided (`trapline.catalog.event_key`).
        answers: of all who decided it, the earliest first; the last one's word stands.
        settled: somebody decided after having been shown them.
    """

    event: str
    answers: tuple[PersonsAnswer, ...]
    settled: bool


@dataclass(frozen=True)
class Agreement:
    """How much two persons agree, or a person with what was suggested.

    Attributes:
        person: one of them.
        other: the other person; `SUGGESTION` for what was filled in.
        events: that both answered.
        agreed: on how many of them they say the same.
        untold: events that one of them, or both, could not tell; they are in no figure.
        share: agreed / events, with Wilson's 95 % interval.
        kappa: Cohen's κ with its 95 % interval.
    """

    person: str
    other: str
    events: int
    agreed: int
    untold: int
    share: Estimate
    kappa: Estimate


def disagreements(log: DecisionLog, *, settled: bool = False) -> list[Disagreement]:
    """The events of which persons say different things of the same media, the latest decided first.

    What is compared are labels, not counts; that it cannot be told is another answer than a label. What is
    said of an event as a whole says of no single one of its media what it shows: with an answer for some of
    its media it only differs if that has labels which it has not. Settled is what somebody decided after
    having been shown all answers (a decision of the stream `disagreements`); it is open again if anybody
    decides otherwise later.

    Args:
        log: of decisions.
        settled: those that are settled too.
    """
    current = log.current(log.shared_events())
    pairs = _compare(current).filter("differ")
    if pairs.is_empty():
        return []
    shown = current.filter(pl.col("stream") == SETTLING).group_by("event")
    pairs = pairs.join(shown.agg(shown_at=pl.col("decided_at").max()), on="event", how="left")
    earlier = pl.min_horizontal("decided_at", "decided_at_other")
    is_open = (pl.col("shown_at").is_null() | (earlier >= pl.col("shown_at"))).alias("open")
    latest = pl.max_horizontal("decided_at", "decided_at_other").max().alias("latest")
    events = pairs.group_by("event").agg(is_open.any(), latest).sort("latest", "event", descending=True)
    if not settled:
        events = events.filter("open")
    answers = _answers(current.filter(pl.col("event").is_in(events["event"].implode())))
    return [
        Disagreement(event, tuple(answers[event]), not is_open)
        for event, is_open in events.select("event", "open").iter_rows()
    ]


def agreements(log: DecisionLog) -> list[Agreement]:
    """Of each two persons, and of each person and what was suggested to her, how much they agree.

    What was decided after having been shown others' answers is left out, since it is no answer of one's own;
    so is an event of which one spoke as a whole and the other of some media. Several labels at once are an
    answer of their own. What was filled in leads those who look at it: agreement with it is no measure of
    how good it is (the audit is).
    """
    pairs = _compare(log.current(log.shared_events(), unaware=True)).filter("whole")
    made = [
        _agreement(person, other, rows)
        for (person, other), rows in pairs.sort("event").group_by("person", "other", maintain_order=True)
    ]
    suggested = _suggested(log.current(unaware=True))
    made += [_agreement(person, SUGGESTION, rows) for (person,), rows in suggested.group_by("person")]
    return sorted(made, key=lambda one: (one.other == SUGGESTION, one.person, one.other))


def cohens_kappa(answers: Sequence[str], others: Sequence[str]) -> Estimate:
    """Cohen's κ of two persons' answers [N] each, with its 95 % interval.

    κ = (p − c) / (1 − c): p is the share on which they agree, c the share by chance, from how often each
    gives each answer (Cohen 1960, *A Coefficient of Agreement for Nominal Scales*). As in his standard error
    c is taken as known; for p we take the limits of Wilson (1927), which do not shrink to nothing where all
    agree. Simulated with 20 to 200 events and κ from 0.1 to 0.94 they hold the truth in 94 to 98 of 100
    cases; the normal interval of Fleiss, Cohen & Everitt (1969) in 51 to 95.

    Returns:
        None for all where there are no answers, or both always give one and the same.
    """
    answers_, others_ = np.asarray(answers, dtype=str), np.asarray(others, dtype=str)
    count = len(answers_)
    names = np.union1d(answers_, others_)
    each = [np.bincount(np.searchsorted(names, one), minlength=len(names)) for one in (answers_, others_)]
    chance = float(each[0] @ each[1]) / count**2 if count else 1.0
    if chance >= 1:
        return Estimate(None)
    share = _wilson(int((answers_ == others_).sum()), count)
    limits = [None if one is None else (one - chance) / (1 - chance) for one in (share.low, share.high)]
    return Estimate((float(share.value or 0) - chance) / (1 - chance), *limits)


def _wilson(agreed: int, count: int) -> Estimate:
    """A share and its 95 % interval (Wilson 1927)."""
    if not count:
        return Estimate(None)
    share = agreed / count
    middle = share + _Z**2 / (2 * count)
    width = _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    whole = 1 + _Z**2 / count
    return Estimate(share, max(0.0, (middle - width) / whole), min(1.0, (middle + width) / whole))


def _agreement(person: object, other: object, rows: pl.DataFrame) -> Agreement:
    """Of rows with `answer` and `answer_other`: labels, none where it cannot be told."""
    told = rows.filter((pl.col("answer").list.len() > 0) & (pl.col("answer_other").list.len() > 0))
    answers, others = (told[name].list.join(" + ").to_list() for name in ("answer", "answer_other"))
    agreed = sum(one == two for one, two in zip(answers, others, strict=True))
    return Agreement(
        person=str(person),
        other=str(other),
        events=len(told),
        agreed=agreed,
        untold=len(rows) - len(told),
        share=_wilson(agreed, len(told)),
        kappa=cohens_kappa(answers, others),
    )


def _compare(current: pl.DataFrame) -> pl.DataFrame:
    """Each two persons' answers for an event, of the media that both decided.

    Returns:
        event, person, other, answer, answer_other, decided_at, decided_at_other, whole (nobody spoke of more
        media, as a whole, than the other decided), differ.
    """
    rows = current.select(
        "event",
        "media_id",
        "content_hash",
        "person",
        "decided_at",
        names=NAMES,
        spoken=pl.when("of_event").then("media_count").otherwise(1),
    )
    pairs = rows.join(rows, on=["event", "media_id"], suffix="_other").rename({"person_other": "other"})
    same = pl.col("content_hash").eq(pl.col("content_hash_other")).fill_null(True)
    pairs = pairs.filter(same & (pl.col("person") < pl.col("other")))
    both = pairs.group_by("event", "person", "other").agg(
        together(pl.col("names")).alias("answer"),
        together(pl.col("names_other")).alias("answer_other"),
        pl.col("decided_at", "decided_at_other").max(),
        part=pl.col("spoken").max() > pl.len(),
        part_other=pl.col("spoken_other").max() > pl.len(),
    )
    whole = ~pl.col("part") & ~pl.col("part_other")
    covered = pl.col("part") & _is_among("answer_other", "answer")
    covered |= pl.col("part_other") & _is_among("answer", "answer_other")
    return both.with_columns(whole=whole, differ=(pl.col("answer") != pl.col("answer_other")) & ~covered)


def _is_among(some: str, all_: str) -> pl.Expr:
    """Whether what is said of some media can be, by what is said of the event as a whole."""
    seen = pl.col(some).list.set_difference(pl.lit([BLANK]))
    told = (pl.col(some).list.len() > 0) & (pl.col(all_).list.len() > 0)
    return told & (seen.list.set_difference(pl.col(all_)).list.len() == 0)


def _answers(current: pl.DataFrame) -> dict[str, list[PersonsAnswer]]:
    """event → what each person's decisions of it come to, the earliest first."""
    last = pl.col("decision_id").sort_by("decided_at", "number").last()
    parts = [together().alias("answer"), pl.col("decided_at").max(), last]
    rows = current.group_by("event", "person").agg(parts)
    answers: dict[str, list[PersonsAnswer]] = {}
    for event, person, labels, decided_at, decision_id in rows.sort("decided_at", "person").iter_rows():
        answer = PersonsAnswer(person, tuple(labels), decided_at, decision_id)
        answers.setdefault(event, []).append(answer)
    return answers


def _suggested(current: pl.DataFrame) -> pl.DataFrame:
    """person, answer, answer_other: of decisions of whole events for which something was filled in."""
    rows = current.filter(pl.col("of_event") & (pl.col("suggested").list.len() > 0))
    rows = rows.unique("number", maintain_order=True)
    return rows.select("person", answer=NAMES.list.sort(), answer_other=pl.col("suggested").list.sort())
