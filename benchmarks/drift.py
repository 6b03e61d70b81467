"""Whether photos of other places and sets are told as unlike what a model has learnt from.

Heads on a frozen efficientnet-lite0, of full frames: the statistics that their cards keep depend on the
embeddings alone, so no head is fitted here. Of each set, *held out*: the share of its own locations (of one
camera: days) that are called unlike by the statistics of the others, in five folds, stretches of days; at
most 5 % is wanted. *Withheld*: its test part. *Other sets*: the share of batches of 5, 20 and 100 photos that
follow one another which are called unlike; all should be.

usage: python benchmarks/drift.py DATA -o FOLDER [--photos N]

DATA holds caltech-night, trailcam-bursts and jura. With `--photos` at most so many of each, the first ones.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog
from trapline.formats import read
from trapline.models import FAR, Coordinates, Familiar
from trapline.recipes import resolve_recipe
from trapline.training.embedding import Seeing
from trapline.training.familiarity import familiar_from, group_media
from trapline.training.features import embed_views

FOLDS, SEED, BATCHES = 5, 42, (5, 20, 100)
SETS = {
    "caltech-night": ("caltech-night", "train"),
    "caltech-night, withheld": ("caltech-night", "test"),
    "trailcam-bursts": ("trailcam-bursts", "train"),
    "trailcam-bursts, withheld": ("trailcam-bursts", "test"),
    "jura": ("jura/site-8.2-G", None),
}


@dataclass(frozen=True)
class Photos:
    """A set, as the network sees it: float32 [N, D]."""

    catalog: Catalog
    embeddings: npt.NDArray[np.float32]


def embed(source: Path, folder: Path, most: int | None) -> dict[str, Photos]:
    """All sets."""
    cache = folder / "cache"
    seeing = Seeing.of_recipe(resolve_recipe("head", None, ["preprocessing.crop=null"]), cache)
    sets = {}
    for name, (where, part) in SETS.items():
        catalog = read(source / where) if part is None else read(source / where, part=part)
        catalog = catalog.with_table(catalog.table.sort("camera_time", maintain_order=True)[:most])
        seen = embed_views(seeing.network, catalog, seeing.views[:1], cache=cache, skip_unreadable=True)
        readable = np.isfinite(seen.values[:, 0, 0])
        sets[name] = Photos(catalog.with_table(catalog.table.filter(readable)), seen.values[readable, 0])
    return sets


def distance(familiar: Familiar, embeddings: npt.NDArray[np.float32]) -> float:
    """Of some photos together, as `trapline predict` has it of those of a location."""
    coordinates = Coordinates(familiar)(embeddings)
    return familiar.distance(coordinates.astype(np.float64).mean(axis=0), len(embeddings))


def share(distances: list[float]) -> str:
    """`5 % of 92`."""
    if not distances:
        return "–"
    return f"{np.mean(np.array(distances) >= FAR):.0%} of {len(distances)}"


def held_out(photos: Photos) -> list[float]:
    """Of each group the distance by the statistics, and the thresholds, of the others' folds."""
    grouped = group_media(photos.catalog)
    if grouped is None:
        return []
    by, groups = grouped
    names = np.unique(groups[groups != ""])
    dealt = names if by == "day" else np.random.default_rng(SEED).permutation(names)
    distances = []
    for fold in np.array_split(dealt, FOLDS):
        train = ~np.isin(groups, [*fold, ""])
        familiar = familiar_from(by, groups[train], photos.embeddings[train], seed=SEED)
        if familiar is not None:
            distances += [distance(familiar, photos.embeddings[groups == name]) for name in fold]
    return distances


def of_groups(familiar: Familiar, photos: Photos) -> list[float]:
    """Of each location of a set, or of each day where the model knows days."""
    column = "location_id" if familiar.by == "location" else "camera_time"
    keys = photos.catalog.table[column]
    groups = (keys if column == "location_id" else keys.dt.date()).cast(pl.String).fill_null("").to_numpy()
    return [distance(familiar, photos.embeddings[groups == name]) for name in np.unique(groups)]


def of_batches(familiar: Familiar, embeddings: npt.NDArray[np.float32], size: int) -> list[float]:
    """Of photos that follow one another."""
    starts = range(0, len(embeddings) - size + 1, size)
    return [distance(familiar, embeddings[start : start + size]) for start in starts]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--photos", type=int)
    options = parser.parse_args()
    sets = embed(options.source, options.output, options.photos)
    print("| learnt from | groups | held out: unlike | withheld: unlike |\n| --- | --- | --- | --- |")
    familiars = {}
    for name in ("caltech-night", "trailcam-bursts", "jura"):
        grouped = group_media(sets[name].catalog)
        if grouped is None:
            print(f"| {name} | too few | – | – |")
            continue
        by, groups = grouped
        known = groups != ""
        familiar = familiar_from(by, groups[known], sets[name].embeddings[known], seed=SEED)
        assert familiar is not None
        familiars[name] = familiar
        withheld = sets.get(f"{name}, withheld")
        apart = "–" if withheld is None else share(of_groups(familiar, withheld))
        print(f"| {name} | {familiar.groups} {by}s | {share(held_out(sets[name]))} | {apart} |")
    print("\n| learnt from | batches of | 5 photos | 20 | 100 |\n| --- | --- | --- | --- | --- |")
    for name, familiar in familiars.items():
        for other, photos in sets.items():
            if not other.startswith(name):
                cells = [share(of_batches(familiar, photos.embeddings, size)) for size in BATCHES]
                print(f"| {name} | {other} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
