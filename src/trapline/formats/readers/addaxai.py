"""AddaxAI's tables as media, with boxes, sites and what people verified."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Literal

import polars as pl

from trapline.catalog import BOX, normal_paths
from trapline.errors import DataError, many
from trapline.formats.addaxai_tables import OF_ADDAXAI, AddaxaiExport, open_addaxai, recognise_addaxai
from trapline.formats.readers.draft import Draft
from trapline.formats.readers.individuals import add_individuals
from trapline.formats.readers.registry import reader
from trapline.tables import read_numbers, reject_rows
from trapline.taxonomy import BLANK

_SIDES = ("bbox_left", "bbox_top", "bbox_right", "bbox_bottom", "file_width", "file_height")
_TIMES = ("datetime", "DateTimeOriginal", "datetime_original")
"""The time of capture, of the newest tables, those before, and EcoAssist's first."""
_OLD_TIME, _IS_OLD_TIME = "%d/%m/%y %H:%M:%S", r"^[0-9]{2}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$"
"""How tables up to version 6 write times, whatever the country."""
_USED = {
    *OF_ADDAXAI,
    *_SIDES,
    *("bbox_x", "bbox_y", "bbox_width", "bbox_height", "n_detections", "max_confidence", "_place"),
    *("absolute_path", *_TIMES, "deployment_id", "event_id", "classification_label"),
}
_DETECTION = ("_key", "_place", "label", "verified", "box", "_had_box")


@reader("addaxai", recognise=recognise_addaxai)
def read_addaxai(
    source: Path,
    *,
    root: Path | str | None = None,
    classified_by: Literal["human", "machine", "all"] = "human",
) -> Draft:
    """AddaxAI's tables of files and detections: photos, boxes, what people verified, and its sites.

    Whichever is named, the other one (and that of deployments) is read too where it lies beside it. A label
    is one of a box that a person verified, unless asked otherwise, and a photo verified without a box is
    blank; each verified box of a photo is counted as one individual of its label. What the model alone says
    (in EcoAssist's first tables that is all) are predictions, which `trapline predictions` reads with their
    confidences. Boxes in pixels become fractions; one that a person verified, and which has lost its
    confidence by that, has 1.

    Args:
        source: the CSV or TSV; paths start at its folder, in which AddaxAI writes it.
        root: the folder that the paths start from, instead of the file's own.
        classified_by: whose labels count.

    Raises:
        DataError: the table of files is missing where that of detections names them by number only, or no
            row names a file.
    """
    export = open_addaxai(source)
    folder = source.parent if root is None else Path(root)
    files, path_notes = _files(export, folder)
    detections = _detections(export)
    odd = detections.filter(pl.col("box").is_null() & pl.col("_had_box"))
    media = _join(files, detections, classified_by)
    media, deployment_notes = _name_locations(media, export.deployments)
    notes = [*path_notes, *deployment_notes]
    if len(export.names) > 1:
        notes.insert(0, f"read together: {', '.join(export.names)}")
    if odd.height:
        notes.append(
            f"{many(odd.height, 'box is')} outside the photo or without a confidence, and left out: "
            f"{odd['_place'][0]}"
        )
    people = int(media["_verified"].sum())
    notes.append(f"labels of people: {people:,} of {many(media.height, 'photo was')} verified by one")
    if classified_by == "human" and people < media.height:
        notes.append(
            "what the model alone says is no label: `trapline predictions` reads it with its confidences"
        )
    if export.files is None:
        notes.append(f"photos without a detection are not in {source.name}, but in its table of files")
    times = media["_time_text"].drop_nulls()
    usual = len(times) > 0 and times.str.contains(_IS_OLD_TIME).all()
    return Draft(
        media.drop("_verified"),
        folder,
        f"AddaxAI {source.name}",
        time_format=_OLD_TIME if usual else None,
        notes=notes,
    )


def _files(export: AddaxaiExport, folder: Path) -> tuple[pl.DataFrame, list[str]]:
    """One row a file: `_key`, the catalog's columns, `_empty` (nothing was found on it) and `verified`."""
    table = reject_rows(export.base, pl.col("relative_path").is_null(), "names no file")
    names = set(table.columns)
    paths, notes = _paths(table, folder)
    kind = "file_type" if export.is_new else "data_type"
    time = next((name for name in _TIMES if name in names), None)
    kept = [name for name in table.columns if name not in _USED]
    rows = table.select(
        pl.col(export.key).alias("_key"),
        "_place",
        paths.alias("file_path"),
        (pl.col("file_id") if export.is_new else paths).alias("media_id"),
        (pl.lit(None, pl.String) if time is None else pl.col(time)).alias("_time_text"),
        pl.when(pl.col(kind).str.to_lowercase().str.starts_with("vid"))
        .then(pl.lit("video/mp4"))
        .alias("_mediatype"),
        *(pl.col(name) for name in ("deployment_id", "event_id") if name in names),
        export.is_empty.alias("_empty"),
        export.is_verified.alias("verified"),
        *(pl.col(name).alias(f"addaxai_{name}") for name in kept),
    )
    if export.files is not None:
        return rows, notes
    firsts = [name for name in rows.columns if name != "_key" and not name.startswith("addaxai_")]
    joined = pl.col("^addaxai_.*$").drop_nulls().unique(maintain_order=True).str.join("; ").replace("", None)
    grouped = rows.group_by("_key", maintain_order=True)
    return grouped.agg(pl.col(firsts).first(), joined), notes


def _paths(table: pl.DataFrame, folder: Path) -> tuple[pl.Series, list[str]]:
    """Paths of the table's rows, and what to say of them.

    They are below the folder of a deployment: where those of two deployments are alike, the folders down from
    the one that all have in common stand before them.
    """
    relative = normal_paths(table["relative_path"], folder)
    if "absolute_path" not in table.columns:
        return relative, []
    absolute = table["absolute_path"].str.replace_all("\\", "/", literal=True).fill_null("")
    by_path = pl.DataFrame([relative.alias("path"), absolute.alias("whole")])
    tops = by_path.select(
        pl.when(pl.col("whole").str.ends_with("/" + pl.col("path")))
        .then(pl.col("whole").str.head(pl.col("whole").str.len_chars() - pl.col("path").str.len_chars() - 1))
        .otherwise("whole")
    )["whole"]
    folders = [top for top in tops.unique(maintain_order=True) if top]
    notes = []
    common = ""
    if by_path.unique().group_by("path").len()["len"].max() not in (None, 1) and len(folders) > 1:
        try:
            common = os.path.commonpath([PurePosixPath(top) for top in folders])
        except ValueError as error:  # some are no whole paths
            raise DataError(
                f"Files of several deployments have one relative_path, and their absolute_path, as "
                f"{folders[0]} and {folders[-1]}, have no folder in common. Export one deployment at a time."
            ) from error
        relative = (tops.str.slice(len(common.rstrip("/")) + 1) + "/" + relative).str.strip_chars_start("/")
    first = relative.drop_nulls()
    if folders and len(first) and not (folder / first[0]).exists():
        notes.append(f"AddaxAI had the photos in {common or folders[0]} (--root FOLDER says where they are)")
    return relative, notes


def _detections(export: AddaxaiExport) -> pl.DataFrame:
    """One row a detection: `_key` of its file, `_place`, `label`, `verified`, `box`, `_had_box`, the rest."""
    table = export.detections
    if table is None:
        types = (pl.String, pl.String, pl.String, pl.Boolean, BOX, pl.Boolean)
        return pl.DataFrame(schema=dict(zip(_DETECTION, types, strict=True)))
    new = export.is_new
    category = pl.col("detection_category") if new else pl.col("label")
    species = [name for name in ("classification_label",) if new and name in table.columns]
    label = pl.coalesce(*species, category)
    kept = [name for name in table.columns if new and name not in _USED and name != "frame_number"]
    boxes, had_box = _new_boxes(table) if new else _old_boxes(table, export.is_verified)
    return table.select(
        pl.col(export.key).alias("_key"),
        "_place",
        label.alias("label"),
        export.is_verified.alias("verified"),
        boxes.alias("box"),
        had_box.alias("_had_box"),
        *(pl.col(name).alias(f"addaxai_{name}") for name in kept),
    )


def _join(files: pl.DataFrame, detections: pl.DataFrame, classified_by: str) -> pl.DataFrame:
    """The files with the labels and boxes of their detections, and `_verified`."""
    counts = {"human": pl.col("verified"), "machine": ~pl.col("verified"), "all": pl.lit(True)}[classified_by]
    more = [name for name in detections.columns if name not in _DETECTION and name not in files.columns]
    joined = pl.col(more).drop_nulls().unique(maintain_order=True).str.join("; ").replace("", None)
    of_files = detections.group_by("_key", maintain_order=True).agg(
        pl.col("label").filter(counts).drop_nulls().unique(maintain_order=True).alias("labels"),
        pl.col("box").drop_nulls().alias("boxes"),
        pl.col("verified").any().alias("_some_verified"),
        *([joined] if more else []),
    )
    blank = pl.col("_empty") & counts
    some = pl.col("labels").list.len() > 0
    boxed = detections.filter(counts & pl.col("box").is_not_null()).rename({"label": "_label"})
    boxed = boxed.with_columns(pl.lit("1").alias("_one"))
    return (
        add_individuals(files, boxed, "_key", {"count": "_one"})
        .join(of_files, on="_key", how="left", maintain_order="left")
        .with_columns(
            pl.when(some).then("labels").when(blank).then(pl.lit([BLANK])).alias("labels"),
            pl.when(pl.col("boxes").list.len() > 0).then("boxes").alias("boxes"),
            (pl.col("_some_verified").fill_null(False) | pl.col("verified")).alias("_verified"),
        )
        .drop("_key", "_empty", "verified", "_some_verified")
    )


def _name_locations(media: pl.DataFrame, deployments: pl.DataFrame | None) -> tuple[pl.DataFrame, list[str]]:
    """The media with the names of the sites that the table of deployments has for theirs."""
    columns = {"deployment_id", "site_name"}
    if deployments is None or "deployment_id" not in media.columns or not columns <= set(deployments.columns):
        return media, []
    named = deployments.drop_nulls("deployment_id").unique("deployment_id", keep="first")
    sites = named.select("deployment_id", pl.col("site_name").alias("location_id"))
    unknown = media.filter(~pl.col("deployment_id").is_in(sites["deployment_id"].implode())).height
    notes = [f"{many(unknown, 'file is')} of deployments that have no row"] if unknown else []
    return media.join(sites, on="deployment_id", how="left", maintain_order="left"), notes


def _new_boxes(table: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Of each row its box, null where it has none inside the photo; and whether numbers of one are there.

    A box of a video is one of a frame, and none of the file.
    """
    names = ("bbox_x", "bbox_y", "bbox_width", "bbox_height")
    if lacking := {*names, "detection_category", "detection_confidence"} - set(table.columns):
        raise DataError(f"AddaxAI's table of detections lacks {', '.join(sorted(lacking))}. Export it again.")
    x, y, width, height = (pl.col(name) for name in names)
    frame = pl.DataFrame([read_numbers(table[name]) for name in names]).with_columns(
        category=table["detection_category"], conf=read_numbers(table["detection_confidence"], most=1)
    )
    edge = 1 + 1e-5  # they are written with six digits
    inside = (x >= 0) & (y >= 0) & (width > 0) & (height > 0) & (x + width <= edge) & (y + height <= edge)
    box = pl.struct(
        *("category", "conf", pl.col("bbox_x").alias("x"), pl.col("bbox_y").alias("y")),
        *(pl.min_horizontal(width, 1 - x).alias("width"), pl.min_horizontal(height, 1 - y).alias("height")),
    )
    boxes = frame.select(pl.when(inside & pl.col("conf").is_between(0, 1)).then(box).alias("box"))["box"]
    return boxes, table["bbox_x"].is_not_null()


def _old_boxes(table: pl.DataFrame, is_verified: pl.Expr) -> tuple[pl.Series, pl.Series]:
    """As `_new_boxes`, of sides in pixels."""
    if not set(_SIDES) <= set(table.columns):
        nothing = pl.Series([None] * table.height, dtype=BOX)
        return nothing, nothing.is_not_null()
    sides = pl.DataFrame([read_numbers(table[name]) for name in _SIDES])
    left, top, right, bottom, width, height = (pl.col(name) for name in _SIDES)
    inside = (
        (left >= 0) & (top >= 0) & (right > left) & (bottom > top) & (right <= width) & (bottom <= height)
    )
    by_person = table.select(is_verified).to_series() & table["confidence"].is_null()
    sure = pl.select(pl.when(by_person).then(1.0).otherwise(read_numbers(table["confidence"], most=1)))
    frame = sides.with_columns(category=table["label"].fill_null("animal"), conf=sure.to_series())
    box = pl.struct(
        "category",
        "conf",
        (left / width).alias("x"),
        (top / height).alias("y"),
        ((right - left) / width).alias("width"),
        ((bottom - top) / height).alias("height"),
    )
    boxes = frame.select(pl.when(inside & pl.col("conf").is_between(0, 1)).then(box).alias("box"))["box"]
    return boxes, table["bbox_left"].is_not_null()
