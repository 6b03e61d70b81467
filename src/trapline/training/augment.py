"""Changes of light, sensor and cover on whole batches, on the device that trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trapline.models.networks import unit_images
from trapline.recipes import Augmentation

GREY = (0.299, 0.587, 0.114)
BANNER = 0.12
ERASED = (0.02, 0.2)


def cut(images: Tensor, matrices: Tensor | None, height: int, width: int) -> Tensor:
    """uint8 [N, H, W, 3] -> float [N, 3, height, width] in 0..1, seen through affine `matrices` [N, 2, 3]."""
    pictures = unit_images(images)
    if matrices is None:
        return pictures
    grid = functional.affine_grid(matrices, [len(images), 3, height, width], align_corners=False)
    return functional.grid_sample(pictures, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def augment(
    images: Tensor,
    change: Augmentation,
    random: torch.Generator,
    media: int | None = None,
    own: Tensor | None = None,
) -> Tensor:
    """float [N, 3, H, W] in 0..1 -> the same under other light and another sensor.

    Each image draws its own changes.

    Args:
        images: of the batch, or some of them.
        change: the recipe's.
        random: on the images' device.
        media: in the batch, if these are some of them only: what chance does to each is the same.
        own: int64 [N], which of the batch they are.
    """
    draw = _Draw(media or len(images), images.device, random, own)
    if change.gamma:
        images = images.clamp(min=1e-4).pow(1 + draw.between(-change.gamma, change.gamma))
    if change.contrast or change.brightness:
        gain = 1 + draw.between(-change.contrast, change.contrast)
        middle = images.mean(dim=(1, 2, 3), keepdim=True)
        # about its own mean: a fixed share of the range would blacken most night pictures
        brighter = 1 + draw.between(-change.brightness, change.brightness)
        images = (images - middle) * gain + middle * brighter
    if change.grey:
        images = _where(draw.mine(draw.chance(change.grey)), images, _grey)
    if change.blur:
        images = _where(draw.mine(draw.chance(change.blur)), images, _blur)
    if change.coarse:
        chosen = draw.chance(change.coarse)
        if chosen.any():
            share = draw.scalar()
            images = _where(draw.mine(chosen), images, lambda some: _coarsen(some, share))
    if change.noise:
        strength = draw.between(0, change.noise)
        grain = torch.randn((draw.images, 1, *images.shape[2:]), device=images.device, generator=random)
        images = images + draw.mine(grain) * strength
    images = images.clamp(0, 1)
    if change.banner:
        images = _mask_banners(images, draw, change.banner)
    if change.erase:
        images = _erase(images, draw, change.erase)
    return images


def mix(
    images: Tensor, targets: Tensor, change: Augmentation, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mixup or CutMix of a batch with itself turned around; where both are asked for, a coin decides."""
    if not (change.mixup or change.cutmix) or len(images) < 2:
        return images, targets
    draw = _Draw(1, images.device, random)
    cutting = bool(change.cutmix) and (not change.mixup or draw.scalar() < 0.5)
    share = _beta(change.cutmix if cutting else change.mixup, draw)
    other = torch.arange(len(images) - 1, -1, -1, device=images.device)
    if cutting:
        height, width = images.shape[2:]
        top, bottom = _span(draw, height, (1 - share) ** 0.5)
        left, right = _span(draw, width, (1 - share) ** 0.5)
        images = images.clone()
        images[:, :, top:bottom, left:right] = images[other][:, :, top:bottom, left:right]
        share = 1 - (bottom - top) * (right - left) / (height * width)
    else:
        images = images * share + images[other] * (1 - share)
    return images, targets * share + targets[other] * (1 - share)


@dataclass(frozen=True)
class _Draw:
    """Random numbers, one an image."""

    images: int
    device: torch.device
    random: torch.Generator
    own: Tensor | None = None

    def mine(self, drawn: Tensor) -> Tensor:
        """What was drawn for the images that are here."""
        return drawn if self.own is None else drawn[self.own]

    def between(self, low: float, high: float) -> Tensor:
        """[N, 1, 1, 1], of the images that are here."""
        return low + (high - low) * self.mine(self._rand(self.images, 1, 1, 1))

    def chance(self, share: float) -> Tensor:
        """bool, of all images."""
        return self._rand(self.images) < share

    def here(self, index: int) -> list[int]:
        """Where an image of the batch is among those that are here; empty if it is not."""
        return [index] if self.own is None else (self.own == index).nonzero()[:, 0].tolist()

    def scalar(self) -> float:
        return float(self._rand(1))

    def _rand(self, *shape: int) -> Tensor:
        return torch.rand(shape, device=self.device, generator=self.random)


def _where(chosen: Tensor, images: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    rows = chosen.nonzero()[:, 0]
    if len(rows):
        images = images.clone()
        images[rows] = change(images[rows])
    return images


def _grey(images: Tensor) -> Tensor:
    shares = torch.tensor(GREY, device=images.device).view(1, 3, 1, 1)
    return (images * shares).sum(dim=1, keepdim=True).expand_as(images)


def _blur(images: Tensor) -> Tensor:
    """A binomial 3 × 3 filter, twice."""
    line = torch.tensor([1.0, 2.0, 1.0], device=images.device) / 4
    kernel = torch.outer(line, line).expand(3, 1, 3, 3)
    for _ in range(2):
        padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
        images = functional.conv2d(padded, kernel.to(images.dtype), groups=3)
    return images


def _coarsen(images: Tensor, drawn: float) -> Tensor:
    """Down to a third to nine tenths of the pixels a side, and up again."""
    share = 1 / 3 + (0.9 - 1 / 3) * drawn
    size = images.shape[2:]
    small = [max(8, round(side * share)) for side in size]
    few = functional.interpolate(images, small, mode="bilinear", antialias=True)
    return functional.interpolate(few, list(size), mode="bilinear")


def _mask_banners(images: Tensor, draw: _Draw, share: float) -> Tensor:
    """Blacken a band at the top or the bottom."""
    images = images.clone()
    height = images.shape[2]
    for row in draw.chance(share).nonzero()[:, 0].tolist():
        band = max(1, round(height * BANNER * (0.3 + 0.7 * draw.scalar())))
        top = 0 if draw.scalar() < 0.5 else height - band
        for here in draw.here(row):
            images[here, :, top : top + band] = 0
    return images


def _erase(images: Tensor, draw: _Draw, share: float) -> Tensor:
    """Cover a rectangle with the image's mean (Zhong et al. 2020, *Random Erasing*)."""
    images = images.clone()
    for row in draw.chance(share).nonzero()[:, 0].tolist():
        side = (ERASED[0] + (ERASED[1] - ERASED[0]) * draw.scalar()) ** 0.5
        stretch = 0.6 + draw.scalar()
        top, bottom = _span(draw, images.shape[2], side * stretch)
        left, right = _span(draw, images.shape[3], side / stretch)
        for here in draw.here(row):
            images[here, :, top:bottom, left:right] = images[here].mean(dim=(1, 2)).view(3, 1, 1)
    return images


def _span(draw: _Draw, length: int, share: float) -> tuple[int, int]:
    size = min(length, max(1, round(length * share)))
    start = int(draw.scalar() * (length - size + 1))
    return start, start + size


def _beta(parameter: float, draw: _Draw) -> float:
    """One draw of Beta(a, a), by Jöhnk's method, from the generator that makes runs repeatable."""
    while True:
        first, second = (draw.scalar() ** (1 / parameter) for _ in range(2))
        if 0 < first + second <= 1:
            return float(first / (first + second))
