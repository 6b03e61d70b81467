"""Recipe S on trailcam-bursts, by season folds: every recipe judged on events of a season it never saw.

Four folds, one a season (S1 to S4). The calibration, the strength of the regularisation and the pooling
behind the figures of a season come from the other seasons. The score is the mean binary log loss over the
14 labels that have an example, over all 299 events. *Known*: only cells (event, label) whose label the
training seasons show; no model can learn elk from seasons without elk. Intervals are 95 %, by bootstrap over
the events.

usage: python benchmarks/trailcam_bursts.py TRAILCAM_BURSTS -o FOLDER [--row NAME …] [--table]

Rows that are already in FOLDER are not computed again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog
from trapline.evaluation.levels import event_catalog
from trapline.formats import read
from trapline.metrics import binary_losses, label_average_precision
from trapline.models import resolve_recipe
from trapline.prediction import Predictions, pool_events
from trapline.training import crossval

MASK = ["preprocessing.mask_top=0.0235", "preprocessing.mask_bottom=0.039", "preprocessing.cut_banners=true"]
ONE_VIEW = [*MASK, "background_view=false"]
SINGLE = [*MASK, "learn_from=media", "calibration=none", "optimiser.weight_decay=0.3"]
ROWS: dict[str, tuple[str, list[str]]] = {
    "serengeti-benchmark": ("serengeti-benchmark", []),
    "serengeti-benchmark, blanks put back": ("serengeti-benchmark", ["correct_prior=true"]),
    "serengeti-benchmark, all blanks": ("serengeti-benchmark", ["keep_blanks=1"]),
    "sequences-frames": ("sequences-frames", MASK),
    "sequences-frames, first frame": ("sequences-frames", [*MASK, "frames=first"]),
    "sequences-frames, labels of frames": ("sequences-frames", [*MASK, "learn_from=media"]),
    "one view, mean alone": ("sequences", [*ONE_VIEW, "event_statistics=[mean]"]),
    "one view, mean and spread": ("sequences", [*ONE_VIEW, "event_statistics=[mean, std]"]),
    "one view": ("sequences", ONE_VIEW),
    "one view, not calibrated": ("sequences", [*ONE_VIEW, "calibration=none"]),
    "one view, calibrated by label": ("sequences", [*ONE_VIEW, "calibration=labels"]),
    "one view, class weights": ("sequences", [*ONE_VIEW, "balance=class-weights"]),
    "one view, class weights, prior not put back": (
        "sequences",
        [*ONE_VIEW, "balance=class-weights", "correct_prior=false", "calibration=none"],
    ),
    "one view, balanced sampling": ("sequences", [*ONE_VIEW, "balance=sampling"]),
    "one view, balanced sampling, prior not put back": (
        "sequences",
        [*ONE_VIEW, "balance=sampling", "correct_prior=false", "calibration=none"],
    ),
    "one view, logit adjustment": (
        "sequences",
        [*ONE_VIEW, "balance=logit-adjustment", "correct_prior=false", "calibration=none"],
    ),
    "sequences": ("sequences", MASK),
    "sequences, balanced sampling": ("sequences", [*MASK, "balance=sampling"]),
    "frames alone, all blanks": ("sequences-frames", SINGLE),
    "frames alone, 10 % of blanks": (
        "sequences-frames",
        [*SINGLE, "keep_blanks=0.1", "correct_prior=false"],
    ),
    "frames alone, 10 % of blanks, put back": (
        "sequences-frames",
        [*SINGLE, "keep_blanks=0.1"],
    ),
}
"""Row -> recipe and settings.

In `frames alone` each frame is an event by itself, with its own label; `one view` is `sequences` without the
second view of each frame, less the median of its burst.
"""

POOLED = ("first", "mean", "max", "noisy-or", "mean-logit", "geometric-mean")
SAMPLES, SEED = 1000, 42


def catalog_of(source: Path, row: str) -> Catalog:
    """The labelled media; for the rows `frames alone` without events."""
    catalog = read(source, part="train")
    if not row.startswith("frames alone"):
        return catalog
    alone = catalog.table.with_columns(event_id=pl.lit(None, pl.String)).drop("event_labels", strict=False)
    return catalog.with_table(alone)


def run(row: str, source: Path, folder: Path) -> Path:
    """The predictions of one row out of fold, computed unless they are there."""
    path = folder / f"{row.replace(' %', '%').replace(',', '').replace(' ', '-')}.parquet"
    if not path.is_file():
        name, settings = ROWS[row]
        found = crossval(
            resolve_recipe(name, None, settings), catalog_of(source, row), cache=folder / "cache"
        )
        print(f"{row}: {found.seconds:.0f} s", flush=True)
        found.predictions.save(path)
    return path


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
    """`0.100 (0.090–0.110)`: the mean of the counted cells, by bootstrap over the rows."""
    sums, counts = (losses * counted).sum(axis=1), counted.sum(axis=1)
    random = np.random.default_rng(SEED)
    drawn = random.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=SAMPLES)
    low, high = np.quantile((drawn @ sums) / (drawn @ counts), [0.025, 0.975])
    digits = 3 if high - low > 0.02 else 4
    return f"{sums.sum() / counts.sum():.4f} ({low:.{digits}f}–{high:.{digits}f})"


def table(source: Path, folder: Path) -> None:
    """Print a line for each row that is there, and for each way to pool the frames."""
    judge: Judge | None = None
    print("| model | known labels | all labels | S1 | S2 | S3 | S4 | mAP |\n" + "| --- " * 8 + "|")
    for row in ROWS:
        path = run_path(row, folder)
        if path is None:
            continue
        predictions, catalog = Predictions.load(path), catalog_of(source, row)
        judge = Judge(catalog, predictions.labels)
        if row == next(iter(ROWS)):
            for name, values in (("zeros", np.zeros(judge.truth.shape)), ("priors", judge.priors())):
                print(f"| {name} | {' | '.join(judge.cells(values))} |")
        if predictions.level == "event" or row.startswith("frames alone"):
            print(f"| {row} | {' | '.join(judge.cells(judge.of(predictions)))} |")
            continue
        said = row.startswith("serengeti")
        for how in ("first", "mean") if said else POOLED:
            pooled = pool_events(predictions, catalog, how=how, rows="event")  # type: ignore[arg-type]
            print(f"| {row}, {how} | {' | '.join(judge.cells(judge.of(pooled)))} |")
        if not said:
            pooled = pool_events(predictions, catalog, rows="event")
            print(f"| {row}, as chosen* | {' | '.join(judge.cells(judge.of(pooled)))} |")
            frames = Judge(catalog_of(source, "frames alone"), predictions.labels)
            print(f"| {row}, frame by frame | {' | '.join(frames.cells(frames.of(alone(predictions))))} |")


def differences(source: Path, folder: Path) -> None:
    """Print what leaving blanks out costs, and what is left of it once they are put back: paired by event."""
    for rest in ("serengeti-benchmark, all blanks", "frames alone, all blanks"):
        dropped = rest.replace("serengeti-benchmark, all blanks", "serengeti-benchmark")
        dropped = dropped.replace("frames alone, all blanks", "frames alone, 10 % of blanks")
        for row in (dropped, f"{dropped}, {'' if dropped.startswith('frames') else 'blanks '}put back"):
            paths = [run_path(name, folder) for name in (row, rest)]
            if None in paths:
                continue
            tables = [Predictions.load(path) for path in paths if path is not None]
            catalog = catalog_of(source, row)
            if not row.startswith("frames"):
                tables = [pool_events(one, catalog, how="first", rows="event") for one in tables]
            judge = Judge(catalog, tables[0].labels)
            losses = [binary_losses(judge.truth, judge.of(one)) for one in tables]
            blank = judge.labels.index("blank")
            every = np.ones_like(judge.known)
            cost = interval(losses[0] - losses[1], every)
            alone = interval((losses[0] - losses[1])[:, [blank]], every[:, [blank]])
            print(f"{row}: {cost} over all labels, {alone} for blank alone, over the model with all blanks")


def against(base: str, source: Path, folder: Path) -> None:
    """Print the gain or cost of each other model of whole events over that of one row: paired by event."""
    start = run_path(base, folder)
    rows = [row for row in ROWS if row.startswith(("one view", "sequences,")) or row == "sequences"]
    others = [row for row in rows if row != base and run_path(row, folder) is not None]
    if start is None or not others:
        return
    found = Predictions.load(start)
    judge = Judge(catalog_of(source, base), found.labels)
    before = binary_losses(judge.truth, judge.of(found))
    print(f"\n| over {base} | known labels | all labels |\n| --- | --- | --- |")
    for row in others:
        path = run_path(row, folder)
        assert path is not None
        cost = binary_losses(judge.truth, judge.of(Predictions.load(path))) - before
        print(f"| {row} | {interval(cost, judge.known)} | {interval(cost, np.ones_like(judge.known))} |")


def alone(predictions: Predictions) -> Predictions:
    """Each frame as its own event."""
    nothing = predictions.table.with_columns(event_id=pl.lit(None, pl.String))
    return Predictions(
        nothing, predictions.labels, "media", predictions.model, predictions.task, predictions.info
    )


def run_path(row: str, folder: Path) -> Path | None:
    """Where the predictions of a row are; None if they are not."""
    path = folder / f"{row.replace(' %', '%').replace(',', '').replace(' ', '-')}.parquet"
    return path if path.is_file() else None


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
    differences(options.source, options.output)
    for base in ("one view", "sequences"):
        against(base, options.source, options.output)


if __name__ == "__main__":
    main()
