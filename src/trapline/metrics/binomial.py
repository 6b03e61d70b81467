"""The share of independent units that hit, with its exact interval."""

from __future__ import annotations

from trapline.metrics.intervals import Estimate


def estimate_binomial(hits: int, units: int) -> Estimate:
    """`hits` of `units` with the 95 % interval of Clopper & Pearson (1934).

    For units that are one observation each and independent, as locations at which a species was recorded or
    not: it holds for few of them too, and where all or none hit. Without an interval of fewer than two.
    """
    if units < 2:
        return Estimate(hits / units if units else None)
    from scipy.special import betaincinv  # as of other modules, `scipy` is not at every start

    low = float(betaincinv(hits, units - hits + 1, 0.025)) if hits else 0.0
    high = float(betaincinv(hits + 1, units - hits, 0.975)) if hits < units else 1.0
    return Estimate(hits / units, low, high)
