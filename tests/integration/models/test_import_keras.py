"""Files of Keras, as model files that answer what Keras answers; those that hold code are refused."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
with pytest.MonkeyPatch.context() as patch:  # other tests start programs of other backends
    patch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
h5py = pytest.importorskip("h5py")

from trapline.errors import DataError, UsageError  # noqa: E402
from trapline.models import ModelFile, describe  # noqa: E402
from trapline.models.foreign.importing import translate  # noqa: E402

layers = keras.layers
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 150, 150, 3), dtype=np.uint8)


def tai() -> Any:
    """The published species model of Taï: 837,352 parameters."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((150, 150, 3)), layers.Rescaling(1 / 255)])
    for index, filters in enumerate((32, 64, 64, 128, 256)):
        model.add(layers.Conv2D(filters, 3, activation="relu"))
        if index < 4:
            model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    for units in (64, 32):
        model.add(layers.Dropout(0.5))
        model.add(layers.Dense(units, activation="relu"))
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(8, activation="softmax"))
    model.compile(optimizer="adam", loss="categorical_crossentropy")
    return model


def serengeti() -> Any:
    """The published head of Serengeti on a backbone of its kinds of layers, in a model of its own."""
    keras.utils.set_random_seed(2)
    pictures = keras.Input((None, None, 3))
    flow = layers.Conv2D(8, 3, strides=2, use_bias=False, padding="same")(pictures)
    flow = layers.BatchNormalization()(flow)
    flow = layers.Activation("relu6")(flow)
    side = layers.SeparableConv2D(8, 3, padding="same")(layers.ZeroPadding2D(1)(flow))
    flow = layers.concatenate([layers.Cropping2D(1)(side), layers.DepthwiseConv2D(3, padding="same")(flow)])
    backbone = keras.Model(pictures, flow, name="backbone")
    pictures = keras.Input((96, 80, 3))
    flow = layers.GlobalMaxPooling2D()(backbone(pictures))
    flow = layers.Dense(256, activation="relu")(layers.Dropout(0.2)(flow))
    return keras.Model(pictures, layers.Dense(54, activation="sigmoid")(layers.Dropout(0.2)(flow)))


def augmented() -> Any:
    """Models in a model, as they are written by hand: augmentation first, a head of its own last."""
    keras.utils.set_random_seed(3)
    inside = keras.Input((32, 32, 3))
    flow = layers.BatchNormalization()(layers.SeparableConv2D(8, 3)(inside))
    body = keras.Model(inside, layers.GlobalMaxPooling2D()(flow), name="body")
    head = keras.Sequential([keras.Input((8,)), layers.Dense(5, activation="softmax")], name="head")
    turned = keras.Sequential([keras.Input((32, 32, 3)), layers.RandomFlip()], name="turned")
    pictures = keras.Input((32, 32, 3))
    return keras.Model(pictures, head(body(layers.Rescaling(1 / 255)(turned(pictures)))))


def as_keras_2(config: Any) -> Any:
    """A configuration as Keras 2.15 wrote it: calls as lists, those of models counted from one."""
    if isinstance(config, list):
        return [as_keras_2(part) for part in config]
    if not isinstance(config, dict):
        return config
    made = {key: as_keras_2(part) for key, part in config.items()}
    kind, inner = made.get("class_name"), made.get("config")
    if kind in ("DepthwiseConv2D", "SeparableConv2D"):
        inner["groups"] = 1
    if kind == "SeparableConv2D":
        inner["kernel_initializer"] = inner["depthwise_initializer"]
    if kind == "BatchNormalization":
        inner["axis"] = [3]
    if kind == "Functional":
        made["module"] = "keras.src.engine.functional"
        models = {one["name"] for one in inner["layers"] if one["class_name"] in ("Functional", "Sequential")}

        def source(name: str, node: int, tensor: int) -> list[Any]:
            return [name, int(name in models), tensor]

        for one in inner["layers"]:
            calls = []
            for node in one["inbound_nodes"]:
                given = node["args"] if isinstance(node, dict) else []
                given = given[0] if isinstance(given[0], list) else given
                calls.append([[*source(*tensor["config"]["keras_history"]), {}] for tensor in given])
            one["inbound_nodes"] = calls
        for side in ("input_layers", "output_layers"):
            ends = inner[side] if isinstance(inner[side][0], list) else [inner[side]]
            inner[side] = [source(*end) for end in ends]
    return made


def rewrite(path: Path) -> None:
    """Make a file of Keras 3 one of Keras 2."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = json.dumps(as_keras_2(json.loads(file.attrs["model_config"])))
        return
    content = io.BytesIO()
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(content, "w") as after:
        for name in before.namelist():
            data = before.read(name)
            is_config = name == "config.json"
            after.writestr(name, json.dumps(as_keras_2(json.loads(data))) if is_config else data)
    path.write_bytes(content.getvalue())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "suffix", "about", "scale", "task"),
    [
        (tai, ".keras", {}, (1, 0), "single-label"),
        (tai, ".h5", {}, (1, 0), "single-label"),
        (serengeti, ".keras", {"scaling": "-1-1"}, (127.5, 1), "multi-label"),
        (serengeti, ".h5", {"scaling": "-1-1"}, (127.5, 1), "multi-label"),
        (augmented, ".keras", {}, (1, 0), "single-label"),
        (augmented, ".h5", {}, (1, 0), "single-label"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_file_answers_what_keras_answers(
    tmp_path: Path, make: Callable[[], Any], suffix: str, about: dict[str, Any], scale: Any, task: str
) -> None:
    theirs, path = make(), tmp_path / f"theirs{suffix}"
    theirs.save(path)
    if suffix == ".h5" or make is augmented:
        rewrite(path)
    labels = [f"label {index}" for index in range(theirs.output_shape[1])]
    translate(path, tmp_path / "model.onnx", describe({"labels": labels, **about}))
    model = ModelFile(tmp_path / "model.onnx", threads=1, trial=None)
    size = model.card.preprocessing
    pixels = PIXELS[:, : size.height, : size.width]
    answers = keras.ops.convert_to_numpy(theirs(pixels / np.float32(scale[0]) - scale[1], training=False))
    np.testing.assert_allclose(model.run(pixels).probabilities, answers, atol=1e-4)
    assert model.card.task == task
    assert model.card.embedding_size == {tai: 32, serengeti: 256, augmented: 8}[make]


def changed(path: Path, config: dict[str, Any]) -> Path:
    """A small file of Keras whose layers say something else."""
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(name="flat"), layers.Dense(3)])
    content = io.BytesIO()
    model.save(path)
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(content, "w") as after:
        for name in before.namelist():
            data = before.read(name)
            if name == "config.json":
                whole = json.loads(data)
                whole["config"]["layers"][1] |= config
                data = json.dumps(whole).encode()
            after.writestr(name, data)
    path.write_bytes(content.getvalue())
    return path


CODE = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}}


def layer(module: str, name: str, **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": {"name": "bad", **config}}


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (layer("keras.layers", "Lambda", function=CODE), "'bad' is a Lambda"),
        (layer("keras.layers", "TFSMLayer", filepath="/"), "TFSMLayer"),
        (layer("os", "function") | {"config": "system"}, "os.function"),
        (layer("builtins", "function") | {"config": "exec"}, "function of its own"),
        (layer("keras.config", "enable_unsafe_deserialization"), "none of Keras's own"),
        (layer("mine", "Attention2"), "'bad' is of the class mine.Attention2"),
        (layer("keras.layers", "TextVectorization"), "could open files"),
    ],
)
def test_code_in_a_file_is_refused_before_keras_sees_it(
    tmp_path: Path, config: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.saving, "load_model", lambda *_, **__: pytest.fail("it was read"))
    path = changed(tmp_path / "bad.keras", config)
    with pytest.raises(DataError, match=why):
        translate(path, tmp_path / "o.onnx", describe({}))


def test_a_lambda_in_an_h5_and_weights_alone_are_refused(tmp_path: Path) -> None:
    config = {
        "class_name": "Sequential",
        "config": {"layers": [{"class_name": "Lambda", "config": {"name": "bad"}}]},
    }
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(config)
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.attrs["layer_names"] = ["a"]
    for name, why in (("bad.h5", "'bad' is a Lambda"), ("weights.h5", "weights only")):
        with pytest.raises(DataError, match=why):
            translate(tmp_path / name, tmp_path / "o.onnx", describe({}))


@pytest.mark.parametrize(
    ("layer", "takes_bytes"),
    [
        (layers.Rescaling(1 / 127.5, -1), True),
        (layers.Normalization(mean=[120.0] * 3, variance=[3600.0] * 3), True),
        (layers.Rescaling(2.0, -1.0), False),
        (layers.Normalization(mean=[0.5] * 3, variance=[0.08] * 3), False),
    ],
)
def test_a_network_that_rescales_numbers_of_0_to_1_is_not_taken_to_take_bytes(
    layer: Any, takes_bytes: bool, tmp_path: Path
) -> None:
    pictures = keras.Input((16, 16, 3))
    flow = layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(layer(pictures)))
    keras.Model(pictures, flow).save(tmp_path / "theirs.keras")
    about = describe({"labels": ["fox", "hare"]})
    if not takes_bytes:
        with pytest.raises(UsageError, match="scaling"):
            translate(tmp_path / "theirs.keras", tmp_path / "o.onnx", about)
        return
    translate(tmp_path / "theirs.keras", tmp_path / "o.onnx", about)
    assert ModelFile(tmp_path / "o.onnx", trial=None).card.labels == ("fox", "hare")
