"""Every figure against scikit-learn or its definition, with and without weights."""

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from trapline import metrics
from trapline.errors import DataError

Case = tuple[np.ndarray, np.ndarray, np.ndarray]


@st.composite
def single_label(draw: st.DrawFn) -> Case:
    """Truth [N], probabilities [N, K] with ties, weights [N]; some labels absent from the truth."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    media, labels = draw(st.integers(1, 60)), draw(st.integers(2, 7))
    truth = random.integers(0, draw(st.integers(1, labels)), media)
    coarse = random.integers(0, 4, (media, labels)) + 0.25
    return truth, coarse / coarse.sum(axis=1, keepdims=True), random.integers(1, 4, media).astype(float)


@st.composite
def multi_label(draw: st.DrawFn) -> Case:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    media, labels = draw(st.integers(1, 60)), draw(st.integers(2, 6))
    truth = random.integers(0, 2, (media, labels))
    return truth, random.integers(0, 11, (media, labels)) / 10, random.integers(1, 4, media).astype(float)


@given(single_label())
def test_single_label_figures_are_those_of_scikit_learn(case: Case) -> None:
    truth, values, weights = case
    labels = range(values.shape[1])
    guess = values.argmax(axis=1)
    measured = {name: float(value) for name, value in metrics.measure(truth, values, weights).items()}
    present = np.unique(truth)
    recalls = reference.recall_score(
        truth, guess, labels=present, average=None, sample_weight=weights, zero_division=0
    )
    expected = {
        "accuracy": reference.accuracy_score(truth, guess, sample_weight=weights),
        "balanced_accuracy": recalls.mean(),
        "macro_f1": reference.f1_score(truth, guess, average="macro", sample_weight=weights, zero_division=0),
        "log_loss": reference.log_loss(truth, values, labels=labels, sample_weight=weights)
        if len(labels) > 2
        else reference.log_loss(truth, values[:, 1], labels=[0, 1], sample_weight=weights),
        "brier_score": np.average(((values - np.eye(len(labels))[truth]) ** 2).sum(axis=1), weights=weights),
    }
    assert {name: measured[name] for name in expected} == pytest.approx(expected, abs=1e-9)


@given(single_label())
def test_auc_over_the_labels_present_is_the_mean_of_scikit_learns(case: Case) -> None:
    truth, values, weights = case
    areas = [
        reference.roc_auc_score(truth == label, values[:, label], sample_weight=weights)
        for label in np.unique(truth)
        if (truth != label).any()
    ]
    found = float(metrics.macro_auc(truth, values, weights))
    assert np.isnan(found) if not areas else found == pytest.approx(np.mean(areas))


@given(single_label())
def test_top_k_counts_the_true_label_among_the_first_k_of_a_stable_sort(case: Case) -> None:
    truth, values, _ = case
    order = np.argsort(-values, axis=1, kind="stable")
    for k in range(1, values.shape[1] + 1):
        expected = (order[:, :k] == truth[:, None]).any(axis=1).mean()
        assert float(metrics.top_k(truth, values, k=k)) == pytest.approx(expected)


@given(multi_label())
def test_multi_label_figures_are_those_of_scikit_learn(case: Case) -> None:
    truth, values, weights = case
    labels = range(values.shape[1])
    said = values >= 0.5
    measured = {name: float(value) for name, value in metrics.measure(truth, values, weights).items()}
    clipped = values.clip(1e-7, 1 - 1e-7)
    assert measured["subset_accuracy"] == pytest.approx(
        np.average((truth == said).all(axis=1), weights=weights)
    )
    assert measured["log_loss"] == pytest.approx(
        np.mean(
            [
                reference.log_loss(truth[:, k], clipped[:, k], labels=[0, 1], sample_weight=weights)
                for k in labels
            ]
        )
    )
    assert measured["brier_score"] == pytest.approx(
        np.mean([np.average((truth[:, k] - values[:, k]) ** 2, weights=weights) for k in labels])
    )
    precisions = [
        reference.average_precision_score(truth[:, k], values[:, k], sample_weight=weights)
        for k in labels
        if truth[:, k].any()
    ]
    found = measured["mean_average_precision"]
    assert np.isnan(found) if not precisions else found == pytest.approx(np.mean(precisions))


@given(multi_label())
def test_top_k_of_several_labels_is_the_share_of_them_that_k_can_hold(case: Case) -> None:
    truth, values, weights = case
    order = np.argsort(-values, axis=1, kind="stable")
    some = truth.any(axis=1)
    for k in range(1, values.shape[1] + 1):
        shares = [
            len(set(order[row, :k]) & set(np.flatnonzero(truth[row]))) / min(k, truth[row].sum())
            for row in np.flatnonzero(some)
        ]
        found = float(metrics.top_k(truth, values, weights, k=k))
        expected = np.average(shares, weights=weights[some]) if shares else np.nan
        assert found == pytest.approx(expected, nan_ok=True)


@given(single_label(), st.integers(1, 5))
def test_with_one_label_a_media_the_figures_of_a_softmax_are_those_of_one_label(case: Case, k: int) -> None:
    truth, values, weights = case
    hot = np.eye(values.shape[1], dtype=np.int64)[truth]
    alone = metrics.top_k(truth, values, weights, k=k)
    assert float(metrics.top_k(hot, values, weights, k=k)) == pytest.approx(float(alone))
    several = float(metrics.categorical_cross_entropy(hot, 0.5 * values, weights))  # made to sum to 1
    assert several == pytest.approx(float(metrics.log_loss(truth, values, weights)))
    assert float(metrics.categorical_cross_entropy(truth, values, weights)) == pytest.approx(several)


def test_a_media_of_two_labels_counts_both_in_the_categorical_cross_entropy() -> None:
    found = float(metrics.categorical_cross_entropy([[1, 1, 0], [0, 0, 1]], [[0.5, 0.25, 0.25], [0, 0, 1]]))
    assert found == pytest.approx(-(np.log(0.5) + np.log(0.25)) / 2, abs=1e-6)


def test_several_labels_have_a_top_5_and_those_of_a_softmax_its_own_figures() -> None:
    truth, values = np.eye(7, dtype=np.int64), np.full((7, 7), 1 / 7)
    plain, softmax = metrics.measure(truth, values), metrics.measure(truth, values, exclusive=True)
    assert float(plain["top_5_accuracy"]) == pytest.approx(5 / 7)
    assert softmax.keys() - plain.keys() == {"accuracy", "categorical_cross_entropy"}
    assert (float(softmax["accuracy"]), float(softmax["categorical_cross_entropy"])) == pytest.approx(
        (1 / 7, np.log(7))
    )
    assert metrics.measure([0, 1], [[0.5, 0.5]] * 2, exclusive=True).keys() == (
        metrics.measure([0, 1], [[0.5, 0.5]] * 2).keys()
    )


@given(multi_label())
def test_label_counts_are_those_of_scikit_learn(case: Case) -> None:
    truth, values, weights = case
    counts = metrics.count_labels(truth, values, weights)
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        truth, values >= 0.5, sample_weight=weights, zero_division=np.nan
    )
    np.testing.assert_allclose(counts.precision, precision)
    np.testing.assert_allclose(counts.recall, recall)
    np.testing.assert_allclose(counts.f1, f1)
    np.testing.assert_allclose(counts.support, weights @ truth)


@given(single_label(), st.integers(1, 20))
def test_the_calibration_error_is_its_definition(case: Case, bins: int) -> None:
    truth, values, _ = case
    confidence, hit = values.max(axis=1), values.argmax(axis=1) == truth
    expected = 0.0
    for index in range(bins):
        inside = (confidence > index / bins) & (confidence <= (index + 1) / bins)
        if inside.any():
            expected += inside.mean() * abs(hit[inside].mean() - confidence[inside].mean())
    assert float(metrics.expected_calibration_error(truth, values, bins=bins)) == pytest.approx(expected)
    table = metrics.calibration_table(truth, values, bins=bins)
    assert sum(entry.count for entry in table) == len(truth)
    from_table = sum(e.count * abs(e.accuracy - e.confidence) for e in table if e.count) / len(truth)
    assert from_table == pytest.approx(expected)


@given(multi_label())
def test_the_multi_label_calibration_error_looks_at_every_probability(case: Case) -> None:
    truth, values, _ = case
    confidence, hit = values.ravel(), truth.ravel()
    place = np.clip(np.ceil(confidence * 15).astype(int) - 1, 0, 14)
    expected = sum(
        (place == index).mean() * abs(hit[place == index].mean() - confidence[place == index].mean())
        for index in np.unique(place)
    )
    assert float(metrics.expected_calibration_error(truth, values)) == pytest.approx(expected)


@given(single_label())
@settings(max_examples=30)
def test_weights_count_a_media_as_often_as_repeating_it_and_rows_of_weights_are_independent(
    case: Case,
) -> None:
    truth, values, weights = case
    repeats = weights.astype(int)
    repeated = metrics.measure(np.repeat(truth, repeats), np.repeat(values, repeats, axis=0))
    two = metrics.measure(truth, values, np.stack([weights, np.ones_like(weights)]))
    plain = metrics.measure(truth, values)
    for name, both in two.items():
        assert both.shape == (2,)
        np.testing.assert_allclose(both, [repeated[name], plain[name]], atol=1e-9)


def test_the_confusion_matrix_has_a_row_for_a_label_that_no_media_has() -> None:
    values = np.array([[0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.5, 0.4, 0.1]])
    assert metrics.confusion_matrix([0, 0, 1], values).tolist() == [[1, 0, 1], [1, 0, 0], [0, 0, 0]]


def test_a_certain_mistake_costs_16_and_not_infinity() -> None:
    assert float(metrics.log_loss([1], [[1.0, 0.0]])) == pytest.approx(-np.log(1e-7))


def test_a_better_registered_figure_is_found_by_measure() -> None:
    names = [
        name
        for entry in metrics.EVALUATORS.values()
        for name, _ in entry.function([0, 1], [[1, 0]] * 2, None, None)
        if "single-label" in entry.tasks
    ]
    assert set(metrics.measure([0, 1], [[1, 0]] * 2)) == set(names)
    softmax = metrics.measure([[0, 1], [1, 0]], [[1, 0]] * 2, exclusive=True)
    assert set(names) | set(softmax) >= metrics.LOWER_IS_BETTER


@pytest.mark.parametrize(
    ("truth", "values", "complaint"),
    [
        ([], np.empty((0, 2)), "at least one media"),
        ([0, 1], [[0.5, 0.5]], "2 media and the probabilities have 1"),
        ([2], [[0.5, 0.5]], "allowed are 0 to 1"),
        ([-1], [[0.5, 0.5]], "allowed are 0 to 1"),
        ([0.0], [[0.5, 0.5]], "must be integers"),
        ([0], [[0.5, np.nan]], "finite"),
        ([0], [[1.5, -0.5]], "finite and lie in 0..1"),
        ([0], [0.5], r"must be \[media, labels\]"),
        ([[1, 0, 0]], [[0.5, 0.5]], "3 labels and the model 2"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(truth: object, values: object, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        metrics.log_loss(truth, values)  # type: ignore[arg-type]


@pytest.mark.parametrize("weights", [[1.0], [[1.0, 1.0, 1.0]], [1.0, -1.0], [1.0, np.inf]])
def test_weights_that_do_not_fit_are_refused(weights: list[float]) -> None:
    with pytest.raises(DataError, match="Weights"):
        metrics.accuracy([0, 1], [[1, 0], [0, 1]], weights)


def test_probabilities_may_miss_1_by_rounding_only() -> None:
    metrics.log_loss([0], [[1 + 1e-6, 0.0]])
    with pytest.raises(DataError, match="finite and lie in"):
        metrics.log_loss([0], [[1 + 2e-6, 0.0]])
    with pytest.raises(DataError, match="finite and lie in"):
        metrics.log_loss([0], [[1.0, -1e-9]])


@pytest.mark.parametrize("truth", [[True, False], np.array([1, 0], np.uint8)])
def test_truth_may_be_of_any_whole_numbers(truth: object) -> None:
    values = [[0.9, 0.1], [0.2, 0.8]]
    assert float(metrics.accuracy(truth, values)) == 0  # type: ignore[arg-type]
    assert float(metrics.subset_accuracy([truth, truth], values)) == 0.5  # type: ignore[list-item]


@pytest.mark.parametrize("truth", [[[0, 2]], [[-1, 0]], [[[0, 1]]], [["hare"]]])
def test_truth_of_several_labels_is_0_or_1(truth: object) -> None:
    with pytest.raises(DataError):
        metrics.log_loss(truth, [[0.5, 0.5]])  # type: ignore[arg-type]


def test_weights_may_be_0_and_where_all_are_nothing_is_defined() -> None:
    truth, values = [0, 1, 1], [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]
    assert float(metrics.accuracy(truth, values, [1, 0, 1])) == 1
    none = metrics.measure(truth, values, [[0, 0, 0], [1, 1, 1]])
    assert all(np.isnan(value[0]) and not np.isnan(value[1]) for value in none.values())
    with pytest.raises(DataError, match=r"Weights must be \[3\]"):
        metrics.accuracy(truth, values, np.ones((1, 1, 3)))
    with pytest.raises(DataError, match="not negative"):
        metrics.accuracy(truth, values, [1, -1e-9, 1])


def test_a_label_neither_present_nor_said_counts_in_no_mean() -> None:
    values = [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]]
    counts = metrics.count_labels([0, 0], values)
    assert counts.support.tolist() == [2, 0, 0]
    assert counts.predicted.tolist() == [1, 1, 0]
    assert counts.hits.tolist() == [1, 0, 0]
    np.testing.assert_array_equal(counts.recall, [0.5, np.nan, np.nan])
    np.testing.assert_array_equal(counts.precision, [1, 0, np.nan])
    np.testing.assert_allclose(counts.f1, [2 / 3, 0, np.nan])
    assert float(metrics.balanced_accuracy([0, 0], values)) == 0.5
    assert float(metrics.macro_f1([0, 0], values)) == pytest.approx(1 / 3)


def test_a_label_is_said_where_it_reaches_its_threshold() -> None:
    counts = metrics.count_labels([[1, 1, 0]], [[0.5, 0.49, 0.6]])
    assert counts.predicted.tolist() == [1, 0, 1]
    own = metrics.count_labels([[1, 1, 0]], [[0.5, 0.49, 0.6]], threshold=[0.51, 0.49, 0.7])
    assert own.predicted.tolist() == [0, 1, 0]
    alone = metrics.count_labels([[1, 1, 0]], [[0.5, 0.49, 0.6]], blank=2)
    assert alone.predicted.tolist() == [0, 0, 1]


def test_the_figures_of_several_labels_know_the_blank_column() -> None:
    truth, values = [[1, 0], [0, 1]], [[0.9, 0.6], [0.6, 0.9]]
    assert float(metrics.subset_accuracy(truth, values)) == 0
    assert float(metrics.subset_accuracy(truth, values, blank=0)) == 1
    assert float(metrics.macro_f1(truth, values, blank=0)) == 1
    measured = metrics.measure(truth, values, blank=0)
    assert (float(measured["subset_accuracy"]), float(measured["macro_f1"])) == (1, 1)


def test_losses_are_kept_from_infinity_on_both_sides() -> None:
    certain = -np.log(1e-7), -np.log1p(-1e-7)
    assert metrics.log_losses([1, 0], [[1.0, 0.0], [1.0, 0.0]]) == pytest.approx(certain)
    assert metrics.binary_losses([[1, 0]], [[0.0, 0.0]])[0] == pytest.approx(certain)
    assert metrics.label_log_loss([[1, 0], [1, 1]], [[0.5, 0.5], [0.25, 0.8]], [1, 3]) == pytest.approx(
        [(np.log(2) + 3 * np.log(4)) / 4, (np.log(2) - 3 * np.log(0.8)) / 4]
    )
    assert metrics.label_log_loss([[1]], [[0.5]], [[1], [2]]) == pytest.approx(np.full((2, 1), np.log(2)))
    nothing = metrics.categorical_cross_entropy([[1, 0]], [[0.0, 0.0]])
    assert float(nothing) == pytest.approx(-np.log(1e-7))


def test_names_of_figures_are_those_that_are_measured_with_labels_enough() -> None:
    assert metrics.metric_names("single-label") == (
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "top_2_accuracy",
        "top_3_accuracy",
        "top_5_accuracy",
        "log_loss",
        "brier_score",
        "expected_calibration_error",
        "macro_auc",
    )
    assert metrics.metric_names("multi-label") == (
        "subset_accuracy",
        "top_5_accuracy",
        "macro_f1",
        "mean_average_precision",
        "log_loss",
        "brier_score",
        "expected_calibration_error",
        "macro_auc",
    )
    few = metrics.measure([0, 1, 2], np.full((3, 3), 1 / 3))
    assert "top_2_accuracy" in few
    assert "top_3_accuracy" not in few, "of three labels three hold every one"
    five = np.eye(5, dtype=int)
    assert "top_5_accuracy" not in metrics.measure(five, five)


def test_a_certain_ranking_has_an_area_of_1_and_ties_count_half() -> None:
    values = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.1, 0.9]])
    assert metrics.label_auc([0, 0, 1, 1], values) == pytest.approx([3.5 / 4, 3.5 / 4])
    assert metrics.label_auc([0, 0, 1, 1], values, [1, 0, 1, 1]) == pytest.approx([1, 1])
    assert metrics.label_average_precision([0, 0, 1, 1], values)[0] == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert np.isnan(metrics.label_average_precision([0, 0, 0, 0], values)[1])


def test_the_balanced_accuracy_weighs_media_within_their_label() -> None:
    truth, values = [0, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]]
    assert float(metrics.balanced_accuracy(truth, values)) == 0.75
    assert float(metrics.balanced_accuracy(truth, values, [3, 1, 1])) == (3 / 4 + 1) / 2


def test_of_losses_and_errors_less_is_better() -> None:
    assert set(metrics.LOWER_IS_BETTER) == {
        "log_loss",
        "brier_score",
        "expected_calibration_error",
        "categorical_cross_entropy",
    }
    assert len(metrics.LOWER_IS_BETTER) == 4
    assert "log_loss" in metrics.LOWER_IS_BETTER
    assert "accuracy" not in metrics.LOWER_IS_BETTER
