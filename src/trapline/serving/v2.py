"""The Open Inference Protocol v2, apart from how it travels: metadata, and from tensors to tensors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trapline import __version__
from trapline.models import Card, familiar_doubt, few_locations_doubt
from trapline.serving.answers import sees
from trapline.serving.body import parse_base64
from trapline.serving.lanes import Source
from trapline.serving.refusals import INVALID, RefusedError
from trapline.serving.shelf import VERSION, Served
from trapline.serving.tensors import (
    ENCODED,
    OUTPUT,
    PIXELS,
    as_numbers,
    check_number,
    check_shape,
    encoded_as_sources,
    pixels_as_sources,
    specs,
)

SERVER = {"name": "trapline", "version": __version__, "extensions": ["binary_tensor_data"]}


@dataclass(frozen=True)
class RequestTensor:
    """An input.

    Attributes:
        name: `images` or `encoded`.
        datatype: `UINT8` or `BYTES`.
        shape: as the client states it.
        data: flat: the numbers, or each file's bytes.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Any


def metadata(served: Served) -> dict[str, Any]:
    """Of a model, as the protocol's JSON; the labels, in the order of the output, stand in `properties`."""
    card = served.model.card
    inputs, outputs = specs(card)
    return {
        "name": served.name,
        "versions": [VERSION],
        "platform": "onnxruntime_onnx",
        "inputs": [asdict(one) for one in inputs],
        "outputs": [asdict(one) for one in outputs],
        "properties": {  # texts, as the protocol wants them
            "labels": json.dumps(card.labels),
            "task": card.task,
            "fingerprint": served.model.fingerprint,
            "sees": sees(card) or "unknown",
            **({"few_locations": doubt} if (doubt := few_locations_doubt(card)) else {}),
            **({"not_compared": doubt} if (doubt := familiar_doubt(card)) else {}),
        },
    }


def as_sources(inputs: Sequence[RequestTensor], card: Card) -> list[Source]:
    """The photos of a request.

    Raises:
        RefusedError: not one input of the two, or not of its type and shape.
    """
    if len(inputs) != 1:
        raise RefusedError(INVALID, f"Send one input, '{PIXELS}' or '{ENCODED}'; there are {len(inputs)}.")
    (one,) = inputs
    if (one.name, one.datatype) == (PIXELS, "UINT8"):
        pixels = np.asarray(one.data, np.uint8)
        return pixels_as_sources(pixels.reshape(check_shape(one.shape, pixels.size)), card)
    if (one.name, one.datatype) == (ENCODED, "BYTES"):
        check_shape(one.shape, len(one.data))
        return encoded_as_sources(one.data)
    raise _no_input(one.name, one.datatype)


def _no_input(name: str, datatype: str) -> RefusedError:
    return RefusedError(
        INVALID,
        f"The inputs are '{PIXELS}' (UINT8) and '{ENCODED}' (BYTES, whole image files), "
        f"not '{name[:50]}' ({datatype[:20]}).",
    )


def split_bytes(raw: bytes) -> list[bytes]:
    """The elements of a BYTES tensor in its binary form: each is led by its length, four bytes.

    Raises:
        RefusedError: the lengths do not add up, or there are too many.
    """
    parts: list[bytes] = []
    offset = 0
    while offset + 4 <= len(raw):
        check_number(len(parts) + 1)  # before the millions that fit into one message are looked at
        end = offset + 4 + int.from_bytes(raw[offset : offset + 4], "little")
        if end > len(raw):
            break
        parts.append(raw[offset + 4 : end])
        offset = end
    if offset != len(raw):
        raise RefusedError(INVALID, "The lengths inside the BYTES tensor do not add up.")
    return parts


def from_raw(name: str, datatype: str, shape: tuple[int, ...], raw: bytes) -> RequestTensor:
    """An input in the protocol's binary form."""
    return RequestTensor(
        name, datatype, shape, split_bytes(raw) if datatype == "BYTES" else np.frombuffer(raw, np.uint8)
    )


def from_json(name: str, datatype: str, shape: tuple[int, ...], data: Any) -> RequestTensor:
    """An input in JSON: numbers, flat or nested; files as base64 texts.

    Raises:
        RefusedError: neither, or of another type.
    """
    if datatype == "BYTES":
        if not isinstance(data, list) or not all(isinstance(item, str) for item in _flat(data)):
            raise RefusedError(INVALID, "BYTES in JSON are a list of base64 texts, each a whole image file.")
        return RequestTensor(name, datatype, shape, [parse_base64(item) for item in _flat(data)])
    if datatype != "UINT8":
        raise _no_input(name, datatype)
    wanted = "UINT8 in JSON are whole numbers from 0 to 255."
    numbers = as_numbers(data, "iu", wanted)
    if numbers.size and not 0 <= numbers.min() <= numbers.max() <= 255:
        raise RefusedError(INVALID, wanted)
    return RequestTensor(name, datatype, shape, numbers.astype(np.uint8).ravel())


def _flat(data: list[Any]) -> list[Any]:
    return [item for one in data for item in (one if isinstance(one, list) else [one])]


def check_outputs(names: Sequence[str]) -> None:
    """Refuse a request for an output that there is not.

    Raises:
        RefusedError: there is such a one.
    """
    for name in names:
        if name != OUTPUT:
            raise RefusedError(INVALID, f"The only output is '{OUTPUT}', not '{name[:50]}'.")
