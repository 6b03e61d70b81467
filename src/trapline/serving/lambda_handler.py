"""The server as an AWS Lambda function: `trapline.serving.lambda_handler.handler`.

API Gateway's proxy events (REST, HTTP, function URLs) are requests, and go through the very application that
`trapline serve` runs, so that answers, limits and errors are the same. Any other event is the body of a
`POST /predict`: `{"url": …}`, `{"image": <base64>}`, `{"images": […]}`. Its answer is the document alone; if
the request is refused, that is `{"error": …, "code": …}`.

The environment says what to serve:

- `TRAPLINE_MODEL`: the model file, or `NAME=FILE`;
- `TRAPLINE_ALLOW_URL`: hosts from which photos may be fetched, separated by spaces or commas; else none;
- `TRAPLINE_TOKEN`: what clients must show in `Authorization: Bearer …`; everyone is let in if it is not set.
  Who may send bare events is AWS's to say (IAM), so they need none.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trapline.errors import UsageError, require

if TYPE_CHECKING:
    from trapline.serving.settings import Settings

Event = Mapping[str, Any]
Handler = Callable[[Event, Any], dict[str, Any]]

DEADLINE = 25.0
"""Seconds for one request; API Gateway gives up after 30."""


def __getattr__(name: str) -> Any:
    """`handler`, made when the runtime asks for it: while Lambda starts the environment, not at import."""
    if name == "handler":
        return _handler_of_environment()
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


@cache
def _handler_of_environment() -> Handler:
    return build_handler(settings_from(os.environ))


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


def build_handler(settings: Settings) -> Handler:
    """Open the model and make the function that Lambda calls with an event and its context.

    Raises:
        TraplineError: the model cannot be opened.
    """
    mangum = require("mangum", "lambda", "Serving from Lambda")
    from trapline.models.cores import available_cores
    from trapline.serving.rest import build_app
    from trapline.serving.service import build_service

    loop = asyncio.new_event_loop()  # of the whole process: the adapter runs each request in it
    asyncio.set_event_loop(loop)
    service = loop.run_until_complete(build_service(settings, available_cores()))
    adapter: Handler = mangum.Mangum(build_app(service), lifespan="off")

    def handle(event: Event, context: Any) -> dict[str, Any]:
        if isinstance(event, Mapping) and "requestContext" in event:
            return adapter(event, context)
        answer = adapter(_as_request(event, settings.token), context)
        document: dict[str, Any] = json.loads(answer["body"])
        return document

    return handle


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
