"""The learners: each fits the models of one kind of recipe, behind `trapline.training.contract`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from trapline.catalog import Catalog
from trapline.errors import UsageError
from trapline.recipes import DenseRecipe, EpochTreeRecipe, HeadRecipe, NetworkRecipe, Recipe, TreeRecipe
from trapline.taxonomy import Taxonomy
from trapline.training.contract import Learner, StepReport
from trapline.training.devices import DevicesLike
from trapline.training.learners.dense import DenseLearner
from trapline.training.learners.linear import LinearLearner
from trapline.training.learners.network import NetworkLearner
from trapline.training.learners.seen import FrozenLearner, FrozenRecipe, looked_through, looks_of
from trapline.training.learners.tree import TreeLearner
from trapline.training.selection import select_media
from trapline.training.taxa_media import select_taxa

MakeLearner = Callable[[Path | None, StepReport | None], Learner[Any]]
"""From the cache's folder (None for the user's) and a report to a learner, its photos prepared."""

_OF_LABELS: dict[type[Recipe], Callable[..., Learner[Any]]] = {
    HeadRecipe: LinearLearner,
    DenseRecipe: DenseLearner,
}


def choose_learner(
    recipe: Recipe,
    catalog: Catalog,
    taxonomy: Taxonomy | None,
    *,
    needs_split: bool,
    devices: DevicesLike = None,
    compiled: bool = False,
) -> MakeLearner:
    """Look at what can be wrong with labels and parts, before any photo is read.

    Args:
        recipe: of any kind.
        catalog: with labels.
        taxonomy: what the labels are, for recipes of taxa; others do not look at it.
        needs_split: see `select_media`.
        devices: on which a network is trained.
        compiled: whether it is compiled before.

    Raises:
        UsageError: the recipe needs a taxonomy, and there is none; or it trains no network, and there are
            devices for one, or it is to be compiled.
        DataError: whatever is wrong with the media; see `select_media` and `select_taxa`.
    """
    idle = " and ".join(["--devices"] * (devices is not None) + ["--compile"] * compiled)
    if idle and not isinstance(recipe, NetworkRecipe):
        raise UsageError(
            f"The recipe '{recipe.name}' trains {recipe.trains}, on the processor: leave {idle} out. "
            "It is for recipes that train a network."
        )
    if isinstance(recipe, TreeRecipe | EpochTreeRecipe):
        if taxonomy is None:
            raise UsageError(
                f"The recipe '{recipe.name}' needs to know what the labels are: give a taxonomy (--taxonomy "
                "FILE.csv, or the folder of nested taxa; see docs/taxonomy.md)."
            )
        media = select_taxa(catalog, recipe, taxonomy, needs_split=needs_split)
        return partial(TreeLearner, recipe, taxonomy, media)
    selected = select_media(catalog, recipe, needs_split=needs_split)
    if isinstance(recipe, NetworkRecipe):
        return partial(NetworkLearner, recipe, selected, devices=devices, compiled=compiled)
    return partial(_OF_LABELS[type(recipe)], recipe, selected)


__all__ = [
    "DenseLearner",
    "FrozenLearner",
    "FrozenRecipe",
    "LinearLearner",
    "MakeLearner",
    "NetworkLearner",
    "TreeLearner",
    "choose_learner",
    "looked_through",
    "looks_of",
]
