"""DrivenData's Conser-vision: features and one-hot labels as CSVs, joined by id."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl

from trapline.errors import DataError
from trapline.formats.readers.draft import Draft
from trapline.formats.readers.one_hot import read_one_hot
from trapline.formats.readers.registry import reader
from trapline.tables import read_table, refuse_missing_columns, reject_rows, rename_columns

_FEATURES = {
    "train": ("train_features.csv", "training_set_features.csv"),
    "test": ("test_features.csv", "test_set_features.csv"),
}
_LABELS = {
    "train": ("train_labels.csv", "training_set_labels.csv"),
    "test": ("test_labels.csv", "test_set_labels.csv"),
}
_METADATA = {
    "train": ("train_metadata.csv", "training_set_metadata.csv"),
    "test": ("test_metadata.csv", "test_set_metadata.csv"),
}
_RENAMED = {"id": "media_id", "filepath": "file_path", "site": "location_id"}
_RENAMED_METADATA = {"id": "media_id", "seq_id": "event_id", "timestamp": "_time_text"}


def _recognise(source: Path) -> str | None:
    folder = source if source.is_dir() else source.parent
    names = [name for part in _FEATURES.values() for name in part]
    if source.is_file() and source.name not in names:
        return None
    tables = [name for name in names if (folder / name).is_file()]
    return f"it has {' and '.join(tables)}" if tables else None


@reader("drivendata", recognise=_recognise)
def read_drivendata(source: Path, *, part: Literal["train", "test"] | None = None) -> Draft:
    """DrivenData (Conser-vision): train/test_features.csv, train_labels.csv, optional train_metadata.csv.

    Args:
        source: the folder of the CSVs, or one of its feature files (then only that part is read).
        part: read one part only, train or test.

    Returns:
        `id` is the media, `site` its location. `published_split` keeps whose file a row was in (`train`,
        `test`, or what the metadata say). Media without labels are not labelled (null).

    Raises:
        DataError: a column is missing, an id occurs twice or in the labels only, or a label is not 0 or 1.
    """
    folder = source if source.is_dir() else source.parent
    wanted = (
        [part] if part else [name for name in _FEATURES if source.is_dir() or source.name in _FEATURES[name]]
    )
    drafts = [_read_part(folder, name) for name in wanted]
    present = [draft for draft in drafts if draft is not None]
    if not present:
        names = " or ".join(name for part in wanted for name in _FEATURES[part])
        raise DataError(f"There is no {names} in {folder}.")
    rows = pl.concat([rows for rows, _ in present], how="diagonal")
    notes = [note for _, notes in present for note in notes]
    return Draft(rows, folder, f"DrivenData CSVs in {folder.name}", notes=notes)


def _read_part(folder: Path, part: str) -> tuple[pl.DataFrame, list[str]] | None:
    features = _first(folder, _FEATURES[part])
    if features is None:
        return None
    table = _match_columns(read_table(features), features, ("id", "filepath"))
    table = rename_columns(table, _RENAMED, features)
    published = "published_split"
    if published not in table.columns:
        table = table.with_columns(pl.lit(part).alias(published))
    notes: list[str] = []
    labels = _first(folder, _LABELS[part])
    if labels is not None:
        table, notes = _join_labels(table, labels)
    metadata = _first(folder, _METADATA[part])
    if metadata is not None:
        table, more = _join_metadata(table, metadata)
        notes = [*notes, *more]
    return table, notes


def _join_labels(table: pl.DataFrame, path: Path) -> tuple[pl.DataFrame, list[str]]:
    given, notes = read_one_hot(path, "id")
    given = reject_rows(
        given.with_columns(pl.lit(path.name).alias("_file")),
        ~pl.col("id").is_in(table["media_id"].implode()),
        pl.format("has labels for the id '{}', which is not among the features", "id"),
    )
    joined = table.join(
        given.select("id", "labels"), left_on="media_id", right_on="id", how="left", maintain_order="left"
    )
    return joined, notes


def _join_metadata(table: pl.DataFrame, path: Path) -> tuple[pl.DataFrame, list[str]]:
    given = _unique_ids(_match_columns(read_table(path), path, ("id",)), path)
    lost = given.join(table, left_on="id", right_on="media_id", how="anti", maintain_order="left")
    notes = []
    if lost.height:
        notes.append(
            f"{lost.height} of {given.height} ids of {path.name} are not among the features and are left "
            f"out: '{lost['id'][0]}' ({lost['_place'][0]})" + (" …" if lost.height > 1 else "")
        )
    given = given.rename(_RENAMED_METADATA, strict=False).drop("_place")
    both = [name for name in given.columns if name in table.columns and name != "media_id"]
    joined = table.join(given, on="media_id", how="left", maintain_order="left", suffix="_metadata")
    whole = joined.with_columns(pl.coalesce(f"{name}_metadata", name).alias(name) for name in both)
    return whole.drop(f"{name}_metadata" for name in both), notes


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _match_columns(table: pl.DataFrame, path: Path, needed: tuple[str, ...]) -> pl.DataFrame:
    refuse_missing_columns(path, table.columns, needed)
    return table


def _unique_ids(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    twice = table.filter(pl.col("id").is_duplicated())
    if twice.height:
        first = twice.filter(pl.col("id") == twice["id"][0])
        raise DataError(
            f"The id '{first['id'][0]}' occurs more than once: {' and '.join(first['_place'].head(5))} "
            f"({path})."
        )
    return table
