"""What a listening socket passes on to its connections."""

import socket

import pytest

pytest.importorskip("uvicorn")
from trapline.serving.http_server import bind


def test_a_connection_sends_small_answers_at_once() -> None:
    with bind("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        listening.setblocking(True)
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
