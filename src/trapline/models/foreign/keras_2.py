"""What Keras 2 wrote of a model otherwise than Keras 3 reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LEFT_OVER = {
    "DepthwiseConv2D": ("groups",),
    "SeparableConv2D": ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint"),
}
"""What Keras 2 wrote of a layer, of the layer that it descends from, and did not use."""
_MODELS = ("Functional", "Sequential", "Model")


def as_keras_3(config: Any) -> Any:
    """A model's configuration as Keras 3 has it; one of Keras 3 stays as it is.

    Keras 2 wrote the one group of layers a channel, axes as lists, rooms and calls of models in models as its
    own; tf_keras, where it lives on, names itself.
    """
    if isinstance(config, list):
        return [as_keras_3(part) for part in config]
    if not isinstance(config, dict):
        return config
    made = {key: as_keras_3(part) for key, part in config.items()}
    if isinstance(made.get("class_name"), str):
        _renew_object(made)
    return made


def _renew_object(made: dict[str, Any]) -> None:
    name, inner, module = made["class_name"], made.get("config"), made.get("module")
    if isinstance(module, str) and module.partition(".")[0] == "tf_keras":
        made["module"] = module = module.removeprefix("tf_")
    if name in _MODELS and isinstance(module, str) and ".engine." in f"{module}.":
        room = "keras.src.models.functional" if name == "Functional" else "keras"
        made |= {"module": room, "registered_name": name if name == "Functional" else None}
    if not isinstance(inner, dict):
        return
    if name == "Policy":
        made |= {"module": "keras", "class_name": "DTypePolicy"}
    for left in _LEFT_OVER.get(name, ()):
        inner.pop(left, None)
    axis = inner.get("axis")
    if name == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        inner["axis"] = axis[0]
    if name in _MODELS and isinstance(inner.get("layers"), list):
        _count_calls(inner)


def _count_calls(model: dict[str, Any]) -> None:
    """The calls of models in a model counted from nought.

    Keras 2 counted one more, the call that had made them, where they begin with their input. Of the models
    that the outer one ends with, Keras 3 takes that off by itself, if they are no Sequential.
    """
    layers = [layer for layer in model["layers"] if isinstance(layer, dict)]
    own = {
        str(layer.get("name")): str(layer.get("class_name")) for layer in layers if _begins_with_input(layer)
    }
    for layer in layers:
        for call in _lists(layer.get("inbound_nodes")):
            for source in _lists(call):
                _count_one_less(source, own)
    ends = {name: kind for name, kind in own.items() if kind == "Sequential"}
    for end in _lists(model.get("output_layers")):
        _count_one_less(end, ends)
    for side in ("input_layers", "output_layers"):
        if len(one := _lists(model.get(side))) == 1:  # else its answers are a list
            model[side] = one[0]


def _begins_with_input(layer: Mapping[str, Any]) -> bool:
    if layer.get("class_name") not in _MODELS or not isinstance(layer.get("config"), dict):
        return False
    inside = layer["config"].get("layers")
    return bool(
        isinstance(inside, list)
        and inside
        and isinstance(inside[0], dict)
        and inside[0].get("class_name") == "InputLayer"
    )


def _lists(value: Any) -> list[list[Any]]:
    """Those of a list's parts that are lists: of Keras 3 calls are none."""
    return [part for part in value if isinstance(part, list)] if isinstance(value, list) else []


def _count_one_less(source: list[Any], own: Mapping[str, str]) -> None:
    if len(source) > 1 and source[0] in own and isinstance(source[1], int) and source[1] > 0:
        source[1] -= 1
