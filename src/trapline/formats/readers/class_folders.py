"""Folders that are named like what their pictures show, with or without a level for the split."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

import polars as pl

from trapline.catalog import BLANK_WORDS
from trapline.errors import DataError, UsageError, many
from trapline.formats.hidden import is_hidden
from trapline.formats.readers.draft import Draft
from trapline.formats.readers.exif_times import add_exif
from trapline.formats.readers.folders import find_pictures
from trapline.formats.readers.path_pattern import apply_pattern
from trapline.formats.readers.registry import reader
from trapline.formats.sorting_record import UNDO_FILE, SortingRecord
from trapline.observations import NO_ANSWER
from trapline.taxonomy import PART_NAMES, part_of

AS_SORTED = "as_sorted"
"""A column of folders that `write` sorted: the photo lies where it was put, and all that lay beside it do."""

_OBSERVATION = r"(?:^|/)(?P<event>[^/]*\d)_(?P<frame>[A-Za-z]{1,2})\.[^./]+$"
"""Names of crops: an id that ends in a digit, and which crop of it ("12_a", "obs400_B", "12_aa")."""
_FAMILY = re.compile(r"[a-z]{3,}idae", re.IGNORECASE)
"""Names of animal families end so (International Code of Zoological Nomenclature, article 29.2)."""
_WORD = re.compile(r"[a-z]{3,}", re.IGNORECASE)
_FAMILY_DEPTH = 3  # class/order/family
_LEVELS = {"location": "location_id", "deployment": "deployment_id", "event": "event_id"}


def _recognise(source: Path) -> str | None:
    if not source.is_dir():
        return None
    if (source / UNDO_FILE).is_file():
        return f"`trapline write --format sorted` made it ({UNDO_FILE})"
    names = [folder.name for folder in _folders_in(source)]
    if names and all(part_of(name) for name in names):
        return f"its folders are parts of a split ({', '.join(names)})"
    blanks = [name for name in names if name.casefold() in BLANK_WORDS]
    if blanks and len(names) > 1:
        return f"it has a folder '{blanks[0]}' beside others"
    families, others = _families(source)
    if families and not others:
        return f"its folders are families of animals ({families[0]}), or lead to some"
    return None


def refuse_what_may_be_labels(source: Path) -> None:
    """Refuse folders of which some, and not all, are named like taxa: labels and cameras look alike there.

    Raises:
        DataError: it cannot be told; the message names both formats.
    """
    families, others = _families(source)
    reason = f"{families[0]} is a family of animals and {others[0]} is none" if families and others else None
    reason = reason or _genera(source)
    if reason is not None:
        raise DataError(
            f"The folders of {source} may be labels or cameras: {reason}. Say which with `trapline catalog`: "
            "--format class-folders (they are labels) or --format photo-folder (they are locations)."
        )


def _families(source: Path) -> tuple[list[str], list[str]]:
    """Folders at most three levels down that are named like a family, and branches without one; relative."""
    families: list[str] = []
    others: list[str] = []

    def look(folder: Path, depth: int) -> None:
        below = _folders_in(folder)
        if folder != source and (not below or depth == _FAMILY_DEPTH):
            others.append(folder.relative_to(source).as_posix())
            return
        for inner in below:
            if _FAMILY.fullmatch(inner.name):
                families.append(inner.relative_to(source).as_posix())
            else:
                look(inner, depth + 1)

    look(source, 0)
    return families, others


def _genera(source: Path) -> str | None:
    """In words, what is like `lynx/lynx_lynx`, if all folders are."""
    first = None
    for above in _folders_in(source):
        for inner in _folders_in(above):
            if not _is_species(above.name, inner.name):
                return None
            first = first or f"{above.name}/{inner.name}"
    return first and f"{first} may be a genus and its species, or a location and its camera"


def _is_species(genus: str, species: str) -> bool:
    first, *rest = re.split("[_ -]", species)
    words = all(_WORD.fullmatch(word) for word in (genus, *rest))
    return bool(rest) and words and first.casefold() == genus.casefold()


def _folders_in(folder: Path) -> list[Path]:
    """Its folders, sorted; hidden ones and links aside."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [folder / name for name in sorted(names) if not is_hidden(name)]


@reader("class_folders", recognise=_recognise, rank=2)
def read_class_folders(
    source: Path,
    *,
    label_from: Literal["deepest", "path"] = "deepest",
    levels: str | None = None,
    pattern: str | None = None,
    exif: bool = False,
) -> Draft:
    """Folders named like their labels: <split>/<label>/<file>, <label>/<file>, or nested taxa.

    Args:
        source: the folder above the labels (or above train, validation, test).
        label_from: `deepest`: the folder a picture lies in is its label; `path`: all the folders down to it,
            as in `felidae/lynx`.
        levels: what each folder level is, where it is not so, as in `location/label`: split, label,
            location, deployment, event, `-` for nothing, or the name of a column of your own.
        pattern: a regular expression over the path with named groups (event, frame, …).
        exif: take the times from the photos' EXIF data.

    Returns:
        Pictures that lie in no label's folder are not labelled, nor are those of `unclassified`, `failed` and
        `unobserved`, where `write` sorts what has no answer; in folders that it sorted the first folder is
        the label. Files named
        `<observation>_<letters>` are events of that observation, if two of them are of the same one.

    Raises:
        DataError: no picture, or one deepest folder name in several folders.
        UsageError: an option that cannot be right.
    """
    files = find_pictures(source)
    rows = pl.DataFrame({"file_path": files.pictures}).with_columns(
        pl.col("file_path").alias("media_id"),
        pl.col("file_path").alias("_place"),
        pl.col("file_path")
        .str.split("/")
        .list.head(pl.col("file_path").str.count_matches("/"))
        .alias("_folders"),
    )
    notes: list[str] = []
    if levels is None and label_from == "deepest" and (source / UNDO_FILE).is_file():
        rows = _read_sorted(rows, SortingRecord.read(source))
        unmoved = int(rows[AS_SORTED].sum())
        notes.append(
            f"{unmoved:,} of {many(len(rows), 'photo lies')} where sorting put them: they keep the answer "
            "that they were sorted by, as accepted by whoever looked through the folders"
        )
    else:
        rows = _read_by_levels(rows, levels) if levels else _read_by_depth(rows, label_from)
    if exif:
        rows, more = add_exif(rows, source)
        notes += more
    if pattern is not None:
        rows, more = apply_pattern(rows, pattern)
        notes += more
    else:
        rows, more = _read_by_observation(rows)
        notes += more
    if files.empty_folders:
        notes.append(f"folders without a picture: {', '.join(files.empty_folders[:5])}")
    return Draft(
        rows.drop("_folders"),
        source,
        f"class folders in {source.name}",
        time_source="filename",
        notes=notes,
        left_out=files.left_out,
        unreadable_folders=files.unreadable_folders,
        from_disk=True,
    )


def _read_by_observation(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Events from names of crops; as it was where no two files are of one observation."""
    observations = rows["file_path"].str.extract(_OBSERVATION, 1).drop_nulls()
    if not observations.is_duplicated().any():
        return rows, []
    named, _ = apply_pattern(rows, _OBSERVATION)
    return named, [
        f"{len(observations):,} of {many(len(rows), 'file is')} named <observation>_<letters>: taken as "
        "events of that observation"
    ]


def _read_by_depth(rows: pl.DataFrame, label_from: str) -> pl.DataFrame:
    first = rows["_folders"].list.first()
    parts = {name: part_of(name) for name in first.drop_nulls().unique()}
    if parts and all(parts.values()) and not first.null_count():
        rows = rows.with_columns(
            pl.Series("split", first).replace_strict(parts, return_dtype=pl.String),
            pl.col("_folders").list.slice(1),
        )
    folders = pl.col("_folders")
    taxa = folders.list.join("/").replace("", None)
    if label_from == "deepest":
        _refuse_same_name(rows.with_columns(taxa.alias("_taxa")))
    label = folders.list.last() if label_from == "deepest" else taxa
    label = pl.when(~folders.list.first().str.to_lowercase().is_in(NO_ANSWER)).then(label)
    rows = rows.with_columns(pl.when(label.is_not_null()).then(pl.concat_list(label)).alias("labels"))
    nested = rows["_folders"].list.len().max()
    return rows.with_columns(taxa.alias("taxon_path")) if isinstance(nested, int) and nested > 1 else rows


def _refuse_same_name(rows: pl.DataFrame) -> None:
    named_folders = rows.select(pl.col("_folders").list.last().alias("name"), "_taxa").drop_nulls().unique()
    twice = named_folders.filter(pl.col("name").is_duplicated()).sort("name", "_taxa")
    if twice.height:
        where = twice.filter(pl.col("name") == twice["name"][0])["_taxa"].head(3).to_list()
        raise DataError(
            f"The folder name '{twice['name'][0]}' occurs in several folders ({', '.join(where)}), so it "
            "cannot be the label by itself. Take the whole path with --label-from path, or say "
            "what each level is, as in --levels location/label."
        )


def _read_sorted(rows: pl.DataFrame, record: SortingRecord) -> pl.DataFrame:
    """Labels of folders that `write` sorted, and in which people may since have moved photos about."""
    written = record.facts.get("labels")
    labels = written if isinstance(written, dict) else {}
    label = pl.col("_folders").list.first()
    label = label.replace_strict(list(labels), list(labels.values()), default=label, return_dtype=pl.String)
    below = pl.col("file_path").str.replace(
        "^[^/]*/", ""
    )  # a photo of several labels lies in several folders
    made = pl.Series(list(record.made), dtype=pl.String)
    gone = made.filter(~made.is_in(rows["file_path"].implode())).str.replace("^[^/]*/", "")
    unmoved = pl.col("file_path").is_in(made.implode()) & ~below.is_in(gone.implode())
    return rows.with_columns(
        pl.when(label.is_not_null()).then(pl.concat_list(label)).alias("labels"), unmoved.alias(AS_SORTED)
    )


def _read_by_levels(rows: pl.DataFrame, levels: str) -> pl.DataFrame:
    names = levels.strip("/").split("/")
    if len(set(names) - {"-"}) < len([name for name in names if name != "-"]):
        raise UsageError(f"--levels names a level twice: '{levels}'.")
    short = rows.filter(pl.col("_folders").list.len() < len(names))
    if short.height:
        raise DataError(
            f"{short['_place'][0]} lies less deep than the levels {levels} ({short.height} such files)."
        )
    for number, name in enumerate(names):
        level = pl.col("_folders").list.get(number)
        if name == "label":
            rows = rows.with_columns(pl.concat_list(level).alias("labels"))
        elif name == "split":
            unknown = [
                folder for folder in rows.select(level).to_series().unique() if part_of(folder) is None
            ]
            if unknown:
                raise DataError(f"The folder '{unknown[0]}' is no part of a split: {', '.join(PART_NAMES)}.")
            rows = rows.with_columns(level.map_elements(part_of, pl.String).alias("split"))
        elif name != "-":
            rows = rows.with_columns(level.alias(_LEVELS.get(name, name)))
    return rows
