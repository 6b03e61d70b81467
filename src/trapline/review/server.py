"""One review, served on this machine until it is stopped."""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
from collections.abc import Callable
from urllib.parse import quote

from trapline.errors import TraplineError, UsageError
from trapline.review.app import build_app
from trapline.review.desk import Desk
from trapline.review.door import Door
from trapline.serving import HttpServer, bind

_LAST_SECONDS = 5.0
"""For requests that are being answered when the server is told to stop."""


def as_token(text: str | None) -> str:
    """What the link is to end with; a new one where nobody names any.

    Raises:
        UsageError: it cannot stand in a header.
    """
    if text and not (text.isascii() and text.isprintable() and " " not in text):
        raise UsageError("A token has letters, digits and signs of ASCII, without spaces between them.")
    return text or secrets.token_urlsafe(24)  # 192 bits that nobody can guess


def serve_review(desk: Desk, host: str, port: int, token: str, started: Callable[[str], object]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        desk: the review.
        host: the address to listen on.
        port: 0 for that of before, where pages that are still open look for it, else any free one.
        token: that the link ends with.
        started: told the link once requests are answered.

    Raises:
        TraplineError: the address cannot be had.
    """
    try:
        listening = bind(host, port) if port else bind_again(host, desk.port_before)
    except OSError as error:
        raise TraplineError(
            f"Port {port} on {host} cannot be had: {error.strerror or error}. Choose others with --port "
            "or --host."
        ) from None
    with listening:
        asyncio.run(_serve(desk, host, listening, token, started))


def bind_again(host: str, port_before: int) -> socket.socket:
    """A listening socket, at the port of before if that is free."""
    try:
        return bind(host, port_before)
    except OSError:  # somebody else has it now
        return bind(host, 0)


async def _serve(
    desk: Desk, host: str, listening: socket.socket, token: str, started: Callable[[str], object]
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    port = listening.getsockname()[1]
    server = HttpServer(Door(build_app(desk), token, host, port), _LAST_SECONDS)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    desk.served(link(host, port, token))
    started(link(host, port, token))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await running
    stopping.cancel()


def link(host: str, port: int, token: str) -> str:
    """The address to open; on every address of the machine that by which others know it."""
    shown = socket.gethostname() if host in ("0.0.0.0", "::", "") else host  # noqa: S104
    shown = f"[{shown}]" if ":" in shown else shown
    return f"http://{shown}:{port}/?token={quote(token, safe='')}"
