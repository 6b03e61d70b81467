"""The recipes that come with Trapline; each module registers its own."""

from trapline.recipes.named import fine_tuned, heads, published, sequences, taxa
from trapline.recipes.named.fine_tuned import timm_recipe

__all__ = ["fine_tuned", "heads", "published", "sequences", "taxa", "timm_recipe"]
