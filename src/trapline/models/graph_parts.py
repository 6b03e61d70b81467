"""What graphs are put together of: nodes and constants, parts written as ONNX's text, and what is left out.

The functions leave the models that they are given unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import compose, helper, inliner, numpy_helper, parser

from trapline.errors import DataError


class GraphBuilder:
    """Appends nodes to a graph, under names that it does not use yet and that begin with a prefix."""

    def __init__(self, graph: onnx.GraphProto, prefix: str = "") -> None:
        self._graph, self._prefix, self._used = graph, prefix, _names_in(graph)

    def __call__(self, operator: str, *inputs: Any, to: str | None = None, **attributes: Any) -> str:
        """Append a node; numbers among the inputs become float32 constants.

        Args:
            operator: ONNX's.
            inputs: of the node.
            to: what its output is called; by default after the operator.
            attributes: of the node.

        Returns:
            The name of its output.
        """
        names = [one if isinstance(one, str) else self.constant("constant", one) for one in inputs]
        output = self.new_name(operator.lower()) if to is None else to
        self._graph.node.append(helper.make_node(operator, names, [output], name=output, **attributes))
        return output

    def constant(self, wanted: str, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """Add a constant; returns its name, as near to `wanted` as can be."""
        name, array = self.new_name(wanted), np.array(values, dtype, order="C")
        self._graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def new_name(self, wanted: str) -> str:
        """A name that nothing in the graph has, and that is taken from now on."""
        wanted = self._prefix + wanted
        name, count = wanted, 1
        while name in self._used:
            count += 1
            name = f"{wanted}.{count}"
        self._used.add(name)
        return name


def put_around(model: onnx.ModelProto, *parts: str) -> onnx.ModelProto:
    """A copy of `model` with parts in ONNX's text (https://onnx.ai/onnx/repo-docs/Syntax.html) around it.

    A part has one input and one output. Where the input is called as the model's, it stands before the model,
    whose nodes read the part's output instead; else it stands behind the output of the model that is called
    as its own, which it reads and replaces. Within the graph the part's other names begin with its own.
    """
    whole = copy_graph(model)
    graph = whole.graph
    for text in parts:
        part = parser.parse_graph(text)
        (source,), (target,) = part.input, part.output
        before = source.name in {one.name for one in graph.input}
        outer, inner = (source, target.name) if before else (target, source.name)
        prefix, used = f"{part.name}/", _names_in(graph)
        while any(name.startswith(prefix) for name in used):
            prefix = f"{part.name}+{prefix}"
        part = compose.add_prefix_graph(part, prefix)
        own = [rename_node(node, {prefix + outer.name: outer.name}) for node in part.node]
        nodes = [rename_node(node, {outer.name: prefix + inner}) for node in graph.node]
        del graph.node[:]
        graph.node.extend([*own, *nodes] if before else [*nodes, *own])
        graph.initializer.extend(part.initializer)
        for output in graph.output:
            if output.name == target.name:
                output.CopyFrom(target)
    return whole


def without_outputs(model: onnx.ModelProto, dropped: Iterable[str]) -> onnx.ModelProto:
    """A copy of `model` without the outputs `dropped` and without all that only they needed."""
    copy = copy_graph(model)
    kept = [output for output in copy.graph.output if output.name not in set(dropped)]
    nodes, needed = _needed_by(copy.graph, {output.name for output in kept})
    tensors = [tensor for tensor in copy.graph.initializer if tensor.name in needed]
    del copy.graph.output[:], copy.graph.node[:], copy.graph.initializer[:]
    copy.graph.output.extend(kept)
    copy.graph.node.extend(nodes)
    copy.graph.initializer.extend(tensors)
    return copy


def head_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes that only the logits need, not the embedding: the head, or the heads of an ensemble."""
    trunk = {node.output[0] for node in _needed_by(model.graph, {"embedding"})[0]}
    return [node for node in _needed_by(model.graph, {"logits"})[0] if node.output[0] not in trunk]


def copy_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose local functions are written out, so that it is one plain graph."""
    copy = onnx.ModelProto()
    copy.CopyFrom(inliner.inline_local_functions(model) if model.functions else model)
    return copy


def forget_exporter(model: onnx.ModelProto) -> None:
    """Take what exporters leave off a graph: names and paths of their machine, types that can be inferred."""
    for part in (model, model.graph, *model.graph.node):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    del model.graph.value_info[:]


def rename_node(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    """A copy of a node with other names of its inputs and outputs; those of subgraphs stay."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, name) for name in node.input]
    copy.output[:] = [names.get(name, name) for name in node.output]
    return copy


def width_of(model: onnx.ModelProto, name: str) -> int:
    """The fixed second dimension of the output `name`.

    Raises:
        DataError: there is none.
    """
    for output in model.graph.output:
        dimensions = output.type.tensor_type.shape.dim
        if output.name == name and len(dimensions) == 2 and dimensions[1].dim_value > 0:
            return int(dimensions[1].dim_value)
    raise DataError(f"The graph has no output '{name}' [batch, width] of a fixed width.")


def _needed_by(graph: onnx.GraphProto, wanted: set[str]) -> tuple[list[onnx.NodeProto], set[str]]:
    """The nodes that make the values `wanted`, in order, and the names of all values they need."""
    nodes, needed = [], set(wanted)
    for node in reversed(graph.node):
        if needed & set(node.output):
            nodes.append(node)
            needed.update(node.input)
            needed.update(_names_in_subgraphs(node))
    return nodes[::-1], needed


def _names_in_subgraphs(node: onnx.NodeProto) -> set[str]:
    graphs = [graph for item in node.attribute for graph in (item.g, *item.graphs)]
    inner = [inner for graph in graphs for inner in graph.node]
    return {name for item in inner for name in (*item.input, *_names_in_subgraphs(item))} | {
        output.name for graph in graphs for output in graph.output
    }


def _names_in(graph: onnx.GraphProto) -> set[str]:
    names = {tensor.name for tensor in graph.initializer}
    return names.union(name for node in graph.node for name in (*node.input, *node.output))
