"""Shares with intervals over locations, or none."""

import numpy as np
import pytest

from trapline.evaluation.intervals import Resampling
from trapline.metrics import accuracy, estimate


def test_a_share_has_the_interval_of_whole_groups() -> None:
    random = np.random.default_rng(1)
    codes, whole = random.integers(0, 8, 200), random.random(200) < 0.7
    part = whole & (random.random(200) < 0.6)
    among = Resampling(codes, 200, 3).share(part, whole)
    assert among is not None
    assert among.value == part.sum() / whole.sum()
    truth, values = np.where(part[whole], 0, 1), np.tile([0.9, 0.1], (whole.sum(), 1))
    alone = estimate(accuracy, truth, values, codes[whole], 200, 3)
    assert (among.low, among.high) == pytest.approx((alone.low, alone.high))


def test_a_share_without_an_honest_interval_has_none() -> None:
    part, whole, codes = np.array([1, 0, 1]), np.ones(3), np.array([0, 1, 2])
    assert Resampling(codes, 50, 1).share(part, np.zeros(3)) is None, "of nothing"
    for found in (
        Resampling(np.zeros(3, int), 50, 1).share(part, whole),  # one group
        Resampling(codes, 50, 1).share(whole, whole),  # nothing varies
        Resampling(codes, 50, 1).share(part, np.array([1, 0, 0])),  # of one group alone
    ):
        assert found is not None
        assert (found.low, found.high) == (None, None)
