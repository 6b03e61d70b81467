"""The figures of an evaluation: functions that yield `(name, value)`, registered by a decorator."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Set
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from trapline.errors import DataError, UsageError
from trapline.metrics import calibration, correctness, probability, ranking
from trapline.metrics.inputs import Floats, Task, Weights, check, mean_of_defined, task_of
from trapline.options import check_positional
from trapline.registry import Registry

Yielded = Iterator[tuple[str, Floats]]
Fits = Task | Literal["exclusive"]
"""What figures are for: a task, or multi-label models whose labels exclude each other all the same."""

EvaluatorFunction = Callable[[ArrayLike, ArrayLike, Weights, int | None], Yielded]


@dataclass(frozen=True)
class Evaluator:
    """A function that yields the figures of one kind, what it fits, and of which figures less is better."""

    name: str
    tasks: tuple[Fits, ...]
    function: EvaluatorFunction
    lower_is_better: frozenset[str] = frozenset()


EVALUATORS: Registry[Evaluator] = Registry("metric", "trapline.metrics")
"""Every evaluator by the name of its function."""


class _LowerIsBetter(Set[str]):
    """Looked up when it is asked: evaluators of other packages come late."""

    def _names(self) -> frozenset[str]:
        return frozenset().union(*(entry.lower_is_better for entry in EVALUATORS.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())


OF_THE_SUREST = frozenset({"accuracy", "balanced_accuracy", "macro_f1", "expected_calibration_error"})
"""Figures that need no other probability than that of the surest label, besides top-k."""

LOWER_IS_BETTER: Set[str] = _LowerIsBetter()
"""The figures of which less is better."""


def evaluator(
    *tasks: Fits, lower_is_better: Collection[str] = ()
) -> Callable[[EvaluatorFunction], EvaluatorFunction]:
    """Register a function that yields `(name, value)`, each value as the metrics of this package give it.

    It takes truth, probabilities, weights, and the column of the label `blank` or None (see
    `trapline.metrics.inputs` for their shapes); its name is the function's.

    Args:
        tasks: those that the figures are for; `exclusive` stands for multi-label models that answer by a
            softmax (`Recipe.exclusive`).
        lower_is_better: the names of those figures of which less is better.

    Raises:
        UsageError: the name is taken, or the function is no evaluator; what is expected is said.
    """

    def register(function: EvaluatorFunction) -> EvaluatorFunction:
        name = function.__name__
        check_positional(function, f"metric '{name}'", "truth", "probabilities", "weights", "blank")
        known = ("single-label", "multi-label", "exclusive")
        if not tasks or not set(tasks) <= set(known):
            raise UsageError(f"The metric '{name}' is for some of: {', '.join(known)}; not {tasks}.")
        EVALUATORS.add(name, Evaluator(name, tasks, function, frozenset(lower_is_better)), function)
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
    truth: ArrayLike,
    probabilities: ArrayLike,
    weights: Weights = None,
    blank: int | None = None,
    exclusive: bool = False,
    kept: int | None = None,
) -> dict[str, Floats]:
    """Every registered figure that fits the task of `truth`, in the order of registration.

    Args:
        truth: see `trapline.metrics.inputs`, as the next two.
        probabilities: of the media.
        weights: of the media.
        blank: the column of the label that excludes all others, if there is one.
        exclusive: the model's labels exclude each other, though the truth may have several.
        kept: how many labels of each media have their probability, where the surest only have it: figures
            that need that of every label are left out, and top-k of more labels.

    Raises:
        GuestError: an evaluator of another package fails, yields a figure that there is, or one of a shape
            that the weights do not have.
    """
    array, values = check(truth, probabilities)
    task = task_of(array)
    kinds: set[Fits] = {task, "exclusive"} if exclusive and task == "multi-label" else {task}
    shape = () if weights is None else np.shape(weights)[:-1]
    figures: dict[str, Floats] = {}
    for entry in EVALUATORS.values():
        if not kinds.intersection(entry.tasks):
            continue
        with EVALUATORS.naming_guests(entry.name):
            for name, value in entry.function(array, values, weights, blank):
                if name in figures:
                    raise ValueError(f"it yields '{name}', which another metric yields already")
                if np.shape(value) != shape:
                    raise ValueError(f"'{name}' has the shape {np.shape(value)}; the weights ask for {shape}")
                figures[name] = value
    if kept is None:
        return figures
    return {name: value for name, value in figures.items() if knows_enough(name, kept)}


def knows_enough(name: str, kept: int) -> bool:
    """Whether a figure is one of the surest labels alone."""
    top = re.fullmatch(r"top_(\d+)_accuracy", name)
    return int(top[1]) <= kept if top else name in OF_THE_SUREST


def figure(
    name: str, truth: ArrayLike, probabilities: ArrayLike, blank: int | None = None, exclusive: bool = False
) -> float:
    """One figure of `measure` that must be a number, as what chooses between models must be.

    Raises:
        DataError: there is none of that name for this truth and these labels, or it is undefined.
    """
    value = float(measure(truth, probabilities, None, blank, exclusive).get(name, np.nan))
    if not np.isfinite(value):
        raise DataError(f"'{name}' cannot be computed for what chooses by it: choose by log_loss.")
    return value


@evaluator("single-label")
def best_guess(truth: ArrayLike, probabilities: ArrayLike, weights: Weights, blank: int | None) -> Yielded:
    """Whether the most probable label is right."""
    counts = correctness.count_labels(truth, probabilities, weights)
    yield "accuracy", correctness.accuracy(truth, probabilities, weights)
    yield "balanced_accuracy", mean_of_defined(counts.recall)
    yield "macro_f1", mean_of_defined(counts.f1)


@evaluator("single-label")
def best_guesses(truth: ArrayLike, probabilities: ArrayLike, weights: Weights, blank: int | None) -> Yielded:
    """Whether the true label is among the first few; only for as many labels as make that a question."""
    labels = check(truth, probabilities)[1].shape[1]
    for k in (2, 3, 5):
        if k < labels:
            yield f"top_{k}_accuracy", correctness.top_k(truth, probabilities, weights, k=k)


@evaluator("exclusive", lower_is_better=("categorical_cross_entropy",))
def softmax_figures(
    truth: ArrayLike, probabilities: ArrayLike, weights: Weights, blank: int | None
) -> Yielded:
    """What pipelines report that train a softmax on media of several labels."""
    yield "accuracy", correctness.accuracy(truth, probabilities, weights)
    yield "categorical_cross_entropy", probability.categorical_cross_entropy(truth, probabilities, weights)


@evaluator("multi-label")
def said_labels(truth: ArrayLike, probabilities: ArrayLike, weights: Weights, blank: int | None) -> Yielded:
    """Whether the labels of probability 0.5 and more are the true ones; blank only where it is alone."""
    yield "subset_accuracy", correctness.subset_accuracy(truth, probabilities, weights, blank)
    if check(truth, probabilities)[1].shape[1] > 5:
        yield "top_5_accuracy", correctness.top_k(truth, probabilities, weights, k=5)
    yield "macro_f1", correctness.macro_f1(truth, probabilities, weights, blank)
    yield "mean_average_precision", ranking.mean_average_precision(truth, probabilities, weights)


@evaluator(
    "single-label",
    "multi-label",
    lower_is_better=("log_loss", "brier_score", "expected_calibration_error"),
)
def proper_scores(truth: ArrayLike, probabilities: ArrayLike, weights: Weights, blank: int | None) -> Yielded:
    """How good the probabilities are, and how well they order the media."""
    yield "log_loss", probability.log_loss(truth, probabilities, weights)
    yield "brier_score", probability.brier_score(truth, probabilities, weights)
    yield (
        "expected_calibration_error",
        calibration.expected_calibration_error(truth, probabilities, weights),
    )
    yield "macro_auc", ranking.macro_auc(truth, probabilities, weights)
