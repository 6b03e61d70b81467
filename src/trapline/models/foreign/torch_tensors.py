"""A file of PyTorch's tensors by name, and the network of torchvision or timm that they are of."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torchvision import models

from trapline.errors import DataError, UsageError, name_some
from trapline.models.foreign.description import Description, Translated, describe, labels_of
from trapline.models.networks import export_module
from trapline.models.weights import read_checkpoint, tensors_of

State = dict[str, Tensor]

_LABEL_KEYS = ("classes", "class_names", "labels", "label_names", "class_to_idx", "idx_to_class")
_IGNORED = "num_batches_tracked"
_MOST_HIDDEN = 8


_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "leaky_relu": nn.LeakyReLU,
    "none": nn.Identity,
}


@dataclass(frozen=True)
class _Family:
    """A library of networks.

    Attributes:
        name: of the library.
        make: a network by its name, with so many classes; None for the library's own number.
        known: what it says of a network's pictures.
    """

    name: str
    make: Callable[[str, int | None], nn.Module]
    known: Callable[[str, nn.Module], tuple[dict[str, Any], tuple[str, ...]]]


def load(path: Path, about: Description) -> Translated:
    """The network `about.network` with these tensors, head included, as ONNX.

    Raises:
        DataError: they are not of that network.
        UsageError: no network is named, or none is called so.
    """
    checkpoint = read_checkpoint(path)
    state = tensors_of(checkpoint, path)
    named = about.network or checkpoint.get("arch")
    if not isinstance(named, str):
        raise UsageError(
            f"{path} holds tensors and not what is done with them. Say of which network of torchvision or "
            "timm they "
            "are: --network resnet50 (torchvision/resnet50 or timm/resnet50 where both have one)."
        )
    problems = []
    for family, name in _families(named):
        try:
            module, assumed = _fill(family, name, state, about, path)
        except DataError as error:
            problems.append(error)
            continue
        known, conventions = family.known(name, module)
        if (labels := _labels_in(checkpoint, path)) is not None:
            known["labels"] = labels
        size = (about.height or known["height"], about.width or known["width"])
        return Translated(
            export_module(module, torch.zeros(2, 3, *size), ["answers"]),
            describe(known | {"layout": "NCHW", "activation": about.activation or "softmax"}),
            (*assumed, *conventions, *_activation_notes(about)),
        )
    raise problems[0]


def _activation_notes(about: Description) -> tuple[str, ...]:
    if about.activation is not None:
        return ()
    return ("softmax makes its probabilities (--activation sigmoid where a photo may have several labels)",)


def _labels_in(checkpoint: Mapping[str, Any], path: Path) -> tuple[str, ...] | None:
    for key in _LABEL_KEYS:
        if isinstance(checkpoint.get(key), list | tuple | dict):
            with contextlib.suppress(DataError):
                return labels_of(checkpoint[key], str(path))
    return None


def _families(named: str) -> Iterator[tuple[_Family, str]]:
    """The libraries that have a network of this name."""
    family, _, name = named.rpartition("/")
    family = family.removesuffix(":")
    if family not in ("", "timm", "torchvision"):
        raise UsageError(f"--network is of torchvision/ or timm/; not '{named}'.")
    some = False
    if family != "timm" and name.lower() in models.list_models(module=models):
        some = True
        yield _Family("torchvision", _torchvision, _known_of_torchvision), name.lower()
    if family != "torchvision" and timm.is_model(name.partition(".")[0]):
        some = True
        yield _Family("timm", _timm, _known_of_timm), name
    if not some:
        raise UsageError(
            f"Neither torchvision nor timm has a network '{name}'."
            if not family
            else f"{family} has no network '{name}'."
        )


def _torchvision(name: str, classes: int | None) -> nn.Module:
    options: dict[str, Any] = {} if classes is None else {"num_classes": classes}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    made: nn.Module = models.get_model(name, weights=None, **options)
    return made


def _timm(name: str, classes: int | None) -> nn.Module:
    options: dict[str, Any] = {} if classes is None else {"num_classes": classes}
    made: nn.Module = timm.create_model(name, pretrained=False, **options)
    return made


def _known_of_torchvision(name: str, module: nn.Module) -> tuple[dict[str, Any], tuple[str, ...]]:
    side = 299 if name == "inception_v3" else 224
    return {"height": side, "width": side, "scaling": "imagenet"}, (
        f"torchvision's convention: {side} pixels, ImageNet's mean and deviation (--size, --scaling)",
    )


def _known_of_timm(name: str, module: nn.Module) -> tuple[dict[str, Any], tuple[str, ...]]:
    config: Any = module.pretrained_cfg
    _, height, width = config["input_size"]
    known = {
        "height": height,
        "width": width,
        "mean": tuple(config["mean"]),
        "std": tuple(config["std"]),
        "interpolation": config["interpolation"],
        "fit": "crop",
        "crop_fraction": config["crop_pct"],
    }
    shown = (
        f"timm's convention for {name}: {height} × {width} pixels, mean {known['mean']}, deviation "
        f"{known['std']}, the "
        f"centre's {config['crop_pct']:g}, {config['interpolation']} (--size, --mean, --std, --fit, "
        "--interpolation)"
    )
    return known, (shown,)


def _fill(
    family: _Family, name: str, state: State, about: Description, path: Path
) -> tuple[nn.Module, tuple[str, ...]]:
    """The network with the tensors in it, and what had to be taken for granted of its head.

    Raises:
        DataError: tensors are missing, of another shape, or left over.
    """
    plain = family.make(name, None)
    state, beside = _unwrap(state, plain)
    classifier = _classifier(plain)
    weight = state.get(f"{classifier}.weight")
    if weight is not None and weight.ndim == _ndim(plain, classifier):
        module = family.make(name, int(weight.shape[0]))
        if (problem := _load(module, state)) is None and not beside:
            _refuse_hidden(about)
            return module.eval(), ()
        plain_problem = problem or f"it holds {name_some(sorted(beside))} besides"
    else:
        plain_problem = f"it has no '{classifier}.weight'"
    for root in _parents(classifier):
        made = _with_own_head(plain, root, state, beside, about)
        if made is not None:
            return made
    raise DataError(f"The tensors in {path} are not those of {family.name}'s {name}: {plain_problem}.")


def _unwrap(state: State, network: nn.Module) -> tuple[State, State]:
    """The network's tensors without what they are wrapped in (`module.`, `model.`, `net.` …); and others."""
    own = [key for key in network.state_dict() if not key.endswith(_IGNORED)]
    prefixes: dict[str, int] = {}
    keys = list(state)
    for wanted in own[:: max(1, len(own) // 50)]:
        for key in keys:
            if key == wanted or key.endswith(f".{wanted}"):
                prefix = key.removesuffix(wanted)
                prefixes[prefix] = prefixes.get(prefix, 0) + 1
    if not prefixes:
        return state, {}
    prefix = max(prefixes, key=lambda one: (prefixes[one], -len(one)))
    inner = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return inner, {key: value for key, value in state.items() if not key.startswith(prefix)}


def _classifier(network: nn.Module) -> str:
    """The name of a network's last layer that has weights of two or more dimensions."""
    config = getattr(network, "pretrained_cfg", None)
    if config and isinstance(config.get("classifier"), str) and config["classifier"]:
        return str(config["classifier"])
    layers = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    layers = [name for name in layers if not name.startswith(("aux", "AuxLogits"))]
    return str(layers[-1])


def _ndim(network: nn.Module, layer: str) -> int:
    weight = network.get_submodule(layer).weight
    assert isinstance(weight, Tensor)
    return weight.ndim


def _parents(name: str) -> list[str]:
    """`classifier.6`, `classifier`."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(len(parts), 0, -1)]


def _load(module: nn.Module, state: State) -> str | None:
    """Put the tensors in; what is wrong with them, None if nothing is."""
    own = module.state_dict()
    missing = [key for key in own if key not in state and not key.endswith(_IGNORED)]
    if missing:
        return f"it lacks {name_some(missing, 3)}"
    left = [key for key in state if key not in own]
    if left:
        return f"it holds {name_some(left, 3)} besides"
    other = [key for key in own if key in state and own[key].shape != state[key].shape]
    if other:
        shapes = f"{list(state[other[0]].shape)} and not {list(own[other[0]].shape)}"
        return f"'{other[0]}' is {shapes}" + (f", and {len(other) - 1} more differ" if other[1:] else "")
    module.load_state_dict(state, strict=False)
    return None


def _with_own_head(
    network: nn.Module, root: str, state: State, beside: State, about: Description
) -> tuple[nn.Module, tuple[str, ...]] | None:
    """The network with a head of the file's own instead of the layers under `root`; None if it is not so."""
    own = network.state_dict()
    trunk = {key for key in own if not _under(key, root)}
    if any(key not in state and not key.endswith(_IGNORED) for key in trunk):
        return None
    rest = {key: value for key, value in state.items() if key not in trunk}
    inside = {key.removeprefix(root + "."): value for key, value in rest.items() if _under(key, root)}
    if inside and len(inside) == len(rest) and not beside:
        head, assumed = _head(inside, about)
    elif beside and not rest:
        head, assumed = _head(_without_common(beside), about)
    else:
        return None
    if head is None:
        return None
    parent, _, last = root.rpartition(".")
    setattr(network.get_submodule(parent), last, nn.Identity())
    if _load(network, {key: state[key] for key in trunk if key in state}) is not None:
        return None
    setattr(network.get_submodule(parent), last, nn.Sequential(nn.Flatten(1), head))
    return network.eval(), assumed


def _under(key: str, root: str) -> bool:
    return key.startswith(root + ".")


def _without_common(state: State) -> State:
    """Tensors without the beginning that all names share: `1.0.weight`, `1.3.weight` -> `0.weight` …"""
    keys = list(state)
    while all("." in key for key in keys) and len({key.partition(".")[0] for key in keys}) == 1:
        keys = [key.partition(".")[2] for key in keys]
    return dict(zip(keys, state.values(), strict=True))


def _head(state: State, about: Description) -> tuple[nn.Module | None, tuple[str, ...]]:
    """The layers that these tensors are of: dense ones, normalisations, and activations where some were.

    Between two dense layers an activation has stood if a number is missing there, as in a `Sequential` of
    Linear (0), ReLU (1), Dropout (2), Linear (3). Which, no file of tensors says.
    """
    groups: dict[str, State] = {}
    for key, value in state.items():
        name, _, kind = key.rpartition(".")
        groups.setdefault(name, {})[kind] = value
    layers: list[nn.Module] = []
    activation, gap, hidden = about.hidden_activation or "relu", False, 0
    before: int | None = None
    for name, tensors in _in_order(groups):
        layer = _layer(tensors)
        if layer is None:
            return None, ()
        number = int(re.sub(r".*\.", "", name)) if re.fullmatch(r"(.*\.)?\d+", name) else None
        gap = gap or before is None or number is None or number > before + 1
        dense = isinstance(layer, nn.Linear)
        if dense and any(isinstance(one, nn.Linear) for one in layers) and gap:
            layers.append(_ACTIVATIONS[activation]())
            hidden += 1
        if dense:
            gap = False
        layers.append(layer)
        before = number
    if not layers or not isinstance(layers[-1], nn.Linear) or hidden > _MOST_HIDDEN:
        return None, ()
    if not hidden:
        _refuse_hidden(about)
    is_known = about.hidden_activation is not None or not hidden
    return nn.Sequential(*layers), () if is_known else (
        "its head has ReLU between its dense layers (--hidden-activation gelu, silu, tanh, leaky_relu or "
        "none)",
    )


def _refuse_hidden(about: Description) -> None:
    if about.hidden_activation is not None:
        raise UsageError("Its head has no dense layers between which --hidden-activation could stand.")


def _in_order(groups: Mapping[str, State]) -> Sequence[tuple[str, State]]:
    """By number where all have one; else as the file has them."""
    if all(name.isdecimal() for name in groups):
        return sorted(groups.items(), key=lambda item: int(item[0]))
    return list(groups.items())


def _layer(tensors: State) -> nn.Module | None:
    """The layer of a weight, a bias, and a mean and variance where it has them, filled."""
    weight = tensors.get("weight")
    if weight is None:
        return None
    layer: nn.Module
    if "running_mean" in tensors:
        layer = nn.BatchNorm1d(len(weight))
    elif weight.ndim == 1:
        layer = nn.LayerNorm(len(weight))
    elif weight.ndim in (2, 4) and weight.shape[2:].numel() == 1:
        layer = nn.Linear(int(weight.shape[1]), int(weight.shape[0]), bias="bias" in tensors)
        tensors = tensors | {"weight": weight.flatten(1)}
    else:
        return None
    return layer if _load(layer, tensors) is None else None
