"""COCO Camera Traps JSON, the format of LILA's data sets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import JsonValue

from trapline.catalog import BOX, is_box
from trapline.errors import DataError, many
from trapline.formats.json_file import as_number, id_text, keys_at_the_start, read_json_object
from trapline.formats.readers.draft import Draft
from trapline.formats.readers.on_disk import look_up_paths, look_up_renamed
from trapline.formats.readers.registry import reader
from trapline.tables import (
    MOST_KEPT,
    RejectedRow,
    describe_lines,
    mark_missing,
    note,
    reject,
    reject_rows,
    rename_columns,
)

_BOXES = ("bbox", "bbox_relative")
_EDGES = ("_left", "_top", "_right", "_bottom")
_MOST_FRAMES = 2**53
_OUTSIDE = 0.01  # pixels are rounded; what is further outside than this share is clipped and counted
_EXPORTED = "coco_date_captured"
_RENAMED = {
    "id": "media_id",
    "file_name": "file_path",
    "location": "location_id",
    "seq_id": "event_id",
    "frame_num": "frame",
    "datetime": "_time_text",
    "date_captured": "_time_text",
}


def _recognise(source: Path) -> str | None:
    keys, text = keys_at_the_start(source) if source.is_file() else ([], "")
    if '"img_id"' in text:
        return None  # PyTorch-Wildlife's
    if "annotations" in keys or ("images" in keys and re.search(r'"file_name"\s*:', text)):
        return "it is JSON with COCO's keys"
    return None


@reader("coco_camera_traps", recognise=_recognise)
def read_coco_camera_traps(
    source: Path,
    *,
    root: Path | str | None = None,
    classified_by: Literal["human", "machine", "all"] = "human",
) -> Draft:
    """COCO Camera Traps JSON: images, categories by name, boxes in pixels, sequences, locations.

    Args:
        source: the JSON file.
        root: the folder that the paths start from, instead of the file's own.
        classified_by: whose annotations become labels: those of people, which have no `score`, of machines,
            or all.

    Returns:
        Several annotations of an image are several labels; an image without any is not labelled. Categories
        are known by their *names*: `empty` is blank whatever its number, and a number 0 called Bird is a
        bird. Two categories of one name are one label. Boxes become fractions, with the label's name as
        category and its `score` as conf, 1 where it has none; an image without one has null; `bbox_relative`
        is in fractions already. A box that cannot be one is listed and left out; its label is read.
        `sequence_level` says that a label was given to the whole sequence. A `date_captured` that all images
        share, or that is when the file was made, is no time of capture: it is kept in the column
        `coco_date_captured`.
        Files are looked for by the ends of their paths where these are another computer's, and by the names
        that they had before Label Studio or Roboflow gave them theirs.

    Annotations that name an image or category that does not exist, and images without a file cannot be used.

    Raises:
        DataError: a key is missing, or two categories or images have one id; the entry is named.
    """
    document = read_json_object(source)
    images = _table(source, document, "images", ("id", "file_name"))
    annotations = document.get("annotations") or []
    named = bool(annotations) or "categories" in document
    categories, notes = _categories(source, document) if named else ({}, [])
    info = document.get("info")
    info = info if isinstance(info, dict) else {}
    rows = _rows(source, _without_export_date(source, images, info))
    folder = source.parent if root is None else Path(root)
    rows, more = _on_disk(rows, folder, source, asked=root is not None)
    notes += more
    if annotations:
        table = _table(source, document, "annotations", ("image_id", "category_id"))
        table, more = _count_whose(table, classified_by)
        notes += more
        joined, more = _join_annotations(source, rows, images, table, categories)
        rows, notes = joined, notes + more
    own: dict[str, JsonValue] = {
        key: str(info[key]) for key in ("description", "version", "contributor") if info.get(key)
    }
    return Draft(
        rows,
        folder,
        f"COCO Camera Traps {source.name}",
        notes=notes,
        others={"coco_info": own},
    )


def _table(source: Path, document: dict[str, Any], key: str, needed: tuple[str, ...]) -> pl.DataFrame:
    entries = document.get(key)
    if not isinstance(entries, list) or (entries and not any(isinstance(entry, dict) for entry in entries)):
        raise DataError(
            f"{source} is not COCO Camera Traps: '{key}' is no list of objects; "
            f"it has: {', '.join(document)}."
        )
    if not entries:
        raise DataError(f"{source} names no {key}.")
    objects = [entry if isinstance(entry, dict) else {} for entry in entries]
    names = dict.fromkeys(name for entry in objects for name in entry)
    columns = [_column(name, [entry.get(name) for entry in objects]) for name in (*names, *needed)]
    table = pl.DataFrame({column.name: column for column in columns})
    texts = [name for name, kind in table.schema.items() if kind == pl.String]
    table = mark_missing(table.with_columns(pl.col(texts).replace("", None)), texts, source.name)
    table = table.with_columns(
        pl.format("{} {}[{}]", pl.lit(source.name), pl.lit(key), pl.int_range(pl.len())).alias("_place")
    )
    for name in needed:
        table = reject_rows(table, pl.col(name).is_null(), f"has no '{name}'")
    for key_of_box in (name for name in _BOXES if name in names):
        odd = [number for number, entry in enumerate(objects) if not _is_bbox(entry.get(key_of_box))]
        wrong = pl.col("_place").str.extract(r"(\d+)\]$").cast(pl.Int64).is_in(odd)
        table = _leave_out_boxes(table, wrong, f"has a {key_of_box} that is not four numbers", (key_of_box,))
    return table


def _leave_out_boxes(rows: pl.DataFrame, bad: pl.Expr, reason: str, boxes: Sequence[str]) -> pl.DataFrame:
    """Rows that have no box where it cannot be one, which is listed: what is said of the image stays."""
    flags = rows.select(bad.fill_null(False).alias("bad"))["bad"]
    count = int(flags.sum())
    if not count:
        return rows
    wheres = describe_lines(rows.filter(flags).head(MOST_KEPT))
    listed = [RejectedRow(where, f"{reason}: its label is read, its box is not") for where in wheres]
    reject(listed, count, of=count + 1)
    return rows.with_columns(pl.when(~pl.lit(flags)).then(name).alias(name) for name in boxes)


def _count_whose(
    annotations: pl.DataFrame, classified_by: Literal["human", "machine", "all"]
) -> tuple[pl.DataFrame, list[str]]:
    """Add `_counts`, which annotations become labels, and `_conf`; and what to say of a machine's.

    Detectors, classifiers and the tools that carry their answers write a score; people do not.
    """
    score = pl.col("score") if "score" in annotations.columns else pl.lit(None)
    conf = score.cast(pl.Float64, strict=False)
    by_machine = conf.is_not_null()
    counts = {"human": ~by_machine, "machine": by_machine, "all": pl.lit(value=True)}[classified_by]
    table = annotations.with_columns(counts.alias("_counts"), conf.fill_null(1.0).alias("_conf"))
    boxes = [name for name in _BOXES if name in table.columns]
    table = _leave_out_boxes(
        table, ~pl.col("_conf").is_between(0, 1), "has a score that is not in 0 to 1", boxes
    )
    machine = int(table.select(by_machine.sum()).item())
    if classified_by != "human" or not machine:
        return table, []
    return table, [
        f"{many(machine, 'annotation has')} a score, so they are a model's: their boxes are read, and no "
        "labels are made of them (--classified-by machine, or all, makes some; `trapline predictions` reads "
        "them)"
    ]


def _is_bbox(value: Any) -> bool:
    """Whether an annotation has four numbers, or no box: some write none as an empty list."""
    if value is None or value == []:
        return True
    return isinstance(value, list) and len(value) == 4 and None not in map(as_number, value)


def _column(name: str, values: list[Any]) -> pl.Series:
    """Numbers, truths and boxes as they are; ids, and whatever is mixed or nested, as text."""
    if name not in ("id", "image_id", "category_id", "location", "seq_id", "file_name"):
        if name in _BOXES:
            boxes = [[*map(as_number, value)] if value and _is_bbox(value) else None for value in values]
            return pl.Series(name, boxes, pl.List(pl.Float64), strict=False)
        if name in ("datetime", "date_captured"):  # CVAT writes 0 for no date
            values = [value or None for value in values]
            return pl.Series(name, [id_text(value) for value in values], pl.String)
        kinds = {type(value) for value in values if value is not None}
        if kinds in ({int}, {float}, {int, float}, {bool}):
            return pl.Series(name, values, strict=False)
    return pl.Series(name, [id_text(value) for value in values], pl.String)


def _categories(source: Path, document: dict[str, Any]) -> tuple[dict[str, str], list[str]]:
    """The name of each category by its id as text."""
    table = _table(source, document, "categories", ("id", "name"))
    names: dict[str, str] = {}
    for key, name in zip(table["id"], (str(name).strip() for name in table["name"]), strict=True):
        if names.setdefault(key, name) != name:
            raise DataError(f"{source}: the id {key} in categories is both '{names[key]}' and '{name}'.")
    notes = []
    for name, count in Counter(names.values()).items():
        if count > 1:
            ids = " and ".join(sorted(key for key, other in names.items() if other == name))
            notes.append(f"the categories {ids} are both called '{name}': taken as one label")
    return names, notes


def _without_export_date(source: Path, images: pl.DataFrame, info: dict[str, Any]) -> pl.DataFrame:
    """The images without a `date_captured` that is when a tool wrote the file.

    Frames of one sequence may well share their time.
    """
    if "date_captured" not in images.columns:
        return images
    dates = images["date_captured"].drop_nulls().unique()
    sequences = images["seq_id"].fill_null("").unique().to_list() if "seq_id" in images.columns else [""]
    shared = images.height > 1 and (len(sequences) > 1 or sequences == [""])
    if len(dates) != 1 or not (shared or dates[0] == id_text(info.get("date_created"))):
        return images
    note(
        f"{source.name}: date_captured is '{dates[0]}' of all images, which is when the file was made and no "
        f"time of capture: kept in the column {_EXPORTED}"
    )
    return images.rename({"date_captured": _EXPORTED})


def _on_disk(rows: pl.DataFrame, root: Path, source: Path, *, asked: bool) -> tuple[pl.DataFrame, list[str]]:
    paths, notes = look_up_paths(rows["file_path"], root, source, asked=asked)
    paths, more = look_up_renamed(paths, root, source)
    return rows.with_columns(paths), notes + more


def _rows(source: Path, images: pl.DataFrame) -> pl.DataFrame:
    if "datetime" in images.columns and "date_captured" in images.columns:
        images = images.with_columns(pl.coalesce("datetime", "date_captured").alias("datetime")).drop(
            "date_captured"
        )
    rows = rename_columns(images, _RENAMED, source)
    if "frame" in rows.columns:
        rows = _read_frames(rows, source)
    return rows


def _read_frames(rows: pl.DataFrame, source: Path) -> pl.DataFrame:
    """Rows with `frame` as a whole number; null, and noted, where it is none."""
    numbers = rows["frame"].cast(pl.Float64, strict=False)
    whole = (numbers == numbers.round()) & (numbers.abs() < _MOST_FRAMES)
    odd = rows["frame"].filter(rows["frame"].is_not_null() & ~whole.fill_null(value=False))
    if len(odd):
        images = many(len(odd), "image")
        note(f"{source.name}: frame_num of {images} is no whole number: none, as of '{odd[0]}'")
    return rows.with_columns(pl.when(pl.lit(whole)).then(pl.lit(numbers)).cast(pl.Int64).alias("frame"))


def _join_annotations(
    source: Path,
    rows: pl.DataFrame,
    images: pl.DataFrame,
    annotations: pl.DataFrame,
    categories: dict[str, str],
) -> tuple[pl.DataFrame, list[str]]:
    named = annotations.with_columns(
        pl.col("category_id").replace_strict(categories, default=None, return_dtype=pl.String).alias("_label")
    )
    for key, strange, where in (
        ("category_id", pl.col("_label").is_null(), "categories"),
        ("image_id", ~pl.col("image_id").is_in(images["id"].implode()), "images"),
    ):
        reason = pl.format("has the {} {}, which is not among the {}", pl.lit(key), key, pl.lit(where))
        named = reject_rows(named, strange, reason)
    for name in _BOXES:
        if name not in named.columns:
            named = named.with_columns(pl.lit(None, pl.List(pl.Float64)).alias(name))
    sized = [name for name in ("width", "height") if name in images.columns]
    named = named.join(
        images.select("id", *(pl.col(name).cast(pl.Float64, strict=False) for name in sized)),
        left_on="image_id",
        right_on="id",
        how="left",
        maintain_order="left",
    )
    named, clipped = _fractions(named)
    wrong = pl.col("_box").is_not_null() & ~is_box(pl.col("_box"))
    named = _leave_out_boxes(named, wrong, "has a bbox of less than no width or height", ("_box",))
    together = named.group_by("image_id", maintain_order=True).agg(
        pl.col("_label").filter("_counts").unique(maintain_order=True).alias("labels"),
        pl.col("_box").drop_nulls().alias("boxes"),
        *(
            [pl.col("sequence_level_annotation").any().alias("sequence_level")]
            if "sequence_level_annotation" in named.columns
            else []
        ),
    )
    together = together.with_columns(
        pl.when(pl.col(name).list.len() > 0).then(pl.col(name)).alias(name) for name in ("labels", "boxes")
    )
    joined = rows.join(together, left_on="media_id", right_on="image_id", how="left", maintain_order="left")
    return joined, [f"{many(clipped, 'box')} clipped, past the image's edge"] if clipped else []


def _fractions(named: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Add `_box` in fractions of the image, clipped to it; and how many ran out by more than rounding."""
    pixels, relative = (pl.col(name).is_not_null() for name in _BOXES)
    if named.filter(pixels | relative).height == 0:
        return named.with_columns(pl.lit(None, BOX).alias("_box")), 0
    sized = [(pl.col(name) > 0).fill_null(False) for name in ("width", "height") if name in named.columns]
    unsized = ~pl.all_horizontal(sized) if len(sized) == 2 else pl.lit(value=True)
    named = _leave_out_boxes(
        named,
        pixels & ~relative & unsized,
        "has a bbox, but its image has no width and height in numbers to make fractions of it",
        ("bbox",),
    )
    size = [
        pl.col(name) if name in named.columns else pl.lit(None, pl.Float64) for name in ("width", "height")
    ]
    x, y, width, height = (
        pl.coalesce(
            pl.col("bbox_relative").list.get(number, null_on_oob=True),
            pl.col("bbox").list.get(number, null_on_oob=True) / size[number % 2],
        )
        for number in range(4)
    )
    edges = dict(zip(_EDGES, (x, y, x + width, y + height), strict=True))
    named = named.with_columns(edge.alias(name) for name, edge in edges.items())
    before = (pl.col("_left") > 1) | (pl.col("_right").is_between("_left", 0, closed="left"))
    above = (pl.col("_top") > 1) | (pl.col("_bottom").is_between("_top", 0, closed="left"))
    named = _leave_out_boxes(named, before | above, "has a bbox beside its image", (*_BOXES, *_EDGES))
    outside = pl.any_horizontal((pl.col(name) < -_OUTSIDE) | (pl.col(name) > 1 + _OUTSIDE) for name in _EDGES)
    clipped = named.filter(outside).height
    named = named.with_columns(pl.col(_EDGES).clip(0, 1))
    box = pl.struct(
        pl.col("_label").alias("category"),
        pl.col("_conf").alias("conf"),
        pl.col("_left").alias("x"),
        pl.col("_top").alias("y"),
        (pl.col("_right") - pl.col("_left")).alias("width"),
        (pl.col("_bottom") - pl.col("_top")).alias("height"),
    )
    return named.with_columns(pl.when(pixels | relative).then(box).alias("_box")), clipped
