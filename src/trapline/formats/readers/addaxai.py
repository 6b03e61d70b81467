"""The CSVs that AddaxAI (EcoAssist) exports: results_files.csv and results_detections.csv."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl

from trapline.catalog import BOX, normal_paths
from trapline.formats.readers.draft import Draft
from trapline.formats.readers.registry import reader
from trapline.tables import read_header, read_numbers, read_table, refuse_missing_columns, reject_rows

_OF_ALL = ("relative_path", "data_type", "human_verified")
_OF_DETECTIONS = ("label", "confidence")
_SIDES = ("bbox_left", "bbox_top", "bbox_right", "bbox_bottom", "file_width", "file_height")


def _recognise(source: Path) -> str | None:
    if not source.name.lower().endswith((".csv", ".csv.gz")) or not source.is_file():
        return None
    names = set(read_header(source))
    known = {*_OF_ALL} <= names and ({*_OF_DETECTIONS} <= names or "n_detections" in names)
    return "it has AddaxAI's columns relative_path and human_verified" if known else None


@reader("addaxai", recognise=_recognise)
def read_addaxai(
    source: Path,
    *,
    root: Path | str | None = None,
    classified_by: Literal["human", "machine", "all"] = "human",
) -> Draft:
    """AddaxAI's results_detections.csv or results_files.csv: photos, boxes, and what people verified.

    A label is one of a row that a person verified, unless asked otherwise; what the model alone says are
    predictions, which `trapline predictions` reads with their confidences. Boxes in pixels become fractions.

    Args:
        source: the CSV; paths start at its folder, in which AddaxAI writes it.
        root: the folder that the paths start from, instead of the file's own.
        classified_by: whose labels count.

    Raises:
        DataError: a column is missing, or no row names a file.
    """
    table = read_table(source)
    refuse_missing_columns(source, table.columns, _OF_ALL)
    table = reject_rows(table, pl.col("relative_path").is_null(), "names no file")
    folder = source.parent if root is None else Path(root)
    verified = pl.col("human_verified").str.to_lowercase().is_in(["true", "1", "yes"]).fill_null(False)
    counts = {"human": verified, "machine": ~verified, "all": pl.lit(True)}[classified_by]
    detections = {*_OF_DETECTIONS} <= set(table.columns)
    label = pl.when(counts).then("label") if detections else pl.lit(None, pl.String)
    used = {*_OF_ALL, *_OF_DETECTIONS, *_SIDES, "absolute_path", "DateTimeOriginal", "_place"}
    kept = [name for name in table.columns if name not in used]
    boxed_rows = {*_SIDES, *_OF_DETECTIONS} <= set(table.columns)
    with_box = table["bbox_left"].is_not_null() if boxed_rows else pl.lit(False)
    rows = table.select(
        normal_paths(table["relative_path"], folder).alias("file_path"),
        "_place",
        label.alias("label"),
        (
            pl.col("DateTimeOriginal") if "DateTimeOriginal" in table.columns else pl.lit(None, pl.String)
        ).alias("_time_text"),
        pl.when(pl.col("data_type").str.starts_with("vid")).then(pl.lit("video/mp4")).alias("_mediatype"),
        _boxes(table).alias("box"),
        (verified & detections).alias("verified"),
        *(pl.col(name).alias(f"addaxai_{name}") for name in kept),
    )
    odd = rows.filter(pl.col("box").is_null() & with_box)
    together = rows.group_by("file_path", maintain_order=True).agg(
        pl.col("_place", "_time_text", "_mediatype").first(),
        pl.col("label").drop_nulls().unique(maintain_order=True).alias("labels"),
        pl.col("box").drop_nulls().alias("boxes"),
        pl.col("verified").any(),
        pl.col("^addaxai_.*$").drop_nulls().unique(maintain_order=True).str.join("; ").replace("", None),
    )
    some = pl.col("labels").list.len() > 0
    boxed = pl.col("boxes").list.len() > 0
    media = together.with_columns(
        pl.col("file_path").alias("media_id"),
        pl.when(some).then("labels").alias("labels"),
        pl.when(boxed).then("boxes").alias("boxes"),
    ).drop("verified")
    people = int(together["verified"].sum())
    notes = []
    if odd.height:
        notes.append(
            f"{odd.height:,} boxes are outside their photos or without a confidence, and are left out: "
            f"{odd['_place'][0]}"
        )
    if detections:
        notes.append(f"labels of people: {people:,} of {media.height:,} photos were verified by one")
    if detections and classified_by == "human" and people < media.height:
        notes.append(
            "what the model alone says is no label: `trapline predictions` reads it with its confidences"
        )
    return Draft(media, folder, f"AddaxAI {source.name}", notes=notes)


def _boxes(table: pl.DataFrame) -> pl.Series:
    """Of each row its box as the catalog has it; null where there is none inside the photo."""
    if not {*_SIDES, *_OF_DETECTIONS} <= set(table.columns):
        return pl.Series([None] * table.height, dtype=BOX)
    sides = pl.DataFrame([read_numbers(table[name]) for name in _SIDES])
    left, top, right, bottom, width, height = (pl.col(name) for name in _SIDES)
    inside = (
        (left >= 0) & (top >= 0) & (right > left) & (bottom > top) & (right <= width) & (bottom <= height)
    )
    sure = read_numbers(table["confidence"], most=1)
    frame = sides.with_columns(category=table["label"].fill_null("animal"), conf=sure)
    box = pl.struct(
        "category",
        "conf",
        (left / width).alias("x"),
        (top / height).alias("y"),
        ((right - left) / width).alias("width"),
        ((bottom - top) / height).alias("height"),
    )
    return frame.select(pl.when(inside & pl.col("conf").is_between(0, 1)).then(box).alias("box"))["box"]
