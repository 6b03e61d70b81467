"""How much of a model's speed is left behind a server, beside the published architecture and LitServe.

    python benchmarks/serve.py MODEL PHOTOS_FOLDER [--seconds 3] [--rounds 3]

All on this machine, over loopback, in one interleaved run: each round measures every server at 1, 8 and
32 clients in turn, and before each of them the *ceiling*: the same photos through the same model called
in this process, decoding included, one thread a core. A cell is requests a second over the ceiling
measured right before it; medians over the rounds. The clients share the machine's cores with what they
measure, so a ratio of 1 cannot be reached. *Processor* is the processor time of a request, all of a
server's processes together, over that of one of the ceiling's photos: it holds on a busy machine too,
where the ratio does not.

- **trapline**: `trapline serve`, one process; upload (multipart), Open Inference Protocol over HTTP
  (binary) and gRPC.
- **published architecture**: Flask under gunicorn, gRPC, and a model server behind it. The model server
  is a real NVIDIA Triton (nvidia-pytriton, Python backend on ONNX Runtime), standing for TensorFlow
  Serving. gunicorn has 8 threads where the published one has 1.
- **LitServe** with the same model, one worker process a core.

The rivals live in environments of their own, made by uv on the first run (network; about 1 GB). One that does
not start, or has answered nothing at the end of its turn, stops the run.
"""

import argparse
import asyncio
import http.client
import importlib.metadata
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import grpc
from running import jpegs, rival_python

from trapline import ModelFile
from trapline.models.cores import available_cores
from trapline.serving import protos
from trapline.serving.answers import answer

RIVALS = Path(__file__).parent / "rivals"
CLIENTS = (1, 8, 32)
SAME = [f"{name}=={importlib.metadata.version(name)}" for name in ("onnxruntime", "pillow")]
PACKAGES = {
    "triton": ("nvidia-pytriton", *SAME),
    "flask": ("flask", "gunicorn", "tritonclient[grpc]", *SAME[1:]),
    "litserve": ("litserve", "python-multipart", *SAME),
}
Ask = Callable[[int], Awaitable[None]]


@dataclass
class Cell:
    """What one server did with so many clients: a figure a round, latencies (ms) a request."""

    ratios: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    failed: int = 0


@dataclass(frozen=True)
class Server:
    """Its processes, and what makes so many clients of it."""

    pids: list[int]
    clients: Callable[[int], Awaitable[list[Ask]]]


# ---- servers


def free_port() -> int:
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def process(command: list[object], port: int, log: Path, **variables: str) -> Iterator[int]:
    """A server's process id, from when its port answers; with all its children it is ended after."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with log.open("wb") as file:
        started = subprocess.Popen(
            list(map(str, command)),
            stdout=file,
            stderr=file,
            env=plain | variables,
            cwd=RIVALS,
            start_new_session=True,
        )
    try:
        wait_for(port, started, log)
        yield started.pid
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            started.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)  # children that outlive it


def wait_for(port: int, started: subprocess.Popen[bytes], log: Path) -> None:
    """Until the port takes connections."""
    until = time.monotonic() + 120
    while time.monotonic() < until and started.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"A server did not start:\n{log.read_text()[-3000:]}")


def wait_for_model(port: int, name: str) -> None:
    """Until a server of the Open Inference Protocol, whose ports answer before, has loaded its model."""
    until, answered = time.monotonic() + 60, 0
    while answered != 200:
        with suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", f"/v2/models/{name}/ready")
            answered = connection.getresponse().status
            connection.close()
        if time.monotonic() > until:
            sys.exit(f"The rival on port {port} did not load its model.")
        time.sleep(0.1)


def processor_seconds(roots: list[int]) -> float:
    """Used so far by these processes and all that descend from them."""
    parents, used = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            words = stat.read_text().rpartition(")")[2].split()
            pid = int(stat.parent.name)
            parents[pid], used[pid] = int(words[1]), int(words[11]) + int(words[12])

    def belongs(pid: int) -> bool:
        while pid > 1 and pid not in roots:
            pid = parents.get(pid, 0)
        return pid in roots

    return sum(ticks for pid, ticks in used.items() if belongs(pid)) / os.sysconf("SC_CLK_TCK")


# ---- clients


def form(photo: bytes) -> tuple[bytes, str]:
    """An upload."""
    head = b'--edge\r\ncontent-disposition: form-data; name="file"; filename="a.jpg"\r\n'
    return (
        head + b"content-type: image/jpeg\r\n\r\n" + photo + b"\r\n--edge--\r\n",
        "multipart/form-data; boundary=edge",
    )


def v2_binary(photo: bytes) -> tuple[bytes, str, dict[str, str]]:
    """Open Inference Protocol over HTTP, the photo in binary."""
    raw = len(photo).to_bytes(4, "little") + photo
    tensor = {
        "name": "encoded",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"binary_data_size": len(raw)},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    return head + raw, "application/octet-stream", {"inference-header-content-length": str(len(head))}


async def http_clients(
    port: int, path: str, bodies: list[tuple[bytes, str, dict[str, str]]], count: int
) -> list[Ask]:
    """Clients that keep their connection, written on bare streams: they must cost little."""
    requests = []
    for body, kind, headers in bodies:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\n{lines}"
        requests.append(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    return [await _http_client(port, requests) for _ in range(count)]


async def _http_client(port: int, requests: list[bytes]) -> Ask:
    streams = [await asyncio.open_connection("127.0.0.1", port)]

    async def ask(turn: int) -> None:
        reader, writer = streams[0]
        try:
            writer.write(requests[turn % len(requests)])
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            body = await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            streams[0] = await asyncio.open_connection("127.0.0.1", port)
            raise RuntimeError("the connection was closed") from None
        if b"connection: close" in head:
            writer.close()
            streams[0] = await asyncio.open_connection("127.0.0.1", port)
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(body[:200].decode("utf-8", "replace"))

    return ask


async def grpc_clients(port: int, name: str, photos: list[bytes], count: int) -> list[Ask]:
    """Clients of the Open Inference Protocol over gRPC, each on a channel of its own."""
    request_type, response_type = protos.methods(protos.V2, "GRPCInferenceService")["ModelInfer"]
    requests = []
    for photo in photos:
        request = request_type(model_name=name)
        request.inputs.add(name="encoded", datatype="BYTES", shape=[1]).contents.bytes_contents.append(photo)
        requests.append(request.SerializeToString())
    asks = []
    for place in range(count):
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("grpc.client_id", place)])
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer", lambda raw: raw, response_type.FromString
        )

        async def ask(turn: int, call=call) -> None:
            found = await call(requests[turn % len(requests)], timeout=60)
            assert found.raw_output_contents

        asks.append(ask)
    return asks


async def load(asks: list[Ask], seconds: float, cell: Cell) -> float:
    """Every client asks again as soon as it is answered; requests a second."""
    turns = cycle(range(10**6))
    started = time.perf_counter()
    done = 0

    async def client(ask: Ask) -> None:
        nonlocal done
        while time.perf_counter() - started < seconds:
            began = time.perf_counter()
            try:
                await ask(next(turns))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
                cell.failed += 1
                print(f"failed: {error}", file=sys.stderr)
                await asyncio.sleep(0.05)
                continue
            cell.latencies.append(1000 * (time.perf_counter() - began))
            done += 1

    await asyncio.gather(*map(client, asks))
    return done / (time.perf_counter() - started)


def ceiling(model: ModelFile, photos: list[bytes], seconds: float) -> tuple[float, float]:
    """In this process, decoded and run, a thread a core: photos a second, processor seconds a photo."""
    cores, used = available_cores(), time.process_time()
    until = time.perf_counter() + seconds

    def work(place: int) -> int:
        done = 0
        while time.perf_counter() < until:
            answer(model, [photos[(place + done) % len(photos)]])
            done += 1
        return done

    started = time.perf_counter()
    with ThreadPoolExecutor(cores) as pool:
        done = sum(pool.map(work, range(cores)))
    return done / (time.perf_counter() - started), (time.process_time() - used) / done


# ---- the run


def measure(
    servers: dict[str, Server],
    model: ModelFile,
    photos: list[bytes],
    seconds: float,
    rounds: int,
) -> dict[tuple[str, int], Cell]:
    """Every server at every number of clients, in turn."""
    cells = {(name, clients): Cell() for name in servers for clients in CLIENTS}
    ceiling(model, photos, 1.0)

    async def one(server: Server, clients: int, cell: Cell) -> tuple[float, float]:
        asks = await server.clients(clients)
        await load(asks, min(0.5, seconds), Cell())  # warm
        used, known = processor_seconds(server.pids), len(cell.latencies)
        rate = await load(asks, seconds, cell)
        return rate, (processor_seconds(server.pids) - used) / max(1, len(cell.latencies) - known)

    for turn in range(rounds):
        for clients in CLIENTS:
            for name in servers:
                cell, answered = cells[name, clients], len(cells[name, clients].latencies)
                top, least = ceiling(model, photos, seconds / 2)
                rate, cost = asyncio.run(one(servers[name], clients, cell))
                if len(cell.latencies) == answered:
                    sys.exit(
                        f"{name} answered none of {clients} clients in {seconds:g} s: nothing is compared"
                    )
                cell.rates.append(rate)
                cell.costs.append(cost / least)
                cell.ratios.append(rate / top)
                print(
                    f"round {turn + 1}, {clients} clients, {name}: {rate:.1f}/s of {top:.1f}/s",
                    file=sys.stderr,
                )
    return cells


def show(
    cells: dict[tuple[str, int], Cell], model: ModelFile, photos: list[bytes], options: argparse.Namespace
) -> None:
    """The table, as Markdown."""
    size = statistics.mean(map(len, photos)) / 1000
    used = ("onnxruntime", "fastapi", "uvicorn", "grpcio")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in used)
    print(f"\n{len(photos)} photos of {size:.0f} KB; model '{model.card.name}'; {options.rounds} rounds")
    print(f"of {options.seconds:g} s a cell; {available_cores()} cores, Python {platform.python_version()},")
    print(f"{versions}; load average at the end {os.getloadavg()[0]:.1f}.\n")
    titles = ("server", "clients", "requests/s", "of the ceiling", "processor", "p50 ms", "p95 ms", "p99 ms")
    print("| " + " | ".join(titles) + " |\n|" + " --- |" * len(titles))
    for (name, clients), cell in cells.items():
        marks = (
            statistics.quantiles(cell.latencies, n=100) if len(cell.latencies) > 1 else [float("nan")] * 99
        )
        ratios = f"**{statistics.median(cell.ratios):.2f}** ({min(cell.ratios):.2f}–{max(cell.ratios):.2f})"
        figures = [
            f"{statistics.median(cell.rates):.1f}",
            ratios,
            f"{statistics.median(cell.costs):.2f}",
            *(f"{marks[place]:.0f}" for place in (49, 94, 98)),
        ]
        name += f" ({cell.failed} failed)" if cell.failed else ""
        print("| " + " | ".join([name, str(clients), *figures]) + " |")


def rivals(
    model: Path,
    card: Path,
    ports: list[int],
    uploads: list[tuple[bytes, str, dict[str, str]]],
    start: Callable[..., int],
) -> dict[str, Server]:
    """The published architecture and LitServe, started."""
    python = {name: rival_python(name, packages) for name, packages in PACKAGES.items()}
    cores, library = available_cores(), str(Path(sys.base_prefix) / "lib")
    behind = [python["triton"], RIVALS / "triton_server.py", model, "species", ports[0], ports[1], cores]
    front = [python["flask"], "-m", "gunicorn", "--threads", 8, "--keep-alive", 75]
    front += ["--bind", f"127.0.0.1:{ports[2]}", "published_gateway:app"]
    told = {"MODEL_CARD": str(card), "MODEL_NAME": "species", "BACKEND": f"127.0.0.1:{ports[1]}"}
    published = [start(behind, ports[1], LD_LIBRARY_PATH=library), start(front, ports[2], **told)]
    wait_for_model(ports[0], "species")
    lit = [start([python["litserve"], RIVALS / "litserve_server.py", model, ports[3], cores], ports[3])]
    return {
        "Flask + gRPC + Triton": Server(published, lambda n: http_clients(ports[2], "/predict", uploads, n)),
        "LitServe": Server(lit, lambda n: http_clients(ports[3], "/predict", uploads, n)),
    }


def main() -> None:
    """Start every server, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only-trapline", action="store_true")
    options = parser.parse_args()
    path = options.model.resolve()
    model = ModelFile(path, threads=1)
    photos = [file.read_bytes() for file in jpegs(options.photos, 64)]
    ports = [free_port() for _ in range(6)]
    uploads = [(*form(photo), {}) for photo in photos]
    binaries = [v2_binary(photo) for photo in photos]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "card.json").write_text(model.card.model_dump_json())
        source = os.environ.get("PYTHONPATH", "")
        ours = [sys.executable, "-m", "trapline", "serve", f"species={path}"]
        ours += ["--port", ports[0], "--grpc-port", ports[1]]
        with ExitStack() as running:

            def start(command: list[object], port: int, **variables: str) -> int:
                log = folder / str(port)
                return running.enter_context(process(command, port, log, **variables))

            mine = [start(ours, ports[0], PYTHONPATH=source)]
            servers = {
                "trapline, upload": Server(mine, lambda n: http_clients(ports[0], "/predict", uploads, n)),
                "trapline, v2 HTTP": Server(
                    mine, lambda n: http_clients(ports[0], "/v2/models/species/infer", binaries, n)
                ),
                "trapline, v2 gRPC": Server(mine, lambda n: grpc_clients(ports[1], "species", photos, n)),
            }
            if not options.only_trapline:
                servers |= rivals(path, folder / "card.json", ports[2:], uploads, start)
            cells = measure(servers, model, photos, options.seconds, options.rounds)
        show(cells, model, photos, options)


if __name__ == "__main__":
    main()
