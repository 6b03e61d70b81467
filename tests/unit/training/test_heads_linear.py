"""Linear heads: scikit-learn's optimum, whatever the start, the weights or the labels that are missing."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from trapline.metrics import log_loss, probabilities_of
from trapline.training import linear
from trapline.training.strengths import WEIGHT_DECAYS, ToTry, Tried, try_strengths

MEDIA, SIZE, LABELS = 120, 10, 3


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(3.0, 2.0, (MEDIA, 1, SIZE)).astype(np.float32)


@pytest.fixture(scope="module")
def truth(features: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 2, (MEDIA, LABELS))
    return (features[:, 0, :LABELS] + noise).argmax(axis=1)


def reference(features: np.ndarray, truth: np.ndarray, strength: float, weights: np.ndarray) -> np.ndarray:
    scaled = (features[:, 0] - features[:, 0].mean(axis=0)) / features[:, 0].std(axis=0)
    model = LogisticRegression(C=1 / (strength * MEDIA), tol=1e-8, max_iter=5000)
    return model.fit(scaled, truth, sample_weight=weights).predict_proba(scaled)


@pytest.mark.parametrize("strength", [1.0, 0.01])
@pytest.mark.parametrize("balanced", [False, True])
def test_the_optimum_is_scikit_learns(
    features: np.ndarray, truth: np.ndarray, strength: float, balanced: bool
) -> None:
    weights = 1 / np.bincount(truth)[truth] if balanced else np.ones(MEDIA)
    weights = weights / weights.mean()
    head = linear.fit_head(features, truth, LABELS, strength, media_weights=weights)
    found = probabilities_of(head.logits(features[:, 0]), "single-label")
    np.testing.assert_allclose(found, reference(features, truth, strength, weights), atol=2e-3)


@pytest.mark.parametrize("labels", [2, 3])
def test_with_more_features_than_media_the_optimum_is_scikit_learns(labels: int) -> None:
    wide = np.random.default_rng(3).normal(size=(MEDIA, 1, 3 * MEDIA)).astype(np.float32)
    shown = (wide[:, 0, :labels] + wide[:, 0, labels : 2 * labels]).argmax(axis=1)
    head = linear.fit_head(wide, shown, labels, 0.3, start=linear.fit_head(wide, shown, labels, 3.0))
    found = probabilities_of(head.logits(wide[:, 0]), "single-label")
    np.testing.assert_allclose(found, reference(wide, shown, 0.3, np.ones(MEDIA)), atol=2e-3)


@pytest.mark.parametrize("labels", [2, 3])
def test_another_start_leads_to_the_same_head(features: np.ndarray, truth: np.ndarray, labels: int) -> None:
    shown = np.minimum(truth, labels - 1)
    cold = linear.fit_head(features, shown, labels, 0.1)
    start = linear.fit_head(features, shown, labels, 3.0)
    warm = linear.fit_head(features, shown, labels, 0.1, start=start)
    values = features[:, 0]
    np.testing.assert_allclose(
        probabilities_of(warm.logits(values), "single-label"),
        probabilities_of(cold.logits(values), "single-label"),
        atol=2e-3,
    )


def test_a_label_without_media_gets_half_a_media_and_disturbs_no_other(
    features: np.ndarray, truth: np.ndarray
) -> None:
    without = linear.fit_head(features, truth, LABELS, 0.1).logits(features[:, 0])
    widened = linear.fit_head(features, np.where(truth == 2, 3, truth), 4, 0.1).logits(features[:, 0])
    np.testing.assert_allclose(widened[:, [0, 1, 3]], without, atol=1e-9)
    share = probabilities_of(widened, "single-label")[:, 2].mean()
    assert 0.25 / MEDIA < share < 1.0 / MEDIA


def test_multi_label_heads_are_one_against_the_rest(features: np.ndarray, truth: np.ndarray) -> None:
    shown = np.stack([truth == 0, truth != 1, np.zeros(MEDIA)], axis=1).astype(np.int64)
    found = probabilities_of(linear.fit_head(features, shown, 3, 0.5).logits(features[:, 0]), "multi-label")
    for label in (0, 1):
        expected = reference(features, shown[:, label], 0.5, np.ones(MEDIA))[:, 1]
        np.testing.assert_allclose(found[:, label], expected, atol=2e-3)
    np.testing.assert_allclose(found[:, 2], 0.5 / (MEDIA + 1), atol=1e-6)


def test_views_count_by_their_weights(features: np.ndarray, truth: np.ndarray) -> None:
    mirrored = features + np.random.default_rng(2).normal(size=features.shape).astype(np.float32)
    both = np.concatenate([features, mirrored], axis=1)
    alone = linear.fit_head(features, truth, LABELS, 0.1)
    unseen = linear.fit_head(both, truth, LABELS, 0.1, view_weights=(1.0, 0.0))
    half = linear.fit_head(both, truth, LABELS, 0.1, view_weights=(0.5, 0.5))
    values = features[:, 0]
    np.testing.assert_allclose(unseen.logits(values), alone.logits(values), atol=0.02)
    assert np.abs(half.logits(values) - alone.logits(values)).max() > 0.05


def search(
    features: np.ndarray, truth: np.ndarray, folds: np.ndarray, strengths: tuple[float, ...] = WEIGHT_DECAYS
) -> Tried[linear.LinearLayer]:
    def fit(
        strength: float, outside: np.ndarray, inside: np.ndarray, start: linear.LinearLayer | None
    ) -> linear.LinearLayer:
        return linear.fit_head(features[outside], truth[outside], LABELS, strength, start=start)

    def answer(head: linear.LinearLayer, outside: np.ndarray, inside: np.ndarray) -> np.ndarray:
        return head.logits(features[inside, 0])

    def score(logits: np.ndarray, rows: np.ndarray) -> float:
        return float(log_loss(truth[rows], probabilities_of(logits, "single-label")))

    return try_strengths(ToTry(strengths, folds, fit, answer, score))


def test_out_of_fold_logits_come_from_heads_of_the_other_folds(
    features: np.ndarray, truth: np.ndarray
) -> None:
    folds = np.arange(MEDIA) % 4
    found = search(features, truth, folds, (1.0, 0.1))
    for strength, logits in found.answers.items():
        for fold in range(4):
            inside, outside = folds != fold, folds == fold
            alone = linear.fit_head(features[inside], truth[inside], LABELS, strength)
            expected = probabilities_of(alone.logits(features[outside, 0]), "single-label")
            np.testing.assert_allclose(probabilities_of(logits[outside], "single-label"), expected, atol=3e-3)
        assert found.losses[strength] == float(log_loss(truth, probabilities_of(logits, "single-label")))


def test_strengths_are_tried_until_it_gets_worse_twice(features: np.ndarray) -> None:
    nothing_to_learn = np.random.default_rng(5).integers(0, LABELS, MEDIA)
    found = search(features, nothing_to_learn, np.arange(MEDIA) % 3)
    tried = list(found.losses)
    assert tried == list(WEIGHT_DECAYS[: len(tried)])
    assert len(tried) == WEIGHT_DECAYS.index(found.best) + 3 < len(WEIGHT_DECAYS)


def test_the_strength_of_a_fold_is_chosen_without_it(features: np.ndarray, truth: np.ndarray) -> None:
    folds = np.arange(MEDIA) % 3
    found = search(features, truth, folds, (1.0, 0.01))
    good, bad = found.answers[1.0], found.answers[0.01]
    worse = good + 50 * (truth[:, None] != np.arange(LABELS))
    swapped = {1.0: np.where((folds == 0)[:, None], good, worse), 0.01: bad}
    chosen = replace(found, answers=swapped, losses={1.0: 9.0, 0.01: 1.0}).cross_fitted()
    np.testing.assert_array_equal(chosen[folds == 0], bad[folds == 0])
