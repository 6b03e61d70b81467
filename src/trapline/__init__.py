"""Trapline: from a card full of camera-trap photos to a species table one can defend.

Three nouns and the arrows between them: a `Catalog` of media, split by a splitter, trains a `ModelFile`,
which gives `Predictions`. Every arrow is a method of its noun and a function of `trapline.api`; those most
used are here too.

Each name is imported when it is first used, so that `import trapline` stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from trapline.api import (
        combine,
        compare,
        detect,
        evaluate,
        explore,
        export,
        predict,
        read,
        run,
        split,
        submit,
        train,
        tune,
        write,
    )
    from trapline.catalog import AtRandom, ByColumn, ByDate, ByEvent, ByLocation, BySeason, Catalog
    from trapline.errors import TraplineError
    from trapline.evaluation import Evaluation
    from trapline.models import ModelFile
    from trapline.prediction import Predictions

__all__ = [
    "AtRandom",
    "ByColumn",
    "ByDate",
    "ByEvent",
    "ByLocation",
    "BySeason",
    "Catalog",
    "Evaluation",
    "ModelFile",
    "Predictions",
    "TraplineError",
    "combine",
    "compare",
    "detect",
    "evaluate",
    "explore",
    "export",
    "predict",
    "read",
    "run",
    "split",
    "submit",
    "train",
    "tune",
    "write",
]

if not TYPE_CHECKING:  # a checker shall refuse a name that is none, as Python does
    _ROOMS = {
        "Evaluation": "evaluation",
        "ModelFile": "models",
        "Predictions": "prediction",
        "TraplineError": "errors",
    } | dict.fromkeys(
        ("AtRandom", "ByColumn", "ByDate", "ByEvent", "ByLocation", "BySeason", "Catalog"), "catalog"
    )

    def __getattr__(name):
        if name not in __all__:
            import difflib

            near = difflib.get_close_matches(name, __all__, 1)
            hint = f". Did you mean '{near[0]}'?" if near else "; its names are in trapline.__all__"
            raise AttributeError(f"module 'trapline' has no attribute '{name}'{hint}")
        import importlib

        return getattr(importlib.import_module(f"trapline.{_ROOMS.get(name, 'api')}"), name)

    def __dir__():
        return sorted([*__all__, "__version__"])
