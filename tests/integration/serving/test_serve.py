"""A running server: the same answers by every interface, and those of `predict`."""

import base64
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from serving_process import PictureHost, Running, form

from trapline import ModelFile, predict
from trapline.images import CropPolicy, Preprocessing, prepare
from trapline.serving import documents, protos

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def expected(models: dict[str, Path], photos: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What `predict` says: float64 [photos, labels]."""
    folder = tmp_path_factory.mktemp("expected")
    for place, photo in enumerate(photos):
        (folder / f"{place}.jpg").write_bytes(photo)
    files = [folder / f"{place}.jpg" for place in range(len(photos))]
    return predict(ModelFile(models["species"]), files, folder / "table.csv").probabilities()


@pytest.fixture(scope="module")
def pixels(models: dict[str, Path], photos: list[bytes]) -> Any:
    """The photos as the network sees them: uint8 [photos, 16, 16, 3]."""
    card = ModelFile(models["species"]).card
    return np.stack([prepare(photo, card.preprocessing).pixels for photo in photos])


@pytest.fixture(scope="module")
def channel(server: Running) -> Any:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        yield channel


def call(channel: Any, package: str, service: str, method: str, request: Any, **options: Any) -> Any:
    _, response = protos.methods(package, service)[method]
    made = channel.unary_unary(
        f"/{package}.{service}/{method}", type(request).SerializeToString, response.FromString
    )
    return made(request, timeout=10, **options)


def rows(document: Any) -> list[list[float]]:
    return [list(one["probabilities"].values()) for one in document["answers"]]


def test_an_upload_of_many_files_is_answered_file_by_file(
    server: Running, photos: list[bytes], expected: Any, models: dict[str, Path]
) -> None:
    body, kind = form({f"{place} é.jpg": photo for place, photo in enumerate(photos)} | {"broken": b"no"})
    status, _, content = server.ask("POST", "/predict?top=2", body, {"content-type": kind})
    assert status == 200
    document = json.loads(content)
    assert document["model"]["fingerprint"] == ModelFile(models["species"]).fingerprint
    *good, broken = document["answers"]
    np.testing.assert_allclose(rows({"answers": good}), expected, atol=1e-4)
    assert [one["name"] for one in good] == [f"{place} é.jpg" for place in range(len(photos))]
    assert [len(one["top"]) for one in good] == [2] * len(photos)
    assert (broken["status"], broken["reason"]) == ("failed", "not a picture of a known format")


def test_a_photo_may_come_as_the_body_or_as_base64(
    server: Running, photos: list[bytes], expected: Any
) -> None:
    status, _, content = server.ask("POST", "/predict", photos[0], {"content-type": "image/jpeg"})
    assert status == 200
    np.testing.assert_allclose(rows(json.loads(content)), expected[:1], atol=1e-4)
    text = [base64.b64encode(photo).decode() for photo in photos]
    status, document = server.json("POST", "/predict", {"images": [text[0], {"b64": text[1], "name": "b"}]})
    assert status == 200
    np.testing.assert_allclose(rows(document), expected[:2], atol=1e-4)
    assert document["answers"][1]["name"] == "b"
    status, document = server.json("POST", "/predict?model=multi", {"image": text[0]})
    assert document["model"]["task"] == "multi-label"


def test_options_may_come_in_the_query_in_a_form_and_in_json(server: Running, photos: list[bytes]) -> None:
    said = {"event": True, "top": 1, "model": "multi", "seconds": 2.5}
    files = {str(place): photo for place, photo in enumerate(photos[:3])}
    texts = {name: str(value).lower() for name, value in said.items()}
    image = [base64.b64encode(photo).decode() for photo in files.values()]
    plain, kind = form(files)
    found = []
    for query, content, content_type in (
        ("?" + "&".join(f"{name}={value}" for name, value in texts.items()), plain, kind),
        ("?top=1", *form(files, {name: texts[name] for name in texts if name != "top"})),
        ("", *form(files, texts)),
        ("", json.dumps({"images": image, **said}).encode(), "application/json"),
    ):
        status, _, answer = server.ask("POST", f"/predict{query}", content, {"content-type": content_type})
        assert status == 200, answer
        found.append(json.loads(answer))
    assert found[0]["event"]
    assert found[0]["model"]["name"] == "multi"
    assert [len(one["top"]) for one in found[0]["answers"]] == [1]
    assert found[1:] == found[:1] * 3


@pytest.mark.parametrize(
    ("query", "fields", "document", "said"),
    [
        ("?tpo=1", {}, None, "no option 'tpo'; there are: top, event, model, seconds"),
        ("?seconds=nan", {}, None, "seconds"),
        ("", {"evnet": "true"}, None, "no option 'evnet'"),
        ("", {"top": "none"}, None, "top"),
        ("?top=1", {"top": "2"}, None, "'top' is said in the query and in the body"),
        ("", {"model": "other"}, None, "no model 'other'"),
        ("", {}, {"image": "", "evnet": True}, "no option 'evnet'"),
        ("", {}, {"image": "", "event": "false"}, "event"),
        ("", {}, {"image": "", "boxes": []}, "'boxes' is of a photo"),
        ("", {}, {"image": {"b64": "", "box": []}}, "no 'box'"),
        ("", {}, {"image": {"b64": "", "url": ""}}, "'b64' or 'url'"),
        ("", {}, {"image": {"b64": "", "name": 3}}, "'name' of a photo is a text"),
        ("", {}, {"image": {"b64": "", "boxes": [{"x": 0, "confidence": 1}]}}, "no 'confidence'"),
    ],
)
def test_what_is_not_understood_is_named_and_refused(
    server: Running, photos: list[bytes], query: str, fields: dict[str, str], document: Any, said: str
) -> None:
    content, kind = form({"a.jpg": photos[0]}, fields)
    if document is not None:
        content, kind = json.dumps(document).encode(), "application/json"
    status, _, answer = server.ask("POST", f"/predict{query}", content, {"content-type": kind})
    assert status == (404 if "no model" in said else 400), answer
    assert said in json.loads(answer)["error"]


def test_the_foreign_protocols_hear_seconds_too(server: Running, photos: list[bytes]) -> None:
    text = base64.b64encode(photos[0]).decode()
    inputs = [{"name": "encoded", "datatype": "BYTES", "shape": [1], "data": [text]}]
    for path, document in (
        ("/v2/models/species/infer", {"inputs": inputs}),
        ("/v1/models/species:predict", {"instances": [{"b64": text}]}),
    ):
        assert server.json("POST", f"{path}?seconds=2", document)[0] == 200
        assert server.json("POST", f"{path}?seconds=0.000001", document)[0] in (408, 504)
        assert server.json("POST", f"{path}?seconds=nan", document)[0] == 400


def test_refusals_without_a_look_at_the_body_are_counted(
    start: Callable[..., Running], models: dict[str, Path]
) -> None:
    running = start(f"it={models['species']}", "--token", "open-sesame", "--no-grpc")
    allowed = {"authorization": "Bearer open-sesame"}
    paths = {
        "predict": "/predict?model=other",
        "v2_rest": "/v2/models/other/infer",
        "tf_rest": "/v1/models/other:predict",
    }
    for path in paths.values():
        assert running.json("POST", path, {})[0] == 401
        assert running.json("POST", path, {}, **allowed)[0] == 404
    counts = running.ask("GET", "/metrics")[2].decode()
    for interface in paths:
        for code in ("unauthenticated", "not_found"):
            assert f'trapline_requests_total{{code="{code}",interface="{interface}"}} 1.0' in counts
    running.stop()


def test_a_flag_of_the_open_inference_protocol_is_true_or_false(
    server: Running, channel: Any, photos: list[bytes]
) -> None:
    text = base64.b64encode(photos[0]).decode()
    inputs = [{"name": "encoded", "datatype": "BYTES", "shape": [2], "data": [text, text]}]
    for event, expected in ((True, [1, 3]), (False, [2, 3]), ("false", None), (0, None)):
        document = {"inputs": inputs, "parameters": {"event": event}}
        status, answer = server.json("POST", "/v2/models/species/infer", document)
        if expected:
            assert answer["outputs"][0]["shape"] == expected
        else:
            assert (status, answer["error"]) == (400, "The parameter 'event' is true or false.")
    request = _v2("ModelInferRequest", model_name="species")
    request.inputs.add(name="encoded", datatype="BYTES", shape=[1]).contents.bytes_contents.append(photos[0])
    request.parameters["event"].string_param = "false"
    with pytest.raises(grpc.RpcError, match="true or false") as failed:
        call(channel, protos.V2, "GRPCInferenceService", "ModelInfer", request)
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_the_frames_of_an_event_get_one_answer(server: Running, photos: list[bytes], expected: Any) -> None:
    body, kind = form({str(place): photo for place, photo in enumerate(photos[:3])})
    status, _, content = server.ask("POST", "/predict?event=true", body, {"content-type": kind})
    assert status == 200
    (found,) = rows(json.loads(content))
    pooled = 1 / (1 + np.exp(-np.log(expected[:3] / (1 - expected[:3])).mean(axis=0)))
    np.testing.assert_allclose(found, pooled / pooled.sum(), atol=1e-4)


def test_open_inference_protocol_over_http(
    server: Running, photos: list[bytes], pixels: Any, expected: Any
) -> None:
    assert server.json("GET", "/v2")[1]["name"] == "trapline"
    assert server.json("GET", "/v2/health/ready") == (200, {"ready": True})
    _, model = server.json("GET", "/v2/models/species")
    assert json.loads(model["properties"]["labels"]) == ["blank", "hare", "lynx"]
    text = [base64.b64encode(photo).decode() for photo in photos]
    inputs = [{"name": "encoded", "datatype": "BYTES", "shape": [len(text)], "data": text}]
    status, document = server.json("POST", "/v2/models/species/infer", {"id": "7", "inputs": inputs})
    assert status == 200, document
    (output,) = document["outputs"]
    assert (document["id"], output["shape"]) == ("7", [6, 3])
    assert document["parameters"] == {"fingerprint": model["properties"]["fingerprint"]}
    np.testing.assert_allclose(np.reshape(output["data"], (6, 3)), expected, atol=1e-4)
    head = {
        "name": "images",
        "datatype": "UINT8",
        "shape": list(pixels.shape),
        "parameters": {"binary_data_size": pixels.size},
    }
    request = json.dumps({"inputs": [head], "parameters": {"binary_data_output": True}}).encode()
    status, headers, content = server.ask(
        "POST",
        "/v2/models/species/versions/1/infer",
        request + pixels.tobytes(),
        {"inference-header-content-length": str(len(request))},
    )
    assert status == 200
    raw = content[int(headers["inference-header-content-length"]) :]
    np.testing.assert_allclose(np.frombuffer(raw, "<f4").reshape(6, 3), expected, atol=1e-4)


def test_open_inference_protocol_over_grpc(
    channel: Any, photos: list[bytes], pixels: Any, expected: Any
) -> None:
    service = "GRPCInferenceService"
    assert call(channel, protos.V2, service, "ServerLive", _v2("ServerLiveRequest")).live
    assert call(channel, protos.V2, service, "ServerReady", _v2("ServerReadyRequest")).ready
    assert call(channel, protos.V2, service, "ModelReady", _v2("ModelReadyRequest", name="multi")).ready
    found = call(channel, protos.V2, service, "ModelMetadata", _v2("ModelMetadataRequest", name="species"))
    assert [one.name for one in found.inputs] == ["images", "encoded"]
    assert json.loads(found.properties["labels"]) == ["blank", "hare", "lynx"]
    encoded = _v2("ModelInferRequest", model_name="species", id="9")
    encoded.inputs.add(name="encoded", datatype="BYTES", shape=[6]).contents.bytes_contents.extend(photos)
    raw = _v2("ModelInferRequest", model_name="species", raw_input_contents=[pixels.tobytes()])
    raw.inputs.add(name="images", datatype="UINT8", shape=pixels.shape)
    for request in (encoded, raw):
        answer = call(channel, protos.V2, service, "ModelInfer", request)
        numbers = np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(list(answer.outputs[0].shape))
        np.testing.assert_allclose(numbers, expected, atol=1e-4)
        assert answer.id == request.id
    raw.parameters["event"].bool_param = True
    assert list(call(channel, protos.V2, service, "ModelInfer", raw).outputs[0].shape) == [1, 3]


def _v2(message: str, /, **values: Any) -> Any:
    return protos.message(protos.V2, message)(**values)


def test_a_client_of_tensorflow_serving_finds_what_it_knows(channel: Any, pixels: Any, expected: Any) -> None:
    """As the published gateway asks: floats of a share of 255 under its layer's name, `float_val` read."""
    request = protos.message(protos.TF, "PredictRequest")()
    request.model_spec.name, request.model_spec.signature_name = "species", "serving_default"
    tensor = request.inputs["conv2d_input"]
    tensor.dtype, tensor.tensor_content = 1, (pixels[:1] / 255).astype("<f4").tobytes()
    for side in (1, 16, 16, 3):
        tensor.tensor_shape.dim.add(size=side)
    answer = call(channel, protos.TF, "PredictionService", "Predict", request)
    np.testing.assert_allclose(answer.outputs["dense_2"].float_val, expected[0], atol=1e-4)
    metadata = protos.message(protos.TF, "GetModelMetadataRequest")(metadata_field=["signature_def"])
    metadata.model_spec.name = "species"
    found = call(channel, protos.TF, "PredictionService", "GetModelMetadata", metadata)
    signatures = protos.message(protos.TF, "SignatureDefMap")()
    assert found.metadata["signature_def"].Unpack(signatures)
    assert [
        dim.size for dim in signatures.signature_def["serving_default"].inputs["images"].tensor_shape.dim
    ] == [
        -1,
        16,
        16,
        3,
    ]
    status = protos.message(protos.TF, "GetModelStatusRequest")()
    status.model_spec.name = "species"
    (version,) = call(channel, protos.TF, "ModelService", "GetModelStatus", status).model_version_status
    assert (version.version, version.state) == (1, 30)


@pytest.fixture(scope="module")
def keras(start: Callable[..., Running], models: dict[str, Path]) -> Running:
    """A server for clients that were written for a Keras model."""
    names = ("--tf-input", "input_layer_11", "--tf-output", "output_0", "--tf-range", "0-255")
    return start(f"species_model={models['species']}", *names)


def keras_request(pixels: Any, **given: Any) -> Any:
    request = protos.message(protos.TF, "PredictRequest")(**given)
    request.model_spec.name, request.model_spec.signature_name = "species_model", "serving_default"
    tensor = request.inputs["input_layer_11"]
    tensor.dtype, tensor.tensor_content = 1, pixels.astype("<f4").tobytes()
    for side in pixels.shape:
        tensor.tensor_shape.dim.add(size=side)
    return request


def test_the_published_clients_request_is_answered(keras: Running, pixels: Any, expected: Any) -> None:
    """Floats from 0 to 255 under the name of a Keras input; `output_0` is read, by `float_val`."""
    with grpc.insecure_channel(f"127.0.0.1:{keras.grpc_port}") as channel:

        def ask(request: Any) -> Any:
            return call(channel, protos.TF, "PredictionService", "Predict", request).outputs

        for place in range(len(pixels)):
            answer = ask(keras_request(pixels[place : place + 1]))
            assert list(answer) == ["output_0"]
            np.testing.assert_allclose(answer["output_0"].float_val, expected[place], atol=1e-4)
            assert not answer["output_0"].tensor_content
        both = ask(keras_request(pixels, output_filter=["output_0", "probabilities"]))
        assert set(both) == {"output_0", "probabilities"}
        for one in both.values():
            np.testing.assert_allclose(np.reshape(one.float_val, expected.shape), expected, atol=1e-4)
        outside = pixels.astype(np.float32)
        outside[0, 0, 0, 0] = np.nan
        other = keras_request(pixels)
        other.inputs["keras_tensor"].CopyFrom(other.inputs.pop("input_layer_11"))
        for request, said in ((keras_request(outside), "from 0 to 255"), (other, "'keras_tensor'")):
            with pytest.raises(grpc.RpcError) as failed:
                ask(request)
            assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert said in failed.value.details()
        metadata = protos.message(protos.TF, "GetModelMetadataRequest")(metadata_field=["signature_def"])
        metadata.model_spec.name = "species_model"
        found = call(channel, protos.TF, "PredictionService", "GetModelMetadata", metadata)
        signatures = protos.message(protos.TF, "SignatureDefMap")()
        assert found.metadata["signature_def"].Unpack(signatures)
        default = signatures.signature_def["serving_default"]
        assert {name: info.dtype for name, info in default.inputs.items()} == {"input_layer_11": 1}
        assert list(default.outputs) == ["output_0"]


def test_the_published_clients_names_and_range_hold_over_http(
    keras: Running, photos: list[bytes], pixels: Any, expected: Any
) -> None:
    path = "/v1/models/species_model:predict"
    for document, word in (
        ({"instances": pixels.astype(float).tolist()}, "predictions"),
        ({"instances": [{"input_layer_11": one.tolist()} for one in pixels]}, "predictions"),
        ({"inputs": {"input_layer_11": pixels.astype(float).tolist()}}, "outputs"),
        ({"instances": [{"b64": base64.b64encode(photo).decode()} for photo in photos]}, "predictions"),
    ):
        status, answer = keras.json("POST", path, document)
        assert status == 200, answer
        np.testing.assert_allclose(answer[word], expected, atol=1e-4)
    for wrong in ({"inputs": {"other": pixels.tolist()}}, {"instances": (pixels * 1.5).tolist()}):
        status, answer = keras.json("POST", path, wrong)
        assert (status, answer["code"]) == (400, "invalid")
    metadata = keras.json("GET", "/v1/models/species_model/metadata")[1]["metadata"]["signature_def"]
    default = metadata["signature_def"]["serving_default"]
    assert default["inputs"]["input_layer_11"]["dtype"] == "DT_FLOAT"
    assert list(default["outputs"]) == ["output_0"]


def test_a_gateway_asks_a_server_of_other_names_by_the_networks_own(
    start: Callable[..., Running], keras: Running, models: dict[str, Path], photos: list[bytes], expected: Any
) -> None:
    behind = ("--backend", f"grpc://127.0.0.1:{keras.grpc_port}", "--backend-protocol", "tensorflow")
    front = start(f"species_model={models['species']}", *behind)
    status, _, content = front.ask("POST", "/predict", photos[0], {"content-type": "image/jpeg"})
    assert status == 200, content
    np.testing.assert_allclose(rows(json.loads(content)), expected[:1], atol=1e-4)
    assert front.stop() == 0


def test_tensorflow_serving_over_http(
    server: Running, photos: list[bytes], pixels: Any, expected: Any
) -> None:
    files = [{"b64": base64.b64encode(photo).decode()} for photo in photos]
    for document, word in (
        ({"instances": files}, "predictions"),
        ({"instances": [{"encoded": file} for file in files]}, "predictions"),
        ({"inputs": {"images": pixels.tolist()}}, "outputs"),
        ({"instances": (pixels / 255).tolist(), "signature_name": "serving_default"}, "predictions"),
    ):
        status, answer = server.json("POST", "/v1/models/species:predict", document)
        assert status == 200, answer
        np.testing.assert_allclose(answer[word], expected, atol=1e-4)
    assert server.json("GET", "/v1/models/species")[1]["model_version_status"][0]["state"] == "AVAILABLE"
    assert "signature_def" in server.json("GET", "/v1/models/species/metadata")[1]["metadata"]


def test_every_answer_is_as_the_description_says(
    server: Running, photos: list[bytes], picture_host: PictureHost
) -> None:
    picture_host.answers["/described.jpg"] = (200, {"content-type": "image/jpeg"}, photos[0])
    photo = base64.b64encode(photos[0]).decode()
    inputs = [{"name": "encoded", "datatype": "BYTES", "shape": [1], "data": [photo]}]
    bodies: dict[str, list[Any]] = {
        "/predict": [
            {"images": [photo, "AAAA"]},
            {"image": photo, "event": True},
            {"url": f"https://species.example:{picture_host.port}/described.jpg"},
        ],
        "infer": [{"inputs": inputs}, {"id": "7", "inputs": inputs}],
        ":predict": [{"instances": [{"b64": photo}]}, {"inputs": [{"b64": photo}]}],
    }
    description = server.json("GET", "/openapi.json")[1]
    for path, operations in description["paths"].items():
        if path == "/metrics":
            continue
        asked = path.format(name="species", version="1")
        for method, said in operations.items():
            form_of = _form_of(said["responses"]["200"])
            for body in next((bodies[end] for end in bodies if path.endswith(end)), [None]):
                status, answer = server.json(method.upper(), asked, body)
                assert status == 200, (asked, answer)
                form_of.model_validate(answer, strict=True)
            status, answer = server.json(method.upper(), path.format(name="none", version="2"), {})
            if status != 200:
                _form_of(said["responses"][f"{status // 100}XX"]).model_validate(answer, strict=True)


def _form_of(response: Any) -> Any:
    return getattr(documents, response["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2])


def test_probes_counts_and_the_page(server: Running, channel: Any) -> None:
    health = protos.message(protos.HEALTH, "HealthCheckRequest")()
    assert call(channel, protos.HEALTH, "Health", "Check", health).status == 1
    assert server.json("GET", "/health/live") == (200, {"status": "live"})
    assert set(server.json("GET", "/health/ready")[1]["models"]) == {"species", "multi"}
    status, _, text = server.ask("GET", "/metrics")
    assert b'trapline_requests_total{code="ok",interface="predict"}' in text
    status, headers, page = server.ask("GET", "/")
    assert status == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    assert b"http://" not in page.replace(b"http://www.w3.org", b"")
    assert b"https://" not in page
    status, headers, nothing = server.ask("HEAD", "/")
    assert (status, headers["content-length"], nothing) == (200, str(len(page)), b"")


@pytest.mark.parametrize(
    ("status", "method", "path", "kind", "body"),
    [
        (400, "POST", "/predict", "application/json", b"{"),
        (400, "POST", "/predict", "application/json", b"{}"),
        (400, "POST", "/predict", "application/json", b'{"image": "no base64!"}'),
        (400, "POST", "/predict", "application/json", b'{"images": []}'),
        (400, "POST", "/predict", "multipart/form-data", b"no boundary"),
        (400, "POST", "/predict?top=0", "image/jpeg", b"x"),
        (403, "POST", "/predict", "application/json", b'{"url": "https://elsewhere.example/a.jpg"}'),
        (404, "POST", "/predict?model=other", "image/jpeg", b"x"),
        (404, "GET", "/nowhere", "", b""),
        (404, "POST", "/predict/", "image/jpeg", b"x"),
        (404, "GET", "/v2/models/species/versions/2", "", b""),
        (404, "GET", "/v1/models/other", "", b""),
        (405, "GET", "/predict", "", b""),
        (415, "POST", "/predict", "text/plain", b"x"),
        (422, "POST", "/predict", "image/jpeg", b"no picture"),
        (400, "POST", "/v2/models/species/infer", "application/json", b'{"inputs": []}'),
        (400, "POST", "/v2/models/species/infer", "application/json", b'{"inputs": [{"name": 3}]}'),
        (400, "POST", "/v2/models/species/infer", "application/json", rb'{"id": "\udc00", "inputs": []}'),
        (400, "POST", "/v1/models/species:predict", "application/json", b'{"instances": []}'),
        (400, "POST", "/v1/models/species:predict", "application/json", b'{"instances": [[[1]], [2]]}'),
    ],
)
def test_what_cannot_be_answered_says_why_in_one_form(
    server: Running, status: int, method: str, path: str, kind: str, body: bytes
) -> None:
    found, _, content = server.ask(method, path, body, {"content-type": kind} if kind else {})
    assert found == status, content
    document = json.loads(content)
    assert document.keys() == {"error", "code"}
    assert "Traceback" not in document["error"]


@pytest.mark.parametrize(
    ("code", "name", "datatype", "shape", "raw"),
    [
        ("INVALID_ARGUMENT", "images", "UINT8", [1, 16, 16, 3], b"short"),
        ("INVALID_ARGUMENT", "encoded", "BYTES", [1], struct.pack("<I", 5) + b"photo"),
        ("INVALID_ARGUMENT", "encoded", "BYTES", [0], b""),
        ("NOT_FOUND", "other model", "BYTES", [0], b""),
    ],
)
def test_grpc_refuses_with_a_status(
    channel: Any, code: str, name: str, datatype: str, shape: list[int], raw: bytes
) -> None:
    model = "nothing" if code == "NOT_FOUND" else "species"
    request = _v2("ModelInferRequest", model_name=model, raw_input_contents=[raw])
    request.inputs.add(name=name, datatype=datatype, shape=shape)
    with pytest.raises(grpc.RpcError) as failed:
        call(channel, protos.V2, "GRPCInferenceService", "ModelInfer", request)
    assert failed.value.code() is grpc.StatusCode[code]


def test_a_gateway_gives_the_answers_of_the_server_behind_it_and_asks_for_its_token(
    start: Callable[..., Running],
    server: Running,
    models: dict[str, Path],
    photos: list[bytes],
    expected: Any,
) -> None:
    behind = ("--backend", f"grpc://127.0.0.1:{server.grpc_port}")
    body, kind = form({str(place): photo for place, photo in enumerate(photos)} | {"broken": b"no"})
    for protocol in ("v2", "tensorflow"):
        # To TensorFlow's clients that server calls its output `dense_2`, but knows the plain name too.
        front = start(
            f"species={models['species']}",
            *behind,
            "--backend-protocol",
            protocol,
            TRAPLINE_TOKEN="open sesame",
        )
        allowed = {"authorization": "Bearer open sesame"}
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "open sesame"}):
            status, found, content = front.ask("POST", "/predict", body, {"content-type": kind, **headers})
            assert (status, found["www-authenticate"]) == (401, "Bearer")
        assert front.ask("GET", "/")[0] == front.ask("GET", "/health/ready")[0] == 200
        status, _, content = front.ask("POST", "/predict", body, {"content-type": kind, **allowed})
        assert status == 200, content
        *good, broken = json.loads(content)["answers"]
        np.testing.assert_allclose(rows({"answers": good}), expected, atol=1e-4)
        assert broken["status"] == "failed"
        stated = {"v2": ModelFile(models["species"]).fingerprint, "tensorflow": None}
        assert json.loads(content)["model"]["computed_by"] == stated[protocol]
        with grpc.insecure_channel(f"127.0.0.1:{front.grpc_port}") as channel:
            request = _v2("ModelMetadataRequest", name="species")
            with pytest.raises(grpc.RpcError) as failed:
                call(channel, protos.V2, "GRPCInferenceService", "ModelMetadata", request)
            assert failed.value.code() is grpc.StatusCode.UNAUTHENTICATED
            token = (("authorization", "Bearer open sesame"),)
            call(channel, protos.V2, "GRPCInferenceService", "ModelMetadata", request, metadata=token)
        assert front.stop() == 0


def test_a_gateway_refuses_to_name_the_answers_of_a_model_with_other_labels(
    start: Callable[..., Running], write_tiny_model: Any, tmp_path: Path, photos: list[bytes]
) -> None:
    here = write_tiny_model(tmp_path / "here.onnx")
    turned = write_tiny_model(tmp_path / "turned.onnx", ("lynx", "hare", "blank"))
    there = tmp_path / "there.onnx"
    shutil.copy(turned, there)
    behind = start(f"it={there}")
    front = start(f"it={here}", "--backend", f"grpc://127.0.0.1:{behind.grpc_port}", "--no-grpc")

    def ask() -> tuple[int, Any]:
        status, _, content = front.ask("POST", "/predict", photos[0], {"content-type": "image/jpeg"})
        return status, json.loads(content)

    status, document = ask()
    assert (status, document["code"]) == (502, "backend")
    assert '["lynx", "hare", "blank"] there and ["blank", "hare", "lynx"] here' in document["error"]
    status, document = front.json("GET", "/health/ready")
    assert (status, document["code"]) == (503, "not_ready")
    assert "another model than the file here" in document["error"]
    for model, expected in ((here, 200), (turned, 502)):  # replaced there while the gateway runs
        shutil.copy(model, tmp_path / "next.onnx")
        (tmp_path / "next.onnx").replace(there)
        wanted, until = f"{ModelFile(model).fingerprint[:12]} now answers", time.monotonic() + 20
        while wanted not in behind.log.read_text() or ask()[0] != expected:
            assert time.monotonic() < until, behind.log.read_text()
            time.sleep(0.2)
        for _ in range(5):
            status, document = ask()
            assert status == expected
    front.stop()
    behind.stop()


def test_a_gateway_sends_more_pixels_than_one_message_may_hold(
    start: Callable[..., Running], write_tiny_model: Any, tmp_path: Path, photos: list[bytes]
) -> None:
    model = write_tiny_model(tmp_path / "large.onnx", size=640)
    behind = start(f"it={model}")
    front = start(f"it={model}", "--backend", f"grpc://127.0.0.1:{behind.grpc_port}", "--no-grpc")
    body, kind = form({str(place): photos[place % 6] for place in range(32)})
    asked = [one.ask("POST", "/predict", body, {"content-type": kind}) for one in (front, behind)]
    assert [status for status, _, _ in asked] == [200, 200], asked[0]
    there, here = (json.loads(content) for _, _, content in asked)
    np.testing.assert_allclose(rows(there), rows(here), atol=1e-6)
    front.stop()
    behind.stop()


def test_a_gateway_shows_its_token_to_the_server_behind(
    start: Callable[..., Running], models: dict[str, Path], photos: list[bytes]
) -> None:
    behind = start(f"it={models['species']}", "--token", "open-sesame")
    address = f"grpc://127.0.0.1:{behind.grpc_port}"
    for token, expected in (("open-sesame", (200, 200)), ("guess", (502, 503)), ("", (502, 503))):
        for protocol in ("v2", "tensorflow"):
            options = (f"it={models['species']}", "--no-grpc", "--backend", address)
            front = start(*options, "--backend-protocol", protocol, TRAPLINE_BACKEND_TOKEN=token)
            status, _, content = front.ask("POST", "/predict", photos[0], {"content-type": "image/jpeg"})
            ready, document = front.json("GET", "/health/ready")
            assert (status, ready) == expected, content
            if status != 200:
                assert "UNAUTHENTICATED" in json.loads(content)["error"]
                assert "UNAUTHENTICATED" in document["error"]
            front.stop()
    behind.stop()


def test_a_model_of_crops_says_so_at_the_start_and_in_every_answer(
    start: Callable[..., Running],
    server: Running,
    write_tiny_model: Any,
    tmp_path: Path,
    photos: list[bytes],
) -> None:
    cut = Preprocessing(height=16, width=16, crop=CropPolicy())
    path = write_tiny_model(tmp_path / "cut.onnx", preprocessing=cut, training_data={"train": {"cropped": 9}})
    running = start(f"it={path}", "--no-grpc")
    assert "let clients send boxes" in running.log.read_text()
    assert "let clients send boxes" not in server.log.read_text()
    for one, name, expected in ((running, "it", "crops"), (server, "species", "photos")):
        _, _, content = one.ask("POST", "/predict", photos[0], {"content-type": "image/jpeg"})
        assert json.loads(content)["model"]["sees"] == expected
        assert one.json("GET", f"/v2/models/{name}")[1]["properties"]["sees"] == expected
    running.stop()


def test_a_gateway_asks_all_servers_of_a_name_in_turn_and_does_without_a_dead_one(
    start: Callable[..., Running], models: dict[str, Path], photos: list[bytes]
) -> None:
    behind = [start(f"species={models['species']}") for _ in range(2)]
    addresses = ",".join(f"127.0.0.1:{one.grpc_port}" for one in behind)  # as a name service would answer
    front = start(f"species={models['species']}", "--no-grpc", "--backend", f"grpc://ipv4:{addresses}")

    def asked() -> None:
        status, _, content = front.ask("POST", "/predict", photos[0], {"content-type": "image/jpeg"})
        assert status == 200, content

    until = time.monotonic() + 20
    while not all(b'interface="v2_grpc"} ' in one.ask("GET", "/metrics")[2] for one in behind):
        asked()
        assert time.monotonic() < until
    behind[0].process.kill()
    behind[0].process.wait()
    time.sleep(0.5)  # until the gateway has noticed
    for _ in range(4):
        asked()
    assert front.stop() == 0


def test_a_gateway_whose_server_is_gone_says_so(
    start: Callable[..., Running], models: dict[str, Path], photos: list[bytes]
) -> None:
    front = start(f"species={models['species']}", "--backend", "grpc://127.0.0.1:9", "--no-grpc")
    status, _, content = front.ask("POST", "/predict", photos[0], {"content-type": "image/jpeg"})
    assert (status, json.loads(content)["code"]) == (502, "backend")
    assert front.ask("GET", "/health/ready")[0] == 503
    assert front.ask("GET", "/health/live")[0] == 200


def test_two_workers_outlive_the_death_of_one_and_a_replaced_model(
    start: Callable[..., Running], models: dict[str, Path], tmp_path: Path, photos: list[bytes]
) -> None:
    model = tmp_path / "model.onnx"
    shutil.copy(models["species"], model)
    running = start(f"it={model}", "--workers", 2, "--threads", 1)
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
    if not children.exists():
        pytest.skip("the children of a process are read from /proc")
    before = ModelFile(models["species"]).fingerprint
    workers = [pid for pid in children.read_text().split() if _is_worker(pid)]
    assert len(workers) == 2
    model.unlink()  # so that nothing can take the place of who dies now; the other goes on
    os.kill(int(workers[0]), signal.SIGKILL)
    assert _fingerprint(running, photos[0]) == before
    until = time.monotonic() + 30
    while "another starts in 2 s" not in running.log.read_text():
        assert time.monotonic() < until, running.log.read_text()
        time.sleep(0.05)
    assert _fingerprint(running, photos[0]) == before
    shutil.copy(models["multi"], tmp_path / "next.onnx")
    (tmp_path / "next.onnx").replace(model)
    after, until = ModelFile(models["multi"]).fingerprint, time.monotonic() + 30
    found: list[str] = []
    while found[-8:] != [after] * 8:
        assert time.monotonic() < until, running.log.read_text()
        found.append(_fingerprint(running, photos[0]))
        time.sleep(0.05)
    assert set(found) <= {before, after}
    assert b"trapline_photos_total" in running.ask("GET", "/metrics")[2]
    assert "died" in running.log.read_text()
    running.process.kill()  # nobody would replace them now, so they end as well
    until = time.monotonic() + 20
    while any(_is_worker(pid) for pid in workers[1:]):
        assert time.monotonic() < until
        time.sleep(0.1)


def _is_worker(pid: str) -> bool:
    try:
        return "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def _fingerprint(running: Running, photo: bytes) -> str:
    """Of the model that answered; a connection that a dying worker held is tried again, as a client would."""
    for _ in range(100):
        try:
            status, _, content = running.ask("POST", "/predict", photo, {"content-type": "image/jpeg"})
        except OSError:
            time.sleep(0.05)
            continue
        assert status == 200
        return str(json.loads(content)["model"]["fingerprint"])
    raise AssertionError("no answer")


def test_a_request_that_runs_when_the_server_is_told_to_stop_is_answered(
    start: Callable[..., Running], models: dict[str, Path], photos: list[bytes]
) -> None:
    running = start(f"species={models['species']}", "--no-grpc")
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\n"
    head += b"content-length: %d\r\n\r\n" % len(photos[0])
    with running.connect() as connection:
        connection.sendall(head + photos[0][:100])
        time.sleep(0.2)
        running.process.terminate()
        time.sleep(0.3)
        connection.sendall(photos[0][100:])
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200")
    assert running.process.wait(10) == 0


def test_no_request_is_lost_when_a_server_under_load_is_told_to_stop(
    start: Callable[..., Running], models: dict[str, Path], photos: list[bytes]
) -> None:
    running = start(f"it={models['species']}", "--workers", 2, "--drain", 0.5, "--no-grpc")
    answered: list[int] = []

    def ask_until_refused() -> None:
        """As clients do: on one connection, on another once the server has closed it. A new one may be
        refused, or reset by the system if it came after the last one taken; one that was answered may not.
        """
        while True:
            connection, known, closed = http.client.HTTPConnection("127.0.0.1", running.port), False, False
            while not closed:
                try:
                    connection.request("POST", "/predict", photos[0], {"content-type": "image/jpeg"})
                    response = connection.getresponse()
                except ConnectionError:
                    assert not known
                    return
                response.read()
                answered.append(response.status)
                known, closed = True, response.will_close
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask_until_refused) for _ in range(8)]
        time.sleep(0.5)
        assert running.stop() == 0
        for one in asking:
            one.result()
    assert set(answered) == {200}


def test_told_twice_a_server_stops_at_once(start: Callable[..., Running], models: dict[str, Path]) -> None:
    for workers in (1, 2):
        running = start(f"it={models['species']}", "--workers", workers, "--drain", 60)
        running.process.terminate()
        time.sleep(0.3)
        assert running.process.poll() is None
        assert running.ask("GET", "/health/ready")[0] == 503
        assert running.ask("GET", "/health/live")[0] == 200
        running.process.terminate()
        assert running.process.wait(5) == 1


def test_a_port_that_is_taken_a_missing_model_and_a_backbone_are_said_plainly(
    server: Running, models: dict[str, Path], tmp_path: Path
) -> None:
    from trapline.errors import TraplineError
    from trapline.models import backbones
    from trapline.serving.server import serve
    from trapline.serving.settings import Settings, name_models

    with socket.socket() as other:  # as the workers of another server hold their port
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        for taken in (
            {"port": server.port},
            {"port": 0, "grpc_port": server.grpc_port},
            {"port": 0, "grpc_port": other.getsockname()[1], "workers": 2},
        ):
            with pytest.raises(TraplineError, match="cannot be had"):
                serve(Settings(models, **taken), lambda _: None)
    with pytest.raises(TraplineError, match="There is no model file"):
        name_models([str(tmp_path / "none.onnx")])
    with pytest.raises(TraplineError, match="backbone without labels"):
        name_models([str(backbones.path("lite0"))])
