"""The named recipes: a plain function each, found by the recipe's own name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from trapline.errors import UsageError
from trapline.options import check_positional
from trapline.recipes.recipe import Recipe
from trapline.registry import Registry

F = TypeVar("F", bound=Callable[[], Recipe])

RECIPES: Registry[Callable[[], Recipe]] = Registry(
    "recipe", "trapline.recipes", home="trapline.recipes.named", besides="timm/<any name of timm>"
)
"""Recipe name -> the function that makes it. `timm/<name>` is resolved besides."""


def register(function: F) -> F:
    """Make a function that returns a recipe findable by the recipe's own name.

    Raises:
        UsageError: the name is taken, or the function gives no recipe.
    """
    what = f"recipe of the function {function.__name__}"
    check_positional(function, what)
    recipe = function()
    if not isinstance(recipe, Recipe):
        raise UsageError(f"The {what} is a {type(recipe).__name__}; expected is a Recipe.")
    RECIPES.add(recipe.name, function, function)
    return function


def recipe_names() -> list[str]:
    """The names of all registered recipes, sorted."""
    return sorted(RECIPES)
