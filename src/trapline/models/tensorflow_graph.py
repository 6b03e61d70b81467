"""An ONNX graph as a TensorFlow graph, without TensorFlow: its nodes, one or a few for each of ONNX's.

On a processor TensorFlow convolves `[batch, height, width, channels]`; ONNX describes
`[batch, channels, height, width]`. A tensor between convolutions is therefore held channels last, and what
ONNX says of its axes is translated; only where ONNX's order itself matters (a flattening, a general reshape)
is it turned back.

Operators: https://onnx.ai/onnx/operators/ and https://www.tensorflow.org/api_docs/python/tf/raw_ops
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from trapline.errors import DataError

Array = npt.NDArray[Any]
Attribute = (
    bool
    | int
    | float
    | str
    | bytes
    | np.dtype[Any]
    | list[int]
    | list[np.dtype[Any]]
    | tuple[int, ...]
    | Array
)
"""A list is a list of numbers or of types, a tuple the shape of a tensor, bytes are a tensor of one text."""

_TO_LAST = (0, 2, 3, 1)
_TO_FIRST = (0, 3, 1, 2)
_NHWC_AXIS = (0, 3, 1, 2)
"""Where ONNX's axis 0, 1, 2, 3 lies in a tensor that is held channels last."""

_TYPES_OF = {
    "Cast": ("SrcT",),
    "ConcatV2": ("T",),
    "ExpandDims": ("T", "Tdim"),
    "Fill": ("index_type", "T"),
    "GatherV2": ("Tparams", "Tindices", "Taxis"),
    "PadV2": ("T", "Tpaddings"),
    "Range": ("Tidx",),
    "Reshape": ("T", "Tshape"),
    "Split": (None, "T"),
    "SplitV": ("T", "Tlen"),
    "StridedSlice": ("T", "Index"),
    "Transpose": ("T", "Tperm"),
} | dict.fromkeys(("EuclideanNorm", "Max", "Mean", "Min", "Sum"), ("T", "Tidx"))
"""By which attributes an operator says the types of its inputs, in their order; others say the first's."""

_INT32 = np.dtype(np.int32)
_MOST = 2**31 - 1


@dataclass(frozen=True)
class Node:
    """A node of a TensorFlow graph; `attributes` are told apart by their Python type."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True)
class Tensor:
    """A value of the ONNX graph in the TensorFlow graph.

    Attributes:
        name: the node that makes it (with `:1` for a second output); empty for a constant not yet written.
        dtype: of its elements.
        sides: as ONNX has them, in ONNX's order; None where a side is free, () of unknown rank never occurs.
        last: it is held channels last.
        value: what it is, if that is known already.
    """

    name: str
    dtype: np.dtype[Any]
    sides: tuple[int | None, ...]
    last: bool = False
    value: Array | None = None


class Translation:
    """The nodes that were made so far."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._constants: dict[tuple[Any, ...], str] = {}

    def add(
        self,
        operator: str,
        *inputs: Tensor,
        like: Tensor | None = None,
        dtype: Any = None,
        **attributes: Attribute,
    ) -> Tensor:
        """Add a node; the result is like `like` (or the first input) until told otherwise."""
        written = tuple(self.write(one) for one in inputs)
        name = f"node{len(self.nodes)}/{operator}"
        names = _TYPES_OF.get(operator, ("T",))
        types = {name: one.dtype for name, one in zip(names, inputs, strict=False) if name}
        self.nodes.append(Node(name, operator, written, types | attributes))
        base = inputs[0] if like is None else like
        return replace(base, name=name, dtype=np.dtype(dtype or base.dtype), value=None)

    def constant(self, value: Any, dtype: Any = None) -> Tensor:
        """A constant; it becomes a node when it is used."""
        array = np.asarray(value, dtype)
        return Tensor("", array.dtype, array.shape, value=array)

    def write(self, tensor: Tensor) -> str:
        """The name of a tensor, after making a node of it if it is a constant."""
        if tensor.value is None:
            return tensor.name
        array = np.ascontiguousarray(tensor.value).reshape(tensor.value.shape)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"node{len(self.nodes)}/Const"
            self.nodes.append(Node(name, "Const", (), {"dtype": array.dtype, "value": array}))
            self._constants[key] = name
        return self._constants[key]

    def turn(self, tensor: Tensor, last: bool) -> Tensor:
        """The tensor of rank 4 with its channels last, or in ONNX's order."""
        if tensor.last == last:
            return tensor
        order = _TO_LAST if last else _TO_FIRST
        if tensor.value is not None:
            return replace(tensor, value=tensor.value.transpose(order), last=last)
        channels = tensor.sides[1]
        if not last and tensor.sides[2:] == (1, 1) and channels:  # the same numbers in the same order
            reshaped = self.add("Reshape", tensor, self.constant([-1, channels, 1, 1], np.int32))
        else:
            reshaped = self.add("Transpose", tensor, self.constant(order, np.int32))
        return replace(reshaped, last=last)

    def plain(self, tensor: Tensor) -> Tensor:
        """The tensor in ONNX's order."""
        return self.turn(tensor, last=False)

    def align(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Tensors that are combined number by number, all held the same way."""
        if not any(one.last for one in tensors):
            return list(tensors)
        if any(one.value is None and len(one.sides) not in (0, 4) for one in tensors):
            return [self.plain(one) for one in tensors]
        return [self._lift(one) if len(one.sides) else one for one in tensors]

    def _lift(self, tensor: Tensor) -> Tensor:
        if tensor.value is not None and not tensor.last:
            value = tensor.value.reshape((1,) * (4 - tensor.value.ndim) + tensor.value.shape)
            tensor = replace(tensor, value=value, sides=value.shape)
        return self.turn(tensor, last=True)


Rule = Callable[[Translation, "Call"], Tensor | list[Tensor]]
_RULES: dict[str, Rule] = {}


@dataclass(frozen=True)
class Call:
    """One node of the ONNX graph with what goes into it; a left out input is None."""

    operator: str
    inputs: tuple[Tensor | None, ...]
    attributes: Mapping[str, Any]
    sides: tuple[tuple[int | None, ...], ...]

    def __getitem__(self, index: int) -> Tensor:
        """An input that must be there."""
        tensor = self.inputs[index] if index < len(self.inputs) else None
        if tensor is None:
            raise DataError(f"The operator {self.operator} lacks an input.")
        return tensor

    def known(self, index: int) -> Array | None:
        """An input whose value is known; None if it was left out.

        Raises:
            DataError: it is only known when the network runs.
        """
        if index >= len(self.inputs) or self.inputs[index] is None:
            return None
        value = self[index].value
        if value is None:
            raise self.error("with that is computed by the network itself")
        return value

    def value(self, index: int) -> Array:
        """An input that must be there and known.

        Raises:
            DataError: it is not.
        """
        value = self.known(index)
        if value is None:
            raise self.error("of that kind")
        return value

    def axis(self, default: int = -1) -> int:
        """The axis that it works along, counted from the first."""
        axis = int(self.attributes.get("axis", default))
        return axis + len(self[0].sides) if axis < 0 else axis

    def error(self, why: str = "") -> DataError:
        """The error that says that this cannot be written."""
        return DataError(
            f"A SavedModel cannot be written of a network with the operator {self.operator} {why}".rstrip()
            + ". `trapline serve` serves the model file itself, to TensorFlow Serving's clients too."
        )


def _rule(*operators: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(operators, rule))
        return rule

    return register


def translate(model: onnx.ModelProto, height: int, width: int) -> tuple[list[Node], dict[str, Tensor]]:
    """The TensorFlow nodes of a network, and its outputs by name, in ONNX's order of axes.

    Args:
        model: one input, uint8 [batch, height, width, 3]; one plain graph.
        height: of its input, pixels.
        width: of its input, pixels.

    Raises:
        DataError: it has an operator, or a use of one, that is not translated.
    """
    model = _infer_sizes(model, height, width)
    graph, made = model.graph, Translation()
    types = {item.name: item.type.tensor_type for item in (*graph.value_info, *graph.output, *graph.input)}
    name = graph.input[0].name
    made.nodes.append(
        Node(name, "Placeholder", (), {"dtype": np.dtype(np.uint8), "shape": (-1, height, width, 3)})
    )
    values = {tensor.name: made.constant(numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    values[name] = Tensor(name, np.dtype(np.uint8), (None, height, width, 3))
    opset = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    read = {name for node in graph.node for name in node.input} - {""}
    for node in graph.node:
        inputs = tuple(values[item] if item else None for item in node.input)
        outputs = _translate_node(made, node, inputs, types, opset)
        if read & set(node.output[len(outputs) :]):
            raise DataError(f"A SavedModel cannot hold the further outputs of the operator {node.op_type}.")
        values.update(zip(node.output, outputs, strict=False))
    return made.nodes, {item.name: _name_output(made, values[item.name], item.name) for item in graph.output}


def _name_output(made: Translation, tensor: Tensor, name: str) -> Tensor:
    plain = made.plain(tensor)
    made.nodes.append(Node(name, "Identity", (made.write(plain),), {"T": plain.dtype}))
    return replace(plain, name=name, value=None)


def _infer_sizes(model: onnx.ModelProto, height: int, width: int) -> onnx.ModelProto:
    """A copy with the input's size written in, and the types of all values inferred from it."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    dims = copy.graph.input[0].type.tensor_type.shape.dim
    dims[1].dim_value, dims[2].dim_value = height, width
    del copy.graph.value_info[:]
    return shape_inference.infer_shapes(copy, data_prop=True)


def _translate_node(
    made: Translation,
    node: onnx.NodeProto,
    inputs: tuple[Tensor | None, ...],
    types: Mapping[str, Any],
    opset: int,
) -> list[Tensor]:
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    sides = tuple(_sides(types.get(name)) for name in node.output)
    call = Call(node.op_type, inputs, attributes, sides)
    if all(one is None or one.value is not None for one in inputs):
        feeds = {name: one.value for name, one in zip(node.input, inputs, strict=True) if one is not None}
        results = ReferenceEvaluator(node, opsets={"": opset}).run(None, feeds)
        return [made.constant(result) for result in results]
    if node.op_type not in _RULES or node.domain not in ("", "ai.onnx"):
        raise call.error()
    outputs = _RULES[node.op_type](made, call)
    several = outputs if isinstance(outputs, list) else [outputs]
    return [replace(one, sides=side) for one, side in zip(several, sides, strict=False)]


def _sides(kind: Any) -> tuple[int | None, ...]:
    if kind is None or not kind.HasField("shape"):
        return ()
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)


# Number by number ------------------------------------------------------------------------------------------

_UNARY = "Relu Sigmoid Tanh Erf Exp Log Sqrt Neg Abs Reciprocal Softplus Floor Ceil Elu Identity"
_BINARY = {"Add": "AddV2", "Sub": "Sub", "Mul": "Mul", "Div": "RealDiv", "Pow": "Pow"}
_MANY = {"Min": "Minimum", "Max": "Maximum", "Mean": "AddV2"}


@_rule(*_UNARY.split())
def _unary(made: Translation, call: Call) -> Tensor:
    if call.attributes.get("alpha", 1) != 1:
        raise call.error("with another alpha than 1")
    return made.add(call.operator, call[0])


@_rule(*_BINARY)
def _binary(made: Translation, call: Call) -> Tensor:
    operator, right = _BINARY[call.operator], call[1]
    if operator == "RealDiv" and call[0].dtype.kind in "iu":
        operator = "TruncateDiv"  # towards zero, as ONNX Runtime does
    if right.dtype != call[0].dtype:  # of a power
        right = _as_type(made, right, call[0].dtype)
    return _combine(made, operator, call[0], right)


@_rule(*_MANY)
def _many(made: Translation, call: Call) -> Tensor:
    total = call[0]
    for index in range(1, len(call.inputs)):
        total = _combine(made, _MANY[call.operator], total, call[index])
    if call.operator == "Mean":
        total = _combine(made, "Mul", total, made.constant(1 / len(call.inputs), np.float32))
    return total


def _combine(made: Translation, operator: str, left: Tensor, right: Tensor) -> Tensor:
    left, right = made.align([left, right])
    like = max((left, right), key=lambda one: (one.value is None, len(one.sides)))
    return made.add(operator, left, right, like=replace(like, last=left.last or right.last))


@_rule("Clip")
def _clip(made: Translation, call: Call) -> Tensor:
    low, high = call.known(1), call.known(2)
    if low == 0 and high == 6:
        return made.add("Relu6", call[0])
    return _clamp(made, call[0], low, high)


def _clamp(made: Translation, flow: Tensor, low: Any, high: Any) -> Tensor:
    if low is not None:
        flow = _combine(made, "Maximum", flow, made.constant(low, flow.dtype))
    if high is not None:
        flow = _combine(made, "Minimum", flow, made.constant(high, flow.dtype))
    return flow


@_rule("LeakyRelu")
def _leaky_relu(made: Translation, call: Call) -> Tensor:
    return made.add("LeakyRelu", call[0], alpha=float(call.attributes.get("alpha", 0.01)))


@_rule("HardSigmoid", "HardSwish")
def _hard(made: Translation, call: Call) -> Tensor:
    swish = call.operator == "HardSwish"
    alpha, beta = (1 / 6, 0.5) if swish else (0.2, 0.5)
    alpha, beta = call.attributes.get("alpha", alpha), call.attributes.get("beta", beta)
    flow = _clamp(made, _stretch(made, call[0], alpha, beta), 0, 1)
    return _combine(made, "Mul", call[0], flow) if swish else flow


def _stretch(made: Translation, flow: Tensor, factor: Any, offset: Any) -> Tensor:
    scaled = _combine(made, "Mul", flow, made.constant(factor, flow.dtype))
    return _combine(made, "AddV2", scaled, made.constant(offset, flow.dtype))


@_rule("Cast")
def _cast(made: Translation, call: Call) -> Tensor:
    return _as_type(made, call[0], helper.tensor_dtype_to_np_dtype(call.attributes["to"]))


def _as_type(made: Translation, tensor: Tensor, wanted: np.dtype[Any]) -> Tensor:
    return made.add("Cast", tensor, dtype=wanted, DstT=wanted)


@_rule("BatchNormalization")
def _batch_norm(made: Translation, call: Call) -> Tensor:
    scale, bias, mean, variance = (call.value(index) for index in (1, 2, 3, 4))
    factor = scale / np.sqrt(variance + call.attributes.get("epsilon", 1e-5))
    shape = (-1,) + (1,) * (len(call[0].sides) - 2)
    return _stretch(made, call[0], factor.reshape(shape), (bias - mean * factor).reshape(shape))


# Convolutions and pools ------------------------------------------------------------------------------------


@_rule("Conv")
def _conv(made: Translation, call: Call) -> Tensor:
    weights, groups = call.value(1), int(call.attributes.get("group", 1))
    if weights.ndim != 4:
        raise call.error("of that kind")
    padding, pads = _padding(call)
    x = _pad_sides(made, made.turn(call[0], last=True), pads)
    strides = call.attributes.get("strides", (1, 1))
    steps = _steps(padding, strides=strides, dilations=call.attributes.get("dilations", (1, 1)))
    outputs, inputs, height, width = weights.shape
    if groups > 1 and inputs == 1 and outputs % groups == 0 and strides[0] == strides[1]:
        kernel = weights.reshape(groups, outputs // groups, height, width).transpose(2, 3, 0, 1)
        flow = made.add("DepthwiseConv2dNative", x, made.constant(kernel), **steps)
    elif groups == 1:
        flow = made.add("Conv2D", x, made.constant(weights.transpose(2, 3, 1, 0)), **steps)
    else:
        flow = _convolve_groups(made, x, weights, groups, steps)
    bias = call.known(2)
    if bias is not None:
        flow = made.add("BiasAdd", flow, made.constant(bias), data_format="NHWC")
    return replace(flow, last=True)


def _convolve_groups(
    made: Translation, x: Tensor, weights: Array, groups: int, steps: Mapping[str, Any]
) -> Tensor:
    parts = made.add("Split", made.constant(3, np.int32), x, like=x, num_split=groups)
    outputs = []
    for part, kernel in zip(_outputs(parts, groups), np.split(weights, groups), strict=True):
        kernel = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))
        outputs.append(made.add("Conv2D", part, made.constant(kernel), **steps))
    return _join(made, outputs, 3)


def _join(made: Translation, tensors: Sequence[Tensor], axis: int) -> Tensor:
    like, axis_input = tensors[0], made.constant(axis, np.int32)
    return made.add("ConcatV2", *tensors, axis_input, like=like, N=len(tensors), Tidx=_INT32)


def _text(call: Call, name: str, default: str) -> str:
    value = call.attributes.get(name, default)
    return value.decode() if isinstance(value, bytes) else str(value)


def _steps(padding: str, **sides: Sequence[int]) -> dict[str, Any]:
    """How a window moves: `sides` are down and across."""
    named = {name: [1, *side, 1] for name, side in sides.items()}
    return {**named, "padding": padding, "data_format": "NHWC"}


def _padding(call: Call) -> tuple[str, list[int]]:
    """What TensorFlow calls the padding, and the rows and columns that it has no word for."""
    kind = _text(call, "auto_pad", "NOTSET")
    if kind == "SAME_UPPER":
        return "SAME", [0, 0, 0, 0]
    if kind not in ("NOTSET", "VALID"):
        raise call.error(f"padded as {kind}")
    return "VALID", [int(pad) for pad in call.attributes.get("pads", (0, 0, 0, 0))]


def _pad_sides(made: Translation, x: Tensor, pads: Sequence[int], value: float = 0.0) -> Tensor:
    """`x`, channels last, with rows and columns added; `pads` are top, left, bottom, right."""
    if not any(pads):
        return x
    top, left, bottom, right = pads
    around = made.constant([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    filling = made.constant(value, x.dtype)
    return made.add("PadV2", x, around, filling)


@_rule("MaxPool", "AveragePool")
def _pool(made: Translation, call: Call) -> Tensor:
    shape = [int(side) for side in call.attributes["kernel_shape"]]
    dilated = any(step != 1 for step in call.attributes.get("dilations", (1, 1)))
    if len(shape) != 2 or dilated or call.attributes.get("ceil_mode", 0):
        raise call.error("of that kind")
    x, (padding, pads) = made.turn(call[0], last=True), _padding(call)
    if padding == "SAME" and call.attributes.get("count_include_pad", 0):
        raise call.error("that counts its padding")
    steps = _steps(padding, ksize=shape, strides=call.attributes.get("strides", (1, 1)))
    if call.operator == "MaxPool":
        padded = _pad_sides(made, x, pads, float(np.finfo(np.float32).min))
        return made.add("MaxPool", padded, **steps)
    pooled = made.add("AvgPool", _pad_sides(made, x, pads), **steps)
    if any(pads) and not call.attributes.get("count_include_pad", 0):
        ones = made.add("OnesLike", x)
        share = made.add("AvgPool", _pad_sides(made, ones, pads), **steps)
        pooled = made.add("RealDiv", pooled, share)
    return pooled


# Along axes ------------------------------------------------------------------------------------------------

_REDUCE = {"ReduceMean": "Mean", "ReduceSum": "Sum", "ReduceMax": "Max", "ReduceMin": "Min"}
_REDUCE["ReduceL2"] = "EuclideanNorm"


@_rule("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(made: Translation, call: Call) -> Tensor:
    return _reduce_axes(made, "Max" if "Max" in call.operator else "Mean", call[0], (2, 3), keep=True)


@_rule(*_REDUCE)
def _reduce(made: Translation, call: Call) -> Tensor:
    given = call.attributes.get("axes")  # before operator set 18
    axes = call.known(1) if given is None else np.asarray(given)
    if call.attributes.get("noop_with_empty_axes", 0):
        raise call.error("of that kind")
    rank = len(call[0].sides)
    reduced_axes = sorted(int(axis) % rank for axis in (range(rank) if axes is None else axes.ravel()))
    keep = bool(call.attributes.get("keepdims", 1))
    return _reduce_axes(made, _REDUCE[call.operator], call[0], reduced_axes, keep=keep)


def _reduce_axes(made: Translation, operator: str, x: Tensor, axes: Sequence[int], *, keep: bool) -> Tensor:
    if x.last and not keep and tuple(axes) != (2, 3):
        x = made.plain(x)
    reduced_axes = [_NHWC_AXIS[axis] for axis in axes] if x.last else list(axes)
    flow = made.add(operator, x, made.constant(reduced_axes, np.int32), keep_dims=keep)
    return replace(flow, last=x.last and keep)


@_rule("Softmax")
def _softmax(made: Translation, call: Call) -> Tensor:
    x, axis, inmost = call[0], call.axis(), len(call[0].sides) - 1
    if (_NHWC_AXIS[axis] if x.last else axis) != inmost:
        x = made.plain(x)
        if axis != inmost:
            raise call.error("along an inner axis")
    return made.add("Softmax", x)


@_rule("Concat")
def _concat(made: Translation, call: Call) -> Tensor:
    tensors = made.align([call[index] for index in range(len(call.inputs))])
    axis = call.axis()
    return _join(made, tensors, _NHWC_AXIS[axis] if tensors[0].last else axis)


@_rule("LayerNormalization")
def _layer_norm(made: Translation, call: Call) -> Tensor:
    x = made.plain(call[0])
    axes = range(call.axis(), len(x.sides))
    mean = _reduce_axes(made, "Mean", x, axes, keep=True)
    spread = _reduce_axes(made, "Mean", made.add("SquaredDifference", x, mean), axes, keep=True)
    epsilon = made.constant(call.attributes.get("epsilon", 1e-5), x.dtype)
    scale = made.add("Rsqrt", made.add("AddV2", spread, epsilon))
    flow = made.add("Mul", made.add("Sub", x, mean), scale)
    flow = made.add("Mul", flow, call[1])
    if len(call.inputs) > 2 and call.inputs[2] is not None:
        flow = made.add("AddV2", flow, call[2])
    return flow


# Products --------------------------------------------------------------------------------------------------


@_rule("Gemm")
def _gemm(made: Translation, call: Call) -> Tensor:
    weights = call.value(1)
    if call.attributes.get("transA", 0):
        raise call.error("of that kind")
    weights = weights.T if call.attributes.get("transB", 0) else weights
    weights = np.ascontiguousarray(weights * np.float32(call.attributes.get("alpha", 1.0)))
    x = made.plain(call[0])
    flow = made.add("MatMul", x, made.constant(weights, np.float32))
    bias = call.known(2)
    if bias is not None:
        scaled = made.constant(bias * np.float32(call.attributes.get("beta", 1.0)), np.float32)
        flow = made.add("AddV2", flow, scaled)
    return flow


@_rule("MatMul")
def _matmul(made: Translation, call: Call) -> Tensor:
    left, right = made.plain(call[0]), made.plain(call[1])
    if min(len(left.sides), len(right.sides)) < 2:
        raise call.error("of a vector")
    flat = len(left.sides) == len(right.sides) == 2
    return made.add("MatMul" if flat else "BatchMatMulV2", left, right)


# Shapes ----------------------------------------------------------------------------------------------------


@_rule("Transpose")
def _transpose(made: Translation, call: Call) -> Tensor:
    x, rank = call[0], len(call[0].sides)
    order = tuple(call.attributes.get("perm", range(rank)[::-1]))
    if order == _TO_FIRST and not x.last:
        return replace(x, last=True)
    if order == _TO_LAST and x.last:
        return replace(x, last=False)
    x = made.plain(x)
    return made.add("Transpose", x, made.constant(order, np.int32))


@_rule("Flatten")
def _flatten(made: Translation, call: Call) -> Tensor:
    axis, rest = call.axis(1), call[0].sides[1:]
    if axis != 1 or None in rest:
        raise call.error("of a free size")
    shape = [-1, math.prod(side or 0 for side in rest)]
    return made.add("Reshape", made.plain(call[0]), made.constant(shape, np.int32))


@_rule("Reshape")
def _reshape(made: Translation, call: Call) -> Tensor:
    x, shape = call[0], call[1]
    if shape.value is None:
        return made.add("Reshape", made.plain(x), shape)
    if call.attributes.get("allowzero", 0) and 0 in shape.value:
        raise call.error("to a side of zero")
    wanted: list[int] = []
    for index, side in enumerate(int(side) for side in shape.value):
        kept = x.sides[index] if side == 0 else side
        wanted.append(-1 if kept is None else kept)
    if wanted.count(-1) > 1:
        wanted = [
            int(given) if known is None else known for given, known in zip(wanted, call.sides[0], strict=True)
        ]
    if wanted.count(-1) > 1:
        raise call.error("to a free size")
    return made.add("Reshape", made.plain(x), made.constant(wanted, np.int32))


@_rule("Squeeze")
def _squeeze(made: Translation, call: Call) -> Tensor:
    axes, x = call.known(1), made.plain(call[0])
    squeezed_axes = [] if axes is None else [int(axis) % len(x.sides) for axis in axes]
    return made.add("Squeeze", x, squeeze_dims=squeezed_axes)


@_rule("Unsqueeze")
def _unsqueeze(made: Translation, call: Call) -> Tensor:
    axes, tensor = call.value(1), made.plain(call[0])
    rank = len(tensor.sides) + axes.size
    for axis in sorted(int(axis) % rank for axis in axes.ravel()):
        tensor = made.add("ExpandDims", tensor, made.constant(axis, np.int32))
    return tensor


@_rule("Shape")
def _shape(made: Translation, call: Call) -> Tensor:
    x = call[0]
    part = slice(call.attributes.get("start", 0), call.attributes.get("end"))
    known = x.sides[part]
    if None not in known:
        return made.constant(known, np.int64)
    plain = made.plain(x)
    whole = made.add("Shape", plain, dtype=np.int64, out_type=np.dtype(np.int64))
    first, last, _ = part.indices(len(x.sides))
    return _cut(made, replace(whole, last=False), [first], [last], [1])


def _cut(
    made: Translation,
    x: Tensor,
    begin: list[int],
    end: list[int],
    step: list[int],
    masks: tuple[int, int] = (0, 0),
) -> Tensor:
    """A part of a tensor; the masks' bits are axes that begin at their start, and that go to their end."""
    bounds = (made.constant(one, np.int32) for one in (begin, end, step))
    zero: dict[str, Any] = {"ellipsis_mask": 0, "new_axis_mask": 0, "shrink_axis_mask": 0}
    return made.add("StridedSlice", x, *bounds, begin_mask=masks[0], end_mask=masks[1], **zero)


@_rule("Gather")
def _gather(made: Translation, call: Call) -> Tensor:
    x, indices, axis = made.plain(call[0]), call[1], call.axis(0)
    if indices.value is not None and (indices.value < 0).any():
        length = x.sides[axis] if x.sides else None
        if length is None:
            raise call.error("from the end of a free size")
        counted = np.where(indices.value < 0, indices.value + length, indices.value)
        indices = made.constant(counted, indices.dtype)
    return made.add("GatherV2", x, indices, made.constant(axis, np.int32), batch_dims=0)


@_rule("Range")
def _range(made: Translation, call: Call) -> Tensor:
    return made.add("Range", call[0], call[1], call[2], like=call[1])


@_rule("Expand")
def _expand(made: Translation, call: Call) -> Tensor:
    x, shape = made.plain(call[0]), call[1]
    one = made.constant(1, x.dtype)  # TensorFlow's BroadcastTo keeps no side that is longer than asked for
    ones = made.add("Fill", shape, one, like=x, index_type=shape.dtype)
    return made.add("Mul", x, ones, like=x)


@_rule("Slice")
def _slice(made: Translation, call: Call) -> Tensor:
    x = made.plain(call[0])
    starts, ends = call.value(1), call.value(2)
    rank = len(x.sides)
    given, steps = call.known(3), call.known(4)
    axes = range(len(starts)) if given is None else [int(axis) % rank for axis in given]
    begin, end, stride = [0] * rank, [0] * rank, [1] * rank
    free_begin = free_end = (1 << rank) - 1
    for index, axis in enumerate(axes):
        start, stop = int(starts[index]), int(ends[index])
        stride[axis] = 1 if steps is None else int(steps[index])
        if abs(start) < _MOST:
            begin[axis] = start
            free_begin &= ~(1 << axis)
        if abs(stop) < _MOST:
            end[axis] = stop
            free_end &= ~(1 << axis)
    return _cut(made, x, begin, end, stride, (free_begin, free_end))


@_rule("Split")
def _split(made: Translation, call: Call) -> list[Tensor]:
    x = made.plain(call[0])
    axis, sizes = call.axis(0), call.known(1)
    lengths = [side[axis] for side in call.sides] if sizes is None else [int(size) for size in sizes]
    if None in lengths:
        raise call.error("of a free size")
    cuts = (made.constant(lengths, np.int32), made.constant(axis, np.int32))
    return _outputs(made.add("SplitV", x, *cuts, num_split=len(lengths)), len(lengths))


def _outputs(node: Tensor, count: int) -> list[Tensor]:
    """Each of a node's outputs."""
    return [replace(node, name=f"{node.name}:{index}" if index else node.name) for index in range(count)]


@_rule("Pad")
def _pad(made: Translation, call: Call) -> Tensor:
    x, pads, value = made.plain(call[0]), call.value(1), call.known(2)
    cuts = (pads < 0).any()
    if cuts or _text(call, "mode", "constant") != "constant" or call.known(3) is not None:
        raise call.error("of that kind")
    around = made.constant(pads.reshape(2, -1).T, np.int32)
    filling = made.constant(0 if value is None else value, x.dtype)
    return made.add("PadV2", x, around, filling)
