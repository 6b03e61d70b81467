"""From a recipe to a network with its weights."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from trapline.errors import UsageError
from trapline.models.networks.network import POOLINGS, Network
from trapline.models.networks.timm_networks import timm_backbone
from trapline.models.trainable import BACKBONES, Backbone, Weights
from trapline.models.weights import find_weights, load_weights
from trapline.recipes import MODEL_FILE, TIMM, Head, NetworkRecipe, Recipe


def build_network(recipe: Recipe, labels: int, *, load: bool = True) -> tuple[Network, Weights]:
    """The recipe's network, channels last, and the origin of its weights.

    Args:
        recipe: backbone, weights, head, pooling and input size are used.
        labels: how many logits.
        load: False leaves the weights random (they are about to be replaced by a checkpoint's).

    Raises:
        UsageError: the pooling does not fit the backbone, the backbone does not fit the input size, or it has
            nothing for `drop_path` or `freeze_batch_norm` to act on.
        DataError: the weights' file is missing or does not fit.
    """
    if recipe.backbone.startswith(MODEL_FILE):
        raise UsageError(f"The backbone {recipe.backbone} is an ONNX file; PyTorch cannot train it.")
    weights = find_weights(recipe.backbone, recipe.weights if load else "none")
    backbone = _make(recipe)
    _check_that_all_acts(recipe, backbone.module)
    load_weights(backbone.module, weights)
    pooling = POOLINGS[recipe.head.pooling]()
    features = _features(recipe, backbone.module, pooling)
    head = recipe.head if isinstance(recipe.head, Head) else Head()
    network = Network(backbone.module, pooling, features, head, labels, backbone.mean, backbone.std)
    return network.to(memory_format=torch.channels_last), weights


def _check_that_all_acts(recipe: Recipe, backbone: nn.Module) -> None:
    if not isinstance(recipe, NetworkRecipe):
        return
    if recipe.drop_path and not any(getattr(layer, "drop_prob", 0) for layer in backbone.modules()):
        raise UsageError(
            f"{recipe.backbone} has no residual blocks that drop_path could leave out: leave it at 0."
        )
    if recipe.freeze_batch_norm and not has_batch_norm(backbone):
        raise UsageError(f"{recipe.backbone} has no batch normalisation: leave freeze_batch_norm at false.")


def has_batch_norm(module: nn.Module) -> bool:
    """Whether a network keeps statistics that training could freeze."""
    return any(isinstance(layer, _BatchNorm) for layer in module.modules())


def _make(recipe: Recipe) -> Backbone:
    """The recipe's backbone with random weights."""
    if recipe.backbone.startswith(TIMM):
        return timm_backbone(recipe, recipe.backbone.removeprefix(TIMM))
    with BACKBONES.naming_guests(recipe.backbone):
        made = BACKBONES[recipe.backbone].function(recipe)
        if not isinstance(made, Backbone):
            raise TypeError(f"it gave a {type(made).__name__} and not a Backbone")
    return made


def _features(recipe: Recipe, backbone: nn.Module, pooling: nn.Module) -> int:
    """The size of the embedding, found by one black image."""
    height, width = recipe.preprocessing.height, recipe.preprocessing.width
    training = backbone.training
    backbone.eval()
    try:
        with torch.no_grad():
            maps = backbone(torch.zeros(1, 3, height, width))
            if maps.ndim != 4 and recipe.head.pooling != "avg":
                raise UsageError(
                    f"{recipe.backbone} gives no map of cells, so that head.pooling '{recipe.head.pooling}' "
                    "cannot pool it; use 'avg', which stands for the network's own pooling."
                )
            return int(pooling(maps).shape[1])
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"{recipe.backbone} does not take {height} × {width} pixels: {error}. "
            "Change preprocessing.height and preprocessing.width."
        ) from error
    finally:
        backbone.train(training)
