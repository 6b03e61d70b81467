"""Densities on the circle agree with their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ive

from trapline.ecology import activity_density, curve_intervals
from trapline.ecology.circular import TURN, moments, plug_in_concentration
from trapline.ecology.resampling import BINS, BinnedDensities, bin_of
from trapline.errors import DataError, UsageError


def direct(radians: np.ndarray, at: np.ndarray, concentration: float) -> np.ndarray:
    """The sum of kernels, one a time."""
    away = np.cos(at[:, None] - radians) - 1
    return np.asarray((np.exp(concentration * away) / (TURN * ive(0, concentration))).mean(axis=1))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(0, TURN, exclude_max=True), min_size=5, max_size=40, unique=True),
    st.floats(0.1, 10),
)
def test_the_series_is_the_sum_of_kernels(times: list[float], adjust: float) -> None:
    radians = np.array(times)
    curve = activity_density(radians, adjust=adjust)
    grid = np.linspace(0, TURN, 50)
    wanted = direct(radians, grid, curve.concentration)
    np.testing.assert_allclose(curve.at(grid), wanted, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(curve.on_grid(49), wanted[:-1], rtol=1e-9, atol=1e-9)


def test_a_density_of_many_times_is_the_sum_of_kernels_too() -> None:
    radians = np.random.default_rng(1).vonmises(2, 3, 50_000) % TURN
    curve = activity_density(radians)
    grid = np.linspace(0, TURN, 9)
    np.testing.assert_allclose(curve.at(grid), direct(radians, grid, curve.concentration), atol=1e-9)


def test_a_density_integrates_to_one_and_turns_with_the_clock() -> None:
    radians = np.random.default_rng(2).vonmises(1, 2, 60) % TURN
    curve, later = activity_density(radians), activity_density(radians + 1.0)
    assert curve.on_grid(512).mean() * TURN == pytest.approx(1)
    np.testing.assert_allclose(later.at(np.array([2.5])), curve.at(np.array([1.5])))


def test_the_plug_in_concentration_is_taylors_formula() -> None:
    kappa, count = 2.0, 500
    exact = np.array([1, *(ive(k, kappa) / ive(0, kappa) for k in (1, 2, 3))], dtype=np.complex128)
    bessel = np.i0(kappa), ive(2, 2 * kappa) * np.exp(2 * kappa)
    wanted = (3 * count * kappa**2 * bessel[1] / (4 * np.sqrt(np.pi) * bessel[0] ** 2)) ** 0.4
    assert float(plug_in_concentration(exact, count)) == pytest.approx(wanted, rel=1e-5)


def test_moments_are_means_of_powers() -> None:
    radians = np.array([0.3, 2.0, 5.5])
    np.testing.assert_allclose(moments(radians, 2)[2], np.exp(2j * radians).mean())


def test_bins_are_nearly_the_density_itself() -> None:
    radians = np.random.default_rng(3).vonmises(1, 4, 300) % TURN
    counts = np.bincount(bin_of(radians), minlength=BINS)[None].astype(float)
    curve = activity_density(radians)
    np.testing.assert_allclose(BinnedDensities(counts).at_bins(1.0)[0], curve.on_grid(BINS), atol=1e-3)


def test_the_activity_level_is_the_area_under_the_curve_by_its_rectangle() -> None:
    even = activity_density(np.linspace(0, TURN, 1000, endpoint=False))
    assert even.level == pytest.approx(1, abs=0.01)
    by_day = activity_density(np.random.default_rng(4).uniform(TURN / 4, 3 * TURN / 4, 5000))
    assert by_day.level == pytest.approx(0.5, abs=0.08)


def test_intervals_hold_the_estimate_and_are_the_same_again() -> None:
    curve = activity_density(np.random.default_rng(5).vonmises(1, 2, 80) % TURN)
    one, again = (curve_intervals(curve, resamples=200, seed=3) for _ in range(2))
    assert one.level == again.level
    assert one.level.low is not None
    assert one.level.high is not None
    assert one.level.low < curve.level < one.level.high
    assert (one.low <= curve.on_grid(96)).all()
    assert one.over == "records"


def test_times_too_few_or_all_alike_have_no_density() -> None:
    for radians in (np.array([1.0, 2.0]), np.ones(9)):
        with pytest.raises(DataError, match="no density of times of day"):
            activity_density(radians)
    with pytest.raises(UsageError, match="above 0"):
        activity_density(np.arange(6.0), adjust=0)
