"""Recipes for bursts whose events are labelled: the published Serengeti benchmark, and ours."""

from __future__ import annotations

from trapline.images import Preprocessing
from trapline.recipes.recipe import DenseRecipe, HeadRecipe
from trapline.recipes.registry import register
from trapline.recipes.sections import Choice, HiddenHead, LayerOptimiser, LinearHead


@register
def serengeti_benchmark() -> DenseRecipe:
    """The published Hakuna Ma-data benchmark: a softmax on a frozen, max-pooled backbone, the first frame.

    90 % of the blank events are left out and nothing puts the prior back. NASNetMobile in the original; any
    backbone is the same recipe.
    """
    return DenseRecipe(
        name="serengeti-benchmark",
        task="multi-label",
        backbone="efficientnet-lite0",
        weights="pretrained",
        preprocessing=Preprocessing(
            height=224, width=224, fit="squash", interpolation="bilinear", decoding="quick"
        ),
        head=HiddenHead(pooling="max", hidden=(256,), dropout=0.2),
        optimiser=LayerOptimiser(name="adam", lr=1e-3),
        epochs=10_000,
        steps=100,
        batch_size=128,
        exclusive=True,
        learn_from="event",
        frames="first",
        keep_blanks=0.1,
        correct_prior=False,
        calibration="none",
    )


@register
def sequences() -> HeadRecipe:
    """One answer an event: a linear head on mean, spread and maximum of its frames' embeddings.

    Each frame is seen as it is and less the median of its event. Sigmoids, natural priors, a width that
    undoes the squash to a square; seasons are kept apart.
    """
    return HeadRecipe(
        name="sequences",
        task="multi-label",
        backbone="efficientnet-lite0",
        weights="pretrained",
        preprocessing=Preprocessing(height=224, width=304, fit="squash", decoding="quick"),
        head=LinearHead(pooling="avgmax"),
        learn_from="event",
        event_statistics=("mean", "std", "max"),
        background_view=True,
        fit="all",
        fold_by="season",
        search={
            "event_statistics": Choice(choices=(("mean",), ("mean", "std"), ("mean", "std", "max"))),
            "background_view": Choice(choices=(False, True)),
            "balance": Choice(choices=("none", "class-weights")),
        },
    )


@register
def sequences_frames() -> HeadRecipe:
    """A frame at a time, each taught the labels of its event; the pooling that did best on other seasons."""
    whole = sequences()
    of_frames = {"name": "sequences-frames", "event_statistics": (), "background_view": False, "search": {}}
    return whole.model_copy(update=of_frames)
