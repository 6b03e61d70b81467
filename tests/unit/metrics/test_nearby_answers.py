"""Neighbours in time: sums against their definition, and a leaning that is learnt where there is one."""

import numpy as np
import pytest

from trapline.errors import DataError
from trapline.metrics import Leaning, fit_leaning, lean, sum_neighbours

SPANS = (0.1, 3.0, float("inf"))


def world(seed: int, count: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    days = random.random(count) * 5
    days[3] = np.nan
    return random.dirichlet(np.ones(3), count), random.integers(-1, 4, count), days


@pytest.mark.parametrize("seed", range(3))
def test_sums_are_those_of_their_definition(seed: int) -> None:
    answers, locations, days = world(seed)
    answers[5] = np.nan
    around = sum_neighbours(answers, locations, days, SPANS)
    worth = 1 + (answers * np.log(answers)).sum(axis=1) / np.log(3)
    for row in range(len(answers)):
        for number, span in enumerate(SPANS):
            total, count = np.zeros(3), 0.0
            for other in range(len(answers)):
                beside = other not in (row, 5) and locations[other] == locations[row] >= 0
                decay = 1.0 if np.isinf(span) else np.exp(-abs(days[other] - days[row]) / span)
                if beside and np.isfinite(decay):
                    total, count = total + decay * worth[other] * answers[other], count + decay * worth[other]
            assert around.sums[row, number] == pytest.approx(total, abs=1e-9)
            assert around.counts[row, number] == pytest.approx(count, abs=1e-9)


@pytest.mark.parametrize("several", [False, True])
def test_without_neighbours_the_answers_stay(several: bool) -> None:
    answers, _, days = world(0)
    around = sum_neighbours(answers, np.full(len(answers), -1), days, SPANS)
    how = Leaning((1.0, 1.0, 1.0), reliance=1.0, sureness=1.0)
    shares = np.array([0.2, 0.3, 0.5])
    assert lean(answers, around, shares, how, multi_label=several) == pytest.approx(answers, abs=1e-5)


def test_of_one_neighbour_the_prior_is_that_of_dirichlet() -> None:
    answers = np.array([[0.5, 0.5], [0.999999, 0.000001]])
    around = sum_neighbours(answers, [0, 0], [1.0, 1.0], (1.0,))
    shares = np.array([0.5, 0.5])
    leant = lean(answers, around, shares, Leaning((2.0,), reliance=1.0, sureness=1.0))
    assert leant[0] == pytest.approx([2.5 / 3, 0.5 / 3], abs=1e-3)  # (0.5 + 2 · 1) / (1 + 2)


def shown(
    random: np.random.Generator, together: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ten at each of forty locations: one label a location, or any."""
    locations = np.repeat(np.arange(40), 10)
    truth = random.integers(0, 3, 40)[locations] if together else random.integers(0, 3, 400)
    logits = np.eye(3)[truth] + random.normal(0, 1, (400, 3))
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True), truth, locations, np.tile(np.arange(10) / 100, 40)


@pytest.mark.parametrize("together", [True, False])
def test_leaning_is_learnt_where_neighbours_show_the_same(together: bool) -> None:
    random = np.random.default_rng(1)
    shares = np.full(3, 1 / 3)
    answers, truth, locations, days = shown(random, together)
    around = sum_neighbours(answers, locations, days)
    how = fit_leaning(answers, truth, around, shares)
    answers, truth, locations, days = shown(random, together)  # others
    leant = lean(answers, sum_neighbours(answers, locations, days), shares, how)
    own, others = (-np.log(one[np.arange(400), truth]).mean() for one in (answers, leant))
    assert others < 0.6 * own if together else others == pytest.approx(own, abs=0.03)


def test_answers_that_do_not_count_teach_nothing() -> None:
    answers, truth, locations, days = shown(np.random.default_rng(2), True)
    marks, around = np.eye(3, dtype=int)[truth], sum_neighbours(answers, locations, days)
    counted = np.ones((400, 3), bool)
    counted[:, 2] = False
    wrong = marks.copy()
    wrong[:, 2] = 1 - wrong[:, 2]
    shares = np.full(3, 1 / 3)
    both = [fit_leaning(answers, one, around, shares, counted=counted) for one in (marks, wrong)]
    assert both[0] == both[1]
    assert fit_leaning(answers, wrong, around, shares) != both[0]


def test_answers_that_are_none_are_refused() -> None:
    around = sum_neighbours(np.full((4, 3), 0.3), [0] * 4, [0.0] * 4)
    with pytest.raises(DataError, match="finite"):
        fit_leaning(np.full((4, 3), np.nan), [0] * 4, around, np.full(3, 1 / 3))
