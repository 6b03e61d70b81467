"""The deepest taxon that the probabilities carry, and whether an answer is right. Pure numbers and names.

The levels of an answer are the kind (animal, human, vehicle, blank, other) and below it the ranks. At each
level the best answer is the most probable taxon of that rank; the answer that counts is that of the finest
level whose threshold its probability reaches.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from trapline.taxonomy.names import KINDS, RANKS
from trapline.taxonomy.tree import Taxonomy

Floats = npt.NDArray[np.float64]
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
        matrix: float64 [labels, taxa] of 0 and 1.
    """

    name: str
    taxa: tuple[str, ...]
    matrix: Floats


@dataclass(frozen=True)
class Best:
    """The most probable answer of each row at one level.

    Attributes:
        level: one of `LEVELS`.
        answers: [rows], taxa or kinds.
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
    found = []
    for level in LEVELS:
        groups = (
            [taxonomy.kind(label) for label in labels]
            if level == "kind"
            else [lineage.get(level) for lineage in lineages]  # type: ignore[call-overload]
        )
        taxa = tuple(dict.fromkeys(name for name in groups if name is not None and name not in without))
        if not taxa:
            continue
        column = {name: place for place, name in enumerate(taxa)}
        matrix = np.zeros((len(labels), len(taxa)))
        for row, name in enumerate(groups):
            if name in column:
                matrix[row, column[name]] = 1.0
        found.append(Level(level, taxa, matrix))
    return found


def best_answers(probabilities: Floats, levels: Sequence[Level]) -> list[Best]:
    """The most probable answer of each row [rows, labels] at each level; NaN rows are allowed."""
    found = []
    for level in levels:
        sums = np.minimum(probabilities @ level.matrix, 1.0)
        place = np.nan_to_num(sums, nan=-1.0).argmax(axis=1)
        names = np.array(level.taxa, object)[place]
        found.append(Best(level.name, names, sums[np.arange(len(sums)), place]))
    return found


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


def verdict(taxonomy: Taxonomy, answer: str, label: str) -> Verdict:
    """Whether an answer is right for media of a label.

    It is right if it is the label's taxon or lies above it, wrong if it lies elsewhere, and cannot be known
    if it lies below what the label says.

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
        same = known.kind in ("animal", "human") and known.kind == _kind_of(taxonomy, answer)
        return "unknown" if same else "wrong"
    if answer in taxonomy.path(label):
        return "right"
    return "unknown" if known.taxon in above else "wrong"


def _kind_of(taxonomy: Taxonomy, taxon: str) -> str | None:
    """The kind of the labels at or below a taxon; None where they differ."""
    kinds = {label.kind for label in taxonomy.labels.values() if taxon in taxonomy.path(label.name)}
    return kinds.pop() if len(kinds) == 1 else None
