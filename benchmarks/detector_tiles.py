"""Does the detector find more at a larger input, or on tiles? Recall, false boxes, the best box of a photo.

Photos whose boxes were drawn by hand are the truth. Each is shown to MegadetectorLite whole, at several
sides of its input, and in tiles as well: five cuts of three fifths of a side each, at the corners and in the
middle. Boxes of a tile that its inner border cuts are left out; of boxes that overlap the most confident
stays. A found box fits from IoU 0.5 on, and is false where it overlaps no true one by 0.1. How many photos
*without* a box (no detector found one) get one stands beside it. AP: average precision at IoU 0.5.

usage: python benchmarks/detector_tiles.py CALTECH_NIGHT -o FOLDER [--sides 640 960 1280] [--every N]
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from detector import IOU, average_precision, match, overlap
from PIL import Image
from running import trapline

TILE = 0.6
CORNERS = ((0.0, 0.0), (0.4, 0.0), (0.0, 0.4), (0.4, 0.4), (0.2, 0.2))
BORDER = 0.01
SUPPRESSED = 0.45
CONFIDENCES = (0.1, 0.2, 0.3, 0.5)
APART = 0.1
SMALL = 0.01

Box = dict[str, Any]


def as_box(found: dict[str, Any], left: float = 0, top: float = 0, size: float = 1) -> Box:
    """A box of MegaDetector's JSON, in fractions of the whole photo that it is a cut of."""
    x, y, width, height = found["bbox"]
    return {
        "conf": found["conf"],
        "x": left + size * x,
        "y": top + size * y,
        "width": size * width,
        "height": size * height,
    }


def is_cut(found: dict[str, Any], left: float, top: float) -> bool:
    """Whether a box ends at a border of its tile that is none of the photo."""
    x, y, width, height = found["bbox"]
    return (
        (left > 0 and x < BORDER)
        or (top > 0 and y < BORDER)
        or (left + TILE < 1 and x + width > 1 - BORDER)
        or (top + TILE < 1 and y + height > 1 - BORDER)
    )


def suppressed(boxes: list[Box]) -> list[Box]:
    """Surest first, those that overlap a surer one left out."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: -box["conf"]):
        if all(overlap(box, other) < SUPPRESSED for other in kept):
            kept.append(box)
    return kept


def cut_tiles(photos: list[Path], folder: Path) -> None:
    """Write the tiles of each photo, without loss."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in photos:
        with Image.open(path) as image:
            width, height = image.size
            wide, high = round(TILE * width), round(TILE * height)
            for number, (left, top) in enumerate(CORNERS):
                x, y = round(left * width), round(top * height)
                image.crop((x, y, x + wide, y + high)).save(folder / f"{path.stem}_{number}.png")


def detect(photos: Path, output: Path, side: int) -> dict[str, list[dict[str, Any]]]:
    """What the detector finds in each photo of a folder: name without its ending → boxes."""
    trapline("detect", photos, "-o", output, "--no-kinds", "--side", side, "--min-conf", 0.05, "--force")
    said = json.loads(output.read_text(encoding="utf-8"))
    return {Path(entry["file"]).stem: entry["detections"] or [] for entry in said["images"]}


def row(way: str, truth: dict[str, list[Box]], empty: list[str], found: dict[str, list[Box]]) -> str:
    """The lines of a way to look."""
    said = [one for name, boxes in truth.items() for one in match(found[name], boxes)]
    precision = average_precision(said, sum(map(len, truth.values())))
    cells = []
    for least in CONFIDENCES:
        sure = {name: [box for box in found[name] if box["conf"] >= least] for name in (*truth, *empty)}
        hits = [
            (any(overlap(box, true) >= IOU for box in sure[name]), true["width"] * true["height"] < SMALL)
            for name, boxes in truth.items()
            for true in boxes
        ]
        best = [
            bool(sure[name]) and any(overlap(sure[name][0], true) >= IOU for true in boxes)
            for name, boxes in truth.items()
        ]
        false = [
            sum(all(overlap(box, true) < APART for true in boxes) for box in sure[name])
            for name, boxes in truth.items()
        ]
        small = [hit for hit, is_small in hits if is_small]
        figures = (
            np.mean([hit for hit, _ in hits]),
            np.mean(small) if small else np.nan,
            np.mean(best),
            np.mean(false),
            np.mean([bool(sure[name]) for name in empty]) if empty else np.nan,
        )
        cells.append(
            f"| {way} | {precision:.3f} | {least:g} | {' | '.join(f'{figure:.3f}' for figure in figures)} |"
        )
    return "\n".join(cells)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--sides", type=int, nargs="+", default=[640, 960, 1280])
    parser.add_argument("--every", type=int, default=1, help="only every N-th photo")
    options = parser.parse_args()
    with (options.data / "boxes_source.csv").open(newline="", encoding="utf-8") as file:
        source = {line["id"]: line["box_source"] for line in csv.DictReader(file)}
    entries = json.loads((options.data / "boxes.json").read_text(encoding="utf-8"))["images"]
    drawn = {Path(entry["file"]).stem: [as_box(box) for box in entry["detections"]] for entry in entries}
    there = sorted((options.data / "train_features").glob("*.jpg"))
    of = {
        kind: [path for path in there if source[path.stem] == kind][:: options.every]
        for kind in ("gt", "none")
    }
    truth = {path.stem: drawn[path.stem] for path in of["gt"]}
    empty = [path.stem for path in of["none"]]
    photos = [*of["gt"], *of["none"]]
    whole = options.output / "whole"
    whole.mkdir(parents=True, exist_ok=True)
    for path in photos:
        link = whole / path.name
        if not link.exists():
            link.symlink_to(path.resolve())
    cut_tiles(photos, options.output / "tiles")
    small = sum(box["width"] * box["height"] < SMALL for boxes in truth.values() for box in boxes)
    print(
        f"{len(truth)} photos with boxes drawn by hand, {small} boxes under 1 % of the photo; "
        f"{len(empty)} without a box"
    )
    print(
        "| way | AP | confidence ≥ | recall | of small ones | best box right | false a photo | no box: some |"
    )
    print("| --- " * 8 + "|")
    boxes: dict[str, list[Box]] = {}
    for side in options.sides:
        found = detect(whole, options.output / f"whole-{side}.json", side)
        here = {name: suppressed([as_box(one) for one in found[name]]) for name in (*truth, *empty)}
        boxes = boxes or here
        print(row(f"whole, {side}", truth, empty, here), flush=True)
    found = detect(options.output / "tiles", options.output / "tiles.json", options.sides[0])
    for name in boxes:
        boxes[name] = suppressed(
            boxes[name]
            + [
                as_box(one, left, top, TILE)
                for number, (left, top) in enumerate(CORNERS)
                for one in found[f"{name}_{number}"]
                if not is_cut(one, left, top)
            ]
        )
    print(row(f"whole and tiles, {options.sides[0]}", truth, empty, boxes))


if __name__ == "__main__":
    main()
