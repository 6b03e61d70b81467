"""Decisions against what a model learnt of them says of events that nobody looks at: streams beside rivals.

The truth is the person. The events of one fold (of other locations, another season or other visits) are
never asked; those of the other folds are asked by a stream, 60 at first and 40 a round. After each round a
head is fitted to what is decided, as the recipe `head` does it but without mirror images: its strength and
its temperature by folds within the decisions. All arms are fitted alike; only what is asked differs. Printed
are means over folds and seeds (each deals other folds), and how many decisions less than `random` an arm
needs to come to the log loss that `random` ends with.

A second table is of what a table of species holds that is wrong while events are decided: its answers are of
heads that never saw the location, and are replaced by decisions as they are made.

usage: python benchmarks/review_curve.py DATA -o FOLDER [--seeds N] [--arm NAME …]

DATA is caltech-night, trailcam-bursts or jura. Curves that are already in FOLDER are not computed again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from caltech_night import photos

import trapline
from trapline.catalog import Catalog, event_key, join_events
from trapline.formats import read
from trapline.metrics import fit_temperature, log_loss, log_losses, probabilities_of
from trapline.models import ModelFile
from trapline.recipes import resolve_recipe
from trapline.review import STREAMS, Situation, compact
from trapline.training import embed
from trapline.training.linear import LinearLayer, fit_head
from trapline.training.strengths import ToTry, try_strengths

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
FOLDS = 5
VISIT = timedelta(minutes=5)
STRENGTHS = (3.0, 1.0, 0.3, 0.1)
"""Of the recipe's; the others are never the best here."""


@dataclass(frozen=True)
class Events:
    """The events of a set of photos of which the truth is one label.

    Attributes:
        features: float32 [E, 1, D], the mean over the frames.
        truth: int [E].
        labels: the K labels.
        locations: int [E].
        times: float [E], seconds.
        boxed: [E], None where there are no boxes.
        kept: int [E], what is never on both sides: location, season or visit.
    """

    features: npt.NDArray[np.float32]
    truth: Rows
    labels: tuple[str, ...]
    locations: Rows
    times: Floats
    boxed: npt.NDArray[np.bool_] | None
    kept: Rows


def events_of(source: Path, cache: Path) -> Events:
    """The events of one of the three sets."""
    if source.name == "caltech-night":
        catalog = photos(source)  # every photo is a sequence of its own
        return gather(catalog, pl.col("media_id"), pl.col("location_id"), cache)
    if source.name == "trailcam-bursts":
        return gather(read(source, part="train"), event_key(), pl.col("season"), cache)
    catalog = join_events(trapline.read(source / "labels.csv", exif=True), VISIT)
    return gather(catalog, event_key(), event_key(), cache)


def gather(catalog: Catalog, event: pl.Expr, kept: pl.Expr, cache: Path) -> Events:
    """Frames embedded as the recipe `head` sees them, and put together to events."""
    recipe = resolve_recipe("head", None, [])
    backbone = ModelFile(recipe.backbone.removeprefix("model-file:"))
    features = embed(backbone, catalog, preprocessing=recipe.preprocessing, cache=cache)
    whole = "event_labels" if "event_labels" in catalog.table.columns else "labels"
    table = catalog.table.select(
        event=event,
        kept=kept,
        location=pl.col("location_id"),
        time=pl.col("camera_time").dt.epoch("s"),
        labels=pl.col(whole),
        boxed=pl.col("boxes").list.len() > 0,
    ).with_row_index("row")
    by_event = (
        table.group_by("event", maintain_order=True)
        .agg(
            pl.col("row"),
            pl.col("kept", "location", "time").first(),
            pl.col("boxed").any(),
            pl.col("labels").list.explode(keep_nulls=False, empty_as_null=False).unique(),
        )
        .filter(pl.col("labels").list.len() == 1)  # several labels teach a head of one nothing
    )
    numbers = {
        name: np.unique(by_event[name].to_numpy(), return_inverse=True)[1] for name in ("kept", "location")
    }
    labels, truth = np.unique(by_event["labels"].list.first().to_numpy(), return_inverse=True)
    return Events(
        features=np.stack([features[rows].mean(axis=0) for rows in by_event["row"].to_list()])[:, None],
        truth=truth,
        labels=tuple(labels.tolist()),
        locations=numbers["location"],
        times=by_event["time"].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
        boxed=None if catalog.table["boxes"].null_count() else by_event["boxed"].to_numpy(),
        kept=numbers["kept"],
    )


def folds_by(groups: Rows, folds: int, seed: int) -> Rows:
    """[N]: the fold of each; a group is in one fold only."""
    dealt = np.random.default_rng(seed).permutation(groups.max() + 1) % folds
    return np.asarray(dealt[groups])


@dataclass(frozen=True)
class Taught:
    """A head, and the temperature that puts right how sure it is."""

    head: LinearLayer
    temperature: float

    def probabilities(self, events: Events, rows: Rows) -> Floats:
        """[rows, K]."""
        logits = self.head.logits(events.features[rows, 0])
        return probabilities_of(logits, "single-label", temperature=self.temperature)


def teach(events: Events, decided: Rows) -> Taught:
    """As the recipe `head` learns: strength and temperature by folds within the decisions."""
    features, truth = events.features[decided], events.truth[decided]
    groups = np.unique(events.kept[decided], return_inverse=True)[1]
    folds = folds_by(groups, min(FOLDS, groups.max() + 1), seed=0)
    if groups.max() == 0:
        folds = np.arange(len(decided)) % FOLDS

    def fit(strength: float, outside: Rows, inside: Rows, start: LinearLayer | None) -> LinearLayer:
        return fit_head(features[outside], truth[outside], len(events.labels), strength, start=start)

    def answer(head: LinearLayer, outside: Rows, inside: Rows) -> Floats:
        return head.logits(features[inside, 0])

    def score(logits: Floats, inside: Rows) -> float:
        return float(log_loss(truth[inside], probabilities_of(logits, "single-label")))

    tried = try_strengths(ToTry(STRENGTHS, folds, fit, answer, score))
    every = np.arange(len(decided))
    temperature = fit_temperature(tried.answers[tried.best], truth)
    return Taught(fit(tried.best, every, every, None), temperature)


Choose = Callable[[Situation, int, np.random.Generator], Rows]


def by_stream(name: str) -> Choose:
    """What a stream of Trapline asks for."""
    return lambda situation, count, random: STREAMS[name].choose(situation, count, random).events


def surest_last(doubt: Callable[[Floats], Floats]) -> Choose:
    """The events of most doubt, one beside the other."""

    def choose(situation: Situation, count: int, random: np.random.Generator) -> Rows:
        rows = np.flatnonzero(situation.open)
        return rows[np.argsort(-doubt(situation.probabilities[rows]), kind="stable")[:count]]

    return choose


def margin(probabilities: Floats) -> Floats:
    """How near the two surest labels are."""
    two = np.sort(probabilities, axis=1)[:, -2:]
    return two[:, 0] - two[:, 1]


def entropy(probabilities: Floats) -> Floats:
    """How little the probabilities say."""
    return -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(axis=1)


def farthest(situation: Situation, count: int, random: np.random.Generator) -> Rows:
    """K-center greedy from the medoid, whatever a model says (Sener & Savarese 2018)."""
    rows = np.flatnonzero(situation.open)
    points, decided = situation.embeddings[rows], situation.embeddings[situation.decided >= 0]
    nearest = ((points[:, None] - decided) ** 2).sum(axis=2).min(axis=1, initial=np.inf)
    chosen: list[int] = []
    while len(chosen) < count:
        first = not len(decided) and not chosen
        best = ((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin() if first else nearest.argmax()
        chosen.append(int(best))
        nearest = np.minimum(nearest, ((points - points[best]) ** 2).sum(axis=1))
    return rows[chosen]


def badge(situation: Situation, count: int, random: np.random.Generator) -> Rows:
    """K-means++ over the gradients of the last layer (Ash et al. 2020, *BADGE*)."""
    rows = np.flatnonzero(situation.open)
    points, likely = situation.embeddings[rows], situation.probabilities[rows]
    slopes = likely - np.eye(likely.shape[1])[likely.argmax(axis=1)]
    sizes = (points**2).sum(axis=1) * (slopes**2).sum(axis=1)
    chosen = [int(sizes.argmax())]
    nearest = np.full(len(rows), np.inf)
    while len(chosen) < count:
        last = chosen[-1]
        products = (points @ points[last]) * (slopes @ slopes[last])
        nearest = np.minimum(nearest, np.maximum(sizes + sizes[last] - 2 * products, 0))
        nearest[chosen] = 0
        chosen.append(int(random.choice(len(rows), p=nearest / nearest.sum())))
    return rows[chosen]


ARMS: dict[str, tuple[Choose, Choose]] = {
    "random": (by_stream("random"), by_stream("random")),
    "start, learn": (by_stream("start"), by_stream("learn")),
    "start, random": (by_stream("start"), by_stream("random")),
    "random, learn": (by_stream("random"), by_stream("learn")),
    "random, margin": (by_stream("random"), surest_last(margin)),
    "random, entropy": (by_stream("random"), surest_last(entropy)),
    "random, badge": (by_stream("random"), badge),
    "k-center": (farthest, farthest),
}
"""Arm -> what asks first, and what asks once there is a model."""


def situation_of(
    events: Events, rows: Rows, decided: Rows, probabilities: Floats | None, points: npt.NDArray[np.float32]
) -> Situation:
    """Some of the events, as a stream sees them; `decided`, `probabilities` and `points` are of these."""
    return Situation(
        events=[str(row) for row in rows],
        locations=events.locations[rows],
        times=events.times[rows],
        labels=events.labels,
        decided=decided,
        open=decided < 0,
        known=np.full(len(rows), -1),
        boxed=None if events.boxed is None else events.boxed[rows],
        embeddings=points,
        probabilities=probabilities,
    )


def curve(events: Events, plan: Sequence[int], arm: str, fold: int, seed: int) -> list[dict[str, Any]]:
    """After each round: decisions, and the losses and hits of the events that nobody looks at."""
    folds = folds_by(events.kept, FOLDS, seed)
    pool, judged = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
    random = np.random.default_rng([seed, fold])
    points = compact(events.features[pool, 0])
    decided = np.full(len(pool), -1)
    probabilities, rounds = None, []
    for number, choose in enumerate([ARMS[arm][0], *[ARMS[arm][1]] * (len(plan) - 1)]):
        situation = situation_of(events, pool, decided, probabilities, points)
        asked = choose(situation, plan[number], random)
        decided = decided.copy()
        decided[asked] = events.truth[pool[asked]]
        taught = teach(events, pool[decided >= 0])
        probabilities = taught.probabilities(events, pool)
        answers, truth = taught.probabilities(events, judged), events.truth[judged]
        rounds.append(
            {
                "decisions": int((decided >= 0).sum()),
                "losses": log_losses(truth, answers).round(4).tolist(),
                "hits": (answers.argmax(axis=1) == truth).astype(int).tolist(),
            }
        )
    return rounds


TABLE_ARMS: dict[str, Choose] = {
    "random": by_stream("random"),
    "margin": surest_last(margin),
    "learn": by_stream("learn"),
    "table": by_stream("table"),
}
"""Arm -> what asks, where predictions are given."""


def species_table(events: Events, seeds: int) -> None:
    """Print records of a label at a location that are missing or too many, and events counted wrongly."""
    folds = folds_by(events.kept, FOLDS, seed=0)
    probabilities = np.empty((len(folds), len(events.labels)))
    for fold in np.unique(folds):
        taught = teach(events, np.flatnonzero(folds != fold))
        probabilities[folds == fold] = taught.probabilities(events, np.flatnonzero(folds == fold))
    steps = (0, 50, 100, 150, 200)
    print(f"\n| arm | {' | '.join(f'after {step}' for step in steps)} |\n{'| --- ' * (len(steps) + 1)}|")
    for arm in TABLE_ARMS:
        wrong = np.mean([wrong_in_table(events, probabilities, arm, steps, seed) for seed in range(seeds)], 0)
        cells = [f"{records:.0f} records, {counts:.0f} events" for records, counts in wrong]
        print(f"| {arm} | {' | '.join(cells)} |")


def wrong_in_table(
    events: Events, probabilities: Floats, arm: str, steps: Sequence[int], seed: int
) -> list[tuple[int, float]]:
    """At each step: records of label and location that differ from the truth, and events of a wrong label."""
    random, decided = np.random.default_rng(seed), np.full(len(events.truth), -1)
    points, wrong = compact(events.features[:, 0]), []
    for before, step in zip((0, *steps), steps, strict=False):
        if step > before:
            situation = situation_of(events, np.arange(len(decided)), decided, probabilities, points)
            asked = TABLE_ARMS[arm](situation, step - before, random)
            decided = decided.copy()
            decided[asked] = events.truth[asked]
        answers = np.where(decided >= 0, decided, probabilities.argmax(axis=1))
        records, true = (set(zip(one, events.locations, strict=True)) for one in (answers, events.truth))
        wrong.append((len(records ^ true), float((answers != events.truth).sum())))
    return wrong


def saved(base: Floats, other: Floats, decisions: Floats) -> str:
    """The share of `base`'s decisions that the other can do without for its last log loss."""
    reached = np.flatnonzero(other <= base[-1])
    if not len(reached):
        return "never there"
    at = int(reached[0])
    needed = decisions[0]
    if at:
        within = (other[at - 1] - base[-1]) / (other[at - 1] - other[at])
        needed = decisions[at - 1] + within * (decisions[at] - decisions[at - 1])
    return f"{1 - needed / decisions[-1]:.0%}"


def table(folder: Path, name: str, plan: Sequence[int], folds: list[int], seeds: int) -> None:
    """One row an arm: log loss and accuracy at some points, what is saved of the mean and seed by seed."""
    shown = range(0, len(plan), 2)
    means = {arm: mean_curves(folder, name, arm, folds, seeds) for arm in ARMS}
    means = {arm: curves for arm, curves in means.items() if curves is not None}
    decisions = np.cumsum(plan, dtype=np.float64)
    titles = [f"log loss at {decisions[at]:.0f}" for at in shown] + [
        f"accuracy at {decisions[at]:.0f}" for at in shown
    ]
    print(f"| arm | {' | '.join(titles)} | fewer decisions than random |")
    print("| --- " * (len(titles) + 2) + "|")
    for arm, curves in means.items():
        loss, hits = curves.mean(axis=0)
        cells = [f"{loss[at]:.3f}" for at in shown] + [f"{hits[at]:.3f}" for at in shown]
        if "random" in means:
            pairs = zip(means["random"], curves, strict=True)
            fewer = [saved(base[0], own[0], decisions) for base, own in pairs]
            of_mean = saved(means["random"].mean(axis=0)[0], loss, decisions)
            cells.append(f"{of_mean} (by seed {', '.join(fewer)})")
        print(f"| {arm} | {' | '.join(cells)} |")


def mean_curves(folder: Path, name: str, arm: str, folds: list[int], seeds: int) -> Floats | None:
    """[seeds, 2, rounds]: log loss and accuracy over the events of all folds; None unless all are there."""
    curves = []
    for seed in range(seeds):
        paths = [path_of(folder, name, arm, fold, seed) for fold in folds]
        if not all(path.is_file() for path in paths):
            return None
        loaded = [json.loads(path.read_text()) for path in paths]
        curves.append(
            [
                np.hstack([[one[key] for one in rounds] for rounds in loaded]).mean(axis=1)
                for key in ("losses", "hits")
            ]
        )
    return np.array(curves)


def path_of(folder: Path, name: str, arm: str, fold: int, seed: int) -> Path:
    """Where a curve is kept."""
    return folder / f"{name}-{arm.replace(', ', '-')}-{fold}-{seed}.json"


def main() -> None:
    """Make the curves that are not there and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--arm", action="append", choices=ARMS, help="Only this arm. Repeatable.")
    parser.add_argument("--plan", default="60,40,40,40,40,40,40,40,40", help="Decisions, round by round.")
    parser.add_argument("--jobs", type=int, default=2, help="Processes.")
    parser.add_argument("--folds", default="0,1,2,3,4", help="Those that are judged.")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    events = events_of(options.source, options.output / "cache")
    plan = [int(decisions) for decisions in options.plan.split(",")]
    folds = [int(fold) for fold in options.folds.split(",")]
    wanted = [
        (arm, fold, seed)
        for seed in range(options.seeds)
        for fold in folds
        for arm in options.arm or ARMS
        if not path_of(options.output, options.source.name, arm, fold, seed).is_file()
    ]
    with ProcessPoolExecutor(options.jobs) as pool:
        for job, rounds in zip(
            wanted, pool.map(partial(curve, events, plan), *zip(*wanted, strict=True)), strict=True
        ):
            path_of(options.output, options.source.name, *job).write_text(json.dumps(rounds))
    table(options.output, options.source.name, plan, folds, options.seeds)
    species_table(events, options.seeds)


if __name__ == "__main__":
    main()
