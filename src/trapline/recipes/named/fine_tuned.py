"""Recipes that start from pretrained networks and train all of them."""

from __future__ import annotations

import difflib

from trapline.errors import UsageError, require
from trapline.images import CropPolicy, Preprocessing
from trapline.recipes.recipe import TIMM, NetworkRecipe
from trapline.recipes.registry import register
from trapline.recipes.sections import Augmentation, Head, Loss, NetworkOptimiser, OneCycle, Range

CAMERA_TRAP = Augmentation(
    horizontal_flip=0.5,
    crop_scale=0.8,
    crop_ratio=1.2,
    rotate=8,
    context=(1.0, 2.0),
    box_shift=0.1,
    full_frame=0.15,
    brightness=0.35,
    contrast=0.35,
    gamma=0.35,
    noise=0.03,
    blur=0.05,
    coarse=0.15,
    mixup=0.2,
)
"""What differs between two visits of one animal to one camera: side, distance, light, sensor."""

FINE_TUNING_SEARCH = {
    "optimiser.lr": Range(low=1e-4, high=1e-2, log=True),
    "optimiser.backbone_lr_factor": Range(low=0.03, high=1.0, log=True),
    "head.dropout": Range(low=0.0, high=0.5),
    "loss.label_smoothing": Range(low=0.0, high=0.2),
}


def fine_tuned(name: str, backbone: str, side: int, frozen_stages: int = 0) -> NetworkRecipe:
    """All of a pretrained network at discriminative rates, on crops to the boxes where there are any.

    Batch-norm statistics stay those of the pretraining: few photos of few cameras give worse ones.
    """
    return NetworkRecipe(
        name=name,
        backbone=backbone,
        weights="pretrained",
        how="whole",
        frozen_stages=frozen_stages,
        freeze_batch_norm=True,
        preprocessing=Preprocessing(
            height=side, width=side, fit="squash", crop=CropPolicy(context=1.4), decoding="quick"
        ),
        flip_average=True,
        head=Head(pooling="avg", dropout=0.3),
        optimiser=NetworkOptimiser(lr=2e-3, weight_decay=0.02, backbone_lr_factor=0.25, clip=5.0),
        schedule=OneCycle(start_factor=0.1, final_factor=0.001),
        epochs=10,
        batch_size=32,
        loss=Loss(label_smoothing=0.1),
        augmentation=CAMERA_TRAP,
        ema=0.98,
        search=FINE_TUNING_SEARCH,
    )


@register
def efficientnet_lite0() -> NetworkRecipe:
    """EfficientNet-Lite0, fine-tuned; its weights come with the extra `train`, no network needed."""
    return fine_tuned("efficientnet-lite0", "efficientnet-lite0", 224, frozen_stages=4)


@register
def efficientnet_lite1() -> NetworkRecipe:
    """EfficientNet-Lite1, fine-tuned."""
    return fine_tuned("efficientnet-lite1", "efficientnet-lite1", 240, frozen_stages=4)


@register
def efficientnet_lite2() -> NetworkRecipe:
    """EfficientNet-Lite2, fine-tuned."""
    return fine_tuned("efficientnet-lite2", "efficientnet-lite2", 260, frozen_stages=4)


def timm_recipe(name: str) -> NetworkRecipe:
    """Any network of timm, fine-tuned at its own input size.

    Raises:
        UsageError: timm has no such network; the nearest names are told.
    """
    timm = require("timm", "train", f"The recipe timm/{name}")
    from timm.models import get_pretrained_cfg, is_model

    if not is_model(name.split(".")[0]):
        near = difflib.get_close_matches(name, timm.list_models(), n=5)
        hint = f" Similar: {', '.join(near)}." if near else ""
        raise UsageError(f"timm has no network named '{name}'.{hint}")
    config = get_pretrained_cfg(name)
    side = config.input_size[1] if config is not None else 224
    recipe = fine_tuned(f"{TIMM}{name}", f"{TIMM}{name}", side)
    return recipe.model_copy(update={"freeze_batch_norm": _normalises_batches(name)})


def _normalises_batches(name: str) -> bool:
    """Whether a network of timm has batch normalisation; found without making its weights."""
    import timm
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    with torch.device("meta"):
        network = timm.create_model(name, pretrained=False)
    return any(isinstance(layer, _BatchNorm) for layer in network.modules())
