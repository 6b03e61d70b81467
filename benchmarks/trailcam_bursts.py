"""Recipe S on trailcam-bursts, by season folds: every recipe judged on events of a season it never saw.

Four folds, one a season (S1 to S4). The prior that is put back, the calibration, the strength of the
regularisation and the pooling behind the figures of a season come from the other seasons. The score is the
mean binary log loss over the 14 labels that have an example, over all 299 events. *Known*: only cells (event,
label) whose label the training seasons show; no model can learn elk from seasons without elk. The columns S1
to S4 are of known cells. Intervals are 95 %, over the events.

usage: python benchmarks/trailcam_bursts.py TRAILCAM_BURSTS -o FOLDER [--row NAME …] [--table]

Every row can be run alone by `--row`; rows that are already in FOLDER are not computed again, and the tables
have the rows that are there. The backbone is exported once, which needs the extra `train`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog, event_catalog
from trapline.ensemble import learn_nearby, shift_to_shares
from trapline.formats import read
from trapline.metrics import binary_losses, label_average_precision
from trapline.models import EventPooling, PoolingMethod
from trapline.prediction import Predictions, pool_events
from trapline.recipes import resolve_recipe
from trapline.training import crossval
from trapline.training.events import judge_events
from trapline.training.selection import select_media

BANNERS = ["preprocessing.mask_top=0.0235", "preprocessing.mask_bottom=0.039", "calibration=temperature"]
MASK = [*BANNERS, "preprocessing.cut_banners=true"]
ONE_VIEW = [*MASK, "background_view=false"]
NOT_PUT_BACK = ["correct_prior=false", "calibration=none"]
SINGLE = [*MASK, "learn_from=media", "calibration=none", "optimiser.weight_decay=0.3"]
SET_NETWORK = [
    *("head.hidden=[256]", "head.dropout=0.2", "optimiser.name=adam", "optimiser.lr=0.001"),
    *("epochs=20", "batch_size=32"),
]
"""256 units on mean, spread and maximum of the frames, with the settings of the published head."""
BY_SEASON = ["fit=all", "fold_by=season"]
"""The published benchmark deals no folds of its own."""
HALVED = "halved seasons"
"""The submission's row, S3 and S4 halved: who answers for a half has seen the other, its elk or cattle."""
ROWS: dict[str, tuple[str, list[str]]] = {
    "serengeti-benchmark": ("serengeti-benchmark", BY_SEASON),
    "serengeti-benchmark, blanks put back": ("serengeti-benchmark", [*BY_SEASON, "correct_prior=true"]),
    "serengeti-benchmark, all blanks": ("serengeti-benchmark", [*BY_SEASON, "keep_blanks=1"]),
    "sequences-frames": ("sequences-frames", MASK),
    "sequences-frames, first frame": ("sequences-frames", [*MASK, "frames=first"]),
    "sequences-frames, labels of frames": ("sequences-frames", [*MASK, "learn_from=media"]),
    "one view, mean alone": ("sequences", [*ONE_VIEW, "event_statistics=[mean]"]),
    "one view, mean and spread": ("sequences", [*ONE_VIEW, "event_statistics=[mean, std]"]),
    "one view, banners blackened": ("sequences", [*BANNERS, "background_view=false"]),
    "one view": ("sequences", ONE_VIEW),
    "one view, not calibrated": ("sequences", [*ONE_VIEW, "calibration=none"]),
    "one view, calibrated by label": ("sequences", [*ONE_VIEW, "calibration=labels"]),
    "one view, class weights": ("sequences", [*ONE_VIEW, "balance=class-weights"]),
    "one view, class weights, prior not put back": (
        "sequences",
        [*ONE_VIEW, "balance=class-weights", *NOT_PUT_BACK],
    ),
    "one view, balanced sampling, prior not put back": (
        "sequences",
        [*ONE_VIEW, "balance=sampling", *NOT_PUT_BACK],
    ),
    "one view, logit adjustment, prior not put back": (
        "sequences",
        [*ONE_VIEW, "balance=logit-adjustment", *NOT_PUT_BACK],
    ),
    "sequences": ("sequences", MASK),
    "sequences, not calibrated": ("sequences", [*MASK, "calibration=none"]),
    "sequences, balanced sampling, prior not put back": (
        "sequences",
        [*MASK, "balance=sampling", *NOT_PUT_BACK],
    ),
    "sequences, balanced sampling, calibrated, prior not put back": (
        "sequences",
        [*MASK, "balance=sampling", "correct_prior=false"],
    ),
    "sequences, class weights": ("sequences", [*MASK, "balance=class-weights"]),
    "sequences, set network": ("sequences", [*MASK, *SET_NETWORK]),
    HALVED: ("sequences", [*MASK, "balance=sampling", "correct_prior=false"]),
    "frames alone, all blanks": ("sequences-frames", SINGLE),
    "frames alone, 10 % of blanks": (
        "sequences-frames",
        [*SINGLE, "keep_blanks=0.1", "correct_prior=false"],
    ),
    "frames alone, 10 % of blanks, put back": ("sequences-frames", [*SINGLE, "keep_blanks=0.1"]),
}
"""Row -> recipe and settings.

In `frames alone` each frame is an event by itself, with its own label; `one view` is `sequences` without the
second view of each frame, less the median of its burst.
"""

BLANKS = {
    "serengeti-benchmark, all blanks": ("serengeti-benchmark", "serengeti-benchmark, blanks put back"),
    "frames alone, all blanks": ("frames alone, 10 % of blanks", "frames alone, 10 % of blanks, put back"),
}
"""The row that trains on all blanks -> those that it is compared with."""

SUBMITTED = "sequences, balanced sampling, calibrated, prior not put back"
KEPT = (3.0, 10.0, 30.0, 100.0, 300.0)
"""Media of the old shares that count beside the new."""
POOLED: tuple[PoolingMethod, ...] = get_args(PoolingMethod)
SAMPLES, SEED = 1000, 42


def catalog_of(source: Path, row: str) -> Catalog:
    """The labelled media; for the rows `frames alone` without events."""
    catalog = read(source, part="train")
    if row == HALVED:
        return halve(catalog, ("S3", "S4"))
    if not row.startswith("frames alone"):
        return catalog
    alone = catalog.table.with_columns(event_id=pl.lit(None, pl.String)).drop("event_labels", strict=False)
    return catalog.with_table(alone)


def halve(catalog: Catalog, seasons: tuple[str, ...]) -> Catalog:
    """The same media, some seasons as two: the first half of their events in time, and the second."""
    begun = pl.col("camera_time").min().over("event_id").rank("dense").over("season")
    second = begun > begun.max().over("season") / 2
    half = pl.col("season") + pl.when(second).then(pl.lit("b")).otherwise(pl.lit("a"))
    named = pl.when(pl.col("season").is_in(seasons)).then(half).otherwise("season")
    return catalog.with_table(catalog.table.with_columns(named.alias("season")))


def path_of(row: str, folder: Path) -> Path:
    """Where the predictions of a row are, or will be."""
    return folder / f"{row.replace(' %', '%').replace(',', '').replace(' ', '-')}.parquet"


def run(row: str, source: Path, folder: Path) -> None:
    """The predictions of one row out of fold, computed unless they are there."""
    path = path_of(row, folder)
    if not path.is_file():
        name, settings = ROWS[row]
        found = crossval(
            resolve_recipe(name, None, settings), catalog_of(source, row), cache=folder / "cache"
        )
        print(f"{row}: {found.seconds:.0f} s", flush=True)
        found.predictions.save(path)


class Judge:
    """Truth of the events, and which labels the other seasons of each show."""

    def __init__(self, catalog: Catalog, labels: tuple[str, ...]) -> None:
        events = event_catalog(catalog).table
        self.ids, self.season = events["media_id"].to_list(), events["season"].to_numpy()
        named = events["labels"].to_list()
        self.labels = labels
        self.truth = np.array([[int(label in shown) for label in labels] for shown in named])
        self.known = np.ones(self.truth.shape, bool)
        for season in np.unique(self.season):
            self.known[self.season == season] = self.truth[self.season != season].any(axis=0)

    def priors(self) -> npt.NDArray[np.float64]:
        """The label frequencies of the other seasons, half an event added to each side."""
        found = np.empty(self.truth.shape)
        for season in np.unique(self.season):
            others = self.truth[self.season != season]
            found[self.season == season] = (others.sum(axis=0) + 0.5) / (len(others) + 1)
        return found

    def of(self, predictions: Predictions) -> npt.NDArray[np.float64]:
        """Probabilities [events, labels] in the order of the events."""
        key = predictions.table.select(pl.coalesce("event_id", "media_id").alias("id"))["id"].to_list()
        place = {name: row for row, name in enumerate(key)}
        assert predictions.labels == self.labels
        return predictions.probabilities()[[place[name] for name in self.ids]]

    def cells(self, probabilities: npt.NDArray[np.float64]) -> list[str]:
        """Known, all, known by season, mean average precision of known labels: the columns of the table."""
        losses = binary_losses(self.truth, probabilities)
        known = [interval(losses, self.known), interval(losses, np.ones_like(self.known))]
        seasons = [
            f"{losses[inside][self.known[inside]].mean():.3f}"
            for inside in (self.season == season for season in np.unique(self.season))
        ]
        return [*known, *seasons, f"{self.ranking(probabilities):.3f}"]

    def ranking(self, probabilities: npt.NDArray[np.float64]) -> float:
        """Mean average precision over labels that more than one season shows."""
        found = label_average_precision(self.truth, probabilities)
        often = [len(np.unique(self.season[column == 1])) > 1 for column in self.truth.T]
        return float(found[often].mean())


def interval(losses: npt.NDArray[np.float64], counted: npt.NDArray[np.bool_]) -> str:
    """`0.100 (0.090–0.110)`: the mean of the counted cells, with its interval over the rows."""
    sums, counts = (losses * counted).sum(axis=1), counted.sum(axis=1)
    random = np.random.default_rng(SEED)
    drawn = random.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=SAMPLES)
    low, high = np.quantile((drawn @ sums) / (drawn @ counts), [0.025, 0.975])
    digits = 3 if high - low > 0.02 else 4
    return f"{sums.sum() / counts.sum():.4f} ({low:.{digits}f}–{high:.{digits}f})"


def table(source: Path, folder: Path) -> None:
    """Print a line for each row that is there, and for each way to pool the frames."""
    catalog = catalog_of(source, "")
    judge = Judge(catalog, tuple(event_catalog(catalog).labels))
    print("| model | known labels | all labels | S1 | S2 | S3 | S4 | mAP |\n" + "| --- " * 8 + "|")
    for name, values in (("zeros", np.zeros(judge.truth.shape)), ("priors", judge.priors())):
        print(f"| {name} | {' | '.join(judge.cells(values))} |")
    for row in ROWS:
        if path_of(row, folder).is_file() and row != HALVED:
            for name, cells in lines(row, source, Predictions.load(path_of(row, folder))):
                print(f"| {name} | {' | '.join(cells)} |")


def lines(row: str, source: Path, predictions: Predictions) -> Iterator[tuple[str, list[str]]]:
    """Name and columns of one row; of a model of frames, of each way to pool them."""
    catalog = catalog_of(source, row)
    judge = Judge(catalog, predictions.labels)
    if predictions.level == "event" or row.startswith("frames alone"):
        yield row, judge.cells(judge.of(predictions))
        return
    said = row.startswith("serengeti")
    for how in ("first", "mean") if said else POOLED:
        pooled = pool_events(predictions, catalog, how=how, rows="event")
        yield f"{row}, {how}", judge.cells(judge.of(pooled))
    if not said:
        yield f"{row}, as chosen on the other seasons", judge.cells(chosen(row, catalog, predictions, judge))
        frames = Judge(catalog_of(source, "frames alone"), predictions.labels)
        yield f"{row}, frame by frame", frames.cells(frames.of(alone(predictions)))


def chosen(row: str, catalog: Catalog, predictions: Predictions, judge: Judge) -> npt.NDArray[np.float64]:
    """The frames of each season pooled as does best on the events of the others: [events, labels]."""
    recipe = resolve_recipe(ROWS[row][0], None, ROWS[row][1])
    selected = select_media(catalog, recipe, needs_split=False)
    place = {name: number for number, name in enumerate(selected.catalog.table["media_id"])}
    rows = np.array([place[name] for name in predictions.table["media_id"]])
    seasons = selected.catalog.table["season"].to_numpy()[rows]
    folds = np.unique(seasons, return_inverse=True)[1]
    found = np.empty(judge.truth.shape)
    for season in np.unique(seasons):
        others = seasons != season
        said = judge_events(
            recipe, selected, rows[others], predictions.probabilities()[others], folds[others]
        )
        pooled = pool_events(predictions, catalog, how=said or EventPooling(), rows="event")
        found[judge.season == season] = judge.of(pooled)[judge.season == season]
    return found


def blanks(source: Path, folder: Path) -> None:
    """Print what leaving blanks out costs, and what is left of it once they are put back: paired by event."""
    print(
        "\n| blanks | all labels | known labels | `blank` alone | mean chance of blank |\n"
        + "| --- " * 5
        + "|"
    )
    for rest, rows in BLANKS.items():
        if not path_of(rest, folder).is_file():
            continue
        judge, start = losses_of(rest, source, folder)
        blank = judge.labels.index("blank")
        truth = judge.truth[:, blank].mean()
        for row in (*rows, rest):
            if not path_of(row, folder).is_file():
                continue
            found = said_of(row, source, folder, judge)
            cost = binary_losses(judge.truth, found) - start
            every = np.ones_like(judge.known)
            cells = [interval(cost, every), interval(cost, judge.known)]
            cells.append(interval(cost[:, [blank]], every[:, [blank]]))
            print(f"| {row} | {' | '.join(cells)} | {found[:, blank].mean():.3f} (truth {truth:.3f}) |")


def said_of(row: str, source: Path, folder: Path, judge: Judge) -> npt.NDArray[np.float64]:
    """[events, labels]: what a row says; models of frames by the first one."""
    found = Predictions.load(path_of(row, folder))
    if found.level == "media" and not row.startswith("frames alone"):
        found = pool_events(found, catalog_of(source, row), how="first", rows="event")
    return judge.of(found)


def losses_of(row: str, source: Path, folder: Path) -> tuple[Judge, npt.NDArray[np.float64]]:
    """The judge of a row and its losses [events, labels]."""
    judge = Judge(catalog_of(source, row), Predictions.load(path_of(row, folder)).labels)
    return judge, binary_losses(judge.truth, said_of(row, source, folder, judge))


def against(base: str, source: Path, folder: Path) -> None:
    """Print the gain or cost of each other model of whole events over that of one row: paired by event."""
    rows = [row for row in ROWS if row.startswith(("one view", "sequences,")) or row == "sequences"]
    others = [row for row in rows if row != base and path_of(row, folder).is_file()]
    if not path_of(base, folder).is_file() or not others:
        return
    judge, before = losses_of(base, source, folder)
    print(f"\n| over {base} | known labels | all labels |\n| --- | --- | --- |")
    for row in others:
        cost = binary_losses(judge.truth, said_of(row, source, folder, judge)) - before
        print(f"| {row} | {interval(cost, judge.known)} | {interval(cost, np.ones_like(judge.known))} |")


def of_itself(row: str, source: Path, folder: Path) -> None:
    """Print what a row gains by what a season tells without labels: its shares, and what was near."""
    if not path_of(row, folder).is_file():
        return
    catalog, before = catalog_of(source, row), Predictions.load(path_of(row, folder))
    judge, start = losses_of(row, source, folder)
    shifted = {kept: shift_to_shares(before, catalog, fold_by="season", kept=kept) for kept in KEPT}
    answers = {"": judge.of(before)} | {
        f"shares, {kept:g} kept": judge.of(one) for kept, one in shifted.items()
    }
    answers["shares, kept as other seasons say"] = kept_elsewhere(judge, [*answers.values()][1:])
    near = {"near": before} | {f"shares, {kept:g} kept, and near": one for kept, one in shifted.items()}
    answers |= {name: judge.of(learn_nearby(one, catalog, fold_by="season")) for name, one in near.items()}
    seasons = np.unique(judge.season)
    print(f"\n| {row} | known | over it | all | over it | {' | '.join(seasons)} |")
    print("| --- " * (5 + len(seasons)) + "|")
    for name, values in answers.items():
        cells, cost = judge.cells(values), binary_losses(judge.truth, values) - start
        spans = [cells[0], interval(cost, judge.known), cells[1], interval(cost, np.ones_like(judge.known))]
        print(f"| {' | '.join([name, *spans, *cells[2:-1]])} |")


def kept_elsewhere(judge: Judge, answers: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Each season answered by the way that does best on the known labels of the others."""
    chosen = np.empty(judge.truth.shape)
    for season in np.unique(judge.season):
        others = judge.season != season
        known = judge.known[others]
        costs = [binary_losses(judge.truth, one)[others][known].mean() for one in answers]
        chosen[~others] = answers[int(np.argmin(costs))][~others]
    return chosen


def alone(predictions: Predictions) -> Predictions:
    """Each frame as its own event."""
    nothing = predictions.table.with_columns(event_id=pl.lit(None, pl.String))
    return Predictions(
        nothing, predictions.labels, "media", predictions.model, predictions.task, predictions.facts
    )


def main() -> None:
    """Run the rows and print the table of all that are there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--row", action="append", choices=ROWS, help="Only this row. Repeatable.")
    parser.add_argument("--table", action="store_true", help="Compute nothing, print what is there.")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for row in [] if options.table else options.row or ROWS:
        run(row, options.source, options.output)
    table(options.source, options.output)
    blanks(options.source, options.output)
    for base in ("one view", "sequences"):
        against(base, options.source, options.output)
    for row in (SUBMITTED, HALVED):
        of_itself(row, options.source, options.output)


if __name__ == "__main__":
    main()
