"""The figures of an evaluation: functions that yield `(name, value)`, registered by a decorator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from trapline.metrics import calibration, correctness, probability, ranking
from trapline.metrics.inputs import Floats, Task, check, mean_of_defined, task_of

Yielded = Iterator[tuple[str, Floats]]
Fits = Task | Literal["exclusive"]
"""What figures are for: a task, or multi-label models whose labels exclude each other all the same."""

EvaluatorFunction = Callable[[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike | None, int | None], Yielded]


@dataclass(frozen=True)
class Evaluator:
    """A function that yields the figures of one kind, and what it fits."""

    name: str
    tasks: tuple[Fits, ...]
    function: EvaluatorFunction


EVALUATORS: dict[str, Evaluator] = {}

LOWER_IS_BETTER = frozenset(
    {"log_loss", "brier_score", "expected_calibration_error", "categorical_cross_entropy"}
)
"""The figures of which less is better."""


def evaluator(*tasks: Fits) -> Callable[[EvaluatorFunction], EvaluatorFunction]:
    """Register a function that yields `(name, value)`, each value as the metrics of this package give it.

    It takes truth, probabilities, weights, and the column of the label `blank` or None. `exclusive` stands
    for multi-label models that answer by a softmax (`Recipe.exclusive`).
    """

    def register(function: EvaluatorFunction) -> EvaluatorFunction:
        EVALUATORS[function.__name__] = Evaluator(function.__name__, tasks, function)
        return function

    return register


def metric_names(task: Task) -> tuple[str, ...]:
    """The names of all figures that `measure` gives for a task, where there are labels enough for each."""
    truth: npt.NDArray[np.int64] = np.arange(6)  # as many labels as the figures with the most need
    if task == "multi-label":
        truth = np.eye(6, dtype=np.int64)
        truth[0] = 1
    return tuple(measure(truth, np.full((6, 6), 1 / 6)))


def measure(
    truth: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    blank: int | None = None,
    exclusive: bool = False,
) -> dict[str, Floats]:
    """Every registered figure that fits the task of `truth`, in the order of registration.

    Args:
        truth: see `trapline.metrics.inputs`, as the next two.
        probabilities: of the media.
        weights: of the media.
        blank: the column of the label that excludes all others, if there is one.
        exclusive: the model's labels exclude each other, though the truth may have several.
    """
    array, values = check(truth, probabilities)
    task = task_of(array)
    kinds: set[Fits] = {task, "exclusive"} if exclusive and task == "multi-label" else {task}
    return {
        name: value
        for entry in EVALUATORS.values()
        if kinds.intersection(entry.tasks)
        for name, value in entry.function(array, values, weights, blank)
    }


@evaluator("single-label")
def best_guess(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None, blank: int | None
) -> Yielded:
    """Whether the most probable label is right."""
    counts = correctness.count_labels(truth, probabilities, weights)
    yield "accuracy", correctness.accuracy(truth, probabilities, weights)
    yield "balanced_accuracy", mean_of_defined(counts.recall)
    yield "macro_f1", mean_of_defined(counts.f1)


@evaluator("single-label")
def best_guesses(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None, blank: int | None
) -> Yielded:
    """Whether the true label is among the first few; only for as many labels as make that a question."""
    labels = check(truth, probabilities)[1].shape[1]
    for k in (2, 3, 5):
        if k < labels:
            yield f"top_{k}_accuracy", correctness.top_k(truth, probabilities, weights, k=k)


@evaluator("exclusive")
def softmax_figures(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None, blank: int | None
) -> Yielded:
    """What pipelines report that train a softmax on media of several labels."""
    yield "accuracy", correctness.accuracy(truth, probabilities, weights)
    yield "categorical_cross_entropy", probability.categorical_cross_entropy(truth, probabilities, weights)


@evaluator("multi-label")
def said_labels(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None, blank: int | None
) -> Yielded:
    """Whether the labels of probability 0.5 and more are the true ones; blank only where it is alone."""
    yield "subset_accuracy", correctness.subset_accuracy(truth, probabilities, weights, blank)
    if check(truth, probabilities)[1].shape[1] > 5:
        yield "top_5_accuracy", correctness.top_k(truth, probabilities, weights, k=5)
    yield "macro_f1", correctness.macro_f1(truth, probabilities, weights, blank)
    yield "mean_average_precision", ranking.mean_average_precision(truth, probabilities, weights)


@evaluator("single-label", "multi-label")
def proper_scores(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None, blank: int | None
) -> Yielded:
    """How good the probabilities are, and how well they order the media."""
    yield "log_loss", probability.log_loss(truth, probabilities, weights)
    yield "brier_score", probability.brier_score(truth, probabilities, weights)
    yield (
        "expected_calibration_error",
        calibration.expected_calibration_error(truth, probabilities, weights),
    )
    yield "macro_auc", ranking.macro_auc(truth, probabilities, weights)
