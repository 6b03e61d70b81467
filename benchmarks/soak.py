"""A bounded soak of `trapline serve`: load, killed workers, replaced models, hostile clients.

    python benchmarks/soak.py MODEL OTHER_MODEL PHOTOS_FOLDER [--requests 20000] [--clients 8]

Starts a server of two workers on loopback. Honest clients send uploads, Open Inference Protocol and
TensorFlow Serving requests and compare every answer with the one computed in this process by the model
whose fingerprint the answer states; TensorFlow Serving's protocol has no place for it, so those answers
are compared with either model's. Meanwhile, on a fixed beat of requests, a worker is killed with
SIGKILL, the model file is replaced by the other one and back, and hostile clients send garbage, half
requests and too much. A request whose connection dies with its worker is sent again, as a client would;
so is one that is told the server is busy.

Prints Markdown; leaves with status 1 if an answer was wrong or missing.
"""

import argparse
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import grpc
import numpy as np
from running import jpegs

from trapline import ModelFile
from trapline.serving import protos
from trapline.serving.answers import answer

ATTEMPTS = 200


class Soak:
    """The server, what it should say, and what happened."""

    def __init__(self, models: list[Path], photos: list[bytes], folder: Path) -> None:
        self.photos, self.models = photos, models
        self.served = folder / "served.onnx"
        shutil.copy(models[0], self.served)
        opened = [ModelFile(path, threads=1) for path in models]
        self.expected = {
            model.fingerprint: np.stack([one.probabilities for one in answer(model, photos)])
            for model in opened
        }
        self.log = folder / "log"
        self.counts: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.memory: list[float] = []
        command = ["serve", f"it={self.served}", "--port", "0", "--grpc-port", "0", "--workers", "2"]
        with self.log.open("wb") as file:
            self.process = subprocess.Popen([sys.executable, "-m", "trapline", *command], stderr=file)
        while "Serving" not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        found = re.findall(r"127\.0\.0\.1:(\d+)", self.log.read_text())
        self.port, self.grpc_port = int(found[0]), int(found[1])

    def count(self, what: str) -> int:
        """Note that something happened; how often it has."""
        with self.lock:
            self.counts[what] += 1
            return self.counts[what]

    def workers(self) -> list[int]:
        """The processes that serve."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [pid for pid in map(int, children) if "spawn_main" in _command(pid)]

    # ---- honest clients

    def check(self, photo: int, found: np.ndarray, fingerprint: str | None) -> None:
        """Compare an answer with the one that this process computed."""
        wanted = [self.expected[fingerprint]] if fingerprint else list(self.expected.values())
        if any(one.shape[1] == found.size and np.abs(one[photo] - found).max() < 1e-4 for one in wanted):
            self.count("right")
        else:
            self.count("WRONG")

    def upload(self, photo: int) -> None:
        """`/predict`."""
        document = self._post("/predict", self.photos[photo], "image/jpeg")
        found = np.array(list(document["answers"][0]["probabilities"].values()))
        self.check(photo, found, document["model"]["fingerprint"])

    def tensorflow(self, photo: int) -> None:
        """`/v1/models/it:predict`."""
        import base64

        body = json.dumps({"instances": [{"b64": base64.b64encode(self.photos[photo]).decode()}]}).encode()
        document = self._post("/v1/models/it:predict", body, "application/json")
        self.check(photo, np.array(document["predictions"][0]), None)

    def v2(self, photo: int) -> None:
        """Open Inference Protocol over gRPC."""
        request_type, response_type = protos.methods(protos.V2, "GRPCInferenceService")["ModelInfer"]
        request = request_type(model_name="it")
        request.inputs.add(name="encoded", datatype="BYTES", shape=[1]).contents.bytes_contents.append(
            self.photos[photo]
        )
        with grpc.insecure_channel(
            f"127.0.0.1:{self.grpc_port}", [("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            path = "/inference.GRPCInferenceService/ModelInfer"
            call = channel.unary_unary(path, request_type.SerializeToString, response_type.FromString)
            response = call(request, timeout=30)
        fingerprint = response.parameters["fingerprint"].string_param
        self.check(photo, np.frombuffer(response.raw_output_contents[0], "<f4"), fingerprint)

    def _post(self, path: str, body: bytes, kind: str) -> dict:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", path, body, {"content-type": kind})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status in (429, 503, 504):
            raise ConnectionError(f"status {response.status}")
        if response.status != 200:
            raise RuntimeError(f"status {response.status}: {content[:200]!r}")
        return json.loads(content)

    def honest(self, turn: int) -> None:
        """One request, tried again until it is answered."""
        ask: Callable[[int], None] = (self.upload, self.v2, self.upload, self.tensorflow)[turn % 4]
        for _ in range(ATTEMPTS):
            try:
                ask(turn % len(self.photos))
                return
            except (OSError, http.client.HTTPException):
                self.count("sent again")
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
                    print(f"gRPC: {error.code()} {error.details()}", file=sys.stderr)
                    self.count("WRONG")
                    return
                self.count("sent again")
            except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
                print(f"unexpected: {error}", file=sys.stderr)
                self.count("WRONG")
                return
            time.sleep(0.1)
        self.count("LOST")

    # ---- trouble

    def kill(self) -> None:
        """End a worker without a word."""
        workers = self.workers()
        if len(workers) == 2:
            os.kill(random.choice(workers), signal.SIGKILL)
            self.count("workers killed")

    def replace(self) -> None:
        """Put the other model in the place of the one that is served."""
        turn = self.count("models replaced")
        new = self.served.with_suffix(".new")
        shutil.copy(self.models[turn % 2], new)
        new.replace(self.served)

    def attack(self) -> None:
        """Garbage, half a request, too much; none waits for an answer."""
        head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\n"
        bodies = [
            (self.port, os.urandom(2000)),
            (self.port, head + b"content-length: 500000000\r\n\r\n" + b"x" * 200_000),
            (self.port, head + b"content-length: 1000\r\n\r\nhalf"),
            (self.port, head + b"content-length: 3\r\n\r\nxyz" + head),
            (self.port, b"GET / HTTP/1.1\r\n" + b"x: " + b"y" * 200_000),
            (self.grpc_port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(2000)),
        ]
        port, content = bodies[self.count("attacks") % len(bodies)]
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(content)

    def measure(self) -> None:
        """The memory of the larger worker, MiB."""
        sizes = [_memory(pid) for pid in self.workers()]
        self.memory.append(max(sizes, default=0.0))


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def _memory(pid: int) -> float:
    with suppress(OSError):
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0
    return 0.0


def main() -> int:
    """Run it and say what happened."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args()
    photos = [file.read_bytes() for file in jpegs(options.photos, 24)]
    with tempfile.TemporaryDirectory() as name:
        soak = Soak([options.model, options.other], photos, Path(name))
        beat = max(1, options.requests // options.kills)
        started = time.monotonic()

        def turn(place: int) -> None:
            soak.honest(place)
            if place % beat == beat // 3:
                soak.kill()
            if place % beat == 2 * beat // 3:
                soak.replace()
            if place % 10 == 0:
                soak.attack()
            if place % max(1, options.requests // 100) == 0:
                soak.measure()

        with ThreadPoolExecutor(options.clients) as pool:
            list(pool.map(turn, range(options.requests)))
        seconds = time.monotonic() - started
        soak.process.terminate()
        status = soak.process.wait(60)
    tenth = max(1, len(soak.memory) // 10)
    first, last = max(soak.memory[tenth : 3 * tenth]), max(soak.memory[-2 * tenth :])
    print("| what | figure |\n| --- | --- |")
    print(f"| requests | {options.requests} by {options.clients} clients in {seconds:.0f} s |")
    for what in ("right", "WRONG", "LOST", "sent again", "workers killed", "models replaced", "attacks"):
        print(f"| {what.lower()} | {soak.counts[what]} |")
    print(f"| largest worker, MiB: early, late, most | {first:.0f}, {last:.0f}, {max(soak.memory):.0f} |")
    print(f"| exit status after SIGTERM | {status} |")
    return int(soak.counts["right"] != options.requests or status != 0)


if __name__ == "__main__":
    sys.exit(main())
