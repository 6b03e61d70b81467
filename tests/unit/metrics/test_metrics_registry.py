"""Metrics of one's own: what they fit and how they are called is looked at when they register."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import ArrayLike

from trapline.errors import UsageError
from trapline.metrics import measure, registry
from trapline.metrics.inputs import Weights
from trapline.metrics.registry import Evaluator, Yielded, evaluator
from trapline.registry import Registry

TRUTH, VALUES = [0, 1], [[0.9, 0.1], [0.2, 0.8]]
SEVERAL = [[1, 0], [1, 1]]


@pytest.fixture(autouse=True)
def evaluators(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry[Evaluator]]:
    own: Registry[Evaluator] = Registry("metric", "trapline.none")
    monkeypatch.setattr(registry, "EVALUATORS", own)
    return own


def half(truth: ArrayLike, probabilities: ArrayLike, weights: Weights, blank: int | None) -> Yielded:
    yield "half", np.full(() if weights is None else np.shape(weights)[:-1], 0.5)


def test_a_metric_is_known_by_its_function_with_what_it_fits(evaluators: Registry[Evaluator]) -> None:
    assert evaluator("single-label", "exclusive", lower_is_better=["half"])(half) is half
    assert dict(evaluators) == {
        "half": Evaluator("half", ("single-label", "exclusive"), half, frozenset({"half"}))
    }
    assert "half" in registry.LOWER_IS_BETTER
    assert measure(TRUTH, VALUES) == {"half": 0.5}
    assert measure(SEVERAL, VALUES) == {}
    assert measure(SEVERAL, VALUES, exclusive=True) == {"half": 0.5}
    assert measure(TRUTH, VALUES, np.ones((3, 2)))["half"].shape == (3,)


@pytest.mark.parametrize("task", ["single-label", "multi-label", "exclusive"])
def test_a_metric_may_be_for_one_task_alone(task: str, evaluators: Registry[Evaluator]) -> None:
    evaluator(task)(half)  # type: ignore[arg-type]
    assert evaluators["half"].tasks == (task,)
    assert evaluators["half"].lower_is_better == frozenset()


def test_a_metric_may_be_for_all_tasks(evaluators: Registry[Evaluator]) -> None:
    evaluator("single-label", "multi-label", "exclusive")(half)
    assert measure(TRUTH, VALUES) == measure(SEVERAL, VALUES) == {"half": 0.5}


@pytest.mark.parametrize("tasks", [(), ("single-label", "ordinal")])
def test_a_metric_for_no_task_that_there_is_is_refused(
    tasks: tuple[str, ...], evaluators: Registry[Evaluator]
) -> None:
    with pytest.raises(UsageError, match="metric 'half' is for some of: single-label, multi-label, excl"):
        evaluator(*tasks)(half)  # type: ignore[arg-type]
    assert not list(evaluators)


def test_a_metric_that_cannot_be_called_as_all_are_is_refused() -> None:
    def short(truth: ArrayLike, probabilities: ArrayLike, weights: Weights) -> Yielded:
        yield "short", np.float64(0)

    def long(truth: ArrayLike, probabilities: ArrayLike, weights: Weights, blank: int, more: int) -> Yielded:
        yield "long", np.float64(0)

    expected = r"expected is a function of \(truth, probabilities, weights, blank\)"
    for function in (short, long):
        with pytest.raises(UsageError, match=f"The metric '{function.__name__}' is .*{expected}"):
            evaluator("single-label")(function)  # type: ignore[arg-type]
