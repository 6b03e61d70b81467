"""The loss, parameter groups, optimisers and schedules out of a recipe."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trapline.errors import DataError
from trapline.models import put_off_collecting
from trapline.recipes import LayersRecipe, NetworkOptimiser, Optimiser, Schedule


def training_loss(recipe: LayersRecipe, logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    """Cross-entropy over labels, or the mean of the labels' binary ones, smoothed and weighed.

    Args:
        recipe: its loss and task.
        logits: [N, labels].
        targets: [N, labels].
        weights: [labels]; None weighs all alike.
    """
    smoothing = recipe.loss.label_smoothing
    softmax = recipe.task == "single-label" and recipe.loss.name != "bce"
    if softmax or recipe.exclusive:
        return functional.cross_entropy(logits, targets, weight=weights, label_smoothing=smoothing)
    softened = targets * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(logits, softened, pos_weight=weights)


@put_off_collecting()  # the first one imports PyTorch's compiler
def build_optimiser(settings: Optimiser, network: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimiser over the network's parameter groups."""
    groups = parameter_groups(settings, network)
    if settings.name == "sgd":
        return torch.optim.SGD(
            groups, lr=settings.lr, momentum=settings.momentum, nesterov=settings.nesterov, fused=True
        )
    if settings.name == "rmsprop":
        return torch.optim.RMSprop(groups, lr=settings.lr, momentum=settings.momentum)
    kind = torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
    return kind(groups, lr=settings.lr, fused=True)


def parameter_groups(settings: Optimiser, network: nn.Module) -> list[dict[str, Any]]:
    """Groups of equal rate and decay: head (and pooling) at `lr`, the backbone by factor and layer decay.

    Biases and normalisation layers (parameters of one dimension) are not decayed.
    """
    factor, decay_by = 1.0, 1.0
    if isinstance(settings, NetworkOptimiser):
        factor, decay_by = settings.backbone_lr_factor, settings.layer_decay
    depth = layer_depths(network.get_submodule("backbone")) if decay_by < 1 else {}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        rate = settings.lr
        if name.startswith("backbone."):
            rate *= factor * decay_by ** depth.get(name.removeprefix("backbone."), 0)
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def layer_depths(backbone: nn.Module) -> dict[str, int]:
    """Parameter name -> stages between it and the head, 0 for the last stage."""
    names = [name for name, _ in backbone.named_parameters()]
    matcher: Any = getattr(backbone, "group_matcher", None)
    if matcher is not None:
        from timm.models import group_parameters

        stages: dict[str, int] = group_parameters(backbone, matcher(coarse=True), reverse=True)
    else:
        order = list(dict.fromkeys(name.split(".")[0] for name in names))
        stages = {name: order.index(name.split(".")[0]) for name in names}
    last = max(stages.values(), default=0)
    return {name: last - stages.get(name, last) for name in names}


def first_stages(backbone: nn.Module, stages: int) -> list[str]:
    """The names of the parameters of the first `stages` stages."""
    depths = layer_depths(backbone)
    last = max(depths.values(), default=0)
    return [name for name, depth in depths.items() if last - depth < stages]


def diverged(what: str) -> DataError:
    """The error of a training that went astray; `what` is the sign of it."""
    return DataError(
        f"Training diverged: {what}. Lower the learning rate (--set optimiser.lr=…) or limit the gradient "
        "(--set optimiser.clip=1)."
    )


def build_schedule(
    settings: Schedule, optimiser: torch.optim.Optimizer, epochs: int, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """A schedule that moves at every step; `steps` are those of one epoch."""
    if settings.name == "one-cycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            max_lr=[group["lr"] for group in optimiser.param_groups],
            total_steps=epochs * steps + 1,
            pct_start=(settings.warmup_epochs / epochs) or 0.2,
            div_factor=1 / settings.start_factor,
            final_div_factor=settings.start_factor / max(settings.final_factor, 1e-6),
            cycle_momentum=True,
        )
    return torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: rate_factor(settings, step, epochs * steps, steps)
    )


def rate_factor(settings: Schedule, step: int, total: int, steps: int) -> float:
    """The learning rate at `step` over the full one, for `none`, `cosine` and `step`."""
    warmup = round(settings.warmup_epochs * steps)
    if step < warmup:
        return settings.start_factor + (1 - settings.start_factor) * step / warmup
    if settings.name == "cosine":
        done = min(1.0, (step - warmup) / max(1, total - warmup))
        return settings.final_factor + (1 - settings.final_factor) * (1 + math.cos(math.pi * done)) / 2
    if settings.name == "step":
        return settings.step_factor ** (step // (settings.step_epochs * steps))
    return 1.0
