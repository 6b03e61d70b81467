"""Recipes that train a head on the features of a frozen backbone: seconds, and no PyTorch."""

from __future__ import annotations

from typing import Any

from trapline.images import CropPolicy, Preprocessing
from trapline.recipes.recipe import MODEL_FILE, HeadRecipe
from trapline.recipes.registry import register
from trapline.recipes.sections import Choice, Views

HEAD_SEARCH = {
    "preprocessing.crop.context": Choice(choices=(1.0, 1.2, 1.5)),
    "augmentation.horizontal_flip": Choice(choices=(0.0, 0.5)),
    "augmentation.full_frame": Choice(choices=(0.0, 0.3)),
}


HEAD: dict[str, Any] = {
    "backbone": f"{MODEL_FILE}lite0",
    "preprocessing": Preprocessing(
        height=224, width=224, fit="squash", crop=CropPolicy(context=1.1), decoding="quick"
    ),
    "augmentation": Views(horizontal_flip=0.5),
    "search": HEAD_SEARCH,
}
"""What linear heads on the shipped backbone share, also those of taxa."""


@register
def head() -> HeadRecipe:
    """A linear head on the backbone that Trapline ships; needs the base install only.

    Its strength of regularisation is chosen by location folds (a weight decay of 0 asks for that).
    """
    return HeadRecipe(name="head", **HEAD)


@register
def lite0_frozen() -> HeadRecipe:
    """A linear head on EfficientNet-Lite0 at full precision, exported once and run by ONNX Runtime."""
    exported = {"backbone": "efficientnet-lite0", "weights": "pretrained"}
    return HeadRecipe(name="lite0-frozen", **(HEAD | exported))
