"""Figures of media with 95 % intervals over the groups that belong together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from trapline import metrics
from trapline.metrics import MetricsFunction, Weights
from trapline.models import Interval, as_intervals

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Resampling:
    """What the intervals of some media are over.

    Attributes:
        groups: [N], the group of each media.
        samples: in how many sets the groups are left out, at most.
        seed: of the sets.
    """

    groups: Codes
    samples: int
    seed: int

    def at(self, rows: npt.NDArray[np.bool_ | np.int64]) -> Resampling:
        """The same for some of the media."""
        return replace(self, groups=self.groups[rows])

    def measure(self, true: Codes, sums: Floats, figures: MetricsFunction) -> dict[str, Interval]:
        """The figures with their 95 % intervals; those that are undefined are left out.

        Args:
            true: [N], the index of each media among the K columns, or 0/1 [N, K].
            sums: [N, K], its probabilities.
            figures: which, as a function of truth, probabilities and weights.
        """
        return as_intervals(
            metrics.estimate_all(true, sums, self.groups, self.samples, self.seed, metrics_fn=figures)
        )

    def share(self, part: ArrayLike, whole: ArrayLike) -> Interval | None:
        """Σ part / Σ whole with its 95 % interval; None where the whole is empty."""
        return Interval.of(metrics.estimate_ratio(part, whole, self.groups, self.samples, self.seed))


def precision_recall_f1(right: int, predicted: int, support: int) -> dict[str, float | None]:
    """The three figures of one class by counts of media; None where one is undefined."""
    return {
        "precision": right / predicted if predicted else None,
        "recall": right / support if support else None,
        "f1": 2 * right / (predicted + support) if predicted + support else None,
    }


def hits(truth: ArrayLike, probabilities: ArrayLike, weights: Weights) -> dict[str, Floats]:
    """Accuracy and balanced accuracy, for `Resampling.measure`."""
    return {
        "accuracy": metrics.accuracy(truth, probabilities, weights),
        "balanced_accuracy": metrics.balanced_accuracy(truth, probabilities, weights),
    }
