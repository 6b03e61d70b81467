"""How much better one table of predictions is than another of the same photos, with a paired interval.

usage: python benchmarks/caltech-night/difference.py CATALOG EARLIER LATER
"""

from __future__ import annotations

import sys

import numpy as np
import polars as pl

from trapline.catalog import Catalog
from trapline.prediction import Predictions

SAMPLES, SEED = 2000, 42


def losses_of(catalog: Catalog, found: Predictions) -> pl.DataFrame:
    """media_id, location_id, hit and log loss of each labelled photo."""
    truth = catalog.table.select("media_id", "location_id", pl.col("labels").list.first().alias("truth"))
    table = found.table.join(truth, on="media_id")
    chances = table.select(found.labels).to_numpy().astype(float)
    column = [found.labels.index(label) for label in table["truth"]]
    own = chances[np.arange(len(table)), column]
    return table.select("media_id", "location_id").with_columns(
        hit=chances.argmax(axis=1) == column, loss=-np.log(np.maximum(own, 1e-15))
    )


def main() -> None:
    """Print accuracy and log loss, later less earlier, with 95 % intervals over locations."""
    catalog = Catalog.load(sys.argv[1])
    earlier, later = (losses_of(catalog, Predictions.load(path)) for path in sys.argv[2:4])
    both = earlier.join(later, on="media_id", suffix="_later")
    changes = {
        "accuracy": both["hit_later"].cast(float) - both["hit"].cast(float),
        "log loss": both["loss_later"] - both["loss"],
    }
    places = both["location_id"].rank("dense").to_numpy() - 1
    count = np.bincount(places)
    drawn = np.random.default_rng(SEED).multinomial(len(count), np.full(len(count), 1 / len(count)), SAMPLES)
    for name, change in changes.items():
        sums = np.bincount(places, change.to_numpy())
        low, high = np.percentile(drawn @ sums / (drawn @ count), [2.5, 97.5])
        print(f"{name}: {change.mean():+.3f} ({low:+.3f} to {high:+.3f}), {len(both)} photos")


if __name__ == "__main__":
    main()
