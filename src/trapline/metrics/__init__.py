"""Pure numbers: arrays in, figures and their intervals out. Shapes are given in `trapline.metrics.inputs`."""

from trapline.metrics.calibration import (
    CalibrationBin,
    calibration_table,
    expected_calibration_error,
    fit_scaling,
    fit_temperature,
    probabilities_of,
    shift_logits,
)
from trapline.metrics.correctness import (
    LabelCounts,
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    count_labels,
    macro_f1,
    ranks,
    subset_accuracy,
    top_k,
)
from trapline.metrics.inputs import Task, task_of
from trapline.metrics.intervals import Estimate, bootstrap, bootstrap_all, bootstrap_vectors
from trapline.metrics.opinions import fit_opinions, pool_opinions
from trapline.metrics.probability import (
    binary_losses,
    brier_score,
    categorical_cross_entropy,
    label_log_loss,
    log_loss,
    log_losses,
)
from trapline.metrics.ranking import label_auc, label_average_precision, macro_auc, mean_average_precision
from trapline.metrics.registry import (
    EVALUATORS,
    LOWER_IS_BETTER,
    Evaluator,
    Yielded,
    evaluator,
    figure,
    measure,
    metric_names,
)
from trapline.metrics.several import labels_said, log_odds, restore_blanks, sigmoid

__all__ = [
    "EVALUATORS",
    "LOWER_IS_BETTER",
    "CalibrationBin",
    "Estimate",
    "Evaluator",
    "LabelCounts",
    "Task",
    "Yielded",
    "accuracy",
    "balanced_accuracy",
    "binary_losses",
    "bootstrap",
    "bootstrap_all",
    "bootstrap_vectors",
    "brier_score",
    "calibration_table",
    "categorical_cross_entropy",
    "confusion_matrix",
    "count_labels",
    "evaluator",
    "expected_calibration_error",
    "figure",
    "fit_opinions",
    "fit_scaling",
    "fit_temperature",
    "label_auc",
    "label_average_precision",
    "label_log_loss",
    "labels_said",
    "log_loss",
    "log_losses",
    "log_odds",
    "macro_auc",
    "macro_f1",
    "mean_average_precision",
    "measure",
    "metric_names",
    "pool_opinions",
    "probabilities_of",
    "ranks",
    "restore_blanks",
    "shift_logits",
    "sigmoid",
    "subset_accuracy",
    "task_of",
    "top_k",
]
