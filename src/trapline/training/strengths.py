"""How strongly heads at their optimum are regularised: strongest first, chosen by folds. Pure numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


@dataclass(frozen=True)
class ToTry(Generic[H]):
    """What is tried, on which rows.

    Attributes:
        strengths: strongest first.
        folds: int [N], the fold of each row.
        fit: from a strength, the rows outside a fold, those in it, and the head of the strength before (the
            fit is sooner there, with the same end) to a head.
        answer: from a head, the rows outside its fold and those in it to what is said of the latter.
        score: of what is said of rows.
    """

    strengths: Sequence[float]
    folds: Rows
    fit: Callable[[float, Rows, Rows, H | None], H]
    answer: Callable[[H, Rows, Rows], Floats]
    score: Score

    @property
    def parts(self) -> list[tuple[Rows, Rows]]:
        """Of each fold the rows outside it and those in it."""
        folds = self.folds
        return [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in np.unique(folds)]

    def heads_of_fold(self, number: int) -> dict[float, H]:
        """The heads of one fold alone, as `try_strengths` fits them, until that fold is twice worse off."""
        outside, inside = self.parts[number]
        heads: dict[float, H] = {}
        head, losses = None, _Losses()
        for strength in self.strengths:
            head = heads[strength] = self.fit(strength, outside, inside, head)
            if losses.are_enough(self.score(self.answer(head, outside, inside), inside)):
                break
        return heads


class _Losses:
    """Losses in turn, until they have become worse twice."""

    def __init__(self) -> None:
        self._worse, self._best = 0, np.inf

    def are_enough(self, loss: float) -> bool:
        self._worse = self._worse + 1 if loss > self._best else 0
        self._best = min(self._best, loss)
        return self._worse == _WORSE_BEFORE_STOPPING


def try_strengths(
    what: ToTry[H],
    progress: Callable[[int, int], None] = lambda done, total: None,
    made: Sequence[Mapping[float, H]] = (),
) -> Tried[H]:
    """For each strength what heads say of the fold that they did not see, until it has become worse twice.

    Args:
        what: is tried.
        progress: called with how many heads are fitted, of how many at most.
        made: of each fold the `heads_of_fold`, where they were fitted elsewhere.
    """
    tried: Tried[H] = Tried(what.folds, what.score, {}, {}, {})
    parts, losses = what.parts, _Losses()
    before: list[H | None] = [None] * len(parts)
    for number, strength in enumerate(what.strengths):
        heads, of_fold = [], []
        for fold, ((outside, inside), start) in enumerate(zip(parts, before, strict=True)):
            head = made[fold].get(strength) if made else None
            heads.append(what.fit(strength, outside, inside, start) if head is None else head)
            of_fold.append(what.answer(heads[-1], outside, inside))
            progress(number * len(parts) + len(heads), len(what.strengths) * len(parts))
        answers = np.empty((len(what.folds), *of_fold[0].shape[1:]))
        for (_, inside), values in zip(parts, of_fold, strict=True):
            answers[inside] = values
        before = [*heads]
        tried.heads[strength], tried.answers[strength] = heads, answers
        tried.losses[strength] = what.score(answers, np.arange(len(what.folds)))
        if losses.are_enough(tried.losses[strength]):
            break
    return tried
