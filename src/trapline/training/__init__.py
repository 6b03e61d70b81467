"""Training networks and heads, the feature cache, tuning."""

from __future__ import annotations

from trapline.training.contract import StepReport
from trapline.training.crossval import CrossValidation, crossval
from trapline.training.features import embed
from trapline.training.run import train
from trapline.training.tune import Tuned, tune

__all__ = ["CrossValidation", "StepReport", "Tuned", "crossval", "embed", "train", "tune"]
