"""Densities of times of day: a von Mises kernel on the circle, by its Fourier series.

A kernel density is the empirical characteristic function times the kernel's, so that it is computed from some
hundred sums over the times instead of one sum for each time at each point of a grid. The series is cut where
its terms are below 1e-13: it is the direct sum, and no approximation that a reader could see.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt
from scipy.special import ive

Floats = npt.NDArray[np.float64]
Moments = npt.NDArray[np.complex128]

TURN = 2 * math.pi
PLUG_IN_ORDERS = (1, 2, 3)
_CHUNK = 1 << 15
"""Times that are looked at together: their powers stay in the processor's cache."""
_CONCENTRATIONS = (1e-6, 1e6)


def orders_needed(concentration: float) -> int:
    """How many terms a density of kernels of this concentration has before they are below 1e-13."""
    return math.ceil(math.sqrt(62 * concentration)) + 16


def moments(radians: Floats, orders: int) -> Moments:
    """Trigonometric moments of times of day: means of exp(i k x).

    Args:
        radians: [N].
        orders: the highest k.

    Returns:
        [orders + 1], from k = 0 on.
    """
    sums = np.zeros(orders + 1, dtype=np.complex128)
    for start in range(0, len(radians), _CHUNK):
        turn = np.exp(1j * radians[start : start + _CHUNK])
        power = np.ones_like(turn)
        for order in range(orders + 1):
            sums[order] += power.sum()
            power *= turn
    return sums / len(radians)


def kernel_moments(concentration: Floats, orders: int) -> Floats:
    """Trigonometric moments of von Mises densities about 0: I_k(κ) / I_0(κ).

    Args:
        concentration: κ [...].
        orders: the highest k.

    Returns:
        [..., orders + 1].
    """
    kappa = np.asarray(concentration, dtype=np.float64)[..., None]
    return np.asarray(ive(np.arange(orders + 1), kappa) / ive(0, kappa))


def plug_in_concentration(empirical: Moments, count: Floats | float) -> Floats:
    """The kernel's concentration of least asymptotic integrated error, if the times were von Mises.

    Taylor (2008), Automatic bandwidth selection for circular density estimation, Computational Statistics &
    Data Analysis 52: ν = (3 n κ² I₂(2κ) / (4 √π I₀(κ)²))^(2/5). As Ridout & Linkie (2009, Journal of
    Agricultural, Biological and Environmental Statistics 14), κ is the largest of those that the first three
    trigonometric moments give, since times of two peaks have a first moment near 0.

    Args:
        empirical: moments [..., ≥ 4], from k = 0 on.
        count: how many times they are of, [...].

    Returns:
        [...].
    """
    lengths = np.abs(empirical[..., list(PLUG_IN_ORDERS)])
    kappa = np.max([_concentration_of(lengths[..., k - 1], k) for k in PLUG_IN_ORDERS], axis=0)
    # the scaled functions: I₂(2κ) / I₀(κ)² without what overflows
    ratio = ive(2, 2 * kappa) / ive(0, kappa) ** 2
    return np.asarray((3 * count * kappa**2 * ratio / (4 * math.sqrt(math.pi))) ** 0.4)


def density_at(coefficients: Moments, radians: Floats) -> Floats:
    """A density at times of day, per radian.

    Args:
        coefficients: moments of the density [K + 1]: those of the times by those of the kernel.
        radians: [N].

    Returns:
        [N], at least 0.
    """
    values = np.empty(len(radians))
    for start in range(0, len(radians), _CHUNK):
        back = np.exp(-1j * radians[start : start + _CHUNK])
        total = np.full(len(back), coefficients[-1])
        for coefficient in coefficients[-2::-1]:  # Horner
            total *= back
            total += coefficient
        values[start : start + _CHUNK] = (2 * total.real - coefficients[0].real) / TURN
    return np.maximum(values, 0.0)


def density_on_grid(coefficients: Moments, size: int) -> Floats:
    """Densities at `size` times from 0 on, per radian.

    Args:
        coefficients: moments [..., K + 1].
        size: at least 2 K.

    Returns:
        [..., size], at least 0.
    """
    return np.maximum(np.fft.irfft(coefficients.conj(), size, axis=-1) * (size / TURN), 0.0)


def _concentration_of(length: Floats, order: int) -> Floats:
    """κ of a von Mises density whose moment of this order has this length, to some millionths of it."""
    known, logs = _lengths(order)
    return np.asarray(np.exp(np.interp(length, known, logs)))


@functools.cache
def _lengths(order: int) -> tuple[Floats, Floats]:
    """Lengths of moments, and the logarithms of the concentrations that have them."""
    logs = np.linspace(math.log(_CONCENTRATIONS[0]), math.log(_CONCENTRATIONS[1]), 20_000)
    kappa = np.exp(logs)
    return np.asarray(ive(order, kappa) / ive(0, kappa)), logs
