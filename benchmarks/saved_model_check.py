"""Does TensorFlow answer from an exported SavedModel what ONNX Runtime answers from the model file?

    python benchmarks/saved_model_check.py MODEL PHOTOS

TensorFlow stays in an environment of its own, made by uv; it is given the SavedModel and the pixels, and
knows nothing of Trapline.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from running import TENSORFLOW, jpegs, rival, rival_python

from trapline.images import prepare
from trapline.models import ModelFile
from trapline.models.saved_model import export_saved_model

CHILD = """
import sys, time
import numpy as np
import tensorflow as tf
folder, pixels, answers = sys.argv[1:]
model = tf.saved_model.load(folder)
images = np.load(pixels)
asked = model.signatures["all_outputs"]
found = {name: [] for name in asked.structured_outputs}
asked(images=tf.constant(images[:1]))
started = time.perf_counter()
for start in range(0, len(images), 8):  # the batch is free: 8, and what is left over
    for name, values in asked(images=tf.constant(images[start:start + 8])).items():
        found[name].append(values.numpy())
seconds = time.perf_counter() - started
default = model.signatures["serving_default"]
assert list(default.structured_outputs) == ["probabilities"], default.structured_outputs
assert default.structured_input_signature[1]["images"].dtype == tf.uint8
only = default(images=tf.constant(images[:3]))["probabilities"].numpy()
np.savez(answers, version=tf.__version__, seconds=seconds, only=only,
         **{name: np.concatenate(values) for name, values in found.items()})
"""


def main() -> None:
    """Export, ask both, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path, help="a folder")
    parser.add_argument("--count", type=int, default=50)
    options = parser.parse_args()
    model = ModelFile(options.model)
    files = jpegs(options.photos, options.count)
    pixels = np.stack([prepare(file, model.card.preprocessing).pixels for file in files])
    started = time.perf_counter()
    wanted = [model.run(pixels[start : start + 8]) for start in range(0, len(pixels), 8)]
    here = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        export_saved_model(options.model, folder / "model" / "1")
        exporting = time.perf_counter() - started
        size = (folder / "model" / "1" / "saved_model.pb").stat().st_size
        np.save(folder / "pixels.npy", pixels)
        command = [rival_python("TensorFlow", TENSORFLOW), "-c", CHILD]
        rival("TensorFlow", [*command, folder / "model" / "1", folder / "pixels.npy", folder / "answers.npz"])
        answers = np.load(folder / "answers.npz")
        print(f"{options.model}: {len(files)} photos, TensorFlow {answers['version']}")
        before = options.model.stat().st_size
        print(f"exported in {exporting:.2f} s, {size / 1e6:.1f} MB; the model file {before / 1e6:.1f} MB")
        for output in ("probabilities", "logits", "embedding"):
            expected = np.concatenate([getattr(one, output) for one in wanted])
            found = answers[output]
            assert found.shape == expected.shape, (output, found.shape, expected.shape)
            largest = np.abs(found - expected).max()
            print(f"{output:<14} largest difference {largest:.2e}, of values to {np.abs(expected).max():.3g}")
        labels = np.concatenate([one.probabilities for one in wanted]).argmax(1)
        same = (answers["probabilities"].argmax(1) == labels).mean()
        assert np.allclose(answers["only"], answers["probabilities"][:3], atol=1e-5)
        ratio = float(answers["seconds"]) / here
        print(f"same most probable label: {same:.1%}; time, TensorFlow / ONNX Runtime: {ratio:.2f}")


if __name__ == "__main__":
    main()
