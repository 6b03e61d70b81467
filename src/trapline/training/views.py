"""Where a random crop lies, drawn anew for each image and epoch. Pure numbers."""

from __future__ import annotations

import numpy as np

from trapline.recipes import Augmentation
from trapline.training.arrays import Flags, Floats, Singles


def changes_geometry(augmentation: Augmentation) -> bool:
    """Whether training looks at other parts of the photo than prediction does."""
    return bool(
        augmentation.crop_scale < 1
        or augmentation.crop_ratio > 1
        or augmentation.rotate
        or augmentation.context
        or augmentation.box_shift
        or augmentation.full_frame
    )


def random_views(
    facts: Singles, augmentation: Augmentation, nominal_context: float | None, random: np.random.Generator
) -> Floats:
    """Rectangles [N, 4] (centre x, centre y, width, height) in fractions of the canvas.

    Context and shift act on images with a box; a crop keeps the whole box where the box fits into it.
    Views stay on the canvas unless prediction itself pads there.

    Args:
        facts: [N, 8], see `trapline.training.pixels.canvas_of`.
        augmentation: the recipe's.
        nominal_context: of the crop policy; None if the preprocessing does not crop.
        random: the source of chance.
    """
    size = facts[:, 2:4].astype(float) - facts[:, :2]  # [N, 2]: width, height
    centre = facts[:, :2] + size / 2
    padded = size > 1 + 1e-6
    boxed = ~np.isnan(facts[:, 4])
    low, high = facts[:, 4:6].astype(float), facts[:, 6:8].astype(float)  # of the box: [N, 2]
    if augmentation.context is not None and nominal_context is not None:
        least, most = np.log(augmentation.context)
        factor = np.exp(random.uniform(least, most, len(facts))) / nominal_context
        size = np.where(boxed[:, None], size * factor[:, None], size)
        centre = np.where(boxed[:, None], (low + high) / 2, centre)
    if augmentation.box_shift:
        shift = random.uniform(-augmentation.box_shift, augmentation.box_shift, size.shape)
        centre = centre + np.where(boxed[:, None], shift * size, 0.0)
    area = random.uniform(augmentation.crop_scale, 1, len(facts))
    ratio = np.exp(random.uniform(-1, 1, len(facts)) * np.log(augmentation.crop_ratio))
    cropped = size * np.sqrt(np.stack([area * ratio, area / ratio], axis=1))
    centre = centre + random.uniform(-0.5, 0.5, size.shape) * np.maximum(size - cropped, 0)
    centre = np.where(boxed[:, None], _keep_box(centre, cropped, low, high), centre)
    cropped = np.where(padded, cropped, np.minimum(cropped, 1))
    inside = np.clip(centre, np.minimum(cropped / 2, 0.5), np.maximum(1 - cropped / 2, 0.5))
    return np.concatenate([np.where(cropped <= 1, inside, centre), cropped], axis=1)


def _keep_box(centre: Floats, size: Floats, low: Floats, high: Floats) -> Floats:
    """Move the view over the box as little as needed: all of the box if it fits, else nothing but the box."""
    ends = np.stack([high - size / 2, low + size / 2])
    return np.clip(centre, ends.min(axis=0), ends.max(axis=0))


def affine_matrices(
    views: Floats, mirrored: Flags, upside_down: Flags, angles: Floats, aspect: float
) -> Singles:
    """float32 [N, 2, 3] for `torch.nn.functional.affine_grid`: from the input's places to the canvas's.

    Args:
        views: as `random_views` gives them.
        mirrored: [N], left to right.
        upside_down: [N].
        angles: [N], degrees.
        aspect: width over height of the network's input.
    """
    turn = np.deg2rad(angles)
    signs = np.stack([np.where(mirrored, -1.0, 1.0), np.where(upside_down, -1.0, 1.0)], axis=1)
    matrices = np.empty((len(views), 2, 3))
    matrices[:, 0, 0], matrices[:, 0, 1] = np.cos(turn), -np.sin(turn) / aspect
    matrices[:, 1, 0], matrices[:, 1, 1] = np.sin(turn) * aspect, np.cos(turn)
    matrices[:, :, :2] *= signs[:, None, :]
    matrices[:, :, :2] *= views[:, 2:, None]
    matrices[:, :, 2] = 2 * views[:, :2] - 1
    return matrices.astype(np.float32)
