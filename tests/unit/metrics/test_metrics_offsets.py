"""Offsets of a softmax: found again, held by their prior, and little changed by few media."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from trapline.errors import DataError
from trapline.metrics import fit_offsets, fit_scaling, fit_temperature, log_loss
from trapline.metrics.calibration import SLOPE_STRENGTH, _fit_offsets


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def drawn(media: int, labels: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated logits and truth drawn from their probabilities."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (media, labels))
    return logits, (softmax(logits).cumsum(axis=1) > random.random((media, 1))).argmax(axis=1)


def test_a_slope_and_offsets_that_many_media_had_are_found_again() -> None:
    logits, truth = drawn(8000)
    shifts = np.array([1.0, -0.5, 0.0, -0.5])
    slope, offsets = fit_offsets((logits - shifts) * 2, truth)
    assert slope == pytest.approx(0.5, rel=0.05)
    assert offsets == pytest.approx(shifts, abs=0.1)
    assert offsets.sum() == pytest.approx(0, abs=1e-9)


def test_each_spread_has_the_maximum_of_the_posterior_that_the_text_names() -> None:
    logits, truth = drawn(60, seed=3)
    spread = 0.5

    def posterior(parameters: np.ndarray) -> float:
        slope, offsets = np.exp(parameters[0]), parameters[1:]
        chances = softmax(logits * slope + offsets)[np.arange(60), truth]
        prior = SLOPE_STRENGTH * (slope - np.log(slope)) + (offsets**2).sum() / (2 * spread**2)
        return float(-np.log(chances).sum() + prior)

    best = minimize(posterior, np.zeros(5), method="Nelder-Mead", options={"maxiter": 20_000, "xatol": 1e-6})
    slope, offsets = _fit_offsets(logits, truth, 1.0, spread)
    assert slope == pytest.approx(np.exp(best.x[0]), rel=1e-3)
    assert offsets == pytest.approx(best.x[1:] - best.x[1:].mean(), abs=1e-3)


def test_logits_that_are_right_are_left_nearly_as_they_are_by_a_few_media() -> None:
    logits, truth = drawn(6000, labels=10)
    honest = float(log_loss(truth, softmax(logits)))
    losses = []
    for start in range(0, 500, 25):
        slope, offsets = fit_offsets(logits[start : start + 25], truth[start : start + 25])
        losses.append(float(log_loss(truth[1000:], softmax(logits[1000:] * slope + offsets))))
    assert np.mean(losses) < honest + 0.03


def test_logits_of_other_shares_are_put_right_by_a_few_media() -> None:
    logits, truth = drawn(6000, labels=10)
    shifted = (logits + np.linspace(-2, 2, 10)) * 1.5
    before, best = float(log_loss(truth, softmax(shifted))), float(log_loss(truth, softmax(logits)))
    slope, offsets = fit_offsets(shifted[:100], truth[:100])
    after = float(log_loss(truth[1000:], softmax(shifted[1000:] * slope + offsets)))
    assert before - after > 0.7 * (before - best)


def test_a_label_that_no_media_shows_keeps_a_sane_offset() -> None:
    logits, truth = drawn(50)
    shown = truth != 2
    slope, offsets = fit_offsets(logits[shown], truth[shown])
    assert -4 < offsets[2] < 0
    assert slope > 0
    _, of_one = fit_offsets(logits[:1], truth[:1])
    assert np.abs(of_one).max() < 1


@given(st.integers(1, 30), st.integers(2, 6), st.integers(0, 99), st.sampled_from([0.01, 1.0, 30.0, 1e4]))
@settings(deadline=None, max_examples=25)
def test_whatever_the_media_are_the_numbers_are_finite(
    media: int, labels: int, seed: int, scale: float
) -> None:
    random = np.random.default_rng(seed)
    logits, truth = random.normal(0, scale, (media, labels)), random.integers(0, labels, media)
    slope, offsets = fit_offsets(logits, truth)
    assert 0.05 - 1e-9 <= slope <= 20 + 1e-9
    assert np.isfinite(offsets).all()
    again, shifted = fit_offsets(logits + random.normal(0, 5, (media, 1)), truth)
    assert again == pytest.approx(slope, rel=1e-2), "what is added to all labels of a media says nothing"
    assert shifted == pytest.approx(offsets, abs=5e-2)


def test_what_is_no_softmax_is_refused() -> None:
    with pytest.raises(DataError, match="offsets of several labels"):
        fit_offsets(np.zeros((2, 2)), np.eye(2, dtype=int))
    with pytest.raises(DataError, match="finite"):
        fit_offsets(np.full((2, 2), np.nan), [0, 1])


def test_a_stronger_prior_holds_the_temperature_nearer_to_one() -> None:
    logits, truth = drawn(20)
    weak, strong = (fit_temperature(logits * 3, truth, strength=strength) for strength in (1, 50))
    assert 1 < strong < weak
    assert fit_temperature(logits * 3, truth) == weak
    assert len(fit_scaling(logits, np.eye(4)[truth])) == 2
