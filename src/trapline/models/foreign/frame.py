"""A foreign classifier's graph in the frame of a model file: uint8 pixels in, embedding and logits out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, compose, helper, numpy_helper, version_converter

from trapline.errors import DataError, UsageError, name_some
from trapline.models.foreign.description import IMAGENET, Description
from trapline.models.graph_parts import GraphBuilder, copy_graph
from trapline.models.halting import Halt
from trapline.models.onnx_graph import MIN_OPSET
from trapline.models.probes import probe_images
from trapline.models.runtimes import open_session

Task = Literal["single-label", "multi-label"]

OPSET = 18
INPUT = "images"
_CAFFE = (103.939, 116.779, 123.68)
_PREFIX = "network/"
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
_SHAPING = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Dropout")
_LINEAR = ("Gemm", "MatMul", "Add", "Conv", "Einsum")
_LEAST = 1e-30
"""What a probability of nothing counts as where its logarithm is taken."""


@dataclass(frozen=True)
class Framed:
    """A network as a model file has it, not yet written.

    Attributes:
        graph: `images` -> `embedding`, `logits`.
        task: of its labels.
        width: how many logits.
        embedding_size: of the embedding.
        sides: height and width of its input, pixels.
        assumed: what its file does not say and was taken for granted, a sentence each.
    """

    graph: onnx.ModelProto
    task: Task
    width: int
    embedding_size: int
    sides: tuple[int, int]
    assumed: tuple[str, ...]


@dataclass(frozen=True)
class _Pixels:
    """How the input of a foreign graph is made.

    Attributes:
        name: of the input.
        kind: its type.
        channels_first: NCHW.
        sides: height and width.
    """

    name: str
    kind: int
    channels_first: bool
    sides: tuple[int, int]


def frame(model: onnx.ModelProto, about: Description, path: Path) -> Framed:
    """Put a classifier into the frame: input, scaling, logits, embedding.

    Args:
        model: of one input, a picture or a batch of them, and the answers to it.
        about: what is known of it.
        path: named in messages.

    Raises:
        DataError: it is no classifier of pictures.
        UsageError: something must be said that its file does not say, or it was said otherwise than it is.
    """
    graph = _plain(model, path)
    pixels = _pixels_of(graph.graph, about, path)
    output = _output_of(graph.graph, about, path)
    dependent = _dependent(graph.graph, pixels.name)
    fixed = _free_the_batch(graph.graph, pixels.name, path)
    graph = compose.add_prefix(graph, _PREFIX)
    pixels, output = replace(pixels, name=_PREFIX + pixels.name), _PREFIX + output
    dependent = {_PREFIX + name for name in dependent}
    whole = _with_pixels(graph, pixels, about, path)
    end = _end_of(whole.graph, output)
    answers = _probe(whole, {"answers": output, "raw": end.logits}, pixels, path, alone=fixed)
    return _finish(whole, about, path, pixels, _Answered(end, output, answers, dependent, fixed))


@dataclass(frozen=True)
class _End:
    """The end of a graph: what its answers were made of.

    Attributes:
        activation: `softmax` or `sigmoid`; None if it ends with neither.
        logits: the value before it.
        is_linear: whether these are made by a layer without an activation.
    """

    activation: Literal["softmax", "sigmoid"] | None
    logits: str
    is_linear: bool = False


@dataclass(frozen=True)
class _Answered:
    end: _End
    output: str
    answers: Mapping[str, npt.NDArray[Any]]
    dependent: set[str]
    alone: bool


def _finish(
    whole: onnx.ModelProto, about: Description, path: Path, pixels: _Pixels, answered: _Answered
) -> Framed:
    """Logits and embedding at the end of the graph."""
    build, end, assumed = GraphBuilder(whole.graph, "frame/"), answered.end, list[str]()
    activation, source = _activation(about, answered, path, assumed)
    shape = answered.answers["raw" if source == end.logits else "answers"].shape
    values = answered.answers["answers"]
    width = int(np.prod(shape[1:]))
    flow = _as_vectors(whole.graph, build, source, shape)
    if activation == "none":
        task: Task = "single-label" if _sums_to_one(values) else "multi-label"
        flow = _logits_of(build, flow, task)
    else:
        task = "single-label" if activation == "softmax" else "multi-label"
    if width == 1:
        if activation == "softmax":
            raise DataError(
                f"{path} answers one number a photo, of which softmax makes 1. A model of two labels by one "
                "number is one of --activation sigmoid."
            )
        task, width = "single-label", 2
        flow = build("Concat", build("Mul", flow, 0.0), flow, axis=1)  # softmax of (0, z) is the sigmoid of z
        assumed.append("it answers one number: the chance of its second label")
    build("Identity", flow, to="logits")
    size = _embed(whole, build, about, path, pixels, answered, assumed)
    del whole.graph.output[:]
    for name, length in (("embedding", size), ("logits", width)):
        whole.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", length]))
    return Framed(whole, task, width, size, pixels.sides, tuple(assumed))


def _plain(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """A copy as one graph in operators that model files have, without what exporters leave on it."""
    graph = copy_graph(model)
    opset = next((one.version for one in graph.opset_import if one.domain in ("", "ai.onnx")), 0)
    if not 0 < opset <= onnx.defs.onnx_opset_version():
        raise DataError(
            f"{path} is of the ONNX operator set {opset}; up to {onnx.defs.onnx_opset_version()} are "
            "understood."
        )
    if opset < MIN_OPSET:
        try:
            graph = version_converter.convert_version(graph, OPSET)
        except Exception as error:
            raise DataError(
                f"{path} is of the ONNX operator set {opset} and cannot be made one of {OPSET}: {error}. "
                "Export it "
                "again with a newer one."
            ) from error
    given = {tensor.name for tensor in graph.graph.initializer}
    inputs = [
        one for one in graph.graph.input if one.name not in given
    ]  # of old versions weights are inputs too
    del graph.graph.input[:]
    graph.graph.input.extend(inputs)
    del graph.graph.value_info[:]
    graph.ir_version = max(graph.ir_version, 8)
    return graph


def _shape_of(value: onnx.ValueInfoProto) -> list[int | None]:
    return [side.dim_value if side.dim_value > 0 else None for side in value.type.tensor_type.shape.dim]


def _pixels_of(graph: onnx.GraphProto, about: Description, path: Path) -> _Pixels:
    """Layout and size of the one input, as its shape says it, or the user."""
    inputs = list(graph.input)
    signature = ", ".join(f"{one.name} {_shape_of(one)}" for one in inputs)
    if len(inputs) != 1 or len(_shape_of(inputs[0])) != 4:
        raise DataError(
            f"{path} is no classifier of pictures: it should have one input of four dimensions, and has "
            f"{signature}."
        )
    kind = inputs[0].type.tensor_type.elem_type
    if kind not in (*_FLOATS, TensorProto.UINT8):
        raise DataError(
            f"{path} takes {TensorProto.DataType.Name(kind).lower()}; pictures are float or uint8."
        )
    batch, *sides = _shape_of(inputs[0])
    if batch not in (None, 1):
        raise DataError(f"{path} takes {batch} pictures at a time; export it for 1 or for any number.")
    first = _channels_first(sides, about, path)
    channels, height, width = sides if first else (sides[2], *sides[:2])
    if channels not in (None, 3):
        raise DataError(f"{path} takes pictures of {channels} channels, and not of red, green and blue.")
    return _Pixels(inputs[0].name, kind, first, _size((height, width), about, path))


def _channels_first(sides: Sequence[int | None], about: Description, path: Path) -> bool:
    """Whether the layout is NCHW: where there are three."""
    as_shaped = {"NCHW": sides[0] == 3, "NHWC": sides[2] == 3}
    if about.layout is not None:
        other = "NHWC" if about.layout == "NCHW" else "NCHW"
        if as_shaped[other] and not as_shaped[about.layout]:
            raise UsageError(
                f"{path} is {other} by its shape, [batch, {', '.join(map(str, sides))}], and not "
                f"{about.layout}."
            )
        return about.layout == "NCHW"
    if as_shaped["NCHW"] == as_shaped["NHWC"]:
        raise UsageError(
            f"The shape of the input of {path} does not say where its channels are. Say --layout NCHW "
            "(PyTorch) or "
            "NHWC (TensorFlow, Keras)."
        )
    return as_shaped["NCHW"]


def _size(shaped: tuple[int | None, int | None], about: Description, path: Path) -> tuple[int, int]:
    sides = []
    for name, fixed, wanted in zip(("height", "width"), shaped, (about.height, about.width), strict=True):
        if fixed is None and wanted is None:
            raise UsageError(
                f"{path} takes pictures of any {name}. Say which it was trained with: --size 224, or "
                "384x512 (height x width)."
            )
        if fixed is not None and wanted not in (None, fixed):
            raise UsageError(f"{path} takes pictures of {name} {fixed}, and not {wanted}.")
        sides.append(fixed or wanted or 0)
    return sides[0], sides[1]


def _output_of(graph: onnx.GraphProto, about: Description, path: Path) -> str:
    """The name of the output that holds the answers."""
    names = [one.name for one in graph.output]
    if about.output is not None:
        if about.output not in names:
            raise UsageError(f"{path} has no output '{about.output}'; it has {name_some(names)}.")
        return about.output
    if len(names) == 1:
        return str(names[0])
    labels = None if about.labels is None else len(about.labels)
    fitting = [one.name for one in graph.output if labels and _shape_of(one)[-1:] == [labels]]
    if len(fitting) != 1:
        raise UsageError(
            f"{path} has the outputs {name_some(names, 8)}. Say which one holds the answers: --output-name "
            "NAME."
        )
    return str(fitting[0])


def _dependent(graph: onnx.GraphProto, source: str) -> set[str]:
    """The values that depend on the picture."""
    reached = {source}
    for node in graph.node:
        inner = {
            name
            for item in node.attribute
            for part in (item.g, *item.graphs)
            for one in part.node
            for name in one.input
        }
        if reached & ({*node.input} | inner):
            reached.update(node.output)
    return reached


def _free_the_batch(graph: onnx.GraphProto, source: str, path: Path) -> bool:
    """Make a graph that was exported for one picture one for any number; returns whether it was.

    Exporters then write the one into the shapes of `Reshape`; a zero there keeps what the dimension was. That
    the graph answers the same is looked at afterwards, in `_probe`.
    """
    value = graph.input[0]
    alone = _shape_of(value)[0] == 1
    value.type.tensor_type.shape.dim[0].Clear()
    value.type.tensor_type.shape.dim[0].dim_param = "batch"
    if not alone:
        return False
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants |= {
                name: item.t for name in node.output for item in node.attribute if item.name == "value"
            }
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] in constants:
            shape = numpy_helper.to_array(constants[node.input[1]])
            if shape.ndim == 1 and shape.size and shape[0] == 1:
                node.input[1] = f"{node.output[0]}/any_batch"
                literal = [item for item in node.attribute if item.name == "allowzero"]
                for item in literal:  # by which a zero would be a zero
                    node.attribute.remove(item)
                graph.initializer.append(
                    numpy_helper.from_array(np.array([0, *shape[1:]], np.int64), node.input[1])
                )
    return True


def _with_pixels(graph: onnx.ModelProto, pixels: _Pixels, about: Description, path: Path) -> onnx.ModelProto:
    """The graph behind `images`, uint8 [batch, height, width, 3], and what turns those into its input."""
    whole = onnx.ModelProto()
    whole.CopyFrom(graph)
    del whole.graph.node[:], whole.graph.input[:]
    build, flow = GraphBuilder(whole.graph, "pixels/"), INPUT
    whole.graph.input.append(
        helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["batch", *pixels.sides, 3])
    )
    if about.channels == "BGR" or about.scaling == "caffe":
        flow = build("Gather", flow, build.constant("reversed", [2, 1, 0], np.int64), axis=3)
    if pixels.kind == TensorProto.UINT8:
        if about.is_scaled and (about.scaling != "0-255" or about.mean or about.std):
            raise UsageError(f"{path} takes pixels as they are (uint8): nothing can be scaled before it.")
    else:
        flow = _scaled(build, _cast(whole.graph, build, flow, TensorProto.FLOAT), about, path)
    if pixels.channels_first:
        flow = build("Transpose", flow, perm=[0, 3, 1, 2])
    if pixels.kind in (TensorProto.FLOAT16, TensorProto.DOUBLE):
        flow = _cast(whole.graph, build, flow, pixels.kind)
    build("Identity", flow, to=pixels.name)
    whole.graph.node.extend(graph.graph.node)
    return whole


def _scaled(build: GraphBuilder, flow: str, about: Description, path: Path) -> str:
    """Pixels 0..255 as the network was trained with them; float [N, H, W, 3]."""
    if not about.is_scaled:
        raise UsageError(
            f"{path} takes numbers, and does not say of what scale. Say what it was trained with: "
            "--scaling 0-255 (pixels "
            "as they are, as where a network rescales by itself), 0-1, -1-1, imagenet (0-1 less "
            "ImageNet's mean over its "
            "deviation: torchvision, timm), caffe; or --mean and --std."
        )
    mean, std = IMAGENET if about.scaling == "imagenet" else (about.mean, about.std)
    if about.scaling == "caffe":
        return build("Sub", flow, _CAFFE)
    if about.scaling == "-1-1":
        flow = build("Sub", build("Div", flow, 127.5), 1.0)
    elif about.scaling != "0-255":
        flow = build("Div", flow, 255.0)
    if mean is not None:
        flow = build("Sub", flow, mean)
    return flow if std is None else build("Div", flow, std)


def _end_of(graph: onnx.GraphProto, output: str) -> _End:
    """Walk back from the answers to softmax or sigmoid, through what only shapes them."""
    makers = {name: node for node in graph.node for name in node.output}
    value = output
    while (node := makers.get(value)) is not None and node.op_type in _SHAPING:
        value = node.input[0]
    if node is not None and node.op_type in ("Softmax", "LogSoftmax"):
        return _End("softmax", node.input[0])
    if node is not None and node.op_type == "Sigmoid":
        return _End("sigmoid", node.input[0])
    return _End(None, output, node is not None and node.op_type in _LINEAR)


def _activation(
    about: Description, answered: _Answered, path: Path, assumed: list[str]
) -> tuple[Literal["softmax", "sigmoid", "none"], str]:
    """What makes probabilities of the logits, and the value that holds these."""
    end, values = answered.end, answered.answers["answers"]
    wanted = about.activation
    likely = bool(((values >= -1e-4) & (values <= 1 + 1e-4)).all())
    if end.activation is not None:
        if wanted not in (None, "none", end.activation):
            raise UsageError(
                f"{path} ends with its own {end.activation}, so that --activation {wanted} would be a "
                "second one."
            )
        return end.activation, end.logits
    if wanted == "none" and not likely:
        raise UsageError(
            f"{path} answers {values.min():.3g} to {values.max():.3g}, which are no probabilities: say "
            "--activation softmax or sigmoid."
        )
    if wanted is None and likely and _sums_to_one(values):
        wanted = "none"
        assumed.append("its answers lie between 0 and 1 and sum to 1: they are taken as probabilities")
    if wanted is None and likely and not end.is_linear:
        raise UsageError(
            f"The answers of {path} lie between 0 and 1, and nothing says whether they are probabilities "
            "(--activation none) or not yet (softmax, sigmoid)."
        )
    if wanted is None:
        wanted = "sigmoid" if values.shape[1:] == (1,) else "softmax"
        assumed.append(
            f"it ends without softmax or sigmoid: {wanted} is taken (--activation sigmoid where a photo "
            "may have several labels)"
            if wanted == "softmax"
            else "it ends with one number without sigmoid: sigmoid is taken"
        )
    return wanted, answered.output


def _sums_to_one(values: npt.NDArray[Any]) -> bool:
    flat = values.reshape(len(values), -1)
    return flat.shape[1] > 1 and bool(np.allclose(flat.sum(axis=1), 1, atol=1e-3))


def _logits_of(build: GraphBuilder, flow: str, task: Task) -> str:
    """Logits whose softmax, or sigmoid, are these probabilities."""
    log = build("Log", build("Max", flow, _LEAST))
    if task == "single-label":
        return log
    return build("Sub", log, build("Log", build("Max", build("Sub", 1.0, flow), _LEAST)))


def _as_vectors(graph: onnx.GraphProto, build: GraphBuilder, name: str, shape: tuple[int, ...]) -> str:
    """float32 [batch, width] of a value [batch, width, 1, 1 …]."""
    flow = name if len(shape) == 2 else build("Flatten", name, axis=1)
    return _cast(graph, build, flow, TensorProto.FLOAT)


def _cast(graph: onnx.GraphProto, build: GraphBuilder, flow: str, kind: int) -> str:
    output = build.new_name("cast")
    graph.node.append(helper.make_node("Cast", [flow], [output], to=kind))
    return output


def _embed(
    whole: onnx.ModelProto,
    build: GraphBuilder,
    about: Description,
    path: Path,
    pixels: _Pixels,
    answered: _Answered,
    assumed: list[str],
) -> int:
    """Append the output `embedding`; returns its size."""
    if about.embedding is not None:
        name = _PREFIX + about.embedding
        if name not in answered.dependent:
            raise UsageError(f"{path} has no value '{about.embedding}' that depends on the picture.")
    else:
        name = _before_last_layer(whole.graph, answered.end.logits, answered.dependent) or ""
    shape: tuple[int, ...] = ()
    if name:
        shape = _probe(whole, {"embedding": name}, pixels, path, alone=False)["embedding"].shape
    if not name or len(shape) < 2 or int(np.prod(shape[2:])) != 1:
        if about.embedding is not None:
            raise UsageError(f"'{about.embedding}' of {path} is {list(shape)}, and no vector a picture.")
        assumed.append(
            "no last dense layer could be told: its embedding is its logits, of little use to train a head on"
        )
        name, shape = (
            "logits",
            (0, next(iter(_probe(whole, {"logits": "logits"}, pixels, path, alone=False).values())).shape[1]),
        )
    build("Identity", _as_vectors(whole.graph, build, name, shape), to="embedding")
    return shape[1]


def _before_last_layer(graph: onnx.GraphProto, logits: str, dependent: set[str]) -> str | None:
    """The input of the last dense layer: what is multiplied by weights to give the logits."""
    makers = {name: node for node in graph.node for name in node.output}
    value = logits
    while (node := makers.get(value)) is not None:
        sources = [name for name in node.input if name in dependent]
        if len(sources) != 1:
            return None
        if node.op_type in ("Gemm", "MatMul", "Conv"):
            return str(sources[0])
        if node.op_type not in (
            *_SHAPING,
            "Add",
            "Sub",
            "Mul",
            "Div",
            "ReduceMean",
            "GlobalAveragePool",
            "Transpose",
        ):
            return None
        value = sources[0]
    return None


def _probe(
    whole: onnx.ModelProto, wanted: Mapping[str, str], pixels: _Pixels, path: Path, *, alone: bool
) -> dict[str, npt.NDArray[Any]]:
    """What values of the graph are for three pictures; `alone`: together and one by one it must say the same.

    Raises:
        DataError: it cannot be run, or answers otherwise for a picture when others are in its batch.
    """
    model = onnx.ModelProto()
    model.CopyFrom(whole)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(wanted.values()))
    session = open_session(model.SerializeToString(), path, "cpu", 1)
    images = np.stack(list(probe_images(*pixels.sides)))

    def run(batch: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        values = session.run(list(wanted.values()), {INPUT: batch}, Halt())
        return dict(zip(wanted, values, strict=True))

    try:
        together = run(images)
        each = [run(image[np.newaxis]) for image in images] if alone else []
    except Exception as error:  # the runtime's errors have no common base but Exception
        raise DataError(f"{path} cannot be run for several pictures of {pixels.sides}: {error}") from error
    for name, values in together.items():
        if values.ndim < 1 or len(values) != len(images):
            raise DataError(f"{path} answers three pictures with {list(values.shape)}. {_FOR_ANY_NUMBER}")
        if each and not np.allclose(
            values, np.concatenate([one[name] for one in each]), atol=1e-3, rtol=1e-3
        ):
            raise DataError(
                f"{path} was exported for one picture at a time and mixes several. {_FOR_ANY_NUMBER}"
            )
    return together


_FOR_ANY_NUMBER = (
    "Export it for any number of pictures (PyTorch: dynamic_shapes or dynamic_axes of the first dimension)."
)
