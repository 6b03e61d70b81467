"""The recipes that come with Trapline; each module registers its own."""

from trapline.recipes.named import fine_tuned, heads, published, sequences, taxa

__all__ = ["fine_tuned", "heads", "published", "sequences", "taxa"]
