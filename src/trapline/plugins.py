"""All that a package needs to bring Trapline a reader, writer, recipe, backbone, metric or tool's answers.

Each kind has a decorator for a plain function; an entry point names the module, so that every command finds
it (docs/extending.md). These names stay where they are, whatever room they come from.
"""

import importlib

_ROOMS = {
    "formats": ("Draft", "Job", "ToolAnswers", "Written", "answer_reader", "reader", "writer"),
    "images": ("Preprocessing",),
    "metrics": ("Yielded", "metric"),
    "models": ("Backbone", "Weights", "backbone"),
    "recipes": (
        "DenseRecipe",
        "EpochTreeRecipe",
        "HeadRecipe",
        "NetworkRecipe",
        "Recipe",
        "TreeRecipe",
        "recipe",
    ),
    "tables": ("read_table", "reject_rows"),
}
_CALLED_THERE = {"metric": "evaluator", "recipe": "register"}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = sorted(_ROOM_OF)


def __getattr__(name):
    """Imported when first used: a metric needs no tables, a recipe no readers."""
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'trapline.plugins' has no attribute '{name}'")
    room = importlib.import_module(f"trapline.{_ROOM_OF[name]}")
    return getattr(room, _CALLED_THERE.get(name, name))
