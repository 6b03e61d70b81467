"""The Taï species model's convolutions: five 3 × 3 layers, four of them halved by a pool."""

from __future__ import annotations

import torch
from torch import nn

FILTERS = (32, 64, 64, 128, 256)


class SmallCnn(nn.Sequential):
    """float [N, 3, H, W] -> [N, 256, h, w]; a 150-pixel input gives 5 × 5 cells.

    Convolutions are without padding and with ReLU, as published; `batch_norm` puts a normalisation between
    each convolution and its ReLU; the convolutions then have no bias, which the normalisation would take off
    again (544 weights fewer). The pool stands before the ReLU, which gives the same numbers and the same
    gradients (both are monotone) for a quarter of the work. Weights start as Keras starts them (Glorot and
    Bengio 2010).
    """

    def __init__(self, batch_norm: bool = False) -> None:
        layers: list[nn.Module] = []
        channels = 3
        for index, filters in enumerate(FILTERS):
            layers.append(nn.Conv2d(channels, filters, kernel_size=3, bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm2d(filters))
            if index < len(FILTERS) - 1:
                layers.append(nn.MaxPool2d(2))
            layers.append(nn.ReLU(inplace=True))
            channels = filters
        super().__init__(*layers)
        self.apply(start_as_keras)


def start_as_keras(module: nn.Module) -> None:
    """Uniform Glorot weights and zero biases."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            torch.nn.init.zeros_(module.bias)
