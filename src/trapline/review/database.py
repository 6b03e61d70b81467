"""The file of decisions as SQLite sees it: its tables, how it is opened and refused, one writer at a time."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from trapline.errors import DataError, UsageError, describe_system_error, kind_of
from trapline.storage import beside

_APPLICATION = 0x5452504C
"""`TRPL`: what tells the file from another program's database (SQLite's `application_id`)."""

_FORMAT = 2
_SINCE = {2: ("life_stage", "sex", "behaviour")}
"""Format -> the columns that sightings have since then."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WAIT = 60.0
"""Seconds for which one waits for another who writes."""

_NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "lustre", "virtiofs", "fuse.")
"""How the kinds of disks begin that are another machine's, or may be (FUSE)."""

_ADVICE = {
    "SQLITE_FULL": " Nothing of this was kept. Make room on the disk and decide it again.",
    "SQLITE_IOERR": " Nothing of this was kept. Look whether the disk is full, or fails.",
    "SQLITE_READONLY": " Check your rights there, or copy it into a folder of yours.",
    "SQLITE_CANTOPEN": " Check that its folder is there, and your rights.",
    "SQLITE_BUSY": " Another program has kept it to itself for a minute; close that one.",
    "SQLITE_CORRUPT": " It is damaged. Go back to a copy, or save what can be read: `sqlite3 FILE .recover`.",
    "SQLITE_NOTADB": " It is damaged. Go back to a copy.",
}
"""How SQLite's names of errors begin -> what to do."""

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
CREATE INDEX decisions_decided_at ON decisions (decided_at);
CREATE INDEX decisions_takes_back ON decisions (takes_back) WHERE takes_back IS NOT NULL;
CREATE VIEW taken_back AS  -- by a row that is not taken back itself
    SELECT takes_back AS decision_id, person, decision_id AS row FROM decisions AS taking
    WHERE takes_back IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM decisions AS redo WHERE redo.takes_back = taking.decision_id);
CREATE VIEW counting AS SELECT * FROM decisions WHERE takes_back IS NULL
    AND NOT EXISTS (SELECT 1 FROM taken_back WHERE taken_back.decision_id = decisions.decision_id);
CREATE TABLE media (
    media INTEGER PRIMARY KEY,
    media_id TEXT NOT NULL,
    file_path TEXT NOT NULL,
    content_size INTEGER,
    content_hash TEXT
);
CREATE INDEX media_media_id ON media (media_id);
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
    life_stage TEXT,
    sex TEXT,
    behaviour TEXT,
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

    What is written is on the disk when `writing` ends; a process that is killed, or a machine whose power
    goes, leaves whole transactions only. Readers and writers do not wait for each other where the disk knows
    SQLite's write-ahead log; on network disks, where its shared memory is not shared, they do.
    """

    def __init__(self, path: Path, *, create: bool = False, read_only: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._mode = "ro" if read_only else "rw"
        self._writer: sqlite3.Connection | None = None
        self._closed = False
        self._file: tuple[int, int] | None = None
        with self._guarded():
            there = self._refuse_foreign(create)
        if there:
            self._refuse_unknown(create)
        if not read_only:
            with self._guarded():
                self._writer = self._connect("rwc")
                self._prepare(self._writer)
                self._file = self._which()

    def close(self) -> None:
        """Close the file; to read or write it afterwards is an error."""
        with self._lock, self._guarded():
            self._closed = True
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all that is written in it is on the disk at its end, or nothing is."""
        with self._lock, self._guarded():
            self._refuse_closed()
            if self._writer is None:
                raise UsageError(f"{self.path} is opened to be read only; nothing can be written to it.")
            self._refuse_replaced()
            with _transaction(self._writer):
                yield self._writer

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The file as it is at one moment, whoever writes meanwhile."""
        with self._guarded():
            self._refuse_closed()
            self._refuse_replaced()
            connection = self._connect(self._mode)
            try:
                connection.execute("BEGIN")
                _show_as_today(connection)
                yield connection
            finally:
                connection.close()

    def _connect(self, mode: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.resolve().as_uri()}?mode={mode}",
            uri=True,
            timeout=_WAIT,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA trusted_schema = OFF")
        if mode == "ro" and not self._can_be_read(connection):
            connection.close()
            return self._connect("ro&immutable=1")
        return connection

    def _can_be_read(self, connection: sqlite3.Connection) -> bool:
        """Whether SQLite can make what it needs beside the file; nobody can write there if it cannot."""
        try:
            connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname not in ("SQLITE_CANTOPEN", "SQLITE_READONLY_DIRECTORY"):
                raise
            unread = [beside(self.path, ending) for ending in ("-wal", "-journal")]
            if left := [path for path in unread if path.exists() and path.stat().st_size]:
                raise DataError(
                    f"{left[0]} holds decisions that {self.path.name} does not, and nothing can be written "
                    "there to join them. Copy both files into a folder of yours and open the copy."
                ) from error
            return False
        return True

    def _prepare(self, connection: sqlite3.Connection) -> None:
        journal = "TRUNCATE" if is_on_network(self.path) else "WAL"
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("PRAGMA synchronous = EXTRA")  # FULL, and where there is no WAL also the folder
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA recursive_triggers = ON")  # REPLACE is a DELETE then
        with _transaction(connection):
            if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                for statement in _statements():
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {_FORMAT}")
            lacking = _lacking(connection)
            for name in lacking:  # rows that are kept stay as they are
                connection.execute(f"ALTER TABLE sightings ADD COLUMN {name} TEXT")
            if lacking:
                connection.execute(f"PRAGMA user_version = {_FORMAT}")

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
        if create and not tables and not application:  # whoever made it was killed meanwhile
            return
        if application != _APPLICATION:
            raise DataError(f"{self.path} is a database of another program, not one of decisions.")
        if version > _FORMAT:
            raise DataError(
                f"{self.path} was written by a newer Trapline (format {version}, this one knows {_FORMAT}). "
                "Update Trapline; the file is left as it is."
            )

    def _refuse_closed(self) -> None:
        if self._closed:
            raise UsageError(f"{self.path} has been closed.")

    def _which(self) -> tuple[int, int] | None:
        """The file that the path leads to now; None where there is none."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _refuse_replaced(self) -> None:
        """What is written would go to a file that nobody finds any more, and what is read be another's."""
        if self._file is not None and self._which() != self._file:
            raise DataError(
                f"{self.path} was removed, or replaced by another file, while it was open. Nothing of this"
                " was kept. Put back the file that was there, or end what has it open and begin again."
            ) from FileNotFoundError(str(self.path))

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            advice = next((words for start, words in _ADVICE.items() if name.startswith(start)), "")
            raise DataError(f"{self.path} cannot be used: {error}.{advice}") from error
        except UnicodeEncodeError as error:
            raise UsageError(f"{error.object!r} cannot be kept: it is no valid Unicode.") from error
        except OSError as error:
            raise DataError(f"{self.path} cannot be used. {describe_system_error(error)}") from error


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk has rolled it back already
            connection.execute("ROLLBACK")
        raise


def _lacking(connection: sqlite3.Connection) -> list[str]:
    """The columns that a file of an earlier format lacks; none of a file that is only being made."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return [name for since, names in _SINCE.items() if 0 < version < since for name in names]


def _show_as_today(connection: sqlite3.Connection) -> None:
    """Let who only reads a file of an earlier format see the columns that it lacks, empty."""
    if names := _lacking(connection):
        empty = ", ".join(f"NULL AS {name}" for name in names)
        view = f"CREATE TEMP VIEW sightings AS SELECT *, {empty} FROM main.sightings"  # noqa: S608
        connection.execute(view)


def is_on_network(path: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Whether a file is on a disk of another machine, as far as the system says so.

    There a write-ahead log would be wrong: its index is memory that processes of one machine share
    (sqlite.org/wal.html).

    Args:
        path: of the file, or of one to be made.
        mounts: Linux's table of mounted disks.
    """
    if os.name == "nt":
        return path.resolve().drive.startswith("\\\\")
    try:
        rows = [line.split() for line in mounts.read_text("utf-8", "replace").splitlines()]
    except OSError:
        return False
    kinds = {row[1].replace("\\040", " "): row[2] for row in rows if len(row) > 2}
    above = (str(folder) for folder in (path.resolve(), *path.resolve().parents))
    kind = next((kinds[folder] for folder in above if folder in kinds), "")
    return kind.startswith(_NETWORK)


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


TIME = pl.Datetime("us", "UTC")
"""Of all columns of times; microseconds since 1970 in the file."""

_BATCH = 50_000
"""Rows taken from SQLite at once: more at a time are slower, by Python's search for garbage."""


def frame(
    connection: sqlite3.Connection, query: str, schema: Mapping[str, Any], values: Any = ()
) -> pl.DataFrame:
    """What a query answers, as a table."""
    stored = [pl.Int64 if kind in (pl.Boolean, TIME) else kind for kind in schema.values()]
    cursor = connection.execute(query, values)
    batches = [pl.DataFrame(schema=dict(zip(schema, stored, strict=True)))]
    while rows := cursor.fetchmany(_BATCH):
        columns = zip(schema, zip(*rows, strict=True), stored, strict=True)
        batches.append(pl.DataFrame([pl.Series(name, cells, kind) for name, cells, kind in columns]))
    return pl.concat(batches).cast(pl.Schema(schema))


def microseconds(when: datetime) -> int:
    """Since 1970 in UTC."""
    return (when - _EPOCH) // timedelta(microseconds=1)


def moment(since: int) -> datetime:
    """Of microseconds since 1970 in UTC."""
    return _EPOCH + timedelta(microseconds=since)
