"""What an audit says of the answers that nobody looked at, and of the table as a whole. Pure numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from trapline.errors import DataError
from trapline.metrics import Estimate, WeightedShare

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

DRAWS = 2000
"""Of each figure, for its interval: of endless draws 1.8 to 3.2 % would lie below the lower bound."""

LEAST = 2
"""Strata of fewer audited events count as one together: a single event would stand for each."""

HALF_WIDTHS = (0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01, 0.005)
"""Intervals that are worth aiming at, as ± of an accuracy."""


@dataclass(frozen=True)
class LabelEstimate:
    """How well one label is told, by presence: an event may have several labels.

    An event has a label also where it has one that says more: one of a fox has an animal.

    Attributes:
        precision: of the events that have the label in the answers, the share that show it.
        recall: of the events that show it, the share that have the label in the answers.
    """

    precision: Estimate
    recall: Estimate


@dataclass(frozen=True)
class Quality:
    """How good some answers are. A figure without `value` has no audited event to rest on, or none to be of.

    Attributes:
        events: how many events have an answer, those left out that people could not tell.
        accuracy: the share of them whose labels are those that are seen, or say less of them ("animal" of a
            fox).
        exact: the share of them whose labels are exactly those that are seen.
        by_label: of every label that is answered or seen.
    """

    events: int
    accuracy: Estimate
    exact: Estimate
    by_label: dict[str, LabelEstimate]


@dataclass(frozen=True)
class Narrower:
    """About so many `more` audited events would make the interval of the unseen accuracy ± `half_width`."""

    half_width: float
    more: int


@dataclass(frozen=True)
class AuditEstimate:
    """What an audit says, with 95 % intervals.

    Attributes:
        unseen: of the machine's answers about events that nobody looked at.
        table: of the table as a whole: people's words where there are some, the machine's elsewhere. People
            are taken at their word.
        audited: how many drawn events the estimate rests on.
        coarser: how many of these are right, and only say less than what is seen.
        cannot_tell: how many drawn events people could not tell. The figures are of events that can be told.
        accuracy_if: (lowest, highest) accuracy of the unseen answers if all of those were wrong, or right;
            None where there are none.
        waiting: drawn events that nobody has answered yet.
        without_answer: events that nobody looked at and of which no machine says anything. Accuracy and
            precision leave them out; what they show counts as missed for the recall.
        narrower: the next interval to aim at; None where the rest is too small for one.
    """

    unseen: Quality
    table: Quality
    audited: int
    coarser: int
    cannot_tell: int
    accuracy_if: tuple[float, float] | None
    waiting: int
    without_answer: int
    narrower: Narrower | None


@dataclass(frozen=True, eq=False)
class Audited:
    """The N events of a project as an estimate needs them.

    Attributes:
        labels: K names.
        answers: [N, K], what the machine says; no label where it says nothing.
        truth: [N, K], what people say is seen; nothing where they cannot tell, or nobody looked.
        strata: int [N], in which each is drawn, from 0.
        decided: [N], a person has spoken of it, and not because it was drawn; or it was drawn and a stream
            has picked it as well.
        drawn: [N], decided because it was drawn for the audit, and no stream has picked it.
        waiting: how many were drawn and are not answered.
        coarser: [K, K], whether the label of a column says less than that of the row, and is right all the
            same (`trapline.taxonomy.coarser_labels`); None where no label does.
    """

    labels: Sequence[str]
    answers: Flags
    truth: Flags
    strata: Codes
    decided: Flags
    drawn: Flags
    waiting: int = 0
    coarser: Flags | None = None

    def __post_init__(self) -> None:
        """Raises:
        DataError: the arrays are not of one shape, or an event is both decided and drawn.
        """
        shape = (len(self.strata), len(self.labels))
        if self.answers.shape != shape or self.truth.shape != shape:
            raise DataError(f"Answers and truth of an audit must be {list(shape)}.")
        if (self.decided & self.drawn).any():
            raise DataError("An event of an audit is both drawn and decided otherwise.")

    def right(self) -> Flags:
        """[N]: whether every label that is seen is named or said less of, and nothing else is said."""
        if self.coarser is None:
            return np.asarray((self.answers == self.truth).all(axis=1))
        own = np.eye(len(self.labels), dtype=np.int64)
        covered = self.answers @ (own | self.coarser).T > 0
        return np.asarray(((self.truth <= covered) & (self.answers <= self.widened(self.truth))).all(axis=1))

    def exact(self) -> Flags:
        """[N]: likewise where none says less; two names of the same ("person", "human") are one."""
        same = None if self.coarser is None else self.coarser & self.coarser.T
        return replace(self, coarser=same).right()

    def widened(self, has: Flags) -> Flags:
        """[N, K]: the labels that events have, and all that say less of these."""
        if self.coarser is None:
            return has
        return np.asarray(has | (has @ self.coarser.astype(np.int64) > 0))


def estimate_quality(audited: Audited, seed: int = 0) -> AuditEstimate:
    """Accuracy, and precision and recall by label, design-weighted, each with a 95 % interval.

    Drawn events are, within each stratum, a random sample of those that no stream has picked; each stands for
    the events of its stratum that nobody looked at, over those drawn of it. The intervals are those of
    `trapline.metrics.WeightedShare`, and hold for the events that are there, not for others like them.

    Args:
        audited: the events.
        seed: of the draws behind the intervals: the same events always have the same.
    """
    sample = _Sample(audited, np.random.default_rng(seed))
    unseen, table = sample.qualities()
    return AuditEstimate(
        unseen=unseen,
        table=table,
        audited=int(sample.told.sum()),
        coarser=int((sample.told & sample.right & ~sample.exact).sum()),
        cannot_tell=int((audited.drawn & ~sample.told).sum()),
        accuracy_if=sample.extremes(),
        waiting=audited.waiting,
        without_answer=int((sample.unseen & ~sample.answered).sum()),
        narrower=sample.narrower(unseen.accuracy),
    )


@dataclass(frozen=True, eq=False)
class _Hits:
    """How many of some unseen events hit: the estimate, and draws for the bounds."""

    units: int
    value: float
    low: Floats
    high: Floats

    @classmethod
    def among(cls, units: int, share: WeightedShare, random: np.random.Generator) -> _Hits:
        value = 0.0 if not units else np.nan if share.value is None else share.value * units
        low, high = (share.draw_among(units, bound, DRAWS, random) for bound in ("low", "high"))
        return cls(units, value, low, high)

    def share(self, known: int = 0) -> Estimate:
        """Of these and of `known` hits beside them."""
        whole = known + self.units
        if not whole:
            return Estimate(None)
        return _figure((known + self.value) / whole, (known + self.low) / whole, (known + self.high) / whole)

    def share_beside(self, missed: _Hits, known: int = 0) -> Estimate:
        """Of these and of `known` hits, among them and those that are `missed`."""
        with np.errstate(invalid="ignore"):
            low, high = (
                (known + hits) / (known + hits + others)
                for hits, others in ((self.low, missed.high), (self.high, missed.low))
            )
        whole = known + self.value + missed.value
        return _figure((known + self.value) / whole if whole else np.nan, low, high)


class _Sample:
    """The drawn events, for how many each stands, and what is known of all."""

    def __init__(self, audited: Audited, random: np.random.Generator) -> None:
        self.random, self.labels = random, audited.labels
        self.answers, self.truth, self.drawn = audited.answers, audited.truth, audited.drawn
        self.unseen = ~audited.decided & ~audited.drawn
        self.answered: Flags = np.asarray(audited.answers.any(axis=1))
        self.by_people = (audited.decided | audited.drawn) & audited.truth.any(axis=1)
        self.told = audited.drawn & self.by_people
        self.weights = stand_for(audited.strata, self.unseen, audited.drawn)  # [N]
        self.right, self.exact = audited.right(), audited.exact()
        self.named, self.shown = audited.widened(audited.answers), audited.widened(audited.truth)

    def share(self, hit: Flags, of: Flags) -> tuple[int, WeightedShare]:
        """How many unseen events are among `of`, and what the sample says of `hit` among them.

        Events that people cannot tell are no part of it: they are taken off by their share of the sample.
        """
        told, drawn, unseen = self.told & of, self.drawn & of, self.unseen & of
        whole = float(self.weights[drawn].sum())
        tellable = float(self.weights[told].sum()) / whole if whole else 1.0
        heaviest = float(self.weights[unseen].max(initial=0.0))
        share = WeightedShare.of(hit[told], self.weights[told], heaviest)
        return round(int(unseen.sum()) * tellable), share

    def hits(self, hit: Flags, of: Flags) -> _Hits:
        """How many unseen events among `of` hit."""
        return _Hits.among(*self.share(hit, of), self.random)

    def qualities(self) -> tuple[Quality, Quality]:
        """Of the unseen answers, and of the table."""
        right, known = self.hits(self.right, self.answered), int(self.by_people.sum())
        unseen, table = {}, {}
        for column, label in enumerate(self.labels):
            if not (self.by_people & self.truth[:, column] | self.unseen & self.answers[:, column]).any():
                continue
            named, shown = self.named[:, column], self.shown[:, column]
            of_people = int((self.by_people & shown).sum())
            hits, missed = self.hits(shown, named), self.hits(shown, ~named)
            unseen[label] = LabelEstimate(hits.share(), hits.share_beside(missed))
            table[label] = LabelEstimate(hits.share(of_people), hits.share_beside(missed, of_people))
        same = np.array_equal(self.right, self.exact)  # and is drawn once
        exact = right if same else self.hits(self.exact, self.answered)
        return (
            Quality(right.units, right.share(), exact.share(), unseen),
            Quality(known + right.units, right.share(known), exact.share(known), table),
        )

    def extremes(self) -> tuple[float, float] | None:
        """The bounds of the accuracy if all that people could not tell were wrong, and right."""
        unclear = self.drawn & ~self.told & self.answered
        unseen = self.unseen & self.answered
        if not unclear.any() or not unseen.any():
            return None
        drawn, heaviest = self.drawn & self.answered, float(self.weights[unseen].max())
        wrong, right = (
            _Hits.among(int(unseen.sum()), WeightedShare.of(hit, self.weights[drawn], heaviest), self.random)
            for hit in ((self.right & self.told)[drawn], (self.right | unclear)[drawn])
        )
        low, high = wrong.share().low, right.share().high
        return None if low is None or high is None else (low, high)

    def narrower(self, accuracy: Estimate) -> Narrower | None:
        """The next half width below that of this accuracy, and how many more audited events reach it."""
        units, share = self.share(self.right, self.answered)
        audited = int((self.told & self.answered).sum())
        if accuracy.low is None or accuracy.high is None or not audited:
            return None
        now = (accuracy.high - accuracy.low) / 2
        goal = next((half for half in HALF_WIDTHS if half < 0.95 * now), None)
        few, many = 0, units
        while goal is not None and few < many:
            more = (few + many) // 2
            later = _Hits.among(units - more, share.of_more(1 + more / audited), self.random).share()
            if later.low is None or later.high is None or later.high - later.low <= 2 * goal:
                many = more
            else:
                few = more + 1
        return None if goal is None or many >= units else Narrower(goal, many)


def stand_for(strata: Codes, unseen: Flags, drawn: Flags) -> Floats:
    """[N]: for how many unseen events each event of a stratum stands, if it is drawn.

    Strata of fewer than `LEAST` drawn events count as one; where that has none, it goes with the smallest of
    the others.

    Args:
        strata: [N], from 0.
        unseen: [N], what is to be estimated of.
        drawn: [N], the sample.
    """
    size = int(strata.max(initial=-1)) + 1
    units = np.bincount(strata[unseen], minlength=size)
    count = np.bincount(strata[drawn], minlength=size)
    group = np.where(count >= LEAST, np.arange(size), size)
    few = group == size
    if few.any() and not few.all() and not count[few].sum():
        alone = np.flatnonzero(~few)
        group[few] = alone[units[alone].argmin()]
    units_of, count_of = (np.bincount(group, weights=values, minlength=size + 1) for values in (units, count))
    weights = np.divide(units_of, count_of, out=np.zeros(size + 1), where=count_of > 0)
    return np.asarray(weights[group][strata])


def _figure(value: float, low: Floats, high: Floats) -> Estimate:
    """By the draws for its bounds; draws in which there is nothing for the figure to be of are left out."""
    low, high = low[~np.isnan(low)], high[~np.isnan(high)]
    if not len(low) or not len(high):
        return Estimate(None)
    return Estimate(
        None if np.isnan(value) else float(value),
        float(np.quantile(low, 0.025, method="lower")),
        float(np.quantile(high, 0.975, method="higher")),
    )
