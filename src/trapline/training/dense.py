"""Hidden layers on fixed features, trained by PyTorch: the head of published pipelines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from trapline.errors import require
from trapline.metrics import probabilities_of
from trapline.recipes import DenseRecipe
from trapline.training.arrays import Floats, Rows, Singles
from trapline.training.history import epoch_figures
from trapline.training.targets import added_prior, label_weights, sampling_weights, truth_of

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class DenseHead:
    """Layers with ReLU between them on standardised features.

    Attributes:
        mean: [D], taken off the features.
        scale: [D], that they are then divided by.
        layers: weights [inputs, outputs] and bias [outputs] of each.
        history: one row an epoch, the last perhaps cut short by `steps`: `epoch`, `steps` so far, and
            figures with the prefixes `train_` (over the batches as they were met) and `validation_`.
    """

    mean: Floats
    scale: Floats
    layers: tuple[tuple[Floats, Floats], ...]
    history: tuple[dict[str, float], ...] = ()

    def logits(self, features: npt.NDArray[Any]) -> Floats:
        """float64 [..., K] for features [..., D]."""
        flow = (np.asarray(features, np.float64) - self.mean) / self.scale
        for index, (weights, bias) in enumerate(self.layers):
            flow = (np.maximum(flow, 0) if index else flow) @ weights + bias
        return np.asarray(flow)


def fit_dense(
    recipe: DenseRecipe,
    features: Singles,
    targets: Singles,
    view_weights: Sequence[float] = (1.0,),
    judge: Callable[[DenseHead], dict[str, float]] | None = None,
) -> DenseHead:
    """Train the recipe's head for its epochs, or until its steps are done; the last state is kept.

    Args:
        recipe: its head, optimiser, schedule, loss, balance, batch size and seed are used.
        features: float32 [N, V, D].
        targets: [N, K].
        view_weights: [V], how often each view is drawn.
        judge: figures of the head on media that it does not train on, asked for after each epoch.

    Raises:
        MissingExtraError: PyTorch is not installed.
        DataError: training diverged, or there are too few media for batch normalisation.
    """
    torch = require("torch", "train", f"The hidden layers of the recipe '{recipe.name}'")
    from trapline.models.networks import build_head
    from trapline.training.batches import count_batches
    from trapline.training.optimisation import build_optimiser, build_schedule, diverged, training_loss

    flat = features.reshape(-1, features.shape[-1]).astype(np.float64)
    mean, scale = flat.mean(axis=0), flat.std(axis=0)
    scale = np.where(scale > 1e-6, scale, 1.0)
    inputs = torch.from_numpy(((features - mean) / scale).astype(np.float32))
    wanted = torch.from_numpy(targets)
    torch.manual_seed(recipe.seed)
    head = build_head(features.shape[-1], recipe.head, targets.shape[1]).train()
    optimiser = build_optimiser(recipe.optimiser, head)
    batches = count_batches(len(targets), recipe.batch_size, 2 if recipe.head.batch_norm else 1)
    schedule = build_schedule(recipe.schedule, optimiser, recipe.epochs, batches)
    weights = None
    if recipe.balance == "class-weights":
        weights = torch.tensor(label_weights(targets, recipe.task), dtype=torch.float32)
    added = torch.tensor(added_prior(recipe, targets), dtype=torch.float32)
    random = np.random.default_rng(recipe.seed)
    chances = sampling_weights(targets) if recipe.balance == "sampling" else None
    steps, history = 0, []
    for epoch in range(1, recipe.epochs + 1):
        met: list[Met] = []
        order = random.choice(len(targets), len(targets), p=chances, replace=chances is not None)
        for rows in np.array_split(order, batches):
            views = random.choice(len(view_weights), len(rows), p=np.array(view_weights) / sum(view_weights))
            logits = head(inputs[rows, views]) + added
            loss = training_loss(recipe, logits, wanted[rows], weights)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if recipe.optimiser.clip is not None:
                torch.nn.utils.clip_grad_norm_(head.parameters(), recipe.optimiser.clip)
            optimiser.step()
            schedule.step()
            met.append((rows, logits.detach().numpy(), float(loss.detach())))
            steps += 1
            if not torch.isfinite(loss):
                raise diverged(f"the loss of step {steps} is not a number")
            if steps == recipe.steps:
                break
        so_far = as_dense(head, mean, scale)
        if not all(np.isfinite(numbers).all() for layer in so_far.layers for numbers in layer):
            raise diverged("a weight of the head is not a number")
        parts = {"train": _figures(recipe, targets, met), "validation": judge(so_far) if judge else {}}
        named = {f"{part}_{key}": value for part, some in parts.items() for key, value in some.items()}
        history.append({"epoch": epoch, "steps": steps, **named})
        if steps == recipe.steps:
            break
    return replace(so_far, history=tuple(history))


Met = tuple[Rows, Singles, float]
"""The rows of a batch, the logits as it was met, and its loss."""


def _figures(recipe: DenseRecipe, targets: Singles, met: Sequence[Met]) -> dict[str, float]:
    """The mean loss of an epoch's batches, and its figures."""
    rows, logits, losses = zip(*met, strict=True)
    truth = truth_of(targets[np.concatenate(rows)], recipe.task)
    probabilities = probabilities_of(np.concatenate(logits), recipe.softmax)
    return {"loss": float(np.mean(losses))} | epoch_figures(truth, probabilities, recipe.exclusive)


def as_dense(head: nn.Sequential, mean: Floats, scale: Floats) -> DenseHead:
    """What a trained head answers in prediction: dropout is gone, normalisation is in the layer before it.

    Args:
        head: of `build_head`.
        mean: [D], of the features.
        scale: [D], likewise.
    """
    from torch import nn

    layers: list[tuple[Floats, Floats]] = []
    for layer in head:
        if isinstance(layer, nn.Linear):
            layers.append((_numbers(layer.weight).T.copy(), _numbers(layer.bias).copy()))
        elif isinstance(layer, nn.BatchNorm1d):
            weights, bias = layers.pop()
            factor = _numbers(layer.weight) / np.sqrt(_numbers(layer.running_var) + layer.eps)
            layers.append(
                (weights * factor, (bias - _numbers(layer.running_mean)) * factor + _numbers(layer.bias))
            )
    return DenseHead(mean, scale, tuple(layers))


def _numbers(tensor: Tensor | None) -> Floats:
    assert tensor is not None  # normalisation keeps statistics and is affine: see `build_head`
    return np.asarray(tensor.detach().double().numpy())
