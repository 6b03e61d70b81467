"""Do `trapline serve` and the exported SavedModel answer the published gateway's own request?

    python benchmarks/published_client.py MODEL PHOTOS

The published gateway (TensorFlow Serving 2.18 before a Keras 3 model) shrinks a photo by its nearest pixels,
sends them as float32 from 0 to 255 under the name of the Keras input, and reads
`outputs['output_0'].float_val`. Here its request is built by TensorFlow's own functions and stubs, in
environments of their own, made by uv, and answered by a server, by the SavedModel that TensorFlow loads, and
by the SavedModel in a session, as TensorFlow Serving asks it. Every answer is compared with the model file's
own in this process; what is no number must be refused by all. Status 1 if one differs by 1e-4, or is answered
that should be refused.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image
from running import TENSORFLOW, jpegs, rival, rival_python
from serve import free_port, process

from trapline.models import ModelFile
from trapline.models.saved_model import export_saved_model
from trapline.models.tf_signature import TfSignature

NAME, CLOSE = "species_model", 1e-4
STUBS = ("--no-deps", "tensorflow-serving-api==2.21.0")
"""Without the TensorFlow that they ask for, which is another package than the one of `TENSORFLOW`."""

CLIENTS = TfSignature("input_layer_11", "output_0", "0-255")

CHILD = """
import json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import grpc
import numpy as np
import tensorflow as tf

stubs, address, folder, pixels, name, given, answered, answers = sys.argv[1:]
sys.path.append(stubs)
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_service_pb2_grpc
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

images = np.load(pixels)
outside = images[:1].copy()
outside[0, 0, 0, 0] = float("nan")
channel = grpc.insecure_channel(address)
stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)


def request(X):
    found = predict_pb2.PredictRequest()
    found.model_spec.name = name
    found.model_spec.signature_name = "serving_default"
    found.inputs[given].CopyFrom(tf.make_tensor_proto(X, shape=X.shape))
    return found


def ask(X):
    return stub.Predict(request(X), timeout=60.0)


one_by_one = [ask(images[at : at + 1]).outputs[answered].float_val for at in range(len(images))]
found = {"serve, float_val": [list(row) for row in one_by_one]}
found["serve, one request"] = tf.make_ndarray(ask(images).outputs[answered])
refused = {}
try:
    ask(outside)
except grpc.RpcError as error:
    refused["serve"] = error.details()
metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
metadata.model_spec.name = name
signatures = get_model_metadata_pb2.SignatureDefMap()
stub.GetModelMetadata(metadata).metadata["signature_def"].Unpack(signatures)
default = signatures.signature_def["serving_default"]
assert list(default.inputs) == [given] and list(default.outputs) == [answered], default
status = get_model_status_pb2.GetModelStatusRequest()
status.model_spec.name = name
(version,) = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(status).model_version_status
assert version.state == 30, version

loaded = tf.saved_model.load(folder)
default = loaded.signatures["serving_default"]
found["SavedModel, loaded"] = default(**{given: tf.constant(images)})[answered].numpy()
whole = loaded.signatures["all_outputs"](images=tf.constant(images.astype(np.uint8)))
found["SavedModel, all_outputs"] = whole["probabilities"].numpy()
try:
    default(**{given: tf.constant(outside)})
except tf.errors.InvalidArgumentError as error:
    refused["SavedModel"] = error.message
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    graph = tf.compat.v1.saved_model.load(session, ["serve"], folder)

    def run(signature, taken, output, X):
        definition = graph.signature_def[signature]
        return session.run(definition.outputs[output].name, {definition.inputs[taken].name: X})

    found["SavedModel, session"] = run("serving_default", given, answered, images)
    whole = run("all_outputs", "images", "probabilities", images.astype(np.uint8))
    found["SavedModel, session, all_outputs"] = whole
    try:
        run("serving_default", given, answered, outside)
    except tf.errors.InvalidArgumentError as error:
        refused["SavedModel, session"] = error.message
with open(answers, "w") as file:
    json.dump({"version": tf.__version__, "refused": refused,
               "found": {way: np.asarray(rows).tolist() for way, rows in found.items()}}, file)
"""


def shrunk(file: Path, model: ModelFile) -> np.ndarray:
    """A photo as the published gateway makes it, float32 [height, width, 3] from 0 to 255."""
    size = model.card.preprocessing
    with Image.open(file) as image:
        return np.float32(image.convert("RGB").resize((size.width, size.height), Image.Resampling.NEAREST))


def over_http(port: int, pixels: np.ndarray) -> list[list[float]]:
    """What the REST interface says of the same floats."""
    body = json.dumps({"instances": pixels.tolist()}).encode()
    address = f"http://127.0.0.1:{port}/v1/models/{NAME}:predict"
    request = urllib.request.Request(address, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return list(json.load(response)["predictions"])


def asked(model: ModelFile, pixels: np.ndarray) -> dict[str, dict[str, object]]:
    """The answers of every way, by its name, and what was refused."""
    names = ["--tf-input", CLIENTS.input, "--tf-output", CLIENTS.output, "--tf-range", CLIENTS.range]
    (stubs,) = rival_python("tensorflow-serving-api", STUBS).parents[1].glob("lib/python*/site-packages")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        saved = export_saved_model(model.path, folder / NAME / "1", CLIENTS)
        np.save(folder / "pixels.npy", pixels)
        http, grpc = free_port(), free_port()
        server = [sys.executable, "-m", "trapline", "serve", f"{NAME}={model.path.resolve()}", *names]
        server += ["--port", http, "--grpc-port", grpc]
        with process(server, http, folder / "log", PYTHONPATH=":".join(sys.path)):
            child = [rival_python("TensorFlow", TENSORFLOW), "-c", CHILD, stubs, f"127.0.0.1:{grpc}", saved]
            names = [NAME, CLIENTS.input, CLIENTS.output]
            rival("TensorFlow", [*child, folder / "pixels.npy", *names, folder / "answers.json"])
            answers: dict[str, dict[str, object]] = json.loads((folder / "answers.json").read_text())
            answers["found"]["serve, REST"] = over_http(http, pixels[:2])
    return answers


def main() -> int:
    """Ask every way, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path, help="a folder")
    parser.add_argument("--count", type=int, default=20)
    options = parser.parse_args()
    model = ModelFile(options.model)
    pixels = np.stack([shrunk(file, model) for file in jpegs(options.photos, options.count)])
    expected = model.run(pixels.astype(np.uint8)).probabilities
    answers = asked(model, pixels)
    print(f"{options.model}: {len(pixels)} photos, TensorFlow {answers['version']}")
    good = True
    for way, rows in answers["found"].items():
        found = np.asarray(rows)
        apart = float(np.abs(found - expected[: len(found)]).max())
        good &= apart < CLOSE
        print(f"{way:<34}{len(found):>3} photos, largest difference {apart:.1e}")
    for way in ("serve", "SavedModel", "SavedModel, session"):
        said = answers["refused"].get(way)
        good &= said is not None
        reason = (
            "NOT REFUSED" if said is None else next(one for one in said.splitlines() if "0 to" in one).strip()
        )
        print(f"NaN, {way:<29}{reason}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
