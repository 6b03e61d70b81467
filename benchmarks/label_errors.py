"""Labels made wrong on caltech-night: how many are among those that a model contradicts, beside cleanlab.

A share of the photos gets another label at random. The head is trained on these labels by location folds, so
that each photo is judged by a model that saw neither it nor its location, and the photos are put in order of
doubt. `first n` is the share of the first n photos whose label was changed, n as many as were changed;
`estimate` is the number of wrong labels told without knowing any, with its 95 % interval over locations.
cleanlab gets the same probabilities, in an environment of its own.

usage: python benchmarks/label_errors.py CALTECH_NIGHT -o FOLDER [--share 0.05 …] [--seeds 3]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from caltech_night import folds_of, photos
from running import rival, rival_python

from trapline import metrics
from trapline.catalog import Catalog
from trapline.recipes import resolve_recipe
from trapline.training import crossval

Bools = npt.NDArray[np.bool_]
FIRST = 20


def with_wrong_labels(catalog: Catalog, share: float, seed: int) -> tuple[Catalog, Bools]:
    """The catalog with another label on a share of its photos, and which these are."""
    random, labels = np.random.default_rng(seed), catalog.labels
    names = catalog.table["labels"].list.first().to_list()
    changed = np.zeros(len(catalog), bool)
    changed[random.choice(len(catalog), round(share * len(catalog)), replace=False)] = True
    wrong = [
        str(random.choice([label for label in labels if label != name])) if change else name
        for name, change in zip(names, changed, strict=True)
    ]
    column = pl.Series("labels", [[name] for name in wrong])
    return catalog.with_table(catalog.table.with_columns(column)), changed


def out_of_fold(catalog: Catalog, folder: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Labels [N] and probabilities [N, K] of models of other locations."""
    recipe = resolve_recipe("head", None, [])
    told = crossval(recipe, catalog, folds_of(catalog, "location"), cache=folder / "cache").predictions
    rows = catalog.table.select("media_id").join(
        told.table.with_row_index("row"), on="media_id", how="left", maintain_order="left"
    )["row"]
    labels = catalog.table["labels"].to_list()
    return metrics.encode_truth(labels, told.labels, "single-label"), told.probabilities()[rows.to_numpy()]


def ask_cleanlab(
    truth: npt.NDArray[np.int64], values: npt.NDArray[np.float64], folder: Path
) -> dict[str, object]:
    """Its doubt of each photo, and how many labels it holds to be wrong."""
    python = rival_python("cleanlab", ["cleanlab==2.9.0"])
    np.savez(folder / "arrays.npz", truth=truth, probabilities=values)
    script = Path(__file__).parent / "rivals" / "cleanlab_ranking.py"
    rival("cleanlab", [python, script, folder / "arrays.npz", folder / "answer.npz"])
    with np.load(folder / "answer.npz") as answer:
        return dict(answer)


def hits(doubt: npt.NDArray[np.float64], changed: Bools, first: int) -> str:
    """The share of the first photos in order of doubt whose label was changed."""
    return f"{changed[np.argsort(-doubt, kind='stable')[:first]].mean():.2f}"


def row(catalog: Catalog, share: float, seed: int, folder: Path) -> str:
    """One line of the table."""
    flawed, changed = with_wrong_labels(catalog, share, seed)
    truth, values = out_of_fold(flawed, folder)
    theirs = ask_cleanlab(truth, values, folder)
    doubt = metrics.label_doubt(truth, values)
    estimate = metrics.estimate_vectors(
        truth, values, flawed.table["location_id"].to_numpy(), metrics_fn=metrics.wrong_label_shares
    )["of_all"][0]
    number = [f"{len(truth) * (one or 0):.0f}" for one in (estimate.value, estimate.low, estimate.high)]
    count = int(changed.sum())
    cells = [
        f"{share:.0%}, seed {seed}",
        f"{count}",
        *([hits(doubt, changed, n) for n in (FIRST, count)] if count else ["–", "–"]),
        *([hits(np.asarray(theirs["doubt"]), changed, n) for n in (FIRST, count)] if count else ["–", "–"]),
        f"{np.abs(doubt - np.asarray(theirs['doubt'])).max():.1e}",
        f"{number[0]} ({number[1]}–{number[2]})",
        f"{theirs['wrong']}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table, a line a share and seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument(
        "--share", type=float, action="append", help="Of the labels. Repeatable [0, 0.05, 0.1]."
    )
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    catalog = photos(options.source)
    titles = f"made wrong|number|first {FIRST}|first n|cleanlab first {FIRST}|first n|difference"
    titles += "|estimate|cleanlab's"
    print(f"| {' | '.join(titles.split('|'))} |")
    print("| --- " * 9 + "|")
    for share in options.share or (0, 0.05, 0.1):
        for seed in range(options.seeds if share else 1):
            print(row(catalog, share, seed, options.output), flush=True)


if __name__ == "__main__":
    main()
