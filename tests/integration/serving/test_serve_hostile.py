"""Hostile clients: bounded memory, the right status, and others are served meanwhile."""

import io
import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from PIL import Image
from serving_process import Running, form

from trapline.serving import protos

pytestmark = pytest.mark.slow

HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\n"


def serves(server: Running, photo: bytes) -> None:
    """An honest client is answered."""
    status, _, content = server.ask("POST", "/predict", photo, {"content-type": "image/jpeg"})
    assert status == 200, content


def read_all(connection: socket.socket) -> bytes:
    found = b""
    try:
        while chunk := connection.recv(65536):
            found += chunk
    except ConnectionError:
        pass
    return found


def test_clients_that_send_slowly_or_nothing_are_cut_off(server: Running, photos: list[bytes]) -> None:
    silent = [server.connect() for _ in range(40)]
    dripping = [server.connect() for _ in range(20)]
    for connection in dripping:
        connection.sendall(b"POST /predict HTTP/1.1\r\nx")
    started = time.monotonic()
    serves(server, photos[0])
    for connection in [*silent, *dripping]:
        assert read_all(connection) == b""
        connection.close()
    assert time.monotonic() - started < 5


def test_more_silent_connections_than_there_are_places_keep_nobody_out(
    server: Running, photos: list[bytes]
) -> None:
    silent = [server.connect() for _ in range(70)]
    halves = [server.connect() for _ in range(70)]
    for connection in halves:
        with suppress(OSError):
            connection.sendall(HEAD + b"content-length: 1000\r\n\r\nhalf")
    started = time.monotonic()
    for _ in range(5):
        serves(server, photos[0])
    assert time.monotonic() - started < 1
    for connection in [*silent, *halves]:
        connection.close()


def test_a_body_that_comes_too_slowly_is_given_up(server: Running, photos: list[bytes]) -> None:
    with server.connect() as connection:
        connection.sendall(HEAD + b"content-length: 1000\r\n\r\nfirst")
        serves(server, photos[0])
        assert read_all(connection).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    ("status", "code", "sent"),
    [
        (400, "invalid", b"\x16\x03\x01\x02\x00 a greeting of TLS\r\n\r\n"),
        (400, "invalid", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (400, "invalid", b"FOO / HTTP/1.1\r\nhost: x\r\n\r\n"),
        (400, "invalid", b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n"),
        (400, "invalid", b"GET / HTTP/1.1\r\nno name: x\r\n\r\n"),
        (400, "invalid", HEAD + b"content-length: many\r\n\r\n"),
        (400, "invalid", HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello"),
        (400, "invalid", HEAD + b"transfer-encoding: chunked\r\n\r\nno number\r\nabc"),
        (431, "head_too_large", b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n"),
        (431, "head_too_large", b"GET / HTTP/1.1\r\nx: " + b"a" * 70_000),
        (413, "too_large", HEAD + b"content-length: 99999999999\r\n\r\n"),
        (415, "unsupported", HEAD + b"content-encoding: gzip\r\ncontent-length: 1\r\n\r\nx"),
        (408, "too_slow", HEAD + b"content-length: 1000\r\n\r\nfirst"),
        (422, "unreadable", HEAD + b"content-length: 3\r\n\r\nabc\xff and no second request\r\n\r\n"),
    ],
)
def test_whatever_breaks_a_request_it_is_refused_in_json(
    server: Running, photos: list[bytes], status: int, code: str, sent: bytes
) -> None:
    with server.connect() as connection:
        connection.sendall(sent)
        if status != 408:
            connection.shutdown(socket.SHUT_WR)
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\ncontent-type: application/json" in head
    assert json.loads(body).keys() == {"error", "code"}
    assert json.loads(body)["code"] == code
    serves(server, photos[0])


def test_a_head_without_end_is_cut_off(server: Running, photos: list[bytes]) -> None:
    with server.connect() as connection:
        try:
            for _ in range(100):
                connection.sendall(b"GET / HTTP/1.1\r\n" + b"x: " + b"y" * 60_000 + b"\r\n")
        except ConnectionError:
            pass
        assert b"200 OK" not in read_all(connection)
    serves(server, photos[0])


@pytest.mark.parametrize("piece", [b"x: y\r\n" * 10_000, b"x" * 60_000])
def test_trailers_without_end_are_cut_off_in_bounded_memory(
    server: Running, photos: list[bytes], piece: bytes
) -> None:
    serves(server, photos[0])
    before, sent = server.memory(), 0
    with server.connect() as connection:
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: ")
        with suppress(OSError):
            while sent < 500:
                connection.sendall(piece)
                sent += 1
    assert sent < 200
    assert server.memory() - before < 50
    serves(server, photos[0])


def test_whoever_closes_its_own_half_still_gets_the_answer(server: Running, photos: list[bytes]) -> None:
    with server.connect() as connection:
        connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(photos[0]) + photos[0])
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection).startswith(b"HTTP/1.1 200")
    with server.connect() as connection:  # only half a body, then gone
        connection.sendall(HEAD + b"content-length: 1000\r\n\r\nx")
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b""


def test_half_a_gigabyte_is_refused_unread_in_bounded_memory(server: Running, photos: list[bytes]) -> None:
    serves(server, photos[0])
    before = server.memory()
    with server.connect() as connection:
        connection.sendall(HEAD + b"content-length: 500000000\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 413")
    with server.connect() as connection:  # without saying how much
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        chunk = b"100000\r\n" + b"\0" * 0x100000 + b"\r\n"
        sent = 0
        try:
            while sent < 500:
                connection.sendall(chunk)
                sent += 1
        except OSError:
            pass
        assert sent < 100
    assert server.memory() - before < 150
    serves(server, photos[0])


def infer(running: Running, message: bytes = b"", seconds: float = 30, token: str = "") -> str:
    """The status of a ModelInfer of these bytes, over a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{running.grpc_port}", options) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        metadata = (("authorization", f"Bearer {token}"),)
        try:
            call(message, timeout=seconds, metadata=metadata)
        except grpc.RpcError as error:
            return error.code().name
    return "OK"


def message(content: bytes) -> bytes:
    request = protos.message(protos.V2, "ModelInferRequest")(model_name="it", raw_input_contents=[content])
    request.inputs.add(name="images", datatype="UINT8", shape=[1, 16, 16, 3])
    return bytes(request.SerializeToString())


def test_large_grpc_calls_without_the_token_are_refused_unread_in_bounded_memory(
    start: Callable[..., Running], models: dict[str, Path]
) -> None:
    running = start(f"it={models['species']}", "--token", "open-sesame")
    large, before = message(bytes(30 * 2**20)), running.memory("VmHWM")
    with ThreadPoolExecutor(10) as pool:
        found = set(pool.map(lambda _: infer(running, large), range(20)))
    assert found == {"UNAUTHENTICATED"}
    assert running.memory("VmHWM") - before < 60
    assert infer(running, message(bytes(768)), token="open-sesame") == "OK"
    assert (
        b'trapline_requests_total{code="unauthenticated",interface="v2_grpc"} 20.0'
        in (running.ask("GET", "/metrics")[2])
    )


def test_large_grpc_calls_of_those_who_may_ask_hold_bounded_memory(
    start: Callable[..., Running], models: dict[str, Path]
) -> None:
    running = start(f"it={models['species']}")
    large, before = message(bytes(30 * 2**20)), running.memory("VmHWM")
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda _: infer(running, large), range(32)))
    assert found <= {"INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"}
    assert running.memory("VmHWM") - before < 1000
    assert infer(running, message(bytes(33 * 2**20))) == "RESOURCE_EXHAUSTED"
    assert infer(running, b"\xff" * 100) == "INVALID_ARGUMENT"


def test_grpc_calls_that_never_send_their_message_keep_nobody_out(
    start: Callable[..., Running], models: dict[str, Path]
) -> None:
    running = start(f"it={models['species']}")
    asked = threading.Event()

    def nothing() -> Iterator[bytes]:
        asked.wait(20)
        yield b""

    with grpc.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel:
        call = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")
        silent = [call.future(nothing(), timeout=20) for _ in range(6)]
        time.sleep(0.5)
        started = time.monotonic()
        assert infer(running, message(bytes(768)), seconds=15) == "OK"
        assert time.monotonic() - started < 10
        asked.set()
        for one in silent:
            one.cancel()


@pytest.mark.parametrize("content", [b"[" * 10**6, b'{"images": [' + b"[]," * 10**5 + b"0]}", b"\xff" * 1000])
def test_json_made_to_be_large_is_refused(server: Running, content: bytes) -> None:
    status, _, answer = server.ask("POST", "/predict", content, {"content-type": "application/json"})
    assert status == 400
    assert json.loads(answer)["code"] == "invalid"


def test_garbage_on_either_port_changes_nothing(server: Running, photos: list[bytes]) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for port in (server.port, server.grpc_port):
        for garbage in (os.urandom(5000), b"\0" * 5000, preface + os.urandom(2000), b"\r\n" * 2000, b"GET"):
            connecting = socket.create_connection(("127.0.0.1", port), timeout=5)
            with connecting as connection, suppress(OSError):
                connection.sendall(garbage)
    serves(server, photos[0])


def test_more_than_the_queue_holds_is_told_to_come_again(server: Running, photos: list[bytes]) -> None:
    body, kind = form({str(place): photos[place % 6] for place in range(30)})

    def ask(_: int) -> tuple[int, str | None, bytes]:
        status, headers, content = server.ask("POST", "/predict", body, {"content-type": kind})
        return status, headers.get("retry-after"), content

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(16)))
    assert {status for status, _, _ in found} <= {200, 429}
    for status, retry, content in found:
        if status == 429:
            assert retry is not None
            assert int(retry) >= 1
        else:
            assert len(json.loads(content)["answers"]) == 30
    serves(server, photos[0])


def test_photos_of_a_client_that_breaks_off_make_room_for_others(
    start: Callable[..., Running], models: dict[str, Path]
) -> None:
    running = start(f"it={models['species']}", "--threads", 1, "--no-grpc")
    buffer = io.BytesIO()
    Image.new("RGB", (6000, 4000)).save(buffer, "PNG")  # takes a while
    body, kind = form({str(place): buffer.getvalue() for place in range(60)})
    head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    with running.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset at close
        connection.sendall(head.encode() + body)
        wait_for(running, b"\ntrapline_photos_in_work 60.0\n")
    wait_for(running, b"\ntrapline_photos_in_work 0.0\n")
    wait_for(running, b'{code="gone",interface="predict"} 1.0\n')
    running.process.kill()


def wait_for(running: Running, counted: bytes) -> None:
    """Wait until the server's counts say so."""
    until = time.monotonic() + 5
    while counted not in (page := running.ask("GET", "/metrics")[2]):
        assert time.monotonic() < until, page
        time.sleep(0.02)


def test_thousands_of_tiny_requests_are_answered_in_flat_memory(server: Running, photos: list[bytes]) -> None:
    one = HEAD + b"content-length: 1\r\n\r\nx"
    before = server.memory()
    statuses = 0
    for _ in range(4):
        with server.connect() as connection:
            connection.sendall((one * 249) + one.replace(b"host: x", b"host: x\r\nconnection: close"))
            statuses += read_all(connection).count(b"HTTP/1.1 422")
    assert statuses == 1000
    assert server.memory() - before < 60
    serves(server, photos[0])


def children(running: Running) -> list[int]:
    path = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
    found: list[int] = []
    for task in path.parent.parent.iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")
def test_a_photo_of_too_many_scans_is_refused_and_no_process_outlives_the_server(
    start: Callable[..., Running], models: dict[str, Path], photos: list[bytes]
) -> None:
    for end in ("terminate", "kill"):
        running = start(f"it={models['species']}", "--threads", 1)
        serves(running, photos[0])
        plain, progressive = photos[0], io.BytesIO()
        Image.open(io.BytesIO(plain)).save(progressive, "JPEG", progressive=True)
        scans = progressive.getvalue()[:-2] + MANY_SCANS + plain[-2:]
        status, _, content = running.ask("POST", "/predict", scans, JPEG)
        assert status == 422, content
        assert b"more scans than the limit" in content
        serves(running, plain)
        decoding = children(running)
        assert decoding
        getattr(running.process, end)()
        running.process.wait(20)
        until = time.monotonic() + 10
        while any(alive(number) for number in decoding):
            assert time.monotonic() < until
            time.sleep(0.05)


def alive(number: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return "zombie" not in Path(f"/proc/{number}/status").read_text()
    except OSError:
        return False


JPEG = {"content-type": "image/jpeg"}
MANY_SCANS = b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00\x7f" * 200
