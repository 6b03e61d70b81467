"""How often intervals, prediction intervals and promises hold: simulated surveys with effects of locations.

    python benchmarks/coverage.py [--sets 1200] [--promises 400] [--pool 20000] [--seed 20261130]

`--sets 0` leaves the intervals out, `--promises 0` the promises. Populations and surveys are drawn of the
seed. What was chosen by simulation (`trapline.metrics.intervals`, `promise`) was chosen on other ones.

A population of locations is made once. Each has its own shares of the five labels (Dirichlet, 4 times 45, 25,
15, 10 and 5 %), is easier or harder than others as a whole and label by label, and has 40 media, or a number
that is lognormal with a mean of 40 and sigma 1.2, whatever else it is. A survey draws some of its locations.
What its intervals should hold is the figure of all media of the population, of macro figures over the labels
that the survey has; what its prediction intervals should hold is the figure of other locations of the
population, one alone or five together. Of promises, a share of the locations is bad: there an answer is right
half of the time, however sure.

Prints Markdown; leaves with status 1 if, with 100 surveys or more, an interval of the four figures holds in
less than 93 of 100 surveys (90 where there are five locations), a prediction interval in less than 90, or
more than 10 of 100 promises that were made are broken, from the least number of locations on.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from trapline import metrics
from trapline.metrics import Estimate, NewLocations

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Sums = dict[str, Floats]

SHARES = np.array([0.45, 0.25, 0.15, 0.1, 0.05])
FIGURES = ("accuracy", "log_loss", "balanced_accuracy", "macro_f1")
LOCATIONS = (5, 10, 30, 90)
NEW, OTHERS = (1, 5), 10
SIZES = ("equal", "unequal")
MEAN_SIZE, SIGMA, PART = 40, 1.2, 2000
PROMISES, BAD, RIGHT_IF_BAD = (0.8, 0.9, 0.95), 0.08, 0.5
PROMISE_LOCATIONS = (10, 25, 50, 80, 100, 200)
LEAST, LEAST_OF_FIVE, LEAST_OF_NEW, MOST_BROKEN = 0.93, 0.9, 0.9, 0.1


def draw_sizes(random: np.random.Generator, count: int, sizes: str) -> Codes:
    """[count]: media of each location."""
    if sizes == "equal":
        return np.full(count, MEAN_SIZE)
    drawn = random.lognormal(np.log(MEAN_SIZE) - SIGMA**2 / 2, SIGMA, count)
    return np.maximum(1, drawn.round()).astype(np.int64)


def make_media(random: np.random.Generator, sizes: Codes) -> tuple[Codes, Floats, Codes]:
    """Truth [N], probabilities [N, labels] and the location [N] of all media of such locations."""
    locations, labels = np.repeat(np.arange(len(sizes)), sizes), len(SHARES)
    shares = random.dirichlet(4 * SHARES, len(sizes)).cumsum(axis=1)
    truth = (random.random((len(locations), 1)) > shares[locations]).sum(axis=1).clip(0, labels - 1)
    easier, by_label = random.normal(2.8, 1, len(sizes)), random.normal(0, 0.5, (len(sizes), labels))
    logits = random.normal(0, 1.5, (len(locations), labels))
    logits[np.arange(len(locations)), truth] += easier[locations] + by_label[locations, truth]
    return truth, softmax(logits, axis=1), locations


def make_pool(count: int, sizes: str, seed: int) -> Sums:
    """The sums of each location of the population, made in parts."""
    random, parts = np.random.default_rng([seed, 1]), []
    for start in range(0, count, PART):
        media = draw_sizes(random, min(PART, count - start), sizes)
        parts.append(metrics.sum_media(*make_media(random, media), len(media)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def known_truth(total: Sums, survey: Sums) -> dict[str, float]:
    """The figures of the population's sums; macro figures over the labels that the survey has."""
    figures, counts = metrics.figures_of_sums(total), metrics.counts_of_sums(total)
    present = survey["support"].sum(axis=0) > 0
    told = present | (survey["predicted"].sum(axis=0) > 0)
    return {name: float(figures[name]) for name in ("accuracy", "log_loss")} | {
        "balanced_accuracy": float(counts.recall[present].mean()),
        "macro_f1": float(counts.f1[told].mean()),
    }


def chosen(sums: Mapping[str, Floats]) -> dict[str, Floats]:
    """The figures that are looked at."""
    figures = metrics.figures_of_sums(sums)
    return {name: figures[name] for name in FIGURES}


def holds(one: Estimate | NewLocations, truth: Floats | float) -> npt.NDArray[np.bool_]:
    """Whether the truth is in an interval; one that is not given holds nothing."""
    low, high = (np.nan if end is None else end for end in (one.low, one.high))
    return np.asarray((low <= np.asarray(truth)) & (np.asarray(truth) <= high))


def judge_intervals(pool: Sums, count: int, sets: int, seed: int) -> dict[str, tuple[float, float]]:
    """Figure → how often the interval held the truth, and how often it was too good for it."""
    random = np.random.default_rng([seed, count])
    held: dict[str, list[bool]] = defaultdict(list)
    flattered: dict[str, list[bool]] = defaultdict(list)
    total = {name: values.sum(axis=0) for name, values in pool.items()}
    for _ in range(sets):
        rows = random.integers(0, len(pool["media"]), count)
        survey = {name: values[rows] for name, values in pool.items()}
        truth = known_truth(total, survey)
        found = metrics.estimate_sums(
            survey, figures=lambda sums: {name: value[..., None] for name, value in chosen(sums).items()}
        )
        for name, (one,) in found.items():
            low, high = one.low or 0.0, np.inf if one.high is None else one.high
            held[name].append(bool(holds(one, truth[name])))
            flattered[name].append(high < truth[name] if name == "log_loss" else low > truth[name])
    return {name: (float(np.mean(held[name])), float(np.mean(flattered[name]))) for name in FIGURES}


def judge_new_locations(pool: Sums, count: int, new: int, sets: int, seed: int) -> dict[str, float]:
    """Figure → how often other locations of the population showed what was predicted."""
    random = np.random.default_rng([seed, 1000 * new + count])
    held: dict[str, list[float]] = defaultdict(list)
    for number in range(sets):
        rows = random.integers(0, len(pool["media"]), count)
        others = random.integers(0, len(pool["media"]), (OTHERS, new))
        shown = chosen({name: values[others].sum(axis=1) for name, values in pool.items()})
        survey = {name: values[rows] for name, values in pool.items()}
        for name, one in metrics.new_location_intervals_of_sums(
            survey, locations=new, samples=200, seed=number, figures=chosen
        ).items():
            held[name].append(float(holds(one, shown[name]).mean()))
    return {name: float(np.mean(values)) for name, values in held.items()}


class Answers:
    """Answers at locations of which some are bad: how sure they are, and whether they are right."""

    def __init__(self, count: int, sizes: str, bad: float, seed: int) -> None:
        random = np.random.default_rng([seed, 2])
        self.sizes = draw_sizes(random, count, sizes)
        self.starts = self.sizes.cumsum() - self.sizes
        location = np.repeat(np.arange(count), self.sizes)
        sure = random.normal(3.3, 1.5, len(location))
        is_bad, easier = random.random(count) < bad, random.normal(0, 0.5, count)
        chance = np.where(is_bad[location], RIGHT_IF_BAD, expit(sure + easier[location]))
        self.scores, self.right = expit(sure), random.random(len(location)) < chance
        order = np.argsort(-self.scores)
        self._ordered = -self.scores[order]
        self._kept = self.right[order].cumsum() / np.arange(1, len(order) + 1)

    def kept(self, threshold: float) -> float:
        """The share of right answers from a threshold on, in the population."""
        return float(self._kept[np.searchsorted(self._ordered, -threshold, side="right") - 1])

    def draw(self, random: np.random.Generator, count: int) -> tuple[Floats, npt.NDArray[np.bool_], Codes]:
        """Scores, outcomes and locations of a survey."""
        drawn = random.integers(0, len(self.sizes), count)
        rows = np.concatenate([np.arange(self.sizes[one]) + self.starts[one] for one in drawn])
        return self.scores[rows], self.right[rows], np.repeat(np.arange(count), self.sizes[drawn])


def judge_promises(answers: Answers, promise: float, count: int, sets: int, seed: int) -> tuple[float, float]:
    """In what share of surveys a promise was made, and in what share it was and is broken."""
    random, made, broken = np.random.default_rng([seed, count]), 0, 0
    for _ in range(sets):
        choice = metrics.choose_threshold(*answers.draw(random, count), promise=promise)
        made += choice is not None
        broken += choice is not None and answers.kept(choice.threshold) < promise
    return made / sets, broken / sets


def show_intervals(pools: dict[str, Sums], sets: int, seed: int) -> Iterator[str]:
    """Print the tables of figures; what held too seldom."""
    print(f"**Intervals**: held the truth, % of {sets} surveys (% in which the interval was too good)\n")
    print(f"| locations | sizes | {' | '.join(FIGURES)} |\n| ---: | --- |{' ---: |' * len(FIGURES)}")
    for sizes, pool in pools.items():
        for count in LOCATIONS:
            result = judge_intervals(pool, count, sets, seed)
            cells = [f"{100 * held:.1f} ({100 * good:.1f})" for held, good in result.values()]
            print(f"| {count} | {sizes} | {' | '.join(cells)} |", flush=True)
            least = LEAST_OF_FIVE if count == 5 else LEAST
            yield from (f"{name} at {count} {sizes}" for name, one in result.items() if one[0] < least)
    print(
        f"\n**New locations**: held what they showed, % ({OTHERS} drawings for each of {sets // 3} surveys)\n"
    )
    print(f"| locations | sizes | new | {' | '.join(FIGURES)} |\n| ---: | --- | ---: |{' ---: |' * 4}")
    for sizes, pool in pools.items():
        for count in LOCATIONS:
            for new in NEW:
                of_new = judge_new_locations(pool, count, new, max(1, sets // 3), seed)
                cells = [f"{100 * of_new[name]:.1f}" for name in FIGURES]
                print(f"| {count} | {sizes} | {new} | {' | '.join(cells)} |", flush=True)
                short = [name for name in FIGURES if of_new[name] < LEAST_OF_NEW]
                yield from (f"{name} of {new} new, of {count} {sizes}" for name in short)


def show_promises(locations: int, sets: int, seed: int) -> Iterator[str]:
    """Print the table of promises; which were broken too often."""
    print(f"\n**Promises**, confidence 0.9: % of {sets} surveys that made one (% of these that are broken)\n")
    heads = [f"{count} locations" for count in PROMISE_LOCATIONS]
    print(f"| promise | least | sizes | bad | {' | '.join(heads)} |")
    print(f"| ---: | ---: | --- | ---: |{' ---: |' * len(heads)}")
    for sizes in SIZES:
        for bad in (BAD, 0.0):
            answers = Answers(locations, sizes, bad, seed)
            for promise in PROMISES if bad else PROMISES[1:2]:
                cells = []
                for count in PROMISE_LOCATIONS:
                    made, broken = judge_promises(answers, promise, count, sets, seed)
                    cells.append(f"{100 * made:.0f} ({100 * broken / made:.0f})" if made else "0")
                    if broken > MOST_BROKEN * made:
                        yield f"promise {promise} at {count} {sizes}"
                least = metrics.least_locations(promise)
                print(f"| {promise} | {least} | {sizes} | {bad:.0%} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=1200, help="surveys for each cell of figures")
    parser.add_argument("--promises", type=int, default=400, help="surveys for each cell of promises")
    parser.add_argument("--pool", type=int, default=20_000, help="locations of the population")
    parser.add_argument("--seed", type=int, default=20261130)
    options = parser.parse_args()
    short: list[str] = []
    if options.sets:
        pools = {sizes: make_pool(options.pool, sizes, options.seed) for sizes in SIZES}
        short += show_intervals(pools, options.sets, options.seed)
    if options.promises:
        short += show_promises(options.pool, options.promises, options.seed)
    if short and min(options.sets or 100, options.promises or 100) >= 100:
        raise SystemExit(f"Held too seldom: {'; '.join(short)}.")


if __name__ == "__main__":
    main()
