"""How many of the known boxes a detector finds, and how exact it is: recall and average precision at IoU 0.5.

Truth is a MegaDetector file over the same photos; photos for which it has no box are left out, because that
does not mean that they are empty. With SOURCES (a CSV of ids and sources) the figures are given for each
source of the truth too: boxes drawn by hand are truth, another detector's are agreement.

usage: python benchmarks/detector.py FOUND.parquet BOXES.json [--sources CSV]

FOUND is the catalog that `trapline detect` wrote, with boxes from a low confidence on.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np

from trapline.catalog import Catalog
from trapline.formats import join_boxes

IOU = 0.5
CONFIDENCES = (0.05, 0.1, 0.2, 0.3, 0.5)


def overlap(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Intersection over union of two boxes."""
    wide, high = (
        max(0.0, min(one[at] + one[size], other[at] + other[size]) - max(one[at], other[at]))
        for at, size in (("x", "width"), ("y", "height"))
    )
    areas = one["width"] * one["height"] + other["width"] * other["height"]
    return wide * high / max(areas - wide * high, 1e-12)


def match(found: list[dict[str, Any]], truth: list[dict[str, Any]]) -> list[tuple[float, bool]]:
    """Each found box, surest first: its confidence, and whether it is the first to fit a true one."""
    free, said = list(truth), []
    for box in sorted(found, key=lambda box: -box["conf"]):
        best = max(free, key=lambda one: overlap(box, one), default=None)
        hit = best is not None and overlap(box, best) >= IOU
        if hit:
            free.remove(best)
        said.append((box["conf"], hit))
    return said


def average_precision(said: list[tuple[float, bool]], true: int) -> float:
    """Area under the precision–recall curve, precision made falling (Everingham et al. 2010, all points)."""
    order = sorted(said, key=lambda one: -one[0])
    hits = np.cumsum([hit for _, hit in order])
    precision = hits / np.arange(1, len(hits) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(np.r_[0, hits]) * falling).sum() / true)


def row(name: str, pairs: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]]) -> str:
    """A line of the table."""
    said = [one for found, truth in pairs for one in match(found, truth)]
    true = sum(len(truth) for _, truth in pairs)
    recalls = [sum(hit for conf, hit in said if conf >= least) / true for least in CONFIDENCES]
    cells = [
        str(len(pairs)),
        str(true),
        *(f"{recall:.3f}" for recall in recalls),
        f"{average_precision(said, true):.3f}",
    ]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("found", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--sources", type=Path)
    options = parser.parse_args()
    found = Catalog.load(options.found)
    truth = join_boxes(found, options.truth)
    sources: dict[str, str] = {}
    if options.sources:
        with options.sources.open(newline="") as file:
            sources = {line[0]: line[1] for line in csv.reader(file)}
    groups: dict[str, list[Any]] = {"all": []}
    names = found.table["file_path"].to_list()
    for name, mine, known in zip(
        names, found.table["boxes"].to_list(), truth.table["boxes"].to_list(), strict=True
    ):
        if known and mine is not None:
            groups["all"].append((mine, known))
            if sources:
                groups.setdefault(sources.get(Path(name).stem, "?"), []).append((mine, known))
    print("| truth | photos | boxes | " + " | ".join(f"recall at {c:g}" for c in CONFIDENCES) + " | AP |")
    print("| --- " * (4 + len(CONFIDENCES)) + "|")
    for name, pairs in groups.items():
        print(row(name, pairs))


if __name__ == "__main__":
    main()
