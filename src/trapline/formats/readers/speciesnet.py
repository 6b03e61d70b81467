"""SpeciesNet's JSON as catalogs: instances, or predictions with the detector's boxes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import JsonValue

from trapline.catalog import BOX
from trapline.errors import DataError, many
from trapline.formats.detections import confidence_of
from trapline.formats.json_file import as_number, id_text, keys_at_the_start, read_json_object
from trapline.formats.readers.draft import Draft
from trapline.formats.readers.registry import reader
from trapline.tables import RejectedRow, note, reject

_WHOLE_IMAGE = "0"  # SpeciesNet 5's detection that stands for the whole photo
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CATEGORIES = {"1": "animal", "2": "person", "3": "vehicle"}
_COPIED = {"prediction": str, "prediction_score": float, "country": str, "admin1_region": str}
_OUTSIDE = 0.01


def _recognise(source: Path) -> str | None:
    if not source.is_file():
        return None
    key = next((key for key in keys_at_the_start(source)[0] if key in ("predictions", "instances")), None)
    return f"it is JSON with '{key}'" if key else None


@reader("speciesnet", recognise=_recognise)
def read_speciesnet(source: Path, *, root: Path | str | None = None) -> Draft:
    """SpeciesNet JSON: predictions (boxes, and what it predicted), or instances (paths and locations).

    Both layouts are read: one prediction a photo (SpeciesNet up to 4), and one a detection (5). What
    SpeciesNet predicted is no label: it is kept in the columns `speciesnet_prediction` and
    `speciesnet_prediction_score`, of several detections the surest. Entries that are URLs are left out,
    and counted.

    Args:
        source: the JSON file.
        root: the folder that the paths start from, instead of the file's own.

    Raises:
        DataError: not of this form, or every entry has no path or a wrong box; the first is named.
    """
    document = read_json_object(source)
    key = next((key for key in ("predictions", "instances") if isinstance(document.get(key), list)), None)
    if key is None:
        raise DataError(
            f"{source} is no SpeciesNet JSON: it has neither 'predictions' nor 'instances' but: "
            f"{', '.join(map(str, document))}."
        )
    rows, wrong, boxless, urls, failed = [], [], [], 0, 0
    for number, entry in enumerate(document[key]):
        where = f"{source.name} {key}[{number}]"
        try:
            row = _row(entry, where)
        except ValueError as error:
            wrong.append(RejectedRow(where, str(error)))
            continue
        row["boxes"], bad = _boxes(entry)
        boxless += [RejectedRow(where, f"has a wrong detection: {reason}") for reason in bad]
        if _URL.match(entry["filepath"]):
            urls += 1
            continue
        failed += bool(entry.get("failures"))
        rows.append(row)
    reject(wrong, len(wrong), of=len(document[key]))
    reject(boxless, len(boxless), of=len(boxless) + 1)
    schema = {"file_path": pl.String(), "boxes": pl.List(BOX), "_place": pl.String()}
    schema |= {
        f"speciesnet_{name}": pl.Float64() if kind is float else pl.String() for name, kind in _COPIED.items()
    }
    table = pl.DataFrame(rows, schema=schema).with_columns(pl.col("file_path").alias("media_id"))
    table = _one_row_a_photo(table)
    empty = [name for name in table.columns if name.startswith("speciesnet_") and table[name].is_null().all()]
    notes = [f"{many(urls, 'entry')} left out: URLs, not files"] if urls else []
    if failed:
        notes.append(f"on {many(failed, 'photo')} a part of SpeciesNet failed")
    folder = source.parent if root is None else Path(root)
    own: dict[str, JsonValue] = {"entries": len(document[key]), "left_out_as_urls": urls, "failed": failed}
    return Draft(
        table.drop(empty), folder, f"SpeciesNet {source.name}", notes=notes, others={"speciesnet": own}
    )


def _one_row_a_photo(table: pl.DataFrame) -> pl.DataFrame:
    """Of a photo that is there again with the same words, as after a run that was done again, one row."""
    once = table.unique(
        [name for name in table.columns if name != "_place"], keep="first", maintain_order=True
    )
    if once.height < table.height:
        more = table.height - once.height
        note(f"{many(more, 'entry says')} the same of a photo as another does: taken as one")
    return once


def _row(entry: Any, where: str) -> dict[str, Any]:
    if not isinstance(entry, dict) or not isinstance(entry.get("filepath"), str) or not entry["filepath"]:
        raise ValueError("has no 'filepath'")
    if not isinstance(entry.get("detections"), list | None):
        raise ValueError("has detections that are no list")
    row: dict[str, Any] = {"file_path": entry["filepath"], "_place": where}
    entry = {**_surest_label(entry), **entry}
    for name, kind in _COPIED.items():
        value = entry.get(name)
        try:
            row[f"speciesnet_{name}"] = None if value is None else kind(value)
        except (TypeError, ValueError):
            raise ValueError(f"has the {name} {value!r}") from None
    return row


def _surest_label(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The prediction of the detection that SpeciesNet 5 is surest of; nothing where none was classified."""
    candidates: list[tuple[float, str]] = []
    for detection in entry.get("detections") or ():
        with suppress(AttributeError, IndexError, KeyError, TypeError, ValueError):  # said of its box
            processed, raw = detection.get("processed_classification"), detection.get("raw_classifications")
            if processed is not None:
                candidates.append((float(processed["score"]), str(processed["class"])))
            elif raw is not None:
                candidates.append((float(raw["scores"][0]), str(raw["classes"][0])))
    if not candidates:
        return {}
    score, name = max(candidates)
    return {"prediction": name, "prediction_score": score}


def _boxes(entry: Mapping[str, Any]) -> tuple[list[dict[str, Any]] | None, list[str]]:
    """The boxes of an entry, and what is wrong with others.

    None where no detector was run, where it failed, and where none of them is a box.
    """
    detections = entry.get("detections")
    if detections is None:
        return None, []
    boxes: list[dict[str, Any]] = []
    wrong: list[str] = []
    for detection in detections:
        try:
            if id_text(detection["category"]) != _WHOLE_IMAGE:
                boxes.append(_box(detection))
        except ValueError as error:
            wrong.append(str(error))
        except (KeyError, TypeError):
            wrong.append("it lacks category, conf or bbox")
    nothing = not boxes and (wrong or "DETECTOR" in (entry.get("failures") or ()))
    return None if nothing else boxes, wrong


def _box(detection: Mapping[str, Any]) -> dict[str, Any]:
    confidence, sides = confidence_of(detection), detection["bbox"]
    numbers = [as_number(side) for side in sides] if isinstance(sides, list) else []
    if len(numbers) != 4 or None in numbers:
        raise ValueError("its bbox is not four numbers")
    x, y, width, height = (float(number or 0) for number in numbers)
    if min(x, y) < -_OUTSIDE or max(x + width, y + height) > 1 + _OUTSIDE or min(width, height) < 0:
        raise ValueError(f"bbox {sides} is not [x, y, width, height] as fractions of the image")
    left, top = max(x, 0.0), max(y, 0.0)
    category = id_text(detection["category"]) or ""
    return {
        "category": _CATEGORIES.get(category, str(detection.get("label", category))),
        "conf": confidence,
        "x": left,
        "y": top,
        "width": min(x + width, 1.0) - left,
        "height": min(y + height, 1.0) - top,
    }
