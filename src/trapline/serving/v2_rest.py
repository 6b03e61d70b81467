"""The Open Inference Protocol v2 over HTTP, with its extension for binary tensors."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response

from trapline.serving import documents, v2
from trapline.serving.answers import Floats
from trapline.serving.asked import SECONDS
from trapline.serving.body import Body, parse_json, while_connected
from trapline.serving.refusals import INVALID, RefusedError
from trapline.serving.service import Service
from trapline.serving.settings import MOST_BODY, MOST_JSON
from trapline.serving.shelf import VERSION, Served

_LENGTH = "inference-header-content-length"

_INFER = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["inputs"],
                    "properties": {
                        "id": {"type": "string"},
                        "parameters": {"type": "object", "properties": {"event": {"type": "boolean"}}},
                        "inputs": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": 1,
                            "items": {
                                "type": "object",
                                "required": ["name", "datatype", "shape", "data"],
                                "properties": {
                                    "name": {"enum": ["encoded", "images"]},
                                    "datatype": {"enum": ["BYTES", "UINT8"]},
                                    "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
                                    "data": {"type": "array"},
                                },
                            },
                        },
                    },
                }
            }
        },
    }
}


def router(service: Service) -> APIRouter:
    """The protocol's paths."""
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol v2"])

    @routes.get("", response_model=None, responses={200: {"model": documents.V2Server}})
    def server() -> dict[str, Any]:
        """The server."""
        return v2.SERVER

    @routes.get("/health/live", response_model=None, responses={200: {"model": documents.V2Live}})
    def live() -> dict[str, bool]:
        """Whether the server runs."""
        return {"live": True}

    @routes.get("/health/ready", response_model=None, responses={200: {"model": documents.V2Ready}})
    async def ready() -> dict[str, bool]:
        """Whether every model can answer."""
        await service.check_ready()
        return {"ready": True}

    @routes.get(
        "/models/{name}/versions/{version}",
        response_model=None,
        responses={200: {"model": documents.V2Model}},
    )
    @routes.get("/models/{name}", response_model=None, responses={200: {"model": documents.V2Model}})
    def model(name: str, version: str = VERSION) -> dict[str, Any]:
        """A model's inputs and outputs, and its labels."""
        return v2.metadata(service.shelf.get(name, version))

    @routes.get(
        "/models/{name}/versions/{version}/ready",
        response_model=None,
        responses={200: {"model": documents.V2Ready}},
    )
    @routes.get("/models/{name}/ready", response_model=None, responses={200: {"model": documents.V2Ready}})
    async def model_ready(name: str, version: str = VERSION) -> dict[str, Any]:
        """Whether a model can answer."""
        await service.check_ready(name, version)
        return {"name": name, "ready": True}

    @routes.post(
        "/models/{name}/versions/{version}/infer",
        openapi_extra=_INFER,
        response_model=None,
        responses={200: {"model": documents.V2Inferred}},
    )
    @routes.post(
        "/models/{name}/infer",
        openapi_extra=_INFER,
        response_model=None,
        responses={200: {"model": documents.V2Inferred}},
    )
    async def infer(
        request: Request,
        name: str,
        version: str = VERSION,
        length: Annotated[int | None, Header(alias=_LENGTH, ge=0)] = None,
        seconds: Annotated[float | None, SECONDS] = None,
    ) -> Response:
        """Ask a model: one input, `encoded` (image files; base64 in JSON) or `images` (pixels)."""
        deadline = service.deadline(seconds)
        with service.telemetry.request("v2_rest"), Body(service.held) as body:
            served = service.shelf.get(name, version)
            content = await body.read(request, deadline, MOST_JSON if length is None else MOST_BODY)
            asked = await service.convert(lambda: _Asked(content, length), deadline)
            work = v2.infer(service, served, asked.inputs, deadline, event=asked.event)
            rows = await while_connected(request, work)
            return _response(served, asked, rows)

    return routes


class _Asked:
    """A request of the protocol, from JSON or from JSON followed by binary tensors."""

    def __init__(self, content: bytes, length: int | None) -> None:
        self._binary = memoryview(b"") if length is None else memoryview(content)[length:]
        document = parse_json(content if length is None else content[:length])
        if not isinstance(document, dict):
            raise RefusedError(INVALID, "The request must be a JSON object.")
        self.id = document.get("id")
        parameters = self._dictionary(document.get("parameters", {}))
        self.event = _flag(parameters, "event")
        outputs = self._list("outputs", document.get("outputs", []))
        v2.check_outputs([str(one.get("name")) for one in outputs])
        self.binary_output = _flag(parameters, "binary_data_output")
        for one in outputs:
            wanted = self._dictionary(one.get("parameters", {}))
            self.binary_output = _flag(wanted, "binary_data", self.binary_output)
        self.inputs = [self._input(one) for one in self._list("inputs", document.get("inputs"))]
        if self._binary:
            raise RefusedError(INVALID, f"{len(self._binary)} bytes follow the last tensor.")

    @staticmethod
    def _list(name: str, value: Any) -> list[dict[str, Any]]:
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise RefusedError(INVALID, f"'{name}' must be a list of objects.")
        return value

    @staticmethod
    def _dictionary(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise RefusedError(INVALID, "'parameters' must be an object.")
        return value

    def _input(self, one: dict[str, Any]) -> v2.RequestTensor:
        name, datatype, shape = one.get("name"), one.get("datatype"), one.get("shape")
        if not isinstance(name, str) or not isinstance(datatype, str) or not isinstance(shape, list):
            raise RefusedError(INVALID, "An input has a name, a datatype and a shape.")
        if not all(type(side) is int and 0 <= side < 2**31 for side in shape):
            raise RefusedError(INVALID, "A shape is a list of whole numbers.")
        size = self._dictionary(one.get("parameters", {})).get("binary_data_size")
        if size is None:
            if "data" not in one:
                raise RefusedError(INVALID, f"The input '{name[:50]}' has no data.")
            return v2.from_json(name, datatype, tuple(shape), one["data"])
        if type(size) is not int or not 0 <= size <= len(self._binary):
            raise RefusedError(INVALID, f"The binary data of '{name[:50]}' are not there.")
        raw, self._binary = bytes(self._binary[:size]), self._binary[size:]
        return v2.from_raw(name, datatype, tuple(shape), raw)


def _flag(parameters: dict[str, Any], name: str, default: bool = False) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise RefusedError(INVALID, f"The parameter '{name}' is true or false.")
    return value


def _response(served: Served, asked: _Asked, rows: Floats) -> Response:
    output: dict[str, Any] = {"name": "probabilities", "datatype": "FP32", "shape": list(rows.shape)}
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
