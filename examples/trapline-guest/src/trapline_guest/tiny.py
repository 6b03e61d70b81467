"""A network of three convolutions, and the recipe that trains it."""

from __future__ import annotations

from trapline.plugins import Backbone, NetworkRecipe, Preprocessing, backbone, recipe


@backbone("guest-tiny-net")
def tiny_net(recipe: NetworkRecipe) -> Backbone:
    """Three strided convolutions; the map that they leave is pooled as the recipe says."""
    from torch import nn

    layers: list[nn.Module] = []
    for before, after in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    return Backbone(nn.Sequential(*layers), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


@recipe
def guest_tiny() -> NetworkRecipe:
    """The tiny network from scratch on whole frames of 64 pixels: minutes on a processor."""
    return NetworkRecipe(
        name="guest-tiny",
        backbone="guest-tiny-net",
        how="scratch",
        preprocessing=Preprocessing(height=64, width=64),
        epochs=10,
        selection="cohens_kappa",
    )
