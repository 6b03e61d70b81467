"""One decision in the file: what is refused, how it is kept and how it is read."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from dataclasses import astuple, fields
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, get_args

from trapline.catalog import BLANK_WORDS, LIFE_STAGES, SEXES
from trapline.errors import DataError, UsageError
from trapline.review.database import microseconds, moment
from trapline.review.decision import Asked, DecidedMedia, Decision, Sighting, Suggestion, Verdict
from trapline.review.names import refuse_unseen

MOST = 1_000_000
"""Individuals of a label."""

_AHEAD = timedelta(days=1)
"""By which clocks may differ."""

_ROWS = """
SELECT number, decision_id, person, decided_at, event, of_event, verdict, sure, flagged, remark, stream,
    asked, suggested_by, suggested_probability, takes_back,
    EXISTS (SELECT 1 FROM taken_back WHERE taken_back.decision_id = decisions.decision_id)
FROM decisions
"""
_ONE = _ROWS + "WHERE decision_id = ?"
_AFTER = _ROWS + "WHERE number > ? ORDER BY number"
_LATEST = _ROWS + "WHERE takes_back IS NULL AND number < ? ORDER BY number DESC LIMIT ?"
_LATEST_OF_ONE = _ROWS + "WHERE person = ? AND takes_back IS NULL AND number < ? ORDER BY number DESC LIMIT ?"

_OF = "WHERE number IN (SELECT value FROM json_each(?)) ORDER BY number, position"
_SIGHTING = ", ".join(field.name for field in fields(Sighting))
_SIGHTINGS_OF = f"SELECT number, {_SIGHTING} FROM sightings {_OF}"  # noqa: S608  # constants of this module
_SUGGESTED_OF = f"SELECT number, label FROM suggested_labels {_OF}"  # noqa: S608
_MEDIA_OF = f"""SELECT number, media_id, file_path, content_size, content_hash
    FROM decided_media JOIN media USING (media) {_OF}"""  # noqa: S608


class PastDecision(NamedTuple):
    """A decision in the log: its number in the order of keeping, from 1, and whether it is taken back."""

    number: int
    decision: Decision
    taken_back: bool


def refuse_name(person: str) -> None:
    """Refuse what is no name of a person.

    Raises:
        UsageError: with what one is.
    """
    refuse_unseen(person, "A person's name")
    if person != person.strip():
        raise UsageError(f"{person!r} is no name of a person: take away the spaces around it.")


def refuse_nonsense(decision: Decision) -> None:
    """Refuse a decision that contradicts itself, or lacks what must be known of it.

    Raises:
        UsageError: with what is wrong.
    """
    refuse_name(decision.person)
    what = f"Decision {decision.decision_id!r} of {decision.person}"
    if not decision.decision_id.strip() or not decision.event:
        raise UsageError(f"{what} has no decision_id or no event.")
    if decision.decided_at.tzinfo is None:
        raise UsageError(f"{what}: decided_at has no zone; it is to be in UTC.")
    if decision.verdict not in get_args(Verdict) or decision.asked not in get_args(Asked):
        raise UsageError(f"{what}: no such verdict or reason to ask: {decision.verdict}, {decision.asked}.")
    if decision.takes_back is not None:
        if decision.media or decision.labels:
            raise UsageError(f"{what} takes another back, and can say nothing else.")
        return
    names = [media.media_id for media in decision.media]
    if not names or len(set(names)) < len(names):
        raise UsageError(f"{what} is of no media, or of one twice.")
    _refuse_labels(what, decision)


def _refuse_labels(what: str, decision: Decision) -> None:
    if (decision.verdict == "seen") != bool(decision.labels):
        raise UsageError(f"{what}: what is seen needs labels, and nothing else has any ({decision.verdict}).")
    names = [one.label for one in decision.labels]
    alike = {one.kind for one in decision.labels}
    if len(alike) < len(names) or not all(name.strip() for name in names):
        raise UsageError(
            f"{what}: each label once, or once for individuals that are alike, and none empty: "
            f"{', '.join(names)}."
        )
    if any(name.casefold() in BLANK_WORDS for name in names):
        raise UsageError(f"{what}: where nothing is seen the verdict is `blank`, without labels.")
    if any(one.count is not None and not 1 <= one.count <= MOST for one in decision.labels):
        raise UsageError(f"{what}: a count is 1 to {MOST:,}, or None where nobody counted.")
    for one in decision.labels:
        if one.life_stage not in (None, *LIFE_STAGES) or one.sex not in (None, *SEXES):
            raise UsageError(
                f"{what}: a life stage is {', '.join(LIFE_STAGES)} or None, a sex {' or '.join(SEXES)} or "
                f"None, not {one.life_stage!r} and {one.sex!r}."
            )
        if one.behaviour is not None and not one.behaviour.strip():
            raise UsageError(f"{what}: a behaviour is in words, or None.")


def keep(connection: sqlite3.Connection, decision: Decision) -> bool:
    """Write a decision; False if it is there already.

    Raises:
        UsageError: it takes back what it may not.
        DataError: its id belongs to one that says something else.
    """
    if (same := read_one(connection, decision.decision_id)) is not None:
        if _says(same.decision) != _says(decision):
            raise DataError(
                f"The decision_id {decision.decision_id} belongs to a decision that says something else "
                f"({same.decision.person}, {same.decision.event}). Give each an id of its own."
            )
        return False
    if decision.takes_back is not None:
        _refuse_taking_back(connection, decision, decision.takes_back)
    if decision.decided_at > max(datetime.now(UTC) + _AHEAD, now(connection)):
        raise UsageError(
            f"Decision {decision.decision_id!r} of {decision.person} is of {decision.decided_at.isoformat()},"
            " which is still to come; no decision made now could replace it. Put the clock right."
        )
    suggestion = decision.suggestion
    number = connection.execute(
        "INSERT INTO decisions VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            decision.decision_id,
            decision.person,
            microseconds(decision.decided_at),
            decision.event,
            decision.of_event,
            decision.verdict,
            decision.sure,
            decision.flagged,
            decision.remark,
            decision.stream,
            decision.asked,
            suggestion.observer if suggestion else None,
            suggestion.probability if suggestion else None,
            decision.takes_back,
        ),
    ).lastrowid
    connection.executemany(
        "INSERT INTO sightings VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(number, index, *astuple(one)) for index, one in enumerate(decision.labels)],
    )
    connection.executemany(
        "INSERT INTO suggested_labels VALUES (?, ?, ?)",
        [(number, index, label) for index, label in enumerate(suggestion.labels if suggestion else ())],
    )
    connection.executemany(
        "INSERT INTO decided_media VALUES (?, ?, ?)",
        [(number, index, _media(connection, media)) for index, media in enumerate(decision.media)],
    )
    return True


def now(connection: sqlite3.Connection) -> datetime:
    """The machine's time, but not before that of a decision that is kept."""
    (latest,) = connection.execute("SELECT max(decided_at) FROM decisions").fetchone()
    return datetime.now(UTC) if latest is None else max(datetime.now(UTC), moment(latest + 1))


def _refuse_taking_back(connection: sqlite3.Connection, decision: Decision, target: str) -> None:
    before = read_one(connection, target)
    if before is None:
        raise UsageError(f"There is no decision {target}, so it cannot be taken back.")
    refuse_other(before.decision, decision.person)
    if before.taken_back:
        raise UsageError(f"{target} is taken back already.")
    if before.decision.takes_back is None:
        return
    undone = read_one(connection, before.decision.takes_back)
    if undone is not None and undone.decision.takes_back is not None:
        raise UsageError(f"{target} lets a decision count again: take back the decision itself.")


def refuse_other(decision: Decision, person: str) -> None:
    """A person takes back her own decisions only."""
    if decision.person != person:
        raise UsageError(
            f"Decision {decision.decision_id} is {decision.person}'s; {person} cannot take it back. Decide "
            "otherwise instead: the later word stands, and both are kept."
        )


def taken_back_by(connection: sqlite3.Connection, decision_id: str) -> str | None:
    """The row that takes a decision back, and is not taken back itself."""
    query = "SELECT row FROM taken_back WHERE decision_id = ?"
    row = connection.execute(query, (decision_id,)).fetchone()
    return row[0] if row else None


def _media(connection: sqlite3.Connection, media: DecidedMedia) -> int:
    values = (media.media_id, media.file_path, media.content_size, media.content_hash)
    query = "SELECT media FROM media WHERE media_id = ? AND file_path = ?"
    query += " AND content_size IS ? AND content_hash IS ?"
    if (row := connection.execute(query, values).fetchone()) is not None:
        return int(row[0])
    return int(connection.execute("INSERT INTO media VALUES (NULL, ?, ?, ?, ?)", values).lastrowid or 0)


def _says(decision: Decision) -> tuple[object, ...]:
    """What a person says with a decision; when, and of what suggestion, may differ when it is sent again."""
    return (
        decision.person,
        decision.event,
        tuple(media.media_id for media in decision.media),
        decision.of_event,
        decision.verdict,
        decision.labels,
        decision.sure,
        decision.flagged,
        decision.remark,
        decision.takes_back,
    )


def read_one(connection: sqlite3.Connection, decision_id: str) -> PastDecision | None:
    """A row by its id."""
    return next(iter(_read(connection, _ONE, (decision_id,))), None)


def read_after(connection: sqlite3.Connection, number: int) -> list[PastDecision]:
    """All rows after a number, those that take back too."""
    return _read(connection, _AFTER, (number,))


def read_latest(
    connection: sqlite3.Connection, person: str | None, before: int | None, count: int
) -> list[PastDecision]:
    """The latest decisions, of a person or of all."""
    below = 2**63 - 1 if before is None else before
    if person is None:
        return _read(connection, _LATEST, (below, count))
    return _read(connection, _LATEST_OF_ONE, (person, below, count))


def _read(connection: sqlite3.Connection, query: str, values: Any) -> list[PastDecision]:
    rows = connection.execute(query, values).fetchall()
    if not rows:
        return []
    numbers = json.dumps([row[0] for row in rows])
    labels, suggested, media = (
        _parts(connection, part, numbers) for part in (_SIGHTINGS_OF, _SUGGESTED_OF, _MEDIA_OF)
    )
    return [_past_decision(row, labels[row[0]], suggested[row[0]], media[row[0]]) for row in rows]


def _parts(connection: sqlite3.Connection, query: str, numbers: str) -> dict[int, list[tuple[Any, ...]]]:
    """number → its rows, in their order."""
    parts: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for number, *cells in connection.execute(query, (numbers,)):
        parts[number].append(tuple(cells))
    return parts


def _past_decision(
    row: tuple[Any, ...],
    labels: list[tuple[Any, ...]],
    suggested: list[tuple[Any, ...]],
    media: list[tuple[Any, ...]],
) -> PastDecision:
    suggestion = None
    if row[12] is not None:
        suggestion = Suggestion(row[12], tuple(label for (label,) in suggested), row[13])
    decision = Decision(
        decision_id=row[1],
        person=row[2],
        decided_at=moment(row[3]),
        event=row[4],
        media=tuple(DecidedMedia(*one) for one in media),
        of_event=bool(row[5]),
        verdict=row[6],
        labels=tuple(Sighting(*one) for one in labels),
        sure=bool(row[7]),
        flagged=bool(row[8]),
        remark=row[9],
        stream=row[10],
        asked=row[11],
        suggestion=suggestion,
        takes_back=row[14],
    )
    return PastDecision(row[0], decision, bool(row[15]))
