"""The folder of a run in shards: every operation on its files, so that their rules stand in one place.

    plan.json            what is to be done; it is written last, so that a folder with it is whole
    model/               the model's file
    catalog.parquet      the catalog of which the media are a part, where what is written needs it
    catalog/00000.parquet   the media of shard 0, and so on
    shards/00000.parquet    the finished table of shard 0
    attempts/00000.0001.json     what the first attempt at shard 0 says of itself
    attempts/00000.0001.journal  its journal, while the shard is not finished

Nothing here needs locks, or clocks that agree: an attempt is begun by making a file that must not be there
yet, its files are its own, and a table appears under its name whole. In a bucket the same holds; journals are
written on the worker's disk, and put there now and then.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from trapline.catalog import Catalog, ScannedCatalog, find_root, name_root
from trapline.cluster.attempt import Attempt
from trapline.cluster.plan import Plan
from trapline.errors import DataError, UsageError
from trapline.storage import (
    AnyPath,
    RemotePath,
    as_any_path,
    local_copy,
    replace_text,
    replace_whole,
    sync_folder,
    user_cache_folder,
)

TABLE_KEY = "trapline_shard"
_TABLE = re.compile(r"(\d{5,})\.parquet")
_RECORD = re.compile(r"(\d{5,})\.(\d{4,})\.json")
_CHUNK = 2**20
_MOST = 2**34
"""Bytes of a file of a run."""


class RunFolder:
    """The files of a run.

    Args:
        path: of the folder, on a disk or in a bucket.
    """

    def __init__(self, path: AnyPath | str) -> None:
        self.path = as_any_path(path)
        self._shards, self._attempts = self.path / "shards", self.path / "attempts"

    # ---- the plan, the model and the catalog

    def make(self) -> None:
        """Make the folder.

        Raises:
            UsageError: there is something in it.
        """
        if _names(self.path):
            raise UsageError(
                f"{self.path} is there and not empty. Name another folder with -o, or delete it to plan anew."
            )
        for folder in (self.path / "model", self.path / "catalog", self._shards, self._attempts):
            if isinstance(folder, Path):
                folder.mkdir(parents=True, exist_ok=True)

    def write_plan(self, plan: Plan) -> None:
        """Write it: from now on others may work."""
        _write(self.path / "plan.json", json.dumps(plan.as_json(), indent=1))
        if isinstance(self.path, Path):
            sync_folder(self.path)

    def plan(self) -> Plan:
        """The plan."""
        try:
            content = _read(self.path / "plan.json")
        except FileNotFoundError:
            raise DataError(
                f"{self.path} is no folder of a run in shards: it has no plan.json. Make one with "
                "`trapline cluster plan MODEL CATALOG -o FOLDER`."
            ) from None
        except OSError as error:
            raise DataError(f"The plan in {self.path} cannot be read: {error}.") from error
        return Plan.parse(content, str(self.path / "plan.json"))

    def keep_model(self, content: bytes, name: str) -> None:
        """Keep a model's file."""
        with replace_whole(self.path / "model" / name) as partial:
            partial.write_bytes(content)

    @contextmanager
    def model(self, plan: Plan) -> Iterator[Path]:
        """The model's file, on this machine."""
        with local_copy(self.path / "model" / plan.model, most_bytes=_MOST) as path:
            yield path

    def name_root(self, root: AnyPath) -> str:
        """Where photos are as a plan says it, so that a disk may be mounted elsewhere."""
        return name_root(root, self.path.absolute())

    def root(self, plan: Plan) -> AnyPath:
        """Where the photos of a plan are, as seen from here."""
        return find_root(plan.root, self.path.absolute())

    def keep_part(self, number: int, media: Catalog) -> str:
        """Keep the media of a shard; the digest of the file."""
        return self._keep(media, self._part(number))

    def part(self, plan: Plan, number: int, root: AnyPath | None = None) -> Catalog:
        """The media of a shard.

        Args:
            plan: of the folder.
            number: of the shard.
            root: where the photos are; None for where the plan says.

        Raises:
            DataError: the part is missing, or another than that which was planned.
        """
        part = self._planned(self._part(number), plan.shard(number).digest)
        folder = self.root(plan) if root is None else root.absolute()
        return replace(part, source=plan.source, root=folder)

    def keep_around(self, catalog: Catalog) -> str:
        """Keep the catalog that the planned media are a part of; the digest of the file."""
        return self._keep(catalog, self.path / "catalog.parquet")

    def whole_catalog(self, plan: Plan) -> Catalog:
        """The catalog of a plan: that of which its media are a part, or else of these, read a part at a time.

        Raises:
            DataError: a file is missing, or another than that which was planned.
        """
        if plan.around is None:
            first = self.part(plan, 0)
            rows = register_io_source(lambda *asked: self._rows(plan, *asked), schema=first.table.schema)
            return ScannedCatalog(rows, first.root, first.source, first.facts, rows=plan.media)
        return replace(self._planned(self.path / "catalog.parquet", plan.around), root=self.root(plan))

    def _rows(
        self,
        plan: Plan,
        columns: list[str] | None,
        predicate: pl.Expr | None,
        most: int | None,
        _at_once: int | None,
    ) -> Iterator[pl.DataFrame]:
        """The media of each shard, of those that Polars asks for."""
        left = plan.media if most is None else most
        for number in range(len(plan.shards)):
            table = self.part(plan, number).table[:left]
            left -= len(table)
            table = table if predicate is None else table.filter(predicate)
            yield table if columns is None else table.select(columns)

    def _part(self, number: int) -> AnyPath:
        return self.path / "catalog" / f"{number:05}.parquet"

    def _keep(self, catalog: Catalog, path: AnyPath) -> str:
        """Write a catalog; the digest of the file."""
        with replace_whole(path) as partial:
            return digest_of(catalog.save(partial))

    def _planned(self, path: AnyPath, digest: str) -> Catalog:
        """The catalog in a file that must have a digest."""
        try:
            with local_copy(path, most_bytes=_MOST) as here:
                if digest_of(here) == digest:
                    return Catalog.load(here)
        except FileNotFoundError:
            pass
        raise DataError(
            f"{path} is missing, or no longer what was planned. The plan holds for its own catalog only: "
            "make it anew in another folder."
        )

    # ---- the tables

    def finished(self) -> set[int]:
        """Shards that have their table."""
        return {int(name[1]) for name in map(_TABLE.fullmatch, _names(self._shards)) if name}

    def is_finished(self, number: int) -> bool:
        """Whether a shard's table is there."""
        return self._table(number).is_file()

    @contextmanager
    def tables(self) -> Iterator[list[Path]]:
        """All tables that lie where those of the shards do, on this machine, in the order of their names."""
        names = [name for name in _names(self._shards) if name.lower().endswith(".parquet")]
        paths = [self._shards / name for name in sorted(names) if name[0] != "."]
        with TemporaryDirectory(prefix="trapline-") as folder:
            yield [_fetched(path, Path(folder)) for path in paths]

    def publish(self, attempt: Attempt, rows: pl.LazyFrame, plan: Plan) -> tuple[bool, str]:
        """Write the table of a shard; it appears under its name at once, unless one is there already.

        Returns:
            whether it is this one that stands there, and the digest of this one.
        """
        target = self._table(attempt.shard)
        partial = self._here(attempt, ".parquet")
        metadata = {TABLE_KEY: json.dumps(plan.table_header(attempt.shard))}
        rows.sink_parquet(partial, metadata=metadata, sync_on_close="all")
        digest = digest_of(partial)
        if isinstance(target, RemotePath):
            won = target.create(partial.read_bytes())
        else:
            won = not target.exists()
            if won:
                try:
                    os.link(partial, target)  # fails where another was quicker
                except FileExistsError:
                    won = False
                except OSError:  # a disk without links: of two at this moment the later stays, as good
                    partial.replace(target)
            sync_folder(target.parent)
        partial.unlink(missing_ok=True)
        return won, digest

    def _table(self, number: int) -> AnyPath:
        return self._shards / f"{number:05}.parquet"

    # ---- attempts

    def attempts(self) -> dict[int, list[tuple[int, AnyPath]]]:
        """Shard -> numbers and files of the attempts at it, rising."""
        records: dict[int, list[tuple[int, AnyPath]]] = {}
        for name in filter(None, map(_RECORD.fullmatch, _names(self._attempts))):
            records.setdefault(int(name[1]), []).append((int(name[2]), self._attempts / name[0]))
        return {number: sorted(paths, key=lambda one: one[0]) for number, paths in sorted(records.items())}

    def begin(self, attempt: Attempt) -> bool:
        """Begin an attempt; False where another worker has begun one of this number."""
        content, record = json.dumps(attempt.as_json()).encode(), self._own(attempt, ".json")
        if isinstance(record, RemotePath):
            return record.create(content)
        try:
            with record.open("xb") as file:
                file.write(content)
        except FileExistsError:
            return False
        return True

    def renew(self, attempt: Attempt) -> None:
        """Write again what an attempt says of itself; only its worker does."""
        _write(self._own(attempt, ".json"), json.dumps(attempt.as_json()))

    def journal(self, attempt: Attempt) -> Path:
        """An attempt's journal, with what the one before it that got furthest has written."""
        path = self._here(attempt, ".journal")
        if not path.exists():
            with suppress(
                OSError, ValueError
            ):  # another may clear it away meanwhile: that only costs the work
                self._take_over(f"{attempt.shard:05}.", path)
        return path

    def _take_over(self, prefix: str, path: Path) -> None:
        """Copy the longest journal of a shard, of those that are here and of those in the bucket."""
        sizes: dict[AnyPath, int] = {
            one: one.stat().st_size for one in path.parent.glob(f"{prefix}*.journal")
        }
        if isinstance(self._attempts, RemotePath):
            below = self._attempts.walk()
            journals = (one for one in below if one[0].startswith(prefix) and one[0].endswith(".journal"))
            sizes |= {self._attempts / name: stat.size for name, stat in journals}
        furthest = max(sizes, key=lambda one: sizes[one])
        with local_copy(furthest, most_bytes=_MOST) as here, replace_whole(path) as partial:
            shutil.copyfile(here, partial)

    def keep_journal(self, attempt: Attempt) -> None:
        """Put an attempt's journal where others find it, if it is not written there."""
        target, here = self._own(attempt, ".journal"), self._here(attempt, ".journal")
        if isinstance(target, RemotePath) and here.exists() and not self.is_finished(attempt.shard):
            with TemporaryDirectory(prefix="trapline-") as folder:
                target.put(Path(shutil.copy(here, folder)))  # of one size, whatever is written meanwhile

    def tidy(self, number: int) -> None:
        """Clear away what attempts at a finished shard need no more."""
        folders = {self._attempts, self._here(Attempt(shard=number, number=0, worker=""), "").parent}
        for folder in folders:
            for name in _names(folder):
                if name.startswith(f"{number:05}.") and ".json" not in name:  # nor one that is just written
                    with suppress(OSError):  # another attempt may have it open
                        (folder / name).unlink(missing_ok=True)

    def _own(self, attempt: Attempt, suffix: str) -> AnyPath:
        return self._attempts / f"{attempt.shard:05}.{attempt.number:04}{suffix}"

    def _here(self, attempt: Attempt, suffix: str) -> Path:
        """The same on a disk of this machine: of a run in a bucket in the user's folder of caches."""
        path = self._own(attempt, suffix)
        if isinstance(path, Path):
            return path
        key = hashlib.blake2b(str(self.path).encode(), digest_size=16).hexdigest()
        folder = user_cache_folder() / "shards" / key
        folder.mkdir(parents=True, exist_ok=True)
        return folder / path.name


def read_attempt(path: AnyPath) -> tuple[bytes, Attempt | None]:
    """The bytes of a record, and what they say; None while it is being written, or where it is damaged."""
    try:
        content = _read(path)
        return content, Attempt.from_json(json.loads(content), str(path))
    except (OSError, ValueError, DataError):
        return b"", None


def _names(folder: AnyPath) -> list[str]:
    """Of what lies in a folder; nothing where there is none."""
    if isinstance(folder, RemotePath):
        return list(dict.fromkeys(name.partition("/")[0] for name, _ in folder.walk()))
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _read(path: AnyPath) -> bytes:
    return path.read(most=_MOST) if isinstance(path, RemotePath) else path.read_bytes()


def _write(path: AnyPath, text: str) -> None:
    """Write a text whole or not at all."""
    if isinstance(path, Path):
        replace_text(path, text)
        return
    with replace_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _fetched(path: AnyPath, folder: Path) -> Path:
    """A file as one of this machine."""
    if isinstance(path, Path):
        return path
    with local_copy(path, most_bytes=_MOST) as here:
        return Path(shutil.copy(here, folder / path.name))


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


def digest_of(path: Path) -> str:
    """Of a file's bytes."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def batches_of(tables: Sequence[pl.LazyFrame]) -> Iterator[pl.DataFrame]:
    """The rows of tables, one after the other, some at a time."""
    for table in tables:
        yield from table.collect_batches(maintain_order=True, chunk_size=8192)
