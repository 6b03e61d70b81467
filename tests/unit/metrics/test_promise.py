"""Thresholds that keep a promise: bounds against their definitions, and the promise against simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, gamma, norm, t

from trapline.errors import DataError
from trapline.metrics.promise import (
    STEPS,
    _counts,
    bound_of_unseen,
    choose_threshold,
    effective_size,
    effective_size_observed,
    intraclass_correlation,
    least_locations,
    lower_bound,
    surer_than,
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


def test_few_locations_widen_the_bound_by_the_square_of_students_correction() -> None:
    size = 12 * (norm.ppf(0.9) / t.ppf(0.9, 11)) ** 2
    assert lower_bound(np.ones(12), np.arange(12), 0.9) == pytest.approx(0.1 ** (1 / size))
    size = 12 * (norm.ppf(0.8) / t.ppf(0.8, 2)) ** 2  # all outcomes alike: no correlation can be seen
    none_wrong = np.repeat([3, 1, 2], 4)
    assert lower_bound(np.ones(12), none_wrong, 0.8) < 0.2 ** (1 / size), "but three show few of the bad"


def test_the_correlation_of_groups_of_unequal_size_is_that_of_the_analysis_of_variance() -> None:
    assert intraclass_correlation([1, 1, 0, 1, 0, 1], ["b", "b", "b", "a", "c", "c"]) == 0  # below 0: none
    right, groups = [1, 1, 1, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 1, 1, 2]
    means, sizes = np.array([3 / 4, 0, 1]), np.array([4, 3, 1])
    between = (sizes * (means - 0.5) ** 2).sum() / 2
    within = (3 * (1 / 4) ** 2 + (3 / 4) ** 2) / 5
    typical = (8 - (16 + 9 + 1) / 8) / 2
    expected = (between - within) / (between + (typical - 1) * within)
    assert intraclass_correlation(right, groups) == pytest.approx(expected)


def test_what_tells_nothing_of_a_correlation_is_taken_for_all_or_none() -> None:
    assert intraclass_correlation([1, 0, 1], [4, 4, 4]) == 1  # one group
    assert intraclass_correlation([1, 0, 1], [1, 2, 3]) == 0  # one media a group
    assert intraclass_correlation([1, 1, 1, 1], [1, 1, 2, 2]) == 0  # nothing varies


def test_large_groups_count_for_less_by_the_square_of_their_size() -> None:
    assert effective_size(["a", "b", "b", "b"], 0.5) == pytest.approx(16 / (1 + 3 * (1 + 2 * 0.5)))
    assert effective_size([1, 2, 2, 2], 0.0) == 4


def test_the_observed_size_is_that_of_a_ratio_over_groups() -> None:
    right, groups = [1, 1, 0, 1, 0], [7, 7, 7, 1, 2]
    share = 3 / 5
    variance = 3 / 2 * ((2 - 3 * share) ** 2 + (1 - share) ** 2 + share**2) / 5**2
    assert effective_size_observed(right, groups) == pytest.approx(share * (1 - share) / variance)
    assert effective_size_observed([1, 0], [1, 1]) == np.inf  # one group says nothing of others
    assert effective_size_observed([1, 0, 0, 1], [1, 1, 2, 2]) == np.inf  # the groups do not differ
    assert effective_size_observed([0, 0], [1, 2]) == np.inf


def test_the_smaller_of_the_two_effective_sizes_makes_the_bound() -> None:
    groups = np.repeat(np.arange(40), 10)
    unlike, alike = (groups >= 4).astype(float), np.tile(np.r_[0, np.ones(9)], 40)
    student = (norm.ppf(0.95) / t.ppf(0.95, 39)) ** 2

    def bound(size: float) -> float:
        return float(beta.ppf(0.05, 0.9 * size, size - 0.9 * size + 1))

    seen = effective_size_observed(unlike, groups)
    assert lower_bound(unlike, groups, 0.95, correlation=0.1) == pytest.approx(
        min(bound(student * seen), bound_of_unseen(unlike, groups, 0.95))
    )
    by_correlation = effective_size(groups, 0.6)  # of outcomes in which the locations do not differ at all
    assert lower_bound(alike, groups, 0.95, correlation=0.6) == pytest.approx(bound(student * by_correlation))
    five = np.repeat(np.arange(5), 20)
    assert 0 < lower_bound(np.ones(100), five, correlation=0.0) < 1
    assert lower_bound(np.zeros(100), five) == 0


def test_a_promise_that_is_just_kept_is_made_and_says_what_it_rests_on() -> None:
    groups = np.r_[np.repeat(np.arange(30), 4), 99, 99]
    scores = np.r_[np.full(120, 0.7), 0.2, 0.2]
    right = np.r_[np.tile([1, 1, 1, 0], 30), 0, 0]
    alike = intraclass_correlation(right, groups)
    bound = lower_bound(right[:120], groups[:120], 0.9, alike)
    found = choose_threshold(scores, right, groups, promise=bound, confidence=0.9)
    assert found is not None
    assert (found.threshold, found.answered, found.right, found.groups) == (0.7, 120, 90, 30)
    assert found.bound == pytest.approx(bound)
    assert choose_threshold(scores, right, groups, promise=bound + 1e-6, confidence=0.9) is None


def test_the_order_of_the_media_changes_no_promise() -> None:
    random = np.random.default_rng(3)
    groups, scores = random.integers(0, 50, 500), random.uniform(size=500).round(2)
    right = random.uniform(size=500) < 0.5 + scores / 2
    found = choose_threshold(scores, right, groups, promise=0.7)
    assert found is not None
    passed = scores >= found.threshold
    assert (found.answered, found.right) == (passed.sum(), (right & passed).sum())
    assert found.groups == len(np.unique(groups[passed]))
    alike = intraclass_correlation(right, groups)
    assert found.bound == pytest.approx(lower_bound(right[passed], groups[passed], 0.9, alike))
    order = random.permutation(500)
    assert choose_threshold(scores[order], right[order], groups[order], promise=0.7) == found


def test_a_threshold_below_one_that_fails_is_never_taken() -> None:
    scores = np.r_[np.full(300, 0.9), np.full(100, 0.6), np.full(4000, 0.3)]
    right = np.r_[np.ones(300), np.zeros(100), np.ones(4000)]  # all together are right often enough again
    assert lower_bound(right, np.arange(4400), correlation=0.0) > 0.9
    found = choose_threshold(scores, right, np.arange(4400), promise=0.9)
    assert found is not None
    assert (found.threshold, found.answered) == (0.9, 300)


def test_few_thresholds_are_tried_the_first_where_enough_media_pass() -> None:
    count = 2000
    scores = np.linspace(1, 0, count)
    tried = _counts(scores, [np.arange(count)], [0.0], 0.9, 0.9)
    assert len(tried) == STEPS
    assert tried[-1] == count
    assert tried == sorted(set(tried))

    def could(media: int) -> bool:  # with half of the mistakes that are allowed
        size = media * (norm.ppf(0.9) / t.ppf(0.9, media - 1)) ** 2
        return bool(beta.ppf(0.1, 0.95 * size, 0.05 * size + 1) >= 0.9)

    assert could(tried[0])
    assert not could(tried[0] - 1)
    assert np.ptp(np.diff(tried)) <= 1, "evenly"
    assert _counts(scores[:5], [np.arange(5)], [0.0], 0.9, 0.9) == []
    assert _counts(np.full(400, 0.5), [np.arange(400)], [0.0], 0.9, 0.9) == [400]


def test_of_two_groups_and_of_few_right_answers_something_can_be_said() -> None:
    right, groups = [1, 1, 0, 1], [0, 0, 1, 1]
    variance = 2 * ((2 - 2 * 0.75) ** 2 + (1 - 2 * 0.75) ** 2) / 4**2
    assert effective_size_observed(right, groups) == pytest.approx(0.75 * 0.25 / variance)
    assert lower_bound([1, 1, 0] * 4, np.arange(12)) > 0
    assert choose_threshold(np.ones(9), np.ones(9), np.zeros(9), promise=0.05) is None, "one location"


def test_the_bound_of_unseen_groups_is_that_of_fay_and_feuer() -> None:
    groups, right = np.repeat([0, 1, 2, 3], [4, 3, 2, 1]), np.r_[1, 1, 1, 0, 1, 1, 1, 0, 1, 1]
    mistakes, imagined = np.array([1, 0, 1, 0]) / 10, 0.5 * (16 + 9 + 4 + 1) / 100
    mean, variance = mistakes.sum() + imagined, (mistakes**2).sum() + imagined**2
    wrong = gamma.ppf(0.9, mean**2 / variance, scale=variance / mean)
    assert bound_of_unseen(right, groups, 0.9) == pytest.approx(1 - wrong)
    assert bound_of_unseen(right, np.zeros(10)) == 0


@pytest.mark.parametrize(("promise", "least"), [(0.5, 14), (0.8, 24), (0.9, 42), (0.95, 78)])
def test_a_promise_needs_as_many_locations_as_show_a_bad_one(promise: float, least: int) -> None:
    assert least_locations(promise) == least
    for count, made in ((least - 1, False), (least, True)):
        groups = np.repeat(np.arange(count), 100)
        found = choose_threshold(np.ones(len(groups)), np.ones(len(groups)), groups, promise=promise)
        assert (found is not None) is made


def test_a_lower_threshold_than_the_first_must_hold_ten_times_as_surely() -> None:
    groups = np.tile(np.arange(60), 4)
    scores = np.r_[np.full(120, 0.9), np.full(120, 0.6)]
    right = np.r_[np.ones(120), np.zeros(40), np.ones(80)]
    alike = intraclass_correlation(right, groups)
    usual, surer = (lower_bound(right, groups, one, alike) for one in (0.9, surer_than(0.9)))
    assert surer_than(0.9) == pytest.approx(0.99)
    between = (usual + surer) / 2
    for promise, threshold in ((surer, 0.6), (between, 0.9)):
        found = choose_threshold(scores, right, groups, promise=promise)
        assert found is not None
        assert found.threshold == threshold
    alone = choose_threshold(np.full(240, 0.6), right, groups, promise=between)
    assert alone is not None, "as the first one it holds"


@pytest.mark.parametrize("count", [10, 20, 46])
def test_a_promise_that_bad_locations_break_is_made_in_few_samples(count: int) -> None:
    made = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        groups = np.repeat(np.arange(count), 20)
        right = random.random(len(groups)) < np.where(random.random(count) < 0.08, 0.3, 0.98)[groups]
        made += choose_threshold(np.ones(len(groups)), right, groups, promise=0.95) is not None
    assert made <= 20, "0.926 is right: one sample in ten at most may promise 0.95"
