"""MegaDetector's batch format: boxes, joined onto a catalog by file name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import JsonValue

from trapline.catalog import BOX, Catalog, JoinedBoxes, as_foreign_text
from trapline.errors import DataError, many
from trapline.formats.detections import (
    categories_by_id,
    category_of,
    confidence_of,
    detections_of,
    is_verified,
)
from trapline.formats.json_file import as_number, id_text, json_start, read_json_object
from trapline.formats.naming import match_names
from trapline.formats.readers.draft import Draft, add_reading
from trapline.formats.readers.on_disk import look_up_paths
from trapline.formats.readers.registry import reader
from trapline.tables import Reading, RejectedRow, note, open_reading, reject
from trapline.taxonomy import BLANK

_TAIL = 2**20

Boxes = list[dict[str, Any]] | None
_OUTSIDE = 0.01  # detectors round; what is further outside than this was never a fraction of the image


def _recognise(source: Path) -> str | None:
    if not source.is_file() or not (keys := json_start(source)):
        return None
    with source.open("rb") as file:
        file.seek(max(0, source.stat().st_size - _TAIL))
        keys += file.read().replace(b"\0", b"").decode(errors="ignore")  # the categories may stand last
    known = '"detection_categories"' in keys and '"images"' in keys
    return "it is JSON with MegaDetector's detection_categories" if known else None


@reader("megadetector", recognise=_recognise, rank=-1)
def read_megadetector(source: Path, *, root: Path | str | None = None) -> Draft:
    """MegaDetector's batch file by itself: its photos and their boxes; it has no locations.

    Where the photos are at hand, their folder with `--boxes` tells more: times, cameras, locations, and the
    photos that the file does not name. Photos on which the detector failed have null for boxes. What a
    classifier says in the file is no label (`trapline predictions` reads it), but what a person verified in
    AddaxAI is one.

    Args:
        source: the JSON file.
        root: the folder that the paths start from, instead of the file's own.

    Raises:
        DataError: not a MegaDetector batch file, or a photo is named twice with other boxes.
    """
    document = _read_document(source)
    entries = _usable_entries(source, document["images"])
    boxes = _boxes(entries, document["detection_categories"])
    folder = source.parent if root is None else Path(root)
    names = pl.Series("file_path", [entry["file"] for entry in entries], pl.String)
    paths, notes = look_up_paths(names, folder, source, asked=root is not None)
    table = pl.DataFrame(
        {
            "file_path": paths,
            "media_id": paths,
            "boxes": pl.Series(boxes, dtype=pl.List(BOX)),
            "_place": pl.Series([entry["_place"] for entry in entries], dtype=pl.String),
            "_time_text": pl.Series([_text(entry.get("datetime")) for entry in entries], dtype=pl.String),
        }
    )
    labels = [_verified_labels(entry, document) for entry in entries]
    if any(labels):
        table = table.with_columns(pl.Series("labels", labels, pl.List(pl.String)))
        people = len(labels) - labels.count(None)
        notes.append(
            f"labels of people: {people:,} of {many(len(labels), 'photo was')} verified by one, in AddaxAI"
        )
    table = _one_row_a_photo(table)
    info = document.get("info")
    info = info if isinstance(info, dict) else {}
    failed = sum(detections_of(entry) is None for entry in entries)
    notes += [f"on {many(failed, 'photo')} the detector failed: no boxes"] if failed else []
    no_labels = "no locations" if any(labels) else "no labels and no locations"
    notes.append(
        f"a detector's file has {no_labels}, and is all that was read: the folder of the "
        f"photos with --boxes {source.name} has their times and folders too"
    )
    if document.get("classification_categories"):
        notes.append("what a classifier says in it is no label: `trapline predictions` reads it")
    own: dict[str, JsonValue] = {
        key: as_foreign_text(info.get(key)) for key in ("detector", "format_version") if info.get(key)
    }
    return Draft(table, folder, f"MegaDetector {source.name}", notes=notes, others={"megadetector": own})


def _verified_labels(entry: dict[str, Any], document: dict[str, Any]) -> list[str] | None:
    """What a person who verified an image or detections of it says they are; None where nobody did."""
    detections = detections_of(entry)
    if detections is None:
        return None
    sure = [detection for detection in detections if is_verified(entry, detection)]
    if not detections and is_verified(entry):
        return [BLANK]
    classes = document.get("classification_categories")
    labels = []
    for detection in sure:
        try:
            best = max(detection.get("classifications") or (), key=lambda pair: pair[1], default=None)
            name = None if best is None or not isinstance(classes, dict) else classes.get(id_text(best[0]))
            labels.append(as_foreign_text(name) or category_of(detection, document["detection_categories"]))
        except (AttributeError, KeyError, IndexError, TypeError, ValueError):
            continue  # its box is listed as a wrong detection
    return list(dict.fromkeys(labels)) or None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _one_row_a_photo(table: pl.DataFrame) -> pl.DataFrame:
    """Of a photo that is named again, as after a run that failed, the boxes that were found."""
    photo = pl.col("file_path")
    differs = table.filter(pl.col("boxes").drop_nulls().n_unique().over(photo) > 1)
    if differs.height:
        raise DataError(
            f"{differs['_place'][-1]} is there more than once, with other boxes. Keep the one that holds."
        )
    more = table.height - table["file_path"].n_unique()
    if not more:
        return table
    note(f"{many(more, 'entry names')} a photo that another names too: taken as one")
    return table.group_by("file_path", maintain_order=True).agg(pl.all().drop_nulls().first())


def join_boxes(catalog: Catalog, path: Path | str, *, strict: bool = False) -> Catalog:
    """Put the boxes of a MegaDetector batch file (format 1.2 to 1.6) into a catalog.

    File names are matched as `match_names` does. Media that the file does not name, and those on which the
    detector failed, keep the boxes they had (null where there were none); `facts.boxes` counts both. Names in
    the file that are no media of the catalog are counted too, and apart from them entries of videos, whose
    boxes are of frames. Low confidences are kept: what to use is the crop's choice. Of a media that is named
    again, as where a run that failed was done again, the boxes count that were found; a box whose confidence
    is no number, or that is not inside the image, and an entry without a file are left out, and listed among
    the facts' rejected rows. Where no box of a media is left it keeps what it had: that nothing was found was
    not said.

    Args:
        catalog: the media.
        path: the JSON file.
        strict: refuse such a box, and an entry without a file.

    Raises:
        DataError: not a MegaDetector batch file, no name that matches, a name that matches several media,
            or a media that is named twice with other boxes; the entry is named.
    """
    with open_reading(Reading(strict=strict)) as reading:
        joined = _join_boxes(catalog, Path(path))
    return replace(joined, facts=add_reading(joined.facts, reading))


def _join_boxes(catalog: Catalog, path: Path) -> Catalog:
    from trapline.images import is_video

    document = _read_document(path)
    entries = _usable_entries(path, document["images"])
    files = [str(entry["file"]) for entry in entries]
    paths = catalog.table["file_path"].unique(maintain_order=True).to_list()
    of_video = [is_video(name) for name in files]
    matched_rows = match_names(paths, files, path)
    indices = [None if video else row for row, video in zip(matched_rows, of_video, strict=True)]
    boxes = _boxes(entries, document["detection_categories"])
    of_path: dict[str, Boxes] = {}
    for number, (index, own) in enumerate(zip(indices, boxes, strict=True)):
        if index is None:
            continue
        before = of_path.get(paths[index])
        if before is not None and own is not None and before != own:
            raise DataError(
                f"{path}: images[{number}] ({files[number]}) is there more than once, with other boxes. "
                "Keep the one that holds."
            )
        of_path[paths[index]] = own if before is None else before
    schema = {"file_path": pl.String(), "_found": pl.List(BOX)}
    boxes_of_path = pl.DataFrame(
        {"file_path": list(of_path), "_found": list(of_path.values())}, schema=schema
    ).with_columns(_named=True)
    joined = catalog.table.join(boxes_of_path, on="file_path", how="left", maintain_order="left")
    named = joined["_named"].fill_null(False)
    matched = int(named.sum())
    info = document.get("info")
    info = info if isinstance(info, dict) else {}
    boxes_facts = JoinedBoxes(
        file=path.name,
        detector=as_foreign_text(info.get("detector")),
        format_version=as_foreign_text(info.get("format_version")),
        matched=matched,
        failed=int((named & joined["_found"].is_null()).sum()),
        media_not_in_file=len(catalog) - matched,
        names_not_in_catalog=indices.count(None) - sum(of_video),
        videos=sum(of_video),
    )
    facts = replace(catalog.facts, boxes=boxes_facts)
    filled = joined.with_columns(pl.coalesce("_found", "boxes").alias("boxes")).drop("_found", "_named")
    return catalog.with_table(filled, facts)


def _read_document(path: Path) -> dict[str, Any]:
    """The file's JSON, with its categories as names by id.

    Raises:
        DataError: it is not MegaDetector's batch format.
    """
    document = read_json_object(path)
    for key in ("detection_categories", "classification_categories"):
        if key in document:
            document[key] = categories_by_id(document[key])
    _check_form(path, document)
    return document


def _check_form(path: Path, document: dict[str, Any]) -> None:
    wrong = f"{path} is not in MegaDetector's batch format"
    hint = "Make the file with MegaDetector's run_detector_batch, or convert it to that format."
    if isinstance(document.get("annotations"), list) and "images" not in document:
        hint = (
            "If it is PyTorch-Wildlife's, save its detections with save_detection_timelapse_json instead of "
            "save_detection_json: that is MegaDetector's format. As it is, `trapline predictions` reads it."
        )
    for key, kind in (("images", list), ("detection_categories", dict)):
        if key in document and not isinstance(document[key], kind):
            raise DataError(
                f"{wrong}: its '{key}' are no {'list' if kind is list else 'names by id'}. {hint}"
            )
        if key not in document:
            raise DataError(f"{wrong}: it lacks '{key}'; it has: {', '.join(map(str, document))}. {hint}")
    if not all(isinstance(name, str) for name in document["detection_categories"].values()):
        raise DataError(f"{wrong}: the detection_categories are not names.")


def _usable_entries(path: Path, entries: list[Any]) -> list[dict[str, Any]]:
    usable, wrong = [], []
    for number, entry in enumerate(entries):
        where = f"{path.name} images[{number}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
            wrong.append(RejectedRow(where, "has no 'file'"))
            continue
        entry["_place"] = f"{where} ({entry['file']})"
        if detections_of(entry) is not None or entry.get("failure"):
            usable.append(entry)
        else:
            wrong.append(RejectedRow(entry["_place"], "has neither detections nor a failure"))
    reject(wrong, len(wrong), of=len(entries))
    return usable


def _boxes(entries: Sequence[dict[str, Any]], categories: dict[str, str]) -> list[Boxes]:
    """The boxes of each entry as the catalog writes them; None where it failed, or none of them is one."""
    boxes: list[Boxes] = []
    wrong: list[RejectedRow] = []
    for entry in entries:
        detections = detections_of(entry)
        own: list[dict[str, Any]] = []
        for detection in detections or ():
            try:
                own.append(_box(detection, categories))
            except ValueError as error:
                wrong.append(RejectedRow(entry["_place"], f"has a wrong detection: {error}"))
        boxes.append(None if detections is None or len(own) < bool(detections) else own)
    reject(wrong, len(wrong), of=len(wrong) + sum(len(own) for own in boxes if own))
    return boxes


def _box(detection: Any, categories: dict[str, str]) -> dict[str, Any]:
    if not isinstance(detection, dict) or not {"category", "conf", "bbox"} <= set(detection):
        raise ValueError("it lacks category, conf or bbox")
    confidence, sides = confidence_of(detection), detection["bbox"]
    category = category_of(detection, categories)
    numbers = [as_number(side) for side in sides] if isinstance(sides, list) else []
    if len(numbers) != 4 or None in numbers:
        raise ValueError("its bbox is not four numbers")
    x, y, width, height = (float(number or 0) for number in numbers)
    right, bottom = x + width, y + height
    if not (min(x, y) >= -_OUTSIDE and max(right, bottom) <= 1 + _OUTSIDE and min(width, height) >= 0):
        raise ValueError(f"bbox {json.dumps(sides)} is not [x, y, width, height] as fractions of the image")
    x, y = max(x, 0.0), max(y, 0.0)
    return {
        "category": category,
        "conf": confidence,
        "x": x,
        "y": y,
        "width": min(right, 1.0) - x,
        "height": min(bottom, 1.0) - y,
    }
