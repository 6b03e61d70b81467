"""Classifiers that somebody else exported, as model files that answer the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from trapline.errors import DataError, TraplineError, UsageError, kind_of
from trapline.models import ModelFile, describe, read_labels, read_manifest
from trapline.models.foreign.importing import translate

LABELS = ("Empty", "fox", "hare")
SIDES = (12, 10)
WEIGHTS = np.random.default_rng(1).normal(0, 2, (3, 3)).astype(np.float32)
BIAS = np.array([0.5, -1, 0.2], np.float32)
PIXELS = np.random.default_rng(2).integers(0, 256, (3, *SIDES, 3), dtype=np.uint8)

Floats = npt.NDArray[np.float64]


def foreign(
    path: Path,
    *,
    layout: str = "NCHW",
    kind: int = TensorProto.FLOAT,
    batch: Any = "N",
    sides: tuple[Any, Any] = SIDES,
    end: str | None = "Softmax",
    width: int = 3,
    opset: int = 17,
) -> Path:
    """A classifier by the mean of each channel, with names that a model file has too."""
    axes = [2, 3] if layout == "NCHW" else [1, 2]
    shape = [batch, 3, *sides] if layout == "NCHW" else [batch, *sides, 3]
    number = np.float16 if kind == TensorProto.FLOAT16 else np.float32
    nodes = [
        helper.make_node(
            "Cast", ["images"], ["as floats"], to=helper.np_dtype_to_tensor_dtype(np.dtype(number))
        ),
        helper.make_node("ReduceMean", ["as floats"], ["embedding"], axes=axes, keepdims=1),
        helper.make_node("Reshape", ["embedding", "shape"], ["pooled"]),
        helper.make_node("Gemm", ["pooled", "weights", "bias"], ["logits" if end else "answers"]),
    ]
    if end:
        nodes.append(helper.make_node(end, ["logits"], ["answers"]))
    values = {
        "shape": np.array([1 if batch == 1 else -1, 3]),
        "weights": WEIGHTS[:, :width].astype(number),
        "bias": BIAS[:width].astype(number),
    }
    graph = helper.make_graph(
        nodes,
        "theirs",
        [helper.make_tensor_value_info("images", kind, shape)],
        [
            helper.make_tensor_value_info(
                "answers", helper.np_dtype_to_tensor_dtype(np.dtype(number)), [batch, width]
            )
        ],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


def imported(path: Path, labels: tuple[str, ...] = LABELS, **about: Any) -> ModelFile:
    draft = path.with_name("model.onnx")
    translate(path, draft, describe({"labels": labels, **about}))
    return ModelFile(draft, threads=1, trial=None)


def answers(pixels: npt.NDArray[Any], activation: str = "softmax", width: int = 3) -> Floats:
    """What the foreign model says of float [N, H, W, 3], as its input is scaled."""
    logits = pixels.astype(np.float64).mean(axis=(1, 2)) @ WEIGHTS[:, :width] + BIAS[:width]
    if activation == "sigmoid":
        return 1 / (1 + np.exp(-logits))
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(
    ("about", "scaled"),
    [
        ({"scaling": "0-1"}, PIXELS / 255),
        ({"scaling": "-1-1"}, PIXELS / 127.5 - 1),
        ({"scaling": "imagenet"}, (PIXELS / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)),
        ({"scaling": "0-255", "std": (50, 60, 70)}, PIXELS / (50, 60, 70)),
        ({"mean": (0.5, 0.4, 0.3), "channels": "BGR"}, PIXELS[..., ::-1] / 255 - (0.5, 0.4, 0.3)),
        ({"scaling": "caffe", "std": None}, PIXELS[..., ::-1] - (103.939, 116.779, 123.68)),
    ],
)
def test_layout_and_scaling(tmp_path: Path, layout: str, about: dict[str, Any], scaled: Floats) -> None:
    model = imported(foreign(tmp_path / "theirs.onnx", layout=layout), **about)
    outputs = model.run(PIXELS)
    assert model.card.task == "single-label"
    assert model.card.labels == ("blank", "fox", "hare")
    np.testing.assert_allclose(outputs.probabilities, answers(scaled), atol=1e-4)
    np.testing.assert_allclose(outputs.embedding, scaled.mean(axis=(1, 2)), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        outputs.logits, scaled.mean(axis=(1, 2)) @ WEIGHTS + BIAS, rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize(
    ("graph", "about", "task"),
    [
        ({"end": "Sigmoid"}, {}, "multi-label"),
        ({"end": None}, {}, "single-label"),
        ({"end": None}, {"activation": "sigmoid"}, "multi-label"),
        ({"end": "Softmax"}, {"activation": "softmax"}, "single-label"),
        ({"end": "LogSoftmax"}, {}, "single-label"),
        ({"batch": 1}, {}, "single-label"),
        ({"sides": ("h", "w")}, {"height": SIDES[0], "width": SIDES[1]}, "single-label"),
        ({"kind": TensorProto.FLOAT16}, {}, "single-label"),
        ({"opset": 9}, {}, "single-label"),
    ],
)
def test_ends_batches_sides_and_numbers(
    tmp_path: Path, graph: dict[str, Any], about: dict[str, Any], task: str
) -> None:
    model = imported(foreign(tmp_path / "theirs.onnx", **graph), scaling="-1-1", **about)
    activation = "sigmoid" if task == "multi-label" else "softmax"
    assert model.card.task == task
    rounding = 3e-3 if "kind" in graph else 1e-4
    np.testing.assert_allclose(
        model.run(PIXELS).probabilities, answers(PIXELS / 127.5 - 1, activation), atol=rounding
    )


def test_pixels_as_they_are(tmp_path: Path) -> None:
    model = imported(foreign(tmp_path / "theirs.onnx", kind=TensorProto.UINT8, layout="NHWC"))
    np.testing.assert_allclose(model.run(PIXELS).probabilities, answers(PIXELS), atol=1e-4)


def test_one_number_is_the_chance_of_the_second_of_two_labels(tmp_path: Path) -> None:
    path = foreign(tmp_path / "theirs.onnx", end="Sigmoid", width=1)
    model = imported(path, ("blank", "animal"), scaling="0-1")
    chance = answers(PIXELS / 255, "sigmoid", 1)[:, 0]
    assert model.card.task == "single-label"
    np.testing.assert_allclose(model.run(PIXELS).probabilities, np.stack([1 - chance, chance], 1), atol=1e-4)


def test_what_is_not_known_is_called_so(tmp_path: Path) -> None:
    card = imported(foreign(tmp_path / "theirs.onnx", end=None), scaling="0-1").card
    assert card.calibration.method == "none"
    assert card.calibration.fitted_on.startswith("not known")
    assert card.trained_on is None
    assert card.metrics == {}
    assert card.origin is not None
    assert card.origin.file == "theirs.onnx"
    for said in ("softmax", "squashed", "bilinearly", "RGB", "'Empty' is called blank"):
        assert any(said in sentence for sentence in card.origin.assumed), said
    told = imported(
        tmp_path / "theirs.onnx",
        (*LABELS[1:], "blank"),
        scaling="0-1",
        activation="softmax",
        fit="crop",
        crop_fraction=0.9,
        interpolation="bicubic",
        channels="RGB",
    ).card
    assert told.origin is not None
    assert told.origin.assumed == ()
    assert (told.preprocessing.fit, told.preprocessing.crop_fraction) == ("crop", 0.9)


@pytest.mark.parametrize(
    ("graph", "about", "why"),
    [
        ({}, {}, "--scaling"),
        ({"sides": ("h", "w")}, {"scaling": "0-1"}, "--size"),
        ({"layout": "NHWC", "sides": (3, 10)}, {"scaling": "0-1"}, "--layout"),
        ({}, {"scaling": "0-1", "layout": "NHWC"}, "NCHW by its shape"),
        ({}, {"scaling": "0-1", "height": 24}, "height 12, and not 24"),
        ({}, {"scaling": "0-1", "activation": "sigmoid"}, "a second one"),
        ({"end": None}, {"scaling": "-1-1", "activation": "none"}, "no probabilities"),
        ({}, {"scaling": "0-1", "labels": ("a", "b")}, "answers 3 numbers a photo, but 2 labels"),
        ({}, {"scaling": "0-1", "labels": None}, "--labels"),
        ({}, {"scaling": "imagenet", "mean": (0.5, 0.5, 0.5)}, "mean of its own"),
        ({}, {"mean": (123, 116, 103)}, "0-255"),
        ({}, {"scaling": "0-1", "output": "none"}, "it has answers"),
        ({}, {"scaling": "0-2"}, "scaling"),
        ({"kind": TensorProto.UINT8}, {"scaling": "0-1"}, "nothing can be scaled"),
        ({}, {"scaling": "0-1", "network": "resnet18"}, "of tensors only"),
        ({}, {"scaling": "0-1", "crop_fraction": 0.9}, "fit crop only"),
        ({"batch": 4}, {"scaling": "0-1"}, "takes 4 pictures"),
    ],
)
def test_what_must_be_told_or_contradicts(
    tmp_path: Path, graph: dict[str, Any], about: dict[str, Any], why: str
) -> None:
    with pytest.raises(TraplineError, match=why):
        imported(foreign(tmp_path / "theirs.onnx", **graph), **about)
    assert not (tmp_path / "model.onnx").exists()


def test_a_manifest_says_what_options_say(tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text('{"fox": 1, "hare": 2, "blank": 0}', "utf-8")
    (tmp_path / "about.yaml").write_text("labels: names.json\nscaling: 0-1\nmean: [0.5, 0.5, 0.5]\n", "utf-8")
    fields = read_manifest(tmp_path / "about.yaml")
    assert describe(fields).labels == ("blank", "fox", "hare")
    (tmp_path / "options.yaml").write_text("size: 12x10\noutput-name: answers\nnotice: CC BY\n", "utf-8")
    told = describe(read_manifest(tmp_path / "options.yaml"))
    assert (told.height, told.width, told.output, told.notices) == (12, 10, "answers", ("CC BY",))
    with pytest.raises(UsageError, match="colour"):
        describe(fields | {"colour": 1})


@pytest.mark.parametrize(
    ("name", "content", "labels"),
    [
        ("l.txt", "\ufefffox\nhare \n\n", ("fox", "hare")),
        ("l.json", '["fox", "hare"]', ("fox", "hare")),
        ("l.json", '{"1": "hare", "0": "fox"}', ("fox", "hare")),
        ("l.yaml", "0: fox\n1: hare\n", ("fox", "hare")),
        ("l.txt", "fox\n\nhare\n", "line 2 is empty"),
        ("l.txt", "0 fox\n1 hare\n", "begin with numbers"),
        ("l.csv", "class,index\nfox,0\nhare,1\n", "is a table"),
        ("l.csv", "fox\nhare\n", ("fox", "hare")),
        ("l.json", '{"1": "hare", "2": "fox"}', "without a gap"),
        ("l.yaml", "- no\n- fox\n", "need quotes"),
        ("l.json", "{", "cannot be read"),
    ],
)
def test_labels_of_a_file(tmp_path: Path, name: str, content: str, labels: Any) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    if isinstance(labels, tuple):
        assert read_labels(tmp_path / name) == labels
    else:
        with pytest.raises(DataError, match=labels):
            read_labels(tmp_path / name)


def test_weights_beside_an_onnx_file_are_taken_in_and_from_nowhere_else(tmp_path: Path) -> None:
    path = foreign(tmp_path / "theirs.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w.data", size_threshold=0)
    assert imported(path, scaling="0-1").run(PIXELS).probabilities.shape == (3, 3)
    model = onnx.load(path, load_external_data=False)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "theirs.onnx").write_bytes(model.SerializeToString())
    for tensor in model.graph.initializer:
        next(item for item in tensor.external_data if item.key == "location").value = "../w.data"
    (tmp_path / "inner" / "up.onnx").write_bytes(model.SerializeToString())
    for name in ("theirs.onnx", "up.onnx"):
        with pytest.raises(DataError, match="no file beside it"):
            imported(tmp_path / "inner" / name, scaling="0-1")


def _zip(*names: str) -> bytes:
    import io
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return file.getvalue()


HEADER = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "HDF5"),
        (b"\x1f\x8b\x08" + bytes(20), "gzip"),
        (b"<!DOCTYPE html><html>", "a page for browsers"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(20), "TensorFlow Lite"),
        (len(HEADER).to_bytes(8, "little") + HEADER + bytes(4), "safetensors"),
        (b"\x80\x04\x95\x10" + bytes(20), "pickle"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + bytes(20), "torch.save"),
        (_zip("m/data.pkl", "m/data/0"), "torch.save"),
        (_zip("m/data.pkl", "m/constants.pkl", "m/code/x.py"), "TorchScript"),
        (_zip("m/archive_format", "m/models/model.json"), "torch.export"),
        (_zip("metadata.json", "config.json", "model.weights.h5"), "model of Keras"),
        (_zip("photo.jpg"), "a zip"),
        (b"GGUF" + bytes(20), "language model"),
        (b"", "an empty file"),
    ],
)
def test_a_file_that_is_no_model_is_called_what_it_is(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    assert kind in str(kind_of(path))
    with pytest.raises(DataError, match=kind):
        ModelFile(path)


def test_of_a_saved_model_the_command_is_named_that_makes_an_onnx_file(tmp_path: Path) -> None:
    (tmp_path / "species model" / "1").mkdir(parents=True)
    (tmp_path / "species model" / "1" / "saved_model.pb").write_bytes(b"\x08\x01")
    with pytest.raises(DataError, match=r"tf2onnx\.convert .*--saved-model '.*species model/1' --output"):
        translate(tmp_path / "species model" / "1", tmp_path / "o.onnx", describe({}))
    with pytest.raises(DataError, match="Name one version"):
        translate(tmp_path / "species model", tmp_path / "o.onnx", describe({}))


@pytest.mark.parametrize("make", [lambda at: at.mkdir(), lambda at: (at / "1").mkdir(parents=True)])
def test_a_folder_is_no_model(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "model")
    with pytest.raises(DataError, match="no SavedModel"):
        translate(tmp_path / "model", tmp_path / "o.onnx", describe({}))
