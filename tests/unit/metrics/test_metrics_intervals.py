"""The interval over locations: it covers what it promises, and is absent where it would be a fake."""

import numpy as np
import pytest
from numpy.typing import ArrayLike

from trapline import metrics
from trapline.errors import DataError
from trapline.metrics import Estimate
from trapline.metrics.inputs import Floats, Weights
from trapline.metrics.intervals import _estimates, draw_weights


def as_predictions(hits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Truth and probabilities of a two-label model that is right where `hits` is 1."""
    return np.where(hits == 1, 0, 1), np.tile([0.9, 0.1], (len(hits), 1))


def test_one_location_gives_no_interval() -> None:
    truth, values = as_predictions(np.array([1, 0, 1, 1]))
    assert metrics.bootstrap(metrics.accuracy, truth, values, ["a"] * 4) == Estimate(0.75, None, None)


def test_a_figure_that_is_undefined_is_none() -> None:
    found = metrics.bootstrap(metrics.macro_auc, [0, 0], [[0.9, 0.1], [0.8, 0.2]], ["a", "b"])
    assert found == Estimate(None, None, None)


def test_a_flawless_score_has_no_interval_because_nothing_varies() -> None:
    truth, values = as_predictions(np.ones(6))
    assert metrics.bootstrap(metrics.accuracy, truth, values, [1, 1, 2, 2, 3, 3]) == Estimate(1.0, None, None)


def test_a_label_of_one_location_has_no_interval_though_the_others_have() -> None:
    random = np.random.default_rng(0)
    locations = np.repeat(np.arange(10), 20)
    truth = np.where(locations == 3, 2, random.integers(0, 2, 200))
    values = random.dirichlet(np.ones(3), 200)
    recalls = metrics.bootstrap_vectors(
        truth,
        values,
        locations,
        metrics_fn=lambda t, p, w: {"recall": metrics.count_labels(t, p, w).recall},
    )["recall"]
    assert recalls[2].value is not None
    assert recalls[2].low is None
    assert all(recall.low is not None and recall.low <= recall.value <= recall.high for recall in recalls[:2])


def test_photos_of_one_camera_are_not_counted_as_independent() -> None:
    truth, values = as_predictions(np.repeat([1, 0, 1, 0, 1, 0, 1, 0], 50))
    by_location = metrics.bootstrap(metrics.accuracy, truth, values, np.repeat(np.arange(8), 50))
    by_photo = metrics.bootstrap(metrics.accuracy, truth, values, np.arange(400))
    assert by_location.high - by_location.low > 4 * (by_photo.high - by_photo.low)


def test_the_interval_covers_the_true_accuracy_in_about_95_of_100_studies() -> None:
    random = np.random.default_rng(7)
    studies, covered = 400, 0
    for study in range(studies):
        chance = random.beta(6, 2, 40)  # each location has its own accuracy; their mean is 0.75
        hits = (random.random((40, 10)) < chance[:, None]).astype(int).ravel()
        truth, values = as_predictions(hits)
        found = metrics.bootstrap(
            metrics.accuracy, truth, values, np.repeat(np.arange(40), 10), samples=400, seed=study
        )
        covered += found.low <= 0.75 <= found.high
    assert 0.91 <= covered / studies <= 0.985


def test_the_draws_depend_on_the_seed_alone() -> None:
    codes = np.repeat(np.arange(5), 3)
    first, again, other = (np.concatenate(list(draw_weights(codes, 50, seed))) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first[:, ::3].sum(axis=1) == 5).all()  # as many locations are drawn as there are
    assert (first.reshape(50, 5, 3) == first[:, ::3, None]).all()  # a location comes whole


def test_a_weighted_resample_is_the_metric_of_the_resampled_media() -> None:
    random = np.random.default_rng(3)
    codes = random.integers(0, 6, 80)
    truth, values = random.integers(0, 4, 80), random.dirichlet(np.ones(4), 80)
    weights = next(draw_weights(codes, 5, 0))
    batch = metrics.measure(truth, values, weights)
    for row, counts in enumerate(weights.astype(int)):
        single = metrics.measure(np.repeat(truth, counts), np.repeat(values, counts, axis=0))
        for name, value in single.items():
            assert batch[name][row] == pytest.approx(float(value), nan_ok=True)


def test_a_figure_of_twenty_thousand_photos_lies_in_its_interval() -> None:
    random = np.random.default_rng(1)
    truth, values = random.integers(0, 8, 20_000), random.dirichlet(np.ones(8), 20_000)
    found = metrics.bootstrap_all(truth, values, random.integers(0, 100, 20_000), samples=200)
    assert all(
        one.low <= one.value <= one.high
        for name, one in found.items()
        if name != "expected_calibration_error"
    )


def test_groups_must_be_one_for_each_media() -> None:
    with pytest.raises(DataError, match="one group for each of the 2 media"):
        metrics.bootstrap(metrics.accuracy, [0, 1], [[1, 0], [0, 1]], ["a"])


def test_the_interval_holds_the_middle_95_of_100_resamples_of_locations() -> None:
    random = np.random.default_rng(5)
    codes, hits = random.integers(0, 9, 90), random.integers(0, 2, 90)
    truth, values = as_predictions(hits)
    drawn = [(w @ hits) / w.sum() for weights in draw_weights(codes, 300, 8) for w in weights]
    found = metrics.bootstrap(metrics.accuracy, truth, values, codes, samples=300, seed=8)
    assert found.value == pytest.approx(hits.mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    usual = metrics.bootstrap(metrics.accuracy, truth, values, codes)
    assert usual == metrics.bootstrap(metrics.accuracy, truth, values, codes, samples=1000, seed=42)
    assert usual == metrics.bootstrap_all(truth, values, codes)["accuracy"]
    listed = metrics.bootstrap_vectors(
        truth, values, codes, metrics_fn=lambda t, p, w: {"one": metrics.accuracy(t, p, w)[..., None]}
    )
    assert listed == {"one": [usual]}


@pytest.mark.parametrize(("undefined", "given"), [(20, True), (21, False)])
def test_an_interval_is_given_if_at_most_a_fifth_of_the_resamples_says_nothing(
    undefined: int, given: bool
) -> None:
    drawn = np.r_[np.full(undefined, np.nan), np.linspace(0, 1, 100 - undefined)][:, None]
    found = _estimates(np.array([0.5]), [drawn[:50], drawn[50:]])[0]
    assert (found.low is not None) is given
    if given:
        assert (found.low, found.high) == pytest.approx((0.025, 0.975), abs=1e-9)


def test_the_same_draws_come_in_chunks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = np.array([0, 1, 1, 2, 2, 2])
    whole = np.concatenate(list(draw_weights(codes, 7, 3)))
    assert whole.shape == (7, 6)
    for chunk, sizes in ((12, [2, 2, 2, 1]), (1, [1] * 7)):
        monkeypatch.setattr("trapline.metrics.intervals.CHUNK", chunk)
        parts = list(draw_weights(codes, 7, 3))
        assert [len(part) for part in parts] == sizes
        assert np.array_equal(np.concatenate(parts), whole)
    assert draw_weights(np.zeros(4, np.int64), 2, 0).__next__().tolist() == [[1] * 4]


def test_each_figure_has_the_interval_of_its_own_resamples() -> None:
    groups = np.repeat(np.arange(12), 5)
    figure = np.arange(60.0)

    def two(truth: ArrayLike, values: ArrayLike, weights: Weights) -> dict[str, Floats]:
        w = np.ones(60) if weights is None else np.asarray(weights)
        mean = (w @ figure) / w.sum(axis=-1)
        rare = np.where(w[..., 0] > 0, mean, np.nan)  # the first group is not in 35 of 100 resamples
        return {"figures": np.stack([mean, 1000 * mean, rare], axis=-1)}

    truth, values = as_predictions(np.ones(60))
    alone, large, rare = metrics.bootstrap_vectors(truth, values, groups, metrics_fn=two)["figures"]
    assert alone.low is not None
    assert alone.high is not None
    assert alone.low < alone.value < alone.high
    assert (large.low, large.high) == pytest.approx((1000 * alone.low, 1000 * alone.high))
    assert rare == Estimate(alone.value, None, None)


def test_two_locations_are_enough_for_an_interval() -> None:
    truth, values = as_predictions(np.array([1, 1, 1, 0]))
    estimate = metrics.bootstrap(metrics.accuracy, truth, values, ["a", "a", "b", "b"])
    assert (estimate.low, estimate.value, estimate.high) == (0.5, 0.75, 1.0)
