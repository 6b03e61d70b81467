"""A number with its interval, as every table of this room has it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """An estimate and its interval.

    Attributes:
        estimate: the number.
        low: the interval's lower end; None where none can be computed.
        high: the upper end; None likewise.
    """

    estimate: float
    low: float | None
    high: float | None
