"""What a log of decisions holds, for people and scripts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from trapline.errors import many
from trapline.review.agreement import Agreement, Disagreement, agreements, disagreements
from trapline.review.audit import Audit
from trapline.review.log import DecisionLog
from trapline.review.standing import together


@dataclass(frozen=True)
class Overview:
    """What a log holds.

    Attributes:
        path: of its file.
        people: a row a person: who, how many decisions, the first and the last time.
        decisions: that count of at least one media.
        events: that are decided.
        media: that are decided.
        labels: label → events of which it stands; `blank` among them.
        untold: events of which it stands that they cannot be told.
        disagreements: events of which people say different things, and that nobody has settled.
        agreements: of each two persons, and of each with what was filled in.
        audits: a row an audit: its number, when it was opened and closed, how many events it has drawn
            (those to calibrate on are others).
        estimate: what the latest audit last said (`AuditEstimate` as JSON); None if nothing.
    """

    path: str
    people: list[dict[str, Any]]
    decisions: int
    events: int
    media: int
    labels: dict[str, int]
    untold: int
    disagreements: list[Disagreement]
    agreements: list[Agreement]
    audits: list[dict[str, Any]]
    estimate: dict[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        """The same, JSON-able but for times."""
        return asdict(self)


def overview(log: DecisionLog) -> Overview:
    """What a log holds."""
    current = log.current()
    standing = current.filter("stands")
    events = standing.group_by("event").agg(together().alias("labels"))
    seen = events.explode("labels").drop_nulls()["labels"]
    counts = seen.value_counts(name="count").sort("count", "labels", descending=[True, False])
    drawn = log.drawn().filter(pl.col("asked") == "audit").group_by("audit").agg(pl.len().alias("drawn"))
    audits = log.audits().drop("facts").join(drawn, on="audit", how="left", maintain_order="left")
    return Overview(
        str(log.path),
        log.people().to_dicts(),
        current["number"].n_unique(),
        len(events),
        len(standing),
        dict(counts.iter_rows()),
        events.filter(pl.col("labels").list.len() == 0).height,
        disagreements(log),
        agreements(log),
        audits.with_columns(pl.col("drawn").fill_null(0)).to_dicts(),
        Audit.last_estimate(log),
    )


def describe_overview(shown: Overview) -> Iterator[str]:
    """An overview in lines, for people."""
    yield (
        f"{shown.path}: {many(shown.decisions, 'decision')} on {many(shown.events, 'event')}, "
        f"{shown.media:,} media"
    )
    for person in shown.people:
        first, last = (_minute(person[name]) for name in ("first", "last"))
        yield f"  {person['person']}: {person['decisions']:,}, from {first} to {last}"
    for label, count in shown.labels.items():
        yield f"  {count:6,}  {label}"
    if shown.untold:
        yield f"  {shown.untold:6,}  cannot be told"
    for one in shown.disagreements:
        answers = "; ".join(
            f"{answer.person} {', '.join(answer.labels) or 'cannot tell'} ({_minute(answer.decided_at)})"
            for answer in one.answers
        )
        yield f"They differ on {one.event}: {answers}; the last stands"
    for pair in shown.agreements:
        yield (
            f"{pair.person} and {pair.other}: the same on {pair.agreed} of {many(pair.events, 'event')}, "
            f"Cohen's kappa {_number(asdict(pair.kappa))}"
        )
    for audit in shown.audits:
        state = "open" if audit["closed_at"] is None else f"closed {_minute(audit['closed_at'])}"
        yield f"Audit {audit['audit']}: {many(audit['drawn'], 'event')} drawn, {state}"
    if shown.estimate is not None:
        yield from _describe_estimate(shown.estimate)


def _describe_estimate(estimate: dict[str, Any]) -> Iterator[str]:
    yield f"What the audit last said, of {estimate['audited']:,} audited events (95 % intervals):"
    for name, what in (("table", "the table"), ("unseen", "the machine's answers that nobody looked at")):
        quality = estimate[name]
        yield f"  accuracy of {what}: {_number(quality['accuracy'])}"
        if estimate.get("coarser"):  # an estimate of an older version has no such answers
            yield f"    exactly what is seen: {_number(quality['exact'])}"
        if name == "table":
            for label, figures in quality["by_label"].items():
                precision, recall = (_number(figures[figure]) for figure in ("precision", "recall"))
                yield f"    {label}: precision {precision}, recall {recall}"
    if coarser := estimate.get("coarser"):
        yield (
            f"    {coarser:,} of the audited answers say less than what is seen (animal of a fox), and count "
            "as right"
        )
    if estimate["accuracy_if"] is not None:
        low, high = estimate["accuracy_if"]
        yield f"    {low:.3f}–{high:.3f} if the answers to what could not be told were all wrong, or right"
    if estimate["narrower"] is not None:
        half, more = estimate["narrower"]["half_width"], estimate["narrower"]["more"]
        yield f"    about {more:,} more audited events would make it ± {half:g}"


def _number(estimate: dict[str, Any]) -> str:
    if estimate["value"] is None:
        return "not known"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f}–{estimate['high']:.3f})"


def _minute(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
