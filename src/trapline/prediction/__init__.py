"""The streaming engine, its journal, and the predictions table."""

from trapline.prediction.engine import Estimate, Progress, estimate, predict, refuse_failures
from trapline.prediction.inputs import as_catalog
from trapline.prediction.summary import Summary, summarise
from trapline.prediction.table import Predictions

__all__ = [
    "Estimate",
    "Predictions",
    "Progress",
    "Summary",
    "as_catalog",
    "estimate",
    "predict",
    "refuse_failures",
    "summarise",
]
