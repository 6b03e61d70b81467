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
from trapline.training.targets import label_weights, log_prior, sampling_weights, truth_of

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
    added = log_prior(targets, recipe.task) if recipe.balance == "logit-adjustment" else 0.0
    added = torch.tensor(np.broadcast_to(added, targets.shape[1:]).copy(), dtype=torch.float32)
    random = np.random.default_rng(recipe.seed)
    chances = sampling_weights(targets) if recipe.balance == "sampling" else None
    steps, history = 0, []
    for epoch in range(1, recipe.epochs + 1):
        met = _Met()
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
            met.add(rows, logits, loss)
            steps += 1
            if not torch.isfinite(loss):
                raise diverged(f"the loss of step {steps} is not a number")
            if steps == recipe.steps:
                break
        so_far = _checked(as_dense(head, mean, scale))
        held = {} if judge is None else judge(so_far)
        history.append({"epoch": epoch, "steps": steps, **met.figures(recipe, targets)} | _held(held))
        if steps == recipe.steps:
            break
    return replace(so_far, history=tuple(history))


class _Met:
    """What the batches of one epoch said, and their losses."""

    def __init__(self) -> None:
        self.rows: list[Rows] = []
        self.logits: list[Singles] = []
        self.losses: list[float] = []

    def add(self, rows: Rows, logits: Tensor, loss: Tensor) -> None:
        self.rows.append(rows)
        self.logits.append(logits.detach().numpy())
        self.losses.append(float(loss.detach()))

    def figures(self, recipe: DenseRecipe, targets: Singles) -> dict[str, float]:
        """The mean loss, and the figures of an epoch."""
        truth = truth_of(targets[np.concatenate(self.rows)], recipe.task)
        probabilities = probabilities_of(np.concatenate(self.logits), recipe.softmax)
        measured = epoch_figures(truth, probabilities, recipe.exclusive)
        measured = {"loss": float(np.mean(self.losses)), **measured}
        return {f"train_{name}": value for name, value in measured.items()}


def _held(figures: dict[str, float]) -> dict[str, float]:
    return {f"validation_{name}": value for name, value in figures.items()}


def _checked(head: DenseHead) -> DenseHead:
    """The same, unless the last steps broke it."""
    from trapline.training.optimisation import diverged

    if not all(np.isfinite(numbers).all() for layer in head.layers for numbers in layer):
        raise diverged("a weight of the head is not a number")
    return head


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
