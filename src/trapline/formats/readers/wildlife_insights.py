"""What Wildlife Insights gives to download: projects, cameras, deployments, images, and sequences."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import polars as pl

from trapline.catalog import EVENT_LABELS, SCHEMA
from trapline.errors import DataError, many
from trapline.formats.hidden import is_hidden
from trapline.formats.readers.draft import Draft
from trapline.formats.readers.individuals import add_individuals, of_media
from trapline.formats.readers.on_disk import URL, match_files, pictures_below
from trapline.formats.readers.registry import reader
from trapline.formats.readers.several_rows import one_row_a_media
from trapline.formats.readers.taxon_columns import finest_taxon
from trapline.formats.wildlife_insights_tables import BY_MACHINE, is_images_table
from trapline.storage import safe_unzip, zip_names
from trapline.tables import note, read_flat_table, read_header, read_numbers, reject_rows, rename_columns
from trapline.taxonomy import BLANK, RANKS

MAX_TABLE_BYTES = 8 * 1024**3
_TABLE = re.compile(
    r"(projects|cameras|deployments|images|sequences)([_-][\w-]+)?( ?\(\d+\))?\.csv(\.gz)?", re.IGNORECASE
)
"""A number in brackets is a browser's, where a file of that name was there."""
_NO_TAXON = ("no cv result", "unknown", "unidentified", "undefined")
_YES = ("1", "1.0", "true", "yes")
_NEEDED = {
    "projects": ("project_id",),
    "deployments": ("deployment_id", "placename"),
    "images": ("deployment_id", "image_id"),
    "sequences": ("sequence_id",),
}
_RENAMED = {"image_id": "media_id", "sequence_id": "event_id", "timestamp": "_time_text", "location": "url"}
_OF_MEDIA = ("file_path", "location_id", "deployment_id", "event_id", "_time_text", "latitude", "longitude")
_INDIVIDUALS = {"count": "number_of_objects", "life_stage": "age", "sex": "sex", "behaviour": "behavior"}
By = Literal["human", "machine", "all"]
Names = Literal["scientific", "common"]


@dataclass(frozen=True)
class _Download:
    """The tables of a download by kind, those of one kind as one; and where its photos may be."""

    tables: dict[str, pl.DataFrame]
    root: Path


def _recognise(source: Path) -> str | None:
    if source.is_dir():
        folder = _folder_of_tables(source)
        return _why(folder, _by_kind(list(_entries(folder))))
    if source.suffix.lower() == ".zip":
        try:
            kinds = _by_kind(zip_names(source))
        except DataError:
            return None
        named = "deployments" in kinds and {"images", "sequences", "cameras"} & set(kinds)
        return "it is a zip with Wildlife Insights' tables" if named else None
    if not source.name.lower().endswith((".csv", ".csv.gz", ".tsv", ".txt")):
        return None
    return "it has the columns of Wildlife Insights' images" if is_images_table(read_header(source)) else None


def _why(folder: Path, kinds: dict[str, list[str]]) -> str | None:
    if any(is_images_table(read_header(folder / name)) for name in kinds.get("images", ())):
        return "it has Wildlife Insights' table of images"
    others = kinds.get("deployments", ()) if {"projects", "cameras", "sequences"} & set(kinds) else ()
    placed = any("placename" in read_header(folder / name) for name in others)
    return "it has Wildlife Insights' table of deployments" if placed else None


def _folder_of_tables(source: Path) -> Path:
    """The folder itself, or the one in it, as programs unpack archives."""
    entries = _entries(source)
    inner = [name for name, is_folder in entries.items() if is_folder and not is_hidden(name)]
    return source / inner[0] if len(inner) == 1 and not _by_kind(list(entries)) else source


def _entries(folder: Path) -> dict[str, bool]:
    """The names in a folder, and which are folders."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.is_dir() for entry in entries}
    except OSError:  # which is said where the photos in it are looked for
        return {}


@reader("wildlife_insights", recognise=_recognise)
def read_wildlife_insights(
    source: Path,
    *,
    classified_by: By = "human",
    label_names: Names = "scientific",
    event_labels: bool = False,
    root: Path | str | None = None,
) -> Draft:
    """Wildlife Insights download (folder, zip or images.csv): media, deployments, events, labels.

    Args:
        source: the download as it is; of a zip only the tables are read.
        classified_by: whose identifications become labels: `human` (and those that do not say), `machine` or
            `all`.
        label_names: `scientific` for genus and species, or the finest taxon that is named; `common` for
            common names.
        event_labels: labels of sequences count for every photo of them that has none of its own. An animal
            need not be in each photo of its sequence.
        root: the folder in which the photos are, in whatever folders below it; otherwise they are looked for
            beside the tables, those of a zip in the folder beside it that has its name. Nothing is fetched.

    Returns:
        The location is the deployment's placename; addresses of images are kept in the column `url`. What is
        said to be blank is `blank`; "No CV Result" and "Unknown" are no labels. What is said of a sequence is
        in the column `event_labels`.

    Raises:
        DataError: a table or column is missing, a zip is unsafe, or no image is left.
    """
    with _open(source) as download:
        rows = _media(download, source)
        folder = download.root if root is None else Path(root)
        rows = _add_locations(rows, download.tables.get("deployments"))
        rows = _tell_projects_apart(rows)
        rows = _add_paths(rows, folder, source)
        rows = _add_labels(rows, download, classified_by, label_names)
    if event_labels:
        rows = of_media(rows, pl.col("labels").is_null())
        rows = rows.with_columns(pl.coalesce("labels", EVENT_LABELS).alias("labels"))
    filled = [name for name in rows.columns if rows[name].null_count() < rows.height]
    return Draft(rows.select(filled), folder, f"Wildlife Insights {source.name}")


def read_identifications(source: Path, classified_by: By = "human") -> pl.DataFrame:
    """The identifications of a download's images, whatever is known of its photos; one row each.

    Args:
        source: the download, or its images.csv.
        classified_by: whose identifications count, as of `read_wildlife_insights`.

    Returns:
        The columns of images.csv, with `media_id`, `event_id`, `location_id`, `deployment_id`, `_time_text`,
        and `_label`: the label that each stands for, if any.

    Raises:
        DataError: as `read_wildlife_insights`.
    """
    with _open(source) as download:
        rows = _add_locations(_media(download, source), download.tables.get("deployments"))
        return _identify(_tell_projects_apart(rows), classified_by, "scientific")


@contextmanager
def deployment_tables(source: Path) -> Iterator[list[Path]]:
    """The tables of deployments of a download; those of a zip lie in a temporary folder meanwhile."""
    if source.suffix.lower() == ".zip":
        names = _by_kind(zip_names(source)).get("deployments", [])
        with tempfile.TemporaryDirectory() as scratch:
            safe_unzip(source, Path(scratch), want=names.__contains__, max_bytes=MAX_TABLE_BYTES)
            yield [Path(scratch) / name for name in names]
        return
    folder = _folder_of_tables(source)
    yield [folder / name for name in _by_kind(list(_entries(folder))).get("deployments", ())]


@contextmanager
def _open(source: Path) -> Iterator[_Download]:
    """The tables of a download; those of a zip lie in a temporary folder meanwhile."""
    if source.suffix.lower() == ".zip":
        kinds = _by_kind(zip_names(source))
        wanted = {name for names in kinds.values() for name in names}
        with tempfile.TemporaryDirectory() as scratch:
            safe_unzip(source, Path(scratch), want=wanted.__contains__, max_bytes=MAX_TABLE_BYTES)
            yield _Download(_read(Path(scratch), kinds, source), source.parent / source.stem)
        return
    folder = _folder_of_tables(source) if source.is_dir() else source.parent
    kinds = _by_kind(list(_entries(folder)))
    if source.is_file():
        others = [name for name in kinds.get("images", ()) if name != source.name]
        if others:
            note(f"{', '.join(others)} beside {source.name} is not read: name the folder to read all of them")
        kinds["images"] = [source.name]
    yield _Download(_read(folder, kinds, source), source if source.is_dir() else folder)


def _by_kind(names: Sequence[str]) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for name in sorted(names):
        path = PurePosixPath(name)
        match = _TABLE.fullmatch(path.name)
        if match and not any(is_hidden(part) for part in path.parts):
            kinds.setdefault(match[1].lower(), []).append(name)
    return kinds


def _read(folder: Path, kinds: dict[str, list[str]], source: Path) -> dict[str, pl.DataFrame]:
    if "images" not in kinds:
        there = ", ".join(name for names in kinds.values() for name in names)
        raise DataError(
            f"{source} has no images.csv beside {there}, and only that names the photos. Download the "
            "project again with its images, or name the folder that has all of its tables."
        )
    tables = {}
    for kind, needed in _NEEDED.items():
        parts = [
            read_flat_table(folder / name, needed).with_columns(
                pl.lit(PurePosixPath(name).name).alias("_file")
            )
            for name in kinds.get(kind, ())
        ]
        if parts:
            tables[kind] = pl.concat(parts, how="diagonal", rechunk=True)
    return tables


def _media(download: _Download, source: Path) -> pl.DataFrame:
    """The rows of the images, one an identification, under the catalog's names."""
    images = download.tables["images"]
    whole = images.height
    images = images.unique(
        [name for name in images.columns if name not in ("_file", "_line")], maintain_order=True
    )
    if images.height < whole:
        note(f"{many(whole - images.height, 'row of images is')} repeated word for word, and count once")
    images = reject_rows(images, pl.col("image_id").is_null(), "has no image_id")
    clash = [name for name in images.columns if name in {*SCHEMA} - {"deployment_id", *_RENAMED}]
    if clash:
        raise DataError(
            f"{source}: the images have a column '{clash[0]}', which is the catalog's. Rename it."
        )
    renamed = rename_columns(images, _RENAMED, source)
    missing = ("project_id", "url", "filename")
    return renamed.with_columns(
        pl.lit(None, pl.String).alias(name) for name in missing if name not in renamed.columns
    )


def _add_locations(rows: pl.DataFrame, deployments: pl.DataFrame | None) -> pl.DataFrame:
    if deployments is None:
        note(
            "there is no deployments.csv, which names the locations: each deployment is taken for a location "
            "of its own"
        )
        return rows.with_columns(pl.col("deployment_id").alias("location_id"))
    key = ["project_id", "deployment_id"]
    if "project_id" not in deployments.columns or rows["project_id"].null_count() == rows.height:
        key = ["deployment_id"]
    where = deployments.select(
        *key,
        pl.coalesce("placename", "deployment_id").alias("location_id"),
        *(
            read_numbers(deployments[name], most=most)
            for name, most in (("latitude", 90), ("longitude", 180))
            if name in deployments.columns
        ),
    ).unique(maintain_order=True)
    twice = where.filter(pl.struct(key).is_duplicated())
    if twice.height:
        raise DataError(
            f"deployments.csv names the deployment '{twice['deployment_id'][0]}' twice, at "
            f"{' and '.join(twice['location_id'].head(2))}. Correct the table."
        )
    rows = rows.join(where, on=key, how="left", maintain_order="left")
    reason = pl.format("names the deployment '{}', which deployments.csv does not have", "deployment_id")
    lost = pl.col("deployment_id").is_not_null() & pl.col("location_id").is_null()
    return reject_rows(rows, lost, reason)


def _tell_projects_apart(rows: pl.DataFrame) -> pl.DataFrame:
    """Names of deployments and placenames that several projects have, with the project before them."""
    spots = [name for name in ("latitude", "longitude") if name in rows.columns]
    for column, apart in (("location_id", ["project_id", *spots]), ("deployment_id", ["project_id"])):
        shared = pl.all_horizontal(pl.col(name).n_unique().over(column) > 1 for name in apart)
        several = rows.select(shared & pl.col(column).is_not_null()).to_series()
        if several.any():
            names = rows[column].filter(several).unique().sort()
            note(
                f"several projects have a {column.removesuffix('_id')} {names[0]!r} ({len(names):,} such "
                "names): the project's id stands before it"
            )
            named = pl.concat_str("project_id", pl.lit("/"), column)
            rows = rows.with_columns(pl.when(several).then(named).otherwise(column).alias(column))
    return rows


def _add_paths(rows: pl.DataFrame, folder: Path, source: Path) -> pl.DataFrame:
    """The files of images: those on the disk by the names that fit most of them, else as in the bucket."""
    by_name = {
        "deployment and file name": pl.col("deployment_id") + "/" + pl.col("filename"),
        "placename and file name": pl.col("location_id") + "/" + pl.col("filename"),
        "file name": pl.col("filename"),
        "address": pl.col("url").str.replace(URL + "[^/]*/", ""),
        "address's last part": pl.col("url").str.replace("^.*/", ""),
    }
    named = rows.select("media_id", **by_name)
    images = named["media_id"].n_unique()
    told_apart = [name for name in by_name if _tells_apart(named, name)]
    pictures = pictures_below(folder)
    files, how = pl.Series([None], dtype=pl.String).new_from_index(0, rows.height), None
    for name in told_apart if pictures else ():
        try:
            matched = match_files(named[name], pictures, source)
        except DataError:  # several could be meant: the files are not named so
            continue
        if matched.null_count() < files.null_count():
            files, how = matched, name
    if how is None:
        note(f"no photo of the download is below {folder}: paths are those that Wildlife Insights has")
    else:
        present = named["media_id"].filter(files.is_not_null()).n_unique()
        note(f"the files of {present:,} of {many(images, 'image is')} below {folder}, by their {how}")
    otherwise = [
        named[name]
        for name in dict.fromkeys((how or "address", "address", *told_apart))
        if name in told_apart
    ]
    return rows.with_columns(
        pl.select(pl.coalesce(files, *otherwise, named["media_id"])).to_series().alias("file_path"),
        pl.when(pl.col("url").str.contains(URL)).then("url").alias("url"),
    )


def _tells_apart(named: pl.DataFrame, name: str) -> bool:
    pairs = named.select("media_id", name).drop_nulls().unique()
    return pairs.height > 0 and pairs[name].n_unique() == pairs.height


def _add_labels(rows: pl.DataFrame, download: _Download, by: By, names: Names) -> pl.DataFrame:
    """One row an image, with what is said of it in `labels`, and of its sequence in `event_labels`."""
    images = _identify(rows, by, names)
    of_sequences = _are_sequences(images, download.tables.get("projects"))
    labelled = images.with_columns(
        pl.when(~of_sequences).then("_label").alias("_label"),
        pl.when(of_sequences).then("_label").alias("_event"),
    )
    media = one_row_a_media(rows, "media_id", _OF_MEDIA, "correct the table")
    for column, target in (("_label", "labels"), ("_event", EVENT_LABELS)):
        media = _join_labels(media, labelled, "media_id", column, target)
    media = add_individuals(media, images, "media_id", _INDIVIDUALS, of_event=of_sequences)
    sequences = download.tables.get("sequences")
    if sequences is None or "event_id" not in media.columns:
        return media
    told = _identify(sequences.rename({"sequence_id": "event_id"}), by, names)
    media = _join_labels(media, told, "event_id", "_label", "_told")
    media = add_individuals(media, told, "event_id", _INDIVIDUALS | {"count": "group_size"}, of_event=True)
    return media.with_columns(pl.coalesce("_told", EVENT_LABELS).alias(EVENT_LABELS)).drop("_told")


def _join_labels(media: pl.DataFrame, told: pl.DataFrame, key: str, column: str, target: str) -> pl.DataFrame:
    labels = (
        told.drop_nulls([key, column])
        .group_by(key, maintain_order=True)
        .agg(pl.col(column).unique(maintain_order=True).alias(target))
    )
    return media.join(labels, on=key, how="left", maintain_order="left")


def _are_sequences(images: pl.DataFrame, projects: pl.DataFrame | None) -> pl.Series:
    """Of which rows what is said is said of their sequence, as their project's type tells."""
    kinds = projects is not None and "project_type" in projects.columns
    if projects is None or not kinds or "event_id" not in images.columns:
        return pl.Series([False]).new_from_index(0, images.height)
    of_sequences = projects.filter(pl.col("project_type").str.to_lowercase() == "sequence")["project_id"]
    return images["project_id"].is_in(of_sequences.implode()).fill_null(value=False)


def _identify(table: pl.DataFrame, by: By, names: Names) -> pl.DataFrame:
    """The rows whose identifications count, with the label that each stands for, if any."""
    ranks = {str(rank): str(rank) for rank in RANKS[:5] if rank in table.columns}
    common = ["common_name"] if "common_name" in table.columns else []
    word = {name: pl.col(name).str.to_lowercase() for name in (*ranks, *common)}
    told = [word[name] == "blank" for name in word]
    if "is_blank" in table.columns:
        told.append(pl.col("is_blank").str.to_lowercase().is_in(_YES))
    taxa = table.with_columns(
        pl.any_horizontal(pl.lit(value=False), *told).fill_null(value=False).alias("_blank"),
        *(pl.when(~word[name].is_in((*_NO_TAXON, "blank"))).then(name).alias(name) for name in word),
    )
    label = finest_taxon(taxa, ranks, *common)
    rows = taxa.with_columns(label.alias("_label"))
    if names == "common":
        rows = rows.with_columns(pl.coalesce(*common, "_label").alias("_label"))
    reason = pl.format("is said to be blank and to be '{}'", "_label")
    rows = reject_rows(rows, pl.col("_blank") & pl.col("_label").is_not_null(), reason)
    rows = rows.with_columns(pl.when("_blank").then(pl.lit(BLANK)).otherwise("_label").alias("_label"))
    return _choose(rows, by)


def _choose(rows: pl.DataFrame, by: By) -> pl.DataFrame:
    """The rows that the asked one identified; the others, and those that name nothing, are counted."""
    if by != "all" and "identified_by" in rows.columns:
        machine = pl.col("identified_by").str.contains(BY_MACHINE).fill_null(value=False)
        chosen = rows.filter(machine if by == "machine" else ~machine)
        others = rows.height - chosen.height
        if others:
            whom = "computer vision" if by == "human" else "people, or do not say by whom"
            note(f"{many(others, 'identification is')} by {whom}, not read as labels (--classified-by all)")
        rows = chosen
    elif by == "machine":
        rows = rows.clear()  # of none it is said that a machine identified it
    without = rows["_label"].null_count()
    if without and without < rows.height:
        note(f"{many(without, 'row names')} nothing ('No CV Result', 'Unknown', or no taxon): no label")
    return rows
