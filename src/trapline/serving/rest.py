"""The HTTP application: `/predict`, the page for people, health and counts, and the foreign protocols."""

from __future__ import annotations

import asyncio
import logging
from functools import cache
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trapline import __version__
from trapline.serving import documents, tf_rest, v2_rest
from trapline.serving.answers import MOST_PHOTOS, as_document, as_flat, familiar_document
from trapline.serving.body import Body, complaint, while_connected
from trapline.serving.predict_request import Options, PhotosForm, PhotosJson, fetch_photos, read_request
from trapline.serving.refusals import INVALID, NOT_FOUND, NOT_READY, RefusalKind, RefusedError, internal
from trapline.serving.service import Service
from trapline.serving.shelf import VERSION

log = logging.getLogger("trapline.serving")

OPEN_PATHS = frozenset({"/", "/docs", "/openapi.json", "/metrics", "/health/live", "/health/ready"})
OPEN_PATHS |= {"/v2/health/live", "/v2/health/ready"}
"""Without a token: the page holds nothing, probes have no token, counts name no photo."""

_COUNTED = (
    ("/predict", "/predict", "predict"),
    ("/v2/", "/infer", "v2_rest"),
    ("/v1/", ":predict", "tf_rest"),
)
"""How the paths that ask about photos begin and end, and as which interface they are counted."""

_PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}

_ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "model": documents.Refusal,
        "description": "The request cannot be answered: `error` says why, `code` names it for programs.",
    },
    "5XX": {"model": documents.Refusal, "description": "The server cannot answer now; the same form."},
}


def build_app(service: Service) -> FastAPI:
    """The application of one server."""
    app = FastAPI(
        title="Trapline",
        version=__version__,
        description="Classification of camera-trap photos.",
        docs_url=None,  # FastAPI's pages come from a content network; ours is /docs
        redoc_url=None,
        responses=_ERRORS,
        redirect_slashes=False,  # behind a proxy that ends TLS they would send clients and tokens to http
    )
    _add_pages(app, service)
    _add_predict(app, service)
    app.include_router(v2_rest.router(service))
    app.include_router(tf_rest.router(service))
    for kind in (RefusedError, RequestValidationError, HTTPException, ClientDisconnect, Exception):
        app.add_exception_handler(kind, _refuse)
    app.add_middleware(_Door, service=service)
    app.openapi = lambda: _name_models(FastAPI.openapi(app), service)  # type: ignore[method-assign]
    return app


def _name_models(document: dict[str, Any], service: Service) -> dict[str, Any]:
    """The description of the interface with the forms of requests, and the models that there are."""
    document["components"]["schemas"] |= documents.schemas_of(
        PhotosForm, PhotosJson, documents.V2Request, documents.TfRequest
    )
    for operation in (one for path in document["paths"].values() for one in path.values()):
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path" and parameter["name"] == "name":
                parameter["schema"]["enum"] = list(service.shelf.names)
            if parameter["in"] == "path" and parameter["name"] == "version":
                parameter["schema"]["enum"] = [VERSION]
    return document


def _add_pages(app: FastAPI, service: Service) -> None:
    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page() -> HTMLResponse:
        names = service.shelf.names
        html = _template("page.html.j2").render(
            version=__version__,
            models=names,
            cropping=service.shelf.cropping,
            doubts=service.shelf.doubts,
            token=service.settings.token is not None,
            most=MOST_PHOTOS,
        )
        return HTMLResponse(html, headers=_PAGE_HEADERS)

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    def description() -> HTMLResponse:
        html = _template("docs.html.j2").render(openapi=app.openapi_version)
        return HTMLResponse(html, headers=_PAGE_HEADERS)

    @app.get("/health/live", response_model=documents.Live, tags=["operation"])
    def live() -> Any:
        """Whether the process runs."""
        return {"status": "live"}

    @app.get("/health/ready", response_model=documents.Ready, tags=["operation"])
    async def ready() -> Any:
        """Whether requests can be answered: every model is open and the server is not about to stop."""
        await service.check_ready()
        fingerprints = {name: service.shelf.get(name).model.fingerprint for name in service.shelf.names}
        return {"status": "ready", "models": fingerprints}

    @app.get("/metrics", tags=["operation"], response_class=PlainTextResponse)
    def metrics() -> Response:
        """Counts, in Prometheus' text format."""
        page = service.telemetry.page(service.engine.gate.inside)
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")


@cache
def _template(name: str) -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("trapline.serving", ""), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template(name)


def _add_predict(app: FastAPI, service: Service) -> None:
    @app.post(
        "/predict",
        openapi_extra=documents.body_of(
            {
                "multipart/form-data": documents.reference(PhotosForm),
                "application/json": documents.reference(PhotosJson),
                "image/*": {"type": "string", "format": "binary"},
            }
        ),
        response_model=documents.PredictedDocument,
        tags=["prediction"],
    )
    async def predict(request: Request, query: Annotated[Options, Query()]) -> Response:
        """Classify photos: one or many files, base64 in JSON, an image as the body, or `{"url": …}`."""
        deadline = service.deadline(query.seconds)
        with service.telemetry.request("predict"), Body(service.held) as body:
            service.shelf.get(query.model)  # before a body for no model is read
            asked = await read_request(request, query, body, service, deadline)
            options, served = asked.options, service.shelf.get(asked.options.model)
            deadline = min(deadline, service.deadline(options.seconds))
            photos = await fetch_photos(asked, body, service, deadline)
            work = service.answers(served, photos, deadline, event=options.event)
            reply = await while_connected(request, work)
            if asked.flat and not options.event:
                return JSONResponse(as_flat(reply[0], served.model.card))
            answers = [as_document(one, served.model, options.top, of_event=options.event) for one in reply]
            document = {
                "model": service.describe(served),
                "event": options.event,
                "familiar": familiar_document(reply, served.model.card),
                "answers": answers,
            }
            return JSONResponse(document)


class _Door:
    """Asks for the token before anything of a request is read; and closes the connections of a server that is
    about to stop after their answers, when no client can be surprised by it.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._service.shelf.draining:
            send = _close_after(send)
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # the server below sends the head of the answer alone
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            shown = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            try:
                self._service.check_token(shown.decode("latin-1"))
            except RefusedError as refusal:
                self._count(scope["path"], refusal)
                response = _as_response(refusal)
                response.headers["www-authenticate"] = "Bearer"
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _count(self, path: str, refusal: RefusedError) -> None:
        for begin, end, interface in _COUNTED:
            if path.startswith(begin) and path.endswith(end):
                self._service.telemetry.refused(interface, refusal.kind.code)


class LastWord:
    """Around the whole application: a request that it leaves without an answer gets one in the form of all
    refusals, where the server below would write a line of plain text.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except (Exception, asyncio.CancelledError) as error:
            if started:
                raise
            if isinstance(error, asyncio.CancelledError):  # the server has waited for it as long as it may
                refusal = RefusedError(NOT_READY, "The server stops.", retry_after=1, close=True)
            else:
                log.exception("A request failed outside of the application")
                refusal = internal()
            await _as_response(refusal)(scope, receive, send)


def _close_after(send: Send) -> Send:
    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        await send(message)

    return send_and_close


def _as_response(refusal: RefusedError) -> JSONResponse:
    headers = {"connection": "close"} if refusal.close else {}
    if refusal.retry_after is not None:
        headers["retry-after"] = str(refusal.retry_after)
    return JSONResponse(refusal.document(), refusal.kind.http, headers)


async def _refuse(request: Request, error: Exception) -> Response:
    """The answer to a request that failed with this error, whatever it is."""
    path = request.url.path[:200]
    match error:
        case RefusedError():
            return _as_response(error)
        case RequestValidationError():
            return _as_response(RefusedError(INVALID, complaint(error.errors(), Options)))
        case HTTPException(status_code=404):
            return _as_response(RefusedError(NOT_FOUND, f"There is nothing at {path}."))
        case HTTPException():
            headers, why = error.headers or {}, str(error.detail)
            if error.status_code == 405:
                why = f"{path} answers {headers.get('Allow', 'other methods')}, not {request.method}."
            kind = RefusalKind("invalid", error.status_code, "INVALID_ARGUMENT")
            response = _as_response(RefusedError(kind, why))
            response.headers.update(headers)
            return response
        case ClientDisconnect():
            return JSONResponse({"error": "The client has gone.", "code": "gone"}, 499)  # hardly read by it
    log.error("%s %r failed", request.method, path, exc_info=error)
    return _as_response(internal())
