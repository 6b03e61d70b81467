"""What a detector says of its boxes: categories by their usual names, what they stand for, how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trapline.taxonomy import Kind

CATEGORIES = {"1": "animal", "2": "person", "3": "vehicle"}
"""MegaDetector's numbers and names."""

SURE = 0.2
"""The confidence from which a box counts, as it does for crops unless a model says otherwise."""

_KINDS: dict[str, Kind] = {"animal": "animal", "person": "human", "vehicle": "vehicle"}


def category_name(name: str) -> str:
    """The category of a box by its usual name, also where the catalog kept MegaDetector's number."""
    return CATEGORIES.get(name, {"human": "person"}.get(name, name))


def kind_of(box: Mapping[str, Any]) -> Kind | None:
    """What a box stands for; None for a category that is not MegaDetector's."""
    return _KINDS.get(category_name(box["category"]))


def confidence(box: Mapping[str, Any]) -> float:
    """How sure the detector is; a box without a confidence was drawn by hand."""
    return 1.0 if box["conf"] is None else float(box["conf"])


def is_sure(box: Mapping[str, Any], min_conf: float = SURE) -> bool:
    """The box counts: the detector is sure enough, and it has an area."""
    return confidence(box) >= min_conf and box["width"] > 0 and box["height"] > 0
