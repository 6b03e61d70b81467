"""Overlap of activity: estimators against their definitions and R, intervals, the test of a difference."""

import numpy as np
import pytest

from trapline.ecology import activity_density, activity_overlap, randomisation_test
from trapline.ecology.circular import TURN
from trapline.ecology.overlap_estimators import (
    ADJUST,
    binned_estimates,
    choose_estimator,
    overlap_estimates,
)
from trapline.ecology.overlap_limits import _alike
from trapline.ecology.resampling import BINS, BinnedDensities, bin_of
from trapline.errors import DataError

RNG = np.random.default_rng(1)
FIRST, SECOND = RNG.vonmises(1.5, 2, 60) % TURN, RNG.vonmises(3.5, 2, 90) % TURN


def test_estimators_are_what_their_papers_say() -> None:
    values = overlap_estimates(FIRST, SECOND)
    grid = np.linspace(0, TURN, 20_000, endpoint=False)
    f, g = (activity_density(times, adjust=ADJUST["dhat1"]) for times in (FIRST, SECOND))
    assert values["dhat1"] == pytest.approx(np.minimum(f.at(grid), g.at(grid)).mean() * TURN, abs=1e-3)
    f, g = (activity_density(times) for times in (FIRST, SECOND))
    parts = [np.minimum(1, b.at(x) / a.at(x)).mean() for a, b, x in ((f, g, FIRST), (g, f, SECOND))]
    assert values["dhat4"] == pytest.approx(sum(parts) / 2)
    f, g = (activity_density(times, adjust=ADJUST["dhat5"]) for times in (FIRST, SECOND))
    parts = [(f.at(FIRST) < g.at(FIRST)).mean(), (g.at(SECOND) <= f.at(SECOND)).mean()]
    assert values["dhat5"] == pytest.approx(sum(parts))


def test_estimators_do_not_mind_the_order_of_species_nor_the_hour_zero() -> None:
    values = overlap_estimates(FIRST, SECOND)
    assert overlap_estimates(SECOND, FIRST) == pytest.approx(values)
    turned = overlap_estimates((FIRST + 2) % TURN, (SECOND + 2) % TURN)
    assert turned == pytest.approx(values, abs=2e-3)
    assert overlap_estimates(FIRST, FIRST)["dhat4"] == pytest.approx(1)


def test_estimates_of_bins_are_those_of_the_times() -> None:
    binned = [
        BinnedDensities(np.bincount(bin_of(times), minlength=BINS)[None].astype(float))
        for times in (FIRST, SECOND)
    ]
    made = binned_estimates(*binned)
    values = overlap_estimates(FIRST, SECOND)
    assert made["dhat1"][0] == pytest.approx(values["dhat1"], abs=2e-3)
    assert made["dhat4"][0] == pytest.approx(values["dhat4"], abs=2e-3)
    assert made["dhat5"][0] == pytest.approx(values["dhat5"], abs=0.03)  # a record more or less


def test_the_smaller_sample_chooses_the_estimator() -> None:
    assert [choose_estimator(sizes) for sizes in ((49, 500), (74, 75), (75, 75))] == [
        "dhat1",
        "dhat1",
        "dhat4",
    ]


@pytest.mark.parametrize("overlap", [0.05, 0.3, 0.6, 0.99, 1.0])
def test_patterns_made_more_or_less_alike_have_that_overlap(overlap: float) -> None:
    f, g = (activity_density(times).on_grid(BINS) for times in (FIRST, SECOND))
    first, second = _alike(f / f.sum(), g / g.sum(), overlap)
    assert np.minimum(first, second).sum() == pytest.approx(overlap, abs=1e-9)
    assert first.sum() == pytest.approx(1)
    assert first.min() >= 0


def test_the_interval_of_patterns_that_are_one_reaches_one_and_basic0_does_not() -> None:
    rng = np.random.default_rng(5)
    pair = rng.vonmises(2, 3, 50) % TURN, rng.vonmises(2, 3, 60) % TURN
    one = activity_overlap(*pair, resamples=200)
    ours, usual = one.recommended, one.basic0[one.estimator]
    assert ours.high == 1.0
    assert usual.value == ours.value
    assert usual.high is not None
    assert usual.high < 1


def test_intervals_hold_the_estimates_and_are_the_same_again() -> None:
    one, again = (activity_overlap(FIRST, SECOND, resamples=200, seed=9) for _ in range(2))
    for estimate in (one.dhat1, one.dhat4, one.dhat5):
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.value is not None
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert one == again or (one.dhat1, one.dhat4, one.dhat5) == (again.dhat1, again.dhat4, again.dhat5)
    assert one.recommended == one.dhat1


def test_locations_that_have_their_own_hours_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    shift = rng.uniform(-2, 2, 20)
    names = np.repeat(np.arange(20), 24).astype(str)
    first, second = ((rng.vonmises(mean, 20, 480) + np.repeat(shift, 24)) % TURN for mean in (2, 3))
    over = {
        kind: activity_overlap(first, second, locations=(names, names), over=kind, resamples=200)
        for kind in ("records", "locations", "auto")
    }
    widths = {kind: one.dhat4.high - one.dhat4.low for kind, one in over.items()}  # type: ignore[operator]
    assert widths["locations"] > 1.3 * widths["records"]
    assert over["auto"].over == "locations"
    assert over["auto"].locations == 20


def test_few_locations_are_not_drawn_unless_asked_for_and_unknown_ones_never() -> None:
    names = np.repeat(["A", "B", "C"], 20).astype(str), np.repeat(["A", "B", "C"], 30).astype(str)
    assert activity_overlap(FIRST, SECOND, locations=names, resamples=100).over == "records"
    with pytest.raises(DataError, match="none is known"):
        activity_overlap(FIRST, SECOND, over="locations", resamples=100)


def test_one_pattern_is_not_told_apart_and_two_are() -> None:
    rng = np.random.default_rng(8)
    same = [
        randomisation_test(*(rng.vonmises(1, 2, 40) % TURN for _ in range(2)), exchanges=99)
        for _ in range(20)
    ]
    assert 0.2 < np.mean(same) < 0.8
    assert min(same) >= 0.01
    assert randomisation_test(FIRST, SECOND, exchanges=99) == 0.01


def test_basic0_is_over_records_whatever_the_interval_is_over() -> None:
    names = (
        np.resize(np.arange(12).astype(str), len(FIRST)),
        np.resize(np.arange(12).astype(str), len(SECOND)),
    )
    over_records = activity_overlap(FIRST, SECOND, resamples=100)
    over_locations = activity_overlap(FIRST, SECOND, locations=names, over="locations", resamples=100)
    assert over_locations.over == "locations"
    assert over_locations.basic0 == over_records.basic0
