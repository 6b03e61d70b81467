"""Recipes that train a head on the features of a frozen backbone: seconds, and no PyTorch."""

from __future__ import annotations

from trapline.images import CropPolicy, Preprocessing
from trapline.models.recipe import MODEL_FILE, Augmentation, Choice, Head, Optimiser, Recipe
from trapline.models.recipes.registry import register

HEAD_SEARCH = {
    "preprocessing.crop.context": Choice(choices=(1.0, 1.2, 1.5)),
    "augmentation.horizontal_flip": Choice(choices=(0.0, 0.5)),
    "augmentation.full_frame": Choice(choices=(0.0, 0.3)),
}


@register
def head() -> Recipe:
    """A linear head on the backbone that Trapline ships; needs the base install only.

    Its strength of regularisation is chosen by location folds (a weight decay of 0 asks for that).
    """
    return Recipe(
        name="head",
        backbone=f"{MODEL_FILE}lite0",
        how="frozen",
        preprocessing=Preprocessing(height=224, width=224, fit="squash", crop=CropPolicy(context=1.1)),
        head=Head(pooling="avg", dropout=0.0),
        optimiser=Optimiser(weight_decay=0.0),
        augmentation=Augmentation(horizontal_flip=0.5),
        search=HEAD_SEARCH,
    )


@register
def lite0_frozen() -> Recipe:
    """A linear head on EfficientNet-Lite0 at full precision, exported once and run by ONNX Runtime."""
    return head().model_copy(
        update={"name": "lite0-frozen", "backbone": "efficientnet-lite0", "weights": "pretrained"}
    )
