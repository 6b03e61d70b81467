"""What new locations may show: as wide as locations differ, and nothing of too few."""

import numpy as np
import pytest

from trapline import metrics
from trapline.metrics import FEW_LOCATIONS, Estimate, NewLocations
from trapline.metrics.sums import figures_of_sums, sum_media


def photos_of(shares: np.ndarray, each: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, probabilities and locations of a model that is right as often as each location's share says."""
    locations = np.repeat(np.arange(len(shares)), each)
    right = np.random.default_rng(seed).random(len(locations)) < shares[locations]
    return np.where(right, 0, 1), np.tile([0.9, 0.1], (len(locations), 1)), locations


def ends(one: NewLocations | Estimate) -> tuple[float, float]:
    assert one.low is not None
    assert one.high is not None
    return one.low, one.high


def test_few_locations_say_nothing_of_a_new_one() -> None:
    arrays = photos_of(np.full(FEW_LOCATIONS - 1, 0.7), 20)
    assert metrics.new_location_intervals(*arrays)["accuracy"] == NewLocations(1, None, None)
    more = metrics.new_location_intervals(*photos_of(np.full(FEW_LOCATIONS, 0.7), 20))["accuracy"]
    low, high = ends(more)
    assert low < 0.7 < high


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_locations_that_are_all_alike_do_not_tell_how_far_others_differ(share: float) -> None:
    arrays = photos_of(np.full(FEW_LOCATIONS, share), 20)
    for new in (1, 10):
        assert metrics.new_location_intervals(*arrays, locations=new)["accuracy"] == NewLocations(
            new, None, None
        )


def test_one_new_location_is_less_certain_than_ten_and_these_than_the_mean() -> None:
    arrays = photos_of(np.random.default_rng(1).beta(6, 2, 30), 40)
    mean = metrics.estimate(metrics.accuracy, *arrays)
    one, ten = (metrics.new_location_intervals(*arrays, locations=n)["accuracy"] for n in (1, 10))
    lows, highs = zip(*map(ends, (one, ten, mean)), strict=True)
    assert lows[0] < lows[1] < lows[2] < highs[2] < highs[1] < highs[0]
    assert (one.locations, ten.locations) == (1, 10)


@pytest.mark.parametrize("count", [5, 12, 40])
@pytest.mark.parametrize("new", [1, 4])
def test_what_comes_at_new_locations_lies_in_it_mostly(count: int, new: int) -> None:
    held = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        found = metrics.new_location_intervals(
            *photos_of(random.beta(6, 2, count), 20, seed),
            locations=new,
            samples=200,
            metrics_fn=lambda t, p, w: {"accuracy": metrics.accuracy(t, p, w)},
        )["accuracy"]
        shown = random.binomial(20, random.beta(6, 2, (50, new))).mean(axis=1) / 20
        low, high = ends(found)
        held.append(((shown >= low) & (shown <= high)).mean())
    assert np.mean(held) >= 0.9


def test_sums_and_media_say_the_same() -> None:
    random = np.random.default_rng(3)
    truth, values, codes = random.integers(0, 3, 200), random.dirichlet(np.ones(3), 200), np.arange(200) % 9
    sums = sum_media(truth, values, codes, 9)
    for new in (1, 3):
        of_media = metrics.new_location_intervals(truth, values, codes, locations=new, samples=50)
        of_sums = metrics.new_location_intervals_of_sums(
            sums, locations=new, samples=50, figures=figures_of_sums
        )
        assert set(of_sums) == set(of_media) - {"macro_auc"}
        for name, one in of_sums.items():
            assert (one.low, one.high) == pytest.approx((of_media[name].low, of_media[name].high)), name


def test_many_locations_are_drawn_in_parts_and_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = photos_of(np.random.default_rng(2).beta(6, 2, 20), 5)
    whole = metrics.new_location_intervals(*arrays, locations=2)["accuracy"]
    monkeypatch.setattr("trapline.metrics.new_locations._CHUNK", 300)
    parts = metrics.new_location_intervals(*arrays, locations=2)["accuracy"]
    assert ends(parts) == pytest.approx(ends(whole))


def test_a_location_larger_than_the_others_makes_fewer_effective_ones() -> None:
    assert metrics.effective_locations(["a", "b", "c", "d"]) == 4
    assert metrics.effective_locations(["a", "a", "a", "b"]) == pytest.approx(16 / 10)


def test_no_prediction_goes_where_its_figure_cannot() -> None:
    chance = np.r_[1e-9, np.linspace(0.9, 0.99, 5)].repeat(4)  # one location is answered surely and wrongly
    probabilities = np.stack([chance, 1 - chance], axis=1)
    predicted = metrics.new_location_intervals(np.zeros(24, int), probabilities, np.arange(24) // 4)
    assert predicted["brier_score"].high == 2
    several = metrics.new_location_intervals(np.tile([1, 0], (24, 1)), probabilities, np.arange(24) // 4)
    assert several["brier_score"].high == 1
    assert predicted["log_loss"].high == pytest.approx(-np.log(1e-7))
