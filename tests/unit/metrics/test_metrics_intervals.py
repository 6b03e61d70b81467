"""The interval over locations: it covers what it promises, and is absent where it would be a fake."""

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from scipy.stats import t

from trapline import metrics
from trapline.errors import DataError
from trapline.metrics import Estimate
from trapline.metrics.inputs import Floats, Weights
from trapline.metrics.intervals import leave_out_weights
from trapline.metrics.sums import figures_of_sums, sum_media


def as_predictions(hits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Truth and probabilities of a two-label model that is right where `hits` is 1."""
    return np.where(hits == 1, 0, 1), np.tile([0.9, 0.1], (len(hits), 1))


def test_one_location_gives_no_interval() -> None:
    truth, values = as_predictions(np.array([1, 0, 1, 1]))
    assert metrics.estimate(metrics.accuracy, truth, values, ["a"] * 4) == Estimate(0.75, None, None)


def test_a_figure_that_is_undefined_is_none() -> None:
    found = metrics.estimate(metrics.macro_auc, [0, 0], [[0.9, 0.1], [0.8, 0.2]], ["a", "b"])
    assert found == Estimate(None, None, None)


def test_a_flawless_score_has_no_interval_because_nothing_varies() -> None:
    truth, values = as_predictions(np.ones(6))
    assert metrics.estimate(metrics.accuracy, truth, values, [1, 1, 2, 2, 3, 3]) == Estimate(1.0, None, None)


def test_a_label_of_one_location_has_no_interval_though_the_others_have() -> None:
    random = np.random.default_rng(0)
    locations = np.repeat(np.arange(10), 20)
    truth = np.where(locations == 3, 2, random.integers(0, 2, 200))
    values = random.dirichlet(np.ones(3), 200)
    recalls = metrics.estimate_vectors(
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
    by_location = metrics.estimate(metrics.accuracy, truth, values, np.repeat(np.arange(8), 50))
    by_photo = metrics.estimate(metrics.accuracy, truth, values, np.arange(400))
    assert by_location.high - by_location.low > 4 * (by_photo.high - by_photo.low)


def test_the_interval_covers_the_true_accuracy_in_about_95_of_100_studies() -> None:
    random = np.random.default_rng(7)
    studies, covered = 400, 0
    for _ in range(studies):
        chance = random.beta(6, 2, 40)  # each location has its own accuracy; their mean is 0.75
        hits = (random.random((40, 10)) < chance[:, None]).astype(int).ravel()
        truth, values = as_predictions(hits)
        found = metrics.estimate(metrics.accuracy, truth, values, np.repeat(np.arange(40), 10))
        covered += found.low <= 0.75 <= found.high
    assert 0.925 <= covered / studies <= 0.975


@pytest.mark.parametrize(("count", "sigma"), [(5, 0.0), (12, 1.2), (40, 1.2)])
def test_it_covers_a_share_and_a_loss_also_at_few_locations_of_very_unequal_size(
    count: int, sigma: float
) -> None:
    random = np.random.default_rng(11)
    studies, covered, flattered = 300, np.zeros(2), np.zeros(2)
    for _ in range(studies):
        sizes = np.maximum(1, random.lognormal(3, sigma, count).round())
        right = random.binomial(sizes.astype(int), random.beta(6, 2, count))
        loss = sizes * random.gamma(2, 0.25, count)  # their own means lie around 0.5
        found = metrics.estimate_sums(
            {"right": right[:, None], "log_loss": loss[:, None], "media": sizes[:, None]},
            figures=lambda sums: {name: sums[name] / sums["media"] for name in ("right", "log_loss")},
        )
        for index, (name, truth) in enumerate((("right", 0.75), ("log_loss", 0.5))):
            one = found[name][0]
            assert one.low is not None
            assert one.high is not None
            covered[index] += one.low <= truth <= one.high
            flattered[index] += one.low > truth if name == "right" else one.high < truth
    assert (covered / studies >= 0.9).all()
    assert (flattered / studies <= 0.075).all(), "misses do not gather on the side that flatters"


def test_each_location_is_left_out_whole_and_once() -> None:
    codes = np.array([0, 1, 1, 2, 2, 2])
    whole = np.concatenate(list(leave_out_weights(codes, 1000, 1)))
    assert whole.tolist() == [[0, 1, 1, 1, 1, 1], [1, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0]]


def test_more_locations_than_samples_are_left_out_in_sets_that_the_seed_alone_decides() -> None:
    codes = np.repeat(np.arange(50), 3)
    first, again, other = (np.concatenate(list(leave_out_weights(codes, 20, seed))) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.shape == (20, 150)
    assert (first == 0).sum(axis=0).tolist() == [1] * 150, "each media once"
    assert (first.reshape(20, 50, 3) == first[:, ::3, None]).all(), "a location whole"
    assert set((first == 0).sum(axis=1)) == {6, 9}, "sets of nearly one size"


def test_a_figure_of_twenty_thousand_photos_lies_in_its_interval() -> None:
    random = np.random.default_rng(1)
    truth, values = random.integers(0, 8, 20_000), random.dirichlet(np.ones(8), 20_000)
    found = metrics.estimate_all(truth, values, random.integers(0, 100, 20_000), samples=200)
    assert found.pop("expected_calibration_error").low is None, "a bias and no spread: no interval"
    assert all(one.low < one.value < one.high for one in found.values())


def test_groups_must_be_one_for_each_media() -> None:
    with pytest.raises(DataError, match="one group for each of the 2 media"):
        metrics.estimate(metrics.accuracy, [0, 1], [[1, 0], [0, 1]], ["a"])


def shares_and_outcomes() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    return random.integers(0, 9, 90), random.integers(0, 3, 90) > 0


def test_the_interval_is_students_on_the_logit_of_the_jackknifes_variance() -> None:
    codes, hits = shares_and_outcomes()
    truth, values = as_predictions(hits)
    share = hits.mean()
    moved = np.array([hits[codes != code].mean() for code in range(9)]) - share
    freedom = min(8, 2 * (moved**2).sum() ** 2 / (moved**4).sum())
    reach = t.ppf(0.975, freedom) * np.sqrt((moved**2).sum()) / (share * (1 - share))
    found = metrics.estimate(metrics.accuracy, truth, values, codes)
    assert found.value == pytest.approx(share)
    assert (found.low, found.high) == pytest.approx(
        (expit(logit(share) - reach), expit(logit(share) + reach))
    )
    assert found == metrics.estimate_all(truth, values, codes)["accuracy"]
    listed = metrics.estimate_vectors(
        truth, values, codes, metrics_fn=lambda t, p, w: {"one": metrics.accuracy(t, p, w)[..., None]}
    )
    assert listed == {"one": [found]}
    ratio = metrics.estimate_ratio(hits, np.ones(90), codes)
    assert (ratio.low, ratio.high) == pytest.approx((found.low, found.high))


def test_a_loss_has_its_interval_on_the_logarithm_and_a_difference_on_its_own_scale() -> None:
    random = np.random.default_rng(2)
    truth, values, codes = random.integers(0, 3, 90), random.dirichlet(np.ones(3), 90), np.arange(90) % 8
    loss = metrics.estimate_all(truth, values, codes)["log_loss"]
    assert loss.high / loss.value == pytest.approx(loss.value / loss.low)
    change = metrics.estimate_all(
        truth,
        values,
        codes,
        metrics_fn=lambda t, p, w: {"accuracy": metrics.accuracy(t, p, w) * 0.1},
        differences=True,
    )["accuracy"]
    assert change.high - change.value == pytest.approx(change.value - change.low)


def test_sums_give_the_intervals_of_the_media() -> None:
    random = np.random.default_rng(4)
    truth, values, codes = random.integers(0, 4, 300), random.dirichlet(np.ones(4), 300), np.arange(300) % 11
    of_media = metrics.estimate_all(truth, values, codes, 7, 3)
    of_sums = metrics.estimate_sums(
        sum_media(truth, values, codes, 11),
        7,
        3,
        figures=lambda sums: {name: figure[..., None] for name, figure in figures_of_sums(sums).items()},
    )
    for name, (one,) in of_sums.items():
        assert (one.value, one.low, one.high) == pytest.approx(
            (of_media[name].value, of_media[name].low, of_media[name].high)
        ), name


def test_one_location_that_has_all_mistakes_makes_the_interval_wide_and_not_endless() -> None:
    hits = np.ones(600)
    hits[:10] = 0  # half of the photos of the first of thirty
    found = metrics.estimate(metrics.accuracy, *as_predictions(hits), np.repeat(np.arange(30), 20))
    assert found.low < 0.92
    assert 0.99 < found.high < 1


def test_a_location_that_is_larger_than_all_others_is_not_believed_to_be_all_locations() -> None:
    hits = (
        np.random.default_rng(0).random(1100) < np.r_[np.full(1000, 0.9), np.repeat(np.arange(10) / 10, 10)]
    )
    codes = np.r_[np.zeros(1000, int), 1 + np.repeat(np.arange(10), 10)]
    found = metrics.estimate(metrics.accuracy, *as_predictions(hits), codes)
    assert found.low < 0.3


def test_each_figure_has_the_interval_of_its_own_resamples() -> None:
    groups = np.repeat(np.arange(12), 5)
    figure = np.arange(60.0)

    def two(truth: ArrayLike, values: ArrayLike, weights: Weights) -> dict[str, Floats]:
        w = np.ones(60) if weights is None else np.asarray(weights)
        mean = (w @ figure) / w.sum(axis=-1)
        rare = np.where(w[..., 0] > 0, mean, np.nan)  # of the first group alone
        return {"figures": np.stack([mean, 1000 * mean, rare], axis=-1)}

    truth, values = as_predictions(np.ones(60))
    alone, large, rare = metrics.estimate_vectors(truth, values, groups, metrics_fn=two)["figures"]
    assert alone.low is not None
    assert alone.high is not None
    assert alone.low < alone.value < alone.high
    assert (large.low, large.high) == pytest.approx((1000 * alone.low, 1000 * alone.high))
    assert rare == Estimate(alone.value, None, None)


def test_two_locations_are_enough_for_an_interval() -> None:
    truth, values = as_predictions(np.array([1, 1, 1, 0]))
    estimate = metrics.estimate(metrics.accuracy, truth, values, ["a", "a", "b", "b"])
    assert estimate.value == 0.75
    assert 0 < estimate.low < 0.1, "and say next to nothing"
    assert 0.9 < estimate.high < 1


def test_no_interval_goes_where_its_figure_cannot() -> None:
    sure_and_wrong, sure_and_right = np.array([[1e-9, 1 - 1e-9]] * 3), np.array([[0.999, 0.001]] * 20)
    probabilities = np.vstack([sure_and_wrong, sure_and_right])
    estimates = metrics.estimate_all(np.zeros(23, int), probabilities, np.r_[np.zeros(3), np.ones(20)])
    assert estimates["brier_score"].high == 2
    assert estimates["log_loss"].high == pytest.approx(-np.log(1e-7))


def test_the_brier_score_of_several_labels_ends_at_one() -> None:
    """It is a mean over the labels: of all labels wrong and sure it is 1."""
    truth, labels, groups = np.r_[np.zeros(3, int), np.ones(20, int)], 2, np.r_[np.zeros(3), np.ones(20)]
    several = np.repeat(truth[:, None], labels, axis=1)
    probabilities = np.full((23, labels), 0.999)
    assert metrics.estimate_all(several, probabilities, groups)["brier_score"].high == 1
    sums = metrics.sum_media(several, probabilities, groups.astype(int), 2)
    made = metrics.estimate_sums(
        sums,
        figures=lambda of: {
            name: one[..., None] for name, one in metrics.figures_of_sums(of, several=True).items()
        },
        several=True,
    )
    assert made["brier_score"][0].high == 1
