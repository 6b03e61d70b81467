"""Weighted shares: exact intervals where weights are equal, and no narrower ones where they are not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, hypergeom

from trapline.metrics import WeightedShare

DRAWS = 200_000


def bounds(share: WeightedShare, units: int | None = None) -> tuple[float, float]:
    random = np.random.default_rng(5)
    low, high = (
        share.draw(bound, DRAWS, random) if units is None else share.draw_among(units, bound, DRAWS, random)
        for bound in ("low", "high")
    )
    return float(np.quantile(low, 0.025, method="lower")), float(np.quantile(high, 0.975, method="higher"))


@pytest.mark.parametrize(("hits", "sample"), [(0, 12), (3, 12), (12, 12), (55, 60), (1, 1)])
@pytest.mark.parametrize("weight", [1.0, 7.5])
def test_equal_weights_give_the_interval_of_clopper_and_pearson(
    hits: int, sample: int, weight: float
) -> None:
    share = WeightedShare.of(np.arange(sample) < hits, np.full(sample, weight))
    exact = (beta.ppf(0.025, hits, sample - hits + 1), beta.ppf(0.975, hits + 1, sample - hits))
    assert share.value == hits / sample
    assert bounds(share) == pytest.approx(np.nan_to_num(exact, nan=float(hits > 0)).tolist(), abs=0.004)


@pytest.mark.parametrize(("hits", "sample", "units"), [(9, 10, 20), (4, 10, 100), (30, 30, 15), (0, 5, 3)])
def test_among_units_that_were_not_drawn_the_interval_is_that_of_a_finite_population(
    hits: int, sample: int, units: int
) -> None:
    """All numbers of hits under which the sample is no rarer than 2.5 % on its side (hypergeometric)."""
    whole = sample + units
    possible = [
        total - hits
        for total in range(hits, hits + units + 1)
        if hypergeom.cdf(hits, whole, total, sample) > 0.025
        and hypergeom.sf(hits - 1, whole, total, sample) > 0.025
    ]
    low, high = bounds(WeightedShare.of(np.arange(sample) < hits, np.ones(sample)), units)
    assert abs(low - possible[0]) <= 1  # a bound may fall on the border of two whole numbers
    assert abs(high - possible[-1]) <= 1


def test_a_unit_that_stands_for_many_counts_for_many() -> None:
    hit = np.array([True, False, False, False])
    heavy, light = (WeightedShare.of(hit, weights) for weights in ([9.0, 1, 1, 1], [1.0, 9, 9, 9]))
    assert heavy.value == 0.75
    assert light.value == 1 / 28


def test_the_unit_that_may_err_unseen_is_the_heaviest() -> None:
    """None of 100 units errs: by equal weights 3.6 % may; one that stands for half of all tells little."""
    all_hit, weights = np.ones(100, bool), np.ones(100)
    even = bounds(WeightedShare.of(all_hit, weights))
    weights[0] = 99.0
    uneven = bounds(WeightedShare.of(all_hit, weights))
    unknown = bounds(WeightedShare.of(all_hit[1:], weights[1:], heaviest=99.0))
    assert even[0] == pytest.approx(0.964, abs=0.002)
    assert uneven[0] < 0.6
    assert unknown[0] < 0.35


def test_no_units_say_nothing() -> None:
    share = WeightedShare.of([], [])
    assert share.value is None
    assert bounds(share) == (0.0, 1.0)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.floats(0.01, 1000)), min_size=1, max_size=30),
    st.integers(0, 50),
)
def test_bounds_are_on_both_sides_of_the_value(units: list[tuple[bool, float]], rest: int) -> None:
    hit, weights = zip(*units, strict=True)
    share = WeightedShare.of(hit, weights)
    random = np.random.default_rng(1)
    low, high = (
        np.quantile(share.draw(bound, 4000, random), q) for bound, q in (("low", 0.025), ("high", 0.975))
    )
    assert share.value is not None
    assert 0 <= low <= share.value + 1e-9
    assert share.value - 1e-9 <= high <= 1
    among = share.draw_among(rest, "high", 100, random)
    assert (among >= 0).all()
    assert (among <= rest).all()


def test_more_units_like_these_narrow_the_interval() -> None:
    share = WeightedShare.of(np.arange(40) < 32, np.full(40, 3.0))
    now, later = bounds(share), bounds(share.of_more(4))
    assert share.of_more(4).value == share.value
    assert (later[1] - later[0]) == pytest.approx((now[1] - now[0]) / 2, rel=0.12)
