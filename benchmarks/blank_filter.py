"""How many empty photos a filter takes away for how many animals lost: trailcam-bursts' labelled seasons.

Every score ranks photos by how sure it is that nothing is there; those above a threshold are taken away. The
curve: the share of the blanks removed where 5, 10 and 15 % of the photos with an animal are lost (the package
zamba publishes 63, 80 and 90 % for its own data). People and vehicles are neither; how many of them are lost
stands beside it. `chosen elsewhere`: the threshold is the other seasons', as a user's would be; the animals
that are lost by it in the season are then what they are. The same by burst, of which a filter keeps all
frames or none. Intervals are 95 %, over the bursts.

The scores: the most confident box of the detector in the box, of the photo; of the photo's burst; both,
weighed as does best on the other seasons; and what a model of photos and one of bursts say of `blank`,
trained on the other seasons (`trailcam_bursts.py` leaves their predictions). The photos are squashed to 256 ×
256, and a camera's own would not be; `4 : 3` gives the detector what it would then have.

usage: python benchmarks/blank_filter.py TRAILCAM_BURSTS -o FOLDER [--predictions FILE.parquet …]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from PIL import Image

from trapline import api
from trapline.catalog import Catalog
from trapline.formats import read
from trapline.metrics import estimate_ratio
from trapline.prediction import Predictions

LOST = (0.05, 0.10, 0.15)
SMALL = ("squirrel", "striped_skunk", "fox", "turkey")
NEITHER = ("human", "vehicle")
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the burst's most confident box, beside the photo's own."""

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Truth:
    """What photos, or bursts, show; all arrays [N].

    Args:
        labels: of each.
        seasons: of each.
        bursts: of each.
    """

    def __init__(self, labels: list[list[str]], seasons: list[str], bursts: list[str]) -> None:
        self.labels, self.season, self.burst = labels, np.array(seasons), np.array(bursts)
        self.blank = np.array([names == ["blank"] for names in labels])
        self.animal = np.array([bool(set(names) - {"blank", *NEITHER}) for names in labels])
        self.other = ~self.blank & ~self.animal

    def of(self, label: str) -> Mask:
        """Those that show it."""
        return np.array([label in names for names in self.labels])


def least_score(scores: Floats, animal: Mask, lost: float) -> float:
    """The threshold at which at most that share of the animals has a higher score, and is lost."""
    ordered = np.sort(scores[animal])[::-1]
    return float(ordered[min(int(lost * len(ordered)), len(ordered) - 1)])


def share(hits: Mask, among: Mask, bursts: npt.NDArray[np.str_]) -> str:
    """`63 % (58–70)`."""
    if not among.any():
        return "none"
    found = estimate_ratio(hits & among, among, bursts)
    if found.value is None or found.low is None or found.high is None:
        return f"{100 * (found.value or 0):.0f} %"
    return f"{100 * found.value:.0f} % ({100 * found.low:.0f}–{100 * found.high:.0f})"


def elsewhere(scores: Floats, truth: Truth, lost: float) -> Mask:
    """What is taken away in each season with the threshold of the others."""
    taken = np.zeros(len(scores), bool)
    for season in np.unique(truth.season):
        inside = truth.season == season
        taken[inside] = scores[inside] > least_score(scores[~inside], truth.animal[~inside], lost)
    return taken


def weighed(own: Floats, burst: Floats, truth: Truth) -> Floats:
    """Both boxes, in each season with the weight that removes most blanks of the others at 5 % lost."""
    mixed = np.empty(len(own))
    for season in np.unique(truth.season):
        inside = truth.season == season

        def removed(weight: float, others: Mask = ~inside) -> float:
            scores = (1 - weight) * own + weight * burst
            least = least_score(scores[others], truth.animal[others], LOST[0])
            return float((scores[others & truth.blank] > least).mean())

        best = max(WEIGHTS, key=removed)
        mixed[inside] = ((1 - best) * own + best * burst)[inside]
    return mixed


def confidence(catalog: Catalog) -> Floats:
    """float64 [media]: of the most confident box, 0 without one."""
    table = catalog.table.select(
        pl.col("boxes").list.eval(pl.element().struct.field("conf")).list.max().fill_null(0.0)
    )
    return table["boxes"].to_numpy().astype(np.float64)


def unsquashed(source: Path, catalog: Catalog, folder: Path) -> Path:
    """The photos at 4 : 3 in a folder of their own, under their names."""
    for name in catalog.table["file_path"]:
        target = folder / name
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(source / name) as photo:
                width = round(photo.height * 4 / 3)
                photo.resize((width, photo.height), Image.Resampling.BICUBIC).save(target, quality=95)
    return folder


def detected(catalog: Catalog, root: Path, output: Path) -> Catalog:
    """The catalog with the boxes of the detector in the box, found in the photos under `root`."""
    if not output.is_file():
        api.detect("auto", replace(catalog, root=root.absolute()), output, kinds=False)
    return Catalog.load(output)


def blank_said(path: Path, catalog: Catalog) -> tuple[Floats, bool]:
    """Of each media what a model says of `blank`, and whether it says it of whole bursts."""
    said = Predictions.load(path)
    of_bursts = said.level == "event"
    keys = said.table["event_id" if of_bursts else "media_id"].to_list()
    column = said.probabilities()[:, said.labels.index("blank")]
    by_key = dict(zip(keys, column.tolist(), strict=True))
    wanted = catalog.table["event_id" if of_bursts else "media_id"].to_list()
    return np.array([by_key[key] for key in wanted]), of_bursts


def scores_of(catalog: Catalog, truth: Truth, name: str) -> dict[str, Floats]:
    """Of the detector's boxes: how sure each score is that a photo shows nothing."""
    own = confidence(catalog)
    burst = of_bursts(own, truth.burst)
    return {
        f"{name}: the photo's best box": -own,
        f"{name}: the burst's best box": -burst,
        f"{name}: both, weighed on the other seasons": weighed(-own, -burst, truth),
    }


def of_bursts(values: Floats, bursts: npt.NDArray[np.str_]) -> Floats:
    """Of each photo the highest value of its burst."""
    found, which = np.unique(bursts, return_inverse=True)
    highest = np.full(len(found), -np.inf)
    np.maximum.at(highest, which, values)
    return highest[which]


def curve(title: str, scores: Mapping[str, Floats], truth: Truth) -> None:
    """Print a line a score: the curve, then what the other seasons' threshold at 5 % does."""
    counts = f"{truth.blank.sum()} blanks, {truth.animal.sum()} with an animal, {truth.other.sum()} others"
    print(f"\n{title}: {counts}\n")
    heads = [f"blanks removed, {lost:.0%} of animals lost" for lost in LOST]
    heads += ["people and vehicles lost at 10 %", *(f"{label} lost at 10 %" for label in SMALL)]
    heads += ["chosen elsewhere for 10 %: blanks removed", "animals lost"]
    print("| score | " + " | ".join(heads) + " |\n" + "| --- " * (len(heads) + 1) + "|")
    for name, values in scores.items():
        taken = [values > least_score(values, truth.animal, lost) for lost in LOST]
        cells = [share(one, truth.blank, truth.burst) for one in taken]
        cells.append(share(taken[1], truth.other, truth.burst))
        cells += [share(taken[1], truth.of(label), truth.burst) for label in SMALL]
        away = elsewhere(values, truth, LOST[1])
        cells += [share(away, truth.blank, truth.burst), share(away, truth.animal, truth.burst)]
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    """Find boxes unless they are there, and print both curves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, nargs="*", default=[], help="with a label blank")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    catalog = read(options.source, part="train")
    table = catalog.table
    bursts = table["event_id"].to_list()
    photos = Truth(table["labels"].to_list(), table["season"].to_list(), bursts)
    wide = unsquashed(options.source, catalog, options.output / "unsquashed")
    scores: dict[str, Floats] = {}
    for name, root in (("squashed", options.source), ("4 : 3", wide)):
        boxes = detected(catalog, root, options.output / f"boxes-{root.name}.parquet")
        scores |= scores_of(boxes, photos, name)
    whole: dict[str, Floats] = {name: values for name, values in scores.items() if "burst's" in name}
    for path in options.predictions:
        said, is_whole = blank_said(path, catalog)
        scores[path.stem] = said
        whole[path.stem] = said if is_whole else -of_bursts(-said, photos.burst)
    curve("By photo", scores, photos)
    first = np.unique(photos.burst, return_index=True)[1]
    named = table["event_labels"].to_list()
    by_burst = Truth(
        [named[row] for row in first], photos.season[first].tolist(), [bursts[row] for row in first]
    )
    curve("By burst", {name: values[first] for name, values in whole.items()}, by_burst)


if __name__ == "__main__":
    main()
