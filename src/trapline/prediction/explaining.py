"""One photo, whole: what a model says of every taxon on the way down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trapline.errors import UsageError
from trapline.images import prepare
from trapline.models import ModelFile
from trapline.prediction.ranks import Ranks
from trapline.taxonomy import sum_at_nodes

LEAST = 0.005
"""Taxa that are less probable are left out."""


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
    """

    answer: str | None
    rank: str | None
    probability: float | None
    steps: tuple[Step, ...]
    warning: str | None


def explain(model: ModelFile, photo: Path | str) -> Explained:
    """What a model of taxa says of one photo, seen whole, without a detector's box.

    Raises:
        UsageError: the model is not one of taxa.
        ImageError: the photo cannot be read.
    """
    ranks = Ranks.of_card(model.card)
    if ranks is None:
        raise UsageError(f"{model.path} is not a model of taxa: it has no tree to walk down.")
    prepared = prepare(Path(photo), model.card.preprocessing)
    values = model.run(prepared.pixels[None]).probabilities.astype(np.float64)
    rolled = ranks.answers(values)
    answer = rolled.answers[0]
    return Explained(
        answer,
        rolled.levels[0],
        None if answer is None else float(rolled.probabilities[0]),
        tuple(_steps(ranks, values)),
        prepared.warning,
    )


def _steps(ranks: Ranks, values: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Iterator[Step]:
    tree = ranks.taxonomy
    sums, names = sum_at_nodes(values, tree, ranks.labels)
    probability = dict(zip(names, sums[0].tolist(), strict=True))
    labels: dict[str, list[str]] = {}
    alone = []
    for place, label in enumerate(ranks.labels):
        taxon = tree.labels[label].taxon
        if taxon is None:
            alone.append((label, float(values[0, place])))
        else:
            labels.setdefault(taxon, []).append(label)

    def below(parent: str | None, depth: int) -> Iterator[Step]:
        base = 1.0 if parent is None else probability[parent]
        found = [name for name in tree.children(parent) if probability.get(name, 0) >= LEAST]
        for name in sorted(found, key=lambda name: -probability[name]):
            own = probability[name]
            yield Step(depth, name, tree.taxa[name].rank, tuple(labels.get(name, ())), own, own / base)
            yield from below(name, depth + 1)

    yield from below(None, 0)
    for label, own in sorted(alone, key=lambda pair: -pair[1]):
        if own >= LEAST:
            yield Step(0, label, tree.kind(label), (label,), own, own)
