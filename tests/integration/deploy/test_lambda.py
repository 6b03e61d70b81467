"""The Lambda function as Lambda runs it: AWS's own runtime client, `awslambdaric`, asks for events.

What it asks is AWS's side, the Runtime API; a small one is here, after
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. `deploy/run-local.sh` has AWS's own emulator.
"""

import base64
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from trapline import ModelFile
from trapline.errors import UsageError
from trapline.serving.answers import answer, as_document, as_flat
from trapline.serving.lambda_handler import settings_from

_HEADERS = {
    "Content-Type": "application/json",
    "Lambda-Runtime-Aws-Request-Id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
    "Lambda-Runtime-Deadline-Ms": "4000000000000",
    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:123456789012:function:predict",
    "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
}
HANDLER = "trapline.serving.lambda_handler.handler"


class RuntimeApi:
    """What the runtime client talks to: gives it events, takes its answers."""

    def __init__(self) -> None:
        self.events: queue.Queue[Any] = queue.Queue()
        self.answers: queue.Queue[tuple[str, Any]] = queue.Queue()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = json.dumps(api.events.get()).encode()
                self.send_response(200)
                for name, value in _HEADERS.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                chunked = self.headers.get("Transfer-Encoding") == "chunked"
                body = self._chunks() if chunked else self.rfile.read(int(self.headers["Content-Length"]))
                api.answers.put((self.path.rsplit("/", 1)[1], json.loads(body)))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _chunks(self) -> bytes:
                found = b""
                while size := int(self.rfile.readline(), 16):
                    found += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return found

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def run(self, **environment: str) -> subprocess.Popen[bytes]:
        """The runtime client in a process of its own, as the image starts it."""
        given = os.environ | environment
        given |= {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.server.server_port}"}
        return subprocess.Popen([sys.executable, "-m", "awslambdaric", HANDLER], env=given)

    def ask(self, event: Any) -> Any:
        """What the function answers to an event; it must not fail."""
        self.events.put(event)
        kind, document = self.answers.get(timeout=60)
        assert kind == "response", document
        return document


@pytest.fixture(scope="module")
def model(write_tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    return ModelFile(write_tiny_model(tmp_path_factory.mktemp("lambda") / "tiny.onnx"))


@pytest.fixture(scope="module")
def function(model: ModelFile) -> Iterator[RuntimeApi]:
    api = RuntimeApi()
    process = api.run(
        TRAPLINE_MODEL=f"species_model={model.path}", TRAPLINE_TOKEN="secret", TRAPLINE_BASE_PATH="/animals"
    )
    yield api
    process.kill()
    process.wait()
    api.server.shutdown()


@pytest.fixture
def photo(world: Any) -> bytes:
    content: bytes = world().path("0.png").read_bytes()
    return content


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def http_event(
    body: str, kind: str, query: str = "", token: str = "secret", **changes: Any
) -> dict[str, Any]:
    """As an HTTP API sends it (payload format 2.0)."""
    http = {"method": "POST", "path": "/predict", "sourceIp": "192.0.2.1", "protocol": "HTTP/1.1"}
    headers = {"content-type": kind, "authorization": f"Bearer {token}"}
    event = {"version": "2.0", "routeKey": "POST /predict", "rawPath": "/predict", "rawQueryString": query}
    event |= {"headers": headers, "requestContext": {"http": http, "stage": "$default"}, "body": body}
    return event | {"isBase64Encoded": True} | changes


def rest_event(body: str, kind: str, query: dict[str, list[str]] | None, **changes: Any) -> dict[str, Any]:
    """As a REST API sends it (payload format 1.0)."""
    headers = {"Content-Type": [kind], "Authorization": ["Bearer secret"]}
    event = {"resource": "/predict", "path": "/predict", "httpMethod": "POST", "body": body}
    event |= {"headers": {name: values[0] for name, values in headers.items()}, "multiValueHeaders": headers}
    event |= {"multiValueQueryStringParameters": query, "requestContext": {"stage": "prod", "identity": {}}}
    return event | {"isBase64Encoded": True} | changes


def test_a_bare_event_is_the_body_of_a_request(function: RuntimeApi, model: ModelFile, photo: bytes) -> None:
    found = function.ask({"image": text(photo)})
    (expected,) = answer(model, [photo])
    assert found["answers"][0]["probabilities"] == pytest.approx(as_flat(expected, model.card), abs=1e-6)
    assert found["model"]["fingerprint"] == model.fingerprint
    assert found["model"]["name"] == "species_model"


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"url": "https://photos.example.org/a.jpg"}, "forbidden"),
        ({"image": "no base64!"}, "invalid"),
        ({"image": text(b"no photo")}, "unreadable"),
        ({"images": []}, "invalid"),
        ({}, "invalid"),
        (["url"], "invalid"),
        (None, "invalid"),
        ("https://photos.example.org/a.jpg", "invalid"),
    ],
)
def test_a_bare_event_that_cannot_be_answered_gets_the_servers_refusal(
    function: RuntimeApi, event: Any, code: str
) -> None:
    found = function.ask(event)
    assert found.keys() == {"error", "code"}
    assert found["code"] == code
    assert "Traceback" not in found["error"]


def test_an_image_through_an_http_api(function: RuntimeApi, model: ModelFile, photo: bytes) -> None:
    found = function.ask(http_event(text(photo), "image/png", "top=2"))
    assert found["statusCode"] == 200
    assert found["headers"]["content-type"].startswith("application/json")
    (document,) = json.loads(found["body"])["answers"]
    assert document == as_document(answer(model, [photo])[0], model, 2)


def test_a_form_with_several_files_through_a_rest_api(
    function: RuntimeApi, model: ModelFile, photo: bytes
) -> None:
    parts = b"".join(
        b'--edge\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n\r\n%b\r\n'
        % (name, content)
        for name, content in ((b"a.png", photo), (b"b.png", b"no photo"))
    )
    event = rest_event(text(parts + b"--edge--\r\n"), "multipart/form-data; boundary=edge", {"top": ["1"]})
    found = function.ask(event)
    assert found["statusCode"] == 200
    documents = json.loads(found["body"])["answers"]
    assert [one["name"] for one in documents] == ["a.png", "b.png"]
    assert [one["status"] for one in documents] == ["ok", "failed"]
    assert len(documents[0]["top"]) == 1


def test_the_frames_of_an_event_get_one_answer(function: RuntimeApi, photo: bytes) -> None:
    body = json.dumps({"images": [text(photo)] * 3})
    event = rest_event(body, "application/json", {"event": ["true"]}, isBase64Encoded=False)
    found = function.ask(event)
    assert found["statusCode"] == 200, found["body"]
    assert len(json.loads(found["body"])["answers"]) == 1


def test_limits_and_errors_are_the_servers(function: RuntimeApi, photo: bytes) -> None:
    assert function.ask(http_event("{", "application/json", isBase64Encoded=False))["statusCode"] == 400
    assert function.ask(http_event(text(photo), "text/html"))["statusCode"] == 415
    assert function.ask(http_event(text(b"no photo"), "image/jpeg"))["statusCode"] == 422
    assert function.ask(http_event(text(photo), "image/png", token="guess"))["statusCode"] == 401
    nowhere = {"http": {"method": "GET", "path": "/nowhere", "sourceIp": "192.0.2.1"}}
    found = function.ask(http_event("", "text/plain", requestContext=nowhere))
    assert found["statusCode"] == 404
    assert json.loads(found["body"])["code"] == "not_found"


def test_the_name_of_a_stage_and_a_custom_domains_base_path_lead_to_the_same_paths(
    function: RuntimeApi, photo: bytes
) -> None:
    sent, kind = text(photo), "image/png"
    plain = function.ask(http_event(sent, kind))
    assert plain["statusCode"] == 200
    for path, stage in (
        ("/prod/predict", "prod"),
        ("/animals/prod/predict", "prod"),
        ("/animals/predict", "$default"),
    ):
        http = {"method": "POST", "path": path, "sourceIp": "192.0.2.1"}
        found = function.ask(
            http_event(sent, kind, rawPath=path, requestContext={"http": http, "stage": stage})
        )
        assert found == plain, path
    assert function.ask(rest_event(sent, kind, None, path="/animals/predict"))["body"] == plain["body"]
    versions = rest_event("", kind, None, httpMethod="GET", path="/v2/models/species_model")
    versions["requestContext"] |= {"stage": "v2"}
    assert function.ask(versions)["statusCode"] == 200
    page = {"method": "GET", "path": "/prod", "sourceIp": "192.0.2.1"}
    found = function.ask(http_event("", kind, requestContext={"http": page, "stage": "prod"}))
    assert found["headers"]["content-type"].startswith("text/html")
    for path in ("/production/predict", "/animalspredict"):
        http = {"method": "POST", "path": path, "sourceIp": "192.0.2.1"}
        found = function.ask(http_event(sent, kind, requestContext={"http": http, "stage": "prod"}))
        assert found["statusCode"] == 404


@pytest.mark.parametrize(
    "event",
    [
        {"requestContext": {}},
        {"requestContext": None},
        {"requestContext": {"routeKey": "$connect", "eventType": "CONNECT"}, "isBase64Encoded": False},
        {"requestContext": {"stage": "prod"}, "resource": "/predict", "path": "/predict"},
        {"version": "2.0", "requestContext": {"http": {"path": "/predict"}}},
        http_event("abc", "image/png"),
    ],
)
def test_an_event_of_a_gateway_that_is_no_request_is_invalid(function: RuntimeApi, event: Any) -> None:
    found = function.ask(event)
    assert found["statusCode"] == 400
    document = json.loads(found["body"])
    assert document.keys() == {"error", "code"}
    assert document["code"] == "invalid"


def test_it_answers_on_after_refusals(function: RuntimeApi, photo: bytes) -> None:
    assert "answers" in function.ask({"image": text(photo)})


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "TRAPLINE_MODEL"),
        ({"TRAPLINE_MODEL": "m.onnx", "TRAPLINE_ALLOW_URL": "https://photos.example.org"}, "allow-url"),
        ({"TRAPLINE_MODEL": "m.onnx", "TRAPLINE_TOKEN": "schlüssel"}, "ASCII"),
    ],
)
def test_a_wrong_environment_is_refused(environment: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        settings_from(environment)


def test_hosts_are_separated_by_spaces_or_commas() -> None:
    found = settings_from({"TRAPLINE_MODEL": "m.onnx", "TRAPLINE_ALLOW_URL": "A.example.org, b.example.org"})
    assert found.allow_url == ("a.example.org", "b.example.org")
    assert found.models == {"model": Path("m.onnx")}


def test_a_missing_model_stops_the_start_and_says_which(tmp_path: Path) -> None:
    api = RuntimeApi()
    process = api.run(TRAPLINE_MODEL=str(tmp_path / "missing.onnx"))
    kind, document = api.answers.get(timeout=60)
    assert kind == "error"
    assert "missing.onnx" in document["errorMessage"]
    assert process.wait(timeout=30) != 0
    api.server.shutdown()
