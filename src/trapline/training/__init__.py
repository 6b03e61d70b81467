"""Training networks and heads, the feature cache, tuning."""

from __future__ import annotations

from trapline.training.crossval import CrossValidation, crossval
from trapline.training.features import embed
from trapline.training.train import train

__all__ = ["CrossValidation", "crossval", "embed", "train"]
