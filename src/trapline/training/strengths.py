"""How strongly heads at their optimum are regularised: strongest first, chosen by folds. Pure numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from trapline.training.arrays import Floats, Rows

WEIGHT_DECAYS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""Strengths that are tried, strongest first."""

_WORSE_BEFORE_STOPPING = 2

H = TypeVar("H")
Score = Callable[[Floats, Rows], float]
"""From what is said of some rows, and these rows, to a loss."""


@dataclass(frozen=True)
class Tried(Generic[H]):
    """Strengths that were tried.

    Attributes:
        folds: int [N], the fold of each row.
        score: of what is said of rows.
        heads: strength -> one head a fold.
        answers: strength -> [N, …], what is said of each row by the head of the folds that it is not in.
        losses: strength -> the score of its answers.
    """

    folds: Rows
    score: Score
    heads: dict[float, list[H]]
    answers: dict[float, Floats]
    losses: dict[float, float]

    @property
    def best(self) -> float:
        """The strength of the least loss."""
        return min(self.losses, key=self.losses.__getitem__)

    def best_of_others(self) -> list[float]:
        """For each fold the strength that did best on the other folds."""
        best = []
        for fold in np.unique(self.folds):
            others = np.flatnonzero(self.folds != fold)
            losses = {key: self.score(values[others], others) for key, values in self.answers.items()}
            best.append(min(losses, key=losses.__getitem__))
        return best

    def cross_fitted(self) -> Floats:
        """[N, …]: what is said of each fold with the strength that did best on the other folds."""
        answers = np.empty_like(self.answers[self.best])
        for fold, strength in zip(np.unique(self.folds), self.best_of_others(), strict=True):
            answers[self.folds == fold] = self.answers[strength][self.folds == fold]
        return answers


def try_strengths(
    strengths: Sequence[float],
    folds: Rows,
    fit: Callable[[float, Rows, Rows, H | None], H],
    answer: Callable[[H, Rows, Rows], Floats],
    score: Score,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tried[H]:
    """For each strength what heads say of the fold that they did not see, until it has become worse twice.

    Args:
        strengths: strongest first.
        folds: int [N], the fold of each row.
        fit: from a strength, the rows outside a fold, those in it, and the head of the strength before (the
            fit is sooner there, with the same end) to a head.
        answer: from a head, the rows outside its fold and those in it to what is said of the latter.
        score: of what is said of rows.
        progress: called with how many heads are fitted, of how many at most.
    """
    tried: Tried[H] = Tried(folds, score, {}, {}, {})
    parts = [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in np.unique(folds)]
    before: list[H | None] = [None] * len(parts)
    worse, best = 0, np.inf
    for number, strength in enumerate(strengths):
        heads, of_fold = [], []
        for (outside, inside), start in zip(parts, before, strict=True):
            heads.append(fit(strength, outside, inside, start))
            of_fold.append(answer(heads[-1], outside, inside))
            progress(number * len(parts) + len(heads), len(strengths) * len(parts))
        answers = np.empty((len(folds), *of_fold[0].shape[1:]))
        for (_, inside), values in zip(parts, of_fold, strict=True):
            answers[inside] = values
        before = [*heads]
        tried.heads[strength], tried.answers[strength] = heads, answers
        loss = tried.losses[strength] = score(answers, np.arange(len(folds)))
        worse = worse + 1 if loss > best else 0
        best = min(best, loss)
        if worse == _WORSE_BEFORE_STOPPING:
            break
    return tried
