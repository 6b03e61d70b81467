"""The file of decisions as SQLite sees it: its tables, how it is opened and refused, one writer at a time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import polars as pl

from trapline.errors import DataError, UsageError, kind_of

_APPLICATION = 0x5452504C
"""`TRPL`: what tells the file from another program's database (SQLite's `application_id`)."""

_FORMAT = 1
_WAIT = 60
"""Seconds for which one waits for another who writes."""

_KEPT = ("decisions", "media", "decided_media", "sightings", "suggested_labels", "draws", "points")
"""Tables to which rows are only ever added."""

_TABLES = """
CREATE TABLE decisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    decision_id TEXT NOT NULL UNIQUE,
    person TEXT NOT NULL,
    decided_at INTEGER NOT NULL,  -- microseconds since 1970 in UTC, as all times here
    event TEXT NOT NULL,
    of_event INTEGER NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('seen', 'blank', 'cannot tell')),
    sure INTEGER NOT NULL,
    flagged INTEGER NOT NULL,
    remark TEXT,
    stream TEXT,
    asked TEXT NOT NULL CHECK (asked IN ('chosen', 'audit', 'calibration')),
    suggested_by TEXT,
    suggested_probability REAL,
    takes_back TEXT REFERENCES decisions (decision_id)
);
CREATE INDEX decisions_event ON decisions (event);
CREATE INDEX decisions_person ON decisions (person);
CREATE INDEX decisions_takes_back ON decisions (takes_back) WHERE takes_back IS NOT NULL;
CREATE TABLE media (
    media INTEGER PRIMARY KEY,
    media_id TEXT NOT NULL,
    file_path TEXT NOT NULL,
    content_size INTEGER,
    content_hash TEXT
);
CREATE UNIQUE INDEX media_once
    ON media (media_id, file_path, coalesce(content_size, -1), coalesce(content_hash, ''));
CREATE TABLE decided_media (
    number INTEGER NOT NULL REFERENCES decisions,
    position INTEGER NOT NULL,
    media INTEGER NOT NULL REFERENCES media,
    PRIMARY KEY (number, position)
) WITHOUT ROWID;
CREATE INDEX decided_media_media ON decided_media (media);
CREATE TABLE sightings (
    number INTEGER NOT NULL REFERENCES decisions,
    position INTEGER NOT NULL,
    label TEXT NOT NULL,
    count INTEGER CHECK (count > 0),
    PRIMARY KEY (number, position)
) WITHOUT ROWID;
CREATE TABLE suggested_labels (
    number INTEGER NOT NULL REFERENCES decisions,
    position INTEGER NOT NULL,
    label TEXT NOT NULL,
    PRIMARY KEY (number, position)
) WITHOUT ROWID;
CREATE TABLE leases (
    event TEXT PRIMARY KEY, person TEXT NOT NULL, seconds REAL NOT NULL, until INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE audits (audit INTEGER PRIMARY KEY, opened_at INTEGER NOT NULL, closed_at INTEGER, facts TEXT);
CREATE TABLE draws (
    audit INTEGER NOT NULL REFERENCES audits,
    event TEXT NOT NULL,
    asked TEXT NOT NULL CHECK (asked IN ('audit', 'calibration')),
    stratum TEXT NOT NULL,
    position INTEGER NOT NULL,
    chance REAL NOT NULL CHECK (chance > 0 AND chance <= 1),
    drawn_at INTEGER NOT NULL,
    PRIMARY KEY (audit, event)
) WITHOUT ROWID;
CREATE TABLE points (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kept_at INTEGER NOT NULL,
    round INTEGER NOT NULL,
    decisions INTEGER NOT NULL,
    estimate REAL,
    low REAL,
    high REAL,
    log_loss REAL
);
CREATE TABLE facts (name TEXT PRIMARY KEY, fact TEXT NOT NULL) WITHOUT ROWID;
CREATE TRIGGER decisions_once BEFORE INSERT ON decisions
    WHEN EXISTS (SELECT 1 FROM decisions WHERE decision_id = NEW.decision_id OR number = NEW.number)
    BEGIN SELECT RAISE(ABORT, 'a decision is never replaced'); END;
"""

_NEVER = """
CREATE TRIGGER {table}_never_{verb} BEFORE {verb} ON {table}
    BEGIN SELECT RAISE(ABORT, '{table} are only ever added'); END;
"""

_PARTS_OF_THE_LAST = """
CREATE TRIGGER {table}_of_the_last BEFORE INSERT ON {table}
    WHEN NEW.number IS NOT (SELECT max(number) FROM decisions)
    BEGIN SELECT RAISE(ABORT, 'nothing is added to a decision that is kept'); END;
"""


class Database:
    """One file: one connection that writes, behind a lock, and a new one for whoever reads.

    What is written is on the disk when `writing` ends (`synchronous = FULL`); a process that is killed, or a
    machine whose power goes, leaves whole transactions only. Readers do not wait for writers, where the
    disk knows SQLite's write-ahead log.
    """

    def __init__(self, path: Path, *, create: bool = False, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self._lock = threading.RLock()
        self._writer: sqlite3.Connection | None = None
        if self._refuse_foreign(create):
            self._refuse_unknown(create)
        if not read_only:
            with self._guarded():
                self._writer = self._connect()
                self._prepare(self._writer)

    def close(self) -> None:
        """Close the file; what is read or written afterwards is an error."""
        with self._lock, self._guarded():
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all that is written in it is on the disk at its end, or nothing is."""
        with self._lock, self._guarded():
            if self._writer is None:
                raise UsageError(f"{self.path} is opened to be read only; nothing can be written to it.")
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled it back already
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The file as it is at one moment, whoever writes meanwhile."""
        with self._guarded():
            connection = self._connect(mode="ro")
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                connection.close()

    def _connect(self, mode: str = "rwc") -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.resolve().as_uri()}?mode={mode}",
            uri=True,
            timeout=_WAIT,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA trusted_schema = OFF")
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA recursive_triggers = ON")  # REPLACE is a DELETE then
        connection.execute("BEGIN IMMEDIATE")
        try:
            if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                for statement in _statements():
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {_FORMAT}")
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _refuse_foreign(self, create: bool) -> bool:
        """Before SQLite touches a file that is not its own; whether there is a database."""
        if not self.path.exists():
            if not create:
                raise DataError(f"There are no decisions at {self.path}: no such file.")
            return False
        kind = kind_of(self.path)
        if kind == "an empty file" and create:
            return False
        if kind != "a database":
            raise DataError(f"{self.path} holds no decisions: it is {kind or 'no database'}.")
        return True

    def _refuse_unknown(self, create: bool) -> None:
        with self.reading() as connection:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if create and not tables and application in (0, _APPLICATION):  # killed while it was made
            return
        if application != _APPLICATION:
            raise DataError(f"{self.path} is a database of another program, not one of decisions.")
        if version > _FORMAT:
            raise DataError(
                f"{self.path} was written by a newer Trapline (format {version}, this one knows {_FORMAT}). "
                "Update Trapline; the file is left as it is."
            )

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise DataError(f"{self.path} cannot be used: {error}.") from error


def _statements() -> list[str]:
    script = _TABLES
    script += "".join(
        _NEVER.format(table=table, verb=verb) for table in _KEPT for verb in ("UPDATE", "DELETE")
    )
    parts = ("decided_media", "sightings", "suggested_labels")
    script += "".join(_PARTS_OF_THE_LAST.format(table=table) for table in parts)
    statements, statement = [], ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            statements.append(statement)
            statement = ""
    return statements


def frame(
    connection: sqlite3.Connection,
    query: str,
    schema: Mapping[str, Any],
    values: Any = (),
) -> pl.DataFrame:
    """What a query answers, as a table; times are microseconds in the file."""
    rows = connection.execute(query, values).fetchall()
    whole = {name: pl.Int64 if kind in (pl.Boolean, TIME) else kind for name, kind in schema.items()}
    return pl.DataFrame(rows, schema=whole, orient="row").cast(pl.Schema(schema))


TIME = pl.Datetime("us", "UTC")
