"""The folder of a run in shards: every operation on its files, so that their rules stand in one place.

    plan.json            what is to be done; it is written last, so that a folder with it is whole
    model/               the model's file
    catalog.parquet      the catalog of which the media are a part, where what is written needs it
    catalog/00000.parquet   the media of shard 0, and so on
    shards/00000.parquet    the finished table of shard 0
    attempts/00000.0001.json     what the first attempt at shard 0 says of itself
    attempts/00000.0001.journal  its journal, while the shard is not finished

Nothing here needs locks, or clocks that agree: an attempt is begun by making a file that must not be there
yet, its files are its own, and a table appears under its name whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from trapline.catalog import Catalog, find_root, name_root
from trapline.cluster.attempt import Attempt
from trapline.cluster.plan import Plan
from trapline.errors import DataError, UsageError
from trapline.storage import AnyPath, replace_text, replace_whole, sync_folder

TABLE_KEY = "trapline_shard"
_TABLE = re.compile(r"(\d{5,})\.parquet")
_RECORD = re.compile(r"(\d{5,})\.(\d{4,})\.json")
_CHUNK = 2**20


class RunFolder:
    """The files of a run.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._shards, self._attempts = path / "shards", path / "attempts"

    # ---- the plan, the model and the catalog

    def make(self) -> None:
        """Make the folder.

        Raises:
            UsageError: there is something in it.
        """
        if self.path.is_dir() and any(self.path.iterdir()):
            raise UsageError(
                f"{self.path} is there and not empty. Name another folder with -o, or delete it to plan anew."
            )
        for folder in (self.path / "model", self.path / "catalog", self._shards, self._attempts):
            folder.mkdir(parents=True, exist_ok=True)

    def write_plan(self, plan: Plan) -> None:
        """Write it: from now on others may work."""
        replace_text(self.path / "plan.json", json.dumps(plan.as_json(), indent=1))
        sync_folder(self.path)

    def plan(self) -> Plan:
        """The plan."""
        return Plan.read(self.path / "plan.json")

    def keep_model(self, content: bytes, name: str) -> None:
        """Keep a model's file."""
        with replace_whole(self.path / "model" / name) as partial:
            partial.write_bytes(content)

    def model(self, plan: Plan) -> Path:
        """The model's file."""
        return self.path / "model" / plan.model

    def name_root(self, root: AnyPath) -> str:
        """Where photos are as a plan says it, so that a disk may be mounted elsewhere."""
        return name_root(root, self.path.absolute())

    def root(self, plan: Plan) -> AnyPath:
        """Where the photos of a plan are, as seen from here."""
        return find_root(plan.root, self.path.absolute())

    def keep_part(self, number: int, media: Catalog) -> str:
        """Keep the media of a shard; the digest of the file."""
        return _digest(media.save(self.path / "catalog" / f"{number:05}.parquet"))

    def part(self, plan: Plan, number: int, root: AnyPath | None = None) -> Catalog:
        """The media of a shard.

        Args:
            plan: of the folder.
            number: of the shard.
            root: where the photos are; None for where the plan says.

        Raises:
            DataError: the part is missing, or another than that which was planned.
        """
        path = self.path / "catalog" / f"{number:05}.parquet"
        if not path.is_file() or _digest(path) != plan.shard(number).digest:
            raise DataError(
                f"{path} is missing, or no longer what was planned. The plan holds for its own catalog only: "
                "make it anew in another folder."
            )
        root = self.root(plan) if root is None else root.absolute()
        return replace(Catalog.load(path), source=plan.source, root=root)

    def keep_around(self, catalog: Catalog) -> str:
        """Keep the catalog that the planned media are a part of; the digest of the file."""
        return _digest(catalog.save(self._around))

    def whole_catalog(self, plan: Plan) -> Catalog:
        """The catalog of a plan: that of which its media are a part, or else of these.

        Raises:
            DataError: a file is missing, or another than that which was planned.
        """
        if plan.around is None:
            parts = [self.part(plan, number) for number in range(len(plan.shards))]
            return replace(parts[0], table=pl.concat([part.table for part in parts]))
        if not self._around.is_file() or _digest(self._around) != plan.around:
            raise DataError(f"{self._around} is missing, or no longer what was planned.")
        return replace(Catalog.load(self._around), root=self.root(plan))

    @property
    def _around(self) -> Path:
        return self.path / "catalog.parquet"

    # ---- the tables

    def finished(self) -> dict[int, Path]:
        """Shard -> its table, of those that have one."""
        paths = ((_TABLE.fullmatch(path.name), path) for path in self._shards.iterdir())
        return {int(name[1]): path for name, path in paths if name}

    def is_finished(self, number: int) -> bool:
        """Whether a shard's table is there."""
        return self._table(number).is_file()

    def strange_tables(self) -> list[Path]:
        """Tables whose name is no shard's."""
        paths = (path for path in self._shards.iterdir() if path.suffix.lower() == ".parquet")
        return sorted(path for path in paths if not _TABLE.fullmatch(path.name) and path.name[0] != ".")

    def publish(self, attempt: Attempt, rows: pl.LazyFrame, plan: Plan) -> tuple[bool, str]:
        """Write the table of a shard; it appears under its name at once, unless one is there already.

        Returns:
            whether it is this one that stands there, and the digest of this one.
        """
        partial = self._own(attempt, ".parquet")
        metadata = {TABLE_KEY: json.dumps(plan.table_header(attempt.shard))}
        rows.sink_parquet(partial, metadata=metadata, sync_on_close="all")
        digest, target = _digest(partial), self._table(attempt.shard)
        won = not target.exists()
        if won:
            try:
                os.link(partial, target)  # fails where another was quicker
            except FileExistsError:
                won = False
            except OSError:  # a disk without links: of two at this moment the later stays, which is as good
                partial.replace(target)
        partial.unlink(missing_ok=True)
        sync_folder(self._shards)
        return won, digest

    def digest_of_table(self, number: int) -> str:
        """Of a shard's table as it is."""
        return _digest(self._table(number))

    def _table(self, number: int) -> Path:
        return self._shards / f"{number:05}.parquet"

    # ---- attempts

    def attempts(self) -> dict[int, list[tuple[int, Path]]]:
        """Shard -> numbers and files of the attempts at it, rising."""
        records: dict[int, list[tuple[int, Path]]] = {}
        for path in self._attempts.iterdir():
            if name := _RECORD.fullmatch(path.name):
                records.setdefault(int(name[1]), []).append((int(name[2]), path))
        return {number: sorted(paths) for number, paths in sorted(records.items())}

    def begin(self, attempt: Attempt) -> bool:
        """Begin an attempt; False where another worker has begun one of this number."""
        content = json.dumps(attempt.as_json()).encode()
        try:
            with self._own(attempt, ".json").open("xb") as file:
                file.write(content)
        except FileExistsError:
            return False
        return True

    def renew(self, attempt: Attempt) -> None:
        """Write again what an attempt says of itself; only its worker does."""
        replace_text(self._own(attempt, ".json"), json.dumps(attempt.as_json()))

    def journal(self, attempt: Attempt) -> Path:
        """An attempt's journal, with what the one before it that got furthest has written."""
        path = self._own(attempt, ".journal")
        if not path.exists():
            others = self._attempts.glob(f"{attempt.shard:05}.*.journal")
            with suppress(
                OSError, ValueError
            ):  # another may clear it away meanwhile: that only costs the work
                furthest = max(others, key=lambda one: one.stat().st_size)
                with replace_whole(path) as partial:
                    shutil.copyfile(furthest, partial)
        return path

    def tidy(self, number: int) -> None:
        """Clear away what attempts at a finished shard need no more."""
        for path in self._attempts.glob(f"{number:05}.*"):
            if ".json" not in path.suffixes:  # nor what another attempt is just writing
                with suppress(OSError):  # another attempt may have it open
                    path.unlink()

    def _own(self, attempt: Attempt, suffix: str) -> Path:
        return self._attempts / f"{attempt.shard:05}.{attempt.number:04}{suffix}"


def read_attempt(path: Path) -> tuple[bytes, Attempt | None]:
    """The bytes of a record, and what they say; None while it is being written, or where it is damaged."""
    try:
        content = path.read_bytes()
        return content, Attempt.from_json(json.loads(content), str(path))
    except (OSError, ValueError, DataError):
        return b"", None


def read_table(path: Path) -> tuple[pl.LazyFrame, dict[str, Any]]:
    """The rows of a shard's table and what it keeps of its plan.

    Raises:
        DataError: it is no table of a shard, or damaged.
    """
    try:
        rows = pl.scan_parquet(path, glob=False)
        header = json.loads(pl.read_parquet_metadata(path)[TABLE_KEY])
    except (OSError, KeyError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} is no table of a shard, or damaged. Delete it, and work again.") from error
    return rows, header


def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def batches_of(tables: Sequence[pl.LazyFrame]) -> Iterator[pl.DataFrame]:
    """The rows of tables, one after the other, some at a time."""
    for table in tables:
        yield from table.collect_batches(maintain_order=True, chunk_size=8192)
