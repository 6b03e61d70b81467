"""Points spread over embeddings: k-center greedy, and what stands near what. Pure numbers.

K-center greedy (Gonzalez 1985; as a way to choose what to label: Sener & Savarese 2018, *Active Learning for
Convolutional Neural Networks: A Core-Set Approach*) takes again and again the point that is farthest from all
that are taken. It needs one row of distances a point that is taken, so that 100,000 events take seconds.
"""

from __future__ import annotations

import numpy as np

from trapline.review.situation import Floats, Rows, Singles

DIMENSIONS = 64
_SAMPLE = 4096


def compact(embeddings: Singles, dimensions: int = DIMENSIONS, seed: int = 0) -> Singles:
    """Embeddings [E, D] as their principal components [E, ≤ dimensions], of spread 1 along the first.

    The axes are those of a random sample, so that 100,000 events take about a second. Features that never
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
    compacted[there] = (embeddings[there] @ turned - (mean @ turned)) / spread
    return compacted


def distances_to_nearest(points: Singles, centers: Singles) -> Floats:
    """Squared distance [N] of each point [N, D] to the nearest center; infinite where there is none."""
    nearest = np.full(len(points), np.inf)
    own = (points.astype(np.float32) ** 2).sum(axis=1)
    for start in range(0, len(centers), 256):
        block = centers[start : start + 256]
        squared = own[:, None] - 2 * (points @ block.T) + (block**2).sum(axis=1)
        nearest = np.minimum(nearest, np.maximum(squared.min(axis=1), 0))
    return nearest


def k_center(points: Singles, count: int, nearest: Floats, weights: Floats | None = None) -> Rows:
    """Rows of `count` of the points, each the farthest from what is taken before it, in that order.

    Args:
        points: float32 [N, D].
        count: how many; fewer where there are fewer points.
        nearest: [N], squared distance to what is taken already; infinite where that is nothing, and then the
            first is the medoid, the point that is nearest to the mean of all.
        weights: [N], that multiply the distances: what is of more use is taken sooner.
    """
    nearest = nearest.copy()
    worth = np.ones(len(points)) if weights is None else weights
    chosen: list[int] = []
    while len(chosen) < min(count, len(points)):
        if np.isinf(nearest).all():
            best = int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin())
        else:
            best = int((np.where(np.isin(np.arange(len(points)), chosen), -1.0, nearest * worth)).argmax())
        chosen.append(best)
        nearest = np.minimum(nearest, ((points - points[best]) ** 2).sum(axis=1))
    return np.array(chosen, np.int64)


def group(points: Singles, groups: int) -> Rows:
    """int [N]: the group of each point, that of the nearest of some spread points; numbered in turn."""
    heads = k_center(points, groups, np.full(len(points), np.inf))
    squared = ((points[:, None] - points[heads]) ** 2).sum(axis=2)
    _, first, numbers = np.unique(squared.argmin(axis=1), return_index=True, return_inverse=True)
    return np.asarray(first.argsort().argsort()[numbers], np.int64)
