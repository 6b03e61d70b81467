"""The Open Inference Protocol v2 over HTTP, with its extension for binary tensors."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response

from trapline.models import Card
from trapline.serving import documents, v2
from trapline.serving.answers import Floats
from trapline.serving.body import Body, check_form, parse_json, while_connected
from trapline.serving.predict_request import Seconds, of_model
from trapline.serving.refusals import INVALID, RefusedError
from trapline.serving.service import Service
from trapline.serving.settings import MOST_BODY, MOST_JSON
from trapline.serving.shelf import VERSION, Served
from trapline.serving.tensors import OUTPUT, probabilities

_LENGTH = "inference-header-content-length"


def router(service: Service) -> APIRouter:
    """The protocol's paths."""
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol v2"])

    @routes.get("", response_model=documents.V2Server)
    def server() -> Any:
        """The server."""
        return v2.SERVER

    @routes.get("/health/live", response_model=documents.V2Live)
    def live() -> Any:
        """Whether the server runs."""
        return {"live": True}

    @routes.get("/health/ready", response_model=documents.V2Ready)
    async def ready() -> Any:
        """Whether every model can answer."""
        await service.check_ready()
        return {"ready": True}

    @of_model(routes.get, response_model=documents.V2Model)
    def model(name: str, version: str = VERSION) -> Any:
        """A model's inputs and outputs, and its labels."""
        return v2.metadata(service.shelf.get(name, version))

    @of_model(routes.get, "/ready", response_model=documents.V2ModelReady)
    async def model_ready(name: str, version: str = VERSION) -> Any:
        """Whether a model can answer."""
        await service.check_ready(name, version)
        return {"name": name, "ready": True}

    @of_model(
        routes.post,
        "/infer",
        openapi_extra=documents.body_of({"application/json": documents.reference(documents.V2Request)}),
        response_model=documents.V2Inferred,
    )
    async def infer(
        request: Request,
        name: str,
        version: str = VERSION,
        length: Annotated[int | None, Header(alias=_LENGTH, ge=0)] = None,
        seconds: Seconds = None,
    ) -> Response:
        """Ask a model: one input, `encoded` (image files; base64 in JSON) or `images` (pixels)."""
        deadline = service.deadline(seconds)
        with service.telemetry.request("v2_rest"), Body(service.held) as body:
            served = service.shelf.get(name, version)
            content = await body.read(request, deadline, MOST_JSON if length is None else MOST_BODY)
            asked = await service.convert(lambda: _InferRequest(content, length, served.model.card), deadline)
            work = service.answers(served, asked.sources, deadline, event=asked.event)
            rows = probabilities(await while_connected(request, work))
            return _response(served, asked, rows)

    return routes


class _InferRequest:
    """A request of the protocol, from JSON or from JSON followed by binary tensors."""

    def __init__(self, content: bytes, length: int | None, card: Card) -> None:
        self._binary = memoryview(b"") if length is None else memoryview(content)[length:]
        document = parse_json(content if length is None else content[:length])
        form = check_form(documents.V2Request, document)
        v2.check_outputs([one.name for one in form.outputs])
        self.id, self.event = form.id, form.parameters.event
        self.binary_output = form.parameters.binary_data_output
        for one in form.outputs:
            if one.parameters.binary_data is not None:
                self.binary_output = one.parameters.binary_data
        self.sources = v2.as_sources([self._input(one) for one in form.inputs], card)
        if self._binary:
            raise RefusedError(INVALID, f"{len(self._binary)} bytes follow the last tensor.")

    def _input(self, one: documents.V2Input) -> v2.RequestTensor:
        size, shape = one.parameters.binary_data_size, tuple(one.shape)
        if size is None:
            if one.data is None:
                raise RefusedError(INVALID, f"The input '{one.name[:50]}' has no data.")
            return v2.from_json(one.name, one.datatype, shape, one.data)
        if size > len(self._binary):
            raise RefusedError(INVALID, f"The binary data of '{one.name[:50]}' are not there.")
        raw, self._binary = bytes(self._binary[:size]), self._binary[size:]
        return v2.from_raw(one.name, one.datatype, shape, raw)


def _response(served: Served, asked: _InferRequest, rows: Floats) -> Response:
    output: dict[str, Any] = {"name": OUTPUT, "datatype": "FP32", "shape": list(rows.shape)}
    document: dict[str, Any] = {"model_name": served.name, "model_version": VERSION, "outputs": [output]}
    document["parameters"] = {"fingerprint": served.model.fingerprint}
    if isinstance(asked.id, str):
        document["id"] = asked.id
    if not asked.binary_output:
        return JSONResponse(document | {"outputs": [output | {"data": rows.ravel().tolist()}]})
    raw = rows.astype("<f4").tobytes()
    output["parameters"] = {"binary_data_size": len(raw)}
    head = json.dumps(document).encode()
    return Response(head + raw, media_type="application/octet-stream", headers={_LENGTH: str(len(head))})
