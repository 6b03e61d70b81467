"""A dense softmax layer on fixed features by epochs of a gradient method, as the published heads had."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trapline.errors import require
from trapline.metrics import accuracy, balanced_accuracy, log_loss, macro_f1, probabilities_of
from trapline.models.recipe import Recipe
from trapline.training.linear import LinearHead

_BETTER: dict[str, tuple[Any, int]] = {
    "accuracy": (accuracy, 1),
    "balanced_accuracy": (balanced_accuracy, 1),
    "macro_f1": (macro_f1, 1),
    "log_loss": (log_loss, -1),
    "loss": (log_loss, -1),
}


def fit_by_epochs(
    recipe: Recipe,
    features: npt.NDArray[np.float32],
    possible: npt.NDArray[np.bool_],
    weights: npt.NDArray[np.float64],
    held_features: npt.NDArray[np.float32],
    held_possible: npt.NDArray[np.bool_],
) -> LinearHead:
    """Train a dense layer; every epoch goes once over all media, in another order.

    The loss of a media is -log P(one of its possible children), as in `tree_heads`: cross-entropy where there
    is one, and where a label stops above several children it says nothing of which. Such media do not take
    part in choosing the epoch.

    Args:
        recipe: `optimiser`, `epochs`, `batch_size`, `selection` and `seed` are used.
        features: float32 [N, D].
        possible: bool [N, children], at least one a row.
        weights: [N], of the loss.
        held_features: of the media on which the epoch is chosen; where there are none, the last is kept.
        held_possible: of those.

    Raises:
        MissingExtraError: PyTorch is not installed.
    """
    require("torch", "train", f"The solver 'adam' of the recipe '{recipe.name}'")
    import torch

    from trapline.training.optimisation import build_optimiser

    torch.manual_seed(recipe.seed)
    layer: Any = torch.nn.Linear(features.shape[1], possible.shape[1])
    torch.nn.init.xavier_uniform_(layer.weight)  # Keras's
    torch.nn.init.zeros_(layer.bias)
    optimiser = build_optimiser(recipe.optimiser, layer)
    values, targets = torch.from_numpy(features), torch.from_numpy(possible)
    shares = torch.from_numpy(weights.astype(np.float32))
    told = held_possible.sum(axis=1) == 1
    held_features, held_truth = held_features[told], held_possible[told].argmax(axis=1)
    best, kept = -np.inf, _copy(layer)
    order: Any = torch.randperm
    for _ in range(recipe.epochs):
        for batch in order(len(values)).split(recipe.batch_size):
            optimiser.zero_grad()
            said = layer(values[batch]).log_softmax(dim=1)
            lost = -said.masked_fill(~targets[batch], -torch.inf).logsumexp(dim=1)
            (lost * shares[batch]).mean().backward()
            optimiser.step()
        score = _score(recipe.selection, layer, held_features, held_truth)
        if score >= best or recipe.selection == "last":
            best, kept = score, _copy(layer)
    size = features.shape[1]
    return LinearHead(np.zeros(size), np.ones(size), *kept)


def _copy(layer: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return (
        layer.weight.detach().numpy().T.astype(np.float64).copy(),
        layer.bias.detach().numpy().astype(np.float64).copy(),
    )


def _score(
    selection: str, layer: Any, features: npt.NDArray[np.float32], truth: npt.NDArray[np.int64]
) -> float:
    if selection == "last" or len(truth) == 0:
        return 0.0
    weights, bias = _copy(layer)
    metric, sign = _BETTER[selection]
    return sign * float(metric(truth, probabilities_of(features @ weights + bias, "single-label")))
