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
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from trapline import __version__
from trapline.errors import DataError, many
from trapline.models.card import Calibration, Card
from trapline.models.file import CARD_KEY, INPUT, ModelFile
from trapline.models.graph_parts import (
    GraphBuilder,
    copy_graph,
    forget_exporter,
    put_around,
    rename_node,
    width_of,
    without_outputs,
)
from trapline.models.graph_probabilities import append_probabilities
from trapline.models.self_contained import parse_model
from trapline.models.trial import mark_passed
from trapline.models.whole_file import MAX_BYTES, open_whole
from trapline.storage import replace_whole

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
    width, build, flow = width_of(network, "embedding"), GraphBuilder(network.graph, "head/"), "embedding"
    for index, layer in enumerate(layers):
        name = str(index)
        _check_width(layer, width, f"Layer {index + 1} of the head")
        if index == len(layers) - 1:
            _dense(build, flow, layer, name, to="logits")
        else:
            linear = _dense(build, flow, layer, name, to=build.new_name(f"{name}/linear"))
            flow = build("Relu", linear, to=build.new_name(f"{name}/relu"))
        width = len(layer.bias)
    network.graph.output.append(_output("logits", width))
    return network


def _check_width(layer: Layer, width: int, who: str) -> None:
    if layer.weights.shape != (width, len(layer.bias)):
        wanted, given = [width, len(layer.bias)], list(layer.weights.shape)
        raise DataError(f"{who} needs weights {wanted}; got {given}.")


def _dense(build: GraphBuilder, source: str, layer: Layer, name: str, to: str) -> str:
    weights = build.constant(f"{name}/weights", layer.weights)
    return build("Gemm", source, weights, build.constant(f"{name}/bias", layer.bias), to=to)


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
    width, build = width_of(network, "embedding"), GraphBuilder(network.graph, "head/")
    for name, layer in heads:
        _check_width(layer, width, f"The head {name}")
    if len(paths) != sum(len(layer.bias) for _, layer in heads):
        raise DataError(f"The heads have other children than the {many(len(paths), 'row')} of the paths.")
    parts = []
    for name, layer in heads:
        logits = _dense(build, "embedding", layer, name, build.new_name(f"{name}/logits"))
        logs = build.new_name(f"{name}/log_probabilities")
        parts.append(build("LogSoftmax", logits, to=logs, axis=1))
    every = build("Concat", *parts, to=build.new_name("log_probabilities"), axis=1)
    build("MatMul", every, build.constant("paths", paths), to="logits")
    network.graph.output.append(_output("logits", paths.shape[1]))
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
    outputs = {name: str(width_of(network, name)) for name in _output_names(network)}
    halves = [Template(_MEAN_OF_HALVES).substitute(name=name, width=width) for name, width in outputs.items()]
    return put_around(network, _MIRROR, *halves)


_MIRROR = """
flips (uint8[batch, height, width, 3] images) => (uint8[both, height, width, 3] pair)
<int64[1] last = {-1}, int64[1] beyond = {-2147483648}, int64[1] across = {2}> {
    mirrored = Slice (images, last, beyond, across, last)
    pair = Concat <axis = 0> (images, mirrored)
}
"""
_MEAN_OF_HALVES = """
flips_$name (float[both, $width] twice) => (float[batch, $width] $name)
<int64[3] shape = {2, -1, $width}, int64 first = {0}, int64 second = {1}, float half = {0.5}> {
    pair = Reshape (twice, shape)
    plain = Gather <axis = 0> (pair, first)
    mirrored = Gather <axis = 0> (pair, second)
    sum = Add (plain, mirrored)
    $name = Mul (sum, half)
}
"""


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
    widths = {width_of(member, f"member{index}/logits") for index, member in enumerate(members)}
    opsets = {_opset(member) for member in members}
    if len(widths) > 1 or len(opsets) > 1:
        raise DataError(
            "The members of an ensemble must have the same labels and ONNX operator set; "
            f"they have {sorted(widths)} labels and the operator sets {sorted(opsets)}."
        )
    joined = copy_graph(members[0])
    graph = joined.graph
    del graph.node[:], graph.initializer[:], graph.output[:]
    graph.input[0].CopyFrom(models[0].graph.input[0])
    sizes: dict[str, int] = {}
    for index, member in enumerate(members):
        entry = {f"member{index}/{INPUT}": INPUT}
        graph.node.extend(rename_node(node, entry) for node in member.graph.node)
        graph.initializer.extend(member.graph.initializer)
        sizes[f"member{index}/embedding"] = width_of(member, f"member{index}/embedding")
    merged, build = _merge_equal_parts(graph), GraphBuilder(graph)
    logits = (f"member{index}/logits" for index in range(len(members)))
    build("Mean", *(merged.get(name, name) for name in logits), to="logits")
    embeddings = {merged.get(name, name): size for name, size in sizes.items()}
    if len(embeddings) == 1:
        build("Identity", *embeddings, to="embedding")
    else:
        build("Concat", *embeddings, to="embedding", axis=1)
    graph.output.extend([_output("embedding", sum(embeddings.values())), _output("logits", widths.pop())])
    return joined


def store_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Keep the large float32 weights as float16; they are cast back when the file is opened.

    The file is half as large and runs as fast as before, in float32.
    """
    halved = copy_graph(model)
    graph, build, casts = halved.graph, GraphBuilder(halved.graph), []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < _HALF_MIN_SIZE or np.abs(values).max() > _HALF_MAX_VALUE:
            continue
        stored = build.new_name(f"{tensor.name}/half")
        casts.append(helper.make_node("Cast", [stored], [tensor.name], to=TensorProto.FLOAT))
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
    content = _finish(model, card).SerializeToString(deterministic=True)
    try:
        onnx.checker.check_model(content, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise DataError(f"The graph for {path} is not valid ONNX: {error}") from error
    with replace_whole(path) as partial:
        partial.write_bytes(content)
        size = card.preprocessing
        made = ModelFile(partial, threads=1, trial=None)
        made.run(np.zeros((2, size.height, size.width, 3), np.uint8))
        mark_passed(made.fingerprint)
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


def _finish(model: onnx.ModelProto, card: Card) -> onnx.ModelProto:
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
    network.graph.name = "trapline"
    forget_exporter(network)
    network.producer_name, network.producer_version = "trapline", __version__
    helper.set_model_props(network, {CARD_KEY: card.model_dump_json()})
    return network


def _add_probabilities(graph: onnx.GraphProto, card: Card) -> None:
    """Append the output `probabilities`, as the card's calibration makes it from `logits`."""
    labels, shift = len(card.labels), card.calibration.prior_shift
    logits = next(output for output in graph.output if output.name == "logits")
    width = logits.type.tensor_type.shape.dim[-1].dim_value
    if width not in (0, labels):
        raise DataError(f"The graph gives {width} logits, but its card says {many(labels, 'label')}.")
    if shift and len(shift) != labels:
        raise DataError(
            f"The prior shift of '{card.name}' has {many(len(shift), 'value')} for {many(labels, 'label')}."
        )
    append_probabilities(graph, card)
    graph.output.insert(0, _output("probabilities", labels))


def _merge_equal_parts(graph: onnx.GraphProto) -> dict[str, str]:
    """Keep one of each set of equal weights and equal nodes; returns the new names of what was merged."""
    if any(_has_subgraph(node) for node in graph.node):
        return {}  # a subgraph may use outer names, which are not renamed here
    merged: dict[str, str] = {}
    first: dict[Any, Sequence[str]] = {}
    tensors, nodes = [], []
    for tensor in graph.initializer:
        key: tuple[Any, ...] = (tuple(tensor.dims), tensor.data_type, _digest(tensor))
        if key in first:
            merged[tensor.name] = first[key][0]
        else:
            first[key] = [tensor.name]
            tensors.append(tensor)
    for node in graph.node:
        kept = rename_node(node, merged)
        if kept.op_type == "Identity":
            merged[kept.output[0]] = kept.input[0]
            continue
        attributes = sorted(item.SerializeToString(deterministic=True) for item in kept.attribute)
        key = (kept.domain, kept.op_type, tuple(kept.input), len(kept.output), *attributes)
        if key in first and not kept.op_type.startswith(_RANDOM_OPERATORS):
            merged.update(zip(kept.output, first[key], strict=True))
        else:
            first[key] = list(kept.output)
            nodes.append(kept)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(tensors)
    graph.node.extend(nodes)
    return merged


def _digest(tensor: onnx.TensorProto) -> bytes:
    return hashlib.sha256(numpy_helper.to_array(tensor).tobytes()).digest()


def _has_subgraph(node: onnx.NodeProto) -> bool:
    return any(
        item.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for item in node.attribute
    )


def _opset(model: onnx.ModelProto) -> int:
    return next((int(item.version) for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)


def _output_names(model: onnx.ModelProto) -> list[str]:
    return [output.name for output in model.graph.output]


def _output(name: str, width: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])
