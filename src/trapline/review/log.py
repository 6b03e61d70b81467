"""The log of decisions: what persons decided, appended to one SQLite file and never overwritten."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl

from trapline.errors import DataError, UsageError
from trapline.review.database import TIME, Database, frame, microseconds, moment
from trapline.review.decision import Asked, Decision
from trapline.review.decision_rows import (
    PastDecision,
    keep,
    now,
    read_after,
    read_latest,
    read_one,
    refuse_name,
    refuse_nonsense,
    refuse_other,
    taken_back_by,
)
from trapline.review.standing import all_decisions, current_decisions

LEASE_SECONDS = 600.0
"""For how long an event is lent to a person who does nothing."""

SETTLING = "disagreements"
"""The stream that shows what others decided before it asks."""

_LONGEST_LEASE = 24 * 3600.0


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
    replaces that of the event for these frames only. A decision that is taken back counts for nothing, and
    what it had replaced counts again; taking back can be undone without end, and the decision then stands
    where it stood, at its own time. Of persons who differ the later one's word stands (`stands`).

    A media is the same if its id and its content are; one whose content could not be read is the one of its
    id, where only one content is known under it. Media that have other names since are known again by their
    content where the media are: `with_decisions` puts decisions onto a catalog.

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
            refuse_nonsense(decision)
        with self._database.writing() as connection:
            kept = sum([keep(connection, decision) for decision in decisions])
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
            past = read_one(connection, decision_id)
            if past is None or past.decision.takes_back is not None:
                raise UsageError(f"There is no decision {decision_id} in {self.path}.")
            refuse_other(past.decision, person)
            if back == past.taken_back:
                return False
            target = decision_id if back else taken_back_by(connection, decision_id)
            event, when = past.decision.event, now(connection)
            keep(
                connection,
                Decision(uuid4().hex, person, when, event, (), False, "cannot tell", takes_back=target),
            )
            _renew(connection, person)
        return True

    def decisions(self, *, after: int = 0) -> list[Decision]:
        """All rows in the order of keeping, those that take back others too.

        Args:
            after: only what came after so many rows (`len` at some time).
        """
        with self._database.reading() as connection:
            return [past.decision for past in read_after(connection, after)]

    def history(
        self, person: str | None = None, *, before: int | None = None, count: int = 50
    ) -> list[PastDecision]:
        """Decisions, the latest kept first; those that are taken back are marked.

        Args:
            person: only hers.
            before: only those with a smaller number.
            count: at most so many.
        """
        with self._database.reading() as connection:
            return read_latest(connection, person, before, count)

    def current(self, events: Sequence[str] | None = None, *, unaware: bool = False) -> pl.DataFrame:
        """What counts of each person and media, by the rule that stands at the class.

        Args:
            events: only the media that were decided as these events; None for all.
            unaware: as if nobody had decided after being shown how others did (the stream `SETTLING`).

        Returns:
            Columns as in `CURRENT`, in the order of deciding; one row a person and media.
        """
        with self._database.reading() as connection:
            return current_decisions(connection, events, SETTLING if unaware else None)

    def table(self) -> pl.DataFrame:
        """All decisions as a plain table, one row a sighting; one row too where nothing is seen or told.

        Returns:
            What a decision has, in the order of keeping; `media`: a list of ids; `label` (`blank` where
            nothing is seen, null where it cannot be told), `count`, `life_stage`, `sex` and `behaviour`;
            `taken_back`; `counts`: of some of its media it is the one that counts.
        """
        with self._database.reading() as connection:
            return all_decisions(connection)

    def shared_events(self) -> list[str]:
        """The events that several persons decided."""
        query = """SELECT event FROM counting GROUP BY event HAVING count(DISTINCT person) > 1
            ORDER BY min(number)"""
        with self._database.reading() as connection:
            return [event for (event,) in connection.execute(query)]

    def people(self) -> pl.DataFrame:
        """Who decided: person, decisions that are not taken back, the first and the last time."""
        query = """SELECT person, count(*) - coalesce(taken, 0), min(decided_at), max(decided_at)
            FROM decisions LEFT JOIN (SELECT decisions.person, count(*) AS taken
                FROM taken_back JOIN decisions USING (decision_id)
                WHERE decisions.takes_back IS NULL GROUP BY 1) USING (person)
            WHERE takes_back IS NULL GROUP BY person ORDER BY person"""
        schema: dict[str, Any] = {"person": pl.String, "decisions": pl.Int64, "first": TIME, "last": TIME}
        with self._database.reading() as connection:
            return frame(connection, query, schema)

    def now(self) -> datetime:
        """The time for a decision that is made now: the machine's, but not before one that is kept, so that
        a clock that is put back lets no older decision win."""
        with self._database.reading() as connection:
            return now(connection)

    # --- who has what on loan

    def lend(self, events: Sequence[str], person: str, seconds: float = LEASE_SECONDS) -> list[str]:
        """Lend events to a person, so that nobody else is asked the same.

        A lease ends after so many seconds by the clock of this machine, when the event is given back or
        decided; whatever its person decides renews all that she has.

        Returns:
            The events that she has now, in the order given; not those that another has.

        Raises:
            UsageError: that is no name or no time.
        """
        refuse_name(person)
        if not 0 < seconds <= _LONGEST_LEASE:
            raise UsageError(f"An event is lent for up to {_LONGEST_LEASE:.0f} seconds, not {seconds}.")
        with self._database.writing() as connection:
            when = microseconds(datetime.now(UTC))
            others = _lent(connection, when)
            free = [event for event in events if others.get(event, person) == person]
            until = when + round(seconds * 1e6)
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
            leases = _lent(connection, microseconds(datetime.now(UTC)))
        return {event: person for event, person in leases.items() if person != to_others_than}

    # --- audits, what was drawn for them, the curve, facts

    def open_audit(self, facts: Mapping[str, Any]) -> int:
        """Begin an audit; its number. `facts` (JSON) is what must be known to draw on: seed, strata, …"""
        with self._database.writing() as connection:
            values = (microseconds(datetime.now(UTC)), json.dumps(facts))
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
            values = (microseconds(datetime.now(UTC)), audit)
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
            microseconds(point.kept_at),
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
        return [TeachingPoint(moment(row[0]), *row[1:]) for row in rows]

    def keep_fact(self, name: str, fact: Any) -> None:
        """Keep what is known of the project (JSON) under a name, instead of what was kept under it."""
        with self._database.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(fact)))

    def facts(self) -> dict[str, Any]:
        """What is known of the project: name → JSON."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT name, fact FROM facts ORDER BY name").fetchall()
        return {name: json.loads(fact) for name, fact in rows}


# --- leases and draws


def _renew(connection: sqlite3.Connection, person: str) -> None:
    when = microseconds(datetime.now(UTC))
    connection.execute(
        "UPDATE leases SET until = ? + CAST(seconds * 1e6 AS INTEGER) WHERE person = ? AND until > ?",
        (when, person, when),
    )


def _lent(connection: sqlite3.Connection, when: int) -> dict[str, str]:
    """Leases that last; one that would last longer than it was made for is of a clock since put back."""
    query = "SELECT event, person FROM leases WHERE until > ? AND until <= ? + seconds * 1e6 + 1"
    return dict(connection.execute(query, (when, when)).fetchall())


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
        values = (one.audit, one.event, *says, microseconds(one.drawn_at))
        connection.execute("INSERT INTO draws VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    return int(before is None)
