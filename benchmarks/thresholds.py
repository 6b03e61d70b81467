"""Whether chosen thresholds hold at locations that they were not chosen on: three networks of Serengeti.

Scores of 69,000 photos for "empty" at some 170 sites. Some of the sites are drawn; on these the threshold is
chosen with which 0.95 of the answers "animal" are right, and that of "empty" with which at most 0.05 of the
animals are lost, as `trapline evaluate --thresholds` chooses them; all other sites judge. The table has how
many of the choices held there, those that were promised apart (at most one in ten of these should break).

usage: python benchmarks/thresholds.py SHARED_DATA [--draws 20] [--sites 10 20 46 84]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline import metrics

NETWORKS = ("efficientnetb0", "mobilenetv2", "resnet50")
PRECISION, LOST = 0.95, 0.05
Counts = npt.NDArray[np.int64]


def counts_of(path: Path) -> dict[str, Counts]:
    """By site and threshold: answers "animal", right ones, animals lost, blanks removed; of how many."""
    table = pl.read_csv(path)
    site = table["file_name_x"].str.split("/").list.get(1).rank("dense").cast(pl.Int64).to_numpy() - 1
    empty, score = (table["real"] == 1).to_numpy(), table["pred_confidence"].to_numpy()
    number, says_empty = int(site.max()) + 1, score >= 0.5

    def counted(scores: npt.NDArray[np.float64], rows: npt.NDArray[np.bool_]) -> Counts:
        return metrics.count_at_thresholds(np.where(rows, scores, np.nan), site, number)

    return {
        "answers": counted(1 - score, ~says_empty),
        "right": counted(1 - score, ~says_empty & ~empty),
        "lost": counted(score, says_empty & ~empty),
        "removed": counted(score, says_empty & empty),
        "animals": np.bincount(site[~empty], minlength=number),
        "blanks": np.bincount(site[empty], minlength=number),
    }


def draw(
    counts: dict[str, Counts], sites: int, random: np.random.Generator
) -> list[tuple[str, bool, bool, float]]:
    """Of one drawing: what was wanted, whether it was promised, whether it held, and how much is answered."""
    number = len(counts["animals"])
    inside = np.zeros(number, np.bool_)
    inside[random.permutation(number)[:sites]] = True
    away, results = ~inside, []
    choice = metrics.choose_precision(counts["answers"], counts["right"], PRECISION, inside)
    if choice is not None:
        answers, right = (counts[name][away, choice.index].sum() for name in ("answers", "right"))
        share = right / counts["animals"][away].sum()
        results.append(("precision", choice.promised, bool(right >= PRECISION * answers), float(share)))
    kept = counts["animals"][:, None] - counts["lost"]
    choice = metrics.choose_kept(kept, counts["animals"], 1 - LOST, inside, from_lowest=False)
    if choice is not None:
        lost, animals = counts["lost"][away, choice.index].sum(), counts["animals"][away].sum()
        share = counts["removed"][away, choice.index].sum() / counts["blanks"][away].sum()
        results.append(("lost", choice.promised, bool(lost <= LOST * animals), float(share)))
    return results


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--sites", type=int, nargs="+", default=[10, 20, 46, 84])
    given = parser.parse_args()
    folder = given.data / "predictions-empty-vs-animal"
    networks = [counts_of(folder / f"{name}_serengeti.csv.gz") for name in NETWORKS]
    titles = ("promised, of these kept", "reached here, of these kept", "none", "found or removed")
    print(f"| wanted | sites | {' | '.join(titles)} |")
    print("| --- | --- | --- | --- | --- | --- |")
    drawn = given.draws * len(networks)
    for sites in given.sites:
        random = np.random.default_rng(42)
        every = [
            one for _ in range(given.draws) for counts in networks for one in draw(counts, sites, random)
        ]
        for wanted in ("precision", "lost"):
            own = [one for one in every if one[0] == wanted]
            cells = []
            for promised in (True, False):
                held = [one[2] for one in own if one[1] == promised]
                cells.append(f"{len(held)}, {sum(held)}" if held else "–")
            share = f"{np.mean([one[3] for one in own]):.2f}" if own else "–"
            print(f"| {wanted} | {sites} | {cells[0]} | {cells[1]} | {drawn - len(own)} | {share} |")


if __name__ == "__main__":
    main()
