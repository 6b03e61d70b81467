"""The deepest taxon that the probabilities carry, and whether an answer is right. Pure numbers and names.

The levels of an answer are the kind (animal, human, vehicle, blank, other) and the ranks. The best taxa of a
media lie on one path: the most probable of the taxa at the top, then the most probable of those right below
it, and so on down to a leaf. So the ranks of a media never contradict each other, and a taxon of more than
one half is always among them. The answer that counts is that of the finest level whose threshold its
probability reaches.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from trapline.taxonomy.classes import Hierarchy
from trapline.taxonomy.names import KINDS, RANKS, default_kind, plain
from trapline.taxonomy.tree import Label, Taxonomy

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
LEVELS = ("kind", *RANKS)
"""From the broadest to the finest."""

MAJORITY = 0.5
"""The threshold of every level where none was chosen: more probable than all the rest together."""

Verdict = Literal["right", "wrong", "unknown"]


@dataclass(frozen=True)
class Level:
    """A level of answers: which labels are part of which.

    Attributes:
        name: one of `LEVELS`.
        taxa: the taxa of that rank, or the kinds.
        parents: of each the nearest taxon above it that can be an answer; None at the top, and of the kinds.
        matrix: float64 [labels, taxa] of 0 and 1.
    """

    name: str
    taxa: tuple[str, ...]
    parents: tuple[str | None, ...]
    matrix: Floats


@dataclass(frozen=True)
class Best:
    """The answer of each row at one level: the most probable kind, or the taxon of that rank on the path.

    Attributes:
        level: one of `LEVELS`.
        answers: [rows], taxa or kinds; None where the path has no taxon of the rank.
        probabilities: [rows]; NaN where there are none.
    """

    level: str
    answers: npt.NDArray[np.object_]
    probabilities: Floats


@dataclass(frozen=True)
class RolledUp:
    """The answers.

    Attributes:
        answers: [rows], a taxon or kind; None where no level's threshold is reached.
        levels: [rows], the level of each; None where there is no answer.
        probabilities: [rows], of the answer; NaN where there is none.
    """

    answers: npt.NDArray[np.object_]
    levels: npt.NDArray[np.object_]
    probabilities: Floats


def levels_of(taxonomy: Taxonomy, labels: Sequence[str], without: Collection[str] = ()) -> list[Level]:
    """The levels that occur in a tree, broadest first.

    Args:
        taxonomy: has all the labels.
        labels: the columns of the probabilities.
        without: taxa that are never an answer.
    """
    lineages = [dict(taxonomy.lineage(label)) for label in labels]
    levels = []
    for level in LEVELS:
        groups = (
            [taxonomy.kind(label) for label in labels]
            if level == "kind"
            else [lineage.get(level) for lineage in lineages]  # type: ignore[call-overload]
        )
        taxa = tuple(dict.fromkeys(name for name in groups if name is not None and name not in without))
        if not taxa:
            continue
        parents = tuple(None if level == "kind" else _parent(taxonomy, name, without) for name in taxa)
        column = {name: index for index, name in enumerate(taxa)}
        matrix = np.zeros((len(labels), len(taxa)))
        for row, name in enumerate(groups):
            if name in column:
                matrix[row, column[name]] = 1.0
        levels.append(Level(level, taxa, parents, matrix))
    return levels


def _parent(taxonomy: Taxonomy, taxon: str, without: Collection[str]) -> str | None:
    """The nearest taxon above one that can be an answer; None at the top."""
    parent = taxonomy.taxa[taxon].parent  # not by `path`: a label may have the name of a taxon above its own
    while parent is not None and parent in without:
        parent = taxonomy.taxa[parent].parent
    return parent


def best_answers(probabilities: Floats, levels: Sequence[Level]) -> list[Best]:
    """The best answer of each row [rows, labels] at each level; NaN rows are allowed.

    Of the kinds the most probable one; of the ranks the taxa of the path that goes down from the top of the
    tree to a leaf, each time to the most probable of the taxa right below (the first of equals).
    """
    sums = {level.name: np.minimum(probabilities @ level.matrix, 1.0) for level in levels}
    ranks = [level for level in levels if level.name != "kind"]
    on_path = _descend(np.hstack([sums[level.name] for level in ranks]), ranks) if ranks else {}
    answers = []
    for level in levels:
        if level.name == "kind":
            index = np.nan_to_num(sums["kind"], nan=-1.0).argmax(axis=1)
        else:
            index = on_path[level.name]
        there = index >= 0
        names = np.array((*level.taxa, None), object)[np.where(there, index, len(level.taxa))]
        own = sums[level.name][np.arange(len(index)), index]
        answers.append(Best(level.name, names, np.where(there, own, np.nan)))
    return answers


def _descend(sums: Floats, ranks: Sequence[Level]) -> dict[str, npt.NDArray[np.int64]]:
    """Rank → [rows]: which of its taxa is on each row's path; -1 where none is. `sums`: [rows, all taxa]."""
    names = [name for level in ranks for name in level.taxa]
    rank_of = np.repeat(np.arange(len(ranks)), [len(level.taxa) for level in ranks])
    place_of = np.concatenate([np.arange(len(level.taxa)) for level in ranks])
    number = {name: index for index, name in enumerate(names)}
    below: dict[int, list[int]] = {}
    for child, parent in enumerate(parent for level in ranks for parent in level.parents):
        below.setdefault(-1 if parent is None else number[parent], []).append(child)
    chosen_index = np.full((len(ranks), len(sums)), -1, np.int64)
    known = np.nan_to_num(sums, nan=-1.0)
    open_nodes = [(-1, np.arange(len(sums)))]
    while open_nodes:
        node, rows = open_nodes.pop()
        children = np.array(below.get(node, ()), np.int64)
        if not len(children) or not len(rows):
            continue
        chosen = children[known[np.ix_(rows, children)].argmax(axis=1)]
        chosen_index[rank_of[chosen], rows] = place_of[chosen]
        open_nodes += [(int(child), rows[chosen == child]) for child in np.unique(chosen)]
    return {level.name: chosen_index[index] for index, level in enumerate(ranks)}


def roll_up(bests: Sequence[Best], thresholds: Mapping[str, float] | None) -> RolledUp:
    """The answer of each row: that of the finest level whose best answer reaches its threshold.

    Args:
        bests: of `best_answers`, broadest first.
        thresholds: level → least probability; a level without one is never answered. None: `MAJORITY` for
            all.
    """
    rows = len(bests[0].answers)
    answers, levels = np.full(rows, None, object), np.full(rows, None, object)
    probabilities = np.full(rows, np.nan)
    for best in bests:  # finer ones overwrite
        limit = MAJORITY if thresholds is None else thresholds.get(best.level, np.inf)
        passed = np.nan_to_num(best.probabilities, nan=-1.0) >= limit
        answers[passed], levels[passed] = best.answers[passed], best.level
        probabilities[passed] = best.probabilities[passed]
    return RolledUp(answers, levels, probabilities)


def answered_at(rolled: RolledUp, level: str, taxonomy: Taxonomy, labels: Collection[str]) -> Flags:
    """[rows]: which answers are of a level, or finer, or as fine as the labels can say.

    Args:
        rolled: the answers.
        level: one of `LEVELS`.
        taxonomy: has the labels.
        labels: of the model: what stands for one of them is fine enough at every level.
    """
    known = [taxonomy.labels[name] for name in labels]
    finest = {label.kind if label.taxon is None else label.taxon for label in known}
    fine = set(LEVELS[LEVELS.index(level) :])
    pairs = zip(rolled.levels, rolled.answers, strict=True)
    return np.array([at in fine or (at is not None and name in finest) for at, name in pairs], bool)


def walk_down(probabilities: Floats, hierarchy: Hierarchy) -> RolledUp:
    """The published greedy descent: at each node to the most probable child, always to a leaf.

    An only child is passed through; no probability stops the walk. A class without a taxon (`blank`) is a
    leaf at the top, and its answer is its kind.

    Args:
        probabilities: [rows, classes].
        hierarchy: the nodes, and the classes at its leaves.

    Returns:
        the leaf of each row, and its probability: the product along the path.
    """
    names, tree = hierarchy.classes.names, hierarchy.classes.taxonomy
    left = np.ones(probabilities.shape, bool)  # the classes below the node that a row has come to
    for head in hierarchy.heads:
        below = hierarchy.below(head)
        here = np.flatnonzero((left & below.any(axis=1)).any(axis=1))
        chosen = (probabilities[here] @ below).argmax(axis=1)
        left[here] &= below[:, chosen].T
    index = left.argmax(axis=1)
    known = [tree.labels[name] for name in names]
    answers = np.array([label.kind if label.taxon is None else label.taxon for label in known], object)
    levels = np.array(["kind" if one.taxon is None else tree.taxa[one.taxon].rank for one in known], object)
    return RolledUp(answers[index], levels[index], probabilities[np.arange(len(index)), index])


def verdict(taxonomy: Taxonomy, answer: str, label: str) -> Verdict:
    """Whether an answer is right for media of a label.

    It is right if it is the label's taxon or lies above it, wrong if it lies elsewhere, and cannot be known
    if it lies below what the label says. People are of one species, so that of a person whose label has no
    taxon ("hunter") every taxon of people is right.

    Args:
        taxonomy: has the label and the taxon.
        answer: a taxon or a kind.
        label: the truth.
    """
    known = taxonomy.labels[label]
    if answer in KINDS:
        return "right" if known.kind == answer else "wrong"
    above = taxonomy.path(answer)
    if known.taxon is None:
        if known.kind != _kind_of(taxonomy, answer):
            return "wrong"
        return "right" if known.kind == "human" else "unknown" if known.kind == "animal" else "wrong"
    if answer in taxonomy.path(label):
        return "right"
    return "unknown" if known.taxon in above else "wrong"


def says_less(taxonomy: Taxonomy, answer: str, label: str) -> bool:
    """Whether a label, said of media of another one, is right and only says less.

    Its taxon lies above the other's, or it is the name of their kind or of their taxon ("human" of a hunter,
    "animal" of a fox). Of two labels of one taxon ("doe" and "buck") neither says less than the other.

    Args:
        taxonomy: has both labels.
        answer: what was said.
        label: the truth.
    """
    own, true = taxonomy.labels[answer], taxonomy.labels[label]
    if answer == label or own.kind != true.kind:
        return False
    if own.taxon is None or (own.taxon == true.taxon):
        return _names_whole(taxonomy, own)
    if true.taxon is None:
        return own.kind == "human"
    return own.taxon in taxonomy.path(label)


def _names_whole(taxonomy: Taxonomy, label: Label) -> bool:
    """Whether a label is called like its kind or its taxon, so that nothing of them is left out."""
    taxon = () if label.taxon is None else (label.taxon, *taxonomy.taxa[label.taxon].synonyms)
    return plain(label.name) in {label.kind, *map(plain, taxon)} or default_kind(label.name) == label.kind


def _kind_of(taxonomy: Taxonomy, taxon: str) -> str | None:
    """The kind of the labels at or below a taxon; None where they differ."""
    kinds = {label.kind for label in taxonomy.labels.values() if taxon in taxonomy.path(label.name)}
    return kinds.pop() if len(kinds) == 1 else None
