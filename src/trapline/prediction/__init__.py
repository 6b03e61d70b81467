"""The streaming engine, its journal, and the predictions table.

All of it is imported when it is first used: a server that answers photos needs `frames` and `ranks` only,
which are numbers without tables.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trapline.prediction.detection import detect
    from trapline.prediction.engine import Progress, RunEstimate, estimate, predict, predict_to_file
    from trapline.prediction.explaining import Explained, explain
    from trapline.prediction.facts import ModelTree, PredictionFacts
    from trapline.prediction.inputs import as_catalog, read_list
    from trapline.prediction.pooling import pool_events
    from trapline.prediction.ranks import Ranks, add_ranks
    from trapline.prediction.summary import Summary, refuse_failures, summarise
    from trapline.prediction.table import Predictions

_HOMES = {
    "Estimate": "engine",
    "Explained": "explaining",
    "ModelTree": "facts",
    "PredictionFacts": "facts",
    "Predictions": "table",
    "Progress": "engine",
    "Ranks": "ranks",
    "Summary": "summary",
    "add_ranks": "ranks",
    "as_catalog": "inputs",
    "detect": "detection",
    "estimate": "engine",
    "explain": "explaining",
    "pool_events": "pooling",
    "predict": "engine",
    "predict_to_file": "engine",
    "read_list": "inputs",
    "refuse_failures": "summary",
    "summarise": "summary",
}

__all__ = [
    "Explained",
    "ModelTree",
    "PredictionFacts",
    "Predictions",
    "Progress",
    "Ranks",
    "RunEstimate",
    "Summary",
    "add_ranks",
    "as_catalog",
    "detect",
    "estimate",
    "explain",
    "pool_events",
    "predict",
    "predict_to_file",
    "read_list",
    "refuse_failures",
    "summarise",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'trapline.prediction' has no attribute '{name}'")
    return getattr(importlib.import_module(f"trapline.prediction.{_HOMES[name]}"), name)
