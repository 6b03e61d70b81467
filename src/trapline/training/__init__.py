"""Training networks and heads, the feature cache, tuning."""

from __future__ import annotations

from trapline.training.contract import StepReport
from trapline.training.crossval import CrossValidation, crossval
from trapline.training.features import embed
from trapline.training.frozen import need_weights
from trapline.training.run import train
from trapline.training.run_folder import is_run
from trapline.training.tune import TrialReport, Tuned, tune

__all__ = [
    "CrossValidation",
    "StepReport",
    "TrialReport",
    "Tuned",
    "crossval",
    "embed",
    "is_run",
    "need_weights",
    "train",
    "tune",
]
