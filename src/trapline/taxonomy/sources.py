"""Where a taxonomy comes from: a CSV, nested folders, SpeciesNet's label strings, its own JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from trapline.errors import DataError, UsageError
from trapline.tables import read_table
from trapline.taxonomy.building import Row, build, full_names
from trapline.taxonomy.names import (
    KINDS,
    RANKS,
    Kind,
    Rank,
    default_kind,
    part_of,
    plain,
    scientific,
    without_author,
)
from trapline.taxonomy.tree import Taxonomy

MAX_BYTES = 64 * 1024**2
_NO_RESULT = "no cv result"


def read_taxonomy(path: Path | str) -> Taxonomy:
    """A taxonomy from a `.csv`, a `.json` (its own), a `.txt` of SpeciesNet labels, or a folder tree.

    Raises:
        DataError: the file is missing, of another kind, or wrong.
    """
    path = Path(path)
    if path.is_dir():
        return taxonomy_from_folders(path)
    if path.suffix.lower() == ".csv":
        return taxonomy_from_csv(path)
    if path.suffix.lower() == ".txt":
        lines = _text(path).splitlines()
        return taxonomy_from_speciesnet([line for line in lines if line.strip()], source=path.name)
    if path.suffix.lower() == ".json":
        try:
            content = json.loads(_text(path))
        except ValueError as error:
            raise DataError(f"{path} is not JSON: {error}") from error
        if not isinstance(content, dict):
            raise DataError(f"{path} is JSON but not a taxonomy.")
        return Taxonomy.from_json(content, str(path))
    raise DataError(f"{path} is no taxonomy that can be read: give a .csv, .json, .txt or a folder.")


def taxonomy_from_csv(path: Path | str, *, only: Mapping[str, str] | None = None) -> Taxonomy:
    """Read one row a label: `label`, the ranks, and optionally more.

    Columns: `label` (required), any of `class`, `order`, `family`, `genus`, `species`, `subspecies` (at least
    one; a species may be the whole binomial or the epithet, authors are left out, and one that is `sp.` is
    its genus), `common_name`, `rank` (checked against the last
    filled column), `kind` (see `KINDS`), `synonyms` (separated by `|`), `uuid`. Others are left alone.

    Args:
        path: the CSV (see `tables.read_table`).
        only: column → value: read only the rows that have it ({"source_set": "jura"}).

    Raises:
        DataError: a column is missing, a rank or kind is unknown, or rows contradict each other; file and
            line are named.
    """
    path = Path(path)
    table = read_table(path, max_bytes=MAX_BYTES)
    header = [name.lower() for name in table.columns]
    _check_header(path, header[:-1], only or {})  # the last says where each row stands
    rows = []
    for cells in table.iter_rows():
        values = {name: cell or "" for name, cell in zip(header, cells, strict=True)}
        if all(values[name.lower()] == value for name, value in (only or {}).items()):
            rows.append(_csv_row(values, values["_place"]))
    if not rows:
        raise DataError(f"{path} has no row{' with ' + str(dict(only)) if only else ''}.")
    return build(rows, path.name)


def _check_header(path: Path, header: Sequence[str], only: Mapping[str, str]) -> None:
    missing = [name for name in ("label", *(name.lower() for name in only)) if name not in header]
    if missing:
        raise DataError(f"{path} line 1: there is no column '{missing[0]}'; it has: {', '.join(header)}.")
    if not set(RANKS) & set(header):
        raise DataError(f"{path} line 1: none of its columns is a rank ({', '.join(RANKS)}).")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{path} line 1 names the column '{twice[0]}' more than once.")


def _csv_row(values: Mapping[str, str], where: str) -> Row:
    if not values["label"]:
        raise DataError(f"{where} has no label.")
    lineage = full_names({rank: values[rank] for rank in RANKS if values.get(rank)})
    rank_text = values.get("rank", "").lower()
    if rank_text and rank_text not in RANKS:
        raise DataError(f"{where} has the unknown rank '{values['rank']}'; ranks are: {', '.join(RANKS)}.")
    finest = next((rank for rank in reversed(RANKS) if rank in lineage), None)
    if rank_text and rank_text != finest:
        raise DataError(
            f"{where} says the rank is {rank_text}, but the finest column that it fills is "
            f"{finest or 'none'}."
        )
    synonyms = tuple(
        scientific(without_author(name)) for name in values.get("synonyms", "").split("|") if name.strip()
    )
    kind, common_name, uuid = _kind(values, lineage, where), values.get("common_name"), values.get("uuid")
    return Row(where, values["label"], kind, lineage, common_name or None, synonyms, uuid or None)


def _kind(values: Mapping[str, str], lineage: Mapping[Rank, str], where: str) -> Kind:
    kind_text = values.get("kind", "").lower()
    if kind_text:
        for kind in KINDS:
            if kind == kind_text and kind in ("blank", "vehicle") and lineage:
                raise DataError(
                    f"{where} says {kind} of the taxon {list(lineage.values())[-1]}: leave its ranks "
                    "empty, or correct the kind."
                )
            if kind == kind_text:
                return kind
        raise DataError(f"{where} has the unknown kind '{values['kind']}'; kinds are: {', '.join(KINDS)}.")
    if lineage:
        return "human" if lineage.get("genus") == "Homo" else "animal"
    return default_kind(values["label"]) or "other"


def taxonomy_from_folders(
    root: Path | str, *, ranks: Sequence[Rank] = ("family", "genus", "species", "subspecies")
) -> Taxonomy:
    """Read nested folders, one level a rank: `<family>/<genus>/<species>/<subspecies>/…`.

    Folder names are scientific names in any case, with underscores or spaces. A species or subspecies
    folder holds the whole name or the epithet ("panthera_pardus" or "pardus" below "panthera"). Every folder
    that holds files, or no more folders, becomes a label: its own name, or its path below the root where two
    such folders are called the same. `blank`, `human`, `vehicle` and `other` may stand at the top. Where all
    folders at the top are parts of a split (`taxon_train`, `taxon_validate`) the trees below them are one.

    Raises:
        DataError: there is no such folder, it is empty, or nested deeper than there are ranks.
        UsageError: `ranks` are unknown or out of order.
    """
    root = Path(root)
    indices = [RANKS.index(rank) if rank in RANKS else -1 for rank in ranks]
    if -1 in indices or indices != sorted(set(indices)) or not ranks:
        raise UsageError(f"The ranks of folders must be some of {', '.join(RANKS)}, broadest first.")
    if not root.is_dir():
        raise DataError(f"There is no folder {root}.")
    folders = _drop_parts([folder.relative_to(root) for folder in _label_folders(root)])
    if not folders:
        raise DataError(f"{root} has no folders in it; a taxonomy needs <{'>/<'.join(ranks)}>.")
    names = Counter(plain(folder.name) for folder in folders)
    rows = []
    for folder, written in folders.items():
        where = f"the folder {written.as_posix()}"
        if len(folder.parts) > len(ranks):
            raise DataError(
                f"{where} in {root} is nested {len(folder.parts)} deep, but there are only "
                f"{len(ranks)} ranks ({', '.join(ranks)})."
            )
        label = folder.name if names[plain(folder.name)] == 1 else folder.as_posix()
        kind = default_kind(folder.name) if len(folder.parts) == 1 else None
        lineage = {} if kind else full_names(dict(zip(ranks, folder.parts, strict=False)))
        rows.append(Row(where, label, kind or "animal", lineage))
    return build(rows, f"the folders of {root.name}")


def _label_folders(root: Path) -> list[Path]:
    folders = []
    for folder in sorted(path for path in root.rglob("*") if path.is_dir() and not path.is_symlink()):
        if any(part.startswith(".") for part in folder.relative_to(root).parts):
            continue
        entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
        if any(path.is_file() for path in entries) or not any(path.is_dir() for path in entries):
            folders.append(folder)
    return folders


def _drop_parts(folders: Sequence[Path]) -> dict[Path, Path]:
    """Folder below the level of a split, if there is one → the first such folder, as it lies in the root."""
    parted = all(part_of(folder.parts[0]) for folder in folders)
    kept: dict[Path, Path] = {}
    for folder in folders:
        below = Path(*folder.parts[1:]) if parted else folder
        if below.parts:
            kept.setdefault(below, folder)
    return kept


def taxonomy_from_speciesnet(labels: Iterable[str], *, source: str = "SpeciesNet labels") -> Taxonomy:
    """Read SpeciesNet's strings: `uuid;class;order;family;genus;species;common name`.

    The label is the common name, or the scientific name where there is none; a common name of two taxa gets
    the scientific name in brackets. The string that means "no result" is left out.

    Raises:
        DataError: a string does not have seven parts, or they contradict each other; its place is named.
    """
    first_lines: dict[str, int] = {}
    for line, text in enumerate(labels, 1):
        first_lines.setdefault(text.strip(), line)
    parsed = [_parse_speciesnet(text, f"{source} entry {line}") for text, line in first_lines.items()]
    rows = [row for row in parsed if row is not None]
    if not rows:
        raise DataError(f"{source} has no labels.")
    names = Counter(plain(row.label) for row in rows)
    for number, row in enumerate(rows):
        if row.taxon is not None and names[plain(row.label)] > 1:
            rows[number] = replace(row, label=f"{row.label} ({row.taxon})")
    return build(rows, source)


def _parse_speciesnet(text: str, where: str) -> Row | None:
    parts = [part.strip() for part in text.split(";")]
    if len(parts) != 7:
        raise DataError(
            f"{where} is {text!r}: a SpeciesNet label has 7 parts "
            "(uuid;class;order;family;genus;species;common name)."
        )
    uuid, *ranks, common = parts
    if _NO_RESULT in ranks:
        return None
    given = {rank: name for rank, name in zip(RANKS, ranks, strict=False) if name}
    if "genus" in given and "species" in given:  # epithets: "lupus dingo" is a Canis, "Lupus" no genus
        given["species"] = f"{given['genus']} {given['species']}"
    lineage = full_names(given)
    finest = next((lineage[rank] for rank in reversed(RANKS) if rank in lineage), None)
    label = common or finest
    if label is None:
        raise DataError(f"{where} is {text!r}: it names nothing.")
    kind: Kind = default_kind(label) or ("animal" if finest or plain(label) == "animal" else "other")
    return Row(where, label, kind, lineage, label, (), uuid or None)


def _text(path: Path) -> str:
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path} is larger than {MAX_BYTES // 1024**2} MiB; that is no taxonomy.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from error
