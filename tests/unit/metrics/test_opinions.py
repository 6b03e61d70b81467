"""A pool of models: what it is, and that its fit finds what made the data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.errors import DataError
from trapline.metrics import fit_opinions, fit_temperature, log_loss, pool_opinions, probabilities_of


def softmax(logits: np.ndarray) -> np.ndarray:
    return probabilities_of(logits, "single-label")


def drawn(media: int, scale: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits [media, 4], and labels drawn by softmax(logits × scale)."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (media, 4))
    chances = softmax(logits * scale)
    return logits, (chances.cumsum(axis=1) > random.random((media, 1))).argmax(axis=1)


@given(
    st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=5), st.floats(0.1, 3)
)
def test_one_model_of_weight_one_stays_itself_and_any_pool_sums_to_one(
    rows: list[list[float]], sure: float
) -> None:
    chances = np.array(rows) / np.sum(rows, axis=1, keepdims=True)
    one = pool_opinions(chances[:, :, None], [1.0], np.ones(len(rows)))
    assert one == pytest.approx(chances, abs=1e-9)
    both = np.stack([chances, chances[:, ::-1]], axis=2)
    pooled = pool_opinions(both, [0.5, 0.7], np.full(len(rows), sure))
    assert pooled.sum(axis=1) == pytest.approx(np.ones(len(rows)))
    assert (pooled >= 0).all()


def test_several_labels_pool_their_log_odds() -> None:
    chances = np.array([[[0.5, 0.8], [0.1, 0.1]]])  # one media, two labels, two models
    found = pool_opinions(chances, [1.0, 1.0], [1.0], multi_label=True)
    assert found[0] == pytest.approx([0.8, 1 / 82])


def test_the_sureness_of_each_group_is_found() -> None:
    groups = np.repeat([0, 1], 4000)
    logits, truth = drawn(8000, np.where(groups == 0, 0.3, 1.5)[:, None])
    weights, sureness = fit_opinions(softmax(logits)[:, :, None], truth, groups, 3)
    assert sureness[:2] * weights[0] == pytest.approx([0.3, 1.5], rel=0.1)
    assert sureness[2] == pytest.approx(1)  # no media of this group


def test_of_one_model_and_one_group_it_is_the_temperature() -> None:
    logits, truth = drawn(3000, np.array(0.6))
    weights, sureness = fit_opinions(softmax(logits)[:, :, None], truth, np.zeros(3000, int), 1)
    assert 1 / (weights[0] * sureness[0]) == pytest.approx(fit_temperature(logits, truth), rel=0.01)


def test_a_model_that_knows_nothing_gets_no_weight_and_two_that_know_different_things_help() -> None:
    random = np.random.default_rng(1)
    truth = random.integers(0, 4, 4000)
    knowing = [softmax(np.eye(4)[truth] + random.normal(0, 1, (4000, 4))) for _ in range(2)]
    guess = softmax(random.normal(0, 1, (4000, 4)))
    opinions, groups = np.stack([*knowing, guess], axis=2), np.zeros(4000, int)
    weights, sureness = fit_opinions(opinions, truth, groups, 1)
    assert weights[2] < 0.1 * weights[0]
    assert weights[0] == pytest.approx(weights[1], rel=0.15)
    pooled = pool_opinions(opinions, weights, sureness[groups])
    assert float(log_loss(truth, pooled)) < 0.95 * min(float(log_loss(truth, one)) for one in knowing)


def test_opinions_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="of shape"):
        fit_opinions(np.full((2, 3), 0.5), [0, 1], [0, 0], 1)
    with pytest.raises(DataError, match="of shape"):
        fit_opinions(np.full((2, 3, 1), np.nan), [0, 1], [0, 0], 1)
    with pytest.raises(DataError, match="Truth has 1"):
        fit_opinions(np.full((2, 3, 1), 0.5), [0], [0, 0], 1)


@pytest.mark.parametrize("several", [False, True])
def test_the_pool_is_the_power_of_weights_and_sureness(several: bool) -> None:
    random = np.random.default_rng(5)
    opinions, weights, sure = (
        random.uniform(0.1, 0.6, (4, 3, 2)),
        np.array([0.4, 1.1]),
        np.array([0.5, 1, 2, 3]),
    )
    powers = (opinions**weights).prod(axis=2) ** sure[:, None]
    if several:
        others = ((1 - opinions) ** weights).prod(axis=2) ** sure[:, None]
        expected = powers / (powers + others)
    else:
        expected = powers / powers.sum(axis=1, keepdims=True)
    assert pool_opinions(opinions, weights, sure, multi_label=several) == pytest.approx(expected)


@pytest.mark.parametrize("several", [False, True])
def test_weights_and_sureness_are_the_maximum_of_their_posterior(several: bool) -> None:
    random = np.random.default_rng(6)
    opinions, groups = random.uniform(0.05, 0.95, (60, 3, 2)), random.integers(0, 2, 60)
    if several:
        truth = (random.random((60, 3)) < opinions.mean(axis=2)).astype(int)
    else:
        opinions /= opinions.sum(axis=1, keepdims=True)
        truth = np.array([random.choice(3, p=row) for row in opinions.mean(axis=2)])
    weights, sureness = fit_opinions(opinions, truth, groups, 2, spread=0.5)

    def cost(weights: np.ndarray, logs: np.ndarray) -> float:
        pooled = pool_opinions(opinions, weights, np.exp(logs)[groups], multi_label=several)
        if several:
            losses = -(truth * np.log(pooled) + (1 - truth) * np.log(1 - pooled))
        else:
            losses = -np.log(pooled[np.arange(60), truth])
        return float(losses.sum() + ((weights - 0.5) ** 2).sum() / 2 + (logs**2).sum() / (2 * 0.5**2))

    logs = np.log(sureness)
    best = cost(weights, logs)
    for step in np.vstack([np.eye(2), -np.eye(2)]) * 0.02:
        assert cost(weights + step, logs) > best
        assert cost(weights, logs + step) > best
