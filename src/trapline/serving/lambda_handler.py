"""The server as an AWS Lambda function: `trapline.serving.lambda_handler.handler`.

API Gateway's proxy events (REST, HTTP, function URLs) are requests, and go through the very application that
`trapline serve` runs, so that answers, limits and errors are the same. Any other event is the body of a
`POST /predict`: `{"url": …}`, `{"image": <base64>}`, `{"images": […]}`. Its answer is the document alone; if
the request is refused, that is `{"error": …, "code": …}`. Events of a gateway that are no HTTP requests
(WebSocket's) are refused as invalid.

The environment says what to serve:

- `TRAPLINE_MODEL`: the model file, or `NAME=FILE`;
- `TRAPLINE_ALLOW_URL`: hosts from which photos may be fetched, separated by spaces or commas; else none;
- `TRAPLINE_TOKEN`: what clients must show in `Authorization: Bearer …`; everyone is let in if it is not set.
  Who may send bare events is AWS's to say (IAM), so they need none;
- `TRAPLINE_BASE_PATH`: the mapping of a custom domain, which its paths begin with. A stage's name, with which
  those of an HTTP API begin, is found in the event.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trapline.errors import UsageError, require

if TYPE_CHECKING:
    from trapline.serving.settings import Settings

log = logging.getLogger("trapline.serving")

Event = Mapping[str, Any]
Handler = Callable[[Event, Any], dict[str, Any]]

DEADLINE = 25.0
"""Seconds for one request; API Gateway gives up after 30."""


@cache
def __getattr__(name: str) -> Any:
    """`handler`, made when the runtime asks for it: while Lambda starts the environment, not at import."""
    if name == "handler":
        return build_handler(settings_from(os.environ), os.environ.get("TRAPLINE_BASE_PATH", ""))
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def settings_from(environment: Mapping[str, str]) -> Settings:
    """The server's settings, from environment variables.

    Raises:
        UsageError: `TRAPLINE_MODEL` is missing, or a host or the token cannot be right.
    """
    require("fastapi", "lambda", "Serving from Lambda")
    from trapline.serving.settings import Settings

    model = environment.get("TRAPLINE_MODEL")
    if not model:
        raise UsageError("Name the model file in the environment: TRAPLINE_MODEL=/models/model.onnx")
    name, equals, file = model.partition("=")
    return Settings(
        models={name: Path(file)} if equals else {"model": Path(model)},
        deadline=DEADLINE,
        token=environment.get("TRAPLINE_TOKEN") or None,
        allow_url=tuple(environment.get("TRAPLINE_ALLOW_URL", "").lower().replace(",", " ").split()),
    )


def build_handler(settings: Settings, base_path: str = "") -> Handler:
    """Open the model and make the function that Lambda calls with an event and its context.

    Args:
        settings: how to serve.
        base_path: with which the paths of a custom domain begin.

    Raises:
        TraplineError: the model cannot be opened.
    """
    mangum = require("mangum", "lambda", "Serving from Lambda")
    from trapline.models import available_cores
    from trapline.serving.rest import LastWord, build_app
    from trapline.serving.service import build_service

    loop = asyncio.new_event_loop()  # of the whole process: the adapter runs each request in it
    asyncio.set_event_loop(loop)
    service = loop.run_until_complete(build_service(settings, available_cores()))
    adapter: Handler = mangum.Mangum(LastWord(build_app(service)), lifespan="off")

    def handle(event: Event, context: Any) -> dict[str, Any]:
        if isinstance(event, Mapping) and "requestContext" in event:
            try:
                return adapter(_bare(event, base_path), context)
            except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
                # The application's own errors are answers; these are the adapter's about the event.
                log.warning("An event is no HTTP request: %r", error)
                return _invalid("The event is no HTTP request that API Gateway or a function URL sends.")
        answer = adapter(_as_request(event, settings.token), context)
        document: dict[str, Any] = json.loads(answer["body"])
        return document

    return handle


def _bare(event: Event, base_path: str) -> Event:
    """The event of a gateway with the path that the application knows: without the base path of a custom
    domain and without the stage of an HTTP API.
    """
    given = event["requestContext"]
    in_context = "http" in given
    path = given["http"]["path"] if in_context else event["path"]
    of_http_api = in_context or event.get("version") == "1.0"  # a REST API's paths have no stage
    for prefix in (base_path.strip("/"), given.get("stage") if of_http_api else None):
        if prefix and (path == f"/{prefix}" or path.startswith(f"/{prefix}/")):
            path = path[len(prefix) + 1 :] or "/"
    if not in_context:
        return {**event, "path": path}
    return {**event, "requestContext": {**given, "http": {**given["http"], "path": path}}}


def _invalid(why: str) -> dict[str, Any]:
    from trapline.serving.refusals import INVALID, RefusedError

    return {
        "statusCode": INVALID.http,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(RefusedError(INVALID, why).document()),
        "isBase64Encoded": False,
    }


def _as_request(body: Any, token: str | None) -> Event:
    """The proxy event (HTTP API, payload 2.0) of a `POST /predict` with this JSON."""
    headers = {"content-type": "application/json"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    http = {"method": "POST", "path": "/predict", "sourceIp": None}
    return {
        "version": "2.0",
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {"http": http},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }
