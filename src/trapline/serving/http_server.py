"""uvicorn's HTTP server with bounds that it lacks: on a head's size and time, and on connections. What breaks
before there is a request for the application is refused in JSON too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trapline.serving.refusals import HEAD_TOO_LARGE, INVALID, RefusalKind, RefusedError
from trapline.serving.settings import HEAD_SECONDS, MOST_CONNECTIONS, MOST_HEAD


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Whoever sends its request's head slowly or endlessly is cut off, and so is who sends
    endlessly what is neither head nor body (the trailers of a chunked body); whoever closes only its own half
    after a whole request still gets the answer.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = False
        self._bytes_beside_body = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected; if that is one too many, another is sent away."""
        super().connection_made(transport)
        self._since = self.loop.time()
        if len(self.connections) > MOST_CONNECTIONS:
            self._least_useful().transport.abort()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have come: bound those that are no body."""
        self._bytes_beside_body += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._bytes_beside_body > MOST_HEAD:
            if self._in_head:
                self._refuse_head()
            self.transport.close()
        if self._head_timer is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP. A whole request before it still gets its answer, and the connection ends."""
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            if self._bytes_beside_body > MOST_HEAD:
                self._refuse_head()
            elif self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
                self._refuse(INVALID, "What was sent is no request in HTTP/1.1.")
            self.transport.close()
        else:
            self.cycle.keep_alive = False

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the head; a trailer, which nobody here reads, is dropped."""
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._bytes_beside_body = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        super().on_headers_complete()
        self._in_head, self._bytes_beside_body = False, 0
        self._since = self.loop.time()
        self._stop_timer()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keep the connection for the answer if the request came whole."""
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            return None
        self.cycle.keep_alive = False
        return True

    def _least_useful(self) -> HttpToolsProtocol:
        """The connection to give up: the oldest without a whole head, else without a whole body."""
        others = [
            one
            for one in self.connections
            if isinstance(one, BoundedProtocol) and one is not self and not one.transport.is_closing()
        ]
        idle = [one for one in others if one.cycle is None or one.cycle.response_complete]
        partial = [one for one in others if one.cycle is not None and one.cycle.more_body]
        return min(idle or partial, key=lambda one: one._since, default=self)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_too_slow)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_too_slow(self) -> None:
        self._head_timer = None
        self.transport.close()

    def _refuse_head(self) -> None:
        self._refuse(HEAD_TOO_LARGE, f"A request's head may have at most {MOST_HEAD} bytes.")

    def _refuse(self, kind: RefusalKind, why: str) -> None:
        """Answer outside of any request that the application knows of."""
        body = json.dumps(RefusedError(kind, why).document()).encode()
        head = (
            f"HTTP/1.1 {kind.http} {HTTPStatus(kind.http).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)


class HttpServer(uvicorn.Server):
    """uvicorn's server, whose signals are somebody else's business."""

    def __init__(self, app: Any, seconds_to_stop: float) -> None:
        config = uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=max(1, round(seconds_to_stop)),
        )
        super().__init__(config)

    def stop_listening(self) -> None:
        """Take no new connections; those that there are go on."""
        for server in self.servers:
            server.close()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        OSError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    everywhere = host == "::" and socket.has_dualstack_ipv6()
    listening = socket.create_server((host, port), family=family, backlog=1024, dualstack_ipv6=everywhere)
    # Connections inherit it; asyncio sets it on its own sockets only. Without it the second part of an answer
    # waits 40 ms for the client's delayed acknowledgement of the first.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setblocking(False)
    return listening
