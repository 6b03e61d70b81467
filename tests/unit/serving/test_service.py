"""What all interfaces share: bodies are taken apart beside the event loop, one at a time, and in time."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from trapline.models import MeasuredAt
from trapline.serving import predict_request, tf_rest, v2_rest
from trapline.serving.refusals import RefusedError
from trapline.serving.rest import LastWord, build_app
from trapline.serving.service import Service, build_service
from trapline.serving.settings import Settings


@pytest.fixture
def settings(write_tiny_model: Any, tmp_path: Path) -> Settings:
    return Settings({"it": write_tiny_model(tmp_path / "tiny.onnx")}, threads=1, queue=4, deadline=5)


async def post(app: Any, path: str, document: Any) -> tuple[int, Any]:
    """Status and document of the application's answer to JSON, without a network."""
    came, sent = [{"type": "http.request", "body": json.dumps(document).encode()}], []

    async def receive() -> Any:
        return came.pop() if came else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"headers": [(b"content-type", b"application/json")], "http_version": "1.1", "scheme": "http"}
    await app(scope | {"server": ("x", 80), "client": ("y", 1)}, receive, send)
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent))


async def longest_gap(working: asyncio.Future[Any]) -> float:
    """Seconds for which the event loop ran nothing else, at most, until the work was done."""
    longest, last = 0.0, time.monotonic()
    while not working.done():
        await asyncio.sleep(0.01)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    return longest


@pytest.mark.slow
def test_json_that_takes_long_keeps_nobody_else_waiting(
    settings: Settings, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = predict_request.parse_json

    def slow(content: bytes) -> Any:
        time.sleep(1.5)
        return plain(content)

    for module in (predict_request, tf_rest, v2_rest):
        monkeypatch.setattr(module, "parse_json", slow)
    photo = base64.b64encode(world().path("0.png").read_bytes()).decode()
    inputs = [{"name": "encoded", "datatype": "BYTES", "shape": [1], "data": [photo]}]

    async def ask() -> None:
        app = build_app(await build_service(settings, 1))
        requests = (
            ("/predict", {"image": photo}),
            ("/v1/models/it:predict", {"instances": [{"b64": photo}]}),
            ("/v2/models/it/infer", {"inputs": inputs}),
        )
        working = asyncio.gather(*(post(app, *request) for request in requests))
        assert await longest_gap(working) < 1
        assert [status for status, _ in working.result()] == [200, 200, 200]

    asyncio.run(ask())


def counted(seconds: float) -> tuple[list[int], Callable[[], None]]:
    """Work of some seconds, and how many of it were under way whenever one began."""
    together: list[int] = []
    inside = 0

    def convert() -> None:
        nonlocal inside
        inside += 1
        together.append(inside)
        time.sleep(seconds)
        inside -= 1

    return together, convert


def test_bodies_are_taken_apart_one_at_a_time_and_only_if_there_is_a_place(settings: Settings) -> None:
    together, convert = counted(0.05)

    async def ask() -> None:
        service = await build_service(settings, 1)
        later = service.deadline()
        await asyncio.gather(*(service.convert(convert, later) for _ in range(6)))
        assert together == [1] * 6
        with service.engine.gate.admit(4), pytest.raises(RefusedError, match="Try again"):
            await service.convert(convert, later)
        assert together == [1] * 6

    asyncio.run(ask())


def test_who_waits_for_its_body_to_be_taken_apart_waits_no_longer_than_its_deadline(
    settings: Settings,
) -> None:
    async def ask() -> None:
        service: Service = await build_service(settings, 1)
        long = asyncio.ensure_future(service.convert(lambda: time.sleep(0.5), service.deadline()))
        await asyncio.sleep(0)
        with pytest.raises(RefusedError, match="within the deadline") as refused:
            await service.convert(lambda: None, service.deadline(0.1))
        assert refused.value.kind.http == 504
        await long

    asyncio.run(ask())


def test_a_body_whose_request_was_given_up_is_still_the_only_one_that_is_taken_apart(
    settings: Settings,
) -> None:
    together, convert = counted(0.2)

    async def ask() -> None:
        service = await build_service(settings, 1)
        asked = (service.convert(convert, service.deadline(0.05)) for _ in range(4))
        assert all(
            isinstance(one, RefusedError) for one in await asyncio.gather(*asked, return_exceptions=True)
        )
        await service.convert(convert, service.deadline())
        assert set(together) == {1}

    asyncio.run(ask())


def test_pixels_in_json_are_not_converted_when_the_queue_has_no_places_for_them(settings: Settings) -> None:
    async def ask() -> None:
        service = await build_service(settings, 1)
        app = build_app(service)
        for photos, inside, expected in ((5, 0, (400, "invalid")), (4, 1, (429, "busy"))):
            with service.engine.gate.admit(inside):
                rows = {"instances": [[["no pixels"]]] * photos}
                status, document = await post(app, "/v1/models/it:predict", rows)
                assert (status, document["code"]) == expected

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/predict", {"image": "aGFyZQ=="}),
        ("/v1/models/it:predict", {"instances": [{"b64": "aGFyZQ=="}]}),
        (
            "/v2/models/it/infer",
            {"inputs": [{"name": "encoded", "datatype": "BYTES", "shape": [1], "data": ["aGFyZQ=="]}]},
        ),
    ],
)
def test_a_fault_of_ours_is_an_answer_in_json_of_every_interface(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, path: str, document: Any
) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise MemoryError

    async def run() -> tuple[int, Any]:
        service = await build_service(settings, 1)
        monkeypatch.setattr(service.engine, "answers", broken)
        app = LastWord(build_app(service))

        async def answered(scope: Any, receive: Any, send: Any) -> None:
            with suppress(MemoryError):  # the server below logs it, after the answer
                await app(scope, receive, send)

        found = await post(answered, path, document)
        await service.engine.close()
        return found

    status, found = asyncio.run(run())
    assert (status, found["code"]) == (500, "internal")
    assert "MemoryError" not in found["error"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(RuntimeError("no path"), 500, "internal"), (asyncio.CancelledError(), 503, "not_ready")],
)
def test_what_the_application_leaves_without_an_answer_gets_one(
    error: BaseException, status: int, code: str
) -> None:
    async def broken(*_: Any) -> None:
        raise error

    found = asyncio.run(post(LastWord(broken), "/predict", {}))
    assert (found[0], found[1]["code"]) == (status, code)


@pytest.mark.parametrize(("locations", "told"), [(1, True), (10, False)])
def test_who_drops_photos_and_who_reads_the_log_learn_that_a_model_knows_one_camera(
    write_tiny_model: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, locations: int, told: bool
) -> None:
    at = MeasuredAt.of({f"<L{number}>": 9 for number in range(locations)})
    path = write_tiny_model(tmp_path / "tiny.onnx", measured_at=at)

    async def page() -> str:
        service = await build_service(Settings({"it": path}, threads=1), cores=1)
        index = next(one for one in build_app(service).routes if getattr(one, "path", "") == "/")
        return str(index.endpoint().body.decode())  # type: ignore[attr-defined]

    assert ("Measured at one location (&lt;L0&gt;)" in asyncio.run(page())) == told
    assert ("Measured at one location (<L0>)" in caplog.text) == told
