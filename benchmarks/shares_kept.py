"""How many media of the old shares must count beside the new ones: simulated seasons, of no real photos.

    python benchmarks/shares_kept.py [--draws 20] [--seed 20261130]

Ten labels, some of them rare, which may occur together. In a new season each is more or less common
(its log odds move by a normal of standard deviation `moved`), and the model, calibrated where it learnt,
may be off there (its log odds are shifted by a normal of standard deviation `off`, one a label: it looks
otherwise). From the answers for 100, 300 or 1000 media the shares are estimated
(`trapline.metrics.estimate_shares`), with so many of the old ones kept, and the answers shifted to them.
The table has the mean log loss afterwards over that before, of all sizes; under 1 it was worth while.
*Loses at most*: where it loses most beside the best number for that line, no shift among them. `KEPT` of
`trapline.ensemble.shares` is the number that lost least there in the drawings by which it was chosen: how
often seasons move, and models are off, is not known.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np
import numpy.typing as npt

from trapline.metrics import estimate_shares, log_odds, shift_shares, sigmoid

KEPT = (0, 3, 10, 30, 100, 300, 1000)
SHARES = np.array([0.4, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.003, 0.002])
MOVED, OFF, SHARP, SIZES = (0.0, 0.5, 1.0, 2.0), (0.0, 0.5, 1.0), (1.5, 3.0), (100, 300, 1000)
Floats = npt.NDArray[np.float64]


def season(
    random: np.random.Generator, media: int, moved: float, off: float, sharp: float
) -> tuple[Floats, Floats]:
    """0/1 and answers [media, labels]: of two normals `sharp` apart, as if labels had the old shares."""
    now = sigmoid(log_odds(SHARES) + random.normal(0, moved, len(SHARES)))
    truth = (random.random((media, len(SHARES))) < now).astype(np.float64)
    evidence = sharp**2 * (truth - 0.5) + sharp * random.normal(size=truth.shape)
    return truth, sigmoid(log_odds(SHARES) + evidence + random.normal(0, off, len(SHARES)))


def loss(truth: Floats, answers: Floats) -> float:
    """Mean binary log loss."""
    values = np.clip(answers, 1e-7, 1 - 1e-7)
    return float(-np.mean(truth * np.log(values) + (1 - truth) * np.log1p(-values)))


def judge(moved: float, off: float, sharp: float, draws: int, seed: int) -> Floats:
    """[kept]: the mean log loss over that of the answers as they were."""
    sums = np.zeros(len(KEPT) + 1)
    for media, number in product(SIZES, range(draws)):
        random = np.random.default_rng([seed, media, number])
        truth, answers = season(random, media, moved, off, sharp)
        sums[0] += loss(truth, answers)
        for index, kept in enumerate(KEPT, 1):
            after = estimate_shares(answers, SHARES, kept=kept, multi_label=True)
            sums[index] += loss(truth, shift_shares(answers, SHARES, after, multi_label=True))
    return sums[1:] / sums[0]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=20, help="seasons for each size of each line")
    parser.add_argument("--seed", type=int, default=20261130, help="`KEPT` was chosen on others")
    options = parser.parse_args()
    print(f"| moved | off | sharp | {' | '.join(f'{kept} kept' for kept in KEPT)} |")
    print(f"| ---: | ---: | ---: |{' ---: |' * len(KEPT)}")
    lines = []
    for moved, off, sharp in product(MOVED, OFF, SHARP):
        lines.append(judge(moved, off, sharp, options.draws, options.seed))
        print(f"| {moved} | {off} | {sharp} | {' | '.join(f'{one:.3f}' for one in lines[-1])} |", flush=True)
    table = np.array(lines)
    lost = (table / np.minimum(1, table.min(axis=1, keepdims=True))).max(axis=0)
    for name, numbers in (("geometric mean", np.exp(np.log(table).mean(axis=0))), ("loses at most", lost)):
        print(f"| {name} | | | {' | '.join(f'{one:.3f}' for one in numbers)} |")
    print(f"\nLoses least: {KEPT[int(np.argmin(lost))]} kept.")


if __name__ == "__main__":
    main()
