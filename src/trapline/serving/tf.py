"""TensorFlow Serving's interface, apart from how it travels: what its clients find here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from trapline.models import EVERYTHING, PLAIN, SIGNATURE, TfSignature
from trapline.serving import protos
from trapline.serving.lanes import Source
from trapline.serving.refusals import INVALID, NOT_FOUND, TOO_LARGE, RefusedError
from trapline.serving.settings import MOST_MESSAGE
from trapline.serving.shelf import Served
from trapline.serving.tensors import (
    ENCODED,
    OUTPUT,
    PIXELS,
    check_pixels,
    check_shape,
    encoded_as_sources,
    pixels_as_sources,
    specs,
)

SIGNATURES = (SIGNATURE, ENCODED, EVERYTHING)
"""The second names the input for files, the others that for pixels; a request may use either under any. The
third is that of exported SavedModels for the network's own names; here it answers `probabilities` alone.
"""

METHOD = "tensorflow/serving/predict"

_TYPES = {"UINT8": 4, "FP32": 1, "BYTES": 7}  # DataType's numbers
_VALUES = {1: ("float_val", "<f4"), 2: ("double_val", "<f8"), 3: ("int_val", "<i4"), 4: ("int_val", "u1")}
_VALUES |= {5: ("int_val", "<i2"), 9: ("int64_val", "<i8")}
_STRING = 7


def state_form(tensor: Any, datatype: str, shape: Sequence[int]) -> None:
    """Write into a TensorProto or TensorInfo its type, named as elsewhere here, and its shape."""
    tensor.dtype = _TYPES[datatype]
    for side in shape:
        tensor.tensor_shape.dim.add(size=side)


def from_tensor(tensor: Any, served: Served, signature: TfSignature = PLAIN) -> list[Source]:
    """The photos in a TensorProto: strings are image files, numbers are pixels.

    Raises:
        RefusedError: neither, or not of its shape, or pixels outside the range.
    """
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.dtype == _STRING:
        if shape:
            check_shape(shape, len(tensor.string_val))
        return encoded_as_sources(tensor.string_val)
    if tensor.dtype not in _VALUES:
        raise RefusedError(INVALID, "Send pixels as DT_UINT8 or DT_FLOAT, or image files as DT_STRING.")
    check_pixels(shape, served.model.card)
    return pixels_as_sources(_numbers(tensor, shape), served.model.card, signature.most)


def _numbers(tensor: Any, shape: list[int]) -> npt.NDArray[Any]:
    """The numbers of a tensor, from either of the two places that they may stand in. In a list the last one
    stands for all that are left out after it, as TensorFlow reads it.
    """
    field, dtype = _VALUES[tensor.dtype]
    if tensor.tensor_content:
        if len(tensor.tensor_content) % np.dtype(dtype).itemsize:
            raise RefusedError(INVALID, "The tensor's content is cut within a number.")
        values = np.frombuffer(tensor.tensor_content, dtype)
    else:
        values = np.array(getattr(tensor, field), "<i4" if field == "int_val" else dtype)
        whole = math.prod(shape)
        if 0 < values.size < whole:
            if whole * values.itemsize > MOST_MESSAGE:  # before so many are made of a few
                raise RefusedError(TOO_LARGE, f"A tensor may have at most {MOST_MESSAGE} bytes.")
            values = np.pad(values, (0, whole - values.size), "edge")
    return values.reshape(check_shape(shape, values.size))


def only_input(inputs: Mapping[str, Any], signature: TfSignature) -> Any:
    """The one input of a request. Clients carry the layer name of their own model: that which the server was
    told, or any if it was told none.

    Raises:
        RefusedError: none, or several, or one of another name.
    """
    if len(inputs) != 1:
        raise RefusedError(INVALID, f"Send one input; there are {len(inputs)}.")
    ((name, value),) = inputs.items()
    if signature.input is not None and name not in (known := (signature.input, PIXELS, ENCODED)):
        raise RefusedError(INVALID, f"There is no input '{name[:50]}', only {', '.join(known)}.")
    return value


def find_signature(name: str, clients: TfSignature) -> TfSignature:
    """How a request asks that names this signature, or none: as clients do, or by the network's own names.

    Raises:
        RefusedError: there is no such signature.
    """
    if name and name not in SIGNATURES:
        raise RefusedError(NOT_FOUND, f"There is no signature '{name[:50]}', only {', '.join(SIGNATURES)}.")
    return PLAIN if name == EVERYTHING else clients


def signature_map(served: Served, clients: TfSignature) -> Any:
    """The SignatureDefMap of a model."""
    (images, encoded), (output,) = specs(served.model.card)
    signatures = protos.message(protos.TF, "SignatureDefMap")()
    for name in SIGNATURES:
        asked = find_signature(name, clients)
        pixels = replace(images, name=asked.pixels, datatype="FP32" if asked.range else images.datatype)
        signature = signatures.signature_def[name]
        signature.method_name = METHOD
        taken, answered = encoded if name == ENCODED else pixels, replace(output, name=asked.output)
        for side, spec in ((signature.inputs, taken), (signature.outputs, answered)):
            side[spec.name].name = f"{spec.name}:0"
            state_form(side[spec.name], spec.datatype, spec.shape)
    return signatures


def answered_outputs(wanted: Sequence[str], asked: TfSignature) -> list[str]:
    """What the answer is called in a response: as the filter of the request has it, else as clients know it.

    Raises:
        RefusedError: the filter names an output that there is not.
    """
    for name in wanted:
        if name not in (asked.output, OUTPUT):
            raise RefusedError(INVALID, f"The only output is '{asked.output}', not '{name[:50]}'.")
    return list(dict.fromkeys(wanted)) or [asked.output]
