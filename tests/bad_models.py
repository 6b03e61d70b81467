"""Model files that mean no good, each made from a good one: by name, with the words that refuse it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

Change = Callable[[onnx.ModelProto], None]


def constants(model: onnx.ModelProto, **values: Any) -> None:
    for name, value in values.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))


def after(*nodes: NodeProto, **values: Any) -> Change:
    """What the good model calls `probabilities` becomes `fair`, from which the nodes make others."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.node[-1].output[0] = "fair"
        model.graph.node.extend(nodes)
        constants(model, **values)

    return change


def times(factor: Any) -> Change:
    return after(
        helper.make_node("Mul", ["fair", "factor"], ["probabilities"]), factor=np.array(factor, np.float32)
    )


def body(nodes: Sequence[NodeProto], results: Sequence[str]) -> onnx.GraphProto:
    """Of a loop that carries one table of floats."""
    return helper.make_graph(
        nodes,
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info(results[0], TensorProto.BOOL, []),
            helper.make_tensor_value_info(results[1], TensorProto.FLOAT, None),
        ],
    )


def endless(
    condition: str = "yes", *before: NodeProto, stoppable: bool = True, nested: bool = False
) -> Change:
    """A loop that never ends where the condition holds; one that is not stoppable has nothing in it."""
    same = [helper.make_node("Identity", [name], [f"{name} too"]) for name in ("going", "carried")]
    inner = body(same, ["going too", "carried too"]) if stoppable else body([], ["going", "carried"])
    if nested:
        loop = helper.make_node("Loop", ["", "going", "carried"], ["out"], body=inner)
        still = helper.make_node("Identity", ["going"], ["still"])
        inner = body([still, loop], ["still", "out"])
        for number, name in enumerate(("outer round", "outer going", "outer carried")):
            old = inner.input[number].name
            inner.input[number].name = name
            for node in (still, loop, *inner.node):
                node.input[:] = [name if given == old else given for given in node.input]
    return after(
        *before,
        helper.make_node("Loop", ["", condition, "fair"], ["probabilities"], body=inner),
        yes=np.array(True),
        white=np.array(0.98, np.float32),
        one=np.array(1, np.int64),
    )


SEVERAL = [
    helper.make_node("Shape", ["images"], ["side"], start=0, end=1),
    helper.make_node("Squeeze", ["side"], ["many"]),
    helper.make_node("Greater", ["many", "one"], ["several"]),
]
WHITE = [
    helper.make_node("ReduceMean", ["unit"], ["bright"], keepdims=0),
    helper.make_node("Greater", ["bright", "white"], ["is white"]),
]
"""Nothing that a model is tried with is white."""


def no_number_where_white(model: onnx.ModelProto) -> None:
    nodes = [*WHITE, helper.make_node("Where", ["is white", "nothing", "fair"], ["probabilities"])]
    after(*nodes, nothing=np.array(np.nan, np.float32), white=np.array(0.98, np.float32))(model)


def card(**changes: Any) -> Change:
    def change(model: onnx.ModelProto) -> None:
        told = json.loads(model.metadata_props[0].value) | changes
        model.metadata_props[0].value = json.dumps(told)

    return change


def deep(model: onnx.ModelProto) -> None:
    text = model.metadata_props[0].value
    nested = "[" * 100_000 + "]" * 100_000
    model.metadata_props[0].value = text.replace('"recipe":{}', '"recipe":{"a":' + nested + "}")


def away(name: str, location: str, width: int = 3) -> TensorProto:
    """A tensor of bytes that is kept elsewhere."""
    tensor = TensorProto(name=name, data_type=TensorProto.UINT8, dims=[width])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(width))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def external(place: str, location: str) -> Change:
    """A tensor outside the file, at one of the places where a model can have one."""

    def change(model: onnx.ModelProto) -> None:
        tensor = away("away", location)
        constant = helper.make_node("Constant", [], ["away"], value=tensor)
        if place == "initializer":
            model.graph.initializer.append(tensor)
        elif place == "attribute":
            model.graph.node.append(constant)
        elif place == "attribute list":
            model.graph.node.append(helper.make_node("Odd", [], ["away"], values=[tensor]))
        elif place == "subgraph":
            inner = body([constant, *[helper.make_node("Identity", ["going"], ["on"])]], ["on", "carried"])
            model.graph.node.append(helper.make_node("Loop", ["", "yes", "logits"], ["unused"], body=inner))
            constants(model, yes=np.array(False))
        elif place == "function":
            function = helper.make_function("mine", "F", [], ["away"], [constant], model.opset_import)
            model.functions.append(function)
        elif place == "sparse":
            model.graph.sparse_initializer.add().values.CopyFrom(tensor)
        else:
            assert place == "training"
            model.training_info.add().initialization.initializer.append(tensor)

    return change


PLACES = ("initializer", "attribute", "attribute list", "subgraph", "function", "sparse", "training")
LOCATIONS = ("/etc/passwd", "../../../etc/passwd", "beside.bin", "/proc/self/environ", "*/_ORT_MEM_ADDR_/*")

ENDLESS: dict[str, Change] = {
    "endless": endless(),
    "endless in a loop": endless(nested=True),
    "endless for several images": endless("several", *SEVERAL),
    "endless and empty": endless("several", *SEVERAL, stoppable=False),
}

BAD: dict[str, tuple[Change, str]] = {
    "NaN": (times(np.nan), "no number"),
    "one NaN": (times([1, np.nan, 1]), "no number"),
    "infinite": (times(np.inf), "no number"),
    "above 1": (times(1000), "outside 0 to 1"),
    "below 0": (times(-1), "outside 0 to 1"),
    "a sum of a half": (times(0.5), "sum to 0.5"),
    "one row": (
        after(
            helper.make_node("Slice", ["fair", "zero", "one", "zero"], ["probabilities"]), zero=[0], one=[1]
        ),
        r"answers 2 images with 'probabilities' as float32 \[1, 3\]",
    ),
    "too many rows": (
        after(helper.make_node("Concat", ["fair", "fair"], ["probabilities"], axis=0)),
        r"as float32 \[2, 3\], and not float32 \[1, 3\]",
    ),
    "another's answer": (
        after(
            helper.make_node("Slice", ["fair", "last", "first", "zero", "last"], ["probabilities"]),
            last=[-1],
            first=[-(2**40)],
            zero=[0],
        ),
        "when others are in its batch",
    ),
    "bad for several images": (
        after(
            *SEVERAL,
            helper.make_node("Where", ["several", "nothing", "fair"], ["probabilities"]),
            one=np.array(1, np.int64),
            nothing=np.array(np.nan, np.float32),
        ),
        "no number",
    ),
    "much memory": (
        after(
            helper.make_node("ConstantOfShape", ["huge"], ["zeros"]),
            helper.make_node("ReduceMax", ["zeros"], ["zero"], keepdims=0),
            helper.make_node("Add", ["fair", "zero"], ["probabilities"]),
            huge=[200_000, 250_000],
        ),
        "more memory",
    ),
    "a foreign operator": (
        after(helper.make_node("Own", ["fair"], ["probabilities"], domain="evil.example")),
        "cannot be opened",
    ),
    "a tensor elsewhere": (external("initializer", "/etc/passwd"), "weights in other files"),
    "an empty label": (card(labels=["a", " ", "b"]), "it is empty"),
    "a control character": (card(labels=["a", "b\x1b[2J", "c"]), "control character"),
    "a label of two lines": (card(labels=["a", "b\nc", "c"]), "control character"),
    "a reversing label": (card(labels=["a", "b\u202ec", "c"]), "control character"),
    "a long label": (card(labels=["a", "b" * 70_000, "c"]), "characters"),
    "one label twice": (card(labels=["a", "b", "b"]), "differ from one another"),
    "a card of 100 MB": (card(recipe={"x": "y" * 100_000_000}), "characters; at most"),
    "a card of many floors": (deep, "not readable"),
}


def make_bad(change: Change, good: Path, path: Path) -> Path:
    """Writes the file, made from a good one of three labels."""
    model = onnx.load(good)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path
