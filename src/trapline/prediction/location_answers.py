"""Events in which nothing can be seen, answered by what else their location shows.

Where a detector found nothing, a classifier guesses: on such photos of `benchmarks/caltech-night` it is
hardly right more often than chance. What the same camera showed in the weeks around says more. This holds for
media that are known to show something; where some are blank, one without a box is most likely blank.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trapline.prediction.frames import Floats

UNIFORM = 1.0
"""Events of equal shares that are counted beside those of the location: few events say little."""


def answer_by_location(
    pooled: Floats,
    seen: npt.NDArray[np.bool_],
    locations: npt.NDArray[np.int64],
    times: Floats,
    days: float,
) -> Floats:
    """The same [N, K], events that are not seen answered by the mean of the others of their location.

    Args:
        pooled: [N, K], rows that sum to 1; NaN where an event has no answer.
        seen: [N], whether the event has a box.
        locations: [N], -1 where unknown.
        times: [N], days; NaN where unknown.
        days: events further away in time do not count.

    Returns:
        [N, K]; an event whose location or time is unknown, or with no seen event near it, keeps its own.
    """
    answered = pooled.copy()
    known = np.isfinite(pooled).all(axis=1) & (locations >= 0) & np.isfinite(times)
    for location in np.unique(locations[known & ~seen]):
        here = known & (locations == location)
        others, asked = np.flatnonzero(here & seen), np.flatnonzero(here & ~seen)
        others = others[np.argsort(times[others], kind="stable")]
        sums = np.vstack([np.zeros(pooled.shape[1]), np.cumsum(pooled[others], axis=0)])
        first = np.searchsorted(times[others], times[asked] - days, side="left")
        last = np.searchsorted(times[others], times[asked] + days, side="right")
        count = (last - first)[:, None]
        mean = (sums[last] - sums[first] + UNIFORM / pooled.shape[1]) / (count + UNIFORM)
        answered[asked] = np.where(count > 0, mean, pooled[asked])
    return answered
