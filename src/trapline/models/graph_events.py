"""Graphs that take the frames of one event as their batch, and say one thing of all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from trapline.models.recipe import Statistic


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
