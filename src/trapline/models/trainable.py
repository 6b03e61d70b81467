"""The backbones that PyTorch trains, by name; none of them is made here, and nothing here needs PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trapline.options import check_positional
from trapline.recipes import BACKBONES as NAMED
from trapline.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from trapline.recipes import Recipe


@dataclass(frozen=True)
class Weights:
    """The origin of a backbone's weights.

    Attributes:
        name: for people ("efficientnet-lite0, ImageNet-1k").
        path: of the local file; None if there are none or they come over the network.
        in_order: the file holds timm's tensors in timm's order under other names.
        online: timm fetches them.
        fingerprint: SHA-256 of the local file; empty to have it computed.
        notices: licences that must travel with them.
    """

    name: str
    path: Path | None = None
    in_order: bool = False
    online: bool = False
    fingerprint: str = ""
    notices: tuple[str, ...] = ()


class Backbone(NamedTuple):
    """A backbone and the mean and deviation of the images it expects, a channel, on the scale 0..1.

    Attributes:
        module: float [N, 3, H, W], normalised -> a map [N, C, h, w], or [N, C] if it pools itself (then only
            recipes with `head.pooling` `avg` take it).
        mean: red, green and blue; zeros for a module that takes 0..1 as it is.
        std: likewise; ones.
    """

    module: nn.Module
    mean: Sequence[float]
    std: Sequence[float]


BackboneFunction = Callable[["Recipe"], Backbone]


@dataclass(frozen=True)
class Trainable:
    """One registered backbone.

    Attributes:
        name: what a recipe's `backbone` calls it.
        function: from the recipe to the backbone with random weights.
        pretrained: where the weights `pretrained` are; None if there are none.
    """

    name: str
    function: BackboneFunction
    pretrained: Callable[[], Weights] | None = None


BACKBONES: Registry[Trainable] = NAMED
"""Every backbone that PyTorch trains, by its name. `timm/<name>` is resolved besides."""


def backbone(
    name: str, *, pretrained: Callable[[], Weights] | None = None
) -> Callable[[BackboneFunction], BackboneFunction]:
    """Register a function of the recipe that makes a `Backbone`.

    It reads of the recipe what it needs: `preprocessing.height` and `width`, `head.pooling`, `drop_path`.
    What is asked for and has nothing to act on (`drop_path`, `freeze_batch_norm`) is refused then.
    PyTorch is imported inside it: the name is looked up where nothing is trained.

    Args:
        name: what a recipe's `backbone` calls it.
        pretrained: says where the weights are that a recipe's `weights: pretrained` means; a file of tensors
            whose names are the module's.

    Raises:
        UsageError: the name is taken, or the function is no function of a recipe.
    """

    def register(function: BackboneFunction) -> BackboneFunction:
        check_positional(function, f"backbone '{name}'", "recipe")
        if pretrained is not None:
            check_positional(pretrained, f"pretrained of the backbone '{name}'")
        BACKBONES.add(name, Trainable(name, function, pretrained), function)
        return function

    return register
