"""How often each label is said from each threshold on, and how often rightly; adds up over parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.errors import DataError
from trapline.evaluation.matching import Matched
from trapline.metrics import count_at_thresholds, mark_labels
from trapline.observations import CATEGORIES, SURE, category_name
from trapline.taxonomy import BLANK, Kind, Taxonomy, default_kind

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MOST_GROUPS = 500
"""Of more groups several are one: they stay apart from the others, and memory stays small."""

SMALL = 0.01
"""The share of a photo that the largest box of a small animal takes at most."""

SAID_FROM = 0.5
"""Where the threshold of one label of several moves, the others stay here, as everywhere else."""


@dataclass
class _GroupCounts:
    """Counts by group, in whose fields of other names than `label_…` the groups come first."""

    def __add__(self, other: Self) -> Self:
        return replace(self, **{name: values + vars(other)[name] for name, values in vars(self).items()})

    def moved(self, to: Counts, number: int) -> Self:
        """The same with the groups at other indices, of `number` groups."""
        moved = {
            name: values if name.startswith("label_") else _moved(values, to, number)
            for name, values in vars(self).items()
        }
        return replace(self, **moved)


@dataclass
class SubjectCounts(_GroupCounts):
    """Of one label, rank, or all together.

    Attributes:
        answered: [G, T], media with such an answer.
        answers: [G, T], these answers.
        right: [G, T], of these; right but coarser ones among them.
        recalled: [G, T], of the media or labels to be found those that are.
        support: [G], how many are to be found.
    """

    answered: Counts
    answers: Counts
    right: Counts
    recalled: Counts
    support: Counts

    @classmethod
    def of(
        cls, scores: Floats, right: Flags, recalled: Flags, support: Flags, groups: Counts, number: int
    ) -> SubjectCounts:
        """Counts of media.

        Args:
            scores: [N]; NaN where there is no such answer.
            right: [N], whether it is right.
            recalled: [N], whether it is what was to be found.
            support: [N], whether there is something to be found.
            groups: [N].
            number: of groups.
        """
        answers = count_at_thresholds(scores, groups, number)
        return cls(
            answered=answers,
            answers=answers,
            right=count_at_thresholds(np.where(right, scores, np.nan), groups, number),
            recalled=count_at_thresholds(np.where(recalled, scores, np.nan), groups, number),
            support=np.bincount(groups[support], minlength=number).astype(np.int64),
        )


@dataclass
class BlankCounts(_GroupCounts):
    """What goes with the blanks: media that are said to be blank from each threshold on.

    Attributes:
        removed: [G, T], of the blank media, and
        blanks: [G], how many there are.
        lost: [G, T], of those of animals, and
        animals: [G], how many there are.
        small_lost: [G, T], of those whose boxes of animals, of which the detector is sure, are all small, and
        small: [G], how many there are.
        boxed: [G], media of animals that have boxes.
        label_lost: [K, T], of the media of each label, and
        label_media: [K], how many there are.
    """

    removed: Counts
    blanks: Counts
    lost: Counts
    animals: Counts
    small_lost: Counts
    small: Counts
    boxed: Counts
    label_lost: Counts
    label_media: Counts


def _moved(values: Counts, to: Counts, number: int) -> Counts:
    moved = np.zeros((number, *values.shape[1:]), np.int64)
    np.add.at(moved, to, values)
    return moved


@dataclass
class ThresholdTallies:
    """Counts of all labels together, of each, and of what goes with the blanks.

    Attributes:
        kinds: label → what it stands for, where its name does not tell.
        together: one threshold for all labels.
        labels: each label with its own, the others as they are.
        blank: None for a model without the label `blank`.
        media: [G].
    """

    kinds: dict[str, Kind]
    together: SubjectCounts | None = None
    labels: list[SubjectCounts] = field(default_factory=list)
    blank: BlankCounts | None = None
    media: Counts = field(default_factory=lambda: np.zeros(0, np.int64))

    def add(self, matched: Matched, groups: Counts, number: int, *, boxes: bool) -> None:
        """Count some media.

        Args:
            matched: the media.
            groups: [N], from 0 to `number` - 1.
            number: of groups; never fewer than before.
            boxes: whether the boxes of a row are those of what it shows.
        """
        values = matched.answered
        several = matched.truth.ndim == 2
        blank = matched.labels.index(BLANK) if BLANK in matched.labels else None
        has = mark_labels(matched.truth, len(matched.labels))
        right = has if matched.coarse is None else has | matched.coarse.right
        alone, joint = scores_of(values, blank, several)
        together = _together(joint, has, right, groups, number, several)
        labels = [
            SubjectCounts.of(alone[:, k], right[:, k], has[:, k], has[:, k], groups, number)
            for k in range(len(matched.labels))
        ]
        parts = None if blank is None else self._blank(matched, alone[:, blank], has, groups, number, boxes)
        media = np.bincount(groups, minlength=number).astype(np.int64)
        if self.together is None:
            self.together, self.labels, self.blank, self.media = together, labels, parts, media
            return
        before = self.reordered(np.arange(len(self.media)), number)
        assert before.together is not None
        self.together = before.together + together
        self.labels = [own + one for own, one in zip(before.labels, labels, strict=True)]
        if parts is not None and before.blank is not None:
            self.blank = before.blank + parts
        self.media = before.media + media

    def reordered(self, to: Counts, number: int) -> ThresholdTallies:
        """The same with the groups at other indices."""
        assert self.together is not None
        return ThresholdTallies(
            self.kinds,
            self.together.moved(to, number),
            [one.moved(to, number) for one in self.labels],
            None if self.blank is None else self.blank.moved(to, number),
            _moved(self.media, to, number),
        )

    def _blank(
        self, matched: Matched, scores: Floats, has: Flags, groups: Counts, number: int, boxes: bool
    ) -> BlankCounts:
        """Media of animals are those of which a label is none of blank, people and vehicles."""
        kinds = [self.kinds.get(label) or default_kind(label) or "animal" for label in matched.labels]
        blanks = has[:, matched.labels.index(BLANK)]
        animals = _has_of_kind(has, kinds, _LIVING)
        largest = _largest_boxes(matched.media) if boxes else np.full(len(scores), np.nan)
        small = animals & (largest < SMALL)

        def of(rows: Flags) -> tuple[Counts, Counts]:
            counted = count_at_thresholds(np.where(rows, scores, np.nan), groups, number)
            return counted, np.bincount(groups[rows], minlength=number).astype(np.int64)

        one_group = np.zeros(len(scores), np.int64)
        by_label = [count_at_thresholds(np.where(rows, scores, np.nan), one_group, 1)[0] for rows in has.T]
        return BlankCounts(
            *of(blanks),
            *of(animals),
            *of(small),
            of(animals & np.isfinite(largest))[1],
            np.array(by_label, np.int64),
            has.sum(axis=0).astype(np.int64),
        )


_LIVING: tuple[Kind, ...] = ("animal", "other")


def _has_of_kind(has: Flags, kinds: Sequence[Kind], wanted: Sequence[Kind]) -> Flags:
    return np.asarray(has[:, [kind in wanted for kind in kinds]].any(axis=1), np.bool_)


def scores_of(values: Floats, blank: int | None, several: bool) -> tuple[Floats, Floats]:
    """[N, K] twice: from which threshold down each label is said; NaN where it never is.

    Of a model that says one label that is the probability of the most probable one. Of one that says several
    it is that of each, but for `blank`, which is said alone (`trapline.metrics.labels_said`).

    Args:
        values: probabilities [N, K].
        blank: the column of `blank`.
        several: the model can say several labels.

    Returns:
        of each label where the others are said from one half on; and of all where one threshold is for all.
    """
    if not several:
        best = values.argmax(axis=1)[:, None] == np.arange(values.shape[1])
        scores = np.where(best, values, np.nan)
        return scores, scores
    if blank is None:
        return values, values
    own = values[:, [blank]]
    others = values.copy()
    others[:, blank] = -1.0
    empty = own >= others.max(axis=1, keepdims=True)
    is_blank = np.arange(values.shape[1]) == blank
    joint = np.where(empty == is_blank, values, np.nan)
    passing = np.where(others >= SAID_FROM, others, -1.0).max(axis=1, keepdims=True)
    hidden = (own >= SAID_FROM) & (passing <= own) & (values <= own)
    alone = np.where(is_blank, np.where(passing <= own, values, np.nan), np.where(hidden, np.nan, values))
    return alone, joint


def _together(
    scores: Floats, has: Flags, right: Flags, groups: Counts, number: int, several: bool
) -> SubjectCounts:
    """One threshold for all labels: every answer counts, a media as often as it has answers."""
    repeated = np.repeat(groups, scores.shape[1])
    recalled = has if several else right
    counts = SubjectCounts.of(scores.ravel(), right.ravel(), recalled.ravel(), has.ravel(), repeated, number)
    highest = np.where(np.isnan(scores).all(axis=1), np.nan, np.nan_to_num(scores, nan=-1.0).max(axis=1))
    counts.answered = count_at_thresholds(highest, groups, number)
    return counts


_ANIMAL = sorted(name for name in {*CATEGORIES, *CATEGORIES.values()} if category_name(name) == "animal")
"""How catalogs spell it."""


def _largest_boxes(media: pl.DataFrame) -> Floats:
    """[N]: the share of the photo that the largest sure box of an animal takes; NaN where there is none."""
    box = {name: pl.element().struct.field(name) for name in ("category", "conf", "width", "height")}
    animal = box["category"].is_in(_ANIMAL) & (box["conf"].fill_null(1.0) >= SURE)  # drawn by hand: no conf
    share = pl.when(animal).then(box["width"] * box["height"])
    boxes = pl.col("boxes").list.eval(share)
    return media.select(boxes.list.max().cast(pl.Float64)).to_series().fill_null(np.nan).to_numpy()


def group_codes(groups: Counts) -> tuple[Counts, int]:
    """[N] and how many: groups as they are, or `MOST_GROUPS` where there are more."""
    number = int(groups.max()) + 1 if len(groups) else 0
    return (groups, number) if number <= MOST_GROUPS else (groups % MOST_GROUPS, MOST_GROUPS)


def kinds_of(taxonomy: Taxonomy, labels: Sequence[str]) -> dict[str, Kind]:
    """Label → its kind, of those that a taxonomy knows."""
    kinds: dict[str, Kind] = {}
    for label in labels:
        try:
            kinds[label] = taxonomy.for_labels([label]).kind(label)
        except DataError:  # its name decides
            continue
    return kinds


@dataclass
class TalliedParts:
    """The tallies of a long table, of which groups are known only as they come.

    Attributes:
        over: what a group is: the media of one `location` or `season`.
        kinds: as of `ThresholdTallies`.
        codes: its name → its index.
    """

    over: str
    kinds: dict[str, Kind]
    codes: dict[str | None, int] = field(default_factory=dict)
    tallies: ThresholdTallies | None = None

    def add(self, matched: Matched, *, boxes: bool) -> None:
        """Count one part."""
        column = {"location": "location_id", "season": "season"}[self.over]
        names = matched.media[column].cast(pl.String)
        for name in names.unique(maintain_order=True):
            self.codes.setdefault(name, len(self.codes))
        groups = np.array([self.codes[name] % MOST_GROUPS for name in names], np.int64)
        if self.tallies is None:
            self.tallies = ThresholdTallies(self.kinds)
        self.tallies.add(matched, groups, min(len(self.codes), MOST_GROUPS), boxes=boxes)

    def ordered(self) -> ThresholdTallies | None:
        """The groups in the order of their names, so that the same are dealt as of a table judged whole."""
        if self.tallies is None or len(self.codes) > MOST_GROUPS:
            return self.tallies
        names = pl.DataFrame({"name": list(self.codes)}, schema={"name": pl.String})
        order = names.select(pl.struct("name").rank("dense").cast(pl.Int64)).to_series().to_numpy() - 1
        return self.tallies.reordered(order, len(self.codes))
