"""Which labels are said, and blanks put back: the definitions, computed another way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trapline import metrics
from trapline.metrics import log_odds, restore_blanks, sigmoid


@given(arrays(np.float64, (3, 4), elements=st.floats(0, 1)))
def test_blank_is_never_said_beside_another_label(values: np.ndarray) -> None:
    found = metrics.labels_said(values, blank=1)
    assert not (found[:, 1] & np.delete(found, 1, axis=1).any(axis=1)).any()
    likely = values.max(axis=1) >= 0.5
    assert (found.any(axis=1) == likely).all()  # something stays said
    assert (found <= (values >= 0.5)).all()


def test_the_likelier_side_is_said() -> None:
    values = [[0.9, 0.8, 0.7], [0.9, 0.95, 0.7], [0.2, 0.6, 0.1]]
    assert metrics.labels_said(values, blank=1).tolist() == [
        [True, False, True],
        [False, True, False],
        [False, True, False],
    ]
    assert metrics.labels_said(values).tolist()[0] == [True, True, True]


@given(
    st.lists(st.floats(0.01, 0.5), min_size=2, max_size=3),
    st.floats(0.05, 0.95),
    st.floats(0.01, 1.0),
)
def test_blanks_are_put_back_as_bayes_rule_says(animals: list[float], blank: float, kept: float) -> None:
    natural = np.array([blank, *(chance * (1 - blank) for chance in animals)])
    stays = kept * blank + (1 - blank)  # the chance that a media is in the sample
    sampled = natural * np.array([kept] + [1.0] * len(animals)) / stays
    restored = sigmoid(restore_blanks(log_odds(sampled), 0, kept))
    np.testing.assert_allclose(restored, natural, atol=1e-5)


def test_with_all_blanks_kept_logits_stay_as_they_are() -> None:
    values = np.array([[1.0, -2.0]])
    np.testing.assert_array_equal(restore_blanks(values, 0, 1.0), values)


def test_far_from_zero_the_correction_is_finite() -> None:
    found = restore_blanks(np.array([[60.0, 60.0], [-60.0, -60.0], [60.0, -60.0]]), 0, 0.1)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("kept", [0.1, 0.5])
def test_dropped_blanks_are_counted_back_from_drawn_media(kept: float) -> None:
    random = np.random.default_rng(1)
    kind = random.integers(0, 4, 400_000)  # four kinds of media; within one a media is blank by chance
    blank = random.random(len(kind)) < np.array([0.95, 0.6, 0.3, 0.05])[kind]
    hare = ~blank & (random.random(len(kind)) < 0.5)
    sample = ~blank | (random.random(len(kind)) < kept)
    for one in range(4):
        inside = sample & (kind == one)
        seen = np.array([blank[inside].mean(), hare[inside].mean()])
        truth = np.array([blank[kind == one].mean(), hare[kind == one].mean()])
        np.testing.assert_allclose(sigmoid(restore_blanks(log_odds(seen), 0, kept)), truth, atol=0.01)
