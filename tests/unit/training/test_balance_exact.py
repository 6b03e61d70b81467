"""Balance and exclusive answers are exact: a head says what the photos show, or the recipe is refused."""

import numpy as np
import pytest

from trapline.errors import UsageError
from trapline.metrics import categorical_cross_entropy, log_loss, probabilities_of
from trapline.recipes import resolve_recipe
from trapline.training.linear import fit_head
from trapline.training.targets import label_weights, prior_shift

KINDS = 6
SHOWN = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 0]])
"""Rare labels stand alone and beside the common one."""


def drawn(pairs: float, media: int = 6000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [N, 1, D] that say which of six kinds a photo is, its labels, and their true shares."""
    random = np.random.default_rng(5)
    chances = random.dirichlet([1.0, 1.0, 1.0], KINDS) * [0.7, 0.25, 0.05]
    chances *= (1 - pairs) / chances.sum(axis=1, keepdims=True)
    chances = np.hstack([chances, np.repeat([[0.6 * pairs, 0.4 * pairs]], KINDS, axis=0)])
    kinds = random.integers(KINDS, size=media)
    targets = SHOWN[[random.choice(5, p=chances[kind]) for kind in kinds]]
    shares = np.array([targets[kinds == kind].mean(axis=0) for kind in range(KINDS)])
    return np.eye(KINDS, dtype=np.float32)[kinds][:, None], targets, shares[kinds]


def weighed(targets: np.ndarray) -> np.ndarray:
    weights = label_weights(targets.astype(np.float32), "multi-label")
    return np.where(targets > 0, weights, 1.0)


@pytest.mark.parametrize("pairs", [0.0, 0.2])
@pytest.mark.parametrize("balance", ["none", "class-weights"])
def test_an_exclusive_linear_head_says_the_best_that_a_softmax_can(pairs: float, balance: str) -> None:
    features, targets, shares = drawn(pairs)
    balanced = balance == "class-weights"
    head = fit_head(
        features, targets, 3, 1e-7, media_weights=weighed(targets) if balanced else None, exclusive=True
    )
    settings = ["exclusive=true", "calibration=none", f"balance={balance}"]
    recipe = resolve_recipe("sequences-frames", None, settings)
    logits = head.logits(features[:, 0])
    said = probabilities_of(logits, "single-label", prior_shift(recipe, targets.astype(np.float32)))
    best = shares / shares.sum(axis=1, keepdims=True)
    loss, least = (float(categorical_cross_entropy(targets, one)) for one in (said, best))
    assert loss == pytest.approx(least, abs=5e-5)
    one_vs_rest = probabilities_of(
        fit_head(features, targets, 3, 1e-7).logits(features[:, 0]), "single-label"
    )
    assert float(categorical_cross_entropy(targets, one_vs_rest)) > least + 0.05, "what was read before"


@pytest.mark.parametrize("pairs", [0.0, 0.2])
def test_class_weights_on_several_labels_are_undone_to_four_digits(pairs: float) -> None:
    features, targets, shares = drawn(pairs)
    head = fit_head(features, targets, 3, 1e-7, media_weights=weighed(targets))
    recipe = resolve_recipe("sequences-frames", None, ["balance=class-weights"])
    said = probabilities_of(
        head.logits(features[:, 0]), "multi-label", prior_shift(recipe, targets.astype(np.float32))
    )
    assert float(log_loss(targets, said)) == pytest.approx(float(log_loss(targets, shares)), abs=5e-5)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("sequences", ["balance=sampling"]),
        ("sequences-frames", ["balance=sampling", "exclusive=true", "calibration=none"]),
        ("serengeti-benchmark", ["balance=sampling", "correct_prior=true"]),
        ("small-cnn", ["task=multi-label", "balance=sampling"]),
    ],
)
def test_sampling_whole_photos_of_several_labels_is_refused_where_the_prior_is_to_be_put_back(
    name: str, settings: list[str]
) -> None:
    with pytest.raises(UsageError, match=r"rarest label.*use balance 'class-weights'.*correct_prior=false"):
        resolve_recipe(name, None, settings)
    kept = resolve_recipe(name, None, [*settings, "correct_prior=false"])
    assert prior_shift(kept, np.eye(3, dtype=np.float32)) == ()


def test_no_search_of_a_named_recipe_tries_what_is_refused() -> None:
    from trapline.recipes import change_recipe, recipe_names

    for name in recipe_names():
        recipe = resolve_recipe(name)
        for field, dimension in recipe.search.items():
            if field == "balance":
                for choice in dimension.choices:  # type: ignore[union-attr]
                    change_recipe(recipe, {field: choice})
