"""Time and peak memory of ecology's tables for a million records: from independent ones to activity.

    python benchmarks/ecology_rows.py [--rows 1e6] [--locations 500] [--only NAME …]

Writes a table of records and one of stations (made up: many locations, three years, 40 labels of very unequal
numbers, problem periods), then runs each command as a process of its own and prints its time, processor time
and peak resident memory as Markdown.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from big_catalog import measure

LABELS, DAYS = 40, 1_095
FIRST = datetime(2019, 3, 1)


def write_tables(folder: Path, rows: int, locations: int, seed: int = 0) -> tuple[Path, Path]:
    """camtrapR's two tables, of so many records at so many locations."""
    random = np.random.default_rng(seed)
    shares = 1 / np.arange(1, LABELS + 1)
    begin = random.integers(0, 90, locations)
    end = DAYS - random.integers(0, 90, locations)
    at = random.integers(0, locations, rows)
    days = begin[at] + 1 + random.random(rows) * (end[at] - begin[at] - 2)
    times = np.datetime64(FIRST, "us") + (days * 86_400).astype("timedelta64[s]")
    records = pl.DataFrame(
        {
            "Station": np.char.add("L", at.astype(str)),
            "Species": np.char.add(
                "species ", random.choice(LABELS, rows, p=shares / shares.sum()).astype(str)
            ),
            "DateTimeOriginal": pl.Series(times).dt.strftime("%Y-%m-%d %H:%M:%S"),
        }
    )
    problem = begin + 200
    stations = pl.DataFrame(
        {
            "Station": [f"L{number}" for number in range(locations)],
            **{
                name: [(FIRST + timedelta(days=int(day))).strftime("%d/%m/%Y") for day in column]
                for name, column in (
                    ("Setup_date", begin),
                    ("Retrieval_date", end),
                    ("Problem1_from", problem),
                    ("Problem1_to", problem + 20),
                )
            },
        }
    )
    paths = folder / "records.csv", folder / "stations.csv"
    records.write_csv(paths[0])
    stations.write_csv(paths[1])
    return paths


def commands(folder: Path, records: Path, stations: Path) -> dict[str, list[str]]:
    """What is measured, by name; a further command of `trapline ecology` is a further entry.

    Each writes its tables into the folder.
    """
    tables = [str(records), "--stations", str(stations)]

    def out(name: str) -> list[str]:
        return ["-o", str(folder / name), "--force"]

    return {
        "records": ["ecology", "records", str(records), *out("independent.csv")],
        "records, last record": [
            "ecology",
            "records",
            str(records),
            "--since",
            "last-record",
            *out("last.csv"),
        ],
        "histories": [
            *("ecology", "histories", *tables, "--species", "species 0", "--days", "7"),
            *("--effort", str(folder / "effort.csv"), *out("history.csv")),
        ],
        "rates": [
            *("ecology", "rates", *tables, "--months", str(folder / "months.csv"), *out("rates.csv")),
            *("--by-location", str(folder / "locations.csv")),
        ],
        "activity": ["ecology", "activity", str(records), *out("activity.csv")],
        "activity by the sun": [
            *("ecology", "activity", str(records), "--sun", "average", "--timezone", "+01:00"),
            *("--latitude", "47.2", "--longitude", "6.5", *out("sun.csv")),
        ],
        "overlap": ["ecology", "overlap", str(records), "--species", "species 0,species 1"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=float, default=1e6)
    parser.add_argument("--locations", type=int, default=500)
    parser.add_argument("--only", nargs="*", help="Of the names of the rows.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tables = write_tables(folder, int(options.rows), options.locations)
        what = f"{int(options.rows):,} records of {LABELS} labels"
        print(f"{what}, {options.locations:,} locations, {DAYS} days\n")
        print("| command | time | processor | peak memory |\n| --- | --- | --- | --- |")
        for what, words in commands(folder, *tables).items():
            if options.only is None or what in options.only:
                measure(what, [sys.executable, "-m", "trapline", *words], folder)


if __name__ == "__main__":
    main()
