"""How good the answers of a model of taxa are that stop early, where the evidence does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from trapline.evaluation.intervals import Resampling
from trapline.evaluation.rank_truth import RankTruth
from trapline.evaluation.result_part import ResultPart
from trapline.models import Interval
from trapline.taxonomy import KINDS, LEVELS, RolledUp, Taxonomy, verdict


class AnsweredAt(ResultPart):
    """The answers that stop at one level.

    Attributes:
        level: a rank, or `kind`.
        threshold: the least probability of an answer; None where a majority answers.
        exact: answers as fine as the label.
        right: answers that are the label's taxon or lie above it, the exact ones among them.
        wrong: that lie elsewhere.
        unknown: that cannot be judged: they lie below what the label says, or name a kind where the label is
            not known.
        precision: right / (right + wrong).
    """

    level: str
    threshold: float | None
    exact: int
    right: int
    wrong: int
    unknown: int
    precision: Interval | None


Way = Literal["rolled-up", "greedy"]
"""Answers that stop where the evidence does, or the published descent that always goes to a leaf."""


class RollUpResult(ResultPart):
    """The answers, one a media.

    Attributes:
        way: how they were found.
        promise: the precision promised at each rank; None where nothing was promised.
        exact: answers as fine as the label.
        coarse: right answers above the label's taxon.
        wrong: answers that lie elsewhere.
        unknown: answers that cannot be judged.
        unanswered: media without an answer.
        precision: right / (right + wrong), of the answers that name a taxon; those that name a kind (animal,
            blank, …) are the level `kind`.
        hierarchical: precision, recall and F1 over the taxa on the paths, the kind among them (Kiritchenko
            et al. 2006; Silla & Freitas 2011).
        levels: the answers by the level at which they stop, finest first.
    """

    way: Way = "rolled-up"
    promise: float | None
    exact: int
    coarse: int
    wrong: int
    unknown: int
    unanswered: int
    precision: Interval | None
    hierarchical: dict[str, Interval]
    levels: tuple[AnsweredAt, ...]


class JudgedObservation(ResultPart):
    """One media: what was said of it at the level of its answer, and what its label is."""

    media_id: str
    level: str | None
    prediction: str | None
    probability: float | None
    truth: str


def list_observations(truth: RankTruth, rolled: RolledUp) -> tuple[JudgedObservation, ...]:
    """The rolled-up answers beside the labels, one a media."""
    return tuple(
        JudgedObservation(
            media_id=media,
            level=rolled.levels[row],
            prediction=rolled.answers[row],
            probability=None if rolled.answers[row] is None else float(rolled.probabilities[row]),
            truth=truth.labels[row],
        )
        for row, media in enumerate(truth.media)
    )


def judge_rolled_up(
    truth: RankTruth,
    tree: Taxonomy,
    rolled: RolledUp,
    thresholds: dict[str, float] | None,
    promise: float | None,
    way: Way = "rolled-up",
) -> RollUpResult:
    """Whether the answers are right, exact or coarser, and at which level they stop.

    Args:
        truth: the media.
        tree: of the model.
        rolled: the answers, one a media.
        thresholds: the least probability of an answer at each level; None where a majority answers.
        promise: the precision promised at each rank; None where nothing was promised.
        way: how the answers were found.
    """
    pairs = list(zip(rolled.answers.tolist(), truth.labels, strict=True))
    verdict_of = verdicts_on(truth, tree, rolled)
    right, wrong = verdict_of == "right", verdict_of == "wrong"
    finest = {pair: _as_fine(tree, *pair) for pair in set(pairs)}
    exact = right & np.array([finest[pair] for pair in pairs])
    names_taxon = np.asarray(rolled.levels != "kind", bool)
    levels = []
    for level in reversed(LEVELS):
        here = np.asarray(rolled.levels == level, bool)
        if not here.any() and level not in (thresholds or {}):
            continue
        levels.append(
            AnsweredAt(
                level=level,
                threshold=None if thresholds is None else thresholds.get(level),
                exact=int((exact & here).sum()),
                right=int((right & here).sum()),
                wrong=int((wrong & here).sum()),
                unknown=int(((verdict_of == "unknown") & here).sum()),
                precision=truth.resampling.share(right & here, (right | wrong) & here),
            )
        )
    return RollUpResult(
        way=way,
        promise=promise,
        exact=int(exact.sum()),
        coarse=int((right & ~exact).sum()),
        wrong=int(wrong.sum()),
        unknown=int((verdict_of == "unknown").sum()),
        unanswered=int((verdict_of == "none").sum()),
        precision=truth.resampling.share(right & names_taxon, (right | wrong) & names_taxon),
        hierarchical=_hierarchical(tree, pairs, truth.resampling),
        levels=tuple(levels),
    )


def verdicts_on(truth: RankTruth, tree: Taxonomy, rolled: RolledUp) -> npt.NDArray[np.str_]:
    """[media]: `right`, `wrong`, `unknown` (it cannot be judged) or `none` (it has no answer)."""
    pairs = list(zip(rolled.answers.tolist(), truth.labels, strict=True))
    verdicts = {pair: judge_answer(tree, *pair) for pair in set(pairs)}
    return np.array([verdicts[pair] for pair in pairs])


def judge_answer(tree: Taxonomy, answer: str | None, label: str) -> str:
    """The verdict on an answer; `none` without one. Of a label that is not known every taxon is wrong."""
    if answer is None:
        return "none"
    if label not in tree.labels:
        return "unknown" if answer in KINDS else "wrong"
    return verdict(tree, answer, label)


def _as_fine(tree: Taxonomy, answer: str | None, label: str) -> bool:
    """Whether a right answer says all that the label does."""
    if answer is None or label not in tree.labels:
        return False
    taxon = tree.labels[label].taxon
    return answer == (tree.labels[label].kind if taxon is None else taxon)


def _hierarchical(
    tree: Taxonomy, pairs: Sequence[tuple[str | None, str]], resampling: Resampling
) -> dict[str, Interval]:
    """Σ |said ∩ true| over Σ |said|, over Σ |true|, and twice over both; of the taxa on the paths."""
    counts = {pair: _path_counts(tree, *pair) for pair in set(pairs)}
    both, predicted, true = np.array([counts[pair] for pair in pairs], float).T
    figures = {
        "precision": resampling.share(both, predicted),
        "recall": resampling.share(both, true),
        "f1": resampling.share(2 * both, predicted + true),
    }
    return {name: interval for name, interval in figures.items() if interval is not None}


def _path_counts(tree: Taxonomy, answer: str | None, label: str) -> tuple[int, int, int]:
    if label not in tree.labels:
        return 0, 0 if answer is None or answer in KINDS else len(tree.path(answer)), 1
    true = {tree.kind(label), *tree.path(label)}
    if answer is None:
        return 0, 0, len(true)
    if tree.labels[label].taxon is None and judge_answer(tree, answer, label) == "right":
        return 1, 1, 1  # of a person without a taxon all that is said of people is right
    if answer not in tree.taxa:
        predicted = {answer}
    else:
        kinds = {tree.kind(name) for name in tree.labels if answer in tree.path(name)}
        predicted = {*tree.path(answer), *(kinds if len(kinds) == 1 else ())}
    return len(predicted & true), len(predicted), len(true)
