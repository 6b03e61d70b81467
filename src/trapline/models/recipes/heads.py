"""Recipes that train a head on the features of a frozen backbone: seconds, and no PyTorch."""

from __future__ import annotations

from trapline.images import CropPolicy, Preprocessing
from trapline.models.recipe import MODEL_FILE, Choice, Head, Optimiser, Recipe
from trapline.models.recipes.registry import register

HEAD_SEARCH = {
    "optimiser.weight_decay": Choice(choices=(1e-4, 1e-3, 1e-2, 1e-1)),
    "head.hidden": Choice(choices=((), (128,))),
}


@register
def head() -> Recipe:
    """A linear head on the backbone that Trapline ships; needs the base install only."""
    return Recipe(
        name="head",
        backbone=f"{MODEL_FILE}trapline-lite0",
        how="frozen",
        preprocessing=Preprocessing(height=224, width=224, fit="squash", crop=CropPolicy()),
        head=Head(pooling="avg", dropout=0.0),
        optimiser=Optimiser(name="adamw", lr=1e-2, weight_decay=1e-2),
        epochs=100,
        batch_size=128,
        search=HEAD_SEARCH,
    )


@register
def lite0_frozen() -> Recipe:
    """A linear head on EfficientNet-Lite0 at full precision, exported once and run by ONNX Runtime."""
    return head().model_copy(
        update={"name": "lite0-frozen", "backbone": "efficientnet-lite0", "weights": "pretrained"}
    )
