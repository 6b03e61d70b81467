"""Who may come in: the token, the address that is asked for, where a request comes from, how much it is."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import socket
import sqlite3
from urllib.parse import parse_qs

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trapline.errors import TraplineError
from trapline.serving import (
    FORBIDDEN,
    INVALID,
    NOT_FOUND,
    NOT_READY,
    UNAUTHENTICATED,
    RefusalKind,
    RefusedError,
    internal,
)

log = logging.getLogger("trapline.review")

MOST_BODY = 4 * 2**20
"""Bytes of a request: thousands of decisions."""

HEADER = b"x-trapline-review"
"""Requests that change something have it; a form on another page cannot send it."""

SECURITY = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}

_WELCOME = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Trapline</title>
<link rel="icon" href="/static/icon.svg"><meta http-equiv="refresh" content="0;url=/">
<p><a href="/">Go on to the page</a></p></html>"""
"""After the link with the token: the way to the page without it, so that it stands in no history. A redirect
would not do, since browsers count it as coming from where the link stood, and keep the cookie back."""

_NO_ENTRY = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Trapline</title>
<h1>This page needs its link</h1><p>Open the link that <code>trapline review</code> printed where it was
started; it ends with a token. A server that was started anew has another.</p></html>"""


class Door:
    """Around the application: lets in who shows the token, by its link, a cookie or a header.

    Args:
        app: what is behind it.
        token: compared in constant time.
        host: on which the server listens.
        port: likewise; the cookie is called after it, since browsers share cookies among ports.
    """

    def __init__(self, app: ASGIApp, token: str, host: str, port: int) -> None:
        self._app, self._token, self._port = app, token.encode(), port
        self.cookie = f"trapline-review-{port}"
        self._hosts = own_names(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse, a request."""
        if scope["type"] != "http":
            return
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        response = self._refused(Request(scope))
        if response is None:
            await self._app(scope, _bounded(receive), _secured(send))
        else:
            await response(scope, receive, _secured(send))

    def _refused(self, request: Request) -> Response | None:
        """The answer to who is not let in, or comes with the link; None for who may go on."""
        try:
            self._check_host(request)
            shown = parse_qs(request.url.query).get("token", [""])[0] if request.url.path == "/" else ""
            if shown and self._same(shown):
                return self._welcome()
            by_header = self._same(_bearer(request))
            if not by_header and not self._same(request.cookies.get(self.cookie, "")):
                if request.url.path == "/":
                    return HTMLResponse(_NO_ENTRY, 401)
                raise RefusedError(
                    UNAUTHENTICATED, "Open the link that `trapline review` printed: it has the token."
                )
            self._check_origin(request, by_header)
        except RefusedError as refusal:
            return as_response(refusal)
        return None

    def _welcome(self) -> Response:
        response = HTMLResponse(_WELCOME, headers={"cache-control": "no-store"})
        response.set_cookie(self.cookie, self._token.decode(), httponly=True, samesite="strict", path="/")
        return response

    def _same(self, shown: str) -> bool:
        return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), self._token)

    def _check_host(self, request: Request) -> None:
        """Refuse names that are not this machine's: a page elsewhere may have had its own name lead here."""
        name = _host_name(request.headers.get("host", ""))
        if name not in self._hosts and not _is_address(name):
            raise RefusedError(
                FORBIDDEN,
                f"This server is not called '{name[:100]}'. Open it by its address, or say with --host what "
                "it is called.",
            )

    def _check_origin(self, request: Request, by_header: bool) -> None:
        """Refuse what a page elsewhere has the browser send."""
        if request.headers.get("sec-fetch-site") == "cross-site" and request.url.path != "/":
            raise RefusedError(FORBIDDEN, "This was asked for by a page from elsewhere.")
        if request.method in ("GET", "HEAD"):
            return
        origin, host = request.headers.get("origin"), request.headers.get("host", "")
        if origin is None and not by_header:
            raise RefusedError(FORBIDDEN, "A request that changes something must say its Origin.")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            raise RefusedError(FORBIDDEN, f"Requests from {origin[:100]} are not taken here.")
        if request.headers.get(HEADER.decode()) != "1":
            raise RefusedError(
                FORBIDDEN, "A request that changes something needs the header X-Trapline-Review: 1."
            )


def own_names(host: str) -> frozenset[str]:
    """What this machine may be called by who asks."""
    name = socket.gethostname().lower()
    return frozenset(
        {"localhost", name, name.partition(".")[0], f"{name.partition('.')[0]}.local", host.lower()}
    )


def _host_name(host: str) -> str:
    """Without the port."""
    if host.startswith("["):
        return host.partition("]")[0][1:].lower()
    return host.rpartition(":")[0].lower() if host.count(":") == 1 else host.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _bearer(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _bounded(receive: Receive) -> Receive:
    """The same, until more has come than a request may say."""
    come = 0

    async def counted() -> Message:
        nonlocal come
        message = await receive()
        come += len(message.get("body", b""))
        if come > MOST_BODY:
            raise HTTPException(413, f"A request may have at most {MOST_BODY} bytes.")  # FastAPI lets it by
        return message

    return counted


def _secured(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(name.encode(), value.encode()) for name, value in SECURITY.items()]
            named = {name for name, _ in message.get("headers", ())}
            cached = [] if b"cache-control" in named else [(b"cache-control", b"no-store")]
            message["headers"] = [*message.get("headers", ()), *headers, *cached]
        await send(message)

    return with_headers


def as_response(refusal: RefusedError) -> JSONResponse:
    """A refusal in JSON: `error` says what, where and what to do; `code` is for programs."""
    headers = {"connection": "close"} if refusal.close else {}
    if refusal.retry_after is not None:
        headers["retry-after"] = str(refusal.retry_after)
    return JSONResponse(refusal.document(), refusal.kind.http, headers)


async def refuse(request: Request, error: Exception) -> Response:
    """The answer to a request that failed with this error; what is our fault stands in the log alone."""
    match error:
        case RefusedError():
            return as_response(error)
        case RequestValidationError():
            first = error.errors()[0]
            where = ".".join(str(one)[:50] for one in first["loc"] if one != "body")
            return as_response(RefusedError(INVALID, f"{where or 'The request'}: {first['msg'][:300]}"))
        case TraplineError(__cause__=OSError() | sqlite3.Error()):  # a full disk: the page asks again
            log.error("%s", error)
            return as_response(RefusedError(NOT_READY, str(error), retry_after=5))
        case TraplineError():
            return as_response(RefusedError(INVALID, str(error)))
        case HTTPException(status_code=404):
            return as_response(RefusedError(NOT_FOUND, f"There is nothing at {request.url.path[:200]}."))
        case HTTPException():
            return as_response(
                RefusedError(RefusalKind("invalid", error.status_code, "INVALID_ARGUMENT"), str(error.detail))
            )
    log.error("%s %r failed", request.method, request.url.path[:200], exc_info=error)
    return as_response(internal())
