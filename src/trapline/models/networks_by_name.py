"""The backbones of Trapline that PyTorch trains; imported when the first of them is asked for by name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from trapline.models.trainable import Backbone, backbone
from trapline.models.weights import TIMM_NAMES, lite_weights, online_weights

if TYPE_CHECKING:
    from trapline.recipes import Recipe


@backbone("small-cnn")
def small_cnn(recipe: Recipe) -> Backbone:
    """The Taï species model; it takes pixels from 0 to 1."""
    from trapline.models.networks import SmallCnn

    return Backbone(SmallCnn(batch_norm=recipe.backbone.endswith("-bn")), (0.0,) * 3, (1.0,) * 3)


backbone("small-cnn-bn")(small_cnn)


def _of_timm(recipe: Recipe) -> Backbone:
    from trapline.models.networks import timm_backbone

    return timm_backbone(recipe, TIMM_NAMES[recipe.backbone])


for _name in TIMM_NAMES:
    _weights = lite_weights if _name.startswith("efficientnet-lite") else online_weights
    backbone(_name, pretrained=partial(_weights, _name))(_of_timm)
