"""Fractal noise, the raw material of bark, fur, leaf litter and light."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def fractal_noise(
    rng: np.random.Generator, side: int, roughness: float, stretch: tuple[float, float] = (1.0, 1.0)
) -> Array:
    """Noise that tiles, with a spectrum that falls as frequency ** -roughness, scaled to 0–1.

    Args:
        rng: where the phases come from.
        side: of the square, pixels.
        roughness: 0 is white noise, 1 looks like gravel, 2 like clouds.
        stretch: how many times longer than wide its grains are, down and across.
    """
    fy, fx = np.fft.fftfreq(side)[:, None] * stretch[0], np.fft.rfftfreq(side)[None, :] * stretch[1]
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.standard_normal((side, side))) / frequency**roughness
    spectrum[0, 0] = 0.0
    noise = np.fft.irfft2(spectrum, s=(side, side))
    low, high = np.quantile(noise, [0.01, 0.99])
    return np.asarray(np.clip((noise - low) / (high - low), 0, 1), np.float32)


@cache
def fur(strands: bool = True) -> Array:
    """One tile of hair-like grain for all coats [512, 512], 0–1."""
    return fractal_noise(np.random.default_rng(7), 512, 0.9, (1.0, 2.5 if strands else 1.0))


def look_up(tile: Array, down: npt.NDArray[np.floating], across: npt.NDArray[np.floating]) -> Array:
    """The values of a tile at any coordinates in pixels of the tile; it repeats for ever."""
    side = tile.shape[0]
    rows, columns = np.broadcast_arrays(down.astype(np.int64) % side, across.astype(np.int64) % side)
    return np.asarray(tile[rows, columns], np.float32)


def window(tile: Array, height: int, width: int, rng: np.random.Generator, zoom: float = 1.0) -> Array:
    """A piece of a tile from a random offset [height, width]; `zoom` > 1 enlarges its grains."""
    down, across = rng.integers(0, tile.shape[0], 2)
    return look_up(tile, (np.arange(height) / zoom + down)[:, None], (np.arange(width) / zoom + across)[None])
