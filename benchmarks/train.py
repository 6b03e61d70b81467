"""Time to train, side by side in one run: recipes T and C as published against Trapline's.

The same photos, the same number of epochs.

The shipped recipes are trained as they are; only ResNet-50 sees all photos, as its original does here, and
starts from random weights on both sides, so that no network is needed (its ImageNet weights come from the
Hugging Face hub, the original's from PyTorch's).

Each is a whole process, started from cold, run in turn (published, ours, published, ours, …); medians and
ratios are printed, and the validation losses, so that speed is not bought with loss. `fit` is the training
alone, as each reports it; `whole` includes the interpreter, the imports and the reading of the photos.

usage: python benchmarks/train.py CONSER_VISION_FOLDER [--recipe NAME] [--epochs N] [--runs N]

The Keras side runs in an environment of its own, made by uv (TensorFlow is no dependency of Trapline).
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from running import TENSORFLOW, rival, rival_python, trapline

HERE = Path(__file__).parent
PUBLISHED = {"small-cnn": "published_small_cnn.py", "conser-vision-resnet50": "published_conser_vision.py"}
SETTINGS = {
    "conser-vision-resnet50": [*("--set", "weights=none", "--set", "how=scratch"), "--set", "sample=null"],
}


def prepare(source: Path, folder: Path) -> tuple[Path, Path]:
    """The catalog with a location split, and the same photos as a class-folder tree."""
    catalog, tree = folder / "catalog.parquet", folder / "tree"
    trapline("catalog", str(source), "-o", str(folder / "all.parquet"), "--part", "train")
    trapline("split", str(folder / "all.parquet"), "-o", str(catalog), "--ratios", "80,20")
    trapline("catalog", str(catalog), "--links", str(tree))
    return catalog, tree


def published(recipe: str, tree: Path, epochs: int) -> dict[str, float]:
    """One cold run of the published loop."""
    python = rival_python("TensorFlow", TENSORFLOW) if recipe == "small-cnn" else sys.executable
    started = time.perf_counter()
    said = json.loads(rival(recipe, [python, HERE / PUBLISHED[recipe], tree, epochs]).splitlines()[-1])
    whole = time.perf_counter() - started
    return {"whole": whole, "fit": said["fit_seconds"], "loss": min(said["validation_loss"])}


def ours(recipe: str, catalog: Path, epochs: int, run: Path) -> dict[str, float]:
    """One cold run of `trapline train`, ending with the checked and calibrated model file."""
    started = time.perf_counter()
    settings = ["--set", f"epochs={epochs}", *SETTINGS.get(recipe, [])]
    trapline("train", str(catalog), "-r", recipe, "-o", str(run), *settings)
    whole = time.perf_counter() - started
    with (run / "history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    fit = sum(float(row["seconds"]) for row in history)
    return {"whole": whole, "fit": fit, "loss": min(float(row["validation_log_loss"]) for row in history)}


def main() -> None:
    """Run both sides in turn and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("--recipe", choices=sorted(PUBLISHED), default="small-cnn")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    results: dict[str, list[dict[str, float]]] = {"published": [], "trapline": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        catalog, tree = prepare(options.source, folder)
        for number in range(options.runs):
            results["published"].append(published(options.recipe, tree, options.epochs))
            results["trapline"].append(ours(options.recipe, catalog, options.epochs, folder / f"run{number}"))
            print(f"run {number + 1}: {results['published'][-1]} {results['trapline'][-1]}", file=sys.stderr)
    title = f"{options.recipe}, {options.epochs} epochs, median of {options.runs}"
    print(f"| {title} | whole s | fit s | validation loss |")
    print("| --- | --- | --- | --- |")
    middle = {
        side: {key: statistics.median(run[key] for run in runs) for key in ("whole", "fit", "loss")}
        for side, runs in results.items()
    }
    for side, figures in middle.items():
        print(f"| {side} | {figures['whole']:.1f} | {figures['fit']:.1f} | {figures['loss']:.4f} |")
    ratios = [middle["published"][key] / middle["trapline"][key] for key in ("whole", "fit")]
    print(f"| ratio | {ratios[0]:.2f} | {ratios[1]:.2f} | |")


if __name__ == "__main__":
    main()
