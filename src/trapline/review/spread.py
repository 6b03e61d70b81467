"""Events that stand for all others: what lies near what in the embeddings, and whom to ask of. Pure numbers.

Facility location: chosen are the events to which the others have the shortest way, the greedy way (Nemhauser,
Wolsey & Fisher 1978; to choose what to label: Wei, Iyer & Bilmes 2015, *Submodularity in Data Subset
Selection and Active Learning*). K-center, which takes what is farthest from all that is taken, asks for odd
photos first, and a model learnt less of them than of photos drawn by chance (`benchmarks/review_curve.py`).
"""

from __future__ import annotations

import heapq

import numpy as np

from trapline.review.situation import Floats, Rows, Singles

DIMENSIONS = 16
"""Along more of the components photos differ by their background; fewer tell less apart."""

_SAMPLE = 4096
_COVERED = 1024
_BLOCK = 8192


def compact(embeddings: Singles, dimensions: int = DIMENSIONS, seed: int = 0) -> Singles:
    """Embeddings [E, D] as their principal components [E, ≤ dimensions], of spread 1 along the first.

    The axes are those of a random sample, so that 100,000 events take a few seconds. Features that never
    change say nothing; all others count alike, as they do for a linear head. Rows of NaN stay so.
    """
    there = np.flatnonzero(np.isfinite(embeddings).all(axis=1))
    compacted = np.full((len(embeddings), min(dimensions, embeddings.shape[1])), np.nan, np.float32)
    if not len(there):
        return compacted
    sampled = np.random.default_rng(seed).permutation(there)[:_SAMPLE]
    sample = embeddings[sampled].astype(np.float64)
    mean, scale = sample.mean(axis=0), sample.std(axis=0)
    scale = np.where(scale > 1e-6, scale, np.inf)
    sample = (sample - mean) / scale
    axes = np.linalg.eigh(sample.T @ sample / len(sample)).eigenvectors[:, ::-1][:, : compacted.shape[1]]
    turned = (axes / scale[:, None]).astype(np.float32)
    spread = max(float((sample @ axes[:, 0]).std()), 1e-6)
    for start in range(0, len(there), _BLOCK):
        rows = there[start : start + _BLOCK]
        compacted[rows] = (embeddings[rows] @ turned - (mean @ turned)) / spread
    return compacted


def distances(points: Singles, others: Singles) -> Singles:
    """float32 [N, M]: of each of the points [N, D] to each of the others [M, D]."""
    squared = (points**2).sum(axis=1)[:, None] - 2 * (points @ others.T) + (others**2).sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(squared, 0)))


def nearest_distances(points: Singles, others: Singles) -> Singles:
    """float32 [N]: of each of the points [N, D] to the nearest of the others; infinite without any."""
    nearest = np.full(len(points), np.inf, np.float32)
    for start in range(0, len(others), _BLOCK):
        nearest = np.minimum(nearest, distances(points, others[start : start + _BLOCK]).min(axis=1))
    return nearest


def stand_for(
    points: Singles, count: int, decided: Singles, random: np.random.Generator, worth: Floats | None = None
) -> Rows:
    """Rows of `count` of the points, each the one that brings all of them nearest to one that is taken.

    What it brings is counted over a sample of 1,024 of the points, where there are more. As each one that is
    taken only lessens what the others bring, few of them are counted again (Minoux 1978): 100,000 points take
    some seconds.

    Args:
        points: float32 [N, D].
        count: how many; fewer where there are fewer points.
        decided: float32 [M, D], those that are taken already. Without any, the medoid is the first.
        random: draws the sample.
        worth: [N], what the gain of each is multiplied by; None for all alike.
    """
    if count <= 0 or not len(points):
        return np.empty(0, np.int64)
    sample = random.permutation(len(points))[:_COVERED]
    covered = points[np.sort(sample)]
    ways = nearest_distances(covered, decided)
    if not len(decided):
        ways = np.full(len(covered), distances(covered, covered).max() * 2)
    worth = np.ones(len(points)) if worth is None else worth

    def gains(rows: slice) -> Floats:
        shorter = np.maximum(ways - distances(points[rows], covered), 0)
        return np.asarray(shorter.sum(axis=1, dtype=np.float64) * worth[rows])

    blocks = [gains(slice(start, start + _BLOCK)) for start in range(0, len(points), _BLOCK)]
    waiting = [(-gain, row) for row, gain in enumerate(np.concatenate(blocks).tolist())]
    heapq.heapify(waiting)
    chosen: list[int] = []
    while waiting and len(chosen) < count:
        row = heapq.heappop(waiting)[1]
        now = (-float(gains(slice(row, row + 1))[0]), row)
        if waiting and now > waiting[0]:
            heapq.heappush(waiting, now)
            continue
        chosen.append(row)
        ways = np.minimum(ways, distances(points[row : row + 1], covered)[0])
    return np.array(chosen, np.int64)


def group(points: Singles, groups: int, random: np.random.Generator) -> Rows:
    """int [N]: the group of each point, that of the nearest of some that stand for all; numbered in turn."""
    heads = stand_for(points, groups, points[:0], random)
    nearest = distances(points, points[heads]).argmin(axis=1)
    _, first, numbers = np.unique(nearest, return_index=True, return_inverse=True)
    return np.asarray(first.argsort().argsort()[numbers], np.int64)
