"""How good a model of taxa is at each node of its tree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trapline.evaluation.intervals import Codes, hits, precision_recall_f1
from trapline.evaluation.rank_truth import RankTruth
from trapline.evaluation.result_part import ResultPart
from trapline.models import Interval
from trapline.taxonomy import Hierarchy


class ChildResult(ResultPart):
    """One child of a node; None where a figure is undefined (no media, or never said)."""

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


class NodeResult(ResultPart):
    """One decision, judged on the media that truly lie below its node.

    Attributes:
        head: the name of the decision.
        parent: the node; None for the root.
        media: that lie below it.
        accuracy: share of them that go to the right child, with its interval; None without media.
        balanced_accuracy: mean over the children of the share recognised, with its interval.
        children: the published table.
        confusion: media of true child (row) that went to child (column).
    """

    head: str
    parent: str | None
    media: int
    accuracy: Interval | None
    balanced_accuracy: Interval | None
    children: tuple[ChildResult, ...]
    confusion: tuple[tuple[int, ...], ...]


def figures_by_node(truth: RankTruth, hierarchy: Hierarchy) -> tuple[NodeResult, ...]:
    """Every decision, broader before finer, on the media that truly lie below its node."""
    results = []
    for head in hierarchy.heads:
        below = np.array(
            [
                [float(child in hierarchy.paths[name]) for child in head.children]
                for name in hierarchy.classes.names
            ]
        )
        child_indices = hierarchy.truth_at(head, truth.labels)
        rows = np.flatnonzero(child_indices >= 0)
        sums = truth.probabilities[rows] @ below
        resampling = truth.resampling.at(rows)
        figures = resampling.measure(child_indices[rows], sums, hits) if len(rows) else {}
        size = len(head.children)
        cells = np.asarray(child_indices[rows] * size + sums.argmax(axis=1))
        table = np.bincount(cells, minlength=size * size).reshape(size, size)
        results.append(_node(head.name, head.parent, head.children, table, figures))
    return tuple(results)


def _node(
    head: str, parent: str | None, names: Sequence[str], table: Codes, figures: dict[str, Interval]
) -> NodeResult:
    counts = (table.diagonal(), table.sum(axis=0), table.sum(axis=1))
    right, predicted, support = (numbers.tolist() for numbers in counts)
    return NodeResult(
        head=head,
        parent=parent,
        media=int(table.sum()),
        accuracy=figures.get("accuracy"),
        balanced_accuracy=figures.get("balanced_accuracy"),
        children=tuple(
            ChildResult(
                name=name,
                support=real,
                **precision_recall_f1(both, answered, real),
            )
            for name, both, answered, real in zip(names, right, predicted, support, strict=True)
        ),
        confusion=tuple(map(tuple, table.tolist())),
    )
