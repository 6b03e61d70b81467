"""Graphs that take the frames of one event as their batch, and say one thing of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from trapline.models.file import INPUT
from trapline.recipes import Statistic

MIDDLE = 128
"""The grey of a place that does not differ from the background."""


def see_background(model: onnx.ModelProto) -> onnx.ModelProto:
    """Show the network each frame twice: as it is, and less the median of all frames of its event.

    The batch is the frames of one event. The second view is `frame - median + 128`, a picture again: grey
    where nothing moved. An event of one frame is all grey there. The `embedding` [batch, D] becomes
    [batch, 2 D]: that of the frame, then that of the second view.
    """
    seeing = onnx.ModelProto()
    seeing.CopyFrom(model)
    graph = seeing.graph
    for node in graph.node:
        node.input[:] = [_SEEN_TWICE.get(name, name) for name in node.input]
        node.output[:] = [_SEEN_TWICE.get(name, name) for name in node.output]
    size = next(output for output in graph.output if output.name == "embedding")
    width = size.type.tensor_type.shape.dim[-1].dim_value
    constants: dict[str, npt.NDArray[Any]] = {
        "one": np.array([1], np.int64),
        "two": np.array([2], np.int64),
        "half": np.array(0.5, np.float32),
        "middle": np.array(MIDDLE, np.float32),
        "least": np.array(0, np.float32),
        "most": np.array(255, np.float32),
        "shape": np.array([2, -1, width], np.int64),
        "frame": np.array(0, np.int64),
        "change": np.array(1, np.int64),
    }
    for name, values in constants.items():
        graph.initializer.append(numpy_helper.from_array(values, f"background/{name}"))
    nodes = [*_without_background(INPUT), *graph.node, *_side_by_side("background/embedding", "embedding")]
    del graph.node[:]
    graph.node.extend(nodes)
    size.type.tensor_type.shape.dim[-1].dim_value = 2 * width
    return seeing


def describe_events(model: onnx.ModelProto, statistics: Sequence[Statistic]) -> onnx.ModelProto:
    """Replace the `embedding` [batch, D] by statistics over the batch, [batch, D * statistics], rows alike.

    The batch is the frames of one event. `std` divides by the number of frames.
    """
    described = onnx.ModelProto()
    described.CopyFrom(model)
    graph, source = described.graph, "frames/embedding"
    for node in graph.node:
        node.input[:] = [source if name == "embedding" else name for name in node.input]
        node.output[:] = [source if name == "embedding" else name for name in node.output]
    graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "events/axis"))
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "events/one"))
    nodes = _statistics(source)
    size = next(output for output in graph.output if output.name == "embedding")
    width = size.type.tensor_type.shape.dim[-1].dim_value * len(statistics)
    nodes += [
        helper.make_node("Concat", [f"events/{name}" for name in statistics], ["events/all"], axis=1),
        helper.make_node("Shape", [source], ["events/frames"], start=0, end=1),
        helper.make_node("Concat", ["events/frames", "events/one"], ["events/shape"], axis=0),
        helper.make_node("Expand", ["events/all", "events/shape"], ["embedding"]),
    ]
    graph.node.extend(nodes)
    size.type.tensor_type.shape.dim[-1].dim_value = width
    return described


_SEEN_TWICE = {INPUT: "background/both", "embedding": "background/embedding"}


def _without_background(images: str) -> list[onnx.NodeProto]:
    """`background/both`, uint8 [2 batch, H, W, 3]: the images, then each less the median of all."""

    def node(operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> onnx.NodeProto:
        named = [name if name == images else f"background/{name}" for name in inputs]
        return helper.make_node(operator, named, [f"background/{output}"], **attributes)

    ordered = helper.make_node(
        "TopK",
        ["background/exact", "background/number"],
        ["background/ordered", "background/places"],
        axis=0,
        largest=0,
    )
    return [
        node("Cast", [images], "exact", to=onnx.TensorProto.FLOAT),
        node("Shape", [images], "number", start=0, end=1),
        ordered,
        # the median is the mean of the two in the middle, which are one where the number is odd
        node("Sub", ["number", "one"], "last"),
        node("Div", ["last", "two"], "lower"),
        node("Div", ["number", "two"], "upper"),
        node("Gather", ["ordered", "lower"], "below", axis=0),
        node("Gather", ["ordered", "upper"], "above", axis=0),
        node("Add", ["below", "above"], "sum"),
        node("Mul", ["sum", "half"], "median"),
        node("Sub", ["exact", "median"], "difference"),
        node("Add", ["difference", "middle"], "shifted"),
        node("Clip", ["shifted", "least", "most"], "clipped"),
        node("Round", ["clipped"], "rounded"),
        node("Cast", ["rounded"], "picture", to=onnx.TensorProto.UINT8),
        node("Concat", [images, "picture"], "both", axis=0),
    ]


def _side_by_side(source: str, target: str) -> list[onnx.NodeProto]:
    """`target` [N, 2 D] of `source` [2 N, D]: its two halves beside one another."""
    return [
        helper.make_node("Reshape", [source, "background/shape"], ["background/pair"]),
        helper.make_node("Gather", ["background/pair", "background/frame"], ["background/frames"], axis=0),
        helper.make_node("Gather", ["background/pair", "background/change"], ["background/changes"], axis=0),
        helper.make_node("Concat", ["background/frames", "background/changes"], [target], axis=1),
    ]


def _statistics(source: str) -> list[onnx.NodeProto]:
    """mean, std and max of `source` [batch, D] over the batch, each [1, D]."""
    return [
        helper.make_node("ReduceMean", [source, "events/axis"], ["events/mean"], keepdims=1),
        helper.make_node("ReduceMax", [source, "events/axis"], ["events/max"], keepdims=1),
        helper.make_node("Sub", [source, "events/mean"], ["events/off"]),
        helper.make_node("Mul", ["events/off", "events/off"], ["events/squared"]),
        helper.make_node("ReduceMean", ["events/squared", "events/axis"], ["events/variance"], keepdims=1),
        helper.make_node("Sqrt", ["events/variance"], ["events/std"]),
    ]
