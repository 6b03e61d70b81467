"""An audit's intervals on real photos: how often they hold the truth, with streams and a model that learns.

usage: python benchmarks/review_audit_photos.py SOURCE [--part train] -o FOLDER [--reviews N] [--audited N]

The truth is the person. Each review begins without a model, by *start*; after every 40 decisions a head
learns of what was not drawn, and *learn* or *table*, by turns, ask on, 12 events at a time; a quarter of
what is asked is drawn for the audit. When so many are audited the estimates of what nobody looked at, and
of the table, are held against the truth. Every photo of one label is an event of its own. SOURCE has labels
and is what `trapline catalog` reads.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from review_audit import share, width
from sklearn.linear_model import LogisticRegression

from trapline.formats import read
from trapline.metrics import Estimate
from trapline.models import ModelFile
from trapline.recipes import resolve_recipe
from trapline.review import (
    STREAMS,
    Audit,
    DecidedMedia,
    Decision,
    DecisionLog,
    Sighting,
    Situation,
    compact,
)
from trapline.training import embed

AT_ONCE, RETRAINED, DRAWN = 12, 40, 0.25


@dataclass(frozen=True, eq=False)
class Photos:
    """N photos of one label each.

    Attributes:
        events: keys.
        labels: K.
        truth: int [N].
        features: float32 [N, D], of the backbone.
    """

    events: list[str]
    labels: tuple[str, ...]
    truth: npt.NDArray[np.int64]
    features: npt.NDArray[np.float32]


def photos(source: Path, part: str | None, cache: Path) -> Photos:
    """Those of a source that have one label, embedded as the recipe `head` does it."""
    catalog = read(source) if part is None else read(source, part=part)
    catalog = catalog.with_table(catalog.table.filter(pl.col("labels").list.len() == 1))
    recipe = resolve_recipe("head", None, [])
    backbone = ModelFile(recipe.backbone.removeprefix("model-file:"))
    features = embed(backbone, catalog, preprocessing=recipe.preprocessing, cache=cache)
    names, truth = np.unique(catalog.table["labels"].list.first().to_numpy(), return_inverse=True)
    events = [f"media:{media}" for media in catalog.table["media_id"]]
    return Photos(events, tuple(names.tolist()), truth, features.reshape(len(events), -1))


@dataclass(eq=False)
class Review:
    """One review: its log, its audit, and what is decided."""

    photos: Photos
    points: npt.NDArray[np.float32]
    log: DecisionLog
    seed: int
    decided: npt.NDArray[np.bool_] = field(init=False)
    probabilities: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.decided = np.zeros(len(self.photos.events), bool)
        self.chosen: list[int] = []
        self.queue: list[int] = []
        self.audit = Audit.open(self.log, self.photos.events, self.answers(), self.seed)

    def answers(self) -> list[list[str]]:
        """What the model says of each."""
        if self.probabilities is None:
            return [[] for _ in self.photos.events]
        return [[self.photos.labels[column]] for column in self.probabilities.argmax(axis=1)]

    def go(self, audited: int) -> None:
        """Decide until so many are audited, or all are decided."""
        while audited and not self.decided.all():
            drawn = self.draw() if self.random.random() < DRAWN else None
            if drawn is not None:
                self.decide(drawn)
                audited -= 1
            elif (event := self.ask()) is not None:
                self.decide(event)
                self.chosen.append(event)
                if len(self.chosen) % RETRAINED == 0:
                    self.learn()

    def draw(self) -> int | None:
        """The next event by chance; what waits to be asked is not drawn."""
        barred = {*np.flatnonzero(self.decided).tolist(), *self.queue}
        draw = self.audit.next("audit", {self.photos.events[event] for event in barred})
        return None if draw is None else self.photos.events.index(draw.event)

    def ask(self) -> int | None:
        """The next event of the stream."""
        count = len(self.photos.events)
        if not self.queue:
            situation = Situation(
                events=self.photos.events,
                locations=np.full(count, -1),
                times=np.arange(count, dtype=float),
                labels=self.photos.labels,
                decided=np.where(self.decided, self.photos.truth, -1),
                open=~self.decided,
                known=np.full(count, -1),
                embeddings=self.points,
                probabilities=self.probabilities,
            )
            name = "start" if self.probabilities is None else ("table", "learn")[self.seed % 2]
            chosen = self.audit.ask_stream(STREAMS[name].choose, situation, AT_ONCE, self.random)
            self.queue = chosen.events.tolist()
        return self.queue.pop(0) if self.queue else None

    def decide(self, event: int) -> None:
        """Keep what is there."""
        key = self.photos.events[event]
        label = self.photos.labels[self.photos.truth[event]]
        media = (DecidedMedia(key, key, None, None),)
        self.log.add(
            Decision(
                key,
                "A. Person",
                self.log.now(),
                key,
                media,
                True,
                "seen",
                (Sighting(label),),
                asked=self.audit.role(key),
            )
        )
        self.decided[event] = True

    def learn(self) -> None:
        """A head of what was chosen; nothing that was drawn."""
        truth = self.photos.truth[self.chosen]
        if len(np.unique(truth)) < 2:
            return
        head = LogisticRegression(C=0.1, max_iter=300).fit(self.photos.features[self.chosen], truth)
        self.probabilities = np.zeros((len(self.decided), len(self.photos.labels)))
        self.probabilities[:, head.classes_] = head.predict_proba(self.photos.features)
        self.audit.follow(self.photos.events, self.answers())


def figures(review: Review) -> Iterator[tuple[str, Estimate, float]]:
    """Every figure, its estimate and the truth."""
    told = dict(zip(review.photos.events, review.answers(), strict=True))
    estimate = review.audit.estimate(told, review.log.current())
    truth, unseen = review.photos.truth, ~review.decided
    assert review.probabilities is not None
    answers = np.where(unseen, review.probabilities.argmax(axis=1), truth)
    for name, quality, rows in (
        ("unseen", estimate.unseen, unseen),
        ("table", estimate.table, unseen | True),
    ):
        right = (answers == truth)[rows]
        yield f"{name} accuracy", quality.accuracy, share(right.sum(), right.size)
        for column, label in enumerate(review.photos.labels):
            if (of_label := quality.by_label.get(label)) is None:
                continue
            named, shown = (answers == column)[rows], (truth == column)[rows]
            yield f"{name} precision", of_label.precision, share((named & shown).sum(), named.sum())
            yield f"{name} recall", of_label.recall, share((named & shown).sum(), shown.sum())


def main() -> None:
    """Print how often each figure's interval holds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("--part", help="of the source, where it has parts")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a folder for the embeddings")
    parser.add_argument("--reviews", type=int, default=100)
    parser.add_argument("--audited", type=int, default=60, help="events, in each review")
    options = parser.parse_args()
    looked = photos(options.source, options.part, options.output)
    points = compact(looked.features)
    looked = Photos(looked.events, looked.labels, looked.truth, compact(looked.features, 64))
    rows: dict[str, list[tuple[float, bool, float]]] = defaultdict(list)
    unlearnt = 0
    for seed in range(options.reviews):
        with tempfile.TemporaryDirectory() as folder, DecisionLog.create(Path(folder) / "log.db") as log:
            review = Review(looked, points, log, seed)
            review.go(options.audited)
            if review.probabilities is None:
                unlearnt += 1
                continue
            for name, estimate, truth in figures(review):
                if estimate.low is not None and estimate.high is not None and not np.isnan(truth):
                    held = estimate.low - 1e-9 <= truth <= estimate.high + 1e-9
                    rows[name].append((truth, held, width(estimate)))
    print(f"{len(looked.events)} photos, {len(looked.labels)} labels; {options.reviews} reviews")
    print(f"{unlearnt} of them ended before a model had learnt, and are left out\n")
    print("| figure | truth, mean | ± half the mean width | held the truth |")
    print("| --- | ---: | ---: | ---: |")
    for name, row in rows.items():
        truth, held, wide = np.mean(row, axis=0)
        print(f"| {name} | {truth:.1%} | {wide / 2:.1%} | {held:.1%} |")


if __name__ == "__main__":
    main()
