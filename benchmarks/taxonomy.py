"""Flat, cascade and path over three sets of camera-trap photos, side by side on the same features and folds.

caltech-night (92 locations), trailcam-bursts (one camera, four seasons, a label a frame), jura (one camera,
its days) are joined under one taxonomy. Five folds of whole locations, seasons and blocks of days: each photo
is predicted by heads that never saw its own. Where a season holds all media of a species, no head can know it
in the fold that needs it; broader ranks are all that can be right then.

usage: python benchmarks/taxonomy.py DATA -o FOLDER [--only fit|ways|nodes|promise]

DATA is the folder of the three sets and taxonomy.csv. Features are kept in FOLDER.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl

from trapline.catalog import Catalog
from trapline.catalog.table import SCHEMA
from trapline.evaluation.ranks import RankEvaluation, evaluate_ranks
from trapline.formats import join_boxes, read
from trapline.images import read_exif
from trapline.models import Interval, ModelFile, backbones
from trapline.prediction import Predictions
from trapline.recipes import Recipe, resolve_recipe
from trapline.taxonomy import Taxonomy, read_taxonomy
from trapline.taxonomy.classes import Classes, Hierarchy, hierarchy_of
from trapline.taxonomy.rollup import best_answers, levels_of, roll_up, verdict
from trapline.training import crossval, strengths
from trapline.training.features import embed
from trapline.training.learners import TreeLearner
from trapline.training.taxa_choices import USUAL_PROMISES, choose_thresholds
from trapline.training.taxa_media import select_taxa

FOLDS, SEED, DAYS, HALVES = 5, 42, 6, 100
PUBLISHED_EPOCHS = 25
STRENGTHS = (3.0, 1.0, 0.3)
"""Of the regularisation, to choose from; fewer than usual, for time."""

WAYS = ("taxa-flat", "taxa-cascade", "taxa-path")
SETS = ("caltech-night", "trailcam-bursts", "jura")
SETTINGS = ["augmentation.horizontal_flip=0"]
NAMED = "all that name a taxon"
ALIKE = ("runs of bursts, days", "locations, seasons, sets")
"""What the photos of the two cameras are taken for: as if each run or day were a location, or as they are."""
FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")


def photos(data: Path) -> Catalog:
    """All labelled photos of the three sets; `location_id` is what a fold keeps together."""
    night = join_boxes(read(data / SETS[0], part="train"), data / SETS[0] / "boxes.json")
    bursts = read(data / SETS[1], part="train")
    jura = read(data / SETS[2] / "labels.csv")
    days = [str(read_exif(path).camera_time)[:10] for path in jura.paths()]
    order = {day: place for place, day in enumerate(sorted(set(days)))}
    blocks = pl.Series("location_id", [f"jura {order[day] // DAYS}" for day in days])
    tables = (
        night.table.with_columns(pl.lit(None, pl.String).alias("event_id")),
        bursts.table.with_columns(pl.concat_str(pl.lit("bursts "), "season").alias("location_id")),
        jura.table.with_columns(blocks),
    )
    joined = []
    for name, table in zip(SETS, tables, strict=True):
        prefix = pl.lit(f"{name}/")
        ids = [
            pl.concat_str(prefix, column).alias(column) for column in ("media_id", "event_id", "file_path")
        ]
        joined.append(table.with_columns(ids).select(*SCHEMA).filter(pl.col("labels").is_not_null()))
    table = pl.concat(joined).with_columns(pl.lit(None, pl.String).alias("split"))
    return Catalog(table, data, "caltech-night, trailcam-bursts, jura")


def sessions(catalog: Catalog) -> list[str]:
    """What intervals and promises resample: locations of caltech-night, days of the two cameras."""
    found = []
    for media, place, event in catalog.table.select("media_id", "location_id", "event_id").iter_rows():
        if media.startswith("trailcam"):
            found.append(f"{place} {int(event.rsplit('#', 1)[1]) // 10}")  # ten bursts in a row
        else:
            found.append(place)
    return found


def as_cataloged(media: str, place: str) -> tuple[str, str, str]:
    """Location, season and set of a media, as a catalog of the three sets has them: two are of one camera."""
    name = media.split("/", maxsplit=1)[0]
    return (place, "", name) if name == SETS[0] else (name, place, name)


def recipe_of(way: str, *changes: str) -> Recipe:
    """A way's recipe, on one view of each photo."""
    return resolve_recipe(way, None, [*SETTINGS, *changes])


def span(interval: Interval | None) -> str:
    """`0.629 (0.585–0.670)`."""
    if interval is None:
        return "–"
    low, high = interval.low, interval.high
    return f"{interval.value:.3f}" + ("" if low is None or high is None else f" ({low:.3f}–{high:.3f})")


def part_of(predictions: Predictions, name: str) -> Predictions:
    """The predictions of one set."""
    table = predictions.table.filter(pl.col("media_id").str.starts_with(f"{name}/"))
    return Predictions(
        table, predictions.labels, "media", predictions.model, predictions.task, predictions.facts
    )


def predictions(
    catalog: Catalog, tree: Taxonomy, folder: Path, only: Sequence[str] = ()
) -> dict[str, Predictions]:
    """Out-of-fold predictions of each way, computed once and kept."""
    found = {}
    for way in only or WAYS:
        path = folder / f"{way}.parquet"
        if not path.is_file():
            strengths.WEIGHT_DECAYS = STRENGTHS
            made = crossval(recipe_of(way), catalog, FOLDS, taxonomy=tree, cache=folder / "cache")
            made.predictions.save(path)
            print(f"{way}: {made.seconds:.0f} s for five folds of heads", flush=True)
        found[way] = Predictions.load(path)
    return found


def ways(catalog: Catalog, found: Mapping[str, Predictions]) -> None:
    """Print the tables by rank, of all media and of each set."""
    groups = sessions(catalog)
    for name in ("all", *SETS):
        rows = catalog.table["media_id"].str.starts_with("" if name == "all" else f"{name}/")
        chosen = catalog.with_table(catalog.table.filter(rows))
        keys = [key for key, there in zip(groups, rows, strict=True) if there]
        print(f"\n### {name}: {len(chosen)} media\n")
        print(f"| rank | media | way | {' | '.join(FIGURES)} |\n| --- " + "| --- " * 6 + "|")
        judged = {}
        for way, predictions in found.items():
            part = predictions if name == "all" else part_of(predictions, name)
            judged[way] = evaluate_ranks(
                chosen, part, groups=keys, unknown_are_wrong=False, way="rolled-up", samples=500, seed=SEED
            )
        print_ranks({way: one for way, one in judged.items() if one is not None})
        if "taxa-cascade" in found:
            print_greedy(chosen, found["taxa-cascade"])


def print_ranks(judged: Mapping[str, RankEvaluation]) -> None:
    """One row a rank and way."""
    first = next(iter(judged.values()))
    for place, rank in enumerate(first.ranks):
        for way, one in judged.items():
            cells = " | ".join(span(one.ranks[place].metrics.get(name)) for name in FIGURES)
            print(f"| {rank.rank} | {rank.media} | {way} | {cells} |")


def print_greedy(catalog: Catalog, predictions: Predictions) -> None:
    """How often the published walk from the root ends at the right class."""
    hierarchy = tree_of(predictions)
    truth = dict(catalog.table.select("media_id", pl.col("labels").list.first()).iter_rows())
    said = greedy(hierarchy, predictions.probabilities())
    best = np.array(hierarchy.classes.names)[predictions.probabilities().argmax(axis=1)]
    rows = [
        (hierarchy.classes.of_label[truth[media]], walked, likely)
        for media, walked, likely in zip(predictions.table["media_id"], said, best, strict=True)
        if media in truth and hierarchy.classes.of_label[truth[media]] is not None
    ]
    walk, likely = (np.mean([row[0] == row[k] for row in rows]) for k in (1, 2))
    print(
        f"\nClasses right, {len(rows)} media: cascade by greedy descent {walk:.3f}, "
        f"by path probability {likely:.3f}."
    )


def tree_of(predictions: Predictions) -> Hierarchy:
    """The decisions that predictions come from."""
    tree = predictions.facts.taxonomy
    classes = Classes(Taxonomy.from_json(tree.as_json()), predictions.labels, tree.classes)
    return hierarchy_of(classes, ("family", "genus", "species", "subspecies"))


def greedy(hierarchy: Hierarchy, probabilities: np.ndarray) -> np.ndarray:
    """The class at which the walk ends that takes the best child at each node, as published."""
    names = hierarchy.classes.names
    left = np.ones(probabilities.shape, bool)
    for head in hierarchy.heads:
        below = np.array([[child in hierarchy.paths[name] for name in names] for child in head.children])
        here = (left & below.any(axis=0)).any(axis=1)
        best = (probabilities @ below.T.astype(float)).argmax(axis=1)
        keep = below[best] | ~below.any(axis=0)
        left[here] &= keep[here]
    return np.array(names)[np.where(left, probabilities, -1).argmax(axis=1)]


def nodes(catalog: Catalog, tree: Taxonomy, folder: Path) -> None:
    """All nodes on one pass of features against node by node, each with a pass of its own.

    Every fifth photo; time of the processor, which other work on the machine does not stretch as it does
    that on the wall.
    """
    catalog = catalog.with_table(catalog.table.gather_every(5))
    recipe = recipe_of("taxa-cascade", "optimiser.weight_decay=0.1")
    media = select_taxa(catalog, recipe, tree, needs_split=False)
    rows = np.arange(len(media.labels))
    model = ModelFile(backbones.path("lite0"))
    size = recipe.preprocessing

    started = time.process_time()
    embed(model, catalog, preprocessing=size, cache=None)
    once = time.process_time() - started
    learner = TreeLearner(recipe, tree, media, folder / "cache", None)
    started = time.process_time()
    for group in learner.groups:
        learner.fit_group(group, rows, 0.1)
    fitting = time.process_time() - started

    apart, seen, passes = 0.0, 0, 0.0
    for head in learner.heads:
        heard = np.flatnonzero(learner.decisions[head.name].heard)
        part = catalog.with_table(catalog.table[heard.tolist()])
        started = time.process_time()
        embed(model, part, preprocessing=size, cache=None)
        learner.fit_group((head,), heard, 0.1)
        apart += time.process_time() - started
        seen += len(heard)
        started = time.process_time()
        for _ in range(PUBLISHED_EPOCHS - 1):  # the frozen network is run anew in each
            embed(model, part, preprocessing=size, cache=None)
        passes += time.process_time() - started
    print(
        f"\n{len(learner.heads)} heads, {len(rows)} media, seconds of processor. Together: features "
        f"{once:.1f} s, heads {fitting:.1f} s. Node by node, features again for each: "
        f"{apart:.1f} s for {seen} media. Ratio {apart / (once + fitting):.2f}. As published, the network "
        f"run anew in each of {PUBLISHED_EPOCHS} epochs: {apart + passes:.1f} s. "
        f"Ratio {(apart + passes) / (once + fitting):.1f}."
    )


def promise(catalog: Catalog, found: Mapping[str, Predictions], only: str | None) -> None:
    """Thresholds chosen on half of the locations, judged on the other half, many times."""
    groups = dict(zip(catalog.table["media_id"], sessions(catalog), strict=True))
    truth = dict(catalog.table.select("media_id", pl.col("labels").list.first()).iter_rows())
    print(f"\n### Promise, {only or 'all three sets'}: {HALVES} random halves\n")
    print(
        "| way | alike are | promise | level | answered: median of halves | precision held: mean (5–95 %) of "
        "them | halves that kept it |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    for way, predictions in found.items():
        part = predictions if only is None else part_of(predictions, only)
        for wanted, alike in product(USUAL_PROMISES[::-1], ALIKE):
            print_promise(way, wanted, alike, part, truth, groups)


def print_promise(
    way: str,
    wanted: float,
    alike: str,
    part: Predictions,
    truth: Mapping[str, str],
    groups: Mapping[str, str],
) -> None:
    """One row a level, and one of all answers that name a taxon; one if there is no answer at all."""
    hierarchy = tree_of(part)
    classes, tree = hierarchy.classes, hierarchy.classes.taxonomy
    settings = recipe_of(way, f"taxa.promise={wanted}").taxa
    assert settings is not None
    media = part.table["media_id"].to_list()
    labels = [truth[one] for one in media]
    places = np.array([groups[one] for one in media])
    cameras, seasons, sets = np.array([as_cataloged(*pair) for pair in zip(media, places, strict=True)]).T
    values = part.probabilities()
    levels = levels_of(tree, classes.names, part.facts.taxonomy.unsupported)
    names = np.unique(places)
    cache: dict[tuple[str, str], str] = {}
    kept: dict[str, list[tuple[float, float]]] = {}
    for seed in range(HALVES):
        chosen = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
        first = np.isin(places, chosen)
        picked = [label for label, there in zip(labels, first, strict=True) if there]
        units, axes = (places, {}) if alike == ALIKE[0] else (cameras, {"seasons": seasons, "sets": sets})
        also = {name: codes[first] for name, codes in axes.items() if len(np.unique(codes[first])) > 1}
        thresholds, _ = choose_thresholds(values[first], picked, units[first], classes, settings, also)
        rolled = roll_up(best_answers(values[~first], levels), thresholds)
        tally: dict[str, list[str]] = {}
        rest = [label for label, there in zip(labels, first, strict=True) if not there]
        for answer, level, label in zip(rolled.answers, rolled.levels, rest, strict=True):
            if answer is not None:
                key = (answer, label)
                said = cache.get(key) or cache.setdefault(key, verdict(tree, answer, label))
                for name in (level,) if level == "kind" else (level, NAMED):
                    tally.setdefault(name, []).append(said)
        for name, verdicts in tally.items():
            right, wrong = verdicts.count("right"), verdicts.count("wrong")
            if right + wrong:
                kept.setdefault(name, []).append((len(verdicts) / len(rest), right / (right + wrong)))
    if not kept:
        print(f"| {way} | {alike} | {wanted} | none | 0 | – | – |")
    for name in ("species", "genus", "family", "order", "class", NAMED, "kind"):
        if name in kept:
            share, precision = np.array(kept[name]).T
            low, high = np.quantile(precision, [0.05, 0.95])
            print(
                f"| {way} | {alike} | {wanted} | {name} | {np.median(share):.1%} in {len(share)} halves "
                f"| {precision.mean():.3f} ({low:.3f}–{high:.3f}) | {np.mean(precision >= wanted):.0%} |"
            )


def main() -> None:
    """Run what is asked for and print Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", choices=("fit", "ways", "nodes", "promise"))
    parser.add_argument("--set", choices=(*SETS, "all"), action="append", help="Of the promise.")
    parser.add_argument("--way", action="append", choices=WAYS, help="Fit only this one. Repeatable.")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    catalog, tree = photos(options.data), read_taxonomy(options.data / "taxonomy.csv")
    if options.only in (None, "nodes"):
        nodes(catalog, tree, options.output)
    if options.only == "nodes":
        return
    found = predictions(catalog, tree, options.output, options.way or ())
    if options.only in (None, "ways"):
        ways(catalog, found)
    if options.only in (None, "promise"):
        for only in options.set or (SETS[0], "all"):
            promise(catalog, found, None if only == "all" else only)


if __name__ == "__main__":
    main()
