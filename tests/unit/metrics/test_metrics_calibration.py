"""Temperature and prior shift do what they promise."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from trapline import metrics
from trapline.errors import DataError


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def drawn(seed: int, media: int = 4000, labels: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated logits and truth drawn from their probabilities."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (media, labels))
    return logits, np.array([random.choice(labels, p=row) for row in softmax(logits)])


@given(st.floats(0.2, 8))
@settings(max_examples=10, deadline=None)
def test_a_known_temperature_is_found_again(factor: float) -> None:
    logits, truth = drawn(1, media=1500)
    honest = metrics.fit_temperature(logits, truth)
    assert honest == pytest.approx(1, abs=0.1)
    assert metrics.fit_temperature(logits * factor, truth) == pytest.approx(honest * factor, rel=0.02)


def test_no_other_temperature_has_a_lower_loss() -> None:
    logits, truth = drawn(2, media=500)
    found = metrics.fit_temperature(logits * 3, truth)
    losses = [
        float(metrics.log_loss(truth, softmax(logits * 3 / temperature)))
        for temperature in (found * 0.98, found, found * 1.02)
    ]
    assert min(losses) == losses[1]


def test_multi_label_temperature_is_found_again() -> None:
    random = np.random.default_rng(3)
    logits = random.normal(0, 2, (3000, 4))
    truth = (random.random(logits.shape) < sigmoid(logits)).astype(int)
    assert metrics.fit_temperature(logits * 2.5, truth) == pytest.approx(2.5, rel=0.06)


def test_weights_of_a_temperature_count_media() -> None:
    logits, truth = drawn(4, media=200)
    repeats = np.random.default_rng(0).integers(0, 3, 200)
    weighted = metrics.fit_temperature(logits, truth, repeats)
    repeated = metrics.fit_temperature(np.repeat(logits, repeats, axis=0), np.repeat(truth, repeats))
    assert weighted == pytest.approx(repeated, rel=1e-4)


def test_a_model_without_mistakes_on_few_media_is_made_little_surer_and_no_overflow() -> None:
    separable = np.array([[1.5, 0.0], [2.0, 0.0], [1.0, 0.0], [0.0, 1.2], [0.0, 2.2], [0.0, 1.8]])
    assert 0.4 < metrics.fit_temperature(separable, [0, 0, 0, 1, 1, 1]) < 1
    shown = np.eye(2)[[0, 0, 0, 1, 1, 1]].astype(int)
    assert 0.4 < metrics.fit_temperature(separable * 2 - 2, shown) < 1
    assert metrics.fit_temperature(np.eye(3) * 1e4, [0, 1, 2]) == pytest.approx(1, rel=1e-2)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.5])
def test_the_prior_does_not_move_the_temperature_of_an_ordinary_set(factor: float) -> None:
    logits, truth = drawn(7, media=300)
    found = metrics.fit_temperature(logits * factor, truth)
    many = metrics.fit_temperature(
        logits * factor, truth, np.full(300, 1000.0)
    )  # the prior counts for nothing
    assert found == pytest.approx(many, rel=0.01)


def test_a_weight_for_every_label_of_every_media_is_no_weight() -> None:
    random = np.random.default_rng(8)
    logits = random.normal(0, 3, (30, 4))
    truth = (random.random(logits.shape) < sigmoid(logits / 2)).astype(int)
    assert metrics.fit_temperature(logits, truth, np.ones_like(logits)) == pytest.approx(
        metrics.fit_temperature(logits, truth), rel=1e-6
    )


@pytest.mark.parametrize(
    ("logits", "truth", "weights", "complaint"),
    [
        ([[np.nan, 0.0]], [0], None, "finite"),
        ([[1.0, 0.0]], [0, 1], None, "2 media and the logits have 1"),
        ([[1.0, 0.0]], [2], None, "allowed are 0 to 1"),
        ([[1.0, 0.0]], [0], [0.0], "not all 0"),
    ],
)
def test_a_temperature_is_not_fitted_on_what_does_not_fit(
    logits: list[list[float]], truth: list[int], weights: list[float] | None, complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        metrics.fit_temperature(logits, truth, weights)


def test_a_shifted_prior_is_bayes_rule() -> None:
    random = np.random.default_rng(5)
    likelihood = random.random((20, 3))
    before, after = np.array([1, 1, 1]) / 3, np.array([0.7, 0.2, 0.1])
    shifted = softmax(metrics.shift_logits(np.log(likelihood * before), before, after))
    expected = likelihood * after
    np.testing.assert_allclose(shifted, expected / expected.sum(axis=1, keepdims=True))


def test_a_shifted_prior_counts_in_shares_so_that_counts_may_be_given() -> None:
    logits = np.random.default_rng(6).normal(size=(4, 2))
    np.testing.assert_allclose(
        metrics.shift_logits(logits, [1, 1], [30, 10]), metrics.shift_logits(logits, [0.5, 0.5], [0.75, 0.25])
    )


def test_a_shifted_multi_label_prior_is_bayes_rule_for_each_label() -> None:
    positive, negative = 0.3, 0.8  # likelihoods of the image with and without the label
    logit = np.log(positive * 0.5) - np.log(negative * 0.5)
    shifted = sigmoid(metrics.shift_logits([[logit]], [0.5], [0.1], multi_label=True))
    assert shifted[0, 0] == pytest.approx(positive * 0.1 / (positive * 0.1 + negative * 0.9))


@pytest.mark.parametrize("prior", [[0.0, 1.0], [0.5], [np.nan, 0.5]])
def test_a_prior_without_a_number_for_each_label_is_refused(prior: list[float]) -> None:
    with pytest.raises(DataError, match="to_prior"):
        metrics.shift_logits([[0.0, 0.0]], [0.5, 0.5], prior)


@pytest.mark.field
@pytest.mark.parametrize(
    ("network", "accuracy", "log_loss", "calibration_error"),
    [
        ("efficientnetb0", 0.836, 0.533, 0.092),
        ("mobilenetv2", 0.865, 0.353, 0.046),
        ("resnet50", 0.858, 0.491, 0.072),
    ],
)
def test_published_figures_come_out_and_a_temperature_fitted_on_other_sites_helps(
    field: Path, network: str, accuracy: float, log_loss: float, calibration_error: float
) -> None:
    folder = field / "predictions-empty-vs-animal"
    table = pl.read_csv(next(folder.glob(f"{network}_serengeti.csv.gz")))
    truth = table["real"].cast(pl.Int64).to_numpy()
    empty = table["pred_confidence"].cast(pl.Float64).to_numpy()
    values = np.stack([1 - empty, empty], axis=1)
    measured = metrics.measure(truth, values)
    assert round(float(measured["accuracy"]), 3) == accuracy
    assert round(float(measured["log_loss"]), 3) == log_loss
    assert round(float(measured["expected_calibration_error"]), 3) == calibration_error

    path = pl.col("file_name_x").str
    site = table.select(path.extract(r"(S\d+/\w+)/", 1)).to_series().str.split("/").list.get(1)
    assert site.null_count() == 0
    fold = site.hash(seed=0).to_numpy() % 2
    logits = np.log(values.clip(1e-7, 1))
    calibrated = np.empty_like(values)
    for half in (0, 1):
        temperature = metrics.fit_temperature(logits[fold != half], truth[fold != half])
        assert temperature > 1  # all three are overconfident
        calibrated[fold == half] = softmax(logits[fold == half] / temperature)
    assert metrics.log_loss(truth, calibrated) < log_loss - 0.005
    assert metrics.expected_calibration_error(truth, calibrated) < calibration_error


@pytest.mark.parametrize("several", [False, True])
def test_the_temperature_makes_the_media_and_the_prior_most_probable_together(several: bool) -> None:
    random = np.random.default_rng(9)
    logits, weights = random.normal(0, 2, (12, 3)), random.integers(1, 4, 12)
    truth = (random.random((12, 3)) < 0.4).astype(int) if several else random.integers(0, 3, 12)

    def loss(temperature: float) -> float:
        if several:
            chances = sigmoid(logits / temperature)
            losses = -(truth * np.log(chances) + (1 - truth) * np.log(1 - chances)).sum(axis=1)
        else:
            losses = -np.log(softmax(logits / temperature)[np.arange(12), truth])
        return float((weights * losses).sum() + 1 / temperature + np.log(temperature))

    found = metrics.fit_temperature(logits, truth, weights)
    around = found * np.exp(np.linspace(-1e-3, 1e-3, 3))
    assert min(map(loss, around)) == loss(around[1])
    assert all(loss(other) > loss(found) for other in (0.5 * found, 2 * found))


def test_a_temperature_stays_within_its_range() -> None:
    wrong = np.array([[9.0, 0.0]] * 400)
    assert metrics.fit_temperature(wrong, [1] * 400) == pytest.approx(20, rel=1e-3)
    right = np.array([[0.01, 0.0]] * 40_000)
    assert metrics.fit_temperature(right, [0] * 40_000) == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize("weights", [[[1.0, 1.0]], [1.0, 1.0, 1.0], [[0.0, 0.0], [0.0, 0.0]]])
def test_weights_that_do_not_fit_the_media_fit_no_temperature(weights: list[object]) -> None:
    with pytest.raises(DataError):
        metrics.fit_temperature([[1.0, 0.0], [0.0, 1.0]], [[1, 0], [0, 1]], weights)
    with pytest.raises(DataError, match="finite and of shape"):
        metrics.fit_temperature([1.0, 0.0], [1, 0])


def test_a_label_of_weight_0_has_no_part_in_the_temperature() -> None:
    random = np.random.default_rng(10)
    logits = random.normal(0, 3, (60, 2))
    truth = (random.random(logits.shape) < sigmoid(logits / 2)).astype(int)
    weights = np.tile([1.0, 0.0], (60, 1))
    alone = metrics.fit_temperature(logits[:, :1], truth[:, :1])
    assert metrics.fit_temperature(logits, truth, weights) == pytest.approx(alone, rel=1e-5)


def test_a_bin_holds_the_confidences_above_its_lower_edge_up_to_its_upper_one() -> None:
    values = np.array([[0.5, 0.5], [0.25, 0.75], [0.7, 0.3], [0.2, 0.8], [0.0, 1.0]])
    table = metrics.calibration_table([0, 0, 0, 1, 1], values, bins=4)
    assert [(one.low, one.high, one.count) for one in table] == [
        (0, 0.25, 0),
        (0.25, 0.5, 1),
        (0.5, 0.75, 2),
        (0.75, 1, 2),
    ]
    assert [one.accuracy for one in table] == [None, 1.0, 0.5, 1.0]
    assert table[0].confidence is None
    assert [one.confidence for one in table[1:]] == pytest.approx([0.5, 0.725, 0.9])
    several = metrics.calibration_table([[0, 1]], [[0.0, 0.1]], bins=10)
    assert (several[0].count, several[0].accuracy) == (2, 0.5)  # a confidence of 0 is in the first


def test_bins_are_fifteen_unless_said() -> None:
    truth, values = [0, 0], [[0.51, 0.49], [0.55, 0.45]]  # two bins of fifteen, one of fourteen
    assert len(metrics.calibration_table(truth, values)) == 15
    found = float(metrics.expected_calibration_error(truth, values))
    assert found == pytest.approx(float(metrics.expected_calibration_error(truth, values, bins=15)))


def test_of_opposite_gaps_only_those_in_one_bin_even_out() -> None:
    values = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    assert float(metrics.expected_calibration_error([0, 1, 0], values, bins=2)) == pytest.approx(
        abs(2 / 3 - 2.4 / 3)
    )
    assert float(metrics.expected_calibration_error([0, 1, 0], values, bins=5)) == pytest.approx(
        (2 * abs(0.5 - 0.9) + abs(1 - 0.6)) / 3
    )


@pytest.mark.parametrize("spread", [0.3, 0.0])
def test_slopes_and_offsets_are_the_maximum_of_their_posterior(spread: float) -> None:
    random = np.random.default_rng(11)
    logits = random.normal(0, 2, (80, 3))
    truth = (random.random((80, 3)) < sigmoid(logits * [0.5, 1, 2] + [1, 0, -1])).astype(int)
    weights = random.random((80, 3))

    def loss(shared: np.ndarray, slopes: np.ndarray, offsets: np.ndarray) -> float:
        chances = sigmoid(logits * np.exp(shared[0] + slopes) + shared[1] + offsets)
        losses = -(truth * np.log(chances) + (1 - truth) * np.log(1 - chances))
        prior = shared[0] ** 2 + shared[1] ** 2 / 9
        if spread:
            prior += (slopes**2).sum() / spread**2 + (offsets**2).sum() / (2 * spread) ** 2
        return float((weights * losses).sum() + prior / 2)

    def least(free: np.ndarray) -> float:
        return loss(free[:2], *(np.split(free[2:], 2) if spread else (np.zeros(3), np.zeros(3))))

    best = minimize(least, np.zeros(8 if spread else 2), method="BFGS")
    parts = np.split(best.x[2:], 2) if spread else (0, 0)
    slopes, offsets = metrics.fit_scaling(logits, truth, weights, spread=spread)
    assert slopes == pytest.approx(np.exp(best.x[0] + parts[0]) * np.ones(3), rel=2e-3)
    assert offsets == pytest.approx(best.x[1] + parts[1] * np.ones(3), abs=2e-3)


def test_scaling_counts_all_alike_unless_told_and_refuses_what_does_not_fit() -> None:
    random = np.random.default_rng(12)
    logits, truth = random.normal(0, 2, (40, 2)), random.integers(0, 2, (40, 2))
    plain = metrics.fit_scaling(logits, truth)
    for found in (
        metrics.fit_scaling(logits, truth, np.ones((40, 2))),
        metrics.fit_scaling(logits, truth, spread=0.3),
    ):
        assert np.concatenate(found) == pytest.approx(np.concatenate(plain))
    assert np.isfinite(np.concatenate(metrics.fit_scaling(logits * 1e4, truth))).all()
    for wrong in (logits[:, :1], logits[0], np.where(logits > 1, np.inf, logits)):
        with pytest.raises(DataError, match="Logits must be finite"):
            metrics.fit_scaling(wrong, truth[0] if wrong.ndim == 1 else truth)


def test_probabilities_are_those_of_shifted_and_divided_logits() -> None:
    logits = np.array([[1.0, 0.0, -2.0], [800.0, 0.0, -800.0]])
    shift, temperature = (0.5, 0.0, -1.0), 1.7
    expected = (logits + shift) / temperature
    assert metrics.probabilities_of(logits, "single-label", shift, temperature) == pytest.approx(
        softmax(expected)
    )
    several = metrics.probabilities_of(logits, "multi-label", shift, temperature)
    assert several[0] == pytest.approx(sigmoid(expected[0]))
    assert several[1] == pytest.approx([1, sigmoid(np.zeros(1))[0], 0])
    extreme = metrics.probabilities_of(1e5 * logits, "multi-label")
    assert extreme == pytest.approx(np.array([[1, 0.5, 0], [1, 0.5, 0]]))
    assert metrics.probabilities_of(logits, "single-label") == pytest.approx(softmax(logits))


def test_a_prior_is_shifted_by_the_ratio_of_its_shares_and_refused_at_its_edges() -> None:
    found = metrics.shift_logits([[0.0, 1.0]], [1, 3], [6, 2])
    assert found == pytest.approx(np.array([[np.log(3), 1 + np.log(1 / 3)]]))
    several = metrics.shift_logits([[0.0]], [0.2], [0.8], multi_label=True)
    assert several == pytest.approx(np.array([[np.log(16)]]))
    for prior in ([1.0], [0.0], [np.inf]):
        with pytest.raises(DataError, match="to_prior"):
            metrics.shift_logits([[0.0]], [0.5], prior, multi_label=True)
    with pytest.raises(DataError, match="from_prior"):
        metrics.shift_logits([[0.0, 0.0]], [0.5], [0.5, 0.5])
