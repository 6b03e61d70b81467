"""Shares with intervals over locations: the middle 95 of 100 resamples, or none."""

import numpy as np
import pytest

from trapline.evaluation.intervals import Resampling
from trapline.metrics.intervals import draw_weights


def test_a_share_is_resampled_by_whole_groups() -> None:
    random = np.random.default_rng(1)
    codes, whole = random.integers(0, 8, 200), random.random(200) < 0.7
    part = whole & (random.random(200) < 0.6)
    drawn = [(w @ part) / (w @ whole) for weights in draw_weights(codes, 200, 3) for w in weights]
    found = Resampling(codes, 200, 3).share(part, whole)
    assert found is not None
    assert found.value == part.sum() / whole.sum()
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))


def test_a_share_without_an_honest_interval_has_none() -> None:
    part, whole, codes = np.array([1, 0, 1]), np.ones(3), np.array([0, 1, 2])
    assert Resampling(codes, 50, 1).share(part, np.zeros(3)) is None, "of nothing"
    for found in (
        Resampling(np.zeros(3, int), 50, 1).share(part, whole),  # one group
        Resampling(codes, 50, 1).share(whole, whole),  # nothing varies
        Resampling(codes, 50, 1).share(
            part, np.array([1, 0, 0])
        ),  # a third of the resamples has nothing to share
    ):
        assert found is not None
        assert (found.low, found.high) == (None, None)
