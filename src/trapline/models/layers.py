"""The network of a model file, layer by layer: what each computes, the shape it gives, its parameters."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from trapline.models.file import INPUT
from trapline.models.onnx_graph import read_graph

_ON_ITS_OWN = ("Cast", "DequantizeLinear", "Identity")
"""Operators by which a stored weight comes into its layer: half precision, eight bits."""

_UNSAID = {*_ON_ITS_OWN, "QuantizeLinear"}
_FOLLOWS = {
    *_UNSAID,
    "BatchNormalization",
    "Clip",
    "Dropout",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Relu",
}
"""Operators that belong to the layer before them; the unsaid ones only store its numbers otherwise."""

_LEARNT = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_WEIGHTS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
_SHAPES = ("Shape", "Gather", "Unsqueeze", "Squeeze", "Constant", "Concat", "Slice")


@dataclass(frozen=True)
class NetworkLayer:
    """One layer, with what directly follows it (an activation, say).

    Attributes:
        name: of its first operator in the graph.
        operator: `Conv 3×3 /2 + Relu`: the ONNX operators, with kernel and stride.
        shape: of its output for one image; channels first. None where ONNX cannot infer it.
        parameters: how many numbers it has learnt, biases that came out as zero left out. What is done to the
            pixels before the first such layer has none.
        inputs: indices of the layers that it reads; empty for one that reads the images.
    """

    name: str
    operator: str
    shape: tuple[int, ...] | None
    parameters: int
    inputs: tuple[int, ...]


def network_layers(path: Path | str, height: int, width: int) -> list[NetworkLayer]:
    """The layers of a model file in the order in which they are computed.

    Batch norms that the export folded into the convolution before them are in its numbers. What only computes
    with shapes is left out.

    Args:
        path: of the model file.
        height: of the images, for which the shapes are given.
        width: likewise.

    Raises:
        DataError: no model file, or one that cannot be read.
    """
    model = read_graph(path)
    for value in model.graph.input:
        if value.name == INPUT:
            for one, size in zip(value.type.tensor_type.shape.dim[1:3], (height, width), strict=True):
                one.dim_value = size
    return _Reading(onnx.shape_inference.infer_shapes(model, data_prop=True).graph).layers()


class _Reading:
    """The graph on its way to layers."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.sizes = {
            tensor.name: math.prod(map(int, tensor.dims))
            for tensor in graph.initializer
            if tensor.dims and tensor.data_type in _WEIGHTS
        }
        self.constants = {tensor.name for tensor in graph.initializer}
        self.shapes = {value.name: _shape(value) for value in (*graph.value_info, *graph.output)}
        self.readers = Counter(name for node in graph.node for name in node.input)
        self.layer_of: dict[str, int] = {}
        self.found: list[NetworkLayer] = []
        self.counted: set[str] = set()
        self.learning = False

    def layers(self) -> list[NetworkLayer]:
        """All of them."""
        images = {value.name for value in self.graph.input} - self.constants
        told = set(images)
        for node in self.graph.node:
            flows = [name for name in node.input if name in told]
            if not flows:
                self._carry(node)
            elif node.op_type in _SHAPES and not any(name in self.layer_of for name in flows):
                continue
            else:
                told.update(node.output)
                self._add(node, flows)
        return self.found

    def _carry(self, node: onnx.NodeProto) -> None:
        """A stored weight that is unpacked on its way keeps its size."""
        if node.op_type in _ON_ITS_OWN and node.input[0] in self.sizes:
            self.sizes[node.output[0]] = self.sizes[node.input[0]]
        self.constants.update(node.output)

    def _add(self, node: onnx.NodeProto, flows: Sequence[str]) -> None:
        self.learning |= node.op_type in _LEARNT
        parameters = sum(self._own(name) for name in node.input) if self.learning else 0
        before = sorted({self.layer_of[name] for name in flows if name in self.layer_of})
        shape = self.shapes.get(node.output[0])
        if node.op_type in _FOLLOWS and len(before) == 1 and self.readers[flows[0]] == 1:
            index = before[0]
            last = self.found[index]
            operator = last.operator if node.op_type in _UNSAID else f"{last.operator} + {node.op_type}"
            both, shape = last.parameters + parameters, shape or last.shape
            self.found[index] = replace(last, operator=operator, shape=shape, parameters=both)
        else:
            index = len(self.found)
            name = node.name or node.output[0]
            self.found.append(NetworkLayer(name, _operator(node), shape, parameters, tuple(before)))
        self.layer_of.update(dict.fromkeys(node.output, index))

    def _own(self, name: str) -> int:
        """Size of a constant, the first time that it is used."""
        if name in self.counted:
            return 0
        self.counted.add(name)
        return self.sizes.get(name, 0)


def _operator(node: onnx.NodeProto) -> str:
    settings = {one.name: list(one.ints) for one in node.attribute if one.ints}
    operator = node.op_type
    if "kernel_shape" in settings:
        operator += f" {'×'.join(map(str, settings['kernel_shape']))}"
    if any(stride > 1 for stride in settings.get("strides", ())):
        operator += f" /{settings['strides'][0]}"
    return operator


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """Without the batch; None if a size is not known."""
    sizes = [one.dim_value for one in value.type.tensor_type.shape.dim][1:]
    return tuple(sizes) if all(sizes) else None
