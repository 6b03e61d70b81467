"""A model file as a SavedModel, for TensorFlow Serving; written without TensorFlow.

A SavedModel is a folder with a message of TensorFlow's own, `saved_model.pb`, whose fields are published in
https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core/protobuf. The weights are
constants of its graph. The card lies beside it in `assets.extra/`, which TensorFlow leaves alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from trapline.errors import DataError, UsageError
from trapline.models.file import INPUT, OUTPUTS, ModelFile
from trapline.models.onnx_graph import read_graph
from trapline.models.tensorflow_graph import Attribute, Node, Tensor, translate
from trapline.models.tf_signature import EVERYTHING, PLAIN, SIGNATURE, TfSignature

_FLOATS = "floats"
"""The node that takes the pixels of clients that send floats."""

CARD_FILE = "assets.extra/trapline_card.json"

_METHOD = "tensorflow/serving/predict"
_PRODUCER = 1395  # the version of graphs of TensorFlow 2.12, whose operators' meaning is used here
_DTYPES = {"float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "int64": 9, "bool": 10}
_DTYPES |= {"float16": 19, "bytes": 7}

# Message → its fields: name, number, type; `*` is repeated, `%` a map from text.
_MESSAGES = {
    "Dim": "size 1 int64",
    "TensorShapeProto": "dim 2 *Dim",
    "TensorProto": "dtype 1 int32, tensor_shape 2 TensorShapeProto, tensor_content 4 bytes, "
    "string_val 8 *bytes",
    "ListValue": "s 2 *bytes, i 3 *int64, type 6 *int32",
    "AttrValue": "list 1 ListValue, s 2 bytes, i 3 int64, f 4 float, b 5 bool, type 6 int32, "
    "shape 7 TensorShapeProto, tensor 8 TensorProto",
    "NodeDef": "name 1 string, op 2 string, input 3 *string, attr 5 %AttrValue",
    "VersionDef": "producer 1 int32, min_consumer 2 int32",
    "GraphDef": "node 1 *NodeDef, versions 4 VersionDef",
    "TensorInfo": "name 1 string, dtype 2 int32, tensor_shape 3 TensorShapeProto",
    "SignatureDef": "inputs 1 %TensorInfo, outputs 2 %TensorInfo, method_name 3 string",
    "MetaInfoDef": "tags 4 *string, tensorflow_version 5 string",
    "MetaGraphDef": "meta_info_def 1 MetaInfoDef, graph_def 2 GraphDef, signature_def 5 %SignatureDef",
    "SavedModel": "saved_model_schema_version 1 int64, meta_graphs 2 *MetaGraphDef",
}
_ONEOF = "AttrValue"
_PACKAGE = "trapline_tensorflow"


def export_saved_model(model: Path | str, output: Path | str, signature: TfSignature = PLAIN) -> Path:
    """Write a model file as a SavedModel: the folder of one version, as in `species_model/1`.

    Input `images`: uint8 [batch, height, width, 3], RGB, of the card's size, batch free; outputs float32.
    Equal inputs give equal bytes. The folder appears whole or not at all.

    Args:
        model: the model file.
        output: the folder to make; an existing one is replaced if it holds a SavedModel.
        signature: how clients ask by `serving_default`. Floats are rounded to the nearest of the 256 values
            of a pixel, halves to the even one; a value outside the range, or that is no number, fails the
            request.

    Raises:
        UsageError: the model is a backbone or looks at whole events, or the folder holds something else.
        DataError: the network has an operator that is not translated (those of eight-bit files are not).
    """
    opened, output = ModelFile(model, threads=1), Path(output)
    card = opened.card
    if card.task == "features":
        raise UsageError(
            f"{model} is a backbone without labels; TensorFlow Serving could answer nothing with it."
        )
    if card.batch == "event":
        raise UsageError(
            f"{model} looks at the frames of an event together, and TensorFlow Serving would mix those of "
            "several requests; only models of single media are exported."
        )
    if output.exists() and not (output / "saved_model.pb").is_file():
        raise UsageError(
            f"{output} exists and is no SavedModel; name a folder to make, as in species_model/1."
        )
    size = card.preprocessing
    nodes, outputs = translate(read_graph(opened), size.height, size.width)
    answers = {name: outputs[name] for name in OUTPUTS}
    content = saved_model(nodes, (size.height, size.width), answers, signature)
    partial = output.with_name(output.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        (partial / CARD_FILE).parent.mkdir(parents=True)
        (partial / "saved_model.pb").write_bytes(content)
        (partial / CARD_FILE).write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
        if output.exists():
            shutil.rmtree(output)
        partial.replace(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return output


def saved_model(
    nodes: Iterable[Node], size: tuple[int, int], outputs: Mapping[str, Tensor], asked: TfSignature = PLAIN
) -> bytes:
    """The content of `saved_model.pb`.

    Args:
        nodes: of the graph, inputs before those that use them.
        size: height and width of the input, pixels.
        outputs: by name; `probabilities` is what the default signature answers.
        asked: how clients ask by the default signature.
    """
    sides = (None, *size, 3)
    if asked.range is not None:
        nodes = [node for one in nodes for node in (_from_floats(one, asked) if one.name == INPUT else [one])]
    saved = message("SavedModel")(saved_model_schema_version=1)
    graph = saved.meta_graphs.add()
    graph.meta_info_def.tags.append("serve")
    graph.meta_info_def.tensorflow_version = "2.12.0"
    graph.graph_def.versions.producer = _PRODUCER
    for node in nodes:
        written = graph.graph_def.node.add(name=node.name, op=node.operator, input=node.inputs)
        for name, value in node.attributes.items():
            _fill(written.attr[name], value)
    signature = _signature(graph, SIGNATURE)
    taken, dtype = (INPUT, np.uint8) if asked.range is None else (_FLOATS, np.float32)
    _describe(signature.inputs[asked.pixels], taken, np.dtype(dtype), sides)
    answer = outputs[OUTPUTS[0]]
    _describe(signature.outputs[asked.output], answer.name, answer.dtype, answer.sides)
    everything = _signature(graph, EVERYTHING)
    _describe(everything.inputs[INPUT], INPUT, np.dtype(np.uint8), sides)
    for name in OUTPUTS:
        _describe(everything.outputs[name], outputs[name].name, outputs[name].dtype, outputs[name].sides)
    content: bytes = saved.SerializeToString(deterministic=True)
    return content


def _signature(graph: Any, name: str) -> Any:
    signature = graph.signature_def[name]
    signature.method_name = _METHOD
    return signature


def _from_floats(images: Node, asked: TfSignature) -> Iterator[Node]:
    """The nodes that make pixels of floats, in the place of the one that takes pixels. Its name may still be
    fed, so that one network answers both signatures.
    """
    float32, int32, text = np.dtype(np.float32), np.dtype(np.int32), np.dtype(np.bytes_)
    most, shape = np.float32(asked.most), images.attributes["shape"]
    message = f"Pixels of '{asked.pixels}' must be numbers from 0 to {asked.most}.".encode()
    of_floats: dict[str, Attribute] = {"T": float32}
    to_pixels: dict[str, Attribute] = {"SrcT": float32, "DstT": np.dtype(np.uint8), "Truncate": False}
    # Name, operator, names of the inputs, attributes; each name stands behind that of the node for floats.
    # NaN is in no order with anything, so it fails both comparisons. ^: not before that one has run.
    steps: tuple[tuple[str, str, tuple[str, ...], dict[str, Attribute]], ...] = (
        ("", "Placeholder", (), {"dtype": float32, "shape": shape}),
        ("/low", "Const", (), {"dtype": float32, "value": np.array(0, float32)}),
        ("/high", "Const", (), {"dtype": float32, "value": np.array(most)}),
        ("/scale", "Const", (), {"dtype": float32, "value": np.array(255 / most, float32)}),
        ("/axes", "Const", (), {"dtype": int32, "value": np.arange(4, dtype=int32)}),
        ("/said", "Const", (), {"dtype": text, "value": message}),
        ("/not_low", "GreaterEqual", ("", "/low"), of_floats),
        ("/not_high", "LessEqual", ("", "/high"), of_floats),
        ("/each", "LogicalAnd", ("/not_low", "/not_high"), {}),
        ("/all", "All", ("/each", "/axes"), {"Tidx": int32, "keep_dims": False}),
        ("/checked", "Assert", ("/all", "/said"), {"T": [text], "summarize": 1}),
        ("/scaled", "Mul", ("", "/scale"), of_floats),
        ("/rounded", "Round", ("/scaled",), of_floats),
        ("/pixels", "Cast", ("/rounded", "^/checked"), to_pixels),
    )
    for name, operator, inputs, attributes in steps:
        named = tuple("^" * one.startswith("^") + _FLOATS + one.lstrip("^") for one in inputs)
        yield Node(_FLOATS + name, operator, named, attributes)
    yield Node(images.name, "PlaceholderWithDefault", (f"{_FLOATS}/pixels",), images.attributes)


_FIELD_OF = {bool: "b", int: "i", float: "f"}


def _fill(attribute: Any, value: Attribute) -> None:
    if isinstance(value, str):
        attribute.s = value.encode()
    elif isinstance(value, np.dtype):
        attribute.type = _number(value)
    elif isinstance(value, bytes | np.ndarray):
        _fill_tensor(attribute.tensor, value)
    elif isinstance(value, tuple):
        attribute.shape.SetInParent()
        for side in value:
            attribute.shape.dim.add(size=side)
    elif isinstance(value, list):
        attribute.list.SetInParent()
        attribute.list.i.extend(one for one in value if isinstance(one, int))
        attribute.list.type.extend(_number(one) for one in value if isinstance(one, np.dtype))
    else:
        setattr(attribute, _FIELD_OF[type(value)], value)


def _fill_tensor(tensor: Any, value: bytes | npt.NDArray[Any]) -> None:
    tensor.SetInParent()
    tensor.tensor_shape.SetInParent()
    if isinstance(value, bytes):
        tensor.dtype = _number(np.dtype(np.bytes_))
        tensor.string_val.append(value)
        return
    tensor.dtype = _number(value.dtype)
    for side in value.shape:
        tensor.tensor_shape.dim.add(size=side)
    tensor.tensor_content = value.astype(value.dtype.newbyteorder("<")).tobytes()


def _number(dtype: np.dtype[Any]) -> int:
    if dtype.name not in _DTYPES:
        raise DataError(f"A SavedModel cannot be written of a network that computes in {dtype.name}.")
    return _DTYPES[dtype.name]


def _describe(info: Any, name: str, dtype: np.dtype[Any], sides: Iterable[int | None]) -> None:
    info.name, info.dtype = f"{name}:0", _number(dtype)
    for side in sides:
        info.tensor_shape.dim.add(size=-1 if side is None else side)


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    """The messages, in a pool of their own: beside TensorFlow, whose names they share, they would clash."""
    file = descriptor_pb2.FileDescriptorProto(
        name="trapline_tensorflow.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        declared = file.message_type.add(name=name)
        if name == _ONEOF:
            declared.oneof_decl.add(name="value")
        for field in fields.split(", "):
            called, number, kind = field.split()
            added = declared.field.add(name=called, number=int(number))
            if name == _ONEOF:
                added.oneof_index = 0
            _declare(added, kind, declared)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def _declare(field: Any, kind: str, parent: Any) -> None:
    repeated = kind[0] in "*%"
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if kind[0] == "%":
        entry = parent.nested_type.add(name=f"{field.name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _declare(entry.field.add(name="key", number=1), "string", entry)
        _declare(entry.field.add(name="value", number=2), kind[1:], entry)
        field.type, field.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{parent.name}.{entry.name}"
        return
    kind = kind.lstrip("*")
    if kind in _MESSAGES:
        field.type, field.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")


@cache
def message(name: str) -> Any:
    """The class of one of TensorFlow's messages: `message("SavedModel")`."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}"))
