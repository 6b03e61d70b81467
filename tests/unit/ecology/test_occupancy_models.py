"""Occupancy models against their definitions: likelihoods, derivatives, intervals, boundaries."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import check_grad, minimize
from scipy.special import expit
from scipy.stats import beta, betabinom, chi2, norm

from trapline.ecology import (
    FalsePositiveCounts,
    FalsePositiveRate,
    OccupancyFit,
    fit_occupancy,
    fit_score_occupancy,
)
from trapline.ecology.false_positives import rate_of_interval, read_false_positives
from trapline.ecology.occupancy_fit import OccupancyLikelihood, maximise
from trapline.errors import DataError, UsageError

RANDOM = np.random.default_rng(3)
N = 80
NAMES = tuple(map(str, range(N)))
OCCUPIED = RANDOM.random(N) < 0.5
WRONG = RANDOM.random((N, 5)) < 0.06
HISTORIES = np.where(OCCUPIED[:, None], RANDOM.random((N, 5)) < 0.5, WRONG).astype(float)
HISTORIES[RANDOM.random((N, 5)) < 0.1] = np.nan
TRUE = np.where(OCCUPIED[:, None], HISTORIES, np.minimum(HISTORIES, 0.0))
X = RANDOM.normal(size=N)
EFFORT = RANDOM.uniform(1, 7, (N, 5))
SCORES = RANDOM.normal(size=5 * N) + 3 * ((np.repeat(OCCUPIED, 5)) & (RANDOM.random(5 * N) < 0.5))
COUNTS = FalsePositiveCounts(("3", "7", "x"), np.array([1.0, 0.0, 2.0]), np.array([10.0, 4.0, 20.0]))
FILES_AT = [f"{index:02d}" for index in np.repeat(np.arange(N), 5)]
SEEN = np.where(RANDOM.random(5 * N) < 0.3, (SCORES > 1.5).astype(float), np.nan)


def confirmed() -> npt.NDArray[np.float64]:
    every_third = np.arange(5 * N).reshape(N, 5) % 3 == 0
    return np.where((TRUE == 1) & every_third, 1.0, 0.0)


def fits() -> dict[str, OccupancyFit]:
    """One of every kind."""
    covariates: dict[str, Any] = {"psi": "x", "p": "effort", "site_covariates": {"x": X}, "effort": EFFORT}
    return {
        "plain": fit_occupancy(TRUE),
        "covariates": fit_occupancy(TRUE, **covariates),
        "estimated": fit_occupancy(HISTORIES, false_positives="estimated"),
        "rate": fit_occupancy(HISTORIES, false_positives=FalsePositiveRate(6, 100), **covariates),
        "confirmed": fit_occupancy(HISTORIES, confirmed=confirmed(), **covariates),
        "counts": fit_occupancy(HISTORIES, false_positives=COUNTS, locations=NAMES),
        "scores": fit_score_occupancy(SCORES, FILES_AT, seen=SEEN, psi="x", site_covariates={"x": X}),
        "audited": fit_score_occupancy(SCORES, FILES_AT, audited=([0.1, -1, 3, 2.5], [0, 0, 1, 1])),
    }


FITS = fits()


@pytest.mark.parametrize("name", FITS)
def test_the_derivative_is_that_of_the_likelihood(name: str) -> None:
    likelihood = FITS[name].maximum.likelihood
    for shift in (0.0, 0.3):
        parameters = np.clip(FITS[name].maximum.parameters, -4, 4) + shift
        off = check_grad(
            lambda at: likelihood.loss(at)[0], lambda at: likelihood.loss(at)[1], parameters, epsilon=1e-6
        )
        assert off < 1e-3
        assert np.isfinite(likelihood.loss(parameters)[0])


def test_the_likelihood_is_that_of_mackenzie_2002() -> None:
    fit = FITS["plain"]
    psi, p = fit.psi.value, fit.p.value
    assert psi is not None
    assert p is not None
    total = 0.0
    for history in TRUE:
        seen = history[~np.isnan(history)]
        inside = np.prod(np.where(seen > 0, p, 1 - p))
        total += np.log(psi * inside + (1 - psi) * float(not seen.any()))
    assert fit.log_likelihood == pytest.approx(total)
    assert fit.aic == pytest.approx(4 - 2 * total)
    assert fit.aicc == pytest.approx(fit.aic + 2 * 2 * 3 / (N - 3))


def test_the_likelihood_of_uncertain_detections_is_that_of_miller_2011() -> None:
    fit = FITS["confirmed"]
    rates = {name: one.estimate for name, one in fit.probabilities.items()}
    wrong, sure = rates["false_positive"], rates["certain"]
    assert wrong is not None
    assert sure is not None
    slopes = {part: [one.estimate for one in each.values()] for part, each in fit.coefficients.items()}
    table, total = np.where(confirmed() > 0, 2, HISTORIES), 0.0
    for site, history in enumerate(table):
        psi = expit(slopes["psi"][0] + slopes["psi"][1] * X[site])
        here = elsewhere = 1.0
        for occasion in np.flatnonzero(~np.isnan(history)):
            p = expit(slopes["p"][0] + slopes["p"][1] * EFFORT[site, occasion])
            value = int(history[occasion])
            here *= (1 - p, p * (1 - sure), p * sure)[value]
            elsewhere *= (1 - wrong, wrong, 0.0)[value]
        total += np.log(psi * here + (1 - psi) * elsewhere)
    assert fit.log_likelihood == pytest.approx(total, abs=1e-6)


def test_rates_by_location_are_beta_binomial() -> None:
    evidence = FITS["counts"].maximum.likelihood.evidence
    parameters = np.array([-0.4, -2.5, 2.0])
    left, right = expit(-2.5) * np.exp(2.0), (1 - expit(-2.5)) * np.exp(2.0)
    present, absent = evidence.logs(parameters)
    told = np.nansum(HISTORIES[3])
    count = (~np.isnan(HISTORIES[3])).sum()
    audited = betabinom.logpmf(1, 10, left, right) - betabinom.logpmf(0, 0, 1, 1) - np.log(10)
    p = expit(-0.4)
    assert present[3] == pytest.approx(told * np.log(p) + (count - told) * np.log(1 - p) + audited)
    then = beta(left + 1, right + 9)
    expected = then.expect(lambda rate: rate**told * (1 - rate) ** (count - told))
    assert absent[3] == pytest.approx(np.log(expected) + audited, abs=1e-4)
    assert evidence.outside(parameters)[0] == pytest.approx(
        betabinom.logpmf(2, 20, left, right) - np.log(190)
    )


def test_the_likelihood_of_scores_is_that_of_rhinehart_2022() -> None:
    evidence = FITS["audited"].maximum.likelihood.evidence
    middle, spread = FITS["audited"].score_scale
    parameters = np.array([0.2, -0.5, np.log(0.8), np.log(1.7), np.log(0.6)])
    present, absent = evidence.logs(parameters)
    scores = (SCORES[:5] - middle) / spread
    low, high = norm(-0.5, 0.8).pdf(scores), norm(1.2, 0.6).pdf(scores)
    theta = expit(0.2)
    assert present[0] == pytest.approx(np.log(theta * high + (1 - theta) * low).sum())
    assert absent[0] == pytest.approx(np.log(low).sum())


@pytest.mark.parametrize("name", ["plain", "covariates", "rate", "confirmed", "scores"])
def test_the_ends_of_a_profile_interval_are_where_a_ratio_test_ends(name: str) -> None:
    maximum = FITS[name].maximum
    direction = np.zeros(len(maximum.parameters))
    direction[:2] = [1.0, 0.4]
    ends = maximum.profile(direction)
    for end in (ends.low, ends.high):
        assert end is not None

        def at(rest: npt.NDArray[np.float64], end: float = end) -> npt.NDArray[np.float64]:
            return np.concatenate([[end - 0.4 * rest[0]], rest])

        best = minimize(lambda rest: maximum.likelihood.loss(at(rest))[0], maximum.parameters[1:])
        assert 2 * (best.fun - maximum.loss) == pytest.approx(chi2.ppf(0.95, 1), abs=0.01)


def test_covariates_may_be_of_any_scale() -> None:
    small = fit_occupancy(TRUE, psi="x", site_covariates={"x": X})
    large = fit_occupancy(TRUE, psi="x", site_covariates={"x": 1e6 * X + 5e7})
    slopes = [fit.coefficients["psi"]["x"].estimate for fit in (small, large)]
    assert slopes[1] is not None
    assert slopes[0] == pytest.approx(1e6 * slopes[1], rel=1e-4)
    assert small.aic == pytest.approx(large.aic, abs=1e-6)
    assert small.psi.value == pytest.approx(large.psi.value, abs=1e-5)


def test_psi_is_at_the_means_or_where_one_asks() -> None:
    covariates = {"x": X, "h": ["a", "b"] * (N // 2)}
    fit = fit_occupancy(TRUE, psi="x + I(x^2) + h", site_covariates=covariates)
    assert fit.at_psi == {"x": pytest.approx(X.mean()), "h": "a"}
    slopes = {name: one.estimate for name, one in fit.coefficients["psi"].items()}
    assert None not in slopes.values()
    mean = X.mean()
    expected = slopes["(Intercept)"] + slopes["x"] * mean + slopes["I(x^2)"] * mean**2
    assert fit.psi.value == pytest.approx(expit(expected))
    other = fit_occupancy(TRUE, psi="x + h", site_covariates=covariates, at={"x": 1, "h": "b"})
    assert other.at_psi == {"x": 1.0, "h": "b"}
    each = other.predict()
    assert other.psi_mean.value == pytest.approx(each["psi"].mean())
    with pytest.raises(UsageError, match="at names z, which no formula uses"):
        fit_occupancy(TRUE, at={"z": 1.0})


def test_where_it_was_seen_it_is_and_elsewhere_as_bayes_says() -> None:
    fit = FITS["plain"]
    occupied = fit.predict()["occupied"].to_numpy()
    assert (occupied[np.nansum(TRUE, axis=1) > 0] == 1).all()
    psi, p = fit.psi.value, fit.p.value
    assert psi is not None
    assert p is not None
    silent = int(np.flatnonzero(np.nansum(TRUE, axis=1) == 0)[0])
    missed = psi * (1 - p) ** (~np.isnan(TRUE[silent])).sum()
    assert occupied[silent] == pytest.approx(missed / (missed + 1 - psi))


def test_what_is_everywhere_has_no_false_interval() -> None:
    fit = fit_occupancy(np.tile([1.0, 0, 1, 1], (30, 1)))
    psi = fit.probabilities["psi"]
    assert psi.estimate == pytest.approx(1.0, abs=1e-6)
    assert (psi.wald.low, psi.wald.high) == (None, None)
    assert psi.method == "profile"
    assert psi.profile.high == 1.0
    assert 0.8 < (psi.profile.low or 0) < 1
    assert fit.coefficients["psi"]["(Intercept)"].estimate is None
    assert "stands at a boundary" in " ".join(fit.notes)


def test_a_covariate_that_tells_all_apart_has_no_estimate() -> None:
    detections = np.zeros((40, 4))
    detections[20:, ::2] = 1
    fit = fit_occupancy(detections, psi="x", site_covariates={"x": np.repeat([0.0, 1.0], 20)})
    slope = fit.coefficients["psi"]["x"]
    assert slope.estimate is None
    assert slope.wald.low is None
    assert slope.profile.low is not None
    assert slope.profile.high is None


@pytest.mark.parametrize(
    ("detections", "message"),
    [
        (np.zeros((5, 3)), "detected at none of 5 locations"),
        ([[1.0], [0.0]], "more than one occasion"),
        ([[1, np.nan], [np.nan, 0]], "more than one occasion"),
        ([[1, 3], [0, 0]], "have 3: numbers of records are no detections"),
        ([[1, 2], [0, 0]], "say certain"),
        ([1, 0], "locations × occasions"),
        ([["a", "b"]], "must be numbers"),
        (np.full((3, 3), np.nan), "No location is left"),
    ],
)
def test_what_cannot_be_estimated_is_refused_with_words(detections: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit_occupancy(detections)


def test_locations_that_lack_a_covariate_are_named_and_left_out() -> None:
    x = X.copy()
    x[[2, 5]] = np.nan
    detections, effort = TRUE.copy(), EFFORT.copy()
    detections[7] = np.nan
    effort[0, 0], detections[0, 0] = np.nan, 0
    fit = fit_occupancy(
        detections, psi="x", p="effort", site_covariates={"x": x}, effort=effort, locations=NAMES
    )
    assert fit.survey.left_out == {"2": "lacks x", "5": "lacks x", "7": "has no observation"}
    assert any("2 locations left out, as each lacks x: 2, 5." in note for note in fit.notes)
    assert any("1 observation left out, for want of effort" in note for note in fit.notes)
    kept = np.delete(np.arange(N), [2, 5, 7])
    detections[0, 0] = np.nan
    same = fit_occupancy(
        detections[kept], psi="x", p="effort", site_covariates={"x": x[kept]}, effort=effort[kept]
    )
    assert fit.aic == pytest.approx(same.aic)
    assert fit_occupancy(TRUE, site_covariates={"x": x}).survey.left_out == {}


def test_a_rate_with_its_interval_is_a_beta_distribution() -> None:
    known = rate_of_interval(0.01, 0.05, 0.02)
    assert known.wrong / known.checked == pytest.approx(0.02)
    low, high = beta.ppf([0.025, 0.975], known.wrong, known.checked - known.wrong)
    width = np.log(high / (1 - high)) - np.log(low / (1 - low))
    assert width == pytest.approx(np.log(0.05 / 0.95) - np.log(0.01 / 0.99), abs=1e-6)
    assert read_false_positives("0.02:0.01-0.05") == known
    assert isinstance(read_false_positives("0.01-0.05"), FalsePositiveRate)
    for wrong in ("0.5:0.6-0.7", "0:0-0.1", "0.02:0.0001-0.99999"):
        with pytest.raises(UsageError, match="rate"):
            read_false_positives(wrong)
    with pytest.raises(UsageError, match=r"'0\.02' is none of them"):
        read_false_positives("0.02")


def test_knowing_of_false_positives_takes_them_out() -> None:
    naive = fit_occupancy(HISTORIES).psi.value
    assert naive is not None
    for name in ("rate", "confirmed", "counts", "estimated"):
        value = FITS[name].psi.value
        assert value is not None
        assert value < naive - 0.1
        assert FITS[name].probabilities["psi"].method == "profile"


def test_histories_of_all_kinds_sum_to_one() -> None:
    """The probabilities of all histories of four occasions, at each location, under every model of errors."""
    histories = np.array(list(itertools.product([0.0, 1.0, 2.0], repeat=3)))
    for known, values in (("estimated", 2), ("certain", 3)):
        kept = histories[(histories < values).all(axis=1)]
        fit = fit_occupancy(kept, certain=known == "certain", false_positives=FalsePositiveRate(3, 50))
        logs, _ = fit.maximum.likelihood.log_likelihoods(np.array([0.3, -0.2, -2.0, 0.4])[: fit.parameters])
        assert np.exp(logs).sum() == pytest.approx(1.0)


def test_goodness_of_fit_is_pearsons_over_histories() -> None:
    detections = np.repeat([[0.0, 0], [1, 0], [0, 1], [1, 1]], [50, 10, 14, 26], axis=0)
    fit = fit_occupancy(detections).with_goodness(samples=19, seed=1)
    psi, p = fit.psi.value, fit.p.value
    assert psi is not None
    assert p is not None
    expected = 100 * np.array(
        [1 - psi + psi * (1 - p) ** 2, psi * p * (1 - p), psi * p * (1 - p), psi * p * p]
    )
    chi_square = ((np.array([50, 10, 14, 26]) - expected) ** 2 / expected).sum()
    tested = fit.goodness
    assert tested is not None
    assert tested.chi_square == pytest.approx(chi_square)
    assert 0 < tested.chi_square_p <= 1
    assert tested == fit.with_goodness(samples=19, seed=1).goodness
    for name in ("rate", "confirmed", "counts"):
        again = FITS[name].with_goodness(samples=3).goodness
        assert again is not None
        assert np.isfinite(again.chi_square)
    with pytest.raises(UsageError, match="no such test for scores"):
        FITS["scores"].with_goodness(3)


def test_more_detections_than_the_model_knows_of_are_no_good_fit() -> None:
    """Detection that differs between locations: half of them never, half always."""
    detections = np.repeat([[0.0] * 6, [1, 0, 0, 0, 0, 0], [1] * 6], [40, 30, 30], axis=0)
    tested = fit_occupancy(detections).with_goodness(samples=39).goodness
    assert tested is not None
    assert tested.chi_square_p <= 0.05
    assert tested.c_hat > 2


def test_several_starts_lead_to_the_highest() -> None:
    fit = FITS["estimated"]
    likelihood = OccupancyLikelihood(fit.maximum.likelihood.columns, fit.maximum.likelihood.evidence)
    assert maximise(likelihood).loss == pytest.approx(fit.maximum.loss)
    value, wrong = fit.p.value, fit.probabilities["false_positive"].estimate
    assert value is not None
    assert wrong is not None
    assert value > wrong


def test_scores_and_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(DataError, match="All scores are equal"):
        fit_score_occupancy(np.ones(6), ["a", "a", "b", "b", "c", "c"])
    with pytest.raises(DataError, match="more than one score"):
        fit_score_occupancy([1.0, 2.0], ["a", "b"])
    with pytest.raises(DataError, match="missing or infinite"):
        fit_score_occupancy([np.inf, 2.0], ["a", "a"])
    with pytest.raises(DataError, match="not listed: b"):
        fit_score_occupancy([1.0, 2.0], ["a", "b"], locations=["a"])
    with pytest.raises(DataError, match="cannot be more than these"):
        FalsePositiveCounts(("a",), np.array([3.0]), np.array([2.0]))
    with pytest.raises(UsageError, match="two models"):
        fit_occupancy(HISTORIES, confirmed=confirmed(), false_positives=COUNTS, locations=NAMES)
    with pytest.raises(DataError, match="confirmed at which the histories have no detection"):
        fit_occupancy(TRUE, confirmed=np.ones((N, 5)))
