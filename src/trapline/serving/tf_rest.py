"""TensorFlow Serving's REST interface: status, metadata, predict."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from trapline.models import TfSignature
from trapline.serving import documents, tf
from trapline.serving.body import Body, check_form, parse_base64, parse_json, while_connected
from trapline.serving.lanes import Source
from trapline.serving.predict_request import Seconds, of_model
from trapline.serving.refusals import INVALID, RefusedError
from trapline.serving.service import Service
from trapline.serving.settings import MOST_JSON
from trapline.serving.shelf import VERSION, Served
from trapline.serving.tensors import (
    as_numbers,
    check_number,
    encoded_as_sources,
    pixels_as_sources,
    probabilities,
)


def router(service: Service) -> APIRouter:
    """TensorFlow Serving's paths."""
    routes = APIRouter(prefix="/v1", tags=["TensorFlow Serving"])

    @of_model(routes.get, "/metadata", response_model=documents.TfMetadata)
    def metadata(name: str, version: str = VERSION) -> Any:
        """A model's signatures."""
        from google.protobuf.json_format import MessageToDict

        served = service.shelf.get(name, version)
        signature_map = tf.signature_map(served, service.settings.tf)
        signatures = MessageToDict(signature_map, preserving_proto_field_name=True)
        return {
            "model_spec": {"name": served.name, "signature_name": "", "version": VERSION},
            "metadata": {"signature_def": signatures},
        }

    @of_model(
        routes.post,
        ":predict",
        openapi_extra=documents.body_of({"application/json": documents.reference(documents.TfRequest)}),
        response_model=documents.TfPredicted,
    )
    async def predict(
        request: Request, name: str, version: str = VERSION, seconds: Seconds = None
    ) -> JSONResponse:
        """Ask a model: `instances` (a list, answered by `predictions`) or `inputs` (by `outputs`)."""
        deadline = service.deadline(seconds)
        with service.telemetry.request("tf_rest"), Body(service.held) as body:
            served = service.shelf.get(name, version)
            content = await body.read(request, deadline, MOST_JSON)
            sources, given = await service.convert(lambda: _parse(content, served, service), deadline)
            rows = probabilities(await while_connected(request, service.answers(served, sources, deadline)))
            return JSONResponse({"predictions" if given == "instances" else "outputs": rows.tolist()})

    @of_model(routes.get, response_model=documents.TfStatus)
    def status(name: str, version: str = VERSION) -> Any:
        """Whether a model can answer."""
        service.shelf.get(name, version)
        ok = {"error_code": "OK", "error_message": ""}
        return {"model_version_status": [{"version": VERSION, "state": "AVAILABLE", "status": ok}]}

    return routes


def _parse(content: bytes, served: Served, service: Service) -> tuple[list[Source], str]:
    """The photos of a request, if there are places for them, and by which word they came."""
    rows, given, asked = _rows(parse_json(content), service.settings.tf)
    service.check_room(len(rows))
    return _sources(rows, served, asked), given


def _rows(document: Any, clients: TfSignature) -> tuple[list[Any], str, TfSignature]:
    """The photos of a request, by which word they came, and how its signature asks."""
    form = check_form(documents.TfRequest, document)
    if len(members := form.model_fields_set & {"instances", "inputs"}) != 1:
        raise RefusedError(INVALID, "The request must be a JSON object with 'instances' or 'inputs'.")
    asked, (given,) = tf.find_signature(form.signature_name, clients), members
    rows = getattr(form, given)
    if given == "inputs" and isinstance(rows, dict) and "b64" not in rows:
        rows = tf.only_input(rows, asked)
    if isinstance(rows, dict):
        rows = [rows]
    if not isinstance(rows, list) or not rows:
        raise RefusedError(INVALID, f"'{given}' must be a list of photos.")
    check_number(len(rows))
    return [_bare(row, asked) for row in rows], given, asked


def _bare(row: Any, asked: TfSignature) -> Any:
    """A row without the name of its input: `{"images": [...]}` is `[...]`."""
    if isinstance(row, dict) and "b64" not in row:
        return tf.only_input(row, asked)
    return row


def _sources(rows: list[Any], served: Served, asked: TfSignature) -> list[Source]:
    if all(isinstance(row, dict) and isinstance(row.get("b64"), str) for row in rows):
        return encoded_as_sources([parse_base64(row["b64"]) for row in rows])
    wanted = 'A photo is {"b64": "<image file>"}, or its pixels as nested lists of numbers.'
    pixels = as_numbers(rows, "iuf", wanted)
    if asked.range is not None:  # the signature's type is float, whether a number is written 1 or 1.0
        pixels = pixels.astype(np.promote_types(pixels.dtype, np.float32), copy=False)
    return pixels_as_sources(pixels, served.model.card, asked.most)
