"""What another calibration, or another file of the same model, changes of the figures of the same media."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from trapline.metrics import estimate_all
from trapline.models.card import Interval, as_intervals

Floats = npt.NDArray[np.float64]


def change_of(
    truth: npt.ArrayLike,
    before: Floats,
    after: Floats,
    groups: npt.ArrayLike,
    figures: Callable[..., dict[str, Floats]],
) -> dict[str, Interval]:
    """Each figure after less before, with the interval of the difference itself.

    Args:
        truth: int [N] or 0/1 [N, K].
        before: probabilities [N, K].
        after: likewise.
        groups: [N]: what belongs together.
        figures: as `trapline.metrics.measure`.
    """

    def difference(
        truth: npt.ArrayLike, after: npt.ArrayLike, weights: npt.ArrayLike | None
    ) -> dict[str, Floats]:
        old = figures(truth, before, weights)
        return {name: value - old[name] for name, value in figures(truth, after, weights).items()}

    return as_intervals(estimate_all(truth, after, groups, metrics_fn=difference, differences=True))
