"""What the tests of the server share: its process, the host of a picture, a form."""

import http.client
import json
import signal
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

LAUNCH = """
import sys
from trapline.serving import fetch, http_server
http_server.HEAD_SECONDS = 1.0  # so that a test need not wait for ten
http_server.MOST_CONNECTIONS = 80
if "species.example" in " ".join(sys.argv):  # what the name service and the internet would do
    async def resolve(host, port):
        return ["127.0.0.1"]
    fetch.resolve, fetch.is_public = resolve, lambda address: True
from trapline.cli import main
main(sys.argv[1:])
"""


@dataclass
class Running:
    """A server's process."""

    process: subprocess.Popen[bytes]
    port: int
    grpc_port: int
    log: Path

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: dict[str, str] | None = None,
        seconds: float = 20,
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case) and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return (
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.read(),
            )
        finally:
            connection.close()

    def json(self, method: str, path: str, document: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and parsed body of an answer to JSON."""
        body = None if document is None else json.dumps(document)
        status, _, content = self.ask(method, path, body, {"content-type": "application/json", **headers})
        return status, json.loads(content)

    def connect(self) -> socket.socket:
        """A bare connection to the HTTP port."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def memory(self, which: str = "VmRSS") -> int:
        """MiB in use (VmHWM: at most so far); the test skips where the system does not say."""
        status = Path(f"/proc/{self.process.pid}/status")
        if not status.exists():
            pytest.skip("the memory of a process is read from /proc")
        line = next(line for line in status.read_text().splitlines() if line.startswith(which))
        return int(line.split()[1]) // 1024

    def stop(self) -> int:
        """Ask it to stop; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@dataclass
class PictureHost:
    """An https server that stands for the host of a picture, and the certificate that vouches for it."""

    port: int
    certificate: Path
    answers: dict[str, tuple[int, dict[str, str], bytes]]


def form(files: Mapping[str, bytes], fields: Mapping[str, str] | None = None) -> tuple[bytes, str]:
    """A multipart form of files by their names and of other fields, and its content type."""
    parts = [
        f'--edge-of-a-part\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()
        for name, value in (fields or {}).items()
    ]
    parts += [
        f'--edge-of-a-part\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        + content
        for name, content in files.items()
    ]
    return b"\r\n".join([*parts, b"--edge-of-a-part--\r\n"]), "multipart/form-data; boundary=edge-of-a-part"
