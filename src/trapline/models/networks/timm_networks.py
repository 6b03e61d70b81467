"""Backbones that timm builds."""

from __future__ import annotations

from typing import Any

from trapline.errors import UsageError, require
from trapline.models.trainable import Backbone
from trapline.recipes import NetworkRecipe, Recipe


def timm_backbone(recipe: Recipe, name: str) -> Backbone:
    """A timm network without its classifier; it pools itself where the recipe asks for the average.

    Args:
        recipe: backbone, input size, pooling and `drop_path` are used.
        name: timm's.

    Raises:
        UsageError: timm has no such network, or it does not take this size.
    """
    timm = require("timm", "train", f"The backbone {recipe.backbone}")
    options: dict[str, Any] = {"num_classes": 0}
    if recipe.head.pooling != "avg":
        options["global_pool"] = ""
    if isinstance(recipe, NetworkRecipe) and recipe.drop_path:
        options["drop_path_rate"] = recipe.drop_path
    size = (recipe.preprocessing.height, recipe.preprocessing.width)
    try:
        config = timm.models.get_pretrained_cfg(name)
        if config is not None and config.fixed_input_size and tuple(config.input_size[1:]) != size:
            options["img_size"] = size
        module = timm.create_model(name, pretrained=False, **options)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise UsageError(f"timm cannot make '{name}' for {size[0]} × {size[1]} pixels: {error}") from error
    return Backbone(module, module.pretrained_cfg["mean"], module.pretrained_cfg["std"])
