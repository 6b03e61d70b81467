"""Does the gateway give a model's answers when a real model server, elsewhere, computes them?

    python benchmarks/gateway.py MODEL PHOTOS_FOLDER

Starts a real NVIDIA Triton (the nvidia-pytriton wheel, in an environment of its own) and a second `trapline
serve`, puts a gateway before each (Open Inference Protocol to both, TensorFlow Serving's to the second) and
compares the answers of /predict with those of the model called in this process. Status 1 if one differs by
1e-4.
"""

import argparse
import json
import sys
import tempfile
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from running import jpegs, rival_python
from serve import PACKAGES, RIVALS, form, free_port, process, wait_for_model

from trapline import ModelFile
from trapline.serving.answers import answer


def ask(port: int, photo: bytes) -> list[float]:
    """The probabilities of one upload."""
    body, kind = form(photo)
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body, {"content-type": kind})
    with urllib.request.urlopen(request, timeout=60) as response:
        return list(json.load(response)["answers"][0]["probabilities"].values())


def main() -> int:
    """Compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    options = parser.parse_args()
    path = options.model.resolve()
    photos = [file.read_bytes() for file in jpegs(options.photos, 16)]
    expected = np.stack([one.probabilities for one in answer(ModelFile(path), photos)])
    same = True
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))

        def start(command: list[object], port: int, **variables: str) -> int:
            running.enter_context(process(command, port, folder / str(port), **variables))
            return port

        def serve(*arguments: object, grpc: object = 0) -> int:
            port = free_port()
            ours = [sys.executable, "-m", "trapline", "serve", f"species={path}", "--port", port]
            return start([*ours, "--grpc-port", grpc, *arguments], port, PYTHONPATH=":".join(sys.path))

        http, triton, second = free_port(), free_port(), free_port()
        library = str(Path(sys.base_prefix) / "lib")
        python = rival_python("triton", PACKAGES["triton"])
        behind = [python, RIVALS / "triton_server.py", path, "species", http, triton, 1]
        start(behind, triton, LD_LIBRARY_PATH=library)
        wait_for_model(http, "species")
        serve(grpc=second)
        for name, backend, protocol in (
            ("Triton, v2", triton, "v2"),
            ("trapline, v2", second, "v2"),
            ("trapline, TensorFlow Serving", second, "tensorflow"),
        ):
            front = serve("--backend", f"grpc://127.0.0.1:{backend}", "--backend-protocol", protocol)
            found = np.array([ask(front, photo) for photo in photos])
            apart = float(np.abs(found - expected).max())
            same &= apart < 1e-4
            print(f"{name:<30}{len(photos)} photos, largest difference {apart:.1e}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
