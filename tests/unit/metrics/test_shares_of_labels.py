"""Shares of labels: recovered where they alone have changed, and held by media of the old ones."""

import numpy as np
import pytest

from trapline.errors import DataError
from trapline.metrics import estimate_shares, shift_shares

BEFORE = np.array([0.5, 0.3, 0.2])


def answered(after: np.ndarray, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Exact posteriors under `BEFORE` of media drawn under other shares, and what they show."""
    random = np.random.default_rng(0)
    truth = random.choice(3, count, p=after)
    seen = random.normal(truth, 0.5)
    likely = np.exp(-((seen[:, None] - np.arange(3)) ** 2) / (2 * 0.5**2)) * BEFORE
    return likely / likely.sum(axis=1, keepdims=True), truth


def test_new_shares_are_recovered_and_the_answers_are_better() -> None:
    after = np.array([0.1, 0.2, 0.7])
    answers, truth = answered(after)
    shares = estimate_shares(answers, BEFORE)
    assert shares == pytest.approx(after, abs=0.03)
    shifted = shift_shares(answers, BEFORE, shares)
    assert shifted.sum(axis=1) == pytest.approx(np.ones(len(answers)))
    own, new = (-np.log(one[np.arange(len(truth)), truth]).mean() for one in (answers, shifted))
    assert new < own - 0.1


def test_of_several_labels_each_has_a_share_of_its_own() -> None:
    random = np.random.default_rng(1)
    truth = random.random((4000, 2)) < [0.4, 0.05]
    before = np.array([0.1, 0.3])
    seen = random.normal(truth, 0.6)
    odds = np.exp((2 * seen - 1) / (2 * 0.6**2)) * before / (1 - before)
    answers = odds / (1 + odds)
    shares = estimate_shares(answers, before, multi_label=True)
    assert shares == pytest.approx([0.4, 0.05], abs=0.03)


def test_shares_that_are_the_same_change_nothing() -> None:
    answers, _ = answered(BEFORE)
    assert shift_shares(answers, BEFORE, BEFORE) == pytest.approx(answers, abs=1e-5)
    assert shift_shares(answers, BEFORE, BEFORE, multi_label=True) == pytest.approx(answers, abs=1e-5)


def test_media_of_the_old_shares_hold_the_new_ones_back() -> None:
    answers, _ = answered(np.array([0.1, 0.2, 0.7]), 100)
    away = [np.abs(estimate_shares(answers, BEFORE, kept=kept) - BEFORE).sum() for kept in (0, 100, 1e9)]
    assert away[0] > away[1] > away[2]
    assert away[2] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("answers", [np.zeros((0, 3)), np.full((2, 3), np.nan), np.zeros((2, 2))])
def test_what_tells_no_shares_is_refused(answers: np.ndarray) -> None:
    with pytest.raises(DataError):
        estimate_shares(answers, BEFORE)
