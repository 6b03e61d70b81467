"""Speed and recall of detecting, side by side in one run: zamba's own MegadetectorLite, and ours.

Both are processes that have their network open and have looked at all photos once; then they take turns, for
some rounds, on the same processors. Ours is what `trapline detect` does, journal and decoding processes
included. Medians, their ratio, and where BOXES (a MegaDetector file of PHOTOS) has a photo's boxes, recall at
confidence 0.2 and IoU 0.5 of both. Then what a photo costs by part on one thread: decoding and fitting, the
network, and what follows it.

usage: python benchmarks/detect_speed.py PHOTOS [--boxes BOXES.json] [--count 96] [--rounds 5] [--cores 2]

zamba runs in an environment of its own, made by uv.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from detector import match
from predict import Side, serve
from running import jpegs, rival_python

HERE = Path(__file__).parent
ALONE = ("zamba==2.7.2", "pixeltable-yolox==0.4.3")
"""Without what they need for training, videos and the command line."""
NEEDED = (
    "torch>=2.13", "torchvision", "numpy", "pandas", "pydantic<2", "pillow", "loguru", "tqdm", "pyyaml",
    "appdirs", "tabulate", "psutil", "opencv-python-headless", "scikit-learn", "thop", "ninja",
    "pycocotools", "packaging", "tensorboard", "setuptools",
)  # fmt: skip
LEAST = 0.2
SIDES = ("x", "y", "width", "height", "conf")


def ours(photos: Path, cores: int, answers: Path) -> Callable[[], None]:
    """What `trapline detect` does."""
    from trapline.models import Detector
    from trapline.prediction import detect

    detector, paths = Detector(threads=cores), sorted(photos.glob("*.jpg"))

    def run() -> None:
        found = detect(detector, paths, answers.with_suffix(".journal"), workers=cores, fresh=True)
        rows = found.table.select("file_path", "boxes").rows()
        by_name = {
            Path(name).name: [[box[one] for one in SIDES] for box in boxes or ()] for name, boxes in rows
        }
        answers.write_text(json.dumps(by_name))

    return run


def parts(photos: Path) -> dict[str, float]:
    """Median milliseconds of a photo on one thread, by part."""
    from trapline.images import prepare
    from trapline.models import Detector

    detector = Detector(threads=1)
    times: dict[str, list[float]] = {"decode and fit": [], "network": [], "suppression": []}
    for path in sorted(photos.glob("*.jpg")):
        began = time.perf_counter()
        prepared = prepare(path, detector.preprocessing)
        decoded = time.perf_counter()
        height, width = detector._least(prepared.pixels.shape[:2], prepared.inner)
        detector._answer(prepared.pixels[None, :height, :width])
        ran = time.perf_counter()
        detector.detect(prepared.pixels[None], [prepared.inner])
        done = time.perf_counter()
        spent = (decoded - began, ran - decoded, max(0.0, done - ran - (ran - decoded)))
        for kept, seconds in zip(times.values(), spent, strict=True):
            kept.append(1000 * seconds)
    return {name: statistics.median(kept) for name, kept in times.items()}


def recall(answers: Path, truth: dict[str, list[dict[str, Any]]]) -> str:
    """The share of the true boxes that were found."""
    found = json.loads(answers.read_text())
    hits = [
        hit
        for name, boxes in truth.items()
        for conf, hit in match([as_box(*one) for one in found[name]], boxes)
        if conf >= LEAST
    ]
    true = sum(len(boxes) for boxes in truth.values())
    return f"{sum(hits) / true:.3f} of {true}" if true else ""


def as_box(x: float, y: float, width: float, height: float, conf: float = 1.0) -> dict[str, Any]:
    """As `detector.match` takes it."""
    return {"x": x, "y": y, "width": width, "height": height, "conf": conf}


def lay_out(source: Path, boxes: Path | None, folder: Path, count: int) -> dict[str, list[dict[str, Any]]]:
    """Copies of photos, those with known boxes first, as separate files; the boxes by their names."""
    known = {}
    if boxes is not None:
        images = json.loads(boxes.read_text())["images"]
        known = {Path(image["file"]).name: image["detections"] for image in images if image.get("detections")}
    photos = [path for path in jpegs(source) if not known or path.name in known]
    truth = {}
    folder.mkdir()
    for number in range(count):
        path = photos[number % len(photos)]
        name = f"{number:05}.jpg"
        shutil.copyfile(path, folder / name)
        if path.name in known:
            truth[name] = [as_box(*one["bbox"]) for one in known[path.name]]
    return truth


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--boxes", type=Path)
    parser.add_argument("--count", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--answers", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    if options.answers:
        serve(ours(options.photos, options.cores, options.answers))
        return
    with tempfile.TemporaryDirectory(prefix="trapline-detect-") as folder:
        compare(options, Path(folder))


def compare(options: argparse.Namespace, folder: Path) -> None:
    """Let both sides take turns."""
    photos = folder / "photos"
    truth = lay_out(options.photos, options.boxes, photos, options.count)
    answers = {side: folder / f"{side}.json" for side in ("zamba", "trapline")}
    cores, python = str(options.cores), rival_python("zamba", NEEDED, ALONE)
    published = [str(python), str(HERE / "published_detector.py"), str(photos), cores]
    mine = [sys.executable, str(Path(__file__)), str(photos), "--cores", cores]
    sides = {
        "zamba": Side([*published, str(answers["zamba"])]),
        "trapline": Side([*mine, "--answers", str(answers["trapline"])]),
    }
    rounds = [{name: side.seconds() for name, side in sides.items()} for _ in range(options.rounds)]
    for side in sides.values():
        side.close()
    print(f"{options.count} photos, {options.cores} cores, {options.rounds} rounds in turn\n")
    print(f"| | photos a second | times | recall at {LEAST:g} |")
    print("| --- | --- | --- | --- |")
    for name in sides:
        seconds = statistics.median(one[name] for one in rounds)
        ratio = statistics.median(one["zamba"] / one[name] for one in rounds)
        print(f"| {name} | {options.count / seconds:.1f} | {ratio:.2f} | {recall(answers[name], truth)} |")
    print("\n| a photo, one thread | ms |\n| --- | --- |")
    for name, milliseconds in parts(photos).items():
        print(f"| {name} | {milliseconds:.1f} |")


if __name__ == "__main__":
    main()
