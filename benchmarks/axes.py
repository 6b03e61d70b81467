"""What was said when a model was trained, and what came: across days, seasons, locations and sets of photos.

The model is a linear head on the frozen backbone that Trapline ships (recipe `head`, full frames, a fixed
strength of the regularisation): what is tried is the figures and not the model. *Said* is what its card says
once it is trained, both intervals at 95 %; *came* is the same figure on photos that had no part in it.

The second table draws so many of caltech-night's locations a hundred times as those that were measured, by
predictions out of location folds, and counts how often what came at the others lies in the intervals.

usage: python benchmarks/axes.py DATA -o FOLDER [--row NUMBER …] [--drawings NUMBER]

DATA has caltech-night, trailcam-bursts and jura. What is already in FOLDER is not computed
again.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from numpy.typing import ArrayLike

from trapline import predict
from trapline.catalog import Catalog, assign_events
from trapline.evaluation import evaluate
from trapline.formats import read
from trapline.images import read_exif
from trapline.metrics import (
    Estimate,
    NewLocations,
    Weights,
    accuracy,
    encode_truth,
    estimate_all,
    log_loss,
    new_location_intervals,
)
from trapline.models import ModelFile
from trapline.recipes import resolve_recipe
from trapline.training import crossval, train

SETS = ("caltech-night", "trailcam-bursts", "jura")
FIGURES = ("accuracy", "log_loss")
BLOCKS, SEED = 5, 42
MEASURED = (4, 10, 20, 46)
"""How many locations are drawn as those that were measured."""
TOGETHER = 10
COLUMNS = ("said", "at new locations", "came")
COUNTED = {
    "mean, all": "interval of the mean, all others together",
    "mean, one": "the same, one other",
    "mean, ten": "the same, ten others",
    "new, one": "interval of one new location, one other",
    "new, ten": "interval of ten new locations, ten others",
}
SETTINGS = ["preprocessing.crop=null", "augmentation.horizontal_flip=0", "optimiser.weight_decay=0.1"]


Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Held = defaultdict[tuple[str, str], list[bool]]


def photos(data: Path, name: str) -> Catalog:
    """The labelled photos of a set that show one thing, with their day; of bursts by the labels of frames."""
    source = data / name
    catalog = read(source / "labels.csv") if name == "jura" else read(source, part="train")
    if name == "jura":
        taken = pl.Series("camera_time", [read_exif(path).camera_time for path in catalog.paths()])
        catalog = catalog.with_table(catalog.table.with_columns(taken, location_id=pl.lit("jura")))
        catalog = assign_events(catalog, timedelta(minutes=5))
    return catalog.filter(pl.col("labels").list.len() == 1)


def names_of(data: Path, name: str) -> pl.DataFrame:
    """The labels of a set: `kind`, and `taxon`, the family of an animal and the kind of all else."""
    table = pl.read_csv(data / "taxonomy.csv").filter(pl.col("source_set") == name)
    family = pl.when(pl.col("kind") == "animal").then("family").otherwise("kind")
    label = pl.when(pl.col("kind") == "blank").then(pl.lit("blank")).otherwise("label")
    return table.select(label.alias("label"), "kind", family.alias("taxon"))


def called(catalog: Catalog, names: pl.DataFrame, column: str) -> Catalog:
    """The photos by kind or taxon; those without one are left out."""
    new = dict(names.select("label", column).drop_nulls().iter_rows())
    first = pl.col("labels").list.first()
    labels = first.replace_strict(new, default=None, return_dtype=pl.String)
    table = catalog.table.with_columns(label=labels).drop_nulls("label")
    one = pl.concat_list("label").alias("labels")
    return catalog.with_table(table.with_columns(one).drop("label", "event_labels", strict=False))


def in_blocks(catalog: Catalog) -> Catalog:
    """With `season`: whole days in their order, cut into blocks of about as many photos."""
    day = catalog.table["camera_time"].dt.date()
    counts = day.value_counts().sort("camera_time")
    share = counts["count"].cum_sum() - counts["count"] / 2
    block = (share / len(catalog) * BLOCKS).floor().cast(pl.Int64).clip(0, BLOCKS - 1)
    of_day = dict(zip(counts["camera_time"], block, strict=True))
    season = pl.Series("season", [f"block {of_day[one]}" for one in day])
    return catalog.with_table(catalog.table.with_columns(season))


def trainable(catalog: Catalog, by: str) -> Catalog:
    """Without labels that some fold would have to do without: those of one block, season or location."""
    seen = catalog.table.select(pl.col("labels").list.first(), by).group_by("labels").n_unique()
    kept = seen.filter(pl.col(by) > 1)["labels"]
    return catalog.filter(pl.col("labels").list.first().is_in(kept.implode()))


@dataclass(frozen=True)
class Axis:
    """One row: what trains, by what it is judged, and what comes.

    Attributes:
        name: of the row.
        column: `season` or `location_id`: what the folds keep together.
        known: photos that train and are judged by folds.
        new: photos that come.
    """

    name: str
    column: str
    known: Catalog
    new: Catalog


def axes(data: Path) -> Iterator[Axis]:
    """The rows of the first table; without those whose sets have fewer than two labels in common."""
    for axis in all_axes(data):
        if len(trainable(axis.known, axis.column).labels) > 1:
            yield axis


def all_axes(data: Path) -> Iterator[Axis]:
    """One camera in time, its seasons, locations, and each set to each other."""
    sets = {name: photos(data, name) for name in SETS}
    named = {name: names_of(data, name) for name in SETS}
    kinds = {name: called(sets[name], named[name], "kind") for name in SETS}
    taxa = {name: called(sets[name], named[name], "taxon") for name in SETS}
    cameras = SETS[1:]
    for name in cameras:
        yield from split_in_time(name, kinds[name])
    bursts = kinds[SETS[1]]
    for season in sorted(bursts.table["season"].unique()):
        known, new = (bursts.filter(op) for op in (pl.col("season") != season, pl.col("season") == season))
        yield Axis(f"trailcam-bursts, the other seasons by season → {season}", "season", known, new)
    yield Axis(*by_locations(sets[SETS[0]]))
    for one in cameras:
        other = next(name for name in cameras if name != one)
        yield between(f"{one} by blocks of days → {other}, kinds", "season", kinds[one], kinds[other])
    for one in SETS:
        for other in SETS:
            if one != other:
                by = "location_id" if one == SETS[0] else "season"
                how = "by location" if by == "location_id" else "by blocks of days"
                yield between(f"{one} {how} → {other}, shared taxa", by, taxa[one], taxa[other])


def split_in_time(name: str, catalog: Catalog) -> Iterator[Axis]:
    """The first four blocks of days of one camera, and the last."""
    blocked = in_blocks(catalog)
    last = pl.col("season") == f"block {BLOCKS - 1}"
    yield Axis(
        f"{name}, four blocks of days → the next days, kinds",
        "season",
        blocked.filter(~last),
        blocked.filter(last),
    )


def by_locations(catalog: Catalog) -> tuple[str, str, Catalog, Catalog]:
    """Half of the locations, and the other half."""
    names = catalog.table["location_id"].unique().sort().sample(fraction=1, shuffle=True, seed=SEED)
    half = names[: len(names) // 2]
    inside = pl.col("location_id").is_in(half.implode())
    title = f"caltech-night, {len(half)} locations by folds → {len(names) - len(half)} others, species"
    return title, "location_id", catalog.filter(inside), catalog.filter(~inside)


def between(name: str, by: str, known: Catalog, new: Catalog) -> Axis:
    """One set and another, of the labels that both have."""
    known = trainable(known if by == "location_id" else in_blocks(known), by)
    shared = sorted(set(known.labels) & set(new.labels))
    inside = pl.col("labels").list.first().is_in(shared)
    return Axis(name, by, known.filter(inside), new.filter(inside))


def run(axis: Axis, folder: Path) -> dict[str, Any]:
    """Train on what is known, read what the card says, and judge what came."""
    shutil.rmtree(folder, ignore_errors=True)  # what a run that was ended has left
    fold_by = "location" if axis.column == "location_id" else "season"
    settings = [*SETTINGS, "fit=all", f"fold_by={fold_by}"]
    known, new = trainable(axis.known, axis.column), axis.new
    new = new.filter(pl.col("labels").list.first().is_in(known.labels))
    model = train(
        resolve_recipe("head", None, settings),
        known.with_table(known.table.with_columns(split=pl.lit(None, pl.String))),
        folder / "run",
        cache=folder.parent / "cache",
    )
    card = ModelFile(model).card
    came = evaluate(new, predict(model, new, folder / "came.parquet"), training=[], seed=SEED).metrics
    return {
        "row": axis.name,
        "labels": len(card.labels),
        "media": [len(known), len(new)],
        "locations": [known.table["location_id"].n_unique(), new.table["location_id"].n_unique()],
        "said": {name: card.metrics[name].model_dump() for name in FIGURES},
        "new": {name: [one.model_dump() for one in card.new_locations.get(name, ())] for name in FIGURES},
        "came": {name: came[name].value for name in FIGURES},
    }


def drawings(data: Path, folder: Path, times: int) -> Iterator[list[str]]:
    """How many intervals hold over the drawings of measured locations: a line a number of them and figure."""
    catalog = photos(data, SETS[0])
    judged = crossval(resolve_recipe("head", None, SETTINGS), catalog, cache=folder / "cache").predictions
    table = judged.table.select("media_id").join(catalog.table, on="media_id", maintain_order="left")
    truth = encode_truth(table["labels"].to_list(), judged.labels, "single-label")
    codes = (table["location_id"].rank("dense") - 1).to_numpy().astype(np.int64)
    for number in [number for number in MEASURED if number < len(np.unique(codes))]:
        held = held_by(truth, judged.probabilities().astype(np.float64), codes, number, times)
        for name in FIGURES:
            yield [str(number), name, *(share(held[name, what]) for what in COUNTED)]


def held_by(truth: Codes, probabilities: Floats, codes: Codes, number: int, times: int) -> Held:
    """Whether what came in the drawings lies in the interval of the mean and in those of new locations."""
    held: Held = defaultdict(list)
    random = np.random.default_rng(SEED)
    for _ in range(times):
        order = random.permutation(np.unique(codes))
        inside, rest = np.isin(codes, order[:number]), order[number:]
        sample = (truth[inside], probabilities[inside], codes[inside])
        mean = estimate_all(*sample, metrics_fn=figures)
        at = {n: new_location_intervals(*sample, locations=n, metrics_fn=figures) for n in (1, TOGETHER)}
        groups = {
            "all": [rest],
            "one": [rest[start : start + 1] for start in range(len(rest))],
            "ten": [rest[start : start + TOGETHER] for start in range(0, len(rest) - TOGETHER + 1, TOGETHER)],
        }
        for size, several in groups.items():
            for locations in several:
                rows = np.isin(codes, locations)
                came = figures(truth[rows], probabilities[rows])
                for name in FIGURES:
                    held[name, f"mean, {size}"] += inside_of(mean[name], float(came[name]))
                    if size != "all":
                        new = at[1 if size == "one" else TOGETHER][name]
                        held[name, f"new, {size}"] += inside_of(new, float(came[name]))
    return held


def figures(truth: ArrayLike, probabilities: ArrayLike, weights: Weights = None) -> dict[str, Floats]:
    """The two figures of the tables."""
    return {
        "accuracy": accuracy(truth, probabilities, weights),
        "log_loss": log_loss(truth, probabilities, weights),
    }


def inside_of(interval: Estimate | NewLocations, value: float) -> list[bool]:
    """Whether a value lies in an interval; nothing where there is none."""
    if interval.low is None or interval.high is None:
        return []
    return [interval.low - 1e-9 <= value <= interval.high + 1e-9]


def share(values: list[bool]) -> str:
    """`93 %`; a dash where there is nothing to count."""
    return f"{100 * np.mean(values):.0f} %" if values else "–"


def cells(row: dict[str, Any]) -> list[str]:
    """The columns of the first table."""
    line = [row["row"], f"{row['media'][0]} / {row['media'][1]}"]
    count = min(TOGETHER, 1 if row["locations"][1] == 1 else TOGETHER)
    for name in FIGURES:
        said = row["said"][name]
        at = {one["locations"]: one for one in row["new"][name]}.get(count)
        line += [
            f"{said['value']:.3f}"
            + ("" if said["low"] is None else f" ({said['low']:.2f}–{said['high']:.2f})"),
            "none: one camera" if at is None else f"{count}: {at['low']:.2f}–{at['high']:.2f}",
            f"{row['came'][name]:.3f}",
        ]
    return line


def line(columns: Iterable[str]) -> None:
    """Print a line of a table."""
    print(f"| {' | '.join(columns)} |", flush=True)


def main() -> None:
    """Run the rows and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--row", type=int, action="append", help="Only this row of the first table, from 0.")
    parser.add_argument("--drawings", type=int, default=100, help="Behind the second table; 0 leaves it out.")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    line(
        [
            "known → new",
            "photos",
            *(f"{name.replace('_', ' ')} {what}" for name in FIGURES for what in COLUMNS),
        ]
    )
    line(["---"] * 8)
    for number, axis in enumerate(axes(options.data)):
        folder = options.output / f"{number}"
        kept = folder / "row.json"
        if options.row is not None and number not in options.row:
            continue
        if not kept.is_file():
            row = run(axis, folder)
            kept.write_text(json.dumps(row, indent=1))
        line(cells(json.loads(kept.read_text())))
    if not options.drawings:
        return
    print()
    line(["measured at", "figure", *COUNTED.values()])
    line(["---"] * 7)
    for counts in drawings(options.data, options.output, options.drawings):
        line(counts)


if __name__ == "__main__":
    main()
