"""Samples of times of day drawn anew, as counts in bins: what intervals of curves and overlaps are made of.

Bins of 84 seconds make a thousand resamples of any number of records as cheap as those of some hundred; what
they cost is below what the thousand resamples differ by from another thousand. Estimates themselves are made
of the times as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.stats import norm
from scipy.stats import t as student_t

from trapline.ecology.circular import (
    TURN,
    Floats,
    Moments,
    density_on_grid,
    plug_in_concentration,
)

BINS = 1024
_COSINES = np.cos(np.arange(BINS) * (TURN / BINS)) - 1
AT_ONCE = 64
"""Resamples in memory together."""


def bin_of(radians: Floats) -> npt.NDArray[np.int64]:
    """The bin of each time, [N]; bins are centred at 0, TURN / BINS, …"""
    return np.asarray(np.rint(radians * (BINS / TURN)).astype(np.int64) % BINS)


def smooth_counts(
    coefficients: Moments, size: int, resamples: int, rng: np.random.Generator
) -> Iterator[Floats]:
    """Resamples of `size` times drawn from a density.

    Args:
        coefficients: moments of the density [K + 1].
        size: times in each.
        resamples: how many.
        rng: draws them.

    Yields:
        counts [≤ 64, BINS].
    """
    shares = density_on_grid(coefficients, BINS)
    shares /= shares.sum()
    for start in range(0, resamples, AT_ONCE):
        yield rng.multinomial(size, shares, min(AT_ONCE, resamples - start)).astype(np.float64)


def location_counts(bins: npt.NDArray[np.int64], locations: npt.NDArray[np.int64], weights: Floats) -> Floats:
    """Counts by bin where locations count as often as they were drawn.

    Args:
        bins: of each record [N].
        locations: index of each record's [N].
        weights: how often each location was drawn [B, L].

    Returns:
        [B, BINS].
    """
    table = csr_array(
        (np.ones(len(bins)), (locations, bins)), shape=(weights.shape[1], BINS), dtype=np.float64
    )
    return np.asarray(weights @ table)


def drawn_locations(locations: int, resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """How often each of the locations is drawn, where as many are drawn as there are: [≤ 64, L]."""
    for start in range(0, resamples, AT_ONCE):
        drawn = rng.multinomial(locations, np.full(locations, 1 / locations), min(AT_ONCE, resamples - start))
        yield drawn.astype(np.float64)


def widening(locations: int) -> float:
    """What limits of so few locations drawn anew are too near by: Student's t, and too small a spread."""
    share = float(student_t.ppf(0.975, locations - 1) / norm.ppf(0.975))
    return share * math.sqrt(locations / (locations - 1))


class BinnedDensities:
    """Densities of resamples, at the bins' centres, for one bandwidth adjustment after another."""

    def __init__(self, counts: Floats) -> None:
        """Of counts [B, BINS]."""
        self.counts = counts
        self.sizes = counts.sum(axis=1)
        self._moments = np.fft.rfft(counts / self.sizes[:, None], axis=1)
        self._concentration = plug_in_concentration(self._moments[:, :4], self.sizes)

    def at_bins(self, adjust: float) -> Floats:
        """Per radian, [B, BINS]; the plug-in concentration is divided by `adjust`."""
        kernel = np.exp((self._concentration / adjust)[:, None] * _COSINES)
        kernel /= kernel.sum(axis=1, keepdims=True)
        smoothed = np.fft.irfft(self._moments * np.fft.rfft(kernel, axis=1), BINS, axis=1)
        return np.maximum(smoothed * (BINS / TURN), 0.0)
