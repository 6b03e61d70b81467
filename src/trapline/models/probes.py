"""The images that a model is asked about before it is believed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def probe_images(height: int, width: int) -> Iterator[Pixels]:
    """Three images, uint8 [height, width, 3]: black, noise, and an animal of a kind before a sky."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width] / np.array([[[height]], [[width]]])
    scene = np.stack([90 + 80 * rows, 120 - 40 * rows, 200 - 160 * rows], axis=2)
    inside = ((rows - 0.6) / 0.2) ** 2 + ((columns - 0.4) / 0.25) ** 2 < 1
    scene[inside] = (110, 80, 50)
    yield np.zeros((height, width, 3), np.uint8)
    yield random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    yield (scene + random.normal(0, 6, scene.shape)).clip(0, 255).astype(np.uint8)
