"""How many events a choice of pooling must rest on: chosen on a few simulated events, judged on many others.

Each world has cameras that differ and bursts whose frames are alike in their own way. A pooling is chosen on
so many events by log loss after a temperature, as training does it, and judged on many events of other
locations beside `mean`, the fallback. Printed: the mean difference in log loss, chosen less `mean` (below 0:
choosing helps), the share of choices worse than `mean` by more than 0.01, and the worst world's mean.

    python benchmarks/pooling_choice.py [--repeats 200] [--seed 20261130]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np

from trapline.metrics import fit_temperature, log_loss, probabilities_of
from trapline.models import EventPooling
from trapline.prediction.frames import apply_pooling, pooled_logits
from trapline.training.events import METHODS

LABELS = ("blank", "fox", "hare", "deer")
FRAMES = 5
SIZES = (10, 20, 30, 100)


@dataclass(frozen=True)
class World:
    """How frames of a burst tell of what it shows.

    Attributes:
        shared: spread of what all frames of an event have in common.
        own: spread of what each frame has for itself.
        there: chance that a frame of an event with an animal shows it; the others look blank.
        of_location: spread of what a location adds to each label.
    """

    shared: float
    own: float
    there: float
    of_location: float

    def draw(self, events: int, locations: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities [events x FRAMES, K] and truth [events]."""
        count = len(LABELS)
        truth = random.choice(count, events, p=[0.4, 0.3, 0.2, 0.1])
        place = random.integers(locations, size=events)
        shift = random.normal(0, self.of_location, (locations, count))[place]
        common = random.normal(0, self.shared, (events, count)) + shift
        seen = random.random((events, FRAMES)) < self.there
        seen[np.arange(events), random.integers(FRAMES, size=events)] = True
        shown = np.where(seen, truth[:, None], 0)
        logits = (
            2.5 * np.eye(count)[shown] + common[:, None] + random.normal(0, self.own, (events, FRAMES, count))
        )
        return probabilities_of(logits.reshape(-1, count), "single-label"), truth


WORLDS = {
    "frames alike": World(1.5, 0.3, 1.0, 0.5),
    "frames independent": World(0.3, 1.5, 1.0, 0.5),
    "animal in a few frames": World(0.7, 0.7, 0.4, 0.5),
    "cameras that differ": World(0.7, 0.7, 0.8, 1.5),
}


def pooled(probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """Method -> what the temperature is fitted to, [events, K]."""
    codes = np.repeat(np.arange(len(probabilities) // FRAMES), FRAMES)
    weights = np.full(len(probabilities), 1 / FRAMES)
    return {
        method: pooled_logits(
            apply_pooling(probabilities, weights, codes, EventPooling(method=method), "single-label", LABELS),
            "single-label",
        )
        for method in METHODS
    }


def losses(fitted: dict[str, float], logits: dict[str, np.ndarray], truth: np.ndarray) -> dict[str, float]:
    """Method -> log loss with its temperature."""
    return {
        method: float(log_loss(truth, probabilities_of(one, "single-label", temperature=fitted[method])))
        for method, one in logits.items()
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--judged", type=int, default=3000, help="events of other locations")
    parser.add_argument("--seed", type=int, default=20261130, help="the thirty events were chosen on others")
    args = parser.parse_args()
    judged = {}
    for number, (name, world) in enumerate(WORLDS.items()):
        probabilities, truth = world.draw(args.judged, 300, np.random.default_rng([args.seed, number]))
        judged[name] = pooled(probabilities), truth
    print("| events | locations | chosen less mean | worse by 0.01 | worst world |")
    print("| --- | --- | --- | --- | --- |")
    for places in (1, 2, 5, 20):
        for size in SIZES:
            if size < places:
                continue
            of_world = []
            for number, (name, world) in enumerate(WORLDS.items()):
                differences = []
                for repeat in range(args.repeats):
                    random = np.random.default_rng([args.seed, number, size, places, repeat])
                    probabilities, truth = world.draw(size, places, random)
                    logits = pooled(probabilities)
                    fitted = {method: fit_temperature(one, truth) for method, one in logits.items()}
                    found = losses(fitted, logits, truth)
                    best = min(found, key=found.__getitem__)
                    others = losses(
                        fitted, {key: judged[name][0][key] for key in (best, "mean")}, judged[name][1]
                    )
                    differences.append(others[best] - others["mean"])
                of_world.append(np.array(differences))
            every = np.concatenate(of_world)
            worst = max(one.mean() for one in of_world)
            worse = (every > 0.01).mean()
            print(f"| {size} | {places} | {every.mean():+.4f} | {worse:.0%} | {worst:+.4f} |", flush=True)


if __name__ == "__main__":
    main()
