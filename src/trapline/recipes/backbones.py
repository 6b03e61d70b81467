"""The names of the backbones that PyTorch trains; what makes them stands in `trapline.models.trainable`."""

from __future__ import annotations

from typing import Any

from trapline.registry import Registry

BACKBONES: Registry[Any] = Registry(
    "backbone",
    "trapline.backbones",
    home="trapline.models.networks_by_name",
    besides="timm/<name>, model-file:<path>",
)
"""Every backbone that PyTorch trains, by its name. `timm/<name>` is resolved besides."""
