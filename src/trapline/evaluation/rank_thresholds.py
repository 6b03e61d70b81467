"""The thresholds of a model of taxa: at each rank, of the media that no finer rank answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trapline import metrics
from trapline.catalog import Catalog
from trapline.evaluation.rank_truth import RankTruth, truth_by_rank
from trapline.evaluation.rolled_up import judge_answer
from trapline.evaluation.threshold_figures import ChosenThreshold, SubjectThresholds, TogetherThresholds
from trapline.evaluation.threshold_tallies import Counts, SubjectCounts, group_codes
from trapline.evaluation.thresholds import curve_of
from trapline.evaluation.wants import USUAL, Want
from trapline.metrics import THRESHOLDS, ThresholdChoice
from trapline.models import Interval
from trapline.prediction import Predictions, Ranks
from trapline.taxonomy import Best, Taxonomy

Flags = npt.NDArray[np.bool_]


def choose_at_ranks(
    catalog: Catalog,
    predictions: Predictions,
    *,
    groups: Sequence[str | None],
    unknown_are_wrong: bool,
    want: Want,
    samples: int,
    seed: int,
) -> tuple[tuple[SubjectThresholds, ...], TogetherThresholds | None]:
    """The curve of each rank for itself, and thresholds for answers that stop at the finest rank; as of
    `evaluate_ranks`. Where a recall is wanted of labels, ranks keep the usual precision. Nothing for models
    without a tree.
    """
    ranks = Ranks.of_facts(predictions.labels, predictions.facts)
    if ranks is None:
        return (), None
    truth = truth_by_rank(
        catalog, predictions, ranks.hierarchy.classes, groups, unknown_are_wrong, samples, seed
    )
    if not truth.known.any():
        return (), None
    wanted = want if want.figure == "precision" else USUAL
    judge = _RankJudge.of(truth, ranks, wanted)
    chosen = judge.choose(np.ones(judge.number, np.bool_))
    here = judge.stopped({level: choice.index for level, choice in chosen.items()})
    elsewhere = judge.stopped_elsewhere()
    subjects = tuple(judge.subject(best, chosen.get(best.level), here, elsewhere) for best in judge.bests)
    return subjects, judge.together(elsewhere)


@dataclass(frozen=True)
class _RankJudge:
    """Media with their best answers at each level and whether these are right.

    Attributes:
        bests: broadest level first.
        verdicts: level → [N].
        reaches: level → [N], whether the label says something of that level.
        groups: [N], from 0 on, and
        number: how many there are.
        truth: the media.
        want: the precision.
    """

    bests: list[Best]
    verdicts: Mapping[str, npt.NDArray[np.str_]]
    reaches: Mapping[str, Flags]
    groups: Counts
    number: int
    truth: RankTruth
    want: Want

    @classmethod
    def of(cls, truth: RankTruth, ranks: Ranks, want: Want) -> _RankJudge:
        bests, tree = ranks.bests(truth.probabilities), ranks.taxonomy
        verdicts, reaches = {}, {}
        for best in bests:
            pairs = list(zip(best.answers.tolist(), truth.labels, strict=True))
            known = {pair: judge_answer(tree, *pair) for pair in set(pairs)}
            verdicts[best.level] = np.array([known[pair] for pair in pairs])
            reached = {label: _reaches(tree, label, best.level) for label in set(truth.labels)}
            reaches[best.level] = np.array([reached[label] for label in truth.labels], np.bool_)
        groups, number = group_codes(truth.resampling.groups)
        return cls(bests, verdicts, reaches, groups, number, truth, want)

    def counts(self, best: Best, rows: Flags) -> SubjectCounts:
        """Of one level, over some of the media."""
        verdict = self.verdicts[best.level]
        judged, right = np.isin(verdict, ("right", "wrong")), verdict == "right"
        scores = np.where(rows, best.probabilities, np.nan)
        counts = SubjectCounts.of(
            np.where(judged, scores, np.nan),
            right,
            right & self.reaches[best.level],  # of a label that says nothing of the level nothing is missed
            rows & self.reaches[best.level],
            self.groups,
            self.number,
        )
        counts.answered = metrics.count_at_thresholds(scores, self.groups, self.number)
        return counts

    def choose(self, inside: Flags) -> dict[str, ThresholdChoice]:
        """Level → the threshold, chosen on some groups, bool [G]; finer levels answer first."""
        left, chosen = inside[self.groups], {}
        for best in reversed(self.bests):
            counts = self.counts(best, left)
            choice = metrics.choose_precision(counts.answers, counts.right, self.want.value, inside)
            if choice is not None:
                chosen[best.level] = choice
                left = left & ~(best.probabilities >= THRESHOLDS[choice.index])  # NaN: no such answer
        return chosen

    def stopped(self, indices: Mapping[str, int]) -> npt.NDArray[np.object_]:
        """[N]: the level at which the answer of each media stops; None where it has none."""
        levels = np.full(len(self.groups), None, object)
        for best in self.bests:  # the finest last
            if best.level in indices:
                levels[best.probabilities >= THRESHOLDS[indices[best.level]]] = best.level
        return levels

    def stopped_elsewhere(self) -> npt.NDArray[np.object_] | None:
        """The same by thresholds that were chosen on other groups; None with one group."""
        folds = metrics.folds_of_groups(self.number, self.truth.resampling.seed)
        if folds is None:
            return None
        levels = np.full(len(self.groups), None, object)
        for fold in np.unique(folds):
            chosen = self.choose(folds != fold)
            own = (folds == fold)[self.groups]
            levels[own] = self.stopped({level: one.index for level, one in chosen.items()})[own]
        return levels

    def subject(
        self,
        best: Best,
        choice: ThresholdChoice | None,
        here: npt.NDArray[np.object_],
        elsewhere: npt.NDArray[np.object_] | None,
    ) -> SubjectThresholds:
        """The curve of one level for itself, and its threshold where finer ones answer first."""
        everything = np.ones(len(self.groups), np.bool_)
        counts = self.counts(best, everything)
        if choice is None:
            few = self._reached_by_few(best, here)
            chosen = ChosenThreshold(wanted=str(self.want), threshold=None, too_few=few)
        else:
            stops, right, judged = self._at(best.level, here)
            other = None if elsewhere is None else self._at(best.level, elsewhere)
            chosen = ChosenThreshold(
                wanted=str(self.want),
                threshold=float(THRESHOLDS[choice.index]),
                promised=choice.promised,
                answered=float(stops.mean()),
                precision=right.sum() / judged.sum() if judged.any() else None,
                elsewhere=None if other is None else self._share(other[1], other[2]),
                bound=None if other is None or not other[2].any() else self._bound(other[1], other[2]),
            )
        return SubjectThresholds(
            of="rank",
            name=best.level,
            media=int(counts.support.sum()),
            curve=curve_of(counts, len(self.groups)),
            chosen=chosen,
        )

    def _reached_by_few(self, best: Best, here: npt.NDArray[np.object_]) -> bool:
        """Of a level that has no threshold: whether one reaches what is wanted, on too few answers."""
        levels = [one.level for one in self.bests]
        finer = levels[levels.index(best.level) + 1 :]
        counts = self.counts(best, ~np.isin(here.astype(str), finer))
        return metrics.reached_by_any(counts.right, counts.answers, self.want.value)

    def together(self, elsewhere: npt.NDArray[np.object_] | None) -> TogetherThresholds | None:
        """All levels by thresholds of other groups."""
        if elsewhere is None:
            return None
        parts = [self._at(best.level, elsewhere) for best in self.bests]
        stops, right, judged = (np.any([part[which] for part in parts], axis=0) for which in range(3))
        everything = np.ones(len(self.groups), np.bool_)
        return TogetherThresholds(
            answered=self._share(stops, everything), precision=self._share(right, judged), recall=None
        )

    def _at(self, level: str, levels: npt.NDArray[np.object_]) -> tuple[Flags, Flags, Flags]:
        """[N] thrice: media whose answer stops there, of these the right ones, and those that are judged."""
        stops, verdict = np.asarray(levels == level, np.bool_), self.verdicts[level]
        right = stops & (verdict == "right")
        return stops, right, right | (stops & (verdict == "wrong"))

    def _share(self, part: Flags, whole: Flags) -> Interval | None:
        return self.truth.resampling.share(part, whole)

    def _bound(self, right: Flags, judged: Flags) -> float:
        hits, whole = (
            np.bincount(self.groups[rows], minlength=self.number).astype(np.int64) for rows in (right, judged)
        )
        return metrics.bound_of_sums(hits, whole)


def _reaches(tree: Taxonomy, label: str, level: str) -> bool:
    """Whether a label says something of a level; one that the tree does not know says nothing."""
    if label not in tree.labels:
        return False
    return level == "kind" or level in tree.lineage(label)
