"""What is known of a classifier's false positives: a rate with its interval, or an audit's counts by
location."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import beta

from trapline.ecology.design import Floats
from trapline.ecology.history_table import read_site_table
from trapline.ecology.occupancy_evidence import FalsePositiveRate, sum_by
from trapline.errors import DataError, UsageError

_NUMBER = r"(\d*\.?\d+(?:[eE][+-]?\d+)?)"
_RATE = re.compile(rf"\s*(?:{_NUMBER}\s*:)?\s*{_NUMBER}\s*(?:-|–|to)\s*{_NUMBER}\s*")
_WRONG = ("wrong", "false_positives", "false_positive")
_CHECKED = ("checked", "occasions", "trials", "n")


@dataclass(frozen=True, eq=False)
class FalsePositiveCounts:
    """An audit's counts: at occasions where people did not see the species, how often was it detected?

    Attributes:
        locations: [M].
        wrong: [M], occasions at which it was detected all the same.
        checked: [M], occasions that people looked at and that do not show the species.
    """

    locations: tuple[str, ...]
    wrong: Floats
    checked: Floats

    def __post_init__(self) -> None:
        if not (len(self.locations) == len(self.wrong) == len(self.checked)):
            raise DataError("Counts of false positives need a location, `wrong` and `checked` each.")
        bad = ~((self.wrong >= 0) & (self.wrong <= self.checked))
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise DataError(
                f"{self.locations[row]} has {self.wrong[row]:g} false positives at {self.checked[row]:g} "
                "occasions: they cannot be more than these, nor missing."
            )
        if not self.checked.sum() > 0:
            raise DataError("The counts of false positives are of no occasion.")

    def at(self, locations: Sequence[str]) -> tuple[Floats, Floats, tuple[Floats, Floats]]:
        """The counts at these locations, 0 where nobody checked, and those at others."""
        index = {name: row for row, name in enumerate(locations)}
        rows = np.array([index.get(name, -1) for name in self.locations], np.int64)
        here = rows >= 0
        wrong = sum_by(rows[here], self.wrong[here], len(locations))
        checked = sum_by(rows[here], self.checked[here], len(locations))
        return wrong, checked, (self.wrong[~here], self.checked[~here])


def rate_of_interval(low: float, high: float, rate: float | None = None) -> FalsePositiveRate:
    """A rate and its 95 % interval as so many checked occasions, as many of them wrong.

    The beta distribution whose mean is the rate, and whose 95 % interval is as wide as this one in log
    odds; the number of occasions is the sum of its two numbers. Without a rate it is in the interval's
    middle, in log odds.

    Raises:
        UsageError: they are no probabilities in order.
    """
    rate = float(expit((logit(low) + logit(high)) / 2)) if rate is None and 0 < low < high < 1 else rate
    if rate is None or not 0 < low < rate < high < 1:
        raise UsageError(
            "A rate of false positives is written RATE:LOW-HIGH, its 95 % interval after it, all between 0 "
            "and 1, as in 0.02:0.01-0.05."
        )
    wanted = logit(high) - logit(low)

    def width(log_total: float) -> float:
        ends = beta.ppf([0.025, 0.975], rate * np.exp(log_total), (1 - rate) * np.exp(log_total))
        return float(logit(ends[1]) - logit(ends[0]) - wanted)

    most = np.log(1e9)
    least = np.log(0.5 / rate)
    if width(least) < 0:
        raise UsageError(
            f"The interval {low:g}-{high:g} is so wide that it says nothing of the rate {rate:g}."
        )
    total = float(np.exp(most if width(most) > 0 else brentq(width, least, most, xtol=1e-10)))
    return FalsePositiveRate(rate * total, total)


def read_false_positives(text: str) -> FalsePositiveRate | FalsePositiveCounts:
    """What `--false-positive` says: `RATE:LOW-HIGH`, `LOW-HIGH`, or a table with `checked` and `wrong`.

    A table with a column of locations gives counts by location; one without, of all together.

    Raises:
        UsageError: it is neither.
        DataError: the table lacks a column, or its counts cannot be.
    """
    if match := _RATE.fullmatch(text):
        rate, low, high = match.groups()
        return rate_of_interval(float(low), float(high), None if rate is None else float(rate))
    path = Path(text)
    if not path.exists():
        raise UsageError(
            "--false-positive takes RATE:LOW-HIGH (0.02:0.01-0.05), 'estimated', or a table with the "
            f"columns location_id, checked and wrong; '{text}' is none of them."
        )
    table = read_site_table(path)
    columns = {name.lower(): values for name, values in table.columns.items()}
    counts = []
    for names in (_WRONG, _CHECKED):
        name = next((name for name in names if name in columns), None)
        if name is None or columns[name].dtype == object:
            raise DataError(
                f"{path} has no column of numbers called {' or '.join(names)}; it has {', '.join(columns)}."
            )
        counts.append(np.asarray(columns[name], np.float64))
    if table.locations is None:
        rows = tuple(f"row {row + 1}" for row in range(len(counts[0])))
        summed = FalsePositiveCounts(rows, counts[0], counts[1])
        return FalsePositiveRate(float(summed.wrong.sum()), float(summed.checked.sum()))
    return FalsePositiveCounts(table.locations, counts[0], counts[1])
