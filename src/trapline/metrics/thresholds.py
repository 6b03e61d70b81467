"""Thresholds chosen on some groups (locations) and judged on others, from counts on a grid of thresholds.

All that is kept of the media is how many answers of each group reach each of `THRESHOLDS`, and how many of
these are right: [G, T], which does not grow with the media, and adds up over the parts of a long table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trapline.metrics.inputs import Floats, ratio
from trapline.metrics.intervals import Estimate, estimate_sums
from trapline.metrics.new_locations import FEW_LOCATIONS
from trapline.metrics.promise import STEPS, choose_threshold, lower_bound

Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

THRESHOLDS: Floats = np.array(
    [
        0,
        0.001,
        0.002,
        0.005,
        *(step / 100 for step in range(1, 100)),
        *(1 - 0.001 * left for left in range(9, 0, -1)),
        *(0.9995, 0.9999),
    ]
).round(6)
"""The thresholds that are tried: steps of a hundredth, finer at the ends, where models that are sure lie."""

CONFIDENCE = 0.9
"""Of the one-sided bound of what holds at other groups."""

_FOLDS = 5
_MOST = 200_000
"""Answers that a bound is computed of: of more as many stand for all, which makes it a little lower."""


def count_at_thresholds(scores: Floats, groups: Indices, number: int) -> Counts:
    """[G, T]: how many scores [N] of each group reach each threshold of `THRESHOLDS`; NaN reaches none.

    Args:
        scores: [N].
        groups: [N], from 0 to `number` - 1.
        number: of groups, G.
    """
    known = np.isfinite(scores)
    bins = np.searchsorted(THRESHOLDS, scores[known], side="right") - 1
    cells = np.bincount(groups[known] * len(THRESHOLDS) + bins, minlength=number * len(THRESHOLDS))
    by_bin = cells.reshape(number, len(THRESHOLDS))
    return np.asarray(by_bin[:, ::-1].cumsum(axis=1)[:, ::-1], np.int64)


@dataclass(frozen=True)
class ThresholdChoice:
    """A threshold of `THRESHOLDS`.

    Attributes:
        index: of it.
        promised: it can be said of other groups that what was wanted holds there; else it was reached here.
    """

    index: int
    promised: bool


def least_answers(wanted: float) -> int:
    """On how many answers a threshold must rest that is reached here and not promised: 14 for 0.95.

    The least n with wanted^n ≤ 1/2. Of a label that is right in less than the share that is wanted n answers
    are then more likely than not to show a mistake; of fewer it is more likely than not that they show none,
    so that it tells nothing that all of them are right. Where a share of n is to be kept it is the same
    number: what the n-th of them keeps of others has the median 1/2^(1/n).

    Args:
        wanted: the share, above 0 and below 1.
    """
    return max(1, math.ceil(math.log(0.5) / math.log(wanted)))


def reached_by_any(hits: Counts, whole: Counts, wanted: float) -> bool:
    """Whether any threshold reaches a share, on however few answers.

    Args:
        hits: [G, T], right answers, or what is kept.
        whole: [G, T] or [G, 1], of how many.
        wanted: the share.
    """
    total, of = np.broadcast_arrays(hits.sum(axis=0), whole.sum(axis=0))
    return bool((ratio(total, of) >= wanted).any())  # NaN reaches nothing


Chooser = Callable[[Flags], ThresholdChoice | None]
"""Chooses on some groups, bool [G]; None where no threshold reaches what is wanted."""


def choose_precision(answers: Counts, right: Counts, wanted: float, groups: Flags) -> ThresholdChoice | None:
    """The lowest threshold with which a share `wanted` of the answers is right, on some groups.

    It is the one that can promise so much (`choose_threshold`). Where none can, it is, of those that
    `least_answers` reach, the lowest of which the bound, looked at alone, reaches it, and else the lowest
    that reaches it on these groups.

    Args:
        answers: [G, T], answers that reach each threshold.
        right: [G, T], of these.
        wanted: the share.
        groups: bool [G], those to choose on.
    """
    of_answers, of_right = answers[groups], right[groups]
    scores, hits, codes = _stand_ins(of_answers, of_right)
    promise = choose_threshold(scores, hits, codes, promise=wanted, confidence=CONFIDENCE)
    if promise is not None:
        return ThresholdChoice(int(np.searchsorted(THRESHOLDS, promise.threshold)), promised=True)
    total = of_answers.sum(axis=0)
    enough = total >= least_answers(wanted)
    reached = np.flatnonzero(enough & (ratio(of_right.sum(axis=0), total) >= wanted))
    if not len(reached):
        return None
    differ = reached[np.unique(total[reached], return_index=True)[1][::-1]]  # from the most answers on
    bounds = (int(index) for index in _picked(differ) if _bound_at(of_right, of_answers, index) >= wanted)
    return ThresholdChoice(next(bounds, int(reached[0])), promised=False)


def _bound_at(hits: Counts, whole: Counts, index: int) -> float:
    return bound_of_sums(hits[:, index], whole[:, index])


def _picked(indices: Indices) -> Indices:
    """At most `STEPS` of them, in equal steps, the first and the last among them."""
    picked = np.linspace(0, len(indices) - 1, min(STEPS, len(indices))).round().astype(np.int64)
    return np.asarray(indices[np.unique(picked)], np.int64)


def choose_kept(
    kept: Counts, whole: Counts, wanted: float, groups: Flags, *, from_lowest: bool
) -> ThresholdChoice | None:
    """The threshold furthest from where it begins with which a share `wanted` is kept, on some groups.

    Thresholds are tried in a fixed order until one fails, as `choose_threshold` tries them. Of fewer than
    `least_answers` none is chosen.

    Args:
        kept: [G, T], what each threshold keeps.
        whole: [G], of how many.
        wanted: the share.
        groups: bool [G], those to choose on.
        from_lowest: a low threshold keeps more, and the highest is looked for; else the other way.
    """
    of_kept, of_whole = kept[groups], whole[groups]
    total = of_kept.sum(axis=0)
    if of_whole.sum() < least_answers(wanted):
        return None
    order = np.arange(len(THRESHOLDS)) if from_lowest else np.arange(len(THRESHOLDS))[::-1]
    changes = order[np.append(np.flatnonzero(np.diff(total[order])), len(order) - 1)]  # last of equals
    reached = changes[total[changes] >= wanted * of_whole.sum()]
    if not len(reached):
        return None
    best = None
    for index in _picked(reached):
        if bound_of_sums(of_kept[:, index], of_whole) < wanted:
            break
        best = ThresholdChoice(int(index), promised=True)
    return best or ThresholdChoice(int(reached[-1]), promised=False)


def choose_elsewhere(choose: Chooser, groups: int, seed: int) -> Indices | None:
    """[G]: the threshold of each group by what is chosen on others, -1 where none is; None with one group.

    The groups are dealt into five folds, and each fold is given the choice of the others.
    """
    fold_of = folds_of_groups(groups, seed)
    if fold_of is None:
        return None
    indices = np.full(groups, -1, np.int64)
    for fold in np.unique(fold_of):
        choice = choose(fold_of != fold)
        indices[fold_of == fold] = -1 if choice is None else choice.index
    return indices


def folds_of_groups(groups: int, seed: int) -> Indices | None:
    """[G]: the fold of each group, drawn; None with one group."""
    if groups < 2:
        return None
    return np.random.default_rng(seed).permutation(groups) % min(_FOLDS, groups)


def at_indices(counts: Counts, indices: Indices) -> Counts:
    """[G]: of counts [G, T] those at the threshold of each group; 0 where it has none."""
    return np.asarray(np.where(indices < 0, 0, counts[np.arange(len(counts)), indices]), np.int64)


def bound_of_sums(hits: Counts, whole: Counts) -> float:
    """`lower_bound` of hits [G] out of a whole [G], at the confidence of `CONFIDENCE`.

    0 of nothing, and of fewer than `FEW_LOCATIONS` groups that have any: these say nothing of others.
    """
    if np.count_nonzero(whole) < FEW_LOCATIONS:
        return 0.0
    hits, missed = _fewer(np.stack([hits, whole - hits], axis=1)).T
    if not hits.sum():
        return 0.0
    groups = np.arange(len(hits))
    codes = np.concatenate([np.repeat(groups, hits), np.repeat(groups, missed)])
    outcomes = np.repeat([1, 0], [hits.sum(), missed.sum()])
    return lower_bound(outcomes, codes, CONFIDENCE)


def share_of_sums(hits: Counts, whole: Counts, samples: int, seed: int) -> Estimate:
    """Σ hits / Σ whole, each [G], with its 95 % interval over the groups."""
    sums = {"hits": hits[:, None].astype(np.float64), "whole": whole[:, None].astype(np.float64)}

    def share(of: Mapping[str, Floats]) -> dict[str, Floats]:
        return {"share": ratio(of["hits"], of["whole"])}

    return estimate_sums(sums, samples, seed, figures=share)["share"][0]


def _stand_ins(answers: Counts, right: Counts) -> tuple[Floats, Counts, Indices]:
    """A score, an outcome and a group for each answer, as `choose_threshold` takes them."""
    by_bin = [counts - np.pad(counts[:, 1:], ((0, 0), (0, 1))) for counts in (right, answers - right)]
    counts = _fewer(np.stack(by_bin, axis=2))  # [G, T, right or wrong]
    group, index, wrong = np.nonzero(counts)
    often = counts[group, index, wrong]
    return np.repeat(THRESHOLDS[index], often), np.repeat(1 - wrong, often), np.repeat(group, often)


def _fewer(counts: Counts) -> Counts:
    """Counts that are at most `_MOST` together, in the same proportions."""
    total = int(counts.sum())
    if total <= _MOST:
        return counts
    ends = np.floor(np.cumsum(counts.ravel()) * (_MOST / total))
    return np.asarray(np.diff(ends, prepend=0).reshape(counts.shape), np.int64)
