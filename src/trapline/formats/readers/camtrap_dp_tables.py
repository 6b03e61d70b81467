"""The tables of a Camtrap DP package as its descriptor names them, under the names of today's standard."""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from trapline.errors import DataError, kind_of
from trapline.formats.camtrap_dp_schema import TABLES, columns
from trapline.formats.json_file import read_json_object
from trapline.tables import mark_missing, note, read_header, read_table, refuse_missing_columns

DESCRIPTORS = ("datapackage.json", "metadata.json")
"""What descriptors are called; others are known by what they say."""
MAX_DESCRIPTOR_BYTES = 64 * 1024**2
_MOST_LOOKED_AT = 20
_PROFILE = re.compile(r"camtrap-(?:dp|package)", re.IGNORECASE)
_VERSION = re.compile(r"camtrap-(?:dp|package)[^/]*/(?:.*/)?v?(\d+\.\d[\w.-]*)(?:/|$)", re.IGNORECASE)
_KNOWN = re.compile(r"1\.0(\.[0-2])?")
_DRAFT = re.compile(r"0\..*|1\.0-.*")
_RESOURCES: dict[str, dict[str, str | None]] = {
    "deployments": {"deployments": None},
    "media": {"media": None, "multimedia": None},
    "observations": {"observations": None, "media-observations": "media", "event-observations": "event"},
}
"""Names of a table's resources in all versions, and the level of observations where the name tells it."""
_FORMER: dict[str, dict[str, str]] = {
    "deployments": {"start": "deploymentStart", "end": "deploymentEnd"},
    "media": {"multimediaID": "mediaID", "sequenceID": "eventID"},
    "observations": {
        "multimediaID": "mediaID",
        "sequenceID": "eventID",
        "timestamp": "eventStart",
        "classificationConfidence": "classificationProbability",
        "behaviour": "behavior",
    },
}
"""Columns of drafts of the standard, and what they are called since."""
_PARTS = ("schema", "dialect")
"""Parts of a resource that may lie in a file of their own."""
NEEDED = {
    "deployments": ("deploymentID",),
    "media": ("mediaID", "deploymentID", "timestamp", "filePath"),
    "observations": ("observationType",),
}
_OPTIONAL = {
    "deployments": ("locationID", "locationName", "latitude", "longitude"),
    "media": ("eventID", "fileName", "fileMediatype"),
    "observations": (
        *("deploymentID", "mediaID", "eventID", "eventStart", "eventEnd", "observationLevel"),
        *("scientificName", "bboxX", "bboxY", "bboxWidth", "bboxHeight"),
        *("classificationMethod", "classificationProbability", "count", "lifeStage", "sex", "behavior"),
    ),
}


def find_descriptors(folder: Path) -> list[Path]:
    """The descriptors of Camtrap DP in a folder: those of the usual names, else those that say so."""
    for name in DESCRIPTORS:
        if (folder / name).is_file() and (says_camtrap_dp(folder / name) or has_tables(folder)):
            return [folder / name]
    others = sorted(path for path in folder.glob("*.json") if not path.name.startswith("._"))
    return [path for path in others[:_MOST_LOOKED_AT] if says_camtrap_dp(path)]


def says_camtrap_dp(path: Path) -> bool:
    """Whether a JSON file says that it describes a Camtrap DP package, if only before damage."""
    if not path.is_file() or path.stat().st_size > MAX_DESCRIPTOR_BYTES:
        return False
    content = path.read_bytes().replace(b"\0", b"")  # UTF-16
    if b'"resources"' not in content and b"camtrap" not in content:
        return False
    try:
        document = json.loads(content.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return _PROFILE.search(content.decode("utf-8", "replace")) is not None
    if not isinstance(document, dict):
        return False
    names = {str(resource.get("name")).casefold() for resource in _resources(document)}
    wanted = [names & set(of_table) for of_table in _RESOURCES.values()]
    return _PROFILE.search(profile_of(document)) is not None or all(wanted)


def has_tables(folder: Path) -> bool:
    """Whether the three tables lie in a folder under their usual names."""
    return all((folder / f"{table}.csv").is_file() for table in TABLES)


def has_columns(folder: Path) -> bool:
    """Whether the three tables in a folder are Camtrap DP's by their columns, without a descriptor."""
    try:
        header = {_plain(name) for name in read_header(folder / "media.csv")}
    except DataError:
        return False
    return {_plain(name) for name in ("mediaID", "deploymentID", "filePath")} <= header


def profile_of(descriptor: dict[str, Any]) -> str:
    """What a descriptor says that it is; empty where it does not."""
    profile = descriptor.get("profile") or descriptor.get("$schema")
    return profile if isinstance(profile, str) else ""


def table_files(descriptor: dict[str, Any], where: str) -> set[str]:
    """The paths of all files that make up the tables.

    Raises:
        DataError: a path is no file of the package.
    """
    files = {f"{table}.csv" for table in TABLES}
    for table in TABLES:
        for resource, _ in _of_table(descriptor, table):
            files.update(_paths(resource, where))
            files.update(part for name in _PARTS if isinstance(part := resource.get(name), str))
    return files | {f"{file}.gz" for file in files} | {file.removesuffix(".gz") for file in files}


def read_tables(folder: Path, file: Path | None) -> tuple[dict[str, pl.DataFrame], dict[str, Any]]:
    """The three tables under the names of today's standard, and the descriptor.

    Args:
        folder: of the package.
        file: its descriptor, if there is one.

    Raises:
        DataError: the descriptor, a table or a column is missing or damaged.
    """
    descriptor: dict[str, Any] = {} if file is None else read_json_object(file)
    if file is None:
        note(f"{folder.name} has no descriptor; its tables are read as Camtrap DP's by their names")
    _note_version(descriptor)
    return {table: _read_one(folder, file, descriptor, table) for table in TABLES}, descriptor


def _note_version(descriptor: dict[str, Any]) -> None:
    match = _VERSION.search(profile_of(descriptor))
    version = match[1] if match else None
    if version is None or _KNOWN.fullmatch(version):
        return
    if _DRAFT.fullmatch(version):
        note(
            f"Camtrap DP of version {version}, a draft: its columns are read under the names of 1.0.2, "
            "sequences as events, and observations without a media as those of events"
        )
    else:
        note(
            f"Camtrap DP of version {version}, which is not known here: what it shares with 1.0.2 is read as "
            "that, and further columns of media are kept"
        )


def _resources(descriptor: dict[str, Any]) -> list[dict[str, Any]]:
    resources = descriptor.get("resources")
    return [one for one in resources if isinstance(one, dict)] if isinstance(resources, list | tuple) else []


def _of_table(descriptor: dict[str, Any], table: str) -> list[tuple[dict[str, Any], str | None]]:
    """The resources that make up a table, with the level of their observations."""
    names = _RESOURCES[table]
    named = ((one, str(one.get("name")).casefold()) for one in _resources(descriptor))
    return [(one, names[name]) for one, name in named if name in names]


def _read_one(folder: Path, file: Path | None, descriptor: dict[str, Any], table: str) -> pl.DataFrame:
    where = "the package" if file is None else file.name
    parts = []
    for resource, level in _of_table(descriptor, table) or [({}, None)]:
        missing = _missing_values(folder, resource)
        if "data" in resource:
            read = [(_inline(resource["data"], table, where, missing), f"{table} in {where}")]
        else:
            paths = _paths(resource, where) or [f"{table}.csv"]
            read = [_read_file(folder, path, resource, table, where, missing) for path in paths]
        for rows, name in read:
            renamed = _rename(rows, table, name)
            refuse_missing_columns(Path(name), renamed.columns, NEEDED[table])
            if table == "observations" and not {"mediaID", "eventID"} & set(renamed.columns):
                raise DataError(
                    f"{name} names neither mediaID nor eventID, so it cannot be told what was observed in "
                    f"which media; it has: {', '.join(renamed.columns)}."
                )
            if level is not None:
                renamed = renamed.with_columns(pl.lit(level).alias("observationLevel"))
            parts.append(renamed)
    whole = pl.concat(parts, how="diagonal", rechunk=True) if len(parts) > 1 else parts[0]
    empty = [pl.lit(None, pl.String).alias(name) for name in _OPTIONAL[table] if name not in whole.columns]
    return whole.with_columns(empty)


def _paths(resource: dict[str, Any], where: str) -> list[str]:
    """The files of a resource, relative to the package.

    Raises:
        DataError: there is one that is not in the package.
    """
    path = resource.get("path")
    paths = path if isinstance(path, list) else [] if path is None else [path]
    for one in paths:
        pure = PurePosixPath(one) if isinstance(one, str) else None
        if pure is None or not pure.parts:
            raise DataError(f"{where}: the path {one!r} of {resource.get('name')} is no name of a file.")
        if "://" in one:
            raise DataError(
                f"{where}: {resource.get('name')} is at {one}, and nothing is fetched. Download it beside "
                "the descriptor and name the file as its path."
            )
        if pure.is_absolute() or ".." in pure.parts or "\\" in one or ":" in one:
            raise DataError(f"{where}: the path {one!r} of {resource.get('name')} leads out of the package.")
    return paths


def _read_file(
    folder: Path, path: str, resource: dict[str, Any], table: str, where: str, missing: Sequence[str]
) -> tuple[pl.DataFrame, str]:
    """A file of a table, also where it was packed or unpacked since the descriptor was written."""
    others = (path, f"{path}.gz", path.removesuffix(".gz"))
    there = next((folder / other for other in others if os.path.isfile(folder / other)), None)  # noqa: PTH113 - it says no to a name that none can have
    if there is None:
        raise DataError(f"There is no file {folder / path}, which {where} names as its {table}.")
    if kind_of(there) == "a zip":
        raise DataError(f"{there} is packed as a zip; unpack it, and name the file as its path in {where}.")
    encoding = resource.get("encoding")
    if not isinstance(encoding, str) or encoding.casefold().replace("_", "-") in ("utf-8", "utf8"):
        encoding = None  # what many descriptors say of any file
    else:
        try:
            codecs.lookup(encoding)
        except LookupError as error:
            raise DataError(f"{where} says that {path} is in {encoding!r}, which is no encoding.") from error
    dialect = _part(folder, resource, "dialect")
    header = _names_of_columns(folder, resource, table) if dialect.get("header") is False else None
    comment = dialect.get("commentChar")
    comment = comment if isinstance(comment, str) else None
    rows = read_table(there, missing=missing, encoding=encoding, header=header, comment=comment)
    return rows, there.name


def _names_of_columns(folder: Path, resource: dict[str, Any], table: str) -> list[str]:
    """What the columns of a file without a header are: as its schema says, else as the standard."""
    fields = _part(folder, resource, "schema").get("fields")
    names = [one.get("name") for one in fields if isinstance(one, dict)] if isinstance(fields, list) else []
    return [str(name) for name in names] if names else list(columns(table))


def _inline(data: Any, table: str, where: str, missing: Sequence[str]) -> pl.DataFrame:
    """Rows that stand in the descriptor: objects, or lists below a list of names.

    Raises:
        DataError: they are something else.
    """
    rows = list(_objects(data))
    if not isinstance(data, list) or len(rows) != len(data) - (bool(data) and isinstance(data[0], list)):
        raise DataError(f"{where}: the data of {table} are no rows; write them as a CSV and name its path.")
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = {name: [_text(row.get(name)) for row in rows] for name in names}
    read = pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String))
    read = mark_missing(read, read.columns, f"{table} in {where}", missing)
    lines = [f"{where} {table} row {number}" for number in range(1, len(rows) + 1)]
    return read.with_columns(pl.Series("_place", lines, pl.String))


def _objects(data: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(data, list) or not data:
        return
    if isinstance(data[0], list):
        header = [str(name) for name in data[0]]
        rows = (row for row in data[1:] if isinstance(row, list) and len(row) == len(header))
        yield from (dict(zip(header, row, strict=True)) for row in rows)
    else:
        yield from (row for row in data if isinstance(row, dict))


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return (value or "").strip() or None
    return json.dumps(value)


def _missing_values(folder: Path, resource: dict[str, Any]) -> list[str]:
    """What stands for a missing value in a table, as its schema says."""
    words = _part(folder, resource, "schema").get("missingValues")
    words = words if isinstance(words, list) else []
    values = [word.get("value") if isinstance(word, dict) else word for word in words]
    return [word for word in values if isinstance(word, str) and word]


def _part(folder: Path, resource: dict[str, Any], name: str) -> dict[str, Any]:
    """A part of a resource, which may lie in a file of the package; empty where it is elsewhere, or none."""
    part = resource.get(name)
    if isinstance(part, str) and "://" not in part and ".." not in PurePosixPath(part).parts:
        file = folder / part
        part = read_json_object(file) if not PurePosixPath(part).is_absolute() and file.is_file() else None
    return part if isinstance(part, dict) else {}


def _rename(rows: pl.DataFrame, table: str, name: str) -> pl.DataFrame:
    """The rows under the names of today; drafts wrote deployment_id, and other names for some.

    Raises:
        DataError: two columns are one, written twice.
    """
    today = {_plain(column): column for column in (*columns(table), *_OPTIONAL[table])}
    former = {_plain(old): new for old, new in _FORMER[table].items()}
    renamed: dict[str, str] = {}
    for by in (today, former):
        for column in rows.columns:
            new = by.get(_plain(column))
            if new is None or column in renamed:
                continue
            if new in renamed.values():
                if by is today:
                    raise DataError(f"{name} has {new} in two columns; keep one of them.")
                continue  # both names: today's tells
            renamed[column] = new
    return rows.rename(renamed)


def _plain(name: str) -> str:
    return name.replace("_", "").casefold() if not name.startswith("_") else name
