"""What do clients that mean no good cost a server? Its memory, its statuses, and whether others are answered.

    python benchmarks/hostile.py MODEL [--only requests|photos|models] [--share 1] [--seconds N]
                                [--schemathesis N]

Starts `trapline serve MODEL`, one process, for each line of the table: 10,000 one-byte requests, a body of
500 MB, 700 silent connections, large gRPC calls without the token and with it, numbers in JSON; photos that
are dear to decode, and a model file that is endless, or answers NaN, in place of the served one, both under
honest load and ended by SIGTERM in the middle of it. With --share, for a small machine,
the one-byte requests, the calls and the pixels of the JPEG 2000 are that share of those named. With
--schemathesis it also has schemathesis (fetched by uv into an environment of its own) make requests from the
description of the interfaces for that long. Prints Markdown; leaves with status 1 if a server ended, if an
honest client was not answered, or if schemathesis found a fault. Linux only: memory is read from /proc.
"""

import argparse
import http.client
import io
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from trapline.serving import protos

SCHEMATHESIS = "schemathesis==4.32.5"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
BODY = (("a", TensorProto.BOOL, []), ("b", TensorProto.FLOAT, None))
HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\n"
TOKEN = "open-sesame"


class Server:
    """A server's process."""

    def __init__(self, process: subprocess.Popen[bytes], ports: list[int]) -> None:
        self.process, (self.port, self.grpc_port) = process, ports
        self.stopped = False

    def memory(self, which: str) -> int:
        """MiB: VmRSS now, VmHWM at most so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{which}:\s+(\d+)", status)[1]) // 1024

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def honest(self) -> float:
        """Seconds until a probe is answered."""
        started = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/health/live")
        assert connection.getresponse().status == 200
        connection.close()
        return time.monotonic() - started

    def slowest_while(self, working: ThreadPoolExecutor) -> float:
        """The longest that a probe waited until the pool had done its work."""
        waited = [self.honest()]
        with ThreadPoolExecutor(1) as watcher:
            ended = watcher.submit(working.shutdown)
            while not ended.done():
                waited.append(self.honest())
                time.sleep(0.05)
        return max(waited)


@contextmanager
def server(model: Path, *options: str) -> Iterator[Server]:
    """A server that is ended afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "trapline", "serve", f"it={model}", *options]
        with log.open("wb") as file:
            process = subprocess.Popen([*command, "--port", "0", "--grpc-port", "0"], stderr=file)
        while "Serving" not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        try:
            ports = [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", log.read_text())]
            running = Server(process, ports)
            yield running
            assert running.stopped or process.poll() is None, log.read_text()
        finally:
            process.terminate()
            process.wait(60)


def read_all(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    found = b""
    with suppress(OSError):
        while chunk := connection.recv(2**16):
            found += chunk
    return found


def tiny(running: Server, share: float) -> str:
    """10,000 one-byte requests, pipelined over 10 connections."""
    one = HEAD + b"content-length: 1\r\n\r\nx"
    started, answered = time.monotonic(), 0
    for _ in range(10):
        with running.connect() as connection:
            connection.sendall(one * (round(1000 * share) - 1))
            connection.sendall(one.replace(b"host: x", b"host: x\r\nconnection: close"))
            answered += read_all(connection).count(b"HTTP/1.1 422")
    return f"{answered:,} answered 422 in {time.monotonic() - started:.1f} s"


def large(running: Server) -> str:
    """A body of 500 MB sent in pieces."""
    sent = 0
    with running.connect() as connection, suppress(OSError):
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        while sent < 500:
            connection.sendall(b"100000\r\n" + bytes(2**20) + b"\r\n")
            sent += 1
    return f"cut off after {sent} MiB"


def silent(running: Server) -> str:
    """700 silent connections (512 are kept)."""
    connections = [running.connect() for _ in range(700)]
    waited = max(running.honest() for _ in range(5))
    for connection in connections:
        connection.close()
    return f"a probe is answered in {1000 * waited:.0f} ms"


def calls(running: Server, token: str, share: float) -> str:
    """60 gRPC calls of 30 MiB, 10 at a time."""
    request = protos.message(protos.V2, "ModelInferRequest")(
        model_name="it", raw_input_contents=[bytes(30 * 2**20)]
    )
    request.inputs.add(name="images", datatype="UINT8", shape=[1, 1, 1, 3])
    content, found = request.SerializeToString(), Counter()

    def ask() -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(f"127.0.0.1:{running.grpc_port}", options) as channel:
            call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            try:
                call(content, timeout=60, metadata=(("authorization", f"Bearer {token}"),))
            except grpc.RpcError as error:
                found[error.code().name] += 1

    pool = ThreadPoolExecutor(10)
    for _ in range(round(60 * share)):
        pool.submit(ask)
    waited = running.slowest_while(pool)
    statuses = ", ".join(f"{number} {name}" for name, number in found.most_common())
    return f"{statuses}; a probe waited {1000 * waited:.0f} ms at most"


def numbers(running: Server) -> str:
    """6 bodies of 15 MB of numbers in JSON at one time."""
    body = json.dumps({"instances": [[[200] * 3] * 1000] * 1100}, separators=(",", ":")).encode()
    found: Counter[int] = Counter()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
        headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
        connection.request("POST", "/v1/models/it:predict", body, headers)
        found[connection.getresponse().status] += 1
        connection.close()

    pool = ThreadPoolExecutor(6)
    for _ in range(6):
        pool.submit(ask)
    waited = running.slowest_while(pool)
    statuses = ", ".join(f"{number} × {status}" for status, number in found.items())
    return f"{statuses}; a probe waited {1000 * waited:.0f} ms at most"


def spoilt(good: Path, how: str) -> bytes:
    """The model file with another end: `endless` (a loop) or `NaN`."""
    model = onnx.load(good)
    graph, same = model.graph, [helper.make_node("Identity", [f"{end} in"], [f"{end} out"]) for end in "ab"]
    for node in graph.node:
        node.output[:] = ["fair" if name == "probabilities" else name for name in node.output]
    graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    graph.initializer.append(numpy_helper.from_array(np.array(np.nan, np.float32), "nothing"))
    ends = [
        [helper.make_tensor_value_info(f"{end} {way}", kind, shape) for end, kind, shape in BODY]
        for way in ("in", "out")
    ]
    count = helper.make_tensor_value_info("round", TensorProto.INT64, [])
    body = helper.make_graph(same, "body", [count, *ends[0]], ends[1])
    graph.node.append(
        helper.make_node("Loop", ["", "yes", "fair"], ["probabilities"], body=body)
        if how == "endless"
        else helper.make_node("Mul", ["fair", "nothing"], ["probabilities"])
    )
    return model.SerializeToString()


class Honest:
    """Clients that ask about a photo, one after the other, until told to stop."""

    def __init__(self, running: Server, clients: int = 2) -> None:
        self.running, self.going, self.waited = running, True, []
        self.answers: Counter[str] = Counter()
        self.begun: dict[int, float] = {}
        file = io.BytesIO()
        noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
        Image.fromarray(noise).save(file, "JPEG")
        self._photo, self._pool = file.getvalue(), ThreadPoolExecutor(clients)
        self._asking = [self._pool.submit(self._ask) for _ in range(clients)]

    def _ask(self) -> None:
        while self.going:
            started = self.begun[threading.get_ident()] = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", self.running.port, timeout=60)
            try:
                connection.request("POST", "/predict", self._photo, {"content-type": "image/jpeg"})
                response = connection.getresponse()
                document = json.loads(response.read())
                self.answers[document["model"]["fingerprint"] if response.status == 200 else "refused"] += 1
            except (OSError, http.client.HTTPException):
                self.answers["no answer"] += 1
                time.sleep(0.05)
            finally:
                connection.close()
            self.waited.append((started, time.monotonic() - started))

    def longest(self) -> float:
        """Seconds that a client which is not answered yet has been waiting."""
        return max(time.monotonic() - started for started in self.begun.values())

    def p99(self, since: float) -> float:
        """Milliseconds that the slowest hundredth of the requests since then waited at least; those that are
        not answered yet have waited until now.
        """
        waited = [seconds for started, seconds in list(self.waited) if started >= since]
        waited += [self.longest()] if self.longest() > max(waited, default=0) else []
        return 1000 * float(np.percentile(waited, 99)) if waited else float("nan")

    def stop(self) -> None:
        """Wait for the last answers."""
        self.going = False
        self._pool.shutdown()


def segment(marker: int, content: bytes) -> bytes:
    """Of a JPEG."""
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def many_scans(side: int = 7000, scans: int = 50_000) -> bytes:
    """A grey progressive JPEG whose scans say next to nothing; a decoder passes over the picture for each."""
    blocks, table = ((side + 7) // 8) ** 2, bytes([1] + [0] * 15)
    head = b"\xff\xd8" + segment(0xDB, b"\0" + bytes([1]) * 64)
    head += segment(0xC2, b"\x08" + side.to_bytes(2, "big") * 2 + b"\x01\x01\x11\x00")
    head += segment(0xC4, b"\x00" + table + b"\x00") + segment(0xC4, b"\x10" + table + b"\xe0")
    first = segment(0xDA, b"\x01\x01\x00\x00\x00\x00") + bytes(-(-blocks // 8))
    bits = ("0" + "1" * 14) * -(-blocks // 32767)
    bits += "1" * (-len(bits) % 8)
    runs = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    return head + first + (segment(0xDA, b"\x01\x01\x00\x01\x3f\x00") + runs) * scans + b"\xff\xd9"


def many_frames(frames: int = 2_000_000) -> bytes:
    """A GIF of one pixel and that many frames."""
    head = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff"
    return head + b",\0\0\0\0\1\0\1\0\0\2\2\x44\1\0" * frames + b";"


def slow(share: float) -> bytes:
    """A JPEG 2000 of 49 million pixels: a legal photo that takes a decoder seconds."""
    side = round(7000 * share**0.5)
    small = np.random.default_rng(0).integers(0, 256, (side // 4, side // 4, 3), dtype=np.uint8)
    file = io.BytesIO()
    large = Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)
    large.save(file, "JPEG2000", quality_mode="rates", quality_layers=[60])
    return file.getvalue()


PHOTOS = {
    "JPEG of 50,000 scans": lambda share: many_scans(),
    "GIF of 2,000,000 frames": lambda share: many_frames(),
    "JPEG 2000 of 49 million pixels": slow,
}


def attacked(good: Path, content: bytes, seconds: float) -> tuple[str, bool]:
    """Four at a time of a hostile photo under honest load; and whether everybody honest was answered."""
    statuses: Counter[object] = Counter()
    with server(good) as running:
        honest, began = Honest(running), time.monotonic()
        time.sleep(seconds)
        before, since = honest.p99(began), time.monotonic()
        going = threading.Event()

        def attack() -> None:
            while not going.is_set():
                statuses[post(running.port, content)] += 1

        attackers = [threading.Thread(target=attack, daemon=True) for _ in range(4)]
        for attacker in attackers:
            attacker.start()
        time.sleep(seconds)
        waiting = honest.longest()
        lied = waiting > 5 and ready(running.port)
        during, answers = honest.p99(since), dict(honest.answers)
        ended = stop(running)
        going.set()
    honest.stop()
    found = ", ".join(f"{number} × {status}" for status, number in statuses.items()) or "no answer yet"
    fine = len(answers) == 1 and "refused" not in answers and waiting < 5 and ended is not None
    told = f"{ended:.1f} s" if ended is not None else "not within 60 s"
    return (
        f"{found}; p99 {before:.0f} ms before, {during:.0f} ms during; "
        f"{'' if len(answers) == 1 else f'answers {answers}; '}"
        f"{f'an honest client has been waiting for {waiting:.0f} s; ' if waiting > 5 else ''}"
        f"{'ready all the same; ' if lied else ''}ended {told} after SIGTERM",
        fine,
    )


def stop(running: Server) -> float | None:
    """Seconds that the server takes to end after SIGTERM; None if it has to be killed after a minute."""
    running.stopped = True
    running.process.terminate()
    started = time.monotonic()
    try:
        running.process.wait(60)
    except subprocess.TimeoutExpired:
        running.process.kill()
        return None
    return time.monotonic() - started


def post(port: int, content: bytes) -> object:
    """Status of the answer to a photo."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", "/predict", content, {"content-type": "image/jpeg"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        time.sleep(0.05)
        return "no answer"
    finally:
        connection.close()


def ready(port: int) -> bool:
    """Whether the server says that it is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def replaced(good: Path, how: str, seconds: float) -> tuple[str, bool]:
    """A bad model in place of the served one, under honest load; and whether nobody noticed."""
    with tempfile.TemporaryDirectory() as folder:
        served, bad = Path(folder) / "model.onnx", Path(folder) / "bad.onnx"
        served.write_bytes(good.read_bytes())
        bad.write_bytes(spoilt(good, how))
        with server(served) as running:
            honest, began = Honest(running), time.monotonic()
            time.sleep(seconds)
            before, since = honest.p99(began), time.monotonic()
            bad.replace(served)
            time.sleep(seconds)
            during, answers = honest.p99(since), dict(honest.answers)
            stopping = time.monotonic()  # the server is told to stop when the block is left
        ended = time.monotonic() - stopping
        honest.stop()
    stayed = len(answers) == 1 and "refused" not in answers
    kept = "the old model stayed" if stayed else f"answers {answers}"
    return (
        f"p99 {before:.0f} ms before, {during:.0f} ms during; {kept}; ended {ended:.1f} s after SIGTERM, "
        f"status {running.process.returncode}",
        stayed and running.process.returncode == 0,
    )


def described(model: Path, seconds: int) -> tuple[str, bool]:
    """What schemathesis finds, and whether that is nothing."""
    with server(model) as running:
        command = ["uv", "run", "--no-project", "--with", SCHEMATHESIS, "schemathesis", "run", "--seed", "1"]
        command += ["--checks", CHECKS, "--max-time", str(seconds), "--no-color", "--warnings", "off"]
        address = f"http://127.0.0.1:{running.port}/openapi.json"
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [*command, address], capture_output=True, text=True, check=False, cwd=folder
            )
        print(done.stdout, file=sys.stderr)
        cases = re.findall(r"(\d[\d,]*) generated", done.stdout)
        return f"{cases[-1] if cases else '?'} cases, status {done.returncode}", done.returncode == 0


def requests(model: Path, share: float) -> None:
    """Print what requests that hold no hostile photo do."""
    attacks = ((tiny, (share,), ()), (large, (), ()), (silent, (), ()), (numbers, (), ("--token", TOKEN)))
    for attack, size, given in attacks:
        with server(model, *given) as running:
            before, found = running.memory("VmRSS"), attack(running, *size)
            print(
                f"| {attack.__doc__.rstrip('.')} | {found} | {before} | {running.memory('VmHWM')} |",
                flush=True,
            )
    for who, token in (("without the token", "guess"), ("with it", TOKEN)):
        with server(model, "--token", TOKEN) as running:
            before, found = running.memory("VmRSS"), calls(running, token, share)
            print(
                f"| {calls.__doc__.rstrip('.')}, {who} | {found} | {before} | {running.memory('VmHWM')} |",
                flush=True,
            )


def main() -> int:
    """Attack."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument(
        "--seconds", type=float, default=10, help="of honest load before and during an attack"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the size of the dearest attacks")
    parser.add_argument("--only", choices=("requests", "photos", "models"))
    parser.add_argument("--schemathesis", type=int, metavar="SECONDS")
    options = parser.parse_args()
    if options.share != 1:
        print(f"One-byte requests, calls and pixels: {options.share:g} of those named.\n")
    print("| what | found | MiB before | at most |\n| --- | --- | --- | --- |")
    if options.only in (None, "requests"):
        requests(options.model, options.share)
    good = True
    for name, make in PHOTOS.items() if options.only in (None, "photos") else ():
        found, fine = attacked(options.model, make(options.share), options.seconds)
        good = good and fine
        print(f"| {name}, 4 at a time | {found} | | |", flush=True)
    for how in ("endless", "NaN") if options.only in (None, "models") else ():
        found, unnoticed = replaced(options.model, how, options.seconds)
        good = good and unnoticed
        print(f"| A model that is {how} in place of the served one | {found} | | |", flush=True)
    if options.schemathesis:
        found, fine = described(options.model, options.schemathesis)
        good = good and fine
        print(f"| {SCHEMATHESIS}, seed 1 | {found} | | |")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
