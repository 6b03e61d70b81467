"""Intervals of overlaps: of resamples shifted to the estimate, and of patterns that would give such an
estimate.

Estimates of an overlap are too low where two patterns are much alike, as chance alone makes samples differ:
of two samples of 40 and 60 records with a true overlap of 0.90 they are 0.80 in the mean. An interval about
the estimate then lies below the truth (`benchmarks/ecology_coverage.py` counts how often).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from trapline.ecology.circular import Floats
from trapline.ecology.curves import ActivityCurve
from trapline.ecology.overlap_estimators import ADJUST, Estimator, binned_estimates
from trapline.ecology.resampling import BINS, BinnedDensities, widening
from trapline.metrics import Estimate

Made = dict[Estimator, Floats]

_TAILS = (0.025, 0.975)
_STEPS = 8
"""Overlaps that are tried; between them the estimators' means and spreads run evenly."""
_LEAST = 0.005


def together(parts: Iterable[Made]) -> Made:
    """Estimates of all resamples, [B] for each estimator."""
    each = list(parts)
    return {name: np.concatenate([part[name] for part in each]) for name in ADJUST}


def by_shift(values: Mapping[Estimator, float], made: Made) -> dict[Estimator, Estimate]:
    """Quantiles of the resamples, moved by how far their mean lies from the estimate: R's `basic0`.

    Meredith & Ridout, Overview of the overlap package: resamples of a smoothed sample are smoother again, and
    how much is taken off.
    """
    out: dict[Estimator, Estimate] = {}
    for name, value in values.items():
        low, high = np.quantile(made[name], _TAILS) - (made[name].mean() - value)
        out[name] = Estimate(value, float(max(low, 0.0)), float(min(high, 1.0)))
    return out


def limits(
    values: Mapping[Estimator, float],
    made: Made,
    curves: Sequence[ActivityCurve],
    locations: int | None,
    seed: int,
) -> dict[Estimator, Estimate]:
    """Overlaps of patterns like these of which such an estimate is not unlikely.

    Both densities are made more and less alike: what only one of them has is dealt to both, or what they
    share is taken from both, which gives pairs of every overlap from 0 to 1. Samples of each pair tell which
    estimates it gives; the limits are the overlaps of which 2.5 % of the samples give more, and less, than
    the estimate (a test inverted; Carpenter 1999, Statistics in Medicine 18:2463, has the idea). The
    upper limit is not below that of `by_shift`: where patterns share little, this way smooths them twice,
    which makes it too low.

    Where locations were drawn anew, samples are as much smaller as locations make estimates spread more, and
    limits are wider by Student's t and by what a spread of few is too small.

    Args:
        values: the estimates.
        made: those of the resamples, [B] each.
        curves: of both species.
        locations: how many were drawn anew; None where records were.
        seed: of the samples.
    """
    rng = np.random.default_rng(seed + 1)
    first, second = (_shares(curve) for curve in curves)
    sizes = [len(curve.radians) for curve in curves]
    overlap = float(np.minimum(first, second).sum())
    many = max(len(made["dhat4"]) // _STEPS, 50)
    about = _samples(first, second, sizes, many, rng)
    if locations is not None:
        smaller = min(1.0, float(about["dhat4"].var() / made["dhat4"].var()))
        sizes = [max(round(size * smaller), 5) for size in sizes]
        about = _samples(first, second, sizes, many, rng)
    spread = max(float(each.std()) for each in about.values())
    bias = max(abs(float(each.mean()) - overlap) for each in about.values())
    tried = np.linspace(
        max(_LEAST, overlap - 4 * spread - 2 * bias), min(1.0, overlap + 4 * spread + 3 * bias), _STEPS
    )
    samples = [_samples(*_alike(first, second, one), sizes, many, rng) for one in tried]
    shifted = by_shift(values, made)
    out: dict[Estimator, Estimate] = {}
    for name, value in values.items():
        low, high = _invert(tried, np.stack([each[name] for each in samples]), value)
        low = min(low, value)
        high = max(high, float(shifted[name].high or 0.0))
        wider = 1.0 if locations is None else widening(locations)
        out[name] = Estimate(
            value, max(0.0, value - wider * (value - low)), min(1.0, value + wider * (high - value))
        )
    return out


def _shares(curve: ActivityCurve) -> Floats:
    heights = curve.on_grid(BINS)
    return np.asarray(heights / heights.sum())


def _alike(first: Floats, second: Floats, overlap: float) -> tuple[Floats, Floats]:
    """Two densities like these with another overlap, [BINS] each."""
    shared = np.minimum(first, second)
    before = float(shared.sum())
    own, other = first - shared, second - shared
    if overlap >= before:
        part = (overlap - before) / max(1 - before, 1e-12)
        dealt = part * (own + other) / 2
        pair = shared + (1 - part) * own + dealt, shared + (1 - part) * other + dealt
    else:
        kept = overlap * (1 - before) / (before * (1 - overlap))
        pair = kept * shared + own, kept * shared + other
    return pair[0] / pair[0].sum(), pair[1] / pair[1].sum()


def _samples(
    first: Floats, second: Floats, sizes: Sequence[int], many: int, rng: np.random.Generator
) -> Made:
    counts = [
        rng.multinomial(size, shares, many).astype(np.float64)
        for size, shares in zip(sizes, (first, second), strict=True)
    ]
    return binned_estimates(BinnedDensities(counts[0]), BinnedDensities(counts[1]))


def _invert(tried: Floats, made: Floats, value: float) -> tuple[float, float]:
    """The least and the largest overlap of which the estimate is not unlikely.

    Args:
        tried: overlaps [T].
        made: estimates of samples of each [T, B].
        value: the estimate of the data.
    """
    means = np.polyval(np.polyfit(tried, made.mean(axis=1), 2), tried)
    spreads = np.exp(np.polyval(np.polyfit(tried, np.log(np.maximum(made.std(axis=1), 1e-9)), 1), tried))
    tails = np.quantile((made - means[:, None]) / spreads[:, None], _TAILS)
    fine = np.linspace(tried[0], tried[-1], 1000)
    away = (value - np.interp(fine, tried, means)) / np.interp(fine, tried, spreads)
    likely = fine[(away >= tails[0]) & (away <= tails[1])]
    if len(likely):
        return float(likely.min()), float(likely.max())
    nearest = float(fine[np.abs(away).argmin()])
    return nearest, nearest
