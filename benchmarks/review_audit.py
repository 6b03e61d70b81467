"""How often the intervals of a review's audit hold the truth: simulated reviews, stopped at some point.

    python benchmarks/review_audit.py [--reviews 1000] [--row NAME] [--seed 20261130]

Every review has its own events, labels of very unequal frequency, and a machine whose mistakes are more
frequent among rare labels and come in clusters. A stream asks for events by an order of its own (the most
doubtful, the rarest, those that the model contradicts, the surest), some events are drawn for the audit
between, and a model learns of what the stream was told every 40 decisions: it errs less near it, and of
other events. At the end the intervals of what nobody looked at, and of the table as a whole, are held
against the truth. Labels are counted from 3 audited answers on. The last two rows show what would be if
the audit were built otherwise.

Prints Markdown; leaves with status 1 if a figure of a row that counts is held less often than 93 times in
100.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trapline.metrics import Estimate
from trapline.review.drawing import Drawing
from trapline.review.estimates import Audited, estimate_quality

LEAST = 0.93
RETRAINED = 40
SOME = 3

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Row:
    """A kind of review: how many events and labels, how good the machine is at first, and when it stops.

    Attributes:
        audited: events; with `until`, at most.
        share: of the asked events that are drawn.
        until: stop when the interval of the accuracy is ± this.
        model: there is one at the beginning.
        odd: the share of events with two labels, and of those that nobody can tell.
        blind: streams pick drawn events as any other.
        weighted: the strata are told to the estimate.
        counts: it must hold.
    """

    events: int
    labels: int
    accuracy: float
    audited: int
    stream: str
    share: float = 0.3
    until: float | None = None
    model: bool = True
    odd: float = 0.0
    blind: bool = True
    weighted: bool = True
    counts: bool = True


ROWS = {
    "doubtful first": Row(2000, 10, 0.8, 100, "learn"),
    "many events, good machine": Row(20_000, 10, 0.97, 100, "learn", 0.15),
    "few events": Row(300, 6, 0.7, 60, "learn"),
    "nearly perfect, 30 audited": Row(2000, 8, 0.99, 30, "table"),
    "as often wrong as right": Row(2000, 6, 0.5, 300, "errors", 0.5),
    "contradicted first": Row(2000, 10, 0.85, 100, "errors", 0.2),
    "one camera": Row(326, 5, 0.9, 50, "table"),
    "surest first": Row(2000, 10, 0.8, 100, "sure"),
    "by chance": Row(1000, 8, 0.8, 60, "all"),
    "40 labels": Row(3000, 40, 0.85, 150, "learn"),
    "no model at first": Row(2000, 8, 0.8, 100, "learn", model=False),
    "two labels, none to tell": Row(2000, 8, 0.8, 100, "learn", odd=0.05),
    "stopped at ± 7 %": Row(2000, 8, 0.85, 300, "learn", until=0.07),
    "otherwise: streams see what was drawn": Row(1000, 8, 0.8, 100, "learn", 0.2, blind=False, counts=False),
    "otherwise: without weights": Row(2000, 20, 0.9, 150, "all", 0.9, weighted=False, counts=False),
}


class Review:
    """One simulated review, until it stops."""

    def __init__(self, row: Row, random: np.random.Generator) -> None:
        self.row, self.random = row, random
        n, k = row.events, row.labels
        often = 1 / np.arange(1, k + 1) ** 1.2
        self.first = random.choice(k, n, p=often / often.sum())
        self.truth = np.eye(k, dtype=bool)[self.first]
        several = random.random(n) < row.odd
        self.truth[several, (self.first[several] + 1) % k] = True
        self.untold = random.random(n) < row.odd
        self.cluster = random.integers(0, max(5, n // 20), n)
        hard = random.random(self.cluster.max() + 1)
        self.hard = 0.7 * random.random(n) + 0.3 * hard[self.cluster]
        by_label = (0.5 + random.random(k)) * np.arange(1, k + 1) ** 0.35 * (1 - row.accuracy)
        self.wrong_share = np.minimum(by_label, 0.9)[self.first]
        self.wrong_label = (self.first + random.integers(1, k, n)) % k
        self.drawn, self.decided, self.picked = (np.zeros(n, bool) for _ in range(3))
        self.skill = 1.0
        self.answer(learnt=row.model)
        self.strata = self.answers.argmax(axis=1) if row.model else np.zeros(n, int)
        self.drawing = Drawing(self.strata, random.permutation(n))

    def answer(self, learnt: bool = True) -> None:
        """What the model says now: right of what it has learnt, and less often wrong near it."""
        near = np.bincount(self.cluster[self.decided], minlength=self.cluster.max() + 1)[self.cluster]
        ranks = np.argsort(np.argsort(self.hard + 0.1 * self.random.normal(size=len(self.hard))))
        order = ranks / len(ranks)
        wrong = (order > 1 - self.wrong_share * self.skill * 0.85 ** np.minimum(near, 8)) & ~self.decided
        self.answers = np.eye(self.row.labels, dtype=bool)[np.where(wrong, self.wrong_label, self.first)]
        known_well = self.decided[:, None] | (self.random.random((len(order), 1)) < 0.5)
        self.answers |= self.truth & known_well & ~wrong[:, None]
        self.sure = 1 - order + 0.1 * self.random.normal(size=len(order))
        if not learnt:
            self.answers[:] = False

    def order(self) -> npt.NDArray[np.float64]:
        """[N], the first to ask first."""
        noise = self.random.random(len(self.sure))
        if self.row.stream == "learn":
            return self.sure
        if self.row.stream == "sure":
            return -self.sure
        if self.row.stream == "table":
            return np.asarray(self.answers.sum(axis=0)[self.answers.argmax(axis=1)] + noise)
        if self.row.stream == "errors":
            return np.asarray(self.sure - noise * (self.answers != self.truth).any(axis=1))
        return noise

    def go(self) -> Audited:
        """Decide until enough is audited; what is known then."""
        order, asked = self.order(), 0
        while self.drawn.sum() < self.row.audited:
            if self.random.random() < self.row.share:
                one = self.drawing.next("audit", self.decided)
                if one is None:
                    break
                self.drawn[one[0]] = True
                if self.is_enough():
                    break
            else:
                self.ask(order)
            asked += 1
            if asked % RETRAINED == 0:
                self.skill *= 0.93
                self.answer()
                order = self.order()
                if not self.row.model and self.strata.max() == 0:
                    self.strata[:] = self.answers.argmax(axis=1)  # the drawing's own
        return self.known()

    def ask(self, order: npt.NDArray[np.float64]) -> None:
        """What the stream asks for next."""
        shut = self.decided | (self.picked if self.row.blind else self.drawn)
        event = int(np.where(shut, np.inf, order).argmin())
        if not shut[event]:
            (self.picked if self.drawn[event] else self.decided)[event] = True

    def is_enough(self) -> bool:
        """Whether a person who watches the interval would stop; she looks at it after every tenth."""
        if self.row.until is None or self.drawn.sum() % 10:
            return False
        accuracy = estimate_quality(self.known()).unseen.accuracy
        return width(accuracy) <= 2 * self.row.until

    def known(self) -> Audited:
        """What an estimate is given."""
        truth = self.truth & (self.drawn | self.decided)[:, None] & ~self.untold[:, None]
        strata = self.strata if self.row.weighted else np.zeros_like(self.strata)
        decided = self.decided | self.picked & self.drawn
        names = [str(label) for label in range(self.row.labels)]
        return Audited(names, self.answers, truth, strata, decided, self.drawn & ~decided)


def width(estimate: Estimate) -> float:
    """Of the interval; all that is possible without one."""
    return 1.0 if estimate.low is None or estimate.high is None else estimate.high - estimate.low


def figures(row: Row, seed: int) -> Iterator[tuple[str, Estimate, float]]:
    """Every figure of one review, its estimate and the truth; those of what can be told."""
    review = Review(row, np.random.default_rng([seed, 17]))
    audited = review.go()
    estimate = estimate_quality(audited, seed)
    told = ~review.untold
    unseen = ~(review.drawn | review.decided)
    table = np.where(unseen[:, None], review.answers, review.truth)
    some = audited.answers[audited.drawn].sum(axis=0) >= SOME
    for name, quality, answers, rows in (
        ("unseen", estimate.unseen, review.answers, told & unseen),
        ("table", estimate.table, table, told),
    ):
        rows = rows & answers.any(axis=1)
        right = (answers == review.truth).all(axis=1)[rows]
        yield f"{name} accuracy", quality.accuracy, share(right.sum(), right.size)
        for label in np.flatnonzero(some):
            both = (answers[rows, label] & review.truth[rows, label]).sum()
            if (of_label := quality.by_label.get(str(label))) is None:
                continue
            yield f"{name} precision", of_label.precision, share(both, answers[rows, label].sum())
            yield f"{name} recall", of_label.recall, share(both, review.truth[rows, label].sum())


def share(part: float, whole: float) -> float:
    """part / whole; NaN of nothing."""
    return part / whole if whole else np.nan


def measure(row: Row, reviews: int, seed: int) -> dict[str, tuple[float, float]]:
    """Of each figure: how often its interval held the truth, and half its mean width."""
    held: dict[str, list[bool]] = defaultdict(list)
    widths: dict[str, list[float]] = defaultdict(list)
    for number in range(seed, seed + reviews):
        for name, estimate, truth in figures(row, number):
            if np.isnan(truth) or estimate.low is None or estimate.high is None:
                continue
            held[name].append(estimate.low - 1e-9 <= truth <= estimate.high + 1e-9)
            widths[name].append(width(estimate))
    return {name: (float(np.mean(held[name])), float(np.mean(widths[name])) / 2) for name in held}


NAMES = [f"{of} {figure}" for of in ("unseen", "table") for figure in ("accuracy", "precision", "recall")]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reviews", type=int, default=1000, help="of each row")
    parser.add_argument("--row", choices=ROWS, action="append", help="only this one; may be given again")
    parser.add_argument("--seed", type=int, default=20261130, help="of the first review; the others follow")
    options = parser.parse_args()
    print(f"Held the truth, % of {options.reviews} reviews (± half the mean width, in %)\n")
    print(f"| review | events | labels | audited | {' | '.join(NAMES)} |")
    print(f"| --- | {' | '.join(['---:'] * (3 + len(NAMES)))} |")
    short = []
    for name in options.row or ROWS:
        row = ROWS[name]
        result = measure(row, options.reviews, options.seed)
        cells = [f"{100 * result[key][0]:.1f} (± {100 * result[key][1]:.0f})" for key in NAMES]
        print(f"| {name} | {row.events:,} | {row.labels} | {row.audited} | {' | '.join(cells)} |", flush=True)
        if row.counts:
            short += [f"{name}: {key}" for key in NAMES if result[key][0] < LEAST]
    if short and options.reviews >= 100:
        raise SystemExit(f"Held less often than in {LEAST:.0%} of the reviews: {'; '.join(short)}.")


if __name__ == "__main__":
    main()
