"""An ONNX file that somebody else has exported."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, external_data_helper

from trapline.errors import DataError
from trapline.models.file import CARD_KEY
from trapline.models.foreign.description import Description, Translated
from trapline.models.self_contained import parse_model
from trapline.models.whole_file import MAX_BYTES, open_whole


def load(path: Path, about: Description) -> Translated:
    """The graph; weights that PyTorch's exporter left in a file beside it (`model.onnx.data`) are taken in.

    Raises:
        DataError: it is a model file already, no ONNX, or its weights are elsewhere.
    """
    with open_whole(path) as file:
        content = file.read(MAX_BYTES)
    model = onnx.ModelProto()
    model.ParseFromString(content)
    if any(item.key == CARD_KEY for item in model.metadata_props):
        raise DataError(f"{path} is a model file already: it has a card (trapline show {path}).")
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            _take_in(tensor, path)
    return Translated(parse_model(model.SerializeToString(), path))


def _take_in(tensor: onnx.TensorProto, path: Path) -> None:
    """Read a tensor from a plain file in the model's own folder, and from nowhere else."""
    where = next((item.value for item in tensor.external_data if item.key == "location"), "")
    beside = path.parent / where
    if where != Path(where).name or beside.is_symlink() or not beside.is_file():
        raise DataError(f"{path} keeps weights in '{where[:100]}', which is no file beside it.")
    try:
        external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
    except Exception as error:
        raise DataError(f"The weights of {path} in {beside} cannot be read: {error}") from error
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]
