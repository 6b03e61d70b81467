"""The streaming engine, its journal, and the predictions table.

All of it is imported when it is first used: a server that answers photos needs `frames` and `ranks` only,
which are numbers without tables.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trapline.prediction.combining import Combination, combine, learn_combination
    from trapline.prediction.detection import detect
    from trapline.prediction.engine import Estimate, Progress, estimate, predict, predict_to_file
    from trapline.prediction.explaining import Explained, explain
    from trapline.prediction.inputs import as_catalog, read_list
    from trapline.prediction.pooling import pool_events
    from trapline.prediction.ranks import Ranks, add_ranks
    from trapline.prediction.region import RegionalList, read_region, weigh_by_region
    from trapline.prediction.submission import (
        Submission,
        SubmissionFormat,
        check_submission,
        read_format,
        write_submission,
    )
    from trapline.prediction.summary import Summary, refuse_failures, summarise
    from trapline.prediction.table import Predictions

_HOMES = {
    "Combination": "combining",
    "Estimate": "engine",
    "Explained": "explaining",
    "Predictions": "table",
    "Progress": "engine",
    "Ranks": "ranks",
    "RegionalList": "region",
    "Submission": "submission",
    "SubmissionFormat": "submission",
    "Summary": "summary",
    "add_ranks": "ranks",
    "as_catalog": "inputs",
    "check_submission": "submission",
    "combine": "combining",
    "detect": "detection",
    "estimate": "engine",
    "explain": "explaining",
    "learn_combination": "combining",
    "pool_events": "pooling",
    "predict": "engine",
    "predict_to_file": "engine",
    "read_format": "submission",
    "read_list": "inputs",
    "read_region": "region",
    "refuse_failures": "summary",
    "summarise": "summary",
    "weigh_by_region": "region",
    "write_submission": "submission",
}

__all__ = [
    "Combination",
    "Estimate",
    "Explained",
    "Predictions",
    "Progress",
    "Ranks",
    "RegionalList",
    "Submission",
    "SubmissionFormat",
    "Summary",
    "add_ranks",
    "as_catalog",
    "check_submission",
    "combine",
    "detect",
    "estimate",
    "explain",
    "learn_combination",
    "pool_events",
    "predict",
    "predict_to_file",
    "read_format",
    "read_list",
    "read_region",
    "refuse_failures",
    "summarise",
    "weigh_by_region",
    "write_submission",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'trapline.prediction' has no attribute '{name}'")
    return getattr(importlib.import_module(f"trapline.prediction.{_HOMES[name]}"), name)
