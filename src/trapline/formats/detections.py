"""What an image's entry in MegaDetector's batch format says, for boxes and for answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trapline.formats.json_file import as_number, id_text

_ROUNDED = 1e-6
_USUAL = ("animal", "person", "vehicle")


def category_of(detection: Mapping[str, Any], categories: Mapping[str, str]) -> str:
    """The name of a detection's category; `Animal` is `animal`, by which crops are taken.

    Raises:
        ValueError: it is not among the categories.
    """
    key = id_text(detection["category"]) or ""
    if key not in categories:
        raise ValueError(f"the category '{key}' is not among the detection_categories")
    name = categories[key]
    return name.strip().lower() if name.strip().lower() in _USUAL else name


def categories_by_id(categories: object) -> object:
    """Categories as names by id, also where they are a list of both, as of MegaDetector's conversion of CSV.

    What has neither form, or an id twice, is handed back as it is, for the caller to refuse.
    """
    if not isinstance(categories, list) or not all(isinstance(one, dict) for one in categories):
        return categories
    named = {id_text(one.get("id")): one.get("name") for one in categories}
    return named if len(named) == len(categories) and None not in named else categories


def detections_of(entry: Mapping[str, Any]) -> list[Any] | None:
    """The detections of an image; None where it has no list of them, or an empty one because it failed."""
    detections = entry.get("detections")
    failed = bool(entry.get("failure")) and not detections
    return detections if isinstance(detections, list) and not failed else None


def confidence_of(detection: Mapping[str, Any]) -> float:
    """How sure a detector is of a detection, 0 to 1.

    Raises:
        ValueError: it is no number, or outside of that.
    """
    confidence = as_number(detection["conf"])
    if confidence is None or not 0 <= confidence <= 1 + _ROUNDED:
        raise ValueError(f"its conf is {detection['conf']!r}, no number from 0 to 1")
    return min(max(confidence, 0.0), 1.0)


def is_verified(entry: Mapping[str, Any], detection: object = None) -> bool:
    """Whether a person verified an image in AddaxAI (`manually_checked`), or one detection (`verified`).

    What the file says of it is that person's word then, and no model's any more.
    """
    own = isinstance(detection, dict) and detection.get("verified") is True
    return own or entry.get("manually_checked") is True
