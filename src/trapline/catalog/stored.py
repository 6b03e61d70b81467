"""How a catalog lies on the disk: as one Parquet file, or as a folder of them, and what is known of it."""

from __future__ import annotations

import json
import os
import posixpath
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from trapline.addresses import address_of
from trapline.catalog.facts import CatalogFacts
from trapline.catalog.names import as_listed
from trapline.catalog.parquet_file import for_polars, readable
from trapline.catalog.parquet_folder import count_rows, find_folder, write_folder
from trapline.errors import DataError, kind_of
from trapline.storage import AnyPath, RemotePath, as_any_path, is_url, replace_whole

FORMAT_VERSION = "1"
HEADER = "trapline_catalog"
"""Under this name a file's metadata hold what is known of the whole, as JSON."""

FOLDER_HEADER = "_trapline_catalog.json"
"""A folder's, with the names and rows of its files: written last, so that a folder without it is none.

Names that begin with `_` are left alone by what else reads such folders (Spark, Arrow, DuckDB)."""


@dataclass(frozen=True)
class Header:
    """What is kept of a catalog beside its table.

    Attributes:
        root: the folder that `file_path` is relative to.
        source: what was read, for people.
        facts: what is known of the whole.
    """

    root: AnyPath
    source: str
    facts: CatalogFacts

    def as_json(self, start: AnyPath) -> dict[str, Any]:
        """JSON-able, the root relative to where the catalog lies if that is possible."""
        return {
            "format_version": FORMAT_VERSION,
            "root": name_root(self.root, start),
            "source": self.source,
            "info": self.facts.as_json(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], path: Path) -> Header:
        """What `as_json` made, of a catalog at `path`."""
        try:
            version, start = document["format_version"], document["root"]
            source, info = document["source"], document["info"]
            if not (isinstance(start, str) and isinstance(source, str) and isinstance(info, dict)):
                raise TypeError("root and source are texts, info is an object")
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(path, error) from error
        if version != FORMAT_VERSION:
            raise DataError(f"{path} has catalog format {version}; this Trapline reads {FORMAT_VERSION}.")
        facts = CatalogFacts.from_json(info, f"The facts that {path} keeps of its catalog are damaged")
        root = find_root(start, address_of(path).parent)
        return cls(root, source, facts)


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"The facts that {path} keeps of its catalog are damaged: {error!r}.")


def name_root(root: AnyPath, start: AnyPath) -> str:
    """The root as seen from the catalog's folder; whole where they are not on one disk or in one bucket."""
    if isinstance(root, RemotePath) or isinstance(start, RemotePath):
        bucket, key = _in_bucket(root)
        same, folder = _in_bucket(start)
        return posixpath.relpath(f"/{key}", f"/{folder}") if bucket and bucket == same else root.as_posix()
    try:
        return Path(os.path.relpath(root, start)).as_posix()
    except ValueError:  # another drive on Windows
        return root.as_posix()


def find_root(root: str, start: AnyPath) -> AnyPath:
    """The folder that `name_root` has written."""
    if is_url(root):
        return as_any_path(root)
    if isinstance(start, Path):
        return (start / root).resolve() if root else start
    if root.startswith("/") or root[1:2] == ":":  # of the machine that wrote it
        return Path(root)
    bucket, key = _in_bucket(start)
    return as_any_path(f"{bucket}/{posixpath.normpath(f'/{key}/{root}').lstrip('/')}")


def _in_bucket(path: AnyPath) -> tuple[str, str]:
    """Scheme and bucket of an address, and the key in it; two empty texts for a path on a disk."""
    scheme, mark, rest = str(path).partition("://")
    bucket, _, key = rest.partition("/")
    return (f"{scheme}{mark}{bucket}", key) if isinstance(path, RemotePath) else ("", "")


@dataclass(frozen=True)
class Stored:
    """A catalog on the disk, of which nothing but the header was read.

    Attributes:
        path: of the file, or of the folder.
        files: of which it is made.
        header: what is known of the whole.
        rows: how many it has.
        stamp: size and time of every file.
    """

    path: Path
    files: tuple[Path, ...]
    header: Header
    rows: int
    stamp: tuple[tuple[int, int], ...]

    def scan(self) -> pl.LazyFrame:
        """Its rows in their order, as they lie there."""
        return pl.scan_parquet(list(self.files), hive_partitioning=False, glob=False)

    def refuse_changed(self) -> None:
        """Stop if it is no longer what was found (`DataError`)."""
        if _stamp(self.files) != self.stamp:
            raise DataError(f"{self.path} was changed since it was opened: open it again.")


def _stamp(files: Sequence[Path]) -> tuple[tuple[int, int], ...]:
    facts = [file.stat() if file.exists() else None for file in files]
    return tuple((-1, -1) if one is None else (one.st_size, one.st_mtime_ns) for one in facts)


def find_stored(path: Path) -> Stored:
    """The catalog at a path.

    Raises:
        DataError: nothing is there, it is no catalog, or it was written by a newer Trapline.
    """
    if not path.exists():
        raise DataError(
            f"There is no catalog at {path}. Make one with `trapline catalog SOURCE -o NAME.parquet`."
        )
    if path.is_dir():
        return _find_folder(path)
    kind = kind_of(path)
    if kind not in (None, "a Parquet table"):
        raise DataError(
            f"{path} is no catalog but {kind}. A catalog is the Parquet file that "
            "`trapline catalog SOURCE -o NAME.parquet` writes from photos, a table or a folder."
        )
    stamp = _stamp([path])
    metadata = _metadata(path)
    if HEADER not in metadata:
        raise DataError(f"{path} is Parquet but not a Trapline catalog; make one with `trapline catalog`.")
    return Stored(
        path, (path,), Header.from_json(_parse(metadata[HEADER], path), path), count_rows(path), stamp
    )


def is_catalog_folder(path: Path) -> bool:
    """Whether a folder is a catalog in several files."""
    return (path / FOLDER_HEADER).is_file()


def _find_folder(path: Path) -> Stored:
    if not is_catalog_folder(path):
        raise DataError(
            f"{path} is no catalog but a folder, without {FOLDER_HEADER}, which is written last: of "
            "another kind, or its writing broke off. Make one with `trapline catalog SOURCE -o NAME.parquet`."
        )
    stored = find_folder(path, FOLDER_HEADER)
    files = tuple(stored.rows_of)
    header = Header.from_json(stored.document, path)
    return Stored(path, files, header, stored.rows, _stamp(files))


def _metadata(path: Path) -> dict[str, str]:
    """Of a Parquet file."""
    with readable(path), for_polars(path, "rb") as file:
        return pl.read_parquet_metadata(file)


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        document = json.loads(text)
        if not isinstance(document, dict):
            raise TypeError("they are no object")
    except (ValueError, TypeError, RecursionError) as error:
        raise _damaged(path, error) from error
    return document


def write_stored(
    table: pl.DataFrame | pl.LazyFrame, path: Path, header: Header, per_file: int | None
) -> None:
    """Write a catalog, whole or not at all; a frame is worked out in parts on the way.

    Args:
        table: the rows.
        path: of the file, or of the folder.
        header: what is known of the whole.
        per_file: rows of each file of a folder; None for one file.

    Raises:
        DataError: something else than a catalog is there, or it cannot be written.
    """
    _refuse_other(path)
    facts = header.as_json(address_of(path).parent)
    if per_file is not None:
        with readable(header.source):
            write_folder(table.lazy(), path, FOLDER_HEADER, facts, per_file, statistics=False)
        return
    document = as_listed(json.dumps(facts, ensure_ascii=False))
    # nobody asks for a part of a catalog, and statistics take half of the time
    with replace_whole(path) as partial, for_polars(partial, "wb") as file:
        if isinstance(table, pl.DataFrame):
            table.write_parquet(file, metadata={HEADER: document}, statistics=False)
        else:
            with readable(header.source):
                table.sink_parquet(file, metadata={HEADER: document}, statistics=False)
        if path.is_dir():  # a catalog in several files, from which the rows may have come
            shutil.rmtree(path)


def _refuse_other(path: Path) -> None:
    if not path.exists() or is_catalog_folder(path):
        return
    there = kind_of(path)
    if there not in (None, "a Parquet table", "an empty file"):
        raise DataError(f"{path} is {there}, and no catalog that another may replace: name another file.")
