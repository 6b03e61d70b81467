"""The health check of the images: ready only if the server says so."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from trapline.serving.ready import is_ready


@contextmanager
def server(status: int) -> Iterator[int]:
    """A server that answers `/health/ready` with a status, everything else with 404; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health/ready" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running.server_port
        running.shutdown()


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False), (500, False), (204, False)])
def test_only_a_server_that_says_so_is_ready(status: int, ready: bool) -> None:
    with server(status) as port:
        assert is_ready(port) is ready


def test_where_nothing_listens_nothing_is_ready() -> None:
    with server(200) as port:
        pass
    assert not is_ready(port, seconds=0.5)
