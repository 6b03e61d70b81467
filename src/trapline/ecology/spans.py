"""Stretches of time: joined, cut out of one another, and as shares of days."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

import numpy as np
import numpy.typing as npt

Span = tuple[datetime, datetime]
"""From–to, the end not in it."""

_DAY = timedelta(days=1)


def join(spans: Iterable[Span]) -> list[Span]:
    """The times that are in any of them, in order and apart."""
    joined: list[Span] = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined


def cut(spans: Iterable[Span], holes: Iterable[Span]) -> list[Span]:
    """The times that are in one of `spans` and in none of `holes`."""
    left = join(spans)
    for hole_begin, hole_end in join(holes):
        pieces = []
        for begin, end in left:
            pieces += [(begin, min(end, hole_begin)), (max(begin, hole_end), end)]
        left = [(begin, end) for begin, end in pieces if begin < end]
    return left


def day_shares(spans: Sequence[Span], first: date, days: int, hour: int) -> npt.NDArray[np.float64]:
    """[days]: the share of each day from `first` on that lies in `spans`, which are apart.

    Args:
        spans: from–to.
        first: the first day.
        days: how many.
        hour: at which a day begins, and the one before ends.
    """
    opening = datetime.combine(first, datetime.min.time()) + timedelta(hours=hour)
    edges = np.arange(days + 1, dtype=np.float64)
    shares = np.zeros(days)
    for span in spans:
        begin, end = ((moment - opening) / _DAY for moment in span)
        shares += np.clip(np.minimum(end, edges[1:]) - np.maximum(begin, edges[:-1]), 0, None)
    return shares
