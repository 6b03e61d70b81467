"""The two published Conser-vision pipelines as recipes: T's small CNN and C's ResNet-50."""

from __future__ import annotations

from trapline.images import Preprocessing
from trapline.recipes.recipe import NetworkRecipe
from trapline.recipes.registry import register
from trapline.recipes.sections import Choice, Head, NetworkOptimiser, Sample

SMALL_CNN_SEARCH = {
    "optimiser.lr": Choice(choices=(1e-3, 5e-4, 1e-4, 1e-5)),
    "head.dropout": Choice(choices=(0.2, 0.3, 0.5)),
    "batch_size": Choice(choices=(8, 16, 32, 64, 128)),
    "backbone, head.batch_norm": Choice(choices=(("small-cnn", False), ("small-cnn-bn", True))),
}
"""The search space of the Taï species model: rate, dropout, batch, batch norm off or on everywhere."""


@register
def small_cnn() -> NetworkRecipe:
    """The Taï species model as it was served: a small CNN from scratch on 150-pixel frames, dropout 0.5."""
    return NetworkRecipe(
        name="small-cnn",
        backbone="small-cnn",
        how="scratch",
        preprocessing=Preprocessing(
            height=150, width=150, fit="squash", interpolation="bilinear", decoding="quick"
        ),
        head=Head(pooling="flatten", hidden=(64, 32), dropout=0.5),
        optimiser=NetworkOptimiser(name="adam", lr=1e-4),
        epochs=150,
        batch_size=32,
        search=SMALL_CNN_SEARCH,
    )


@register
def small_cnn_batch_norm() -> NetworkRecipe:
    """The same with batch normalisation after every convolution and hidden layer."""
    plain = small_cnn()
    head = plain.head.model_copy(update={"batch_norm": True})
    return plain.model_copy(update={"name": "small-cnn-bn", "backbone": "small-cnn-bn", "head": head})


@register
def conser_vision_resnet50() -> NetworkRecipe:
    """The Conser-vision benchmark: ResNet-50, everything trained, one epoch of SGD on half of the photos.

    They are the notebook's own half: the draw is pandas's with its seed.
    """
    return NetworkRecipe(
        name="conser-vision-resnet50",
        backbone="resnet50",
        weights="pretrained",
        how="whole",
        preprocessing=Preprocessing(
            height=224, width=224, fit="squash", interpolation="bilinear", decoding="quick"
        ),
        head=Head(pooling="avg", hidden=(100,), dropout=0.1, input_dropout=0.0),
        optimiser=NetworkOptimiser(name="sgd", lr=1e-3, momentum=0.9),
        epochs=1,
        batch_size=32,
        sample=Sample(share=0.5, seed=1),
    )
