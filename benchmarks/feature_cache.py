"""The feature cache beside what it took the place of, one SQLite file: time, bytes, four processes at once.

Vectors of 1,280 numbers are put in batches of 32, as training does, and then all are asked for. First one
process does so; then four at once, each with vectors of its own. SQLite has the table and the queries that
the cache had until 2026: one file, one writer at a time.

usage: python benchmarks/feature_cache.py [--views 20000]
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from trapline.training.feature_cache import CachedFeatures, FeatureCache

SIZE, BATCH, PROCESSES = 1280, 32, 4
TABLE = "CREATE TABLE IF NOT EXISTS features (key BLOB PRIMARY KEY, used INTEGER, warning TEXT, vector BLOB)"


def batches(first: int, views: int) -> Iterator[dict[bytes, np.ndarray]]:
    """Keys and vectors, a batch at a time."""
    random = np.random.default_rng(first)
    for start in range(first, first + views, BATCH):
        vectors = random.normal(size=(BATCH, SIZE)).astype(np.float32)
        numbers = range(start, min(start + BATCH, first + views))
        yield {key(number): vector for number, vector in zip(numbers, vectors, strict=False)}


def key(number: int) -> bytes:
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


def fill_pieces(folder: Path, first: int, views: int) -> None:
    """Put vectors into the cache."""
    with FeatureCache(folder) as cache:
        for batch in batches(first, views):
            cache.put("group", {one: CachedFeatures(vector, None) for one, vector in batch.items()})


def ask_pieces(folder: Path, views: int) -> int:
    """How many of the vectors are there."""
    with FeatureCache(folder) as cache:
        return sum(1 for _ in cache.get("group", [key(number) for number in range(views)]))


def fill_sqlite(folder: Path, first: int, views: int) -> None:
    """The same into SQLite, a transaction a batch."""
    connection = sqlite3.connect(folder / "features.db", timeout=600)
    connection.execute(TABLE)
    for batch in batches(first, views):
        rows = [(one, time.time_ns(), None, vector.tobytes()) for one, vector in batch.items()]
        with connection:
            connection.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?)", rows)
    connection.close()


def ask_sqlite(folder: Path, views: int) -> int:
    """The same of SQLite, with the mark of what was used that it kept."""
    connection = sqlite3.connect(folder / "features.db")
    there, keys = 0, [key(number) for number in range(views)]
    for start in range(0, views, 500):
        some = keys[start : start + 500]
        marks = ",".join("?" * len(some))
        query = f"SELECT key, vector, warning FROM features WHERE key IN ({marks})"
        there += sum(
            len(np.frombuffer(vector, "<f4")) > 0 for _, vector, _ in connection.execute(query, some)
        )
        with connection:
            change = f"UPDATE features SET used = ? WHERE key IN ({marks})"
            connection.execute(change, (time.time_ns(), *some))
    connection.close()
    return there


WAYS = {"pieces": (fill_pieces, ask_pieces), "SQLite": (fill_sqlite, ask_sqlite)}


def measure(way: str, views: int, processes: int) -> str:
    """A row of the table."""
    fill, ask = WAYS[way]
    with tempfile.TemporaryDirectory() as name:
        folder, each = Path(name), views // processes
        started = time.monotonic()
        if processes == 1:
            fill(folder, 0, views)
        else:
            writers = [
                multiprocessing.get_context("spawn").Process(target=fill, args=(folder, first * each, each))
                for first in range(processes)
            ]
            for writer in writers:
                writer.start()
            for writer in writers:
                writer.join()
        put = time.monotonic() - started
        started = time.monotonic()
        there = ask(folder, each * processes)
        got = time.monotonic() - started
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert there == each * processes, f"{way}: {there} of {each * processes} views are there"
    return f"| {way} | {processes} | {there:,} | {put:.1f} | {got:.1f} | {size / 2**20:.0f} |"


def main() -> None:
    """Measure both ways, alone and four at once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--views", type=int, default=20_000)
    views = parser.parse_args().views
    print("| cache | processes | views | put, s | got, s | MiB |")
    print("|---|---|---|---|---|---|")
    for processes in (1, PROCESSES):
        for way in WAYS:
            print(measure(way, views, processes), flush=True)


if __name__ == "__main__":
    main()
