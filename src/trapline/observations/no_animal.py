"""A model of animals, where the detector sees none: nothing, people and vehicles are the detector's word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from trapline.catalog import Catalog
from trapline.observations.categories import is_sure, kind_of
from trapline.prediction import Predictions
from trapline.taxonomy import Kind, Taxonomy, default_kind


def leave_to_detector(predictions: Predictions, catalog: Catalog) -> Predictions:
    """Predictions without the photos in which the detector sees no animal, so that its word stands there.

    A model that knows animals alone says one of them of an empty photo too. It is not listened to where no
    box is sure, or where all that are sure are of people and vehicles, unless it has a label of that kind.

    Args:
        predictions: of media.
        catalog: with boxes; media without (null) are left to the model.
    """
    tree = predictions.facts.taxonomy
    taxonomy = None if tree is None else Taxonomy.from_json(tree.as_json(), "The taxonomy of the predictions")
    own = {default_kind(label) if taxonomy is None else taxonomy.kind(label) for label in predictions.labels}
    media = catalog.table.filter(pl.col("boxes").is_not_null()).select("media_id", "boxes")
    left = [media_id for media_id, boxes in media.iter_rows() if _shows(boxes) in _NO_ANIMALS - own]
    kept = ~pl.col("media_id").is_in(left) | (pl.col("status") != "ok")
    return replace(predictions, table=predictions.table.filter(kept))


_NO_ANIMALS: set[Kind | None] = {"blank", "human", "vehicle"}


def _shows(boxes: Sequence[Mapping[str, Any]]) -> Kind:
    """What the sure boxes of a photo are: an animal, if one may be."""
    kinds = {kind_of(box) for box in boxes if is_sure(box)}
    if not kinds:
        return "blank"
    return "animal" if kinds - {"human", "vehicle"} else "human" if "human" in kinds else "vehicle"
