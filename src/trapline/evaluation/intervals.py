"""Figures of media with 95 % intervals over the groups that belong together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trapline import metrics
from trapline.metrics import UNDEFINED_ALLOWED, MetricsFunction, draw_weights
from trapline.models import Interval, as_intervals

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


def hits(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None
) -> dict[str, Floats]:
    """Accuracy and balanced accuracy, for `measure_with_intervals`."""
    return {
        "accuracy": metrics.accuracy(truth, probabilities, weights),
        "balanced_accuracy": metrics.balanced_accuracy(truth, probabilities, weights),
    }


def measure_with_intervals(
    true: Codes, sums: Floats, codes: Codes, samples: int, seed: int, figures: MetricsFunction
) -> dict[str, Interval]:
    """The figures with their 95 % intervals; those that are undefined are left out.

    Args:
        true: [N], the index of each media among the K columns.
        sums: [N, K], its probabilities.
        codes: [N], the group of each media as 0..groups-1.
        samples: how many times the groups are drawn.
        seed: of the draws.
        figures: which, as a function of truth, probabilities and weights.
    """
    return as_intervals(metrics.bootstrap_all(true, sums, codes, samples, seed, metrics_fn=figures))


def share(
    part: npt.NDArray[np.generic], whole: npt.NDArray[np.generic], codes: Codes, samples: int, seed: int
) -> Interval | None:
    """Σ part / Σ whole with its 95 % interval over groups; None where the whole is empty."""
    above, below = part.astype(float), whole.astype(float)
    if not below.sum():
        return None
    value = float(above.sum() / below.sum())
    drawn = []
    for weights in draw_weights(codes, samples, seed) if codes.max() else ():
        bases = weights @ below
        drawn.append(np.divide(weights @ above, bases, out=np.full(len(bases), np.nan), where=bases > 0))
    ratios = np.concatenate(drawn) if drawn else np.array([np.nan])
    if np.isnan(ratios).mean() > UNDEFINED_ALLOWED:
        return Interval(value=value)
    low, high = np.nanquantile(ratios, [0.025, 0.975])
    return Interval(value=value) if low == high else Interval(value=value, low=float(low), high=float(high))
