"""A model is one file: whatever in a graph points to bytes outside it is refused.

A tensor that is kept elsewhere is read from wherever the file says: another folder, a device, with some
runtimes this process's own memory. The fingerprint would not cover it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import Message
from onnx import TensorProto

from trapline.errors import IMPORTED, DataError, kind_of


def parse_model(content: bytes, path: Path) -> onnx.ModelProto:
    """Read an ONNX model that keeps all its tensors inside.

    Args:
        content: of the file.
        path: of the file, for messages.

    Raises:
        DataError: not ONNX, or with tensors outside.
    """
    model, wrong = onnx.ModelProto(), "it has no graph"
    try:
        model.ParseFromString(content)
    except Exception as error:  # noqa: BLE001 - protobuf's errors have no common base but Exception
        model, wrong = onnx.ModelProto(), str(error)
    if not model.HasField("graph"):
        kind = kind_of(path)
        if kind in (None, "an ONNX model"):
            raise DataError(f"{path} cannot be opened as an ONNX model: {wrong}.")
        here = (
            f"`trapline import {path}` makes a model file of a classifier"
            if kind in IMPORTED
            else "A model is the model.onnx that `trapline train` writes"
        )
        raise DataError(f"{path} is no model but {kind}. {here}.")
    outside = next(_outside(model), None)
    if outside is not None:
        raise DataError(
            f"{path} keeps its weights in other files ({outside}); a model file is one file. Write it again "
            "with the weights inside: onnx.save(onnx.load(FILE), NEW_FILE); of a classifier `trapline "
            "import` does it."
        )
    return model


def _outside(message: Message) -> Iterator[str]:
    """What each tensor that is kept elsewhere is called, wherever in the model it stands: initializers,
    sparse ones, attributes, subgraphs, functions, training information, and what later versions of ONNX add.
    """
    if isinstance(message, TensorProto):
        if message.data_location == TensorProto.EXTERNAL or message.external_data:
            yield f"tensor {message.name[:100]!r}"
        return  # and is not looked into: its bytes may be many
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for part in value if hasattr(value, "append") or hasattr(value, "add") else (value,):
            yield from _outside(part)
