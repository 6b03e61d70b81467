"""A server as its users run it: a process of its own, on loopback ports."""

import http.server
import io
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving_process import LAUNCH, PictureHost, Running


@pytest.fixture(scope="session")
def start() -> Iterator[Callable[..., Running]]:
    """Starts servers: `start("model.onnx", "--queue", "8")`."""
    running: list[Running] = []
    folder = Path(tempfile.mkdtemp(prefix="trapline-serve-"))

    def launch(*arguments: Any, **environment: str) -> Running:
        log = folder / f"{len(running)}.log"
        command = [
            sys.executable,
            "-c",
            LAUNCH,
            "serve",
            *map(str, arguments),
            "--port",
            "0",
            "--grpc-port",
            "0",
        ]
        with log.open("wb") as file:
            process = subprocess.Popen(command, stderr=file, env=os.environ | environment)
        until = time.monotonic() + 60
        while "Serving " not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.02)
        line = next(line for line in log.read_text().splitlines() if line.startswith("Serving "))
        ports = [int(word.rstrip("/,").rpartition(":")[2]) for word in line.split() if "127.0.0.1:" in word]
        running.append(Running(process, ports[0], ports[1] if len(ports) > 1 else 0, log))
        return running[-1]

    yield launch
    for one in running:
        one.process.kill()
        one.process.wait()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def models(
    write_tiny_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A single-label and a multi-label model file."""
    folder = tmp_path_factory.mktemp("served")
    return {
        "species": write_tiny_model(folder / "species.onnx", name="species"),
        "multi": write_tiny_model(folder / "multi.onnx", seed=3, name="multi", task="multi-label"),
    }


@pytest.fixture(scope="session")
def photos() -> list[bytes]:
    """Six JPEGs that differ."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(5)
    found = []
    for _ in range(6):
        buffer = io.BytesIO()
        pixels = random.integers(0, 255, (3, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((320, 240)).save(buffer, "JPEG", quality=90)
        found.append(buffer.getvalue())
    return found


@pytest.fixture(scope="session")
def picture_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PictureHost]:
    """`https://species.example:<port>`, on loopback."""
    if shutil.which("openssl") is None:
        pytest.skip("the certificate of the test's https server is made by openssl, which is not installed")
    folder = tmp_path_factory.mktemp("https")
    subject = ("-subj", "/CN=species.example", "-addext", "subjectAltName=DNS:species.example")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-keyout", "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", *key, "-days", "2", "-out", "cert.pem", *subject],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    answers: dict[str, tuple[int, dict[str, str], bytes]] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, content = answers.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(content)
                if self.path == "/slow.jpg":
                    time.sleep(5)
            except OSError:
                pass

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield PictureHost(server.server_port, folder / "cert.pem", answers)
    server.shutdown()


@pytest.fixture(scope="session")
def server(start: Callable[..., Running], models: dict[str, Path], picture_host: PictureHost) -> Running:
    """The server that most tests ask."""
    return start(
        *(f"{name}={path}" for name, path in models.items()),
        *("--queue", 32, "--deadline", 3, "--tf-output", "dense_2"),
        *("--allow-url", f"species.example:{picture_host.port}"),
        SSL_CERT_FILE=str(picture_host.certificate),
    )
