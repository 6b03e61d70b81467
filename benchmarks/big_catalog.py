"""Time and peak memory of a catalog of 6.7 million rows, in the shape of Snapshot Serengeti's ten seasons.

    python benchmarks/big_catalog.py [--sequences 2650000] [--folder DIR] [--keep]

Writes `train_metadata.csv` and `train_labels.csv` as Hakuna Ma-data gives them (made-up content, the real
column shapes, 54 labels, 76 % of sequences empty, 1 to 5 images each, no photos), then runs each command as a
process of its own and prints its time, processor time and peak resident memory as Markdown.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

NAMES = """
aardvark aardwolf baboon bat batearedfox buffalo bushbuck caracal cattle cheetah civet dikdik duiker eland
elephant empty gazellegrants gazellethomsons genet giraffe guineafowl hare hartebeest hippopotamus
honeybadger hyenaspotted hyenastriped impala insectspider jackal koribustard leopard lionfemale lionmale
mongoose monkeyvervet ostrich otherbird porcupine reedbuck reptiles rhinoceros rodents secretarybird serval
steenbok topi vulture warthog waterbuck wildcat wildebeest zebra zorilla
"""
LABELS = NAMES.split()
SEASONS = 10
FRAMES = ((1, 2, 3, 4, 5), (0.26, 0.02, 0.66, 0.04, 0.02))
"""How many images a sequence has, and how often."""


def write_csvs(folder: Path, sequences: int, seed: int = 0) -> int:
    """Write the two CSVs; returns the number of images."""
    random = np.random.default_rng(seed)
    place = np.sort(random.integers(0, SEASONS * 225 * 3, sequences))  # season, camera and roll of each
    season, camera, roll = place // (225 * 3) + 1, place // 3 % 225, place % 3 + 1
    begins = np.searchsorted(place, place)
    capture = np.arange(sequences) - begins + 1
    moment = np.datetime64(datetime(2010, 7, 18), "ms") + 1000 * (
        season * 15_000_000 + capture * 9_000 + roll * 4_000_000
    )
    table = pl.DataFrame(
        {"season": season, "camera": camera, "roll": roll, "capture": capture, "time": moment}
    )
    site = pl.concat_str(
        pl.col("camera").floordiv(15).replace_strict(dict(enumerate("BCDEFGHIJKLMNOP"))),
        (pl.col("camera") % 15 + 1).cast(pl.String).str.zfill(2),
    )
    table = table.with_columns(site.alias("site"))
    table = table.with_columns(
        pl.format("SER_S{}#{}#{}#{}", "season", "site", "roll", "capture").alias("seq_id")
    )
    _write_labels(table["seq_id"], folder / "train_labels.csv", random)
    frames = random.choice(FRAMES[0], sequences, p=FRAMES[1])
    first = np.cumsum(frames) - frames
    within = np.arange(frames.sum()) - np.repeat(first, frames)
    number = (np.arange(frames.sum()) - np.repeat(first[begins], frames)) % 9999 + 1
    images = table[np.repeat(np.arange(sequences), frames)].with_columns(
        pl.Series("number", number), (pl.col("time") + pl.duration(seconds=pl.Series(within))).alias("time")
    )
    start = pl.format("S{}/{}/{}_R{}/S{}_{}_R{}", "season", "site", "site", "roll", "season", "site", "roll")
    number_text = pl.col("number").cast(pl.String).str.zfill(4)
    images.select(
        "seq_id",
        pl.concat_str(start, pl.lit("_PICT"), number_text, pl.lit(".JPG")).alias("file_name"),
        pl.col("time").dt.to_string("%Y-%m-%d %H:%M:%S").alias("datetime"),
    ).write_csv(folder / "train_metadata.csv")
    return images.height


def _write_labels(ids: pl.Series, path: Path, random: np.random.Generator) -> None:
    present = np.zeros((len(ids), len(LABELS)), np.int8)
    animals = [place for place, name in enumerate(LABELS) if name != "empty"]
    shares = 1 / np.arange(1, len(animals) + 1) ** 1.5
    seen = random.random(len(ids)) > 0.76
    kind = random.choice(animals, len(ids), p=shares / shares.sum())
    second = random.choice(animals, len(ids), p=shares / shares.sum())
    two = seen & (random.random(len(ids)) < 0.05)
    present[~seen, LABELS.index("empty")] = 1
    present[np.flatnonzero(seen), kind[seen]] = 1
    present[np.flatnonzero(two), second[two]] = 1
    pl.from_numpy(present, list(LABELS)).insert_column(0, ids).write_csv(path)


def measure(what: str, command: list[str], folder: Path) -> None:
    """Run a command and print a row of its time, processor time and peak memory."""
    started = time.monotonic()
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    if status:
        raise SystemExit(f"{' '.join(command)}\n{(folder / 'output.txt').read_text()}")
    peak = used.ru_maxrss / (2**20 if sys.platform == "linux" else 2**30)
    print(f"| {what} | {wall:.1f} s | {used.ru_utime + used.ru_stime:.1f} s | {peak:.2f} GiB |", flush=True)


def main() -> None:
    """Make the files, run the commands, print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sequences", type=int, default=2_650_000)
    arguments.add_argument("--folder", type=Path, help="for the files [a temporary one]")
    arguments.add_argument("--keep", action="store_true", help="leave the files, use those that are there")
    given = arguments.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="big-catalog-"))
    folder.mkdir(parents=True, exist_ok=True)
    if not (given.keep and (folder / "train_labels.csv").is_file()):
        print(f"{write_csvs(folder, given.sequences):,} images of {given.sequences:,} sequences in {folder}")
    trapline = [sys.executable, "-m", "trapline"]
    print("| step | time | processor | peak memory |\n|---|---|---|---|")
    measure(
        "catalog",
        [*trapline, "catalog", str(folder), "--check", "none", "-o", "catalog.parquet", "--force"],
        folder,
    )
    split = [*trapline, "split", "catalog.parquet", "--no-files", "--force", "-o", "split.parquet"]
    measure("split by season", [*split, "--by", "season", "--ratios", "80,10,10"], folder)
    measure("fold 9 of 10 seasons", [*split, "--by", "season", "--folds", "10", "--fold", "9"], folder)
    measure("split by location", split, folder)
    if not given.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
