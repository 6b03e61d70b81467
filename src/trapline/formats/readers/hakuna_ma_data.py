"""DrivenData's Hakuna Ma-data: bursts with labels of whole sequences (Snapshot Serengeti's ten seasons)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl

from trapline.catalog import BLANK_WORDS
from trapline.errors import DataError, many
from trapline.formats.readers.draft import Draft
from trapline.formats.readers.one_hot import read_one_hot
from trapline.formats.readers.registry import reader
from trapline.tables import (
    describe_line,
    read_flat_table,
    read_header,
    read_table,
    reject_rows,
    rename_columns,
)

NUMBER_IN_NAME = r"(\d+)\D*$"
"""The last number in a file's name: the camera's count of its photos."""

_PARTS = ("train", "test")
_MANY_FOLDERS = 1000
_RENAMED = {"seq_id": "event_id", "file_name": "media_id"}


def _recognise(source: Path) -> str | None:
    folder = source if source.is_dir() else source.parent
    names = [f"{part}_metadata.csv" for part in _PARTS]
    if source.is_file() and source.name not in names:
        return None
    tables = [name for name in names if _is_metadata(folder / name)]
    return f"it has {' and '.join(tables)} of sequences" if tables else None


def _is_metadata(path: Path) -> bool:
    return {"seq_id", "file_name"} <= set(read_header(path))


@reader("hakuna_ma_data", recognise=_recognise, rank=-1)
def read_hakuna_ma_data(
    source: Path,
    *,
    part: Literal["train", "test"] | None = None,
    root: Path | str | None = None,
    event_labels: bool = False,
) -> Draft:
    """Hakuna Ma-data (Serengeti): metadata CSVs of images, label CSVs of sequences.

    `<part>_metadata.csv` (`seq_id,file_name,datetime`) has a row an image, `<part>_labels.csv` (`seq_id` and
    a column of 0 or 1 for each label) a row a sequence, and `<part>_frame_labels.csv` (`file_name,label`, a
    row for each label of an image), which need not be there, says what single images show.

    Two columns hold labels, and neither is guessed from the other:

    - `labels` is what is known of *this image*: its rows in the frame labels; null without any.
    - `event_labels`, a column of this reader's own, is what is known of its *sequence*, the same for all its
      images: the animal may be in any one of them. Null where the sequence is not labelled.

    Args:
        source: the folder of the CSVs, or one of its metadata files (then only that part is read).
        part: read one part only, train or test.
        root: the folder that images start from, instead of that of the CSVs. Where `S1/…` is not in it but
            in one of its folders (`SnapshotSerengeti_S01_v2_0/S1/…`), that one is taken, whatever its name.
        event_labels: labels of sequences count for their images that have none.

    Returns:
        `media_id` is the file name, `event_id` the `seq_id`. `seq_id` (`SER_S1#B04#1#123`: season, location,
        roll, capture) also gives `season` (a column of its own), `location_id` and `deployment_id`
        (`S1_B04_R1`); where it has another form they are the folders of the file name. `frame` counts from 1
        in order of time, then of the number in the file's name across its wrap from 9999 to 1.
        `published_split` keeps whose file a row was in.

    Raises:
        DataError: a column is missing, an id occurs twice, a label is not 0 or 1, or images of one season
            could be in several folders.
    """
    folder = source if source.is_dir() else source.parent
    wanted = [
        name
        for name in ((part,) if part else _PARTS)
        if (folder / f"{name}_metadata.csv").is_file()
        and (source.is_dir() or source.name == f"{name}_metadata.csv")
    ]
    if not wanted:
        names = " or ".join(f"{name}_metadata.csv" for name in ((part,) if part else _PARTS))
        raise DataError(f"There is no {names} in {folder}.")
    images = folder if root is None else Path(root)
    read = [_read_part(folder, name) for name in wanted]
    rows = pl.concat([rows for rows, _ in read], how="diagonal")
    rows, folder_notes = _add_folders(_add_locations(rows), images)
    notes = [note for _, notes in read for note in notes] + folder_notes
    if event_labels:
        rows = rows.with_columns(pl.coalesce("labels", "event_labels").alias("labels"))
    return Draft(rows, images, f"Hakuna Ma-data CSVs in {folder.name}", notes=notes)


def _read_part(folder: Path, part: str) -> tuple[pl.DataFrame, list[str]]:
    path = folder / f"{part}_metadata.csv"
    rows = rename_columns(read_flat_table(path, ("seq_id", "file_name")), {"datetime": "_time_text"}, path)
    rename_columns(rows, _RENAMED, path)  # refuses, before all is joined, what cannot be renamed in the end
    rows = rows.with_columns(pl.lit(path.name).cast(pl.Categorical).alias("_file"))
    for name in ("seq_id", "file_name"):
        if rows[name].null_count():
            rows = reject_rows(rows, pl.col(name).is_null(), f"has no {name}")
    unlabelled = pl.lit(None, pl.List(pl.String))
    rows = rows.with_columns(
        pl.lit(part).alias("published_split"),
        unlabelled.alias("labels"),
        unlabelled.alias("event_labels"),
    )
    notes: list[str] = []
    if (folder / f"{part}_labels.csv").is_file():
        rows, notes = _join_event_labels(rows, folder / f"{part}_labels.csv")
    if (folder / f"{part}_frame_labels.csv").is_file():
        rows, more = _join_frame_labels(rows, folder / f"{part}_frame_labels.csv")
        notes += more
    return rows, notes


def _join_event_labels(rows: pl.DataFrame, path: Path) -> tuple[pl.DataFrame, list[str]]:
    given, notes = read_one_hot(path, "seq_id")
    lost = given.join(rows, on="seq_id", how="anti")
    if lost.height:
        notes.append(
            f"{many(lost.height, 'sequence has')} labels but no images, as {lost['seq_id'][0]} in "
            f"{describe_line(path, lost['_line'][0])}"
        )
    named = given.select("seq_id", pl.col("labels").alias("event_labels"))
    rows = rows.drop("event_labels").join(named, on="seq_id", how="left", maintain_order="left")
    without = rows.filter(pl.col("event_labels").is_null())
    if without.height:
        notes.append(f"{many(without['seq_id'].n_unique(), 'sequence has')} images but no row in {path.name}")
    return rows, notes


def _join_frame_labels(rows: pl.DataFrame, path: Path) -> tuple[pl.DataFrame, list[str]]:
    given = read_table(path)
    missing = [name for name in ("file_name", "label") if name not in given.columns]
    if missing:
        raise DataError(f"{path} line 1: the column {' and '.join(missing)} is missing.")
    notes = []
    lost = given.join(rows, on="file_name", how="anti")
    if lost.height:
        notes.append(
            f"{many(lost.height, 'label is')} of images that are not in the metadata, as "
            f"{lost['file_name'][0]} in {lost['_place'][0]}"
        )
    lists = (
        given.drop_nulls("label")
        .group_by("file_name", maintain_order=True)
        .agg(pl.col("label").unique(maintain_order=True).alias("labels"))
    )
    rows = rows.drop("labels").join(lists, on="file_name", how="left", maintain_order="left")
    seen = pl.col("labels").list.eval(
        pl.element().filter(~pl.element().str.to_lowercase().is_in(BLANK_WORDS))
    )
    odd = rows.filter(seen.list.set_difference("event_labels").list.len() > 0)
    if odd.height:
        notes.append(
            f"{many(odd.height, 'image has')} a label that their sequence does not have, as "
            f"{odd['file_name'][0]}"
        )
    return rows, notes


def _add_locations(rows: pl.DataFrame) -> pl.DataFrame:
    """Rename to the catalog's words and fill season, location, deployment and the number of the file."""
    parts = pl.col("seq_id").str.splitn("#", 4).struct
    folders = pl.col("file_name").str.splitn("/", 4).struct
    rows = rows.with_columns(
        parts.field("field_0").alias("_head"),
        parts.field("field_1").alias("location_id"),
        parts.field("field_2").alias("_roll"),
        parts.field("field_3").is_not_null().alias("_known"),
    )
    heads = rows["_head"].unique()
    seasons = heads.str.split("_").list.last()
    rows = rows.with_columns(pl.col("_head").replace_strict(heads, seasons).alias("season"))
    roll = pl.concat_str("season", pl.lit("_"), "location_id", pl.lit("_R"), "_roll")
    if not rows["_known"].all():  # the folders say it where the sequence's name does not
        known, deep = pl.col("_known"), folders.field("field_3").is_not_null()
        rows = rows.with_columns(
            pl.when(known).then("season").when(deep).then(folders.field("field_0")).alias("season"),
            pl.when(known).then("location_id").when(deep).then(folders.field("field_1")).alias("location_id"),
            pl.when(known).then(roll).when(deep).then(folders.field("field_2")).alias("deployment_id"),
        )
    else:
        rows = rows.with_columns(roll.alias("deployment_id"))
    number = pl.col("media_id").str.extract(NUMBER_IN_NAME).cast(pl.Int64, strict=False)
    return rows.rename(_RENAMED).with_columns(number.alias("_frame_number")).drop("_head", "_roll", "_known")


def _add_folders(rows: pl.DataFrame, root: Path) -> tuple[pl.DataFrame, list[str]]:
    """Fill `file_path`: the file name, below the folder that has the images of its season."""
    top = pl.col("media_id").str.splitn("/", 2).struct.field("field_0")
    tops = rows.select(top.unique().alias("top"))["top"].sort()
    if len(tops) > _MANY_FOLDERS:  # images without folders of seasons
        return rows.with_columns(pl.col("media_id").alias("file_path")), []
    folder_of_top = {name: folder_of(root, name) for name in tops}
    lost = [name for name, folder in folder_of_top.items() if folder is None]
    note = f"no folder {', '.join(lost[:5])}{', …' if len(lost) > 5 else ''} of images is in {root}"
    prefixes = {name: folder for name, folder in folder_of_top.items() if folder}
    path = pl.col("media_id")
    if prefixes:
        prefix = top.replace_strict(prefixes, default="")
        path = pl.concat_str(prefix, path)
    return rows.with_columns(path.alias("file_path")), [note] if lost else []


def folder_of(root: Path, top: str) -> str | None:
    """What stands before paths that begin with `top`: nothing, or the folder that it is in, if any is."""
    try:
        if (root / top).exists():
            return ""
        folders = sorted(path.name for path in root.iterdir() if (path / top).is_dir())
    except (OSError, ValueError):  # what no folder can be called
        return None
    if len(folders) > 1:
        raise DataError(
            f"The images of {top} could be in {' or in '.join(folders)} (all in {root}). Move the others "
            "away, or name the folder of the images with --root."
        )
    return f"{folders[0]}/" if folders else None
