"""How often intervals of overlap, activity level and diversity hold the truth, on simulated surveys.

    python benchmarks/ecology_coverage.py [--sets 200] [--resamples 240] [--only overlap,diversity]
        [--seed 20261130]

Nominal are 95 %. A figure of 200 data sets is itself known to about 3 %. Truths are of the densities and the
probabilities that data are drawn from, not of a large sample.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, i0e

from trapline.ecology import activity_density, activity_overlap, curve_intervals, hill_numbers
from trapline.metrics import Estimate

Floats = npt.NDArray[np.float64]
Pattern = tuple[tuple[float, float, float], ...]
"""Von Mises densities: share, mean in radians, concentration."""

TURN = 2 * np.pi
GRID = np.linspace(0, TURN, 4096, endpoint=False)
DAWN_AND_DUSK: Pattern = ((0.5, 1.6, 1.5), (0.5, 4.7, 2.0))
BY_DAY: Pattern = ((1.0, 3.1, 3.0),)
PAIRS: dict[str, tuple[Pattern, Pattern]] = {
    "by night, by day": (((0.6, 0.0, 4.0), (0.4, 5.5, 3.0)), BY_DAY),
    "one peak each": (((1.0, 1.5, 2.0),), ((1.0, 3.5, 2.0),)),
    "dawn and dusk, by day": (DAWN_AND_DUSK, BY_DAY),
    "two peaks each": (((0.5, 1.5, 3.0), (0.5, 4.7, 3.0)), ((0.5, 1.6, 2.0), (0.5, 4.6, 4.0))),
}
SIZES = ((40, 60), (150, 200))


def density(pattern: Pattern) -> Floats:
    """Per radian at the points of GRID."""
    parts = [w * np.exp(k * (np.cos(GRID - m) - 1)) / (TURN * i0e(k)) for w, m, k in pattern]
    return np.asarray(np.sum(parts, axis=0))


def times(pattern: Pattern, size: int, rng: np.random.Generator) -> Floats:
    """Drawn from it, [size]."""
    weights, means, kappas = (np.array(each) for each in zip(*pattern, strict=True))
    which = rng.choice(len(weights), size, p=weights)
    return rng.vonmises(means[which], kappas[which]) % TURN


def shared(first: Floats, second: Floats) -> float:
    return float(np.minimum(first, second).mean() * TURN)


class Tally:
    """How often an interval held the truth, and where it missed."""

    def __init__(self) -> None:
        self.values: list[tuple[float, float, float]] = []
        self.truth = 0.0

    def add(self, estimate: Estimate, truth: float) -> None:
        assert estimate.value is not None
        low, high = (float("nan") if end is None else end for end in (estimate.low, estimate.high))
        self.values.append((estimate.value, low, high))
        self.truth = truth

    def row(self, *names: object) -> str:
        value, low, high = np.array(self.values).T
        above, below = (low > self.truth + 1e-9).mean(), (high < self.truth - 1e-9).mean()
        cells = [*map(str, names), f"{self.truth:.3f}", f"{value.mean():.3f}", f"{(high - low).mean():.3f}"]
        return f"| {' | '.join(cells)} | {above:.3f} | {below:.3f} | {1 - above - below:.3f} |"


def overlaps(sets: int, resamples: int, seed: int) -> Iterator[str]:
    yield "| patterns | records | estimator | interval | true | mean | width | too high | too low | holds |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for name, (first, second) in PAIRS.items():
        truth = shared(density(first), density(second))
        for sizes in SIZES:
            rng = np.random.default_rng([seed, 7])
            tallies: dict[tuple[str, str], Tally] = {}
            for number in range(sets):
                pair = times(first, sizes[0], rng), times(second, sizes[1], rng)
                one = activity_overlap(*pair, resamples=resamples, seed=number)
                for estimator, ours in (("dhat1", one.dhat1), ("dhat4", one.dhat4)):
                    both = {
                        "inverted": ours,
                        "basic0": one.basic0["dhat1" if estimator == "dhat1" else "dhat4"],
                    }
                    for interval, estimate in both.items():
                        tallies.setdefault((estimator, interval), Tally()).add(estimate, truth)
            for (estimator, kind), tally in sorted(tallies.items()):
                mark = " (recommended)" if estimator == one.estimator else ""
                yield tally.row(name, f"{sizes[0]}, {sizes[1]}", estimator + mark, kind)


def at_locations(
    pattern: Pattern, locations: int, rng: np.random.Generator, *, spread: float, mean: float
) -> tuple[Floats, npt.NDArray[np.str_]]:
    """Records at locations that have each their own hours and their own number of records."""
    counts = rng.negative_binomial(1.0, 1 / (1 + mean), locations)
    shift = rng.vonmises(0, spread, locations)
    names = np.repeat(np.arange(locations), counts).astype(np.str_)
    return (times(pattern, int(counts.sum()), rng) + np.repeat(shift, counts)) % TURN, names


def blurred(pattern: Pattern, spread: float) -> Floats:
    """The density of all locations together."""
    kernel = np.exp(spread * (np.cos(GRID) - 1))
    kernel /= kernel.sum()
    return np.asarray(np.fft.irfft(np.fft.rfft(density(pattern)) * np.fft.rfft(kernel), len(GRID)))


def clustered(sets: int, resamples: int, seed: int) -> Iterator[str]:
    yield "| patterns | locations | over | true | mean | width | too high | too low | holds |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    spread, mean = 4.0, 8.0
    for name in ("dawn and dusk, by day", "two peaks each"):
        first, second = PAIRS[name]
        truth = shared(blurred(first, spread), blurred(second, spread))
        for locations in (15, 40):
            rng = np.random.default_rng([seed, 11])
            tallies: dict[Literal["records", "locations"], Tally] = {"records": Tally(), "locations": Tally()}
            for number in range(sets):
                a, at = at_locations(first, locations, rng, spread=spread, mean=mean)
                b, bt = at_locations(second, locations, rng, spread=spread, mean=mean)
                for over, tally in tallies.items():
                    one = activity_overlap(
                        a, b, locations=(at, bt), over=over, resamples=resamples, seed=number
                    )
                    tally.add(one.recommended, truth)
            for over, tally in tallies.items():
                yield tally.row(name, locations, over)


def levels(sets: int, resamples: int, seed: int) -> Iterator[str]:
    yield "| pattern | records | true | mean | width | too high | too low | holds |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for name, pattern in (("by day", BY_DAY), ("dawn and dusk", DAWN_AND_DUSK)):
        truth = 1 / float(TURN * density(pattern).max())
        for size in (50, 200):
            rng, tally = np.random.default_rng([seed, 13]), Tally()
            for number in range(sets):
                curve = activity_density(times(pattern, size, rng))
                tally.add(curve_intervals(curve, resamples=resamples, seed=number).level, truth)
            yield tally.row(name, size)


ASSEMBLAGES: dict[str, Floats] = {
    "20 species, well sampled": np.geomspace(0.08, 0.7, 20),
    "40 species, many rare": np.geomspace(0.01, 0.6, 40),
}
UNITS = (30, 100)


def expected(probabilities: Floats, size: int, order: int) -> float:
    """The Hill number of the expected frequencies in so many sampling units."""
    if order == 0:
        return float((1 - (1 - probabilities) ** size).sum())
    k = np.arange(1, size + 1)[:, None]
    choose = gammaln(size + 1) - gammaln(k + 1) - gammaln(size - k + 1)
    counts = np.exp(choose + k * np.log(probabilities) + (size - k) * np.log1p(-probabilities)).sum(axis=1)
    shares = k[:, 0] / (size * probabilities.sum())
    if order == 1:
        return float(np.exp(-(shares * np.log(shares) * counts).sum()))
    return float(1 / (shares**2 * counts).sum())


def whole(probabilities: Floats, order: int) -> float:
    shares = probabilities / probabilities.sum()
    if order == 0:
        return float(len(shares))
    return float(np.exp(-(shares * np.log(shares)).sum()) if order == 1 else 1 / (shares**2).sum())


def diversities(sets: int, resamples: int, seed: int) -> Iterator[str]:
    yield "| assemblage | units | order | of | true | mean | width | too high | too low | holds |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for name, probabilities in ASSEMBLAGES.items():
        for units in UNITS:
            rng = np.random.default_rng([seed, 17])
            tallies: dict[tuple[int, str], Tally] = {}
            for number in range(sets):
                counts = rng.binomial(units, probabilities)
                result = hill_numbers(
                    counts[counts > 0].tolist(), units, sizes=[units // 2], resamples=resamples, seed=number
                )
                for order in range(3):
                    half = result.curve.filter(order=order).row(0, named=True)
                    rarefied = Estimate(half["estimate"], half["low"], half["high"])
                    truth = expected(probabilities, units // 2, order)
                    tallies.setdefault((order, f"{units // 2} units"), Tally()).add(rarefied, truth)
                    tally = tallies.setdefault((order, "the whole"), Tally())
                    tally.add(result.whole[order], whole(probabilities, order))
            for (order, of), tally in sorted(tallies.items()):
                yield tally.row(name, units, order, of)


TABLES: dict[str, Callable[[int, int, int], Iterator[str]]] = {
    "overlap": overlaps,
    "locations": clustered,
    "level": levels,
    "diversity": diversities,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=240)
    parser.add_argument("--only", default=",".join(TABLES))
    parser.add_argument("--seed", type=int, default=20261130)
    options = parser.parse_args()
    for name in options.only.split(","):
        print(f"\n### {name}, {options.sets} data sets\n", flush=True)
        for line in TABLES[name](options.sets, options.resamples, options.seed):
            print(line, flush=True)


if __name__ == "__main__":
    main()
