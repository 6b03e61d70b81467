"""All that a package needs to bring Trapline a reader, writer, recipe, backbone or metric of its own.

Each kind has a decorator for a plain function; an entry point names the module, so that every command finds
it (docs/extending.md). These names stay where they are, whatever room they come from.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trapline.formats import Draft as Draft
    from trapline.formats import Job as Job
    from trapline.formats import Written as Written
    from trapline.formats import reader as reader
    from trapline.formats import writer as writer
    from trapline.images import Preprocessing as Preprocessing
    from trapline.metrics import Yielded as Yielded
    from trapline.metrics import evaluator as metric
    from trapline.models import Backbone as Backbone
    from trapline.models import Weights as Weights
    from trapline.models import backbone as backbone
    from trapline.recipes import DenseRecipe as DenseRecipe
    from trapline.recipes import EpochTreeRecipe as EpochTreeRecipe
    from trapline.recipes import HeadRecipe as HeadRecipe
    from trapline.recipes import NetworkRecipe as NetworkRecipe
    from trapline.recipes import Recipe as Recipe
    from trapline.recipes import TreeRecipe as TreeRecipe
    from trapline.recipes import register as recipe

_HOMES = {
    "Backbone": ("trapline.models.trainable", "Backbone"),
    "Draft": ("trapline.formats", "Draft"),
    "Job": ("trapline.formats", "Job"),
    "Preprocessing": ("trapline.images", "Preprocessing"),
    "DenseRecipe": ("trapline.recipes", "DenseRecipe"),
    "EpochTreeRecipe": ("trapline.recipes", "EpochTreeRecipe"),
    "HeadRecipe": ("trapline.recipes", "HeadRecipe"),
    "NetworkRecipe": ("trapline.recipes", "NetworkRecipe"),
    "TreeRecipe": ("trapline.recipes", "TreeRecipe"),
    "Recipe": ("trapline.recipes", "Recipe"),
    "Weights": ("trapline.models.weights", "Weights"),
    "Written": ("trapline.formats", "Written"),
    "Yielded": ("trapline.metrics", "Yielded"),
    "backbone": ("trapline.models.trainable", "backbone"),
    "metric": ("trapline.metrics", "evaluator"),
    "reader": ("trapline.formats", "reader"),
    "recipe": ("trapline.recipes", "register"),
    "writer": ("trapline.formats", "writer"),
}

__all__ = [
    "Backbone",
    "DenseRecipe",
    "Draft",
    "EpochTreeRecipe",
    "HeadRecipe",
    "Job",
    "NetworkRecipe",
    "Preprocessing",
    "Recipe",
    "TreeRecipe",
    "Weights",
    "Written",
    "Yielded",
    "backbone",
    "metric",
    "reader",
    "recipe",
    "writer",
]


def __getattr__(name: str) -> Any:
    """Imported when first used: a metric needs no tables, a recipe no readers."""
    if name not in _HOMES:
        raise AttributeError(f"module 'trapline.plugins' has no attribute '{name}'")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)
