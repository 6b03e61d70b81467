"""Trapline: from a card full of camera-trap photos to a species table one can defend.

Every arrow of the data's way is one function: `read` → `split` → `train` → `predict` → `evaluate` → `submit`.
Each is imported when it is first used, so that `import trapline` stays quick.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Catalog": "trapline.catalog",
    "Combination": "trapline.ensemble",
    "Evaluation": "trapline.evaluation",
    "detect": "trapline.prediction",
    "embed": "trapline.training",
    "ModelFile": "trapline.models",
    "Predictions": "trapline.prediction",
    "Recipe": "trapline.recipes",
    "RegionalList": "trapline.ensemble",
    "Taxonomy": "trapline.taxonomy",
    "TraplineError": "trapline.errors",
    "Detector": "trapline.models",
    "add_ranks": "trapline.prediction",
    "build_package": "trapline.competitions.code_execution",
    "check_leaks": "trapline.catalog",
    "check_package": "trapline.competitions.code_execution",
    "check_submission": "trapline.competitions",
    "choose_box": "trapline.images",
    "combine": "trapline.ensemble",
    "compare": "trapline.evaluation",
    "crossval": "trapline.training",
    "download": "trapline.storage",
    "estimate": "trapline.prediction",
    "evaluate": "trapline.evaluation",
    "explore": "trapline.evaluation",
    "export_int8": "trapline.models",
    "join_boxes": "trapline.formats",
    "learn_combination": "trapline.ensemble",
    "location_folds": "trapline.catalog",
    "make_world": "trapline.synthetic",
    "near_duplicates": "trapline.images",
    "perceptual_hash": "trapline.images",
    "predict": "trapline.prediction",
    "prepare": "trapline.images",
    "read": "trapline.formats",
    "read_exif": "trapline.images",
    "read_region": "trapline.ensemble",
    "read_taxonomy": "trapline.taxonomy",
    "resolve_recipe": "trapline.recipes",
    "season_folds": "trapline.catalog",
    "split_catalog": "trapline.catalog",
    "summarise": "trapline.prediction",
    "survey": "trapline.evaluation",
    "train": "trapline.training",
    "tune": "trapline.training",
    "tuning_report": "trapline.reports",
    "weigh_by_region": "trapline.ensemble",
    "write": "trapline.formats",
    "write_submission": "trapline.competitions",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'trapline' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
