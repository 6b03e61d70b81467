"""How often intervals of occupancy hold the truth: simulated surveys of known occupancy, detection and
errors.

    python benchmarks/occupancy_coverage.py [--sets 400] [--seed 1] [--only NAME]

Each data set is drawn of a model, fitted by Trapline, and fitted naively: the share of locations with a
detection, with its exact interval, for plain occupancy; occupancy that knows of no false positives, for
detections of a classifier and for scores cut at even odds. What an interval should hold is the parameter
of the model, not what came of it in the set.

Prints Markdown; leaves with status 1 if, with 200 sets or more, an interval that Trapline reports (by profile
likelihood) holds in less than 92 or more than 98.5 of 100 sets.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from scipy.stats import beta

from trapline.ecology import (
    FalsePositiveCounts,
    FalsePositiveRate,
    OccupancyFit,
    fit_occupancy,
    fit_score_occupancy,
)
from trapline.errors import DataError

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Random = np.random.Generator
Ends = tuple[float | None, float | None]
Sums = dict[str, dict[str, list[float]]]
LEAST, MOST, SETS = 0.92, 0.985, 200


@dataclass(frozen=True)
class Outcome:
    """One data set: the fit, the naive estimate (value, low, high) if there is one, and the truth by name."""

    fit: OccupancyFit
    naive: tuple[float, float | None, float | None] | None
    truth: dict[str, float]


def share(detections: Floats) -> tuple[float, float, float]:
    """The share of locations with a detection, and its exact 95 % interval (Clopper & Pearson 1934)."""
    seen = int((np.nansum(detections, axis=1) > 0).sum())
    count = len(detections)
    low = beta.ppf(0.025, seen, count - seen + 1) if seen else 0.0
    high = beta.ppf(0.975, seen + 1, count - seen) if seen < count else 1.0
    return seen / count, float(low), float(high)


def without_errors(detections: Floats) -> tuple[float, float | None, float | None]:
    """Occupancy that takes every detection for true."""
    one = fit_occupancy(np.minimum(detections, 1.0)).probabilities["psi"]
    return one.estimate or 0.0, one.profile.low, one.profile.high


def detect(random: Random, present: Floats, absent: Floats | float, occupied: Flags) -> Floats:
    """[N, J], 0 and 1, of the probabilities [N, J] at occupied locations and at others."""
    return (random.random(present.shape) < np.where(occupied[:, None], present, absent)).astype(np.float64)


def plain(
    locations: int, occasions: int, psi: float, p: float, missing: float
) -> Callable[[Random], Outcome]:
    """Plain occupancy; a share of the cells is missing."""

    def draw(random: Random) -> Outcome:
        occupied = random.random(locations) < psi
        detections = detect(random, np.full((locations, occasions), p), 0.0, occupied)
        detections[random.random(detections.shape) < missing] = np.nan
        return Outcome(fit_occupancy(detections), share(detections), {"psi": psi, "p": p})

    return draw


def with_covariates(random: Random) -> Outcome:
    """200 locations, 5 occasions: psi by one covariate, p by effort."""
    x, effort = random.normal(size=200), random.uniform(2, 7, (200, 5))
    occupied = random.random(200) < expit(-0.3 + 0.8 * x)
    detections = detect(random, expit(-2 + 0.25 * effort), 0.0, occupied)
    fit = fit_occupancy(
        detections, psi="x", p="effort", site_covariates={"x": x}, effort=effort, at={"x": 1.0, "effort": 7.0}
    )
    truth = {"psi": float(expit(0.5)), "p": float(expit(-0.25))}
    truth |= {"psi (Intercept)": -0.3, "psi x": 0.8, "p (Intercept)": -2.0, "p effort": 0.25}
    return Outcome(fit, None, truth)


def confirmed(random: Random) -> Outcome:
    """150 locations, 6 occasions, 4 % false; people confirm three in ten of the true detections."""
    occupied = random.random(150) < 0.4
    detections = detect(random, np.full((150, 6), 0.35), 0.04, occupied)
    sure = (detections > 0) & occupied[:, None] & (random.random(detections.shape) < 0.3)
    fit = fit_occupancy(detections, confirmed=sure.astype(np.float64))
    truth = {"psi": 0.4, "p": 0.35, "false_positive": 0.04, "certain": 0.3}
    return Outcome(fit, without_errors(detections), truth)


def audited(random: Random) -> Outcome:
    """150 locations, 6 occasions, 4 % false; an audit of 200 other occasions without the species."""
    occupied = random.random(150) < 0.4
    detections = detect(random, np.full((150, 6), 0.35), 0.04, occupied)
    known = FalsePositiveRate(float(random.binomial(200, 0.04)), 200.0)
    fit = fit_occupancy(detections, false_positives=known)
    return Outcome(fit, without_errors(detections), {"psi": 0.4, "p": 0.35, "false_positive": 0.04})


def audited_by_location(random: Random) -> Outcome:
    """The same where the rate differs by location (beta, mean 5 %, concentration 20), 60 of which were
    audited."""
    occupied = random.random(150) < 0.4
    rates = random.beta(1.0, 19.0, 150)
    detections = detect(random, np.full((150, 6), 0.35), rates[:, None], occupied)
    checked = np.full(60, 12.0)
    wrong = random.binomial(12, rates[:60]).astype(np.float64)
    names = tuple(map(str, range(150)))
    fit = fit_occupancy(
        detections, locations=names, false_positives=FalsePositiveCounts(names[:60], wrong, checked)
    )
    return Outcome(fit, without_errors(detections), {"psi": 0.4, "p": 0.35, "false_positive": 0.05})


def scored(annotated: float, audit: int) -> Callable[[Random], Outcome]:
    """120 locations, 10 files each: scores of a classifier, some files looked at, here or elsewhere."""

    def draw(random: Random) -> Outcome:
        files_at = np.repeat(np.arange(120), 10)
        shows = (random.random(120) < 0.4)[files_at] & (random.random(1200) < 0.3)
        scores = np.where(shows, random.normal(1.5, 1.5, 1200), random.normal(-2.0, 1.2, 1200))
        seen = np.where(random.random(1200) < annotated, shows.astype(np.float64), np.nan)
        kind = np.arange(audit) % 2
        elsewhere = np.where(kind > 0, random.normal(1.5, 1.5, audit), random.normal(-2.0, 1.2, audit))
        fit = fit_score_occupancy(
            scores,
            [f"{one:03d}" for one in files_at],
            seen=seen,
            audited=(elsewhere, kind) if audit else None,
        )
        truth = {"psi": 0.4, "p": 0.3, "score_mean_absent": -2.0, "score_difference": 3.5}
        return Outcome(fit, without_errors((scores > 0).reshape(120, 10).astype(np.float64)), truth)

    return draw


SCENARIOS: dict[str, Callable[[Random], Outcome]] = {
    "plain: 100 locations, 5 occasions": plain(100, 5, 0.4, 0.3, 0.0),
    "plain, a quarter missing": plain(100, 6, 0.4, 0.3, 0.25),
    "plain, few: 30 locations, 4 occasions": plain(30, 4, 0.5, 0.35, 0.0),
    "plain, rare: 100 locations, 4 occasions": plain(100, 4, 0.15, 0.25, 0.0),
    "covariates: 200 locations, 5 occasions": with_covariates,
    "false positives, some confirmed": confirmed,
    "false positives, an audit's rate": audited,
    "false positives, rates by location": audited_by_location,
    "scores, a tenth annotated": scored(0.1, 0),
    "scores, 100 audited elsewhere": scored(0.0, 100),
}


def quantities(outcome: Outcome) -> dict[str, tuple[float | None, dict[str, Ends]]]:
    """What is estimated by name: the estimate, and its intervals by method; open ends are infinite."""
    fit, result = outcome.fit, dict[str, tuple[float | None, dict[str, Ends]]]()
    for name in outcome.truth:
        part, _, column = name.partition(" ")
        one = fit.coefficients[part][column] if column else {**fit.probabilities, **fit.scales}[name]
        ends: dict[str, Ends] = {"wald": (one.wald.low, one.wald.high)}
        low, high = one.profile.low, one.profile.high
        ends["profile"] = (-np.inf if low is None else low, np.inf if high is None else high)
        result[name] = (one.estimate, ends)
    return result


def holds(truth: float, low: float | None, high: float | None) -> float:
    """1 or 0; an interval that is not there holds nothing."""
    return float(low is not None and high is not None and low <= truth <= high)


def run(draw: Callable[[Random], Outcome], sets: int, seed: int) -> tuple[Sums, int]:
    """By quantity and column what each set gave, and how many sets had no detection at all."""
    gathered: Sums = defaultdict(lambda: defaultdict(list))
    empty = 0
    for index in range(sets):
        try:
            outcome = draw(np.random.default_rng([seed, index]))
        except DataError:
            empty += 1
            continue
        for name, (estimate, ends) in quantities(outcome).items():
            truth, columns = outcome.truth[name], gathered[name]
            columns["truth"].append(truth)
            columns["estimate"].append(np.nan if estimate is None else estimate)
            for method, (low, high) in ends.items():
                columns[method].append(holds(truth, low, high))
            if name == "psi" and outcome.naive is not None:
                columns["naive estimate"].append(outcome.naive[0])
                columns["naive"].append(holds(truth, *outcome.naive[1:]))
    return gathered, empty


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--sets", type=int, default=400)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", default="", help="Scenarios whose name has this.")
    chosen = options.parse_args()
    print("| survey | quantity | truth | median | profile holds | Wald holds | naive, median | naive holds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    failed = []
    for name, draw in SCENARIOS.items():
        if chosen.only not in name:
            continue
        begun = time.perf_counter()
        gathered, empty = run(draw, chosen.sets, chosen.seed)
        for quantity, columns in gathered.items():
            covers = float(np.mean(columns["profile"]))
            naive = ["", ""]
            if "naive" in columns:
                naive = [f"{np.median(columns['naive estimate']):.3f}", f"{np.mean(columns['naive']):.1%}"]
            print(
                f"| {name} | {quantity} | {columns['truth'][0]:.3f} | "
                f"{np.nanmedian(columns['estimate']):.3f} | "
                f"{covers:.1%} | {np.mean(columns['wald']):.1%} | {naive[0]} | {naive[1]} |",
                flush=True,
            )
            if chosen.sets >= SETS and not LEAST <= covers <= MOST:
                failed.append(f"{name}: {quantity} {covers:.1%}")
        more = f"; {empty} sets without a detection" if empty else ""
        print(f"<!-- {name}: {time.perf_counter() - begun:.0f} s{more} -->", flush=True)
    if failed:
        raise SystemExit("Intervals that do not hold as often as they say: " + "; ".join(failed))


if __name__ == "__main__":
    main()
