"""Decisions that were made elsewhere: in folders sorted by hand, in another program, in an edited table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import polars as pl

from trapline.catalog import (
    CONTENT,
    EVENT_LABELS,
    INDIVIDUAL,
    INDIVIDUALS,
    Catalog,
    event_key,
    identify,
    same_photos,
)
from trapline.errors import DataError, UsageError
from trapline.observations import NO_ANSWER, UNCLASSIFIED
from trapline.review.decision import DecidedMedia, Decision, Sighting
from trapline.review.log import DecisionLog
from trapline.review.names import UNTOLD
from trapline.review.standing import NAMES
from trapline.taxonomy import BLANK, plain

_UNTOLD_OF = "cannot_tell"
"""The column that the reader of observations adds (`trapline.formats.readers.observations`)."""

_ALL = 2**62
"""More decisions than any log has."""

_AS_SORTED = "as_sorted"
"""The column that the reader of sorted folders adds (`trapline.formats.readers.class_folders`)."""


@dataclass(frozen=True)
class Taken:
    """What became of decisions that were made elsewhere.

    Attributes:
        person: whose they are.
        decisions: that are new in the log.
        media: that they are of.
        same: decisions that the log has already.
        left_out: why → how many media of the source were not decided.
    """

    person: str
    decisions: int
    media: int
    same: int
    left_out: dict[str, int]


def take_decisions(
    log: DecisionLog, source: Catalog, person: str, *, catalog: Catalog | None = None, unmoved: bool = False
) -> Taken:
    """Keep what a person decided elsewhere as decisions of the log, by the content of the photos.

    A label of a media is a decision on it, one of an event a decision on the event. `unknown` and its like is
    what cannot be told, and so is a photo that was moved into `unclassified`; `unclassified`, `failed` and
    `unobserved` are no labels. Of folders that `write` sorted, what lies where sorting put it is a machine's
    answer that perhaps nobody looked at. What the log has of this person already is not doubled, and
    what she decided after it was taken stays.

    Args:
        log: of the review.
        source: what was read, with labels; all that it says is taken for the person's.
        person: who decided.
        catalog: the photos that are reviewed: decisions name media and events as it does.
        unmoved: take what sorting put into its folder too: the person has looked at every photo.

    Raises:
        UsageError: the labels may be a machine's.
        DataError: nothing in the source is a decision, or none of its photos is of the catalog.
    """
    if source.facts.format is not None and source.facts.format.labels_of is not None:
        raise UsageError(
            f"The labels of {source.source} may be a machine's (--classified-by): only what people say is a "
            "decision."
        )
    known = identify(source)
    media = _media_of(known.table) if catalog is None else _media_as_in(catalog, known)
    left_out: Counter[str] = Counter()
    decisions, now = [], log.now()
    individuals = _individuals(known.table)
    for rows, labels, why in _statements(known.table, unmoved):
        strange = [row for row in rows if row not in media]
        left_out.update({why: len(rows)} if why else {"not among the photos that are reviewed": len(strange)})
        own = [media[row] for row in rows if row in media]
        if own and not why:
            of_event = len(rows) > 1 or known.table["labels"][rows[0]] is None
            seen = None if labels is None else _sightings(labels, individuals.get(rows[0], ()), of_event)
            decisions.append(_decision(person, own, seen, now))
    left_out = +left_out  # without those that are none
    if not decisions:
        reasons = "; ".join(f"{count:,} media: {why}" for why, count in left_out.items())
        raise DataError(f"{source.source} holds no decision to take{f' ({reasons})' if reasons else ''}.")
    new = _unknown_to(log, decisions)
    log.add_all(new)
    return Taken(
        person, len(new), sum(len(one.media) for one in new), len(decisions) - len(new), dict(left_out)
    )


def _media_of(table: pl.DataFrame) -> dict[int, tuple[DecidedMedia, str]]:
    """Row → the media, and the event that it is of."""
    columns = table.select("media_id", "file_path", *CONTENT, event_key().alias("_event"))
    return {row: (DecidedMedia(*own), event) for row, (*own, event) in enumerate(columns.iter_rows())}


def _media_as_in(catalog: Catalog, source: Catalog) -> dict[int, tuple[DecidedMedia, str]]:
    """The same, as the catalog has the photos of the source; rows that are none of it are not there."""
    pairs = same_photos(catalog, source).filter(pl.col("by") != "name alone").unique("other", keep="first")
    rows = pairs["row"].unique(maintain_order=True)
    own = _media_of(identify(replace(catalog, table=catalog.table[rows])).table)
    index = {row: at for at, row in enumerate(rows)}
    return {other: own[index[row]] for row, other in pairs.select("row", "other").iter_rows()}


def _statements(
    table: pl.DataFrame, unmoved: bool
) -> Iterator[tuple[list[int], list[str] | None, str | None]]:
    """Rows of one photo or event, its labels (None: it cannot be told), and why it is no decision, if so."""
    for rows in _photos(table):
        some = [table.row(row, named=True) for row in rows]
        labels = list(dict.fromkeys(label for row in some for label in row["labels"] or ()))
        if not unmoved and all(row.get(_AS_SORTED) for row in some):
            yield (
                rows[:1],
                labels,
                "where sorting put them, perhaps looked at by nobody (--unmoved)",
            )
        elif labels:
            yield rows[:1], *_told(labels)
        elif any(_is_moved_to_unclassified(row) or row.get(_UNTOLD_OF) is True for row in some):
            yield rows[:1], None, None
        elif not some[0].get(EVENT_LABELS):
            yield rows[:1], None, "without a label"
    if EVENT_LABELS in table.columns:
        of_event = pl.col("labels").is_null() & pl.col(EVENT_LABELS).is_not_null()
        events = table.with_row_index("_row").filter(of_event).group_by("event_id", maintain_order=True)
        for rows, labels in (
            events.agg("_row", pl.col(EVENT_LABELS).first()).select("_row", EVENT_LABELS).iter_rows()
        ):
            yield rows, *_told(labels)


def _photos(table: pl.DataFrame) -> list[list[int]]:
    """The rows of each photo: copies of one photo in several folders are one."""
    photos: dict[object, list[int]] = defaultdict(list)
    for row, (size, digest) in enumerate(table.select(*CONTENT).iter_rows()):
        photos[row if digest is None else (size, digest)].append(row)
    return list(photos.values())


def _told(labels: Sequence[str]) -> tuple[list[str] | None, str | None]:
    """The labels that are some, None where they mean that it cannot be told; and why there are none."""
    kept = [label for label in labels if plain(label) not in NO_ANSWER]
    if not kept:
        return None, f"called {', '.join(labels)}, which is no label"
    if BLANK in kept and len(kept) > 1:
        return None, f"called both {BLANK} and otherwise"
    seen = [label for label in kept if plain(label) not in UNTOLD]
    return seen or None, None


def _is_moved_to_unclassified(row: Mapping[str, Any]) -> bool:
    return row.get(_AS_SORTED) is False and str(row["file_path"]).split("/", 1)[0] == UNCLASSIFIED


def _decision(
    person: str, media: Sequence[tuple[DecidedMedia, str]], seen: Sequence[Sighting] | None, now: datetime
) -> Decision:
    event = media[0][1]
    blank = seen is not None and [one.label for one in seen] == [BLANK]
    return Decision(
        decision_id=uuid4().hex,
        person=person,
        decided_at=now,
        event=event,
        media=tuple(one for one, _ in media),
        of_event=len(media) > 1 or event.startswith("media:"),
        verdict="cannot tell" if seen is None else "blank" if blank else "seen",
        labels=() if blank else tuple(seen or ()),
    )


def _individuals(table: pl.DataFrame) -> dict[int, list[dict[str, Any]]]:
    """Row → what its source says of individuals."""
    if table.schema.get(INDIVIDUALS) != pl.List(INDIVIDUAL):
        return {}
    return {row: told for row, told in enumerate(table[INDIVIDUALS].to_list()) if told}


def _sightings(
    labels: Sequence[str], individuals: Sequence[Mapping[str, Any]], of_event: bool
) -> list[Sighting]:
    """Each label once, or once for its individuals that are alike; a count of none is no count."""
    known = [
        Sighting(
            one["label"], one["count"] or None, *(one[name] for name in ("life_stage", "sex", "behaviour"))
        )
        for one in individuals
        if one["of_event"] == of_event
    ]
    return [
        one for label in labels for one in [own for own in known if own.label == label] or [Sighting(label)]
    ]


def _unknown_to(log: DecisionLog, decisions: Sequence[Decision]) -> list[Decision]:
    """Those that say something else than what counts of this person, and than what was taken of her last:
    what she has decided since at the page is not turned back by the same table, read again."""
    person = decisions[0].person
    own = log.current().filter(pl.col("person") == person)
    counts = {
        digest or media_id: (names, {Sighting(**one) for one in labels})
        for media_id, digest, names, labels in own.select(
            "media_id", "content_hash", NAMES.list.sort().alias("names"), "labels"
        ).iter_rows()
    }
    taken = {
        _key(media): (past.decision.names, set(past.decision.labels))
        for past in reversed(log.history(person, count=_ALL))
        if past.decision.stream is None and not past.taken_back
        for media in past.decision.media
    }
    return [
        one
        for one in decisions
        if any(_is_new(one, counts.get(_key(media)), taken.get(_key(media))) for media in one.media)
    ]


def _is_new(one: Decision, counts: tuple[list[str], set[Sighting]] | None, taken: Any) -> bool:
    """Its labels are others than what counts and what was taken, or it says more of the same individuals."""
    own = (one.names, set(one.labels))
    if counts is not None and counts[0] == one.names:
        return own not in (counts, taken) and any(seen != Sighting(seen.label) for seen in one.labels)
    return taken is None or taken[0] != one.names


def _key(media: DecidedMedia) -> str:
    return media.content_hash or media.media_id
