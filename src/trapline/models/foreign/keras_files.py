"""A model of Keras, `.keras` or `.h5`, read by Keras 3 on PyTorch; nothing in it is executed.

Keras looks names of a file up in its own modules and in those that the file names, and files made to hurt
have found a way there more than once (CVE-2025-1550, -8747, -9905, -9906). So what a file names is looked at
before Keras sees it: layers, initializers and operations of Keras itself, none that hold code or open files.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import torch
from torch import nn

from trapline.errors import HDF5, DataError, UsageError, kind_of, name_some
from trapline.models.foreign.description import Description, Translated, describe
from trapline.models.foreign.keras_2 import as_keras_3
from trapline.models.networks import export_module

_MOST_CONFIG = 64 * 2**20
_MOST_BYTES = 16 * 2**30
_WITH_CODE = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
_WITH_FILES = ("StringLookup", "IntegerLookup", "TextVectorization", "Hashing", "FeatureSpace")
_MARKS = (
    "Functional", "Sequential", "Model", "DTypePolicy", "DTypePolicyMap", "Policy", "__tuple__", "__tensor__",
    "__keras_tensor__", "__numpy__", "__ellipsis__", "slice", "TensorShape",
)  # fmt: skip
_SHAPING = ("InputLayer", "Resizing", "CenterCrop", "ZeroPadding2D")
_RESCALING = ("Rescaling", "Normalization")
_NEAR = 20.0
"""Of the scale of a network's numbers: a deviation of twelve pixel values makes 20 of 255."""


def load(path: Path, about: Description) -> Translated:
    """The model as ONNX.

    Raises:
        DataError: it holds code, classes that are not Keras's, only weights, or takes no pictures.
    """
    is_h5 = kind_of(path) == HDF5
    config = _config_of_h5(path) if is_h5 else _config_of_zip(path)
    renewed = as_keras_3(config)
    for owner, problem in _problems(renewed):
        raise DataError(f"{path} is not read: its {owner} {problem}.")
    model = _load_model(path, ".h5" if is_h5 else ".keras", config, renewed)
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise DataError(
            f"{path} is no classifier of pictures: its input is {shape}, and not [batch, height, width, 3]."
        )
    height, width = shape[1] or about.height, shape[2] or about.width
    if height is None or width is None:
        raise UsageError(f"{path} takes pictures of any size. Say which it was trained with: --size 224.")
    graph = export_module(_Plain(model), torch.zeros(2, height, width, shape[3] or 3), ["answers"])
    known: dict[str, Any] = {"layout": "NHWC"}
    first = _first_layer(model)
    if first is None or not _takes_bytes(first, shape[3] or 3):
        return Translated(graph, describe(known))
    note = f"it begins with {type(first).__name__}, so it takes pixels as they are, 0 to 255 (--scaling)"
    return Translated(graph, describe(known | {"scaling": "0-255"}), () if about.is_scaled else (note,))


class _Plain(nn.Module):
    """A model of Keras, as it is after training."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: torch.Tensor) -> Any:
        """float [N, H, W, 3] -> its answers."""
        return self.model(pictures, training=False)


def _config_of_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        if sum(part.file_size for part in archive.infolist()) > _MOST_BYTES:
            raise DataError(f"{path} unpacks to more than {_MOST_BYTES >> 30} GB. It is not used.")
        if archive.getinfo("config.json").file_size > _MOST_CONFIG:
            raise DataError(
                f"What {path} says of its layers is longer than {_MOST_CONFIG >> 20} MB. It is not used."
            )
        return json.loads(archive.read("config.json"))


def _config_of_h5(path: Path) -> Any:
    with h5py.File(path, "r") as file:
        config = file.attrs.get("model_config")
    if config is None:
        raise DataError(
            f"{path} holds weights only, or no model of Keras. Save the whole model where it was made: "
            "model.save('model.keras')."
        )
    return json.loads(config)


def _problems(config: Any, owner: str = "model") -> Iterator[tuple[str, str]]:
    """What in a configuration is not to be made: the layer, and why not."""
    if isinstance(config, list):
        for part in config:
            yield from _problems(part, owner)
    if not isinstance(config, dict):
        return
    if isinstance(config.get("class_name"), str):
        inner = config.get("config")
        if isinstance(inner, dict) and isinstance(inner.get("name"), str):
            owner = f"layer '{inner['name'][:60]}'"
        if (problem := _problem(config)) is not None:
            yield owner, problem
            return
    for key, part in config.items():
        if key != "compile_config":  # of training, and never made
            yield from _problems(part, owner)


def _problem(config: dict[str, Any]) -> str | None:
    name, module = config["class_name"], config.get("module")
    if name in _WITH_CODE:
        return (
            f"is a {name}, which holds code. Make the model again with Keras's own layers instead, such as "
            "Rescaling, "
            "or export it to ONNX where it was made"
        )
    if name in _WITH_FILES:
        return f"is a {name}, which a model of pictures does not need and could open files"
    if module not in (None, "builtins") and str(module).partition(".")[0] != "keras":
        return f"is of the class {module}.{name}, and only Keras's own are made: export it to ONNX where "
        "it was made"
    if name == "function":
        return (
            None if hasattr(keras.activations, str(config.get("config"))) else "calls a function of its own"
        )
    if name in _MARKS or any(hasattr(room, name) for room in _rooms()):
        return None
    if str(module).startswith(("keras.src.ops.", "keras.ops")) and hasattr(keras.src.ops, name):
        return None
    if str(module).startswith("keras.src.ops.") and name.isidentifier():
        return None if _is_operation(str(module), name) else f"is a {name}, which is no operation of Keras"
    if name in ("TFOpLambda", "SlicingOpLambda"):
        return (
            "is an operation of TensorFlow, which Keras 2 wrote so. Save the model as a SavedModel where "
            "it was made, "
            "and import that"
        )
    return f"is a {name}, which is none of Keras's own: export it to ONNX where it was made"


def _rooms() -> tuple[Any, ...]:
    return keras.layers, keras.initializers, keras.regularizers, keras.constraints


def _is_operation(module: str, name: str) -> bool:
    import sys

    made = getattr(sys.modules.get(module), name, None)
    return isinstance(made, type) and issubclass(made, keras.Operation)


def _load_model(path: Path, suffix: str, config: Any, renewed: Any) -> Any:
    """The model, by the reader that its suffix asks for, with its configuration renewed."""
    with tempfile.TemporaryDirectory(prefix="trapline-keras-") as folder:
        file = path
        if renewed != config or path.suffix.lower() != suffix:
            file = Path(folder) / f"model{suffix}"
            (_copy_h5 if suffix == ".h5" else _copy_zip)(path, file, json.dumps(renewed))
        try:
            return keras.saving.load_model(file, compile=False, safe_mode=True)
        except Exception as error:  # Keras raises many kinds
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            why = name_some(lines, 2, between=" ")[:1000]
            raise DataError(f"{path} cannot be read by Keras {keras.__version__}: {why}") from error


def _copy_h5(path: Path, copy: Path, config: str) -> None:
    shutil.copy(path, copy)
    with h5py.File(copy, "r+") as opened:
        opened.attrs["model_config"] = config


def _copy_zip(path: Path, copy: Path, config: str) -> None:
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(copy, "w") as after:
        for part in before.infolist():
            if part.filename == "config.json":
                after.writestr(part.filename, config)
            else:
                with before.open(part) as source, after.open(part.filename, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)


def _takes_bytes(layer: Any, channels: int) -> bool:
    """Whether it is there to bring pixels of 0 to 255 near 1; one that is fed with 0 to 1 is not."""
    if type(layer).__name__ not in _RESCALING:
        return False
    darkest_and_lightest = torch.tensor([0.0, 255.0]).reshape(2, 1, 1, 1).expand(2, 1, 1, channels)
    return float(layer(darkest_and_lightest).abs().max()) <= _NEAR


def _first_layer(model: Any) -> Any:
    """The first layer that changes numbers, also where a model stands in the model; None if there is none."""
    for layer in getattr(model, "layers", ()):
        kind = type(layer).__name__
        if getattr(layer, "layers", None):
            if (inside := _first_layer(layer)) is not None:
                return inside
        elif kind not in _SHAPING and not kind.startswith("Random"):
            return layer
    return None
