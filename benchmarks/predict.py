"""Speed of prediction, side by side in one run: the published loops, Keras, ours, and the floor.

The same photos, copies of real ones as separate files. Every side is a process of its own that has its
network open and has run once before anything is timed; then they take turns, each predicting all photos, for
some rounds. Medians and ratios are printed. The floor is decoding alone (our path, all cores) plus
the network alone (batches in memory): what a pipeline costs that loses nothing between its parts. Weights are
random; speed does not depend on them. Rows named `pillow` are the same model files with the decoding of older
ones; with --model, a trained model file, the share of its answers that are others with it is printed too.

usage: python benchmarks/predict.py PHOTOS [--count 96] [--rounds 3] [--without keras,…] [--model MODEL]

Keras runs in an environment of its own, made by uv.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from running import TENSORFLOW, jpegs, rival_python

HERE = Path(__file__).parent
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "KERAS_BACKEND")
}
NETWORKS = {
    "lite0": ("efficientnet-lite0", "tf_efficientnet_lite0"),
    "resnet50": ("conser-vision-resnet50", "resnet50"),
    "b0": ("timm/efficientnet_b0", "efficientnet_b0"),
}
"""Name -> our recipe, and the network of the published loop."""


def make(photos: Path, folder: Path, without: set[str]) -> None:
    """Write the model files: each network with random weights, and two of them in eight bits."""
    import numpy as np

    from trapline.images import prepare
    from trapline.models import Card
    from trapline.models.networks import build_network, network_graph
    from trapline.models.onnx_graph import read_graph, write_model_file
    from trapline.models.quantize import quantise
    from trapline.recipes import resolve_recipe

    labels = tuple(f"label{number}" for number in range(8))
    scratch = ["weights=none", "how=scratch", "preprocessing.height=224", "preprocessing.width=224"]
    for name, (recipe_name, _) in NETWORKS.items():
        if name in without:
            continue
        recipe = resolve_recipe(recipe_name, None, scratch)
        network, _ = build_network(recipe, len(labels))
        size = recipe.preprocessing
        card = Card(
            name=name,
            task="single-label",
            labels=labels,
            embedding_size=network.embedding_size,
            preprocessing=size,
        )
        path = write_model_file(network_graph(network.eval(), 224, 224), card, folder / f"{name}.onnx")
        if name != "b0" and "int8" not in without:
            seen = np.stack([prepare(photo, size).pixels for photo in sorted(photos.glob("*.jpg"))[:16]])
            write_model_file(quantise(read_graph(path), iter([seen])), card, folder / f"{name}-int8.onnx")
        if name == "lite0":
            older = card.model_copy(update={"preprocessing": size.model_copy(update={"decoding": "pillow"})})
            for kind in ("", "-int8") if "int8" not in without else ("",):
                graph = read_graph(folder / f"{name}{kind}.onnx")
                write_model_file(graph, older, folder / f"{name}{kind}-pillow.onnx")


def ours(photos: Path, model: Path) -> Callable[[], None]:
    """`predict_to_file`, from the paths to the table."""
    from trapline.models import ModelFile
    from trapline.prediction import predict_to_file

    opened, paths = ModelFile(model), sorted(photos.glob("*.jpg"))
    output = model.with_suffix(".csv")

    def run() -> None:
        assert predict_to_file(opened, paths, output, fresh=True).ok == len(paths)

    return run


def decode_only(photos: Path, model: Path) -> Callable[[], None]:
    """Our way from file to pixels on all cores, and nothing else."""
    import numpy as np

    from trapline.images import borrowed
    from trapline.models import ModelFile
    from trapline.models.cores import available_cores

    size, paths = ModelFile(model).card.preprocessing, sorted(photos.glob("*.jpg"))
    pixels = np.zeros((16, size.height, size.width, 3), np.uint8)

    def decode(place: int) -> None:
        with borrowed() as decoder:
            decoder.prepare_into(pixels[place % 16], paths[place], size)

    def run() -> None:
        with ThreadPoolExecutor(available_cores()) as pool:
            list(pool.map(decode, range(len(paths))))

    return run


def forward_only(photos: Path, model: Path) -> Callable[[], None]:
    """The network on as many photos as there are, from memory."""
    import numpy as np

    from trapline.models import ModelFile

    opened, count = ModelFile(model), len(list(photos.glob("*.jpg")))
    size = opened.card.preprocessing
    batch = np.random.default_rng(0).integers(0, 256, (16, size.height, size.width, 3), np.uint8)

    def run() -> None:
        for _ in range(0, count, 16):
            opened.run(batch)

    return run


def changed(photos: Path, model: Path) -> str:
    """How many of a trained model's answers are others with the decoding of older model files."""
    import numpy as np

    from trapline.images import prepare
    from trapline.models import ModelFile

    opened, paths = ModelFile(model), jpegs(photos)
    ways = [opened.card.preprocessing.model_copy(update={"decoding": way}) for way in ("pillow", "quick")]
    old, new = (
        np.concatenate([opened.run(prepare(path, way).pixels[None]).probabilities for path in paths])
        for way in ways
    )
    others = int((old.argmax(1) != new.argmax(1)).sum())
    largest = float(abs(old - new).max())
    return f"{others} of {len(paths)} answers are others; largest change of a probability {largest:.3f}"


SIDES = {"ours": ours, "decode": decode_only, "forward": forward_only}


def serve(run: Callable[[], None]) -> None:
    """Run once, then once for each line on standard input, printing seconds."""
    run()
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        run()
        print(time.perf_counter() - started, flush=True)


class Side:
    """A process that predicts all photos when asked."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True
        )
        said = self._line()
        if said != "ready":
            raise SystemExit(f"{' '.join(command)} said {said!r}")

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def seconds(self) -> float:
        """One turn."""
        assert self.process.stdin is not None
        print(file=self.process.stdin, flush=True)
        return float(self._line())

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


def lay_out(source: Path, folder: Path, count: int) -> Path:
    """Copies of the photos as separate files."""
    photos = folder / "photos"
    photos.mkdir()
    real = jpegs(source)
    for number in range(count):
        shutil.copyfile(real[number % len(real)], photos / f"{number:05}.jpg")
    return photos


def sides(photos: Path, folder: Path, without: set[str]) -> dict[str, list[str]]:
    """Name -> command of every side."""
    me = [sys.executable, __file__, str(photos), "--side"]
    present = [name for name in NETWORKS if name not in without]
    commands = {"decode": [*me, "decode", str(folder / f"{present[0]}.onnx")]}
    if "lite0" in present:
        commands["decode pillow"] = [*me, "decode", str(folder / "lite0-pillow.onnx")]
        commands["lite0 pillow ours"] = [*me, "ours", str(folder / "lite0-pillow.onnx")]
        commands["lite0 int8 pillow ours"] = [*me, "ours", str(folder / "lite0-int8-pillow.onnx")]
    for name in present:
        published = NETWORKS[name][1]
        commands[f"{name} forward"] = [*me, "forward", str(folder / f"{name}.onnx")]
        commands[f"{name} ours"] = [*me, "ours", str(folder / f"{name}.onnx")]
        if name == "b0":
            commands["b0 keras"] = [
                str(rival_python("TensorFlow", TENSORFLOW)),
                str(HERE / "keras_prediction.py"),
                str(photos),
            ]
            continue
        commands[f"{name} int8 forward"] = [*me, "forward", str(folder / f"{name}-int8.onnx")]
        commands[f"{name} int8 ours"] = [*me, "ours", str(folder / f"{name}-int8.onnx")]
        loop = str(HERE / "published_prediction.py")
        commands[f"{name} published"] = [sys.executable, loop, str(photos), published]
    return {name: command for name, command in commands.items() if not without & set(name.split())}


def report(turns: dict[str, list[float]], count: int) -> None:
    """Print medians over the rounds; ratios are those of each round, then the median."""
    print("| network | ours | floor | share of the floor | other | ours over other |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in [name.removesuffix(" ours") for name in turns if name.endswith(" ours")]:
        own, forward = turns[f"{name} ours"], turns[f"{name.removesuffix(' pillow')} forward"]
        decoding = turns["decode pillow" if name.endswith(" pillow") else "decode"]
        floor = [one + other for one, other in zip(decoding, forward, strict=True)]
        share = statistics.median(low / high for low, high in zip(floor, own, strict=True))
        row = [name, _rate(own, count), _rate(floor, count), f"{share:.0%}"]
        plain = name.removesuffix(" pillow").removesuffix(" int8")
        other = next((which for which in (f"{plain} published", f"{plain} keras") if which in turns), None)
        if other is None:
            print(f"| {' | '.join(row)} | | |")
            continue
        faster = statistics.median(low / high for low, high in zip(turns[other], own, strict=True))
        print(f"| {' | '.join(row)} | {other}: {_rate(turns[other], count)} | {faster:.2f} |")
    ways = [f"{way} {_rate(turns[way], count)}" for way in ("decode", "decode pillow") if way in turns]
    print(f"\nphotos a second; decoding alone: {', '.join(ways)}; ", end="")
    alone = [f"{name} {_rate(turns[name], count)}" for name in turns if name.endswith("forward")]
    print(f"networks alone: {', '.join(alone)}")


def _rate(seconds: list[float], count: int) -> str:
    return f"{count / statistics.median(seconds):.1f}"


def main() -> None:
    """Prepare, take turns, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without", default="", help="words of sides that are left out: keras,b0,int8,…")
    parser.add_argument("--model", type=Path, help="a trained model file, to count answers that change")
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    without = set(options.without.split(","))
    if options.side is not None:
        kind, model = options.side
        if kind == "make":
            make(options.photos, Path(model), without)
        else:
            serve(SIDES[kind](options.photos, Path(model)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photos = lay_out(options.photos, folder, options.count)
        making = [sys.executable, __file__, str(photos), "--side", "make", str(folder)]
        making += ["--without", options.without]
        subprocess.run(making, check=True, env=ENVIRONMENT)
        commands = sides(photos, folder, without)
        running = {}
        for name, command in commands.items():
            print(f"starting {name}", file=sys.stderr)
            running[name] = Side(command)
        turns: dict[str, list[float]] = {name: [] for name in running}
        for number in range(options.rounds):
            for name, side in running.items():
                turns[name].append(side.seconds())
            said = ", ".join(f"{name} {seconds[-1]:.1f}" for name, seconds in turns.items())
            print(f"round {number + 1}, seconds: {said}", file=sys.stderr)
        for side in running.values():
            side.close()
    print(f"{options.count} photos, median of {options.rounds} rounds\n")
    report(turns, options.count)
    if options.model is not None:
        print(f"\n{options.model}: {changed(options.photos, options.model)}")


if __name__ == "__main__":
    main()
