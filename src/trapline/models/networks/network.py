"""One frame for every network: uint8 images in, logits and embedding out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from trapline.models.networks.small_cnn import start_as_keras
from trapline.recipes import Head


class Network(nn.Module):
    """Normalisation → backbone → pooling → head.

    Args:
        backbone: float [N, 3, H, W] -> a map [N, C, h, w], or a vector [N, C] that it pooled itself.
        pooling: over the map's cells.
        features: C after pooling; the size of the embedding.
        head: the recipe's.
        labels: how many.
        mean: of the backbone's training images, a channel, on the scale 0..1.
        std: likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        pooling: nn.Module,
        features: int,
        head: Head,
        labels: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.backbone, self.pooling = backbone, pooling
        self.head = build_head(features, head, labels)
        self.embedding_size, self.labels = features, labels
        self.normalises = any(mean) or set(std) != {1.0}
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [N, H, W, 3] -> logits [N, labels], embedding [N, embedding_size]."""
        embedding = self.embed(unit_images(images))
        return self.head(embedding), embedding

    def embed(self, images: Tensor) -> Tensor:
        """float [N, 3, H, W] in 0..1 -> embedding [N, embedding_size]."""
        if self.normalises:
            images = (images - self.mean) / self.std
        pooled: Tensor = self.pooling(self.backbone(images))
        return pooled


def unit_images(images: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] -> float [N, 3, H, W] in 0..1; the values stay where they are (channels last)."""
    return images.permute(0, 3, 1, 2).float() / 255


def build_head(features: int, head: Head, labels: int) -> nn.Sequential:
    """Dropout, then hidden layers (linear, normalisation, ReLU, dropout), then one logit a label."""
    layers: list[nn.Module] = []
    first = head.dropout if head.input_dropout is None else head.input_dropout
    if first:
        layers.append(nn.Dropout(first))
    for size in head.hidden:
        layers.append(nn.Linear(features, size))
        if head.batch_norm:
            layers.append(nn.BatchNorm1d(size))
        layers.append(nn.ReLU(inplace=True))
        if head.dropout:
            layers.append(nn.Dropout(head.dropout))
        features = size
    built = nn.Sequential(*layers, nn.Linear(features, labels))
    built.apply(start_as_keras)
    return built


class MaxPooling(nn.Module):
    """The largest value over all cells."""

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, h, w] -> [N, C]."""
        return maps.amax(dim=(2, 3))


class AveragePooling(nn.Module):
    """The mean over all cells; a vector stays as it is (its backbone has pooled)."""

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, h, w] or [N, C] -> [N, C]."""
        return maps if maps.ndim == 2 else maps.mean(dim=(2, 3))


class AverageMaxPooling(nn.Module):
    """Mean and maximum, side by side."""

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, h, w] -> [N, 2 C]."""
        return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)


class GemPooling(nn.Module):
    """The generalised mean with a learned power (Radenović et al. 2018); between mean and maximum."""

    def __init__(self, power: float = 3.0) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(power))

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, h, w] -> [N, C]."""
        clamped = maps.clamp(min=1e-6).pow(self.power)
        return functional.adaptive_avg_pool2d(clamped, 1).flatten(1).pow(1 / self.power)


POOLINGS: dict[str, type[nn.Module]] = {
    "avg": AveragePooling,
    "max": MaxPooling,
    "avgmax": AverageMaxPooling,
    "gem": GemPooling,
    "flatten": nn.Flatten,
}
