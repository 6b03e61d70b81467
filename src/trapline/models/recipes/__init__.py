"""The named recipes and how a name, a file and flags become one recipe."""

from trapline.models.recipes.registry import RECIPES, recipe_names, resolve_recipe

__all__ = ["RECIPES", "recipe_names", "resolve_recipe"]
