"""Networks, backbones and their weights, recipes; the model file."""

from trapline.models.card import Calibration, Card, Interval
from trapline.models.file import ModelFile, Outputs
from trapline.models.recipe import Recipe
from trapline.models.recipes import RECIPES, change_recipe, recipe_names, resolve_recipe

__all__ = [
    "RECIPES",
    "Calibration",
    "Card",
    "Interval",
    "ModelFile",
    "Outputs",
    "Recipe",
    "change_recipe",
    "recipe_names",
    "resolve_recipe",
]
