"""One photo, whole: what a model says of every taxon on the way down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from trapline.addresses import address_of
from trapline.catalog import Catalog
from trapline.errors import DataError, UsageError
from trapline.images import Box, choose_box, prepare
from trapline.models import NO_PROBABILITY, Card, ModelFile
from trapline.prediction.inputs import why_uncut
from trapline.prediction.ranks import Ranks
from trapline.storage import AnyPath, as_any_path
from trapline.taxonomy import sum_at_nodes

LEAST = 0.005
"""Taxa that are less probable are left out."""

_ROUNDING = 1e-6  # of a box's sides that were written with few digits


@dataclass(frozen=True)
class Step:
    """A taxon, or a label that has none.

    Attributes:
        depth: how many taxa are above it.
        name: of the taxon; of the label where it has none.
        rank: of the taxon; its kind where it has none.
        labels: of the model that stand for it.
        probability: of it, the product along its path.
        of_parent: its probability given what is above it.
    """

    depth: int
    name: str
    rank: str
    labels: tuple[str, ...]
    probability: float
    of_parent: float


@dataclass(frozen=True)
class Explained:
    """The path of one photo.

    Attributes:
        answer: the rolled-up answer; None where nothing keeps the model's promise.
        rank: at which it stops.
        probability: of it.
        steps: broader before finer, the more probable first.
        warning: what was odd about the photo.
        box: what the photo was cut to; None where it was seen whole.
        seen: the same for people, and why it was so.
    """

    answer: str | None
    rank: str | None
    probability: float | None
    steps: tuple[Step, ...]
    warning: str | None
    box: Box | None
    seen: str


def explain(
    model: ModelFile, photo: AnyPath | str, *, catalog: Catalog | None = None, box: Box | None = None
) -> Explained:
    """What a model of taxa says of one photo.

    Args:
        model: of taxa.
        photo: its file, on a disk or in a bucket.
        catalog: has the photo, and its boxes: that one is cut to which `predict` takes.
        box: what to cut to instead of asking a catalog. With neither the photo is seen whole.

    Raises:
        UsageError: the model is not one of taxa; a box that is not inside the photo, or for a model that
            never cuts, or beside a catalog.
        DataError: the catalog does not have the photo; or what the model says of it is no probability.
        ImageError: the photo cannot be read.
    """
    ranks = Ranks.of_card(model.card)
    if ranks is None:
        raise UsageError(f"{model.path} is not a model of taxa: it has no tree to walk down.")
    if box is not None:
        _check_box(box, catalog, model.card)
    photo = as_any_path(photo)
    boxes = None if catalog is None else _boxes_of(catalog, photo)
    cut = choose_box(boxes, model.card.preprocessing.crop) if box is None else box
    prepared = prepare(photo, model.card.preprocessing, cut)
    values = model.run(prepared.pixels[None]).probabilities.astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError(f"{model.path}, asked about {photo}: {NO_PROBABILITY}.")
    rolled = ranks.answers(values)
    answer = rolled.answers[0]
    return Explained(
        answer,
        rolled.levels[0],
        None if answer is None else float(rolled.probabilities[0]),
        tuple(_steps(ranks, values)),
        prepared.warning,
        cut,
        _prepare_seen(cut, model.card, None if catalog is None else why_uncut(boxes)),
    )


def _check_box(box: Box, catalog: Catalog | None, card: Card) -> None:
    if catalog is not None:
        raise UsageError("Give a catalog or a box, not both: the box of the catalog would not be looked at.")
    if card.preprocessing.crop is None:
        raise UsageError("This model sees whole photos and never cuts them: leave the box out.")
    inside = min(box.x, box.y) >= 0 and max(box.x + box.width, box.y + box.height) <= 1 + _ROUNDING
    if not inside or min(box.width, box.height) <= 0:
        raise UsageError(
            f"A box is x,y,width,height as fractions of the photo, inside it; not {_numbers(box)}."
        )


def _boxes_of(catalog: Catalog, photo: AnyPath) -> list[dict[str, Any]] | None:
    """A photo's boxes in a catalog."""
    same_name = catalog.table.filter(pl.col("file_path").str.split("/").list.last() == photo.name)
    for file_path, boxes in same_name.select("file_path", "boxes").iter_rows():
        if catalog.path(file_path).resolve() == address_of(photo).resolve():
            boxes_found: list[dict[str, Any]] | None = boxes
            return boxes_found
    raise DataError(
        f"The catalog does not have {photo}: its photos lie below {catalog.root}. Give the catalog that has "
        "it, or a box."
    )


def _prepare_seen(box: Box | None, card: Card, uncut: str | None) -> str:
    """For people: what the model saw; `uncut` says why a catalog gave no box, None if none was asked."""
    if box is not None:
        unused = "; this model learnt from whole photos" if card.saw_crops is False else ""
        return f"the box {_numbers(box)}{unused}"
    if card.saw_crops is False:
        return "the whole photo"
    if uncut is None:
        how = "learnt from" if card.saw_crops else "looks at"
        return f"the whole photo: this model {how} boxes, give --catalog or --box"
    return f"the whole photo: {uncut}"


def _numbers(box: Box) -> str:
    return ",".join(f"{value:.4g}" for value in (box.x, box.y, box.width, box.height))


def _steps(ranks: Ranks, values: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Iterator[Step]:
    tree = ranks.taxonomy
    sums, names = sum_at_nodes(values, tree, ranks.labels)
    probability = dict(zip(names, sums[0].tolist(), strict=True))
    labels: dict[str, list[str]] = {}
    alone = []
    for index, label in enumerate(ranks.labels):
        taxon = tree.labels[label].taxon
        if taxon is None:
            alone.append((label, float(values[0, index])))
        else:
            labels.setdefault(taxon, []).append(label)

    def below(parent: str | None, depth: int) -> Iterator[Step]:
        base = 1.0 if parent is None else probability[parent]
        taxa = [name for name in tree.children(parent) if probability.get(name, 0) >= LEAST]
        for name in sorted(taxa, key=lambda name: -probability[name]):
            own = probability[name]
            yield Step(depth, name, tree.taxa[name].rank, tuple(labels.get(name, ())), own, own / base)
            yield from below(name, depth + 1)

    yield from below(None, 0)
    for label, own in sorted(alone, key=lambda pair: -pair[1]):
        if own >= LEAST:
            yield Step(0, label, tree.kind(label), (label,), own, own)
