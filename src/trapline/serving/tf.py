"""TensorFlow Serving's interface, apart from how it travels: what its clients find here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trapline.serving import protos
from trapline.serving.engine import Source
from trapline.serving.refusals import INVALID, NOT_FOUND, RefusedError
from trapline.serving.shelf import Served
from trapline.serving.tensors import OUTPUT, check_shape, encoded_as_sources, pixels_as_sources, specs

SIGNATURES = {"serving_default": 0, "encoded": 1}
"""Signature → which of the model's inputs it names. A request may use either input under either."""

METHOD = "tensorflow/serving/predict"

_TYPES = {"UINT8": 4, "FP32": 1, "BYTES": 7}  # DataType's numbers
_VALUES = {1: ("float_val", "<f4"), 2: ("double_val", "<f8"), 3: ("int_val", "<i4"), 4: ("int_val", "u1")}
_VALUES |= {5: ("int_val", "<i2"), 9: ("int64_val", "<i8")}
_STRING = 7


def from_tensor(tensor: Any, served: Served) -> list[Source]:
    """The photos in a TensorProto: strings are image files, numbers are pixels.

    Raises:
        RefusedError: neither, or not of its shape.
    """
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.dtype == _STRING:
        if shape:
            check_shape(shape, len(tensor.string_val))
        return encoded_as_sources(tensor.string_val)
    if tensor.dtype not in _VALUES:
        raise RefusedError(INVALID, "Send pixels as DT_UINT8 or DT_FLOAT, or image files as DT_STRING.")
    field, dtype = _VALUES[tensor.dtype]
    if tensor.tensor_content:
        if len(tensor.tensor_content) % np.dtype(dtype).itemsize:
            raise RefusedError(INVALID, "The tensor's content is cut within a number.")
        values = np.frombuffer(tensor.tensor_content, dtype)
    else:
        values = np.array(getattr(tensor, field), "<i4" if field == "int_val" else dtype)
    return pixels_as_sources(values.reshape(check_shape(shape, values.size)), served.model.card)


def only_input(inputs: Mapping[str, Any]) -> Any:
    """The one input of a request, whatever it is called: clients carry the layer name of their own model.

    Raises:
        RefusedError: none, or several.
    """
    if len(inputs) != 1:
        raise RefusedError(INVALID, f"Send one input; there are {len(inputs)}.")
    return next(iter(inputs.values()))


def check_signature(name: str) -> None:
    """Refuse a signature that there is not.

    Raises:
        RefusedError: it is such a one.
    """
    if name and name not in SIGNATURES:
        raise RefusedError(NOT_FOUND, f"There is no signature '{name[:50]}', only {', '.join(SIGNATURES)}.")


def signature_map(served: Served, output: str) -> Any:
    """The SignatureDefMap of a model."""
    inputs, outputs = specs(served.model.card)
    found = protos.message(protos.TF, "SignatureDefMap")()
    for name, place in SIGNATURES.items():
        signature = found.signature_def[name]
        signature.method_name = METHOD
        for side, spec, called in (
            (signature.inputs, inputs[place], inputs[place].name),
            (signature.outputs, outputs[0], output),
        ):
            info = side[called]
            info.name, info.dtype = f"{called}:0", _TYPES[spec.datatype]
            for length in spec.shape:
                info.tensor_shape.dim.add(size=length)
    return found


def check_filter(wanted: list[str], output: str) -> None:
    """Refuse a filter for an output that there is not.

    Raises:
        RefusedError: it is such a one.
    """
    for name in wanted:
        if name not in (output, OUTPUT):
            raise RefusedError(INVALID, f"The only output is '{output}', not '{name[:50]}'.")
