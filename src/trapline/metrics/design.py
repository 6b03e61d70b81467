"""Shares estimated from a sample whose units stand for unequally many others, with honest small numbers.

A sample of n with x hits has the interval of Clopper & Pearson (1934): between the quantiles of
Beta(x, n - x + 1) and of Beta(x + 1, n - x), which is to say that one more unit is imagined, a miss for the
lower bound and a hit for the upper one. Korn & Graubard (1998) keep that interval for weighted samples, with
an effective n; where few units err their n is a guess from few units, and a unit that stands for many may be
the one that errs unseen. Fay & Feuer (1997) therefore imagine, for weighted counts, the one more unit to be
the heaviest. Both are put together here: hits and misses are each a gamma variable with the mean and the
variance of their weighted sum, the imagined unit is the heaviest, and with equal weights the bounds are
Clopper's and Pearson's to the digit. How many hits are among units that were not drawn is then a binomial of
such a share: with equal weights the exact interval for a finite population (beta-binomial tails are those
of the hypergeometric).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from trapline.metrics.inputs import Floats

Bound = Literal["low", "high"]


@dataclass(frozen=True)
class WeightedShare:
    """What a sample says of a share.

    Attributes:
        hits: Σ w over the units that hit, and Σ w².
        misses: the same of those that do not.
        heaviest: the largest w that a unit of this kind may have; it is the weight of the imagined unit.
    """

    hits: tuple[float, float]
    misses: tuple[float, float]
    heaviest: float = 1.0

    @classmethod
    def of(cls, hit: ArrayLike, weights: ArrayLike, heaviest: float | None = None) -> WeightedShare:
        """Of n units.

        Args:
            hit: [n], whether each hits.
            weights: [n], for how many each stands; units of weight 0 say nothing.
            heaviest: the largest weight that one may have, where that is more than the largest there is.
        """
        does, w = np.asarray(hit, bool), np.asarray(weights, np.float64)
        heaviest = max(heaviest or 0.0, float(w.max(initial=0.0)))
        return cls(_sums(w[does]), _sums(w[~does]), heaviest or 1.0)

    def of_more(self, times: float) -> WeightedShare:
        """What `times` as many units would say, if they were like these."""
        hits, misses = ((total, squares / times) for total, squares in (self.hits, self.misses))
        return WeightedShare(hits, misses, self.heaviest / times)

    @property
    def value(self) -> float | None:
        """Hájek's estimate; None of no units."""
        whole = self.hits[0] + self.misses[0]
        return self.hits[0] / whole if whole else None

    def draw(self, bound: Bound, size: int, random: np.random.Generator) -> Floats:
        """[size]: shares whose 2.5 % quantile is the lower bound, or 97.5 % quantile the upper one."""
        extra = (self.heaviest, self.heaviest**2)
        more_hits, more_misses = ((0.0, 0.0), extra) if bound == "low" else (extra, (0.0, 0.0))
        hits = _gamma(self.hits, more_hits, size, random)
        return np.asarray(hits / (hits + _gamma(self.misses, more_misses, size, random)))

    def draw_among(self, units: int, bound: Bound, size: int, random: np.random.Generator) -> Floats:
        """[size]: the same for the number of hits among `units` that were not drawn."""
        return random.binomial(units, self.draw(bound, size, random)).astype(np.float64)


def _sums(weights: npt.NDArray[np.float64]) -> tuple[float, float]:
    return float(weights.sum()), float((weights**2).sum())


def _gamma(
    sums: tuple[float, float], more: tuple[float, float], size: int, random: np.random.Generator
) -> Floats:
    """[size]: gamma variables of mean Σ w and variance Σ w²; their shape is Kish's effective number."""
    mean, variance = sums[0] + more[0], sums[1] + more[1]
    if not mean:
        return np.zeros(size)
    return random.gamma(mean**2 / variance, variance / mean, size)
