"""Hidden layers on fixed features: what they take from the recipe, and that export loses nothing of them."""

from __future__ import annotations

import numpy as np
import pytest

from trapline.metrics import log_loss, probabilities_of
from trapline.recipes import Recipe
from trapline.training.dense import DenseHead, as_dense, fit_dense

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrendered")]

torch = pytest.importorskip("torch")

SIZE, LABELS = 12, 3


def recipe(**changes: object) -> Recipe:
    described = {
        "name": "dense",
        "backbone": "model-file:lite0",
        "how": "frozen",
        "head": {"hidden": [16, 8], "dropout": 0.1},
        "optimiser": {"lr": 1e-2},
        "epochs": 15,
    }
    return Recipe.model_validate(described | changes)


@pytest.fixture
def media() -> tuple[np.ndarray, np.ndarray]:
    """Features far from 0 and of unlike sizes, and what they show."""
    random = np.random.default_rng(5)
    truth = random.integers(0, LABELS, 240)
    centres = random.normal(size=(LABELS, SIZE))
    features = (centres[truth] + random.normal(size=(240, SIZE))) * np.linspace(1, 40, SIZE) + 7
    return features[:, None].astype(np.float32), np.eye(LABELS, dtype=np.float32)[truth]


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_head_answers_as_the_network_that_was_trained(batch_norm: bool) -> None:
    from trapline.models.networks.network import build_head

    torch.manual_seed(3)
    asked = recipe(head={"hidden": [16, 8], "dropout": 0.3, "batch_norm": batch_norm}).head
    network = build_head(SIZE, asked, LABELS).train()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    for _ in range(20):
        network(torch.randn(32, SIZE) * 3 + 1)  # the running statistics move away from 0 and 1
    mean, scale = np.linspace(-1, 1, SIZE), np.linspace(0.5, 2, SIZE)
    features = np.random.default_rng(0).normal(size=(50, SIZE))
    with torch.no_grad():
        wanted = network.eval()(torch.tensor((features - mean) / scale, dtype=torch.float32)).numpy()
    found = as_dense(network, mean, scale).logits(features)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)


def test_normalised_layers_learn_and_keep_what_they_learnt(media: tuple[np.ndarray, np.ndarray]) -> None:
    features, targets = media
    fitted = fit_dense(recipe(head={"hidden": [16, 8], "batch_norm": True}), features, targets)
    said = probabilities_of(fitted.logits(features[:, 0]), "single-label")
    assert log_loss(targets.argmax(axis=1), said) < 0.3


def test_each_epoch_leaves_its_figures_and_the_last_may_be_cut_short(
    media: tuple[np.ndarray, np.ndarray],
) -> None:
    features, targets = media
    truth = targets.argmax(axis=1)

    def judge(head: DenseHead) -> dict[str, float]:
        return {"accuracy": float((head.logits(features[:, 0]).argmax(axis=1) == truth).mean())}

    fitted = fit_dense(recipe(batch_size=60, steps=14), features, targets, judge=judge)
    assert [(row["epoch"], row["steps"]) for row in fitted.history] == [(1, 4), (2, 8), (3, 12), (4, 14)]
    assert fitted.history[-1]["validation_accuracy"] == judge(fitted)["accuracy"]
    assert list(fitted.history[0]) == [
        *("epoch", "steps", "train_loss", "train_log_loss", "train_accuracy", "validation_accuracy")
    ]
    losses = [row["train_loss"] for row in fitted.history]
    assert losses == sorted(losses, reverse=True)
    plain = fit_dense(recipe(batch_size=60, steps=14), features, targets)
    np.testing.assert_array_equal(plain.logits(features), fitted.logits(features))  # watching changes nothing


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": {"name": "cosine", "warmup_epochs": 1}},
        {"optimiser": {"lr": 1e-2, "clip": 0.01}},
        {"loss": {"name": "bce"}},
        {"loss": {"label_smoothing": 0.2}},
    ],
    ids=str,
)
def test_what_the_recipe_says_of_training_is_done(
    media: tuple[np.ndarray, np.ndarray], changes: dict[str, object]
) -> None:
    plain, changed = (
        fit_dense(asked, *media).logits(media[0][:, 0]) for asked in (recipe(), recipe(**changes))
    )
    assert np.abs(plain - changed).max() > 0.05


def test_rates_that_fall_to_nothing_leave_the_head_where_it_was(
    media: tuple[np.ndarray, np.ndarray],
) -> None:
    steps = {"name": "step", "step_epochs": 5, "step_factor": 1e-12}
    short, long = (
        fit_dense(asked, *media).logits(media[0][:, 0])
        for asked in (recipe(epochs=5), recipe(epochs=15, schedule=steps))
    )
    np.testing.assert_allclose(short, long, atol=1e-4)
