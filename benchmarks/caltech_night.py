"""Accuracy on caltech-night by location folds: every recipe on the same 967 photos and the same five folds.

Each photo is predicted by a model that never saw its location; temperatures come from the other folds; the
last epoch is taken, none is chosen. Intervals are 95 %, over the locations. `pooled` is the same
predictions with the photos of a visit (one location, at most 5 minutes apart) averaged.

usage: python benchmarks/caltech_night.py CALTECH_NIGHT -o FOLDER [--row NAME …]

Rows that are already in FOLDER are not computed again. Without a row's name, all are.
"""

from __future__ import annotations

import argparse
import json
from datetime import timedelta
from pathlib import Path

import polars as pl

from trapline.catalog import AtRandom, ByLocation, Catalog, join_events
from trapline.evaluation import Evaluation, evaluate
from trapline.formats import join_boxes, read
from trapline.prediction import Predictions, pool_events
from trapline.recipes import resolve_recipe
from trapline.training import crossval

FOLDS, SEED, GAP = 5, 42, timedelta(minutes=5)
FULL_FRAME = "preprocessing.crop=null"
LITE0 = "selection=last"
SMALL = ["preprocessing.height=160", "preprocessing.width=160"]
ROWS: dict[str, tuple[str, list[str], str]] = {
    "small-cnn, full frame": ("small-cnn", ["epochs=15", "selection=last"], "location"),
    "head, full frame": ("head", [FULL_FRAME], "location"),
    "head, crops": ("head", [], "location"),
    "head, crops, random split": ("head", [], "random"),
    "lite0 fine-tuned, full frame": ("efficientnet-lite0", [LITE0, *SMALL, FULL_FRAME], "location"),
    "lite0 fine-tuned, crops": ("efficientnet-lite0", [LITE0, *SMALL], "location"),
    "lite0 fine-tuned, crops, random split": ("efficientnet-lite0", [LITE0, *SMALL], "random"),
}
"""Row -> recipe, settings, and what the folds keep together."""


def photos(source: Path) -> Catalog:
    """The labelled photos with their boxes, each visit one event."""
    catalog = join_boxes(read(source, part="train"), source / "boxes.json")
    return join_events(catalog, GAP)


def folds_of(catalog: Catalog, by: str) -> list[Catalog]:
    """Five folds by location, or at random, photo by photo, as benchmarks of the field often are."""
    if by == "location":
        return list(ByLocation(folds=FOLDS, seed=SEED).folds(catalog))
    alone = catalog.with_table(catalog.table.with_columns(event_id=pl.lit(None, pl.String)))
    return list(AtRandom(folds=FOLDS, seed=SEED).folds(alone))


def judge(catalog: Catalog, predictions: Predictions, name: str) -> Evaluation:
    """Every figure with its interval over locations; no location counts as seen."""
    return evaluate(catalog, predictions, training=[], name=name, seed=SEED)


def run(name: str, catalog: Catalog, folder: Path) -> None:
    """Compute one row, unless it is there, and keep its predictions and figures."""
    stem = folder / name.replace(", ", "-").replace(" ", "-")
    figures = stem.with_suffix(".json")
    if figures.is_file():
        return
    recipe, settings, by = ROWS[name]
    found = crossval(
        resolve_recipe(recipe, None, ["calibration=temperature", *settings]),
        catalog,
        folds_of(catalog, by),
        run_folder=stem.with_suffix(".run"),
        cache=folder / "cache",
    )
    pooled = pool_events(found.predictions, catalog, without_box=0.3)
    single, together = (judge(catalog, table, name) for table in (found.predictions, pooled))
    found.predictions.save(stem.with_suffix(".csv"))
    boxed = catalog.filter(pl.col("boxes").list.len() > 0).table["media_id"]
    hits = pl.DataFrame({"media_id": single_ids(found.predictions), "hit": hit(catalog, found.predictions)})
    by_box = hits.group_by(pl.col("media_id").is_in(boxed.implode()).alias("box")).agg(pl.col("hit").mean())
    figures.write_text(
        json.dumps(
            {
                "row": name,
                "minutes": found.seconds / 60,
                "photos": {key: value.model_dump() for key, value in single.metrics.items()},
                "pooled": {key: value.model_dump() for key, value in together.metrics.items()},
                "accuracy_by_box": dict(by_box.iter_rows()),
            },
            indent=1,
        )
    )


def single_ids(predictions: Predictions) -> pl.Series:
    """The media of the predictions, in their order."""
    return predictions.table["media_id"]


def hit(catalog: Catalog, predictions: Predictions) -> list[bool]:
    """Whether the most probable label is the true one, photo by photo."""
    truth = dict(catalog.table.select("media_id", pl.col("labels").list.first()).iter_rows())
    answers = [predictions.labels[place] for place in predictions.probabilities().argmax(axis=1)]
    return [truth[media] == answer for media, answer in zip(single_ids(predictions), answers, strict=True)]


def cell(interval: dict[str, float | None]) -> str:
    """`0.629 (0.585–0.670)`."""
    low, high = interval["low"], interval["high"]
    span = "" if low is None or high is None else f" ({low:.3f}–{high:.3f})"
    return f"{interval['value']:.3f}{span}"


def main() -> None:
    """Run the rows and print the table of all that are there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--row", action="append", choices=ROWS, help="Only this row. Repeatable.")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    catalog = photos(options.source)
    for name in options.row or ROWS:
        run(name, catalog, options.output)
    columns = ("accuracy", "log_loss", "macro_f1", "expected_calibration_error")
    titles = "model|accuracy|log loss|macro F1|ECE|box / no box|pooled accuracy|pooled log loss|minutes"
    print(f"| {' | '.join(titles.split('|'))} |")
    print("| --- " * 9 + "|")
    for file in sorted(options.output.glob("*.json")):
        row = json.loads(file.read_text())
        if "row" not in row:
            continue
        cells = [cell(row["photos"][name]) for name in columns]
        boxes = row["accuracy_by_box"]
        cells.append(f"{boxes['true']:.3f} / {boxes['false']:.3f}")
        cells += [cell(row["pooled"][name]) for name in columns[:2]]
        print(f"| {row['row']} | {' | '.join(cells)} | {row['minutes']:.1f} |")


if __name__ == "__main__":
    main()
