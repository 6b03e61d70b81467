"""Time and peak memory of predictions of tens of millions of media: pooled, judged and combined in parts.

    python benchmarks/many_answers.py [--rows 20e6] [--labels 20] [--folder DIR] [--keep]

Writes a catalog and the predictions of two made-up models (real column shapes, sequences of 1 to 5 images,
225 locations in ten seasons each, no photos), then runs each command as a process of its own and prints its
time, processor time and peak resident memory as Markdown. The engine's own work a media, without photos and
network, is measured on a journal of `--journal` media.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from big_catalog import FRAMES, measure
from polars.io.plugins import register_io_source

from trapline.catalog import Catalog, conform
from trapline.prediction import Predictions, probability_columns
from trapline.prediction.assembly import table_parts
from trapline.prediction.engine import count_not_done
from trapline.prediction.inputs import batches, inputs_of, stamps
from trapline.prediction.journal import Journal, JournalEntry
from trapline.prediction.table import FIXED, write_parts

SEASONS, LOCATIONS = 10, 225
AT_ONCE = 200_000


def media(rows: int, seed: int = 0) -> Iterator[pl.DataFrame]:
    """The catalog's rows, with the index of each one's label, some at a time."""
    random, done = np.random.default_rng(seed), 0
    while done < rows:
        frames = random.choice(FRAMES[0], AT_ONCE // 3, p=FRAMES[1])
        of = np.repeat(np.arange(len(frames)), frames)[: rows - done]
        number = np.arange(done, done + len(of))
        season, location = number * SEASONS // rows, number * SEASONS * LOCATIONS // rows % LOCATIONS
        label = np.minimum(random.exponential(2, len(frames)).astype(int), 999)[of]
        table = pl.DataFrame(
            {"season": season + 1, "location": location + 1, "number": number, "label": label}
        )
        name = pl.format("S{}/L{}/S{}_L{}_PICT{}.JPG", "season", "location", "season", "location", "number")
        yield table.select(
            media_id=name,
            file_path=name,
            location_id=pl.format("L{}", "location"),
            event_id=pl.format("SER_S{}#L{}#{}", "season", "location", pl.Series(of + done)),
            season=pl.format("S{}", "season"),
            frame=pl.int_range(pl.len()),
            label="label",
        )
        done += len(of)


def write_tables(folder: Path, rows: int, labels: int) -> None:
    """`c.parquet` and the predictions of two models, `p.parquet` and `q.parquet`."""
    names = tuple(f"species {number:02}" for number in range(labels))
    header = {"format_version": "1", "root": "photos", "source": "made-up seasons", "info": {}}

    def catalog() -> Iterator[pl.DataFrame]:
        for table in media(rows):
            own = table.with_columns(
                labels=pl.concat_list(
                    pl.lit("species ") + (pl.col("label") % labels).cast(pl.String).str.zfill(2)
                )
            )
            yield conform(own.drop("label"))

    schema = next(catalog()).schema
    source = register_io_source(lambda *_: catalog(), schema=schema)
    source.sink_parquet(
        folder / "c.parquet", metadata={"trapline_catalog": json.dumps(header)}, statistics=False
    )
    for seed, name in enumerate(("p", "q")):
        random = np.random.default_rng(seed)

        def answers(random: np.random.Generator = random) -> Iterator[pl.DataFrame]:
            for table in media(rows):
                numbers = random.random((table.height, labels), np.float32) ** 8
                numbers[np.arange(table.height), table["label"].to_numpy() % labels] += 0.5
                numbers /= numbers.sum(axis=1, keepdims=True)
                fixed = table.select(
                    *("media_id", "event_id"),
                    pl.lit(None, pl.Int64).alias("box"),
                    "file_path",
                    pl.lit("ok").alias("status"),
                    pl.lit(None, pl.String).alias("reason"),
                )
                yield fixed.hstack(probability_columns(names, numbers))

        schema = FIXED | dict.fromkeys(names, pl.Float32())
        head = Predictions(pl.DataFrame(schema=schema), names, "media", name * 64, "single-label")
        write_parts(head, answers(), folder / f"{name}.parquet")


def write_weights(folder: Path) -> None:
    """`like.parquet`: a combined table, which says how the two models are weighed."""
    from dataclasses import replace

    from trapline.prediction import Combination, scan_table

    head, rows = scan_table(folder / "p.parquet")
    like = Combination(
        models=("p" * 64, "q" * 64),
        names=("p", "q"),
        weights=(0.6, 0.5),
        sureness={"no box": 0.5, "faint": 0.8, "alone": 1.0, "several": 1.2},
        pooled=None,
        learnt_on="nothing",
    )
    facts = replace(head.facts, combined=like)
    replace(head, table=rows.head(1).collect(), facts=facts).save(folder / "like.parquet")


def measure_engine(folder: Path, count: int, labels: int) -> None:
    """Microseconds of processor time a media of the engine's steps, without reading photos and network."""
    photos, names = (
        folder / "photos",
        [f"S1/{number // 5000:04}/PICT{number:07}.JPG" for number in range(count)],
    )
    first = photos
    for number, name in enumerate(names):
        path = photos / name
        if number % 5000 == 0:
            path.parent.mkdir(parents=True)
            path.write_bytes(b"photo")
            first = path
        else:
            os.link(first, path)
    catalog = Catalog.from_rows(pl.DataFrame({"media_id": names, "file_path": names}), photos, "made up")
    header = {"labels": [f"species {number:02}" for number in range(labels)], "batch_size": 16}
    numbers = np.full((16, labels), 1 / labels, np.float32)
    with Journal(folder / "journal", header) as journal:
        for start in range(0, count, 16):
            some = names[start : start + 16]
            entries = [
                JournalEntry(name, None, name, size, modified, "", "ok", None)
                for name, (size, modified) in zip(some, stamps(catalog, some), strict=True)
            ]
            journal.append(entries, numbers[: len(some)])

        def timed(what: str, step: Callable[[], Any]) -> Any:
            began = time.process_time()
            result = step()
            print(f"| {what} | {(time.process_time() - began) / count * 1e6:.2f} |", flush=True)
            return result

        print("\n| the engine's work | microseconds a media |\n|---|---|")
        timed("inputs", lambda: sum(map(len, inputs_of(catalog, None, "media"))))
        index = timed("index of the journal", journal.index)
        left = timed(
            "what is done, by a stat each", lambda: count_not_done(catalog, None, "media", index, count)
        )
        timed(
            "batches of what is left, of nothing",
            lambda: sum(1 for _ in batches(catalog, None, "media", 16, left)),
        )
        timed(
            "rows of the table, with the index",
            lambda: sum(map(len, table_parts(catalog, None, "media", journal))),
        )


def main() -> None:
    """Make the tables, run the commands, print what they took."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--rows", type=float, default=20e6)
    arguments.add_argument("--labels", type=int, default=20)
    arguments.add_argument("--journal", type=int, default=200_000)
    arguments.add_argument("--folder", type=Path, help="for the files [a temporary one]")
    arguments.add_argument("--keep", action="store_true", help="leave the files, use those that are there")
    arguments.add_argument("--only", nargs="*", help="of the steps: pool, folder, evaluate, combine [all]")
    given = arguments.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="many-answers-"))
    folder.mkdir(parents=True, exist_ok=True)
    if not (given.keep and (folder / "q.parquet").is_file()):
        write_tables(folder, int(given.rows), given.labels)
        write_weights(folder)
        sizes = ", ".join(
            f"{name} {(folder / name).stat().st_size / 1e9:.1f} GB" for name in ("c.parquet", "p.parquet")
        )
        print(f"{int(given.rows):,} rows, {given.labels} labels in {folder}: {sizes}")
    trapline = [sys.executable, "-m", "trapline"]
    weigh = ["combine", "c.parquet", "p.parquet", "q.parquet", "--like", "like.parquet"]
    steps = {
        "pool": ["pool", "p.parquet", "c.parquet", "-o", "e.parquet", "--rows", "event"],
        "folder": ["pool", "p.parquet", "c.parquet", "-o", "m", "--rows-per-file", "1000000"],
        "evaluate": ["evaluate", "c.parquet", "p.parquet", "-o", "e.json"],
        "combine": [*weigh, "-o", "both.parquet"],
    }
    print("| step | time | processor | peak memory |\n|---|---|---|---|")
    for name, command in steps.items():
        if not given.only or name in given.only:
            measure(name, [*trapline, *command, "--force"], folder)
            for output in ("e.parquet", "both.parquet", "m"):
                path = folder / output
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if given.journal:
        measure_engine(folder, given.journal, given.labels)
        shutil.rmtree(folder / "photos")
        (folder / "journal").unlink()
    if not given.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
