"""Thresholds: how many answers each leaves, how many of them are right, and which to take.

A threshold is chosen on all groups (locations). What it does elsewhere is told by choosing it again on four
fifths of them and judging it at the others, each in its turn, so that no location takes part in the choice of
what it is judged by.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from trapline import metrics
from trapline.arguments import Output, checked
from trapline.evaluation.result_part import ResultPart
from trapline.evaluation.threshold_figures import (
    BlankPoint,
    BlankThresholds,
    ChosenThreshold,
    LabelLoss,
    Of,
    SubjectThresholds,
    ThresholdPoint,
    TogetherThresholds,
)
from trapline.evaluation.threshold_table import write_thresholds
from trapline.evaluation.threshold_tallies import BlankCounts, Counts, SubjectCounts, ThresholdTallies
from trapline.evaluation.wants import Want, Wants
from trapline.metrics import THRESHOLDS, ThresholdChoice
from trapline.models import Interval
from trapline.taxonomy import BLANK


class Thresholds(ResultPart):
    """Which thresholds there are, and which to take.

    Attributes:
        level: what they are for: answers of media, events or boxes.
        model: the fingerprint of whose answers they are.
        over: what they were chosen on and judged at.
        groups: how many of these there are.
        made_by: how these came of the model's (`PredictionFacts.made_by`); empty of older versions.
        chosen_on: for people: on which media.
        subjects: all labels alike, each label, each rank.
        together: the labels, each with its own.
        ranks: likewise of a model of taxa, whose answers stop at the finest rank that reaches its own.
        blank: what goes with the blanks; None for a model without the label.
    """

    level: str
    model: str
    over: str
    groups: int
    subjects: tuple[SubjectThresholds, ...]
    made_by: str = ""
    chosen_on: str = ""
    together: TogetherThresholds | None
    ranks: TogetherThresholds | None = None
    blank: BlankThresholds | None = None

    @checked
    def save_csv(self, path: Output) -> Path:
        """Write the curves and what was chosen; `trapline write --thresholds` takes that."""
        whose = (self.level, self.model, self.made_by, self.chosen_on)
        return write_thresholds(self.subjects, whose, Path(path))

    def with_ranks(
        self, subjects: Sequence[SubjectThresholds], together: TogetherThresholds | None
    ) -> Thresholds:
        """With those of the ranks of a model of taxa."""
        return self.model_copy(update={"subjects": (*self.subjects, *subjects), "ranks": together})

    def of(self, kind: Of) -> list[SubjectThresholds]:
        """Those of labels, of ranks, or the one of all."""
        return [one for one in self.subjects if one.of == kind]


@dataclass(frozen=True)
class _Draws:
    """How intervals are drawn."""

    samples: int
    seed: int

    def share(self, hits: Counts, whole: Counts) -> Interval | None:
        return Interval.of(metrics.share_of_sums(hits, whole, self.samples, self.seed))


def choose_thresholds(
    tallies: ThresholdTallies,
    labels: Sequence[str],
    wants: Wants,
    *,
    samples: int,
    seed: int,
    level: str,
    model: str,
    made_by: str,
    over: str,
    groups: int,
    several: bool,
    unknown: Collection[str] = (),
) -> Thresholds:
    """The curves of all labels, and the thresholds that were wanted.

    Args:
        tallies: counts of the media.
        labels: their names.
        wants: what is wanted of each.
        samples: resamples behind each interval.
        seed: of the folds and the resamples.
        level: of the rows.
        model: the fingerprint.
        made_by: how the answers came of the model's.
        over: what the groups are.
        groups: how many there are, also where several are tallied as one.
        several: the model can say several labels.
        unknown: labels of media that the model does not know: it never says them, and no threshold can change
            that.

    Raises:
        UsageError: something is wanted of a label that there is not, or of blanks where there are none.
    """
    wants.refuse_unknown([label for label in labels if label not in unknown])
    assert tallies.together is not None
    draws, media = _Draws(samples, seed), int(tallies.media.sum())
    subjects = [_subject("all", "all", tallies.together, wants.of_all, None, media, draws)[0]]
    own: list[Counts | None] = []
    for label, counts in zip(labels, tallies.labels, strict=True):
        if label in unknown:
            own.append(None)
            continue
        blank = tallies.blank if label == BLANK else None
        subject, elsewhere = _subject("label", label, counts, wants.of(label), blank, media, draws)
        subjects.append(subject)
        own.append(elsewhere)
    return Thresholds(
        level=level,
        model=model,
        made_by=made_by,
        over=over,
        groups=groups,
        subjects=tuple(subjects),
        together=_together(tallies, own, draws, several),
        blank=None if BLANK in unknown else _blank(tallies.blank, labels, subjects, own, draws),
    )


def _subject(
    of: Of,
    name: str,
    counts: SubjectCounts,
    want: Want,
    blank: BlankCounts | None,
    media: int,
    draws: _Draws,
) -> tuple[SubjectThresholds, Counts | None]:
    """The curve and the choice; and the threshold of each group by what was chosen on others."""
    choose = partial(_choose, counts, want, blank)
    groups = len(counts.support)
    choice = choose(np.ones(groups, bool))
    elsewhere = metrics.choose_elsewhere(choose, groups, draws.seed)
    points = curve_of(counts, media)
    if choice is None:
        few = _reached_by_few(counts, want, blank)
        chosen = ChosenThreshold(wanted=str(want), threshold=None, too_few=few)
    else:
        here = _point(counts, choice.index, media)
        chosen = ChosenThreshold(
            wanted=str(want),
            threshold=here.threshold,
            promised=choice.promised,
            answered=here.answered,
            precision=here.precision,
            recall=here.recall,
            **({} if elsewhere is None else _elsewhere(counts, want, blank, elsewhere, draws)),
        )
    subject = SubjectThresholds(
        of=of, name=name, media=int(counts.support.sum()), curve=points, chosen=chosen
    )
    return subject, elsewhere


def _choose(
    counts: SubjectCounts, want: Want, blank: BlankCounts | None, groups: np.ndarray
) -> ThresholdChoice | None:
    """The threshold that is wanted, on some groups."""
    if want.figure == "precision":
        return metrics.choose_precision(counts.answers, counts.right, want.value, groups)
    if want.figure == "recall":
        return metrics.choose_kept(counts.recalled, counts.support, want.value, groups, from_lowest=True)
    assert blank is not None
    return metrics.choose_kept(_left(blank), blank.animals, 1 - want.value, groups, from_lowest=False)


def _left(blank: BlankCounts) -> Counts:
    """[G, T]: media of animals that are not said to be blank."""
    return np.asarray(blank.animals[:, None] - blank.lost)


def _reached_by_few(counts: SubjectCounts, want: Want, blank: BlankCounts | None) -> bool:
    """Of a subject that has no threshold: whether one reaches what is wanted, on too few answers."""
    if want.figure == "precision":
        return metrics.reached_by_any(counts.right, counts.answers, want.value)
    if want.figure == "recall":
        return metrics.reached_by_any(counts.recalled, counts.support[:, None], want.value)
    assert blank is not None
    return metrics.reached_by_any(_left(blank), blank.animals[:, None], 1 - want.value)


def _elsewhere(
    counts: SubjectCounts, want: Want, blank: BlankCounts | None, indices: Counts, draws: _Draws
) -> dict[str, Interval | float | None]:
    """The wanted figure by thresholds of other groups, and its bound."""
    if want.figure == "lost":
        assert blank is not None
        lost = metrics.at_indices(blank.lost, indices)
        bound = 1 - metrics.bound_of_sums(blank.animals - lost, blank.animals)
        return {"elsewhere": draws.share(lost, blank.animals), "bound": bound}
    hits, whole = metrics.at_indices(counts.right, indices), metrics.at_indices(counts.answers, indices)
    if want.figure == "recall":
        hits, whole = metrics.at_indices(counts.recalled, indices), counts.support
    share = draws.share(hits, whole)
    return {"elsewhere": share, "bound": None if share is None else metrics.bound_of_sums(hits, whole)}


def curve_of(counts: SubjectCounts, media: int) -> tuple[ThresholdPoint, ...]:
    """The points of a curve, of so many media; thresholds that change nothing are left out."""
    answers = counts.answers.sum(axis=0)
    changes = np.append(np.flatnonzero(np.diff(answers)), len(answers) - 1)  # the last of equals
    return tuple(_point(counts, int(index), media) for index in changes if answers[index])


def _point(counts: SubjectCounts, index: int, media: int) -> ThresholdPoint:
    answered, answers, right, recalled = (
        int(values[:, index].sum())
        for values in (counts.answered, counts.answers, counts.right, counts.recalled)
    )
    support = int(counts.support.sum())
    return ThresholdPoint(
        threshold=float(THRESHOLDS[index]),
        answered=answered / media,
        answers=answers,
        right=right,
        precision=_ratio(right, answers),
        recall=_ratio(recalled, support),
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _together(
    tallies: ThresholdTallies, own: Sequence[Counts | None], draws: _Draws, several: bool
) -> TogetherThresholds | None:
    chosen = [
        (counts, indices) for counts, indices in zip(tallies.labels, own, strict=True) if indices is not None
    ]
    if not chosen:
        return None
    answers, right, recalled = (
        sum((metrics.at_indices(getattr(counts, name), indices) for counts, indices in chosen), 0)
        for name in ("answers", "right", "recalled")
    )
    support = np.asarray(sum(counts.support for counts in tallies.labels))  # of those never said too
    hits = np.asarray(recalled if several else right)
    return TogetherThresholds(
        answered=None if several else draws.share(np.asarray(answers), tallies.media),
        precision=draws.share(np.asarray(right), np.asarray(answers)),
        recall=draws.share(hits, support),
    )


def _blank(
    counts: BlankCounts | None,
    labels: Sequence[str],
    subjects: Sequence[SubjectThresholds],
    own: Sequence[Counts | None],
    draws: _Draws,
) -> BlankThresholds | None:
    if counts is None or not counts.blanks.sum() + counts.animals.sum():
        return None
    threshold = next(one for one in subjects if one.name == BLANK and one.of == "label").chosen.threshold
    elsewhere = own[labels.index(BLANK)]
    figures: Mapping[str, Interval | None] = {}
    if elsewhere is not None:
        figures = {
            "removed": draws.share(metrics.at_indices(counts.removed, elsewhere), counts.blanks),
            "lost": draws.share(metrics.at_indices(counts.lost, elsewhere), counts.animals),
            "small_lost": draws.share(metrics.at_indices(counts.small_lost, elsewhere), counts.small),
        }
    return BlankThresholds(
        blanks=int(counts.blanks.sum()),
        animals=int(counts.animals.sum()),
        boxed=int(counts.boxed.sum()),
        small=int(counts.small.sum()),
        curve=_blank_curve(counts),
        threshold=threshold,
        labels=_losses(counts, labels, threshold),
        **figures,
    )


def _blank_curve(counts: BlankCounts) -> tuple[BlankPoint, ...]:
    removed, lost, small_lost = (
        values.sum(axis=0) for values in (counts.removed, counts.lost, counts.small_lost)
    )
    every = removed + lost
    changes = np.append(np.flatnonzero(np.diff(every)), len(every) - 1)
    blanks, animals, small = (int(values.sum()) for values in (counts.blanks, counts.animals, counts.small))
    return tuple(
        BlankPoint(
            threshold=float(THRESHOLDS[index]),
            removed=_ratio(int(removed[index]), blanks),
            lost=_ratio(int(lost[index]), animals),
            small_lost=_ratio(int(small_lost[index]), small),
        )
        for index in changes.tolist()
    )


def _losses(counts: BlankCounts, labels: Sequence[str], threshold: float | None) -> tuple[LabelLoss, ...]:
    if threshold is None:
        return ()
    index = int(np.searchsorted(THRESHOLDS, threshold))
    losses = [
        LabelLoss(label=label, media=int(counts.label_media[k]), lost=int(counts.label_lost[k, index]))
        for k, label in enumerate(labels)
        if label != BLANK and counts.label_lost[k, index]
    ]
    return tuple(sorted(losses, key=lambda one: (-one.lost / one.media, one.label)))
