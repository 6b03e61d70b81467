"""Do the stock clients of the protocols get the answers of `/predict`?

    trapline serve model.onnx &
    uv run --no-project --with 'tritonclient[grpc,http]' benchmarks/clients.py photo.jpg
    uv run --no-project --with kserve benchmarks/clients.py photo.jpg
    uv run --no-project --with ovmsclient benchmarks/clients.py photo.jpg
    uv run --no-project --with tensorflow-cpu --with tensorflow-serving-api benchmarks/clients.py photo.jpg

Each of those environments has other clients in it; the script tries all that it can import, compares
every answer with the one of `/predict` to 1e-4 and leaves with status 1 if one differs or none could be
tried.
"""

import argparse
import asyncio
import base64
import importlib.util
import json
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np


def predict(http: str, photo: bytes) -> tuple[str, list[float]]:
    """The model's name and its probabilities, by the plain interface."""
    request = urllib.request.Request(f"http://{http}/predict", photo, {"content-type": "image/jpeg"})
    with urllib.request.urlopen(request, timeout=30) as response:
        document = json.load(response)
    return document["model"]["name"], list(document["answers"][0]["probabilities"].values())


def triton_http(http: str, grpc: str, model: str, photo: bytes) -> np.ndarray:
    """tritonclient over HTTP, which sends tensors in binary."""
    import tritonclient.http as triton

    client = triton.InferenceServerClient(http)
    assert client.is_server_live()
    assert client.is_model_ready(model)
    assert client.get_model_metadata(model)["name"] == model
    tensor = triton.InferInput("encoded", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([photo], object))
    return client.infer(model, [tensor], outputs=[triton.InferRequestedOutput("probabilities")]).as_numpy(
        "probabilities"
    )


def triton_grpc(http: str, grpc: str, model: str, photo: bytes) -> np.ndarray:
    """tritonclient over gRPC."""
    import tritonclient.grpc as triton

    client = triton.InferenceServerClient(grpc)
    assert client.is_server_ready()
    assert client.is_model_ready(model)
    assert client.get_model_metadata(model).outputs[0].name == "probabilities"
    tensor = triton.InferInput("encoded", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([photo], object))
    return client.infer(model, [tensor]).as_numpy("probabilities")


def kserve_rest(http: str, grpc: str, model: str, photo: bytes) -> np.ndarray:
    """KServe's client over HTTP, which sends JSON."""
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

    async def ask() -> np.ndarray:
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        tensor = InferInput("encoded", [1], "BYTES", data=[base64.b64encode(photo).decode()])
        answer = await client.infer(f"http://{http}", InferRequest(model, [tensor]), model_name=model)
        return answer.outputs[0].as_numpy()

    return asyncio.run(ask())


def kserve_grpc(http: str, grpc: str, model: str, photo: bytes) -> np.ndarray:
    """KServe's client over gRPC."""
    from kserve import InferenceGRPCClient, InferInput, InferRequest

    async def ask() -> np.ndarray:
        client = InferenceGRPCClient(grpc)
        assert await client.is_model_ready(model)
        tensor = InferInput("encoded", [1], "BYTES")
        tensor.set_data_from_numpy(np.array([photo], object), binary_data=True)
        answer = await client.infer(InferRequest(model, [tensor]))
        return answer.outputs[0].as_numpy()

    return asyncio.run(ask())


def ovms_grpc(http: str, grpc: str, model: str, photo: bytes) -> np.ndarray:
    """OpenVINO Model Server's client over gRPC, which speaks TensorFlow Serving's protocol."""
    from ovmsclient import make_grpc_client

    client = make_grpc_client(grpc)
    assert client.get_model_status(model)[1]["state"] == "AVAILABLE"
    assert client.get_model_metadata(model)["outputs"]
    return np.asarray(client.predict({"encoded": photo}, model))


def ovms_http(http: str, grpc: str, model: str, photo: bytes) -> np.ndarray:
    """The same over HTTP."""
    from ovmsclient import make_http_client

    client = make_http_client(http)
    assert client.get_model_status(model)[1]["state"] == "AVAILABLE"
    return np.asarray(client.predict({"encoded": photo}, model))


def tensorflow_grpc(http: str, grpc: str, model: str, photo: bytes) -> np.ndarray:
    """The official stub of TensorFlow Serving, with TensorFlow's own tensors."""
    import grpc as rpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    stub = prediction_service_pb2_grpc.PredictionServiceStub(rpc.insecure_channel(grpc))
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = "serving_default"
    request.inputs["encoded"].CopyFrom(tf.make_tensor_proto([photo]))
    return tf.make_ndarray(stub.Predict(request, timeout=30).outputs["probabilities"])


CLIENTS: dict[str, tuple[str, Callable[[str, str, str, bytes], np.ndarray]]] = {
    "tritonclient, HTTP": ("tritonclient", triton_http),
    "tritonclient, gRPC": ("tritonclient", triton_grpc),
    "kserve, HTTP": ("kserve", kserve_rest),
    "kserve, gRPC": ("kserve", kserve_grpc),
    "ovmsclient, gRPC": ("ovmsclient", ovms_grpc),
    "ovmsclient, HTTP": ("ovmsclient", ovms_http),
    "tensorflow-serving-api, gRPC": ("tensorflow", tensorflow_grpc),
}


def main() -> int:
    """Try every client that is installed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path)
    parser.add_argument("--http", default="127.0.0.1:8080")
    parser.add_argument("--grpc", default="127.0.0.1:8500")
    options = parser.parse_args()
    sys.argv[1:] = []  # kserve reads them when it is imported
    photo = options.photo.read_bytes()
    model, expected = predict(options.http, photo)
    outcomes = []
    for name, (package, ask) in CLIENTS.items():
        if importlib.util.find_spec(package) is None:
            continue
        found = ask(options.http, options.grpc, model, photo)
        apart = float(np.abs(np.asarray(found, np.float64).ravel() - expected).max())
        outcomes.append(apart <= 1e-4)
        print(f"{name:<30}{'the same' if outcomes[-1] else 'DIFFERENT'} (largest difference {apart:.1e})")
    if not outcomes:
        print("None of the clients is installed.")
    return 0 if outcomes and all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
