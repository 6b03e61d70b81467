"""The streaming engine, its journal, and the predictions table."""

from trapline.prediction.table import Predictions

__all__ = ["Predictions"]
