"""Fingerprints of pictures that look alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from trapline.images.decode import DEFAULT_LIMITS, Limits, Source, decode

_SIDE, _KEPT = 32, 8
_BITS = 64
_CHUNK = 2**22  # comparisons held in memory at a time


def perceptual_hash(source: Source, limits: Limits = DEFAULT_LIMITS) -> int:
    """64 bits that change little when a picture is re-encoded, resized or brightened (pHash).

    The signs of the 8 × 8 lowest frequencies of the cosine transform of the 32 × 32 grey picture, about their
    median (Zauner 2010, *Implementation and benchmarking of perceptual image hash functions*). Two
    pictures that differ in few bits look alike; frames of one burst often do.

    Raises:
        ImageError: the picture cannot be decoded.
    """
    image = decode(source, min_side=(2 * _SIDE, 2 * _SIDE), limits=limits).image
    grey = Image.fromarray(np.asarray(image)).convert("L")
    small = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), np.float64)
    basis = _cosines()
    low = (basis @ small @ basis.T).ravel()
    low = np.where(np.abs(low) < 1e-6, 0.0, low)  # rounding must not decide the bits of an even picture
    bits = low > np.median(low[1:])  # the first is the mean brightness
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


@cache
def _cosines() -> npt.NDArray[np.float64]:
    """The 8 lowest rows of the orthonormal DCT-II of length 32: float64 [8, 32]."""
    angles = (2 * np.arange(_SIDE) + 1) * np.pi / (2 * _SIDE)
    basis: npt.NDArray[np.float64] = np.cos(np.arange(_KEPT)[:, None] * angles) * np.sqrt(2 / _SIDE)
    basis[0] /= np.sqrt(2)
    return basis


def near_duplicates(hashes: Sequence[int | None], distance: int = 4) -> list[list[int]]:
    """Groups of pictures that look alike: each has another in its group within `distance` bits.

    Hashes that differ in at most d of 64 bits agree wholly in one of d + 1 bands of bits, so only those that
    share a band are compared (multi-index hashing, Norouzi et al. 2012).

    Args:
        hashes: from `perceptual_hash`; None for a picture that has none.
        distance: bits that may differ, 0 to 15.

    Returns:
        the indices in `hashes`, rising within a group; groups by their first index; no group of one.
    """
    if not 0 <= distance <= 15:
        raise ValueError(f"distance must be 0 to 15 bits, not {distance}")
    known = [index for index, value in enumerate(hashes) if value is not None]
    values = np.array([hashes[index] for index in known], np.uint64)
    unique, inverse = np.unique(values, return_inverse=True)
    parents = np.arange(len(unique))
    for first, second in _close_pairs(unique, distance):
        _join(parents, first, second)
    groups: dict[int, list[int]] = {}
    for index, which in zip(known, inverse.tolist(), strict=True):
        groups.setdefault(_root(parents, which), []).append(index)
    return sorted(group for group in groups.values() if len(group) > 1)


def _close_pairs(unique: npt.NDArray[np.uint64], distance: int) -> Iterator[tuple[int, int]]:
    """Pairs of indices in `unique` that differ in at most `distance` bits (some more than once)."""
    edges = np.linspace(0, _BITS, distance + 2).round().astype(int)
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        band = (unique >> np.uint64(low)) & np.uint64(2 ** (high - low) - 1)
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order])) + 1
        for bucket in np.split(order, starts):
            if len(bucket) > 1:
                yield from _close_in_bucket(unique, bucket, distance)


def _close_in_bucket(
    unique: npt.NDArray[np.uint64], bucket: npt.NDArray[np.intp], distance: int
) -> Iterator[tuple[int, int]]:
    values = unique[bucket]
    rows = max(1, _CHUNK // len(bucket))
    for start in range(0, len(bucket), rows):
        apart = np.bitwise_count(values[start : start + rows, None] ^ values[None, :])
        first, second = np.nonzero(apart <= distance)
        forward = first + start < second
        yield from zip(bucket[first[forward] + start].tolist(), bucket[second[forward]].tolist(), strict=True)


def _root(parents: npt.NDArray[np.intp], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = int(parents[index])
    return index


def _join(parents: npt.NDArray[np.intp], first: int, second: int) -> None:
    one, other = _root(parents, first), _root(parents, second)
    parents[max(one, other)] = min(one, other)
