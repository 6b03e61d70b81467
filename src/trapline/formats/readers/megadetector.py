"""MegaDetector's batch format: boxes, joined onto a catalog by file name."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from trapline.catalog import BOX, Catalog, JoinedBoxes, as_foreign_text, as_text
from trapline.errors import DataError
from trapline.formats.json_file import read_json_object

_OUTSIDE = 0.01  # detectors round; what is further outside than this was never a fraction of the image


def join_boxes(catalog: Catalog, path: Path | str) -> Catalog:
    """Put the boxes of a MegaDetector batch file (format 1.2 to 1.6) into a catalog.

    File names are matched from their ends, folder by folder: the file's may lack leading folders that the
    catalog's have, or have more. They are compared to the letter; where that finds nothing with
    backslashes as slashes, then with accents in one form (NFC), then without regard to case: each only
    where one media alone can be meant, and it is no other name's. Media that the file does not name,
    and those on which the detector failed, keep the boxes they had (null where there were none);
    `facts.boxes` counts both. Names in the file that are no media of the catalog are counted too. Low
    confidences are kept: what to use is the crop's choice.

    Args:
        catalog: the media.
        path: the JSON file.

    Raises:
        DataError: not a MegaDetector batch file, a box that is not inside the image, no name that matches,
            or a name that matches several media; the entry is named.
    """
    path = Path(path)
    document = read_json_object(path)
    _check_form(path, document)
    entries = document["images"]
    files = [str(entry["file"]) for entry in entries]
    paths = catalog.table["file_path"].unique(maintain_order=True).to_list()
    indices = _match(paths, files, path)
    boxes = _boxes(path, entries, document["detection_categories"])
    boxes_of_path = pl.DataFrame(
        {
            "file_path": [None if index is None else paths[index] for index in indices],
            "_found": pl.Series(boxes, dtype=pl.List(BOX)),
            "_named": True,
        },
        schema_overrides={"file_path": pl.String},
    ).drop_nulls("file_path")
    joined = catalog.table.join(boxes_of_path, on="file_path", how="left", maintain_order="left")
    named = joined["_named"].fill_null(False)
    matched = int(named.sum())
    info = document.get("info")
    info = info if isinstance(info, dict) else {}
    facts = JoinedBoxes(
        file=path.name,
        detector=as_foreign_text(info.get("detector")),
        format_version=as_foreign_text(info.get("format_version")),
        matched=matched,
        failed=int((named & joined["_found"].is_null()).sum()),
        media_not_in_file=len(catalog) - matched,
        names_not_in_catalog=indices.count(None),
    )
    filled = joined.with_columns(pl.coalesce("_found", "boxes").alias("boxes")).drop("_found", "_named")
    return catalog.with_table(filled, replace(catalog.facts, boxes=facts))


def _check_form(path: Path, document: dict[str, Any]) -> None:
    wrong = f"{path} is not in MegaDetector's batch format"
    for key, kind in (("images", list), ("detection_categories", dict)):
        if not isinstance(document.get(key), kind):
            raise DataError(
                f"{wrong}: it lacks '{key}'; it has: {', '.join(map(str, document))}. Make the file with "
                "MegaDetector's run_detector_batch, or convert it to that format."
            )
    if not all(isinstance(name, str) for name in document["detection_categories"].values()):
        raise DataError(f"{wrong}: the detection_categories are not names.")
    for number, entry in enumerate(document["images"]):
        if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
            raise DataError(f"{wrong}: images[{number}] has no 'file'.")
        detections = entry.get("detections")
        if not isinstance(detections, list) and not (detections is None and entry.get("failure")):
            raise DataError(
                f"{wrong}: images[{number}] ({entry['file']}) has neither detections nor a failure."
            )


def _normalise_path(name: str) -> str:
    """As a detector on Linux writes what is on the disk: a backslash is part of a name."""
    return name.replace("\\", as_text("\\")).removeprefix("./")


def _slashes(name: str) -> str:
    return re.sub(r"/+", "/", name.replace("\\", "/")).removeprefix("./")


def _compose(name: str) -> str:
    """As `_slashes`, and accents that a Mac writes behind their letters with these."""
    return unicodedata.normalize("NFC", _slashes(name))


def _fold_case(name: str) -> str:
    return _compose(name).casefold()


_FORMS: tuple[Callable[[str], str], ...] = (_normalise_path, _slashes, _compose, _fold_case)
"""In which names are compared, one after the other: what is the same to the letter is the same before what is
the same on a disk that does not tell accents or cases apart."""


def _match(catalog: Sequence[str], files: Sequence[str], path: Path) -> list[int | None]:
    """For each name of the file the index of its path in `catalog`; None where it has none.

    A media that a name has in a stricter form is none's in a looser one.
    """
    rows: list[int | None] = [None] * len(files)
    owner: dict[int, int] = {}
    for form in _FORMS:
        left = [number for number, row in enumerate(rows) if row is None]
        if not left:
            break
        here = catalog if form is _normalise_path else [form(name) for name in catalog]
        matches = _match_form(here, {number: form(files[number]) for number in left}, owner, path)
        for number, row in matches.items():
            rows[number] = row
            owner[row] = number
    if not owner:
        example = f"{files[0]!r} there, {catalog[0]!r} here" if files else "it names no file"
        raise DataError(f"{path} names no media of the catalog: {example}.")
    return rows


def _match_form(
    catalog: Sequence[str], files: Mapping[int, str], taken: Mapping[int, int], path: Path
) -> dict[int, int]:
    """Number of a name → index in `catalog`, both in one form; media that are taken are not found."""
    by_name: dict[str, list[int]] = {}
    whole: dict[str, list[int]] = {}
    for index, name in enumerate(catalog):
        if index not in taken:
            by_name.setdefault(name.rsplit("/", 1)[-1], []).append(index)
            whole.setdefault(name, []).append(index)
    rows: dict[int, int] = {}
    owner: dict[int, int] = {}
    for number, name in files.items():
        fits = whole.get(name) or _match_by_end(catalog, by_name.get(name.rsplit("/", 1)[-1], []), name)
        if len(fits) > 1:
            several = ", ".join(catalog[row] for row in fits[:4])
            raise DataError(
                f"{path}: images[{number}] ({name}) could be any of {len(fits)} media: {several}. Name files "
                "in it with their folders, and in upper and lower case, as in the catalog."
            )
        for row in fits:
            if row in owner:
                raise DataError(
                    f"{path}: images[{owner[row]}] ({files[owner[row]]}) and images[{number}] ({name}) "
                    f"both match the media {catalog[row]}. Name files in it as in the catalog."
                )
            rows[number], owner[row] = row, number
    return rows


def _match_by_end(catalog: Sequence[str], rows: Sequence[int], name: str) -> list[int]:
    """The media whose path ends like `name`, or that `name` ends like."""
    return [
        row
        for row in rows
        if f"/{catalog[row]}".endswith(f"/{name}") or f"/{name}".endswith(f"/{catalog[row]}")
    ]


def _boxes(
    path: Path, entries: Sequence[dict[str, Any]], categories: dict[str, str]
) -> list[list[dict[str, Any]] | None]:
    """The boxes of each entry as the catalog writes them; None where the detector failed."""
    boxes: list[list[dict[str, Any]] | None] = []
    for number, entry in enumerate(entries):
        try:
            detections = entry.get("detections")
            boxes.append(None if detections is None else [_box(d, categories) for d in detections])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"{path}: images[{number}] ({entry['file']}) has a wrong detection: {error}"
            ) from error
    return boxes


def _box(detection: dict[str, Any], categories: dict[str, str]) -> dict[str, Any]:
    category = str(detection["category"])
    if category not in categories:
        raise ValueError(f"the category '{category}' is not among the detection_categories")
    x, y, width, height = (float(number) for number in detection["bbox"])
    right, bottom = x + width, y + height
    if not (min(x, y) >= -_OUTSIDE and max(right, bottom) <= 1 + _OUTSIDE and min(width, height) >= 0):
        raise ValueError(
            f"bbox {json.dumps(detection['bbox'])} is not [x, y, width, height] as fractions of the image"
        )
    x, y = max(x, 0.0), max(y, 0.0)
    return {
        "category": categories[category],
        "conf": float(detection["conf"]),
        "x": x,
        "y": y,
        "width": min(right, 1.0) - x,
        "height": min(bottom, 1.0) - y,
    }
