"""Time and peak memory of catalogs of tens of millions of rows: read, checked, counted, split, in parts.

    python benchmarks/many_rows.py [--rows 20e6] [--folder DIR] [--keep]

Writes a catalog in the shape of many seasons of Snapshot Serengeti (made up: real column shapes, 54 labels,
76 % of sequences blank, 1 to 5 images each, no photos), then runs each command as a process of its own and
prints its time, processor time and peak resident memory as Markdown.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from big_catalog import FRAMES, LABELS, measure
from polars.io.plugins import register_io_source

from trapline.catalog import conform

SITES, ROLLS = 225, 3


def write_catalog(path: Path, rows: int, sequences: int, seed: int = 0) -> int:
    """Write a catalog of at least so many rows, of so many sequences a season; returns how many it has."""
    random, written = np.random.default_rng(seed), 0

    def seasons(*_: object) -> Iterator[pl.DataFrame]:
        nonlocal written
        number = 0
        while written < rows:
            table = _season(number, sequences, random)
            written, number = written + table.height, number + 1
            yield table

    header = {"format_version": "1", "root": "photos", "source": "made-up seasons", "info": {}}
    schema = _season(0, sequences, np.random.default_rng(0)).schema
    frame = register_io_source(seasons, schema=schema, validate_schema=False, is_pure=False)
    frame.sink_parquet(path, metadata={"trapline_catalog": json.dumps(header)}, statistics=False)
    return written


def _season(number: int, sequences: int, random: np.random.Generator) -> pl.DataFrame:
    """All media of one season: network, camera, roll, capture and image, in this order."""
    network, season = f"N{number // 10 + 1:02}", f"S{number % 10 + 1}"
    place = np.sort(random.integers(0, SITES * ROLLS, sequences))
    camera, roll = place // ROLLS, place % ROLLS + 1
    begins = np.searchsorted(place, place)
    capture = np.arange(sequences) - begins + 1
    moment = np.datetime64("2010-07-18", "us") + np.timedelta64(1_000_000, "us") * (
        (number % 10) * 15_000_000 + capture * 9_000 + roll * 4_000_000
    )
    site = [f"{network}-{chr(66 + one // 15)}{one % 15 + 1:02}" for one in range(SITES)]
    frames = random.choice(FRAMES[0], sequences, p=FRAMES[1])
    first = np.cumsum(frames) - frames
    of = np.repeat(np.arange(sequences), frames)
    within = np.arange(frames.sum()) - np.repeat(first, frames)
    picture = (np.arange(frames.sum()) - np.repeat(first[begins], frames)) % 9999 + 1
    rows = pl.DataFrame(
        {
            "location_id": pl.Series(site)[camera[of]],
            "roll": roll[of],
            "capture": capture[of],
            "camera_time": moment[of] + within * np.timedelta64(1_000_000, "us"),
            "frame": within + 1,
            "picture": picture,
            "labels": pl.Series(_labels(sequences, random), dtype=pl.List(pl.String))[of],
        }
    )
    deployment = pl.format(f"{season}_{{}}_R{{}}", "location_id", "roll")
    name = pl.format(
        f"{season}/{{}}/{{}}_PICT{{}}.JPG",
        "location_id",
        deployment,
        pl.col("picture").cast(pl.String).str.zfill(4),
    )
    return conform(
        rows.select(
            name.alias("media_id"),
            name.alias("file_path"),
            "location_id",
            deployment.alias("deployment_id"),
            pl.format(f"SER_{season}#{{}}#{{}}#{{}}", "location_id", "roll", "capture").alias("event_id"),
            "camera_time",
            pl.lit("metadata").alias("timestamp_source"),
            "frame",
            "labels",
            pl.lit(f"{network}-{season}").alias("season"),
        )
    )


def _labels(sequences: int, random: np.random.Generator) -> list[list[str]]:
    animals = [name for name in LABELS if name != "empty"]
    shares = 1 / np.arange(1, len(animals) + 1) ** 1.5
    kinds = random.choice(animals, (sequences, 2), p=shares / shares.sum())
    seen, two = random.random(sequences) > 0.76, random.random(sequences) < 0.05
    return [
        sorted({str(one[0]), str(one[1 if both else 0])}) if shown else ["blank"]
        for one, shown, both in zip(kinds, seen, two, strict=True)
    ]


def main() -> None:
    """Make the catalog, run the commands, print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=float, default=20e6)
    arguments.add_argument("--sequences", type=int, default=40_000, help="of a season of a network [40000]")
    arguments.add_argument("--folder", type=Path, help="for the files [a temporary one]")
    arguments.add_argument("--keep", action="store_true", help="leave the files, use those that are there")
    arguments.add_argument("--only", nargs="*", help="names of the steps to run [all]")
    given = arguments.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="many-rows-"))
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "catalog.parquet"
    if not (given.keep and source.is_file()):
        print(f"{write_catalog(source, int(given.rows), given.sequences):,} rows in {source}", flush=True)
    trapline = [sys.executable, "-m", "trapline"]
    split = [*trapline, "split", "catalog.parquet", "--no-files", "--force", "-o", "split.parquet"]
    steps = {
        "check": [*trapline, "catalog", "catalog.parquet", "--check", "none"],
        "explore": [*trapline, "explore", "catalog.parquet", "--no-files"],
        "split by location": split,
        "split by season": [*split, "--by", "season"],
        "split by date": [*split, "--by", "date"],
        "split by event": [*split, "--by", "event"],
        "split at random": [*split, "--by", "random"],
    }
    print("| step | time | processor | peak memory |\n|---|---|---|---|")
    for what, command in steps.items():
        if given.only is None or what in given.only:
            measure(what, command, folder)
    if not given.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
