"""Model files as graphs: heads joined to backbones, members averaged, the one ONNX file written.

The functions take and give ONNX models in memory and leave what they are given unchanged:

    backbone = read_graph(path("lite0"))
    write_model_file(attach_head(backbone, [Layer(weights, bias)]), card, "model.onnx")

A network is a model with the input `images` (uint8 `[batch, height, width, 3]`) and the outputs `embedding`
and, unless it is a backbone, `logits`. Its `probabilities` are always made by `write_model_file` from the
card's calibration, so that card and graph cannot differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, compose, helper, inliner, numpy_helper

from trapline import __version__
from trapline.errors import DataError
from trapline.models.card import Calibration, Card
from trapline.models.file import CARD_KEY, INPUT, ModelFile
from trapline.models.graph_probabilities import append_probabilities
from trapline.models.self_contained import parse_model
from trapline.models.trial import mark_passed
from trapline.models.whole_file import MAX_BYTES, open_whole

MIN_OPSET = 13  # Softmax before it flattened its input

_HALF_MIN_SIZE = 256  # smaller tensors (biases, constants) stay exact at no cost
_HALF_MAX_VALUE = 6e4  # float16 ends at 65504
_RANDOM_OPERATORS = ("Random", "Bernoulli", "Multinomial", "Dropout")


class Layer(NamedTuple):
    """One dense layer: float `weights` [inputs, outputs] and `bias` [outputs]."""

    weights: npt.NDArray[Any]
    bias: npt.NDArray[Any]


def read_graph(source: ModelFile | Path | str) -> onnx.ModelProto:
    """Read the graph of an ONNX file that keeps all its weights inside.

    Args:
        source: the file; of an open model file the graph is the one that was opened.

    Raises:
        DataError: missing, not ONNX, of an operator set that is not understood, or with weights outside; or
            the file of the open model has changed.
    """
    if isinstance(source, ModelFile):
        path, content = source.path, source.content()
    else:
        path = Path(source)
        if not path.exists():
            raise DataError(f"There is no model file at {path}.")
        with open_whole(path) as file:
            content = file.read(MAX_BYTES)
    model = parse_model(content, path)
    opset = _opset(model)
    if not MIN_OPSET <= opset <= onnx.defs.onnx_opset_version():
        raise DataError(
            f"{path} uses the ONNX operator set {opset}; "
            f"this Trapline understands {MIN_OPSET} to {onnx.defs.onnx_opset_version()}."
        )
    return model


def attach_head(model: onnx.ModelProto, layers: Sequence[Layer]) -> onnx.ModelProto:
    """Put dense layers, with ReLU between them, on the `embedding` of `model`; they give its `logits`.

    Any head that `model` had is taken off. Standardisation belongs into the first layer: see `fold_scaling`.

    Raises:
        DataError: the layers do not fit the embedding or one another.
    """
    if not layers:
        raise DataError("A head needs at least one layer.")
    network = without_outputs(model, ("logits", "probabilities"))
    width = _width(network, "embedding")
    names = _Names(network.graph)
    flow = "embedding"
    for index, (weights, bias) in enumerate(layers):
        if weights.shape != (width, len(bias)):
            raise DataError(
                f"Layer {index + 1} of the head needs weights [{width}, {len(bias)}]; "
                f"got {list(weights.shape)}."
            )
        last = index == len(layers) - 1
        width = len(bias)
        parameters = [
            _constant(network.graph, names.new(f"head/{index}/{kind}"), np.asarray(values, np.float32))
            for kind, values in (("weights", weights), ("bias", bias))
        ]
        output = "logits" if last else names.new(f"head/{index}/linear")
        network.graph.node.append(_node("Gemm", [flow, *parameters], output))
        if not last:
            flow = names.new(f"head/{index}/relu")
            network.graph.node.append(_node("Relu", [output], flow))
    network.graph.output.append(_output("logits", width))
    return network


def attach_tree(
    model: onnx.ModelProto, heads: Sequence[tuple[str, Layer]], paths: npt.NDArray[Any]
) -> onnx.ModelProto:
    """Put a tree of heads on the `embedding`; the `logits` are log probabilities of the classes.

    Each head answers conditional probabilities of its children; the log probability of a class is the sum of
    those along its path. The heads keep their names: `head/<name>/weights`, `…/bias`, `…/logits`.

    Args:
        model: a network; any head that it had is taken off.
        heads: names and layers.
        paths: 0/1 [children of all heads in order, classes]: which children lie on the path to which class.

    Raises:
        DataError: the heads do not fit the embedding or the paths.
    """
    network = without_outputs(model, ("logits", "probabilities"))
    width, graph = _width(network, "embedding"), network.graph
    names = _Names(graph)
    for name, (weights, bias) in heads:
        if weights.shape != (width, len(bias)):
            raise DataError(
                f"The head {name} needs weights [{width}, {len(bias)}]; got {list(weights.shape)}."
            )
    if len(paths) != sum(len(layer.bias) for _, layer in heads):
        raise DataError(f"The heads have other children than the {len(paths)} rows of the paths.")
    parts = []
    for name, (weights, bias) in heads:
        parameters = [
            _constant(graph, names.new(f"head/{name}/{kind}"), np.asarray(values, np.float32))
            for kind, values in (("weights", weights), ("bias", bias))
        ]
        logits, logs = names.new(f"head/{name}/logits"), names.new(f"head/{name}/log_probabilities")
        graph.node.append(_node("Gemm", ["embedding", *parameters], logits))
        graph.node.append(_node("LogSoftmax", [logits], logs, axis=1))
        parts.append(logs)
    every = names.new("head/log_probabilities")
    graph.node.append(_node("Concat", parts, every, axis=1))
    matrix = _constant(graph, names.new("head/paths"), np.asarray(paths, np.float32))
    graph.node.append(_node("MatMul", [every, matrix], "logits"))
    graph.output.append(_output("logits", paths.shape[1]))
    return network


def fold_scaling(
    weights: npt.NDArray[np.float64],
    bias: npt.NDArray[np.float64],
    mean: npt.NDArray[np.float64],
    scale: npt.NDArray[np.float64],
) -> Layer:
    """The layer that does to raw features what `weights` [D, K], `bias` [K] do to `(x - mean) / scale`."""
    folded = weights / scale[:, None]
    return Layer(folded, bias - mean @ folded)


def average_flips(model: onnx.ModelProto) -> onnx.ModelProto:
    """Run the network on each image and its mirror image; embedding and logits become the means of both.

    It doubles the time of a run.
    """
    network = without_outputs(model, ("probabilities",))
    graph, names = network.graph, _Names(network.graph)
    both = names.new("flips/both")
    mirrored = names.new("flips/mirrored")
    nodes = [_renamed(node, inputs={INPUT: both}) for node in graph.node]
    slice_inputs = [
        _constant(graph, names.new(f"flips/{kind}"), np.array([value], np.int64))
        for kind, value in (("starts", -1), ("ends", np.iinfo(np.int64).min), ("axes", 2), ("steps", -1))
    ]
    nodes[:0] = [
        _node("Slice", [INPUT, *slice_inputs], mirrored),
        _node("Concat", [INPUT, mirrored], both, axis=0),
    ]
    for name in _output_names(network):
        single = names.new(f"flips/{name}")
        nodes = [_renamed(node, inputs={name: single}, outputs={name: single}) for node in nodes]
        nodes += _mean_of_halves(graph, names, single, name, _width(network, name))
    del graph.node[:]
    graph.node.extend(nodes)
    return network


def average_members(models: Sequence[onnx.ModelProto]) -> onnx.ModelProto:
    """Join classifiers of equal input and labels into one network whose logits are the mean of theirs.

    What members share (a frozen backbone) is kept and run once. The embedding is the shared one, or the
    members' embeddings side by side.

    Raises:
        DataError: the members differ in operator set or number of labels, or one has no logits.
    """
    if not models:
        raise DataError("An ensemble needs at least one member.")
    members = [
        compose.add_prefix(without_outputs(model, ("probabilities",)), f"member{index}/")
        for index, model in enumerate(models)
    ]
    widths = {_width(member, f"member{index}/logits") for index, member in enumerate(members)}
    opsets = {_opset(member) for member in members}
    if len(widths) > 1 or len(opsets) > 1:
        raise DataError(
            "The members of an ensemble must have the same labels and ONNX operator set; "
            f"they have {sorted(widths)} labels and the operator sets {sorted(opsets)}."
        )
    joined = onnx.ModelProto()
    joined.CopyFrom(members[0])
    graph = joined.graph
    del graph.node[:], graph.initializer[:], graph.output[:]
    graph.input[0].CopyFrom(models[0].graph.input[0])
    for index, member in enumerate(members):
        entry = {f"member{index}/{INPUT}": INPUT}
        graph.node.extend(_renamed(node, inputs=entry) for node in member.graph.node)
        graph.initializer.extend(member.graph.initializer)
    sizes = [_width(member, f"member{index}/embedding") for index, member in enumerate(members)]
    merged = _merge_equal_parts(graph)
    logits = [merged.get(name, name) for name in (f"member{index}/logits" for index in range(len(members)))]
    graph.node.append(_node("Mean", logits, "logits"))
    embeddings = {
        merged.get(name, name): size
        for name, size in ((f"member{index}/embedding", size) for index, size in enumerate(sizes))
    }
    if len(embeddings) == 1:
        graph.node.append(_node("Identity", list(embeddings), "embedding"))
    else:
        graph.node.append(_node("Concat", list(embeddings), "embedding", axis=1))
    graph.output.extend([_output("embedding", sum(embeddings.values())), _output("logits", widths.pop())])
    return joined


def store_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Keep the large float32 weights as float16; they are cast back when the file is opened.

    The file is half as large and runs as fast as before, in float32.
    """
    halved = _copy(model)
    graph, names = halved.graph, _Names(halved.graph)
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < _HALF_MIN_SIZE or np.abs(values).max() > _HALF_MAX_VALUE:
            continue
        stored = names.new(f"{tensor.name}/half")
        casts.append(_node("Cast", [stored], tensor.name, to=TensorProto.FLOAT))
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return halved


def write_model_file(model: onnx.ModelProto, card: Card, path: Path | str) -> Path:
    """Finish `model` with the card and its calibration and write it as a model file, whole or not at all.

    Equal inputs give equal bytes. Names and paths of the machine that exported the graph are left out.

    Args:
        model: a network (see the module); `probabilities` that it has are made anew.
        card: its description; `labels` and `embedding_size` must fit the graph.
        path: replaced if it exists.

    Raises:
        DataError: the finished file would not be a valid model file; nothing is written.
    """
    path = Path(path)
    content = _finished(model, card).SerializeToString(deterministic=True)
    try:
        onnx.checker.check_model(content, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise DataError(f"The graph for {path} is not valid ONNX: {error}") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(content)
        size = card.preprocessing
        made = ModelFile(partial, threads=1, trial=None)
        made.run(np.zeros((2, size.height, size.width, 3), np.uint8))
        mark_passed(made.fingerprint)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def set_calibration(
    model_path: Path | str, calibration: Calibration, output: Path | str | None = None
) -> Path:
    """Write the model file again (or to `output`) with another calibration, in its card and its graph."""
    card = ModelFile(model_path, threads=1).card
    if card.task == "features":
        raise DataError(f"{model_path} is a backbone: it has no probabilities to calibrate.")
    changed = card.model_copy(update={"calibration": calibration})
    return write_model_file(read_graph(model_path), changed, model_path if output is None else output)


def _finished(model: onnx.ModelProto, card: Card) -> onnx.ModelProto:
    """`model` with probabilities by the card's calibration, and the card; without the exporter's traces."""
    wanted = ["embedding"] if card.task == "features" else ["embedding", "logits"]
    missing = [name for name in wanted if name not in _output_names(model)]
    if missing:
        raise DataError(f"The graph of '{card.name}' lacks the outputs {missing}.")
    network = without_outputs(model, set(_output_names(model)) - set(wanted))
    if card.task != "features":
        _add_probabilities(network.graph, card)
    for node in network.graph.node:
        node.name = node.output[0]  # unique, which exporters and joins do not promise
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    network.graph.name = "trapline"
    network.graph.ClearField("doc_string")
    network.graph.ClearField("metadata_props")
    del network.graph.value_info[:]
    network.ClearField("doc_string")
    network.ClearField("metadata_props")
    network.producer_name, network.producer_version = "trapline", __version__
    helper.set_model_props(network, {CARD_KEY: card.model_dump_json()})
    return network


def _add_probabilities(graph: onnx.GraphProto, card: Card) -> None:
    """Append the output `probabilities`, as the card's calibration makes it from `logits`."""
    width = next(
        output.type.tensor_type.shape.dim[-1].dim_value for output in graph.output if output.name == "logits"
    )
    if width not in (0, len(card.labels)):
        raise DataError(f"The graph gives {width} logits, but its card says {len(card.labels)} labels.")
    calibration = card.calibration
    if calibration.prior_shift and len(calibration.prior_shift) != len(card.labels):
        raise DataError(
            f"The prior shift of '{card.name}' has {len(calibration.prior_shift)} values "
            f"for {len(card.labels)} labels."
        )
    append_probabilities(graph, card, _Names(graph).new)
    graph.output.insert(0, _output("probabilities", len(card.labels)))


def _mean_of_halves(
    graph: onnx.GraphProto, names: _Names, source: str, target: str, width: int
) -> list[onnx.NodeProto]:
    """Nodes that take `source` [2 N, width] to `target` [N, width], the mean of its two halves."""
    shape = _constant(graph, names.new(f"{source}/shape"), np.array([2, -1, width], np.int64))
    positions = [
        _constant(graph, names.new(f"{source}/{index}"), np.array(index, np.int64)) for index in (0, 1)
    ]
    pair, total = names.new(f"{source}/pair"), names.new(f"{source}/sum")
    halves = [names.new(f"{source}/half") for _ in positions]
    half = _constant(graph, names.new(f"{source}/weight"), np.array(0.5, np.float32))
    return [
        _node("Reshape", [source, shape], pair),
        *(
            _node("Gather", [pair, position], out, axis=0)
            for position, out in zip(positions, halves, strict=True)
        ),
        _node("Add", halves, total),
        _node("Mul", [total, half], target),
    ]


def _merge_equal_parts(graph: onnx.GraphProto) -> dict[str, str]:
    """Keep one of each set of equal weights and equal nodes; returns the new names of what was merged."""
    if any(_has_subgraph(node) for node in graph.node):
        return {}  # a subgraph may use outer names, which are not renamed here
    renamed: dict[str, str] = {}
    first: dict[Any, Sequence[str]] = {}
    tensors, nodes = [], []
    for tensor in graph.initializer:
        key: tuple[Any, ...] = (tuple(tensor.dims), tensor.data_type, hashlib.sha256(_bytes(tensor)).digest())
        if key in first:
            renamed[tensor.name] = first[key][0]
        else:
            first[key] = [tensor.name]
            tensors.append(tensor)
    for node in graph.node:
        kept = _renamed(node, inputs=renamed)
        if kept.op_type == "Identity":
            renamed[kept.output[0]] = kept.input[0]
            continue
        attributes = sorted(item.SerializeToString(deterministic=True) for item in kept.attribute)
        key = (kept.domain, kept.op_type, tuple(kept.input), len(kept.output), *attributes)
        if key in first and not kept.op_type.startswith(_RANDOM_OPERATORS):
            renamed.update(zip(kept.output, first[key], strict=True))
        else:
            first[key] = list(kept.output)
            nodes.append(kept)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(tensors)
    graph.node.extend(nodes)
    return renamed


def _bytes(tensor: onnx.TensorProto) -> bytes:
    return numpy_helper.to_array(tensor).tobytes()


def _has_subgraph(node: onnx.NodeProto) -> bool:
    return any(
        item.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for item in node.attribute
    )


def without_outputs(model: onnx.ModelProto, dropped: Iterable[str]) -> onnx.ModelProto:
    """A copy of `model` without the outputs `dropped` and without all that only they needed."""
    copy = _copy(model)
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


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose local functions are written out, so that it is one plain graph."""
    copy = onnx.ModelProto()
    copy.CopyFrom(inliner.inline_local_functions(model) if model.functions else model)
    return copy


def _opset(model: onnx.ModelProto) -> int:
    return next((int(item.version) for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)


def _output_names(model: onnx.ModelProto) -> list[str]:
    return [output.name for output in model.graph.output]


def _width(model: onnx.ModelProto, name: str) -> int:
    """The fixed second dimension of the output `name`."""
    for output in model.graph.output:
        dimensions = output.type.tensor_type.shape.dim
        if output.name == name and len(dimensions) == 2 and dimensions[1].dim_value > 0:
            return int(dimensions[1].dim_value)
    raise DataError(f"The graph has no output '{name}' [batch, width] of a fixed width.")


class _Names:
    """Gives names that the graph does not use yet."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._used = {tensor.name for tensor in graph.initializer}
        self._used.update(name for node in graph.node for name in (*node.input, *node.output))

    def new(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self._used:
            count += 1
            name = f"{wanted}.{count}"
        self._used.add(name)
        return name


def _constant(graph: onnx.GraphProto, name: str, values: npt.NDArray[Any]) -> str:
    graph.initializer.append(
        numpy_helper.from_array(np.ascontiguousarray(values).reshape(values.shape), name)
    )
    return name


def _node(operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [output], name=output, **attributes)


def _output(name: str, width: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])


def _renamed(
    node: onnx.NodeProto, inputs: dict[str, str], outputs: dict[str, str] | None = None
) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [inputs.get(name, name) for name in node.input]
    if outputs:
        copy.output[:] = [outputs.get(name, name) for name in node.output]
    return copy
