"""Targets, balance and the prior put right again; schedules and views: pure numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.catalog import Catalog
from trapline.errors import DataError
from trapline.metrics import probabilities_of
from trapline.models import Card
from trapline.models.card import Interval
from trapline.models.doubts import chance_doubt
from trapline.recipes import Augmentation, resolve_recipe
from trapline.training.targets import (
    label_weights,
    prior_shift,
    sampling_weights,
    target_matrix,
)
from trapline.training.views import affine_matrices, random_views


def one_hot(counts: list[int]) -> np.ndarray:
    return np.repeat(np.eye(len(counts), dtype=np.float32), counts, axis=0)


def test_two_labels_in_a_single_label_task_are_refused() -> None:
    rows = [{"media_id": "a", "file_path": "a.jpg", "labels": ["hare", "lynx"]}]
    catalog = Catalog.from_rows(rows, ".", "rows")
    with pytest.raises(DataError, match="task=multi-label"):
        target_matrix(catalog, ["hare", "lynx"], "single-label")
    assert target_matrix(catalog, ["hare", "lynx"], "multi-label").tolist() == [[1, 1]]


def test_class_weights_make_every_label_weigh_alike_and_keep_the_sum() -> None:
    targets = one_hot([90, 9, 1])
    weights = targets @ label_weights(targets, "single-label")
    assert (targets * weights[:, None]).sum(axis=0) == pytest.approx([100 / 3] * 3)


def test_sampling_draws_every_label_alike() -> None:
    targets = one_hot([90, 9, 1])
    assert sampling_weights(targets) @ targets == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("balance", "task"),
    [("class-weights", "single-label"), ("class-weights", "multi-label"), ("sampling", "single-label")],
)
def test_a_model_that_learnt_the_balanced_prior_says_the_natural_one(balance: str, task: str) -> None:
    recipe = resolve_recipe("small-cnn", None, [f"balance={balance}", f"task={task}"])
    targets = one_hot([90, 9, 1])
    natural = np.array([0.9, 0.09, 0.01])
    seen = np.zeros((1, 3))  # all alike; of several labels positives and negatives weigh alike
    said = probabilities_of(seen, task, prior_shift(recipe, targets))
    assert said[0] == pytest.approx(natural, rel=1e-5)


def test_a_label_that_no_media_has_was_not_weighed_and_is_not_shifted() -> None:
    recipe = resolve_recipe("small-cnn", None, ["balance=class-weights", "task=multi-label"])
    targets = np.pad(one_hot([90, 9, 1]), ((0, 0), (0, 1)))
    assert prior_shift(recipe, targets)[3] == pytest.approx(0)


def test_without_balance_or_correction_nothing_is_shifted() -> None:
    targets = one_hot([90, 9, 1])
    assert prior_shift(resolve_recipe("small-cnn"), targets) == ()
    kept = resolve_recipe("small-cnn", None, ["balance=sampling", "correct_prior=false"])
    assert prior_shift(kept, targets) == ()


@st.composite
def boxed_facts(draw: st.DrawFn) -> np.ndarray:
    """A nominal view inside the canvas and a box inside the view."""
    edges = [sorted(draw(st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4))) for _ in "xy"]
    (left, low_x, high_x, right), (top, low_y, high_y, bottom) = edges
    right, bottom = max(right, left + 0.1), max(bottom, top + 0.1)
    return np.array([[left, top, right, bottom, low_x, low_y, high_x, high_y]], np.float32)


@given(boxed_facts(), st.integers(0, 2**32 - 1))
def test_a_random_view_holds_the_whole_animal_where_it_fits(facts: np.ndarray, seed: int) -> None:
    change = Augmentation(crop_scale=0.5, crop_ratio=1.3, context=(1.0, 2.5), box_shift=0.3)
    views = random_views(facts, change, 1.3, np.random.default_rng(seed))
    centre, size = views[0, :2], views[0, 2:]
    low, high = facts[0, 4:6], facts[0, 6:8]
    for axis in range(2):
        if high[axis] - low[axis] <= size[axis] and low[axis] >= 0 and high[axis] <= 1:
            assert centre[axis] - size[axis] / 2 <= low[axis] + 1e-5
            assert centre[axis] + size[axis] / 2 >= high[axis] - 1e-5


def test_without_changes_the_view_is_what_prediction_sees() -> None:
    facts = np.array([[0.1, 0.2, 0.7, 0.9, *[np.nan] * 4], [-0.5, 0, 1.5, 1, *[np.nan] * 4]], np.float32)
    views = random_views(facts, Augmentation(), None, np.random.default_rng(0))
    assert views[0] == pytest.approx([0.4, 0.55, 0.6, 0.7])
    assert views[1] == pytest.approx([0.5, 0.5, 2.0, 1.0])  # padded at both sides, as prediction pads


def test_a_mirrored_view_looks_from_right_to_left() -> None:
    views = np.array([[0.5, 0.5, 1.0, 1.0]])
    no, yes = np.array([False]), np.array([True])
    plain = affine_matrices(views, no, no, np.zeros(1), 1.0)[0]
    mirrored = affine_matrices(views, yes, no, np.zeros(1), 1.0)[0]
    assert plain == pytest.approx(np.array([[1, 0, 0], [0, 1, 0]]), abs=1e-7)
    assert mirrored == pytest.approx(np.array([[-1, 0, 0], [0, 1, 0]]), abs=1e-7)


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        ({"balanced_accuracy": 1 / 3}, "balanced accuracy 0.333"),
        ({"macro_auc": 0.5}, "macro auc 0.500"),
        ({"balanced_accuracy": 0.4, "macro_auc": 0.6}, None),
        ({}, None),
    ],
)
def test_a_model_at_chance_is_told_and_others_are_not(figures: dict[str, float], told: str | None) -> None:
    card = Card(
        name="m",
        task="single-label",
        labels=("a", "b", "c"),
        embedding_size=1,
        preprocessing=resolve_recipe("head").preprocessing,
        metrics={name: Interval(value=value) for name, value in figures.items()},
    )
    said = chance_doubt(card)
    assert said is None if told is None else said is not None and told in said
