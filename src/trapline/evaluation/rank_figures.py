"""How good a model of taxa is at each rank.

Figures of a rank are over the animals whose label reaches it, and unconditional: whatever was said of a media
at broader ranks, a wrong taxon, one that stops above the rank and no animal at all are wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from trapline import metrics
from trapline.evaluation.intervals import Codes, Floats, hits, precision_recall_f1
from trapline.evaluation.rank_truth import RankTruth
from trapline.evaluation.result_part import ResultPart
from trapline.metrics import Weights
from trapline.models import Interval
from trapline.taxonomy import RANKS, Classes, Rank, Taxonomy, group_at_rank


class RankResult(ResultPart):
    """One rank; or the kinds (animal, human, vehicle, blank, other), which every label has.

    Attributes:
        rank: its name, or `kind`.
        media: of animals whose label has a taxon of the rank, and those of labels that are not known but
            count as wrong; of the kinds all whose label is known.
        without_taxon: media left out because nothing of that rank is in them: blanks, people, vehicles, and
            labels whose path skips the rank.
        coarser: media left out because their label stops above the rank.
        taxa: how many taxa of the rank, or kinds, there are to tell apart.
        metrics: accuracy, balanced accuracy, macro F1, log loss with 95 % intervals.
    """

    rank: str
    media: int
    without_taxon: int
    coarser: int
    taxa: int
    metrics: dict[str, Interval]


class TaxonResult(ResultPart):
    """One taxon, or a class without one, among those of its rank; None where a figure is undefined.

    Attributes:
        name: of the taxon.
        media: that are of it.
        precision: of the media that are said to be of it at its rank, blanks and all among them, unless their
            label stops above the rank.
        recall: share of its media that are.
        f1: 2 × right / (media that are said to be of it + its media).
        rank: of the taxon; its kind where it has none.
    """

    name: str
    media: int
    precision: float | None
    recall: float | None
    f1: float | None = None
    rank: str | None = None


def figures_by_rank(
    truth: RankTruth, classes: Classes
) -> tuple[tuple[RankResult, ...], tuple[TaxonResult, ...]]:
    """The kinds, if the model tells several apart, then the ranks, broadest first; and every taxon."""
    tree = classes.taxonomy
    present = {rank for name in classes.names for rank in tree.lineage(name)}
    kinds = _kinds(truth.of_the_tree, tree, classes.names)
    results = [] if kinds is None else [kinds]
    taxa: dict[str, TaxonResult] = {}
    for rank in (rank for rank in RANKS if rank in present):
        groups = [group_at_rank(tree, name, rank) for name in classes.names]
        names = list(dict.fromkeys(groups))
        sums = truth.probabilities @ _membership(groups, [*names, ""])  # nothing is ever said to be unknown
        at_rank = {label: _at_rank(classes, label, rank, names) for label in dict.fromkeys(truth.labels)}
        indices = np.array([at_rank[label].index for label in truth.labels])
        judged = indices >= 0
        taxa = _taxa(tree, names, indices[judged], sums[judged].argmax(axis=1)) | taxa  # at its own rank
        status = np.array([at_rank[label].status for label in truth.labels])
        counted = status == "counted"
        if not counted.any():
            continue
        results.append(
            RankResult(
                rank=rank,
                media=int(counted.sum()),
                without_taxon=int((status == "without").sum()),
                coarser=int((status == "coarser").sum()),
                taxa=sum(name in tree.taxa and tree.taxa[name].rank == rank for name in names),
                metrics=truth.resampling.at(counted).measure(indices[counted], sums[counted], _figures),
            )
        )
    return tuple(results), tuple(taxa.values())


@dataclass(frozen=True)
class _AtRank:
    """What a label is at a rank.

    Attributes:
        index: of its group among the names; behind them if it is not known, -1 if it may be several.
        status: `counted` in the figures of the rank, left out because it is `coarser`, or `without` a taxon.
    """

    index: int
    status: str


def _at_rank(classes: Classes, label: str, rank: Rank, names: Sequence[str]) -> _AtRank:
    if label not in classes.of_label:
        return _AtRank(len(names), "counted")
    tree, own = classes.taxonomy, classes.of_label[label]
    finest, animal = tree.rank(label), tree.kind(label) == "animal"
    above = finest is not None and RANKS.index(finest) < RANKS.index(rank)
    index = -1 if own is None and above else names.index(group_at_rank(tree, own or label, rank))
    if animal and rank in tree.lineage(label):
        return _AtRank(index, "counted")
    return _AtRank(index, "coarser" if animal and above else "without")


def _kinds(truth: RankTruth, tree: Taxonomy, classes: Sequence[str]) -> RankResult | None:
    """Animal, human, vehicle, blank or other, over all media; None where the model knows one kind only."""
    predicted, true = ([tree.kind(name) for name in names] for names in (classes, truth.labels))
    if len(set(predicted)) < 2:
        return None
    names = list(dict.fromkeys((*predicted, *true)))
    indices = np.array([names.index(kind) for kind in true])
    sums = truth.probabilities @ _membership(predicted, names)
    return RankResult(
        rank="kind",
        media=len(true),
        without_taxon=0,
        coarser=0,
        taxa=len(set(predicted)),
        metrics=truth.resampling.measure(indices, sums, _figures),
    )


def _membership(groups: Sequence[str], names: Sequence[str]) -> Floats:
    """0/1 [groups, names]: which column of probabilities adds to which name."""
    return np.array([[float(group == name) for name in names] for group in groups])


def _taxa(tree: Taxonomy, names: Sequence[str], true: Codes, predicted: Codes) -> dict[str, TaxonResult]:
    results = {}
    for index, name in enumerate(names):
        there, answered = true == index, predicted == index
        right, answers, media = (int(rows.sum()) for rows in (there & answered, answered, there))
        results[name] = TaxonResult(
            name=name,
            media=media,
            **precision_recall_f1(right, answers, media),
            rank=tree.taxa[name].rank if name in tree.taxa else tree.kind(name),
        )
    return results


def _figures(truth: ArrayLike, probabilities: ArrayLike, weights: Weights) -> dict[str, Floats]:
    return {
        **hits(truth, probabilities, weights),
        "macro_f1": metrics.macro_f1(truth, probabilities, weights),
        "log_loss": metrics.log_loss(truth, probabilities, weights),
    }
