"""Thresholds from counts: against their definition, and whether what they promise holds at other groups."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trapline import metrics
from trapline.metrics import THRESHOLDS, ThresholdChoice

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@given(
    scores=arrays(
        np.float64, 30, elements=st.one_of(st.floats(0, 1), st.sampled_from([0.5, 0.97, 1.0, np.nan]))
    ),
    groups=arrays(np.int64, 30, elements=st.integers(0, 3)),
)
@settings(max_examples=30, deadline=None)
def test_counts_are_those_of_scores_that_reach_each_threshold(scores: Floats, groups: Counts) -> None:
    counts = metrics.count_at_thresholds(scores, groups, 4)
    for group in range(4):
        for index in (0, 1, 7, 53, 100, len(THRESHOLDS) - 1):
            expected = sum(score >= THRESHOLDS[index] for score in scores[groups == group])
            assert counts[group, index] == expected


def sample(random: np.random.Generator, groups: int, each: int = 40) -> tuple[Counts, Counts, Counts]:
    """Said and right [G, T] of answers that are right as often as their score says, unlike by group."""
    codes = np.repeat(np.arange(groups), each)
    scores = random.beta(4, 1, len(codes))
    skill = random.normal(0, 0.8, groups)[codes]
    right = random.random(len(codes)) < 1 / (1 + np.exp(-(np.log(scores / (1 - scores)) + 1 + skill)))
    said = metrics.count_at_thresholds(scores, codes, groups)
    return said, metrics.count_at_thresholds(np.where(right, scores, np.nan), codes, groups), codes


def test_a_promised_precision_holds_at_other_groups() -> None:
    random = np.random.default_rng(1)
    elsewhere_said, elsewhere_right, _ = sample(np.random.default_rng(99), 3000, 10)
    true = elsewhere_right.sum(axis=0) / np.maximum(elsewhere_said.sum(axis=0), 1)
    kept = []
    for _ in range(40):
        said, right, _ = sample(random, 60)
        choice = metrics.choose_precision(said, right, 0.9, np.ones(60, bool))
        if choice is not None and choice.promised:
            kept.append(true[choice.index] >= 0.9)
    assert len(kept) >= 20
    assert np.mean(kept) >= 0.85  # nine of ten, as far as forty draws tell


def test_what_was_chosen_on_others_is_judged_without_flattering() -> None:
    """The mean of the held-out precision is that of new groups; on the same groups it is higher."""
    random = np.random.default_rng(2)
    elsewhere_said, elsewhere_right, _ = sample(np.random.default_rng(99), 3000, 10)
    true = elsewhere_right.sum(axis=0) / np.maximum(elsewhere_said.sum(axis=0), 1)
    gaps = []
    for seed in range(30):
        said, right, _ = sample(random, 15)

        def lowest(
            groups: npt.NDArray[np.bool_], said: Counts = said, right: Counts = right
        ) -> ThresholdChoice:
            shares = right[groups].sum(axis=0) / np.maximum(said[groups].sum(axis=0), 1)
            return ThresholdChoice(int(np.argmax(shares[:100])), promised=False)  # picks what flatters most

        indices = metrics.choose_elsewhere(lowest, 15, seed)
        assert indices is not None
        held = metrics.at_indices(right, indices).sum() / metrics.at_indices(said, indices).sum()
        gaps.append(held - true[indices].mean())
    assert abs(np.mean(gaps)) < 0.015


def test_no_group_takes_part_in_the_choice_of_its_own_threshold() -> None:
    asked: list[npt.NDArray[np.bool_]] = []

    def choose(groups: npt.NDArray[np.bool_]) -> ThresholdChoice:
        asked.append(groups)
        return ThresholdChoice(len(asked), promised=True)

    indices = metrics.choose_elsewhere(choose, 12, 7)
    assert indices is not None
    assert len(asked) == 5
    assert not any(asked[index - 1][group] for group, index in enumerate(indices))
    assert metrics.choose_elsewhere(choose, 1, 7) is None


def test_the_highest_threshold_that_keeps_a_share_is_found_from_below_and_the_lowest_from_above() -> None:
    codes = np.repeat(np.arange(20), 50)
    scores = np.tile(np.linspace(0.02, 0.98, 50), 20)
    counts = metrics.count_at_thresholds(scores, codes, 20)
    whole, every = np.full(20, 50), np.ones(20, bool)
    recall = metrics.choose_kept(counts, whole, 0.8, every, from_lowest=True)
    assert recall is not None
    assert recall.promised
    at = counts[:, recall.index].sum() / 1000
    assert 0.8 <= at < 0.9
    left = metrics.choose_kept(whole[:, None] - counts, whole, 0.9, every, from_lowest=False)
    assert left is not None
    assert 0.9 <= 1 - counts[:, left.index].sum() / 1000 < 1
    assert metrics.choose_kept(counts, np.zeros(20, np.int64), 0.9, every, from_lowest=True) is None


@pytest.mark.parametrize(("number", "promised"), [(2, False), (4, False), (5, True)])
@pytest.mark.parametrize("from_lowest", [True, False])
def test_few_groups_promise_nothing_of_what_is_kept(number: int, promised: bool, from_lowest: bool) -> None:
    codes = np.repeat(np.arange(number), 200)
    scores = np.full(len(codes), 0.9 if from_lowest else 0.1)
    whole = np.append(np.full(number, 200), np.zeros(20, np.int64))  # groups without any are no groups
    counts = np.vstack(
        [metrics.count_at_thresholds(scores, codes, number), np.zeros((20, len(THRESHOLDS)), int)]
    )
    kept = counts if from_lowest else whole[:, None] - counts
    choice = metrics.choose_kept(kept, whole, 0.3, np.ones(number + 20, bool), from_lowest=from_lowest)
    assert choice is not None
    assert choice.promised == promised
    assert (metrics.bound_of_sums(whole, whole) > 0) == promised


def test_a_bound_of_more_answers_than_are_looked_at_is_hardly_lower() -> None:
    hits, whole = np.full(30, 90_000), np.full(30, 99_900)
    bound = metrics.bound_of_sums(hits, whole)
    assert bound == pytest.approx(metrics.bound_of_sums(hits // 15, whole // 15), abs=0.002)
    assert bound < 90_000 / 99_900
    assert metrics.bound_of_sums(np.zeros(3, np.int64), np.full(3, 5)) == 0


@given(wanted=st.floats(0.01, 0.999))
def test_fewer_answers_would_likelier_show_no_mistake_than_one(wanted: float) -> None:
    least = metrics.least_answers(wanted)
    assert wanted**least <= 0.5 + 1e-9
    assert least == 1 or wanted ** (least - 1) > 0.5


@pytest.mark.parametrize(("answers", "reached"), [(1, False), (3, False), (13, False), (14, True)])
def test_a_threshold_that_is_only_reached_rests_on_answers_enough(answers: int, reached: bool) -> None:
    """All of them are right, at four locations, which promise nothing."""
    codes = np.arange(answers) % 4
    counts = metrics.count_at_thresholds(np.full(answers, 0.4), codes, 4)
    every = np.ones(4, bool)
    choice = metrics.choose_precision(counts, counts, 0.95, every)
    assert (choice is not None) == reached
    whole = np.bincount(codes, minlength=4)
    for from_lowest in (True, False):
        kept = counts if from_lowest else whole[:, None] - counts
        chosen = metrics.choose_kept(kept, whole, 0.95, every, from_lowest=from_lowest)
        assert (chosen is not None) == reached
    assert metrics.reached_by_any(counts, counts, 0.95)
    assert not metrics.reached_by_any(counts * 0, counts, 0.95)


def test_of_thresholds_that_are_reached_one_with_answers_enough_is_taken() -> None:
    """The three surest are right, as are 19 of the 20 below them; at the lowest half are wrong."""
    scores = np.r_[np.full(3, 0.9), np.full(20, 0.6), np.full(40, 0.2)]
    right = np.r_[np.ones(3, bool), np.ones(19, bool), np.zeros(41, bool)]
    codes = np.arange(63) % 4
    said = metrics.count_at_thresholds(scores, codes, 4)
    hits = metrics.count_at_thresholds(np.where(right, scores, np.nan), codes, 4)
    choice = metrics.choose_precision(said, hits, 0.95, np.ones(4, bool))
    assert choice is not None
    assert 0.2 < THRESHOLDS[choice.index] <= 0.6
    assert metrics.choose_precision(said, hits, 0.99, np.ones(4, bool)) is None, "only on three"
    assert metrics.reached_by_any(hits, said, 0.99)
