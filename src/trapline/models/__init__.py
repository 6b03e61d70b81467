"""Networks, backbones and their weights, recipes; the model file."""

from trapline.models.card import Calibration, Card, EventPooling, Export, Interval, PoolingMethod
from trapline.models.detector import Detector, convert_detector
from trapline.models.file import ModelFile, Outputs
from trapline.models.int8 import Int8Export, export_int8
from trapline.models.recipe import Recipe
from trapline.models.recipes import RECIPES, change_recipe, recipe_names, resolve_recipe

__all__ = [
    "RECIPES",
    "Calibration",
    "Card",
    "Detector",
    "EventPooling",
    "Export",
    "Int8Export",
    "Interval",
    "ModelFile",
    "Outputs",
    "PoolingMethod",
    "Recipe",
    "change_recipe",
    "convert_detector",
    "export_int8",
    "recipe_names",
    "resolve_recipe",
]
