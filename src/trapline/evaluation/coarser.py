"""Answers that are right and only say less than the label: "human" of a hunter, "deer" of a roe deer.

In figures of whole answers they count as right: the probability of such an answer becomes that of the label,
and the label's that of the answer. What ranks media, and what is of one label, stays with what was predicted,
as do the exact figures beside these; how often it was so is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trapline.evaluation.result_part import ResultPart
from trapline.metrics import labels_said
from trapline.prediction import PredictionFacts
from trapline.taxonomy import BLANK, Taxonomy, coarser_labels

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class CoarserAnswer(ResultPart):
    """How many media of a label were answered by one that says less."""

    label: str
    answer: str
    media: int


def list_coarser(answers: Mapping[tuple[str, str], int]) -> tuple[CoarserAnswer, ...]:
    """(label, answer) → media, the most frequent first."""
    ordered = sorted(answers.items(), key=lambda one: (-one[1], one[0]))
    return tuple(CoarserAnswer(label=label, answer=answer, media=media) for (label, answer), media in ordered)


_ACCEPTING = frozenset(
    {
        *("accuracy", "balanced_accuracy", "macro_f1", "subset_accuracy"),
        *("log_loss", "brier_score", "expected_calibration_error", "categorical_cross_entropy"),
    }
)
"""Figures in which coarser answers count as right. All others are of what was predicted: a figure that ranks
would compare the probability of "animal" of the media with a label to that of the label of the others."""

_EXACT_TOO = frozenset({"accuracy", "balanced_accuracy", "macro_f1", "subset_accuracy"})


def with_exact(accepted: Mapping[str, Floats], exact: Mapping[str, Floats]) -> dict[str, Floats]:
    """The figures of media some of whose answers say less than the label, in their order.

    Args:
        accepted: every figure with these answers counted as right.
        exact: with none of them; of answers that can be right or wrong they stand behind the others.
    """
    figures: dict[str, Floats] = {}
    for name, value in accepted.items():
        figures[name] = value if name in _ACCEPTING else exact[name]
        if name in _EXACT_TOO:
            figures[f"exact_{name}"] = exact[name]
    return figures


def tree_of(facts: PredictionFacts, taxonomy: Taxonomy | None) -> Taxonomy | None:
    """By what it is told which label says less: the taxonomy that is given, or the model's own tree."""
    return facts.tree if taxonomy is None else taxonomy


class CoarserLabels:
    """Which labels say less than which; of the same labels it is found once.

    Args:
        taxonomy: what the labels are; those that it lacks say less than none.
        known: labels that the model can say.
    """

    def __init__(self, taxonomy: Taxonomy | None, known: Sequence[str]) -> None:
        self._taxonomy, self._known = taxonomy, frozenset(known)
        self._tables: dict[tuple[str, ...], Flags | None] = {}

    def of(self, labels: tuple[str, ...]) -> Flags | None:
        """[K, K]: whether the label of a column says less than that of the row; None where none does."""
        if self._taxonomy is None:
            return None
        if labels not in self._tables:
            table = coarser_labels(self._taxonomy, labels, self._known)
            self._tables[labels] = table if table.any() else None
        return self._tables[labels]


@dataclass(frozen=True)
class Accepted:
    """Media whose coarser answers count as right.

    Attributes:
        probabilities: [N, K], as figures take them in which coarser answers count as right.
        answered: [N, K], as they were predicted.
        right: [N, K], labels that are right of a media and say less than its own.
        rows: [N], which media have a coarser answer.
        answers: (label, answer) → media.
    """

    probabilities: Floats
    answered: Floats
    right: Flags
    rows: Flags
    answers: Counter[tuple[str, str]]

    @property
    def media(self) -> int:
        """How many have a coarser answer."""
        return int(self.rows.sum())

    def at(self, rows: Flags) -> Accepted:
        """Of some of the media; `answers` stay those of all."""
        return Accepted(
            self.probabilities[rows], self.answered[rows], self.right[rows], self.rows[rows], self.answers
        )


def accept_coarser(
    truth: npt.NDArray[np.int64], values: Floats, labels: Sequence[str], coarser: Flags
) -> Accepted:
    """Count coarser answers as right.

    Args:
        truth: int [N], or 0/1 [N, K].
        values: probabilities [N, K].
        labels: the K names.
        coarser: [K, K], of `CoarserLabels`.
    """
    several = truth.ndim == 2
    blank = labels.index(BLANK) if several and BLANK in labels else None
    has = truth == 1 if several else truth[:, None] == np.arange(len(labels))
    best = values.argmax(axis=1)[:, None] == np.arange(len(labels))
    told = labels_said(values, blank=blank) if several else best
    right = (has.astype(np.int64) @ coarser.astype(np.int64) > 0) & ~has
    swapped, answers = values.copy(), Counter[tuple[str, str]]()
    touched = np.zeros(len(values), np.bool_)
    for true, coarse in zip(*np.nonzero(coarser), strict=True):
        rows = np.flatnonzero(has[:, true] & ~told[:, true] & told[:, coarse] & ~has[:, coarse] & ~touched)
        if len(rows):
            swapped[rows, true], swapped[rows, coarse] = values[rows, coarse], values[rows, true]
            answers[labels[true], labels[coarse]] += len(rows)
            touched[rows] = True
    return Accepted(swapped, values, right, touched, answers)
