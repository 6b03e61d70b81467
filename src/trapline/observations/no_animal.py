"""A model of animals, where the detector sees none: nothing, people and vehicles are the detector's word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from trapline.catalog import Catalog
from trapline.observations.categories import is_sure, kind_of
from trapline.prediction import Predictions
from trapline.taxonomy import Kind, default_kind


def leave_to_detector(predictions: Predictions, catalog: Catalog) -> Predictions:
    """Predictions of which those of photos without an animal are `skipped`: the detector's word stands there.

    A model that knows animals alone says one of them of an empty photo too. It is not listened to where no
    box is sure, or where all that are sure are of people and vehicles, unless it has a label of that kind.

    Args:
        predictions: of media.
        catalog: with boxes; media without (null) are left to the model.
    """
    taxonomy = predictions.facts.tree
    own = {default_kind(label) if taxonomy is None else taxonomy.kind(label) for label in predictions.labels}
    media = catalog.table.filter(pl.col("boxes").is_not_null()).select("media_id", "boxes")
    shown = {media_id: _shows(boxes) for media_id, boxes in media.iter_rows()}
    why = {media_id: _NO_ANIMALS[kind] for media_id, kind in shown.items() if kind in set(_NO_ANIMALS) - own}
    reason = pl.col("media_id").replace_strict(why, default=None, return_dtype=pl.String)
    left = reason.is_not_null() & (pl.col("status") == "ok")
    table = predictions.table.with_columns(
        pl.when(left).then(pl.lit("skipped")).otherwise("status").alias("status"),
        pl.when(left).then(reason).otherwise("reason").alias("reason"),
        pl.when(~left).then(pl.col(predictions.labels)),
    )
    return replace(predictions, table=table)


_NO_ANIMALS: dict[Kind, str] = {
    "blank": "left to the detector: no box is sure",
    "human": "left to the detector: all sure boxes are of people, or of people and vehicles",
    "vehicle": "left to the detector: all sure boxes are of vehicles",
}


def _shows(boxes: Sequence[Mapping[str, Any]]) -> Kind:
    """What the sure boxes of a photo are: an animal, if one may be."""
    kinds = {kind_of(box) for box in boxes if is_sure(box)}
    if not kinds:
        return "blank"
    return "animal" if kinds - {"human", "vehicle"} else "human" if "human" in kinds else "vehicle"
