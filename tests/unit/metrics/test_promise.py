"""Thresholds that keep a promise: bounds against their definitions, and the promise against simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from trapline.errors import DataError
from trapline.metrics.promise import (
    choose_threshold,
    effective_size,
    effective_size_observed,
    intraclass_correlation,
    lower_bound,
)


def test_independent_media_get_clopper_and_pearsons_bound() -> None:
    right = np.r_[np.ones(95), np.zeros(5)]
    found = lower_bound(right, np.arange(100), 0.9)
    assert found == pytest.approx(beta.ppf(0.1, 95, 6), abs=0.003)  # but for Student's correction
    assert found < beta.ppf(0.1, 95, 6)


def test_media_that_go_together_count_as_one_a_location() -> None:
    groups = np.repeat(np.arange(20), 50)
    right = (groups > 0).astype(float)  # all or nothing a location
    assert intraclass_correlation(right, groups) == pytest.approx(1)
    assert effective_size(groups, 1.0) == pytest.approx(20)
    assert lower_bound(right, groups) < 0.82
    assert lower_bound(right, np.arange(1000)) > 0.93


def test_one_location_says_nothing_of_others() -> None:
    assert lower_bound(np.ones(1000), np.zeros(1000)) == 0
    assert choose_threshold(np.ones(1000), np.ones(1000), np.zeros(1000), promise=0.6) is None


@given(st.integers(2, 40), st.integers(1, 9), st.floats(0, 1))
def test_the_effective_size_lies_between_groups_and_media(groups: int, each: int, alike: float) -> None:
    places = np.repeat(np.arange(groups), each)
    assert groups - 1e-6 <= effective_size(places, alike) <= len(places) + 1e-6


def test_a_sure_and_right_model_gets_the_lowest_threshold_and_a_wrong_one_none() -> None:
    scores, groups = np.linspace(0.3, 1, 400), np.arange(400)
    found = choose_threshold(scores, np.ones(400), groups, promise=0.95)
    assert found is not None
    assert (found.threshold, found.answered) == (0.3, 400)
    assert choose_threshold(scores, np.zeros(400), groups, promise=0.95) is None
    assert choose_threshold(scores[:20], np.ones(20), groups[:20], promise=0.95) is None  # too few to tell
    assert choose_threshold([], [], [], promise=0.95) is None


def test_ties_pass_together() -> None:
    scores = np.r_[np.full(200, 0.9), np.full(200, 0.5)]
    found = choose_threshold(scores, scores > 0.7, np.arange(400), promise=0.9)
    assert found is not None
    assert (found.threshold, found.answered, found.right) == (0.9, 200, 200)


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(DataError, match="one length"):
        choose_threshold([1.0], [1, 0], [1, 2], promise=0.9)


def test_the_promise_holds_at_new_locations_as_often_as_was_said() -> None:
    kept = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        groups = np.repeat(np.arange(60), 10)
        scores = random.uniform(0.4, 1, 600)
        hard = random.normal(0, 0.08, 60)[groups]  # some locations are harder than their scores say
        right = random.uniform(size=600) < np.clip(scores + hard, 0, 1)
        found = choose_threshold(scores, right, groups, promise=0.85, confidence=0.9)
        if found is not None:
            kept.append((1 + found.threshold) / 2 >= 0.85)  # the true precision above the threshold, nearly
    assert len(kept) > 40
    assert np.mean(kept) >= 0.85


def test_locations_that_differ_in_the_answers_judged_count_for_less() -> None:
    groups = np.repeat(np.arange(40), 10)
    alike = np.tile(np.r_[np.zeros(1), np.ones(9)], 40)  # one mistake in each
    unlike = (groups >= 4).astype(float)  # the same number of mistakes, in four locations
    assert effective_size_observed(unlike, groups) < 45
    assert effective_size_observed(np.ones(400), groups) == np.inf
    assert lower_bound(unlike, groups, correlation=0.0) < lower_bound(alike, groups, correlation=0.0)
