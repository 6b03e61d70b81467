"""The log of decisions: what persons decided, appended to one SQLite file and never overwritten."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, get_args
from uuid import uuid4

import polars as pl

from trapline.catalog import BLANK_WORDS
from trapline.errors import DataError, UsageError
from trapline.review.database import TIME, Database, frame
from trapline.review.decision import (
    Asked,
    DecidedMedia,
    Decision,
    Sighting,
    Suggestion,
    Verdict,
)

LEASE_SECONDS = 600.0
"""For how long an event is lent to a person who does nothing."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_ROW: dict[str, Any] = {
    "number": pl.Int64,
    "decision_id": pl.String,
    "person": pl.String,
    "decided_at": TIME,
    "event": pl.String,
    "of_event": pl.Boolean,
    "verdict": pl.String,
    "sure": pl.Boolean,
    "flagged": pl.Boolean,
    "remark": pl.String,
    "stream": pl.String,
    "asked": pl.String,
    "suggested_by": pl.String,
    "suggested_probability": pl.Float64,
    "takes_back": pl.String,
}
_COLUMNS = ", ".join(_ROW)
_MEDIA: dict[str, Any] = {
    "media_id": pl.String,
    "file_path": pl.String,
    "content_size": pl.Int64,
    "content_hash": pl.String,
}
SIGHTINGS = pl.List(pl.Struct({"label": pl.String, "count": pl.Int64}))

CURRENT: dict[str, Any] = {
    **{name: kind for name, kind in _ROW.items() if name != "takes_back"},
    "labels": SIGHTINGS,
    "suggested": pl.List(pl.String),
    **_MEDIA,
    "stands": pl.Boolean,
}
"""The columns of `DecisionLog.current`; one row a person and media."""

_TAKEN_BACK = """
SELECT takes_back FROM decisions AS taking WHERE takes_back IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM decisions AS redo WHERE redo.takes_back = taking.decision_id)
"""
"""The decisions that are taken back by a row that is not taken back itself."""


class PastDecision(NamedTuple):
    """A decision in the log: its number in the order of keeping, from 1, and whether it is taken back."""

    number: int
    decision: Decision
    taken_back: bool


@dataclass(frozen=True)
class Draw:
    """An event that was drawn by chance.

    Attributes:
        audit: the number of the audit (`DecisionLog.open_audit`).
        event: what was drawn.
        asked: for what: `audit` or `calibration`.
        stratum: in which it was drawn.
        position: in the order of drawing, within its stratum.
        chance: of being drawn, when it was.
        drawn_at: when, in UTC.
    """

    audit: int
    event: str
    asked: Asked
    stratum: str
    position: int
    chance: float
    drawn_at: datetime


@dataclass(frozen=True)
class TeachingPoint:
    """How good the answers were estimated to be after so many decisions.

    Attributes:
        kept_at: when, in UTC.
        round: of teaching; 0 before the first.
        decisions: that the model had learnt of.
        estimate: of the accuracy of the table, with its 95 % interval; None where nothing is audited.
        low: of the interval.
        high: of the interval.
        log_loss: of the model on decisions that it has not learnt of; None where there are none.
    """

    kept_at: datetime
    round: int
    decisions: int
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    log_loss: float | None = None


class DecisionLog:
    """The decisions of all persons of one project, in one file; rows are added and never changed.

    What counts. A decision speaks of media: all of an event, or chosen ones. Of one person's decisions of
    the same media the latest counts (by `decided_at`, then in the order of keeping): a decision of the
    whole event replaces what she decided of any of its media before, and a decision of chosen frames
    replaces that of the event for these frames only. A media is the same if its id and its content are. A
    decision that is taken back counts for nothing, and what it had replaced counts again; taking back can
    be undone, and the decision then stands where it stood, at its own time. Of persons who differ the later
    one's word stands (`stands`).

    >>> log = DecisionLog.create("decisions.db")              # doctest: +SKIP
    >>> log.add(decision)                                     # doctest: +SKIP
    True
    >>> log.current().select("person", "media_id", "labels")  # doctest: +SKIP

    One object may be used by many threads, and one file by many processes of one machine. Each method reads
    the file as it is at one moment.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def create(cls, path: Path | str) -> DecisionLog:
        """A new log.

        Raises:
            UsageError: there is one already.
            DataError: the file cannot be made there, or is something else.
        """
        path = Path(path)
        if path.exists() and path.stat().st_size:
            raise UsageError(f"{path} exists. Go on with it (DecisionLog.open), or name another file.")
        return cls(Database(path, create=True))

    @classmethod
    def open(cls, path: Path | str, *, create: bool = False, read_only: bool = False) -> DecisionLog:
        """The log at a path.

        Args:
            path: of the file.
            create: make it if it is not there.
            read_only: nothing is to be written; also of a disk to which one cannot write.

        Raises:
            DataError: there is none, it is another program's, damaged, or of a newer Trapline.
        """
        return cls(Database(Path(path), create=create, read_only=read_only))

    def __enter__(self) -> DecisionLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Everything is on the disk before."""
        self._database.close()

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._database.path

    def __len__(self) -> int:
        """How many rows there are, those that take back counted: a number that only grows."""
        with self._database.reading() as connection:
            return int(connection.execute("SELECT coalesce(max(number), 0) FROM decisions").fetchone()[0])

    # --- decisions

    def add(self, decision: Decision) -> bool:
        """Keep a decision; it is on the disk when this returns.

        Returns:
            Whether it is new: keeping one of the same `decision_id` again changes nothing.

        Raises:
            UsageError: it contradicts itself, or takes back what it may not.
            DataError: its id belongs to a decision that says something else, or it cannot be written.
        """
        return self.add_all([decision]) == 1

    def add_all(self, decisions: Iterable[Decision]) -> int:
        """Keep decisions, all or none of them; what their persons have on loan is theirs for longer.

        Returns:
            How many are new.

        Raises:
            UsageError, DataError: as `add`.
        """
        decisions = list(decisions)
        for decision in decisions:
            _refuse_nonsense(decision)
        with self._database.writing() as connection:
            kept = sum([_keep(connection, decision) for decision in decisions])
            for decision in decisions:
                values = (decision.event, decision.person)
                connection.execute("DELETE FROM leases WHERE event = ? AND person = ?", values)
            for person in {decision.person for decision in decisions}:
                _renew(connection, person)
        return kept

    def take_back(self, decision_id: str, person: str) -> bool:
        """Take back a decision of this person.

        Returns:
            False if it is taken back already.

        Raises:
            UsageError: there is no such decision, or it is another's.
        """
        return self._turn(decision_id, person, back=True)

    def redo(self, decision_id: str, person: str) -> bool:
        """Let a decision count again that was taken back.

        Returns:
            False if it counts already.

        Raises:
            UsageError: there is no such decision, or it is another's.
        """
        return self._turn(decision_id, person, back=False)

    def _turn(self, decision_id: str, person: str, *, back: bool) -> bool:
        with self._database.writing() as connection:
            query = "SELECT event, person, takes_back FROM decisions WHERE decision_id = ?"
            row = connection.execute(query, (decision_id,)).fetchone()
            if row is None or row[2] is not None:
                raise UsageError(f"There is no decision {decision_id} in {self.path}.")
            _refuse_other(decision_id, row[1], person)
            taking = _taken_back_by(connection, decision_id)
            if back == (taking is not None):
                return False
            undone = decision_id if taking is None else taking
            now = _now(connection)
            _keep(
                connection,
                Decision(uuid4().hex, person, now, row[0], (), False, "cannot tell", takes_back=undone),
            )
            _renew(connection, person)
        return True

    def decisions(self, *, after: int = 0) -> list[Decision]:
        """All rows in the order of keeping, those that take back others too.

        Args:
            after: only what came after so many rows (`len` at some time).
        """
        with self._database.reading() as connection:
            return [kept.decision for kept in _read(connection, "number > ? ORDER BY number", (after,))]

    def history(
        self, person: str | None = None, *, before: int | None = None, count: int = 50
    ) -> list[PastDecision]:
        """Decisions, the latest kept first; those that are taken back are marked.

        Args:
            person: only hers.
            before: only those with a smaller number.
            count: at most so many.
        """
        where = "takes_back IS NULL AND (:person IS NULL OR person = :person)"
        where += " AND (:before IS NULL OR number < :before) ORDER BY number DESC LIMIT :count"
        with self._database.reading() as connection:
            return _read(connection, where, {"person": person, "before": before, "count": count})

    def current(self, events: Sequence[str] | None = None) -> pl.DataFrame:
        """What counts of each person and media, by the rule that stands at the class.

        Args:
            events: only the media that were decided as these events; None for all.

        Returns:
            Columns as in `CURRENT`, in the order of deciding; one row a person and media.
        """
        media = (
            ""
            if events is None
            else (
                "WHERE media IN (SELECT media FROM decided_media JOIN decisions USING (number)"
                " WHERE event IN (SELECT value FROM json_each(:events)))"
            )
        )
        values = {"events": json.dumps(events)} if events is not None else {}
        taken = f"takes_back IS NULL AND decision_id NOT IN ({_TAKEN_BACK})"
        numbers = f"SELECT number FROM decided_media {media}"  # noqa: S608
        within = "" if events is None else f"AND number IN ({numbers})"
        with self._database.reading() as connection:
            rows = frame(connection, f"SELECT {_COLUMNS} FROM decisions WHERE {taken} {within}", _ROW, values)  # noqa: S608
            links = frame(
                connection,
                f"SELECT number, media FROM decided_media {media}",  # noqa: S608
                {"number": pl.Int64, "media": pl.Int64},
                values,
            )
            files = frame(connection, "SELECT * FROM media", {"media": pl.Int64, **_MEDIA})
            lists = _lists(connection, f"WHERE number IN ({numbers})" if media else "", values)
        return (
            _current(rows.drop("takes_back"), links, files)
            .join(lists, on="number", how="left", maintain_order="left")
            .with_columns(pl.col("labels", "suggested").fill_null([]))
            .select(CURRENT.keys())
        )

    def table(self) -> pl.DataFrame:
        """All decisions as a plain table, one row a sighting; one row too where nothing is seen or told.

        Returns:
            Number, who, when, event, media (a list of ids), verdict, label, count, and what else a decision
            has; `taken_back`; `counts`: of some of its media it is the one that counts.
        """
        with self._database.reading() as connection:
            rows = frame(connection, f"SELECT {_COLUMNS} FROM decisions WHERE takes_back IS NULL", _ROW)  # noqa: S608
            taken = frame(connection, _TAKEN_BACK, {"decision_id": pl.String})
            links = frame(
                connection,
                "SELECT number, media_id FROM decided_media JOIN media USING (media)"
                " ORDER BY number, position",
                {"number": pl.Int64, "media_id": pl.String},
            )
            lists = _lists(connection)
        media = links.group_by("number").agg(pl.col("media_id").alias("media"))
        counting = self.current()["number"].unique()
        table = (
            rows.drop("takes_back").join(lists, on="number", how="left").join(media, on="number", how="left")
        )
        table = table.sort("number").explode("labels").unnest("labels")
        return table.with_columns(
            pl.when(pl.col("verdict") == "blank").then(pl.lit("blank")).otherwise("label").alias("label"),
            pl.col("suggested").fill_null([]),
            pl.col("decision_id").is_in(taken["decision_id"].implode()).alias("taken_back"),
            pl.col("number").is_in(counting.implode()).alias("counts"),
        )

    def people(self) -> pl.DataFrame:
        """Who decided: person, decisions that are not taken back, the first and the last time."""
        query = f"""SELECT person, sum(decision_id NOT IN ({_TAKEN_BACK})), min(decided_at), max(decided_at)
            FROM decisions WHERE takes_back IS NULL GROUP BY person ORDER BY person"""  # noqa: S608
        schema: dict[str, Any] = {"person": pl.String, "decisions": pl.Int64, "first": TIME, "last": TIME}
        with self._database.reading() as connection:
            return frame(connection, query, schema)

    def now(self) -> datetime:
        """The time for a decision that is made now: the machine's, but not before one that is kept, so that
        a clock that is put back lets no older decision win."""
        with self._database.reading() as connection:
            return _now(connection)

    # --- who has what on loan

    def lend(self, events: Sequence[str], person: str, seconds: float = LEASE_SECONDS) -> list[str]:
        """Lend events to a person, so that nobody else is asked the same.

        A lease ends after so many seconds by the clock of this machine, when the event is given back or
        decided; whatever its person decides renews all that she has.

        Returns:
            The events that she has now, in the order given; not those that another has.
        """
        with self._database.writing() as connection:
            now = _microseconds(datetime.now(UTC))
            others = _lent(connection, now)
            free = [event for event in events if others.get(event, person) == person]
            until = now + round(seconds * 1e6)
            connection.executemany(
                "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)",
                [(event, person, seconds, until) for event in free],
            )
        return free

    def give_back(self, events: Sequence[str], person: str) -> None:
        """End the leases that this person has of these events."""
        with self._database.writing() as connection:
            connection.executemany(
                "DELETE FROM leases WHERE event = ? AND person = ?", [(event, person) for event in events]
            )

    def lent(self, *, to_others_than: str | None = None) -> dict[str, str]:
        """Event → who has it on loan.

        Args:
            to_others_than: leave out what this person has.
        """
        with self._database.reading() as connection:
            leases = _lent(connection, _microseconds(datetime.now(UTC)))
        return {event: person for event, person in leases.items() if person != to_others_than}

    # --- audits, what was drawn for them, the curve, facts

    def open_audit(self, facts: Mapping[str, Any]) -> int:
        """Begin an audit; its number. `facts` (JSON) is what must be known to draw on: seed, strata, …"""
        with self._database.writing() as connection:
            values = (_microseconds(datetime.now(UTC)), json.dumps(facts))
            cursor = connection.execute("INSERT INTO audits (opened_at, facts) VALUES (?, ?)", values)
            return int(cursor.lastrowid or 0)

    def close_audit(self, audit: int) -> bool:
        """End an audit: what was decided for it may be learnt of. False if it was closed before.

        Raises:
            UsageError: there is no such audit.
        """
        with self._database.writing() as connection:
            row = connection.execute("SELECT closed_at FROM audits WHERE audit = ?", (audit,)).fetchone()
            if row is None:
                raise UsageError(f"There is no audit {audit} in {self.path}.")
            values = (_microseconds(datetime.now(UTC)), audit)
            connection.execute(
                "UPDATE audits SET closed_at = ? WHERE audit = ? AND closed_at IS NULL", values
            )
        return row[0] is None

    def audits(self) -> pl.DataFrame:
        """All audits: audit, opened_at, closed_at (null while open), facts (JSON)."""
        schema: dict[str, Any] = {"audit": pl.Int64, "opened_at": TIME, "closed_at": TIME, "facts": pl.String}
        with self._database.reading() as connection:
            return frame(connection, "SELECT * FROM audits ORDER BY audit", schema)

    def draw(self, draws: Iterable[Draw]) -> int:
        """Keep what was drawn, all or none; an event is drawn once an audit, for one role.

        Returns:
            How many are new: the same draw again changes nothing.

        Raises:
            DataError: the audit has drawn this event otherwise, or is closed or unknown.
        """
        kept = 0
        with self._database.writing() as connection:
            for one in draws:
                kept += _keep_draw(connection, one)
        return kept

    def drawn(self, audit: int | None = None) -> pl.DataFrame:
        """What was drawn, in the order of drawing: the fields of `Draw`, and `open`: the audit is."""
        schema: dict[str, Any] = {
            "audit": pl.Int64,
            "event": pl.String,
            "asked": pl.String,
            "stratum": pl.String,
            "position": pl.Int64,
            "chance": pl.Float64,
            "drawn_at": TIME,
            "open": pl.Boolean,
        }
        query = """SELECT audit, event, asked, stratum, position, chance, drawn_at, closed_at IS NULL
            FROM draws JOIN audits USING (audit) WHERE :audit IS NULL OR audit = :audit
            ORDER BY audit, drawn_at, stratum, position"""
        with self._database.reading() as connection:
            return frame(connection, query, schema, {"audit": audit})

    def add_point(self, point: TeachingPoint) -> None:
        """Add a point to the curve."""
        values = (
            _microseconds(point.kept_at),
            point.round,
            point.decisions,
            point.estimate,
            point.low,
            point.high,
            point.log_loss,
        )
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO points (kept_at, round, decisions, estimate, low, high, log_loss)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )

    def points(self) -> list[TeachingPoint]:
        """The curve, in the order of keeping."""
        query = "SELECT kept_at, round, decisions, estimate, low, high, log_loss FROM points ORDER BY number"
        with self._database.reading() as connection:
            rows = connection.execute(query).fetchall()
        return [TeachingPoint(_moment(row[0]), *row[1:]) for row in rows]

    def keep_fact(self, name: str, fact: Any) -> None:
        """Keep what is known of the project (JSON) under a name, instead of what was kept under it."""
        with self._database.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(fact)))

    def facts(self) -> dict[str, Any]:
        """What is known of the project: name → JSON."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT name, fact FROM facts ORDER BY name").fetchall()
        return {name: json.loads(fact) for name, fact in rows}


# --- one decision


def _refuse_nonsense(decision: Decision) -> None:
    what = f"Decision {decision.decision_id!r} of {decision.person!r}"
    if not decision.decision_id.strip() or not decision.event:
        raise UsageError(f"{what} has no decision_id or no event.")
    if not decision.person.strip() or not decision.person.isprintable() or len(decision.person) > 200:
        raise UsageError(f"{what}: give the person a name of 1 to 200 characters in one line.")
    if decision.decided_at.tzinfo is None:
        raise UsageError(f"{what}: decided_at has no zone; it is to be in UTC.")
    if decision.verdict not in get_args(Verdict) or decision.asked not in get_args(Asked):
        raise UsageError(f"{what}: no such verdict or reason to ask: {decision.verdict}, {decision.asked}.")
    if decision.takes_back is None:
        if not decision.media:
            raise UsageError(f"{what} is of no media.")
        _refuse_labels(what, decision)


def _refuse_labels(what: str, decision: Decision) -> None:
    if (decision.verdict == "seen") != bool(decision.labels):
        raise UsageError(f"{what}: what is seen needs labels, and nothing else has any ({decision.verdict}).")
    names = [one.label for one in decision.labels]
    if len(set(names)) < len(names) or not all(name.strip() for name in names):
        raise UsageError(f"{what}: each label once, and none empty: {', '.join(names)}.")
    if any(name.casefold() in BLANK_WORDS for name in names):
        raise UsageError(f"{what}: where nothing is seen the verdict is `blank`, without labels.")
    if any(one.count is not None and one.count < 1 for one in decision.labels):
        raise UsageError(f"{what}: a count is 1 or more, or None where nobody counted.")


def _refuse_other(decision_id: str, owner: str, person: str) -> None:
    if owner != person:
        raise UsageError(
            f"Decision {decision_id} is {owner}'s; {person} cannot take it back. Decide otherwise instead: "
            "the later word stands, and both are kept."
        )


def _keep(connection: sqlite3.Connection, decision: Decision) -> int:
    """Write one decision; 0 if it is there already."""
    same = _read(connection, "decision_id = ?", (decision.decision_id,))
    if same:
        if _says(same[0].decision) != _says(decision):
            raise DataError(
                f"The decision_id {decision.decision_id} belongs to a decision that says something else "
                f"({same[0].decision.person}, {same[0].decision.event}). Give each an id of its own."
            )
        return 0
    if decision.takes_back is not None:
        _refuse_taking_back(connection, decision)
    suggestion = decision.suggestion
    values = (
        decision.decision_id,
        decision.person,
        _microseconds(decision.decided_at),
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
    )
    marks = ", ".join("?" * len(values))
    number = connection.execute(f"INSERT INTO decisions VALUES (NULL, {marks})", values).lastrowid  # noqa: S608
    connection.executemany(
        "INSERT INTO sightings VALUES (?, ?, ?, ?)",
        [(number, index, one.label, one.count) for index, one in enumerate(decision.labels)],
    )
    connection.executemany(
        "INSERT INTO suggested_labels VALUES (?, ?, ?)",
        [(number, index, label) for index, label in enumerate(suggestion.labels if suggestion else ())],
    )
    connection.executemany(
        "INSERT INTO decided_media VALUES (?, ?, ?)",
        [(number, index, _media(connection, media)) for index, media in enumerate(decision.media)],
    )
    return 1


def _refuse_taking_back(connection: sqlite3.Connection, decision: Decision) -> None:
    query = """SELECT row.person, target.takes_back IS NOT NULL FROM decisions AS row
        LEFT JOIN decisions AS target ON target.decision_id = row.takes_back WHERE row.decision_id = ?"""
    row = connection.execute(query, (decision.takes_back,)).fetchone()
    if row is None:
        raise UsageError(f"There is no decision {decision.takes_back}, so it cannot be taken back.")
    _refuse_other(str(decision.takes_back), row[0], decision.person)
    if row[1]:
        raise UsageError(f"{decision.takes_back} lets a decision count again: take back the decision itself.")


def _taken_back_by(connection: sqlite3.Connection, decision_id: str) -> str | None:
    """The row that takes a decision back and counts."""
    row = connection.execute(
        "SELECT decision_id FROM decisions WHERE takes_back = ? AND NOT EXISTS"
        " (SELECT 1 FROM decisions AS redo WHERE redo.takes_back = decisions.decision_id)",
        (decision_id,),
    ).fetchone()
    return row[0] if row else None


def _media(connection: sqlite3.Connection, media: DecidedMedia) -> int:
    values = (media.media_id, media.file_path, media.content_size, media.content_hash)
    connection.execute("INSERT INTO media VALUES (NULL, ?, ?, ?, ?) ON CONFLICT DO NOTHING", values)
    query = "SELECT media FROM media WHERE media_id = ? AND file_path = ?"
    query += " AND content_size IS ? AND content_hash IS ?"
    return int(connection.execute(query, values).fetchone()[0])


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


def _read(connection: sqlite3.Connection, where: str, values: Any) -> list[PastDecision]:
    """Decisions with all their parts."""
    query = f"SELECT {_COLUMNS}, decision_id IN ({_TAKEN_BACK}) FROM decisions WHERE {where}"  # noqa: S608
    return [_kept(connection, row) for row in connection.execute(query, values).fetchall()]


def _kept(connection: sqlite3.Connection, row: tuple[Any, ...]) -> PastDecision:
    number = (row[0],)
    labels = connection.execute(
        "SELECT label, count FROM sightings WHERE number = ? ORDER BY position", number
    )
    media = connection.execute(
        "SELECT media_id, file_path, content_size, content_hash FROM decided_media"
        " JOIN media USING (media) WHERE number = ? ORDER BY position",
        number,
    )
    suggested = connection.execute(
        "SELECT label FROM suggested_labels WHERE number = ? ORDER BY position", number
    )
    suggestion = None
    if row[12] is not None:
        suggestion = Suggestion(row[12], tuple(label for (label,) in suggested), row[13])
    decision = Decision(
        decision_id=row[1],
        person=row[2],
        decided_at=_moment(row[3]),
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


# --- all decisions


def _lists(connection: sqlite3.Connection, where: str = "", values: Any = ()) -> pl.DataFrame:
    """number, labels, suggested: of the decisions that have any."""
    query = f"SELECT number, label, count FROM sightings {where} ORDER BY number, position"  # noqa: S608
    seen = frame(connection, query, {"number": pl.Int64, "label": pl.String, "count": pl.Int64}, values)
    query = f"SELECT number, label FROM suggested_labels {where} ORDER BY number, position"  # noqa: S608
    suggested = frame(connection, query, {"number": pl.Int64, "suggested": pl.String}, values)
    labels = seen.group_by("number").agg(pl.struct("label", "count").alias("labels"))
    return labels.join(suggested.group_by("number").agg("suggested"), on="number", how="full", coalesce=True)


def _current(rows: pl.DataFrame, links: pl.DataFrame, files: pl.DataFrame) -> pl.DataFrame:
    """By the rule: of each person and media the latest, and whose word stands."""
    same = files.with_columns(
        pl.struct("media_id", "content_size", "content_hash").rank("dense").alias("same")
    )
    order = rows.sort("decided_at", "number").with_row_index("order")
    pairs = links.join(order.select("number", "order", "person"), on="number")
    pairs = pairs.join(same.select("media", "same"), on="media")
    latest = pairs.filter(pl.col("order") == pl.col("order").max().over("person", "same"))
    latest = latest.with_columns((pl.col("order") == pl.col("order").max().over("same")).alias("stands"))
    latest = latest.sort("order", "media").drop("person", "order", "same")
    return latest.join(rows, on="number", maintain_order="left").join(
        files, on="media", maintain_order="left"
    )


# --- leases and draws


def _renew(connection: sqlite3.Connection, person: str) -> None:
    now = _microseconds(datetime.now(UTC))
    connection.execute(
        "UPDATE leases SET until = ? + CAST(seconds * 1e6 AS INTEGER) WHERE person = ? AND until > ?",
        (now, person, now),
    )


def _lent(connection: sqlite3.Connection, now: int) -> dict[str, str]:
    """Leases that last; one that would last longer than it was made for is of a clock since put back."""
    query = "SELECT event, person FROM leases WHERE until > ? AND until <= ? + seconds * 1e6 + 1"
    return dict(connection.execute(query, (now, now)).fetchall())


def _keep_draw(connection: sqlite3.Connection, one: Draw) -> int:
    query = "SELECT closed_at FROM audits WHERE audit = ?"
    row = connection.execute(query, (one.audit,)).fetchone()
    if row is None or row[0] is not None:
        raise DataError(f"Audit {one.audit} is {'closed' if row else 'unknown'}; nothing is drawn for it.")
    query = "SELECT asked, stratum, position, chance FROM draws WHERE audit = ? AND event = ?"
    before = connection.execute(query, (one.audit, one.event)).fetchone()
    says = (one.asked, one.stratum, one.position, one.chance)
    if before is not None and before != says:
        raise DataError(f"Audit {one.audit} has drawn {one.event} already, otherwise: {before}, not {says}.")
    if before is None:
        values = (one.audit, one.event, *says, _microseconds(one.drawn_at))
        connection.execute("INSERT INTO draws VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    return int(before is None)


# --- time


def _now(connection: sqlite3.Connection) -> datetime:
    (latest,) = connection.execute("SELECT max(decided_at) FROM decisions").fetchone()
    return max(datetime.now(UTC), _moment((latest or 0) + 1))


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
