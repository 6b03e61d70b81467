"""The named recipes and how a name, a file and flags become one recipe."""

from trapline.models.recipes.registry import RECIPES, change_recipe, recipe_names, resolve_recipe

__all__ = ["RECIPES", "change_recipe", "recipe_names", "resolve_recipe"]
