"""Labelled media before a model: those whose truth it could say, and their pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog, Presence
from trapline.errors import DataError
from trapline.images import ImageError, Source, choose_box, prepare
from trapline.models.file import ModelFile
from trapline.models.photos import read_photos
from trapline.taxonomy import BLANK

_BATCH = 16
UNKNOWN_LABEL = "a label that the model does not know"
"""Why media are left out, of which `count_unknown_labels` tells the labels."""


class Says(Protocol):
    """A card, or a table of predictions."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What it knows."""
        ...

    @property
    def task(self) -> str:
        """Whether it says one of them or several."""
        ...


def judgeable(media: Catalog, card: Says) -> tuple[Catalog, dict[str, int]]:
    """The media whose truth the model could say, and why the others are left out."""
    labels = pl.col("labels")
    sayable = list(card.labels)
    if card.task == "multi-label":
        sayable.append(BLANK)  # without a label of its own, blank is the absence of all the others
    why = (
        pl.when(labels.is_null())
        .then(pl.lit("unlabelled"))
        .when(pl.lit(card.task == "single-label") & (labels.list.len() > 1))
        .then(pl.lit("several labels"))
        .when(labels.list.eval(~pl.element().is_in(sayable)).list.any())
        .then(pl.lit(UNKNOWN_LABEL))
    )
    reasons = media.table.select(why=why).to_series()
    kept = media.table.filter(reasons.is_null())
    if kept.height == 0:
        why_not = ", ".join(f"{count} {reason}" for reason, count in reasons.value_counts().rows())
        raise DataError(
            "None of the media has a label that the model knows, so that it cannot be measured on them"
            + (f" ({why_not})." if why_not else ": there are none.")
        )
    return replace(media, table=kept), dict(reasons.drop_nulls().value_counts().sort("why").rows())


def count_unknown_labels(media: Catalog, card: Says) -> dict[str, int]:
    """Label that the model does not know → how many media have it, the most frequent first."""
    sayable = (*card.labels, BLANK) if card.task == "multi-label" else card.labels
    own = media.table.select(pl.col("labels").list.unique().explode()).drop_nulls()
    unknown = own.filter(~pl.col("labels").is_in(sayable))["labels"].value_counts(name="media")
    return dict(unknown.sort("media", "labels", descending=[True, False]).rows())


def batches(catalog: Catalog, model: ModelFile) -> Iterator[tuple[list[int], npt.NDArray[np.uint8]]]:
    """Rows and pixels (uint8 [n, height, width, 3]) of the media that can be read, some at a time."""
    preprocessing, paths = model.card.preprocessing, catalog.paths()
    boxes = catalog.table["boxes"].to_list()

    def make(row: int, photo: Source) -> npt.NDArray[np.uint8]:
        return prepare(photo, preprocessing, choose_box(boxes[row], preprocessing.crop)).pixels

    photos = read_photos(paths, Presence(catalog), range(len(catalog)), make, ahead=2 * _BATCH)
    readable = ((row, pixels) for row, pixels in photos if not isinstance(pixels, ImageError))
    while batch := list(islice(readable, _BATCH)):
        yield [row for row, _ in batch], np.stack([pixels for _, pixels in batch])
