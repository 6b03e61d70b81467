"""A dense softmax layer on fixed features by epochs of a gradient method, as the published heads had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trapline.errors import require
from trapline.metrics import (
    LOWER_IS_BETTER,
    accuracy,
    balanced_accuracy,
    figure,
    log_loss,
    macro_f1,
    probabilities_of,
)
from trapline.recipes import EpochTreeRecipe
from trapline.training.arrays import Flags, Floats, Rows, Singles
from trapline.training.linear import LinearLayer

if TYPE_CHECKING:
    from torch import Tensor, nn

Row = dict[str, float | None]

_QUICK = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "log_loss": log_loss,
    "loss": log_loss,
}
"""What is computed by itself, and not with all figures."""


@dataclass(frozen=True)
class EpochHead(LinearLayer):
    """A head that was trained by epochs.

    Attributes:
        history: one row an epoch: `epoch`, `train_loss` (weighted) and `train_accuracy`, over the batches as
            they were met, and `validation_loss` and `validation_accuracy` after it; None where nothing tells.
        best_epoch: the one that was kept, from 1.
    """

    history: tuple[Row, ...] = ()
    best_epoch: int = 0


def fit_by_epochs(
    recipe: EpochTreeRecipe,
    features: Singles,
    possible: Flags,
    weights: Floats,
    held_features: Singles,
    held_possible: Flags,
) -> EpochHead:
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
        DataError: training diverged.
    """
    require("torch", "train", f"The solver 'adam' of the recipe '{recipe.name}'")
    import torch

    from trapline.training.optimisation import build_optimiser, diverged

    torch.manual_seed(recipe.seed)
    layer: Any = torch.nn.Linear(features.shape[1], possible.shape[1])
    torch.nn.init.xavier_uniform_(layer.weight)  # Keras's
    torch.nn.init.zeros_(layer.bias)
    optimiser = build_optimiser(recipe.optimiser, layer)
    values, targets = torch.from_numpy(features), torch.from_numpy(possible)
    shares = torch.from_numpy(weights.astype(np.float32))
    told = held_possible.sum(axis=1) == 1
    held_features, held_truth = held_features[told], held_possible[told].argmax(axis=1)
    best, best_epoch, kept = -np.inf, 0, _copy(layer)
    history = []
    for epoch in range(1, recipe.epochs + 1):
        train = _train_once(layer, optimiser, values, targets, shares, recipe.batch_size)
        if not torch.isfinite(layer.weight).all():
            raise diverged(f"after epoch {epoch} a weight is not a number")
        score, held = _judge(recipe.selection, layer, held_features, held_truth)
        history.append({"epoch": epoch, **train, **held})
        if score >= best or recipe.selection == "last":
            best, best_epoch, kept = score, epoch, _copy(layer)
    size = features.shape[1]
    return EpochHead(np.zeros(size), np.ones(size), *kept, tuple(history), best_epoch)


def _train_once(
    layer: nn.Module, optimiser: Any, values: Tensor, targets: Tensor, shares: Tensor, batch_size: int
) -> Row:
    """One epoch; the mean loss, and the share that was right when it was met."""
    import torch

    loss, right, told = 0.0, 0, 0
    order: Any = torch.randperm
    for batch in order(len(values)).split(batch_size):
        optimiser.zero_grad()
        log_shares = layer(values[batch]).log_softmax(dim=1)
        lost = -log_shares.masked_fill(~targets[batch], -torch.inf).logsumexp(dim=1)
        mean = (lost * shares[batch]).mean()
        mean.backward()
        optimiser.step()
        alone = targets[batch].sum(dim=1) == 1
        hit = targets[batch].gather(1, log_shares.argmax(dim=1, keepdim=True))[:, 0] & alone
        loss += float(mean.detach()) * len(batch)
        right, told = right + int(hit.sum()), told + int(alone.sum())
    return {"train_loss": loss / len(values), "train_accuracy": right / told if told else None}


def _judge(selection: str, layer: nn.Module, features: Singles, truth: Rows) -> tuple[float, Row]:
    """How an epoch does on the media that choose it: what is compared, and a part of the history's row."""
    if len(truth) == 0:
        return 0.0, {"validation_loss": None, "validation_accuracy": None}
    weights, bias = _copy(layer)
    probabilities = probabilities_of(features @ weights + bias, "single-label")
    row: Row = {
        "validation_loss": float(log_loss(truth, probabilities)),
        "validation_accuracy": float(accuracy(truth, probabilities)),
    }
    if selection == "last":
        return 0.0, row
    sign = -1 if selection == "loss" or selection in LOWER_IS_BETTER else 1
    if selection in _QUICK:
        return sign * float(_QUICK[selection](truth, probabilities)), row
    return sign * figure(selection, truth, probabilities), row


def _copy(layer: Any) -> tuple[Floats, Floats]:
    return (
        layer.weight.detach().numpy().T.astype(np.float64).copy(),
        layer.bias.detach().numpy().astype(np.float64).copy(),
    )
