"""Recipes whose classes are taxa of a tree: flat, cascade and path on one frozen backbone, and the published
cascade on EfficientNet-B6."""

from __future__ import annotations

from trapline.images import Preprocessing
from trapline.recipes.named.heads import HEAD
from trapline.recipes.recipe import EpochTreeRecipe, TreeRecipe
from trapline.recipes.registry import register
from trapline.recipes.sections import EpochTaxa, ExactTaxa, Optimiser


@register
def taxa_flat() -> TreeRecipe:
    """One linear head over all classes of a taxonomy; a taxon's probability is the sum of those below it."""
    return TreeRecipe(name="taxa-flat", taxa=ExactTaxa(way="flat"), **HEAD)


@register
def taxa_cascade() -> TreeRecipe:
    """A linear head for each node of a taxonomy, each with its own regularisation and balanced weights.

    The natural prior of each node is put back, so that probabilities along a path can be multiplied.
    """
    return TreeRecipe(name="taxa-cascade", taxa=ExactTaxa(way="cascade"), balance="class-weights", **HEAD)


@register
def taxa_path() -> TreeRecipe:
    """A linear head for each node of a taxonomy, all fitted on the log loss of the path to each label."""
    return TreeRecipe(name="taxa-path", taxa=ExactTaxa(way="path"), **HEAD)


@register
def taxon_efficientnet_b6() -> EpochTreeRecipe:
    """The published taxonomic classifiers: a dense layer a node on EfficientNet-B6 at 528 pixels.

    Adam at 1e-3, batches of 32, balanced weights, 25 epochs over all media, the epoch of the best validation
    accuracy; probabilities stay as the balanced nets say them. The features are those of one pass, without
    augmentation, so that the 25 epochs cost one; the published drop-connect of 0.2 in the frozen network
    cannot act on them, and `drop_path` is refused. The weights (Keras's, as timm has them) come from the
    network.
    """
    return EpochTreeRecipe(
        name="taxon-efficientnet-b6",
        backbone="timm/tf_efficientnet_b6.aa_in1k",
        weights="pretrained",
        preprocessing=Preprocessing(
            height=528, width=528, fit="squash", interpolation="bilinear", decoding="quick"
        ),
        optimiser=Optimiser(name="adam", lr=1e-3),
        epochs=25,
        batch_size=32,
        balance="class-weights",
        correct_prior=False,
        selection="accuracy",
        calibration="none",
        taxa=EpochTaxa(way="cascade"),
    )
