"""What the choices of `submit.sh` flatter: they were made on the very folds that its figures are of.

How photos are pooled (minutes between visits, weight of photos without a box, days of a place) is chosen anew
on four fifths of the locations, by log loss, and judged at the others, each fifth in its turn and the fifths
dealt several times. Beside it what `submit.sh` takes, and the choice that is best on the very locations.

usage: python benchmarks/caltech-night/nested.py FOLDER [--minutes 2 5 15] [--weights 0.03 0.1 0.3 1]
                                                        [--days 0 30 60 120] [--deals 10]

FOLDER is the one that `submit.sh` has filled. With 0 days a visit without a box keeps its own answer.
"""

from __future__ import annotations

import argparse
from datetime import timedelta
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
from difference import losses_of

from trapline import metrics
from trapline.api import combine, pool
from trapline.catalog import Catalog, join_events
from trapline.prediction import Predictions

MEMBERS = ("lite0", "lite2", "lite2-close", "head")
SUBMITTED = (5.0, 0.1, 60.0)
FOLDS, SAMPLES, SEED = 5, 2000, 42

Floats = npt.NDArray[np.float64]


def choose_elsewhere(
    losses: Floats, locations: npt.NDArray[np.int64], random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """[N]: for each photo the choice of the least mean loss at the other fifths of the locations.

    Args:
        losses: [choices, N].
        locations: [N], from 0 on.
        random: deals the locations.
    """
    fold_of = (random.permutation(int(locations.max()) + 1) % FOLDS)[locations]
    best = [losses[:, fold_of != fold].mean(axis=1).argmin() for fold in range(FOLDS)]
    return np.array(best, np.int64)[fold_of]


def row(name: str, hits: Floats, losses: Floats, locations: npt.NDArray[np.int64]) -> str:
    """A line of the table; intervals over locations."""
    one = np.ones(len(losses))
    figures = [
        metrics.estimate_ratio(values, one, locations, SAMPLES, SEED, rate=rate)
        for values, rate in ((hits, False), (losses, True))
    ]
    cells = (f"{figure.value:.3f} ({figure.low:.3f}–{figure.high:.3f})" for figure in figures)
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[2.0, 5.0, 15.0])
    parser.add_argument("--weights", type=float, nargs="+", default=[0.03, 0.1, 0.3, 1.0])
    parser.add_argument("--days", type=float, nargs="+", default=[0.0, 30.0, 60.0, 120.0])
    parser.add_argument("--deals", type=int, default=10)
    options = parser.parse_args()
    catalog = Catalog.load(options.folder / "train.parquet")
    members = [Predictions.load(options.folder / name / "validation.parquet") for name in MEMBERS]
    choices = list(product(options.minutes, options.weights, options.days))
    tables = []
    for minutes, weight, days in choices:
        visits = join_events(catalog, timedelta(minutes=minutes))
        pooled = [pool(member, visits, without_box=weight, place_days=days or None) for member in members]
        tables.append(losses_of(visits, combine(pooled, visits)).sort("media_id"))
    losses = np.array([table["loss"].to_numpy() for table in tables])
    hits = np.array([table["hit"].to_numpy() for table in tables], float)
    locations = tables[0]["location_id"].rank("dense").to_numpy().astype(np.int64) - 1
    each, random = np.arange(losses.shape[1]), np.random.default_rng(SEED)
    deals = [choose_elsewhere(losses, locations, random) for _ in range(options.deals)]
    print(f"{len(each)} photos, {len(choices)} choices")
    print("| pooling | accuracy | log loss |\n| --- | --- | --- |")
    if SUBMITTED in choices:
        taken = choices.index(SUBMITTED)
        print(row("as submitted", hits[taken], losses[taken], locations))
    best = int(losses.mean(axis=1).argmin())
    minutes, weight, days = choices[best]
    print(row(f"best here: {minutes:g} min, {weight:g}, {days:g} days", hits[best], losses[best], locations))
    elsewhere = [np.mean([values[deal, each] for deal in deals], axis=0) for values in (hits, losses)]
    print(row(f"chosen at other locations, mean of {options.deals}", *elsewhere, locations))


if __name__ == "__main__":
    main()
