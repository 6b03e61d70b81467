"""A model file as a SavedModel: what TensorFlow Serving reads in it, and what is refused.

That TensorFlow answers the same is seen by tests/integration/models/test_tensorflow_numbers.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from trapline.cli import main
from trapline.errors import DataError, UsageError
from trapline.images import Preprocessing
from trapline.models import Card
from trapline.models.backbones import path as backbone
from trapline.models.saved_model import CARD_FILE, export_saved_model, message
from trapline.models.tensorflow_graph import Node, translate
from trapline.models.tf_signature import EVERYTHING, SIGNATURE, TfSignature


def read(folder: Path) -> Any:
    return message("SavedModel").FromString((folder / "saved_model.pb").read_bytes())


def network(*nodes: onnx.NodeProto, **weights: Any) -> onnx.ModelProto:
    """`images` [batch, 8, 8, 3] through the nodes to `out`."""
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 8, 8, 3])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    start = [
        helper.make_node("Transpose", ["images"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["first"], ["x"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph([*start, *nodes], "tiny", [images], [out], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def operators(nodes: list[Node]) -> list[str]:
    return [node.operator for node in nodes if node.operator != "Const"]


def test_a_client_of_tensorflow_serving_finds_its_signature(
    write_tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = write_tiny_model(tmp_path / "tiny.onnx")
    folder = export_saved_model(model, tmp_path / "species_model" / "1")
    (graph,) = read(folder).meta_graphs
    assert list(graph.meta_info_def.tags) == ["serve"]
    assert set(graph.signature_def) == {SIGNATURE, EVERYTHING}
    signature = graph.signature_def["serving_default"]
    assert signature.method_name == "tensorflow/serving/predict"
    (given,), (answered,) = signature.inputs.values(), signature.outputs.values()
    assert (given.name, given.dtype) == ("images:0", 4)
    assert [side.size for side in given.tensor_shape.dim] == [-1, 16, 16, 3]
    assert (answered.name, answered.dtype) == ("probabilities:0", 1)
    assert [side.size for side in answered.tensor_shape.dim] == [-1, 3]
    assert set(graph.signature_def[EVERYTHING].outputs) == {"probabilities", "logits", "embedding"}
    card = Card.model_validate_json((folder / CARD_FILE).read_text())
    assert card.labels == ("blank", "hare", "lynx")


@pytest.mark.parametrize(("said", "most"), [("0-255", 255), ("0-1", 1)])
def test_a_client_of_another_model_finds_its_own_names_and_range(
    write_tiny_model: Callable[..., Path], tmp_path: Path, said: Any, most: int
) -> None:
    model = write_tiny_model(tmp_path / "tiny.onnx")
    asked = TfSignature("input_layer_11", "output_0", said)
    (graph,) = read(export_saved_model(model, tmp_path / "1", asked)).meta_graphs
    signature = graph.signature_def[SIGNATURE]
    (given,), (answered,) = signature.inputs.items(), signature.outputs.items()
    assert (given[0], given[1].dtype, answered[0], answered[1].name) == (
        "input_layer_11",
        1,
        "output_0",
        "probabilities:0",
    )
    nodes = {node.name: node for node in graph.graph_def.node}
    taken = nodes[given[1].name.removesuffix(":0")]
    assert (taken.op, taken.attr["dtype"].type) == ("Placeholder", 1)
    # What the network reads is made of it, after the check; by its own name it may be fed as ever.
    assert nodes["images"].op == "PlaceholderWithDefault"
    (made,) = nodes["images"].input
    assert list(nodes[made].input) == ["floats/rounded", "^floats/checked"]
    assert nodes["floats/checked"].op == "Assert"
    high = np.frombuffer(nodes["floats/high"].attr["value"].tensor.tensor_content, "<f4")
    assert high.tolist() == [most]
    (text,) = nodes["floats/said"].attr["value"].tensor.string_val
    assert text == f"Pixels of 'input_layer_11' must be numbers from 0 to {most}.".encode()
    names = [node.name for node in graph.graph_def.node]
    for node in graph.graph_def.node:
        for name in node.input:
            assert names.index(name.removeprefix("^").partition(":")[0]) < names.index(node.name)
    (plain,) = graph.signature_def[EVERYTHING].inputs.items()
    assert (plain[0], plain[1].name, plain[1].dtype) == ("images", "images:0", 4)


def test_names_alone_leave_the_pixels_as_they_are(
    write_tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = write_tiny_model(tmp_path / "tiny.onnx")
    named = export_saved_model(model, tmp_path / "1", TfSignature("input_layer_11", "output_0"))
    (graph,) = read(named).meta_graphs
    (given,) = graph.signature_def[SIGNATURE].inputs.items()
    assert (given[0], given[1].name, given[1].dtype) == ("input_layer_11", "images:0", 4)
    (plain,) = read(export_saved_model(model, tmp_path / "2")).meta_graphs
    assert plain.graph_def == graph.graph_def


def test_every_node_comes_after_those_that_it_reads_and_names_are_unique(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="backbone"):
        export_saved_model(backbone("lite0"), tmp_path / "1")
    nodes, outputs = translate(onnx.load(backbone("lite0")), 224, 224)
    seen: set[str] = set()
    for node in nodes:
        assert {name.partition(":")[0] for name in node.inputs} <= seen
        assert node.name not in seen
        seen.add(node.name)
    assert outputs["embedding"].name in seen
    assert operators(nodes).count("Transpose") == 0  # channels stay last from the pixels to the pool
    assert "DepthwiseConv2dNative" in operators(nodes)


def test_a_model_of_whole_events_is_refused(write_tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "whole.onnx", batch="event")
    with pytest.raises(UsageError, match="frames of an event together"):
        export_saved_model(model, tmp_path / "1")
    assert not (tmp_path / "1").exists()


def test_equal_models_give_equal_bytes(write_tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny.onnx")
    first, second = (export_saved_model(model, tmp_path / name / "1") for name in "ab")
    assert (first / "saved_model.pb").read_bytes() == (second / "saved_model.pb").read_bytes()


def test_a_folder_that_is_no_saved_model_is_left_alone(
    write_tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = write_tiny_model(tmp_path / "tiny.onnx")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "hare.jpg").write_bytes(b"a hare")
    with pytest.raises(UsageError, match="no SavedModel"):
        export_saved_model(model, tmp_path / "photos")
    assert (tmp_path / "photos" / "hare.jpg").read_bytes() == b"a hare"
    again = export_saved_model(model, export_saved_model(model, tmp_path / "1"))
    assert not list(tmp_path.glob("*.partial"))
    assert read(again).saved_model_schema_version == 1


def test_weights_are_turned_for_channels_last() -> None:
    weights = np.arange(4 * 3 * 2 * 2, dtype=np.float32).reshape(4, 3, 2, 2)
    nodes, outputs = translate(network(helper.make_node("Conv", ["x", "w"], ["out"]), w=weights), 8, 8)
    kernel = next(node.attributes["value"] for node in nodes if node.operator == "Const")
    np.testing.assert_array_equal(kernel, weights.transpose(2, 3, 1, 0))
    assert operators(nodes) == ["Placeholder", "Cast", "Conv2D", "Transpose", "Identity"]
    assert outputs["out"].sides == (None, 4, 7, 7)


def test_numbers_a_channel_are_turned_with_the_tensor_that_they_meet() -> None:
    bias = np.arange(3, dtype=np.float32).reshape(3, 1, 1)
    nodes, _ = translate(network(helper.make_node("Add", ["x", "b"], ["out"]), b=bias), 8, 8)
    value = next(node.attributes["value"] for node in nodes if node.operator == "Const")
    assert isinstance(value, np.ndarray)
    assert value.shape == (1, 1, 1, 3)


def test_what_is_known_beforehand_is_computed_beforehand() -> None:
    half = np.ones((4, 3, 1, 1), np.float16)
    nodes = [
        helper.make_node("Cast", ["half"], ["w"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["x", "w"], ["out"]),
    ]
    found, _ = translate(network(*nodes, half=half), 8, 8)
    assert operators(found).count("Cast") == 1  # that of the pixels


def test_a_free_batch_is_read_from_the_pixels_when_the_network_runs() -> None:
    """As PyTorch writes a flattening: the batch's length is part of a shape."""
    nodes = [
        helper.make_node("Shape", ["x"], ["n"], start=0, end=1),
        helper.make_node("Shape", ["x"], ["c"], start=1, end=2),
        helper.make_node("Concat", ["n", "c", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["out"]),
    ]
    found, _ = translate(network(*nodes, rest=np.array([-1], np.int64)), 8, 8)
    by_operator = {node.operator: node for node in found}
    constants = {node.name: node.attributes["value"] for node in found if node.operator == "Const"}
    assert {"Shape", "StridedSlice", "ConcatV2", "Reshape"} <= by_operator.keys()
    _, channels, rest, _ = by_operator["ConcatV2"].inputs
    assert np.asarray(constants[channels]).tolist() == [3]
    assert np.asarray(constants[rest]).tolist() == [-1]
    assert by_operator["Shape"].attributes["out_type"] == np.dtype(np.int64)
    slices = [np.asarray(constants[name]).tolist() for name in by_operator["StridedSlice"].inputs[1:]]
    assert slices == [[0], [1], [1]]


_COUNTED: dict[str, Any] = {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "count_include_pad": 1}
_WEIGHTS = {
    "w": np.ones((4, 3, 2, 2), np.float32),
    "vector": np.ones(8, np.float32),
    "zero": np.array([0, -1], np.int64),
    "last": np.array([-1], np.int64),
    "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64),
    "cut": np.array([0, 0, -1, 0, 0, 0, 0, 0], np.int64),
}


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (helper.make_node("Hardmax", ["x"], ["out"]), "Hardmax"),
        (helper.make_node("MaxPool", ["x"], ["out"], kernel_shape=[2, 2], ceil_mode=1), "MaxPool"),
        (helper.make_node("Conv", ["x", "w"], ["out"], auto_pad="SAME_LOWER"), "SAME_LOWER"),
        (helper.make_node("Conv", ["x", "x"], ["out"]), "computed by the network itself"),
        (helper.make_node("Elu", ["x"], ["out"], alpha=0.5), "Elu with another alpha"),
        (helper.make_node("AveragePool", ["x"], ["out"], **_COUNTED), "AveragePool that counts its padding"),
        (helper.make_node("Softmax", ["x"], ["out"], axis=2), "Softmax along an inner axis"),
        (helper.make_node("ReduceSum", ["x"], ["out"], noop_with_empty_axes=1), "ReduceSum of that kind"),
        (helper.make_node("Gemm", ["x", "w"], ["out"], transA=1), "Gemm of that kind"),
        (helper.make_node("MatMul", ["x", "vector"], ["out"]), "MatMul of a vector"),
        (helper.make_node("Flatten", ["x"], ["out"], axis=2), "Flatten of a free size"),
        (helper.make_node("Reshape", ["x", "zero"], ["out"], allowzero=1), "Reshape to a side of zero"),
        (helper.make_node("Gather", ["x", "last"], ["out"], axis=0), "Gather from the end of a free size"),
        (helper.make_node("Pad", ["x", "pads"], ["out"], mode="reflect"), "Pad of that kind"),
        (helper.make_node("Pad", ["x", "cut"], ["out"]), "Pad of that kind"),
    ],
)
def test_an_operator_that_is_not_translated_is_named(node: onnx.NodeProto, said: str) -> None:
    with pytest.raises(DataError, match=said):
        translate(network(node, **_WEIGHTS), 8, 8)


def test_an_output_that_is_not_translated_is_no_crash() -> None:
    pooled = helper.make_node("MaxPool", ["x"], ["best", "places"], kernel_shape=[2, 2])
    with pytest.raises(DataError, match="further outputs of the operator MaxPool"):
        translate(network(pooled, helper.make_node("Cast", ["places"], ["out"], to=TensorProto.FLOAT)), 8, 8)
    translate(network(pooled, helper.make_node("Relu", ["best"], ["out"])), 8, 8)


def test_the_command_writes_a_folder_and_says_so(
    write_tiny_model: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = Preprocessing(height=32, width=32)
    model = write_tiny_model(tmp_path / "tiny.onnx", size=32, preprocessing=size)
    folder = tmp_path / "species_model" / "1"
    with pytest.raises(SystemExit) as left:
        main(["export", str(model), "--format", "saved-model", "-o", str(folder)])
    assert left.value.code in (0, None)
    assert "serving_default" in capsys.readouterr().out
    assert (folder / "saved_model.pb").is_file()
    named = ["--tf-input", "input_layer_11", "--tf-output", "output_0", "--tf-range", "0-255"]
    with pytest.raises(SystemExit) as left:
        main(["export", str(model), "--format", "saved-model", "-o", str(folder), "--force", *named])
    assert left.value.code in (0, None)
    assert "input_layer_11 (float32, 0-255) → output_0" in capsys.readouterr().out
    assert set(read(folder).meta_graphs[0].signature_def[SIGNATURE].outputs) == {"output_0"}
    for wrong in (
        ["--int8", *named],
        ["--format", "saved-model", "--tf-range", "0-256"],
        ["--format", "saved-model", "--tf-input", ""],
        ["--format", "saved-model", "--tf-output", "two words"],
    ):
        with pytest.raises(SystemExit) as left:
            main(["export", str(model), "-o", str(tmp_path / "x"), *wrong])
        assert left.value.code == 2
        assert "--tf-" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main(["export", str(model), "--format", "tflite", "-o", str(tmp_path / "x")])
    assert left.value.code == 2
