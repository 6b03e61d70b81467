"""Kill the workers of a run in shards at random moments, again and again; the table must be the single run's.

Real photos as links, and in their middle one that kills the process that runs the network of a worker. First
a single run, in which it does not. Then the same photos are planned in shards of a random size, and workers
are started: some claim, some are told a shard, now and then one that another is at. Each is killed (SIGKILL)
at a random moment: it alone, it and the process that does its shards, or this one first; or it is stopped for
longer than its lease, let go on and killed (SIGSTOP, SIGCONT), or told to end (SIGTERM). When a plan is done
its tables are merged: every row must be the single run's, to the last bit, but for the photo that kills,
which must be a failed row; and the table of every plan must be the same bytes.

usage: python benchmarks/cluster_kills.py PHOTOS [--model MODEL] [--kills 100] [--count 2000] [--at-once 2]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image
from running import jpegs, trapline
from small_model import small_model

LEASE = 3.0
SIZES = (16, 50, 128, 300, 1000)
KILLER = """
import os, sys
if "trapline.cluster.child" in sys.orig_argv[-1]:
    from trapline.prediction.engine import BatchRunner
    run = BatchRunner.run
    def deadly(self, pixels):
        if (pixels.reshape(len(pixels), -1, 3) == (255, 0, 255)).all(axis=(1, 2)).any():
            os.abort()
        return run(self, pixels)
    BatchRunner.run = deadly
"""
"""What a bug in a driver would do, at a photo of nothing but magenta."""


@dataclass
class Tally:
    """What happened."""

    kills: Counter[str] = field(default_factory=Counter)
    plans: int = 0
    attempts: int = 0
    most_attempts: int = 0
    doubled: int = 0
    expired: int = 0
    different: int = 0

    def row(self) -> str:
        """For the table of results."""
        how = ", ".join(f"{count} {what}" for what, count in sorted(self.kills.items()))
        counts = [self.plans, self.attempts, self.most_attempts, self.doubled, self.expired, self.different]
        return f"| {sum(self.kills.values())} ({how}) | {' | '.join(map(str, counts))} |"


class Worker:
    """A `trapline cluster work`."""

    def __init__(self, run: Path, site: Path, shard: int | None) -> None:
        told = ["--claim"] if shard is None else ["--shard", str(shard)]
        command = [sys.executable, "-m", "trapline", "cluster", "work", str(run), *told]
        self.process = subprocess.Popen(
            [*command, "--workers", "1", "--threads", "1"],
            env=os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def child(self) -> int | None:
        """The process that does its shards, if it has begun."""
        with suppress(OSError):
            text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
            return int(text.split()[0]) if text.split() else None
        return None

    def wait_until_at_work(self) -> None:
        """Until it has begun a shard, or has ended."""
        while self.process.poll() is None and self.child() is None:
            time.sleep(0.05)

    def end(self, number: signal.Signals) -> str:
        """Send it a signal and wait for its end; what it said."""
        with suppress(OSError):
            self.process.send_signal(number)
        return self.process.communicate()[1].decode()


def disturb(worker: Worker, chance: random.Random, tally: Tally) -> None:
    """Do something to a worker, if it is still there."""
    if worker.process.poll() is not None:
        worker.process.communicate()
        return
    what = chance.choice(["worker", "worker", "worker", "both", "its process", "stopped", "told to end"])
    child = worker.child()
    if what in ("both", "its process") and child is None:
        what = "worker"
    tally.kills[what] += 1
    if what == "its process" and child is not None:
        with suppress(OSError):
            os.kill(child, signal.SIGKILL)
        time.sleep(chance.uniform(0, 2))
        worker.end(signal.SIGKILL)
    elif what == "stopped":
        os.killpg(worker.process.pid, signal.SIGSTOP)
        time.sleep(LEASE * 1.5)
        os.killpg(worker.process.pid, signal.SIGCONT)
        time.sleep(chance.uniform(0, 1))
        worker.end(signal.SIGKILL)
    elif what == "told to end":
        worker.end(signal.SIGTERM)
    else:
        if what == "both" and child is not None:
            with suppress(OSError):
                os.kill(child, signal.SIGKILL)
        worker.end(signal.SIGKILL)


def shards_left(run: Path, shards: int) -> list[int]:
    """Those without a table."""
    return [number for number in range(shards) if not (run / "shards" / f"{number:05}.parquet").exists()]


def work_and_kill(
    run: Path, shards: int, site: Path, kills: int, at_once: int, chance: random.Random, tally: Tally
) -> None:
    """Start workers and disturb them, until the plan is done; when enough have been killed none is."""
    while left := shards_left(run, shards):
        enough = sum(tally.kills.values()) >= kills
        told = [
            None if chance.random() < 0.6 else chance.choice(left) for _ in range(1 if enough else at_once)
        ]
        if len(told) > 1 and chance.random() < 0.2:
            told[0] = told[1] = chance.choice(left)
            tally.doubled += 1
        workers = [Worker(run, site, None if enough else shard) for shard in told]
        for worker in workers:
            if enough:
                worker.process.communicate()
            else:
                if chance.random() < 0.8:
                    worker.wait_until_at_work()
                time.sleep(chance.uniform(0, 10 / len(workers)))
                disturb(worker, chance, tally)


def count_attempts(run: Path, tally: Tally) -> None:
    """What the records of a run say."""
    of_shard: Counter[str] = Counter()
    for record in (run / "attempts").glob("*.json"):
        of_shard[record.name.split(".")[0]] += 1
        with suppress(ValueError):  # one that was killed while it was made
            tally.expired += json.loads(record.read_text()).get("state", "working") == "working"
    tally.attempts += sum(of_shard.values())
    tally.most_attempts = max(tally.most_attempts, *of_shard.values())


def check(merged: Path, single: Path, killer: str, before: bytes | None, tally: Tally) -> bytes:
    """Compare a merged table with the single run, and with that of the plan before."""
    whole, alone = pl.read_parquet(merged), pl.read_parquet(single)
    kills = pl.col("file_path") == killer
    row = whole.filter(kills)
    same = whole.filter(~kills).equals(alone.filter(~kills)) and row["status"].to_list() == ["failed"]
    if not same or "ended each of 3 times" not in row["reason"][0]:
        tally.different += 1
        print(f"DIFFERENT: {row.to_dicts()}", file=sys.stderr)
    content = merged.read_bytes()
    tally.different += before is not None and content != before
    return content


def make_photos(folder: Path, photos: Path, count: int) -> str:
    """Links to photos, and one that kills; its name."""
    folder.mkdir()
    own = jpegs(photos)
    for number in range(count):
        (folder / f"{number:06}.jpg").symlink_to(own[number % len(own)].resolve())
    killer = f"{count // 2:06}.png"
    (folder / killer).with_suffix(".jpg").unlink()
    pixels: Any = np.tile(np.array([255, 0, 255], np.uint8), (64, 64, 1))
    Image.fromarray(pixels).save(folder / killer)
    return killer


def main() -> None:
    """Run it and print what was seen."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", type=Path, help="left out: a head on Lite0 at 64 pixels")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    chance, tally, before = random.Random(options.seed), Tally(), None
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        site = folder / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(KILLER)
        killer = make_photos(folder / "photos", options.photos, options.count)
        (folder / "model").mkdir()
        model = small_model(folder / "model") if options.model is None else options.model.resolve()
        single = folder / "single.parquet"
        trapline("predict", model, folder / "photos", "-o", single)
        while tally.plans < 2 or sum(tally.kills.values()) < options.kills:
            run = folder / "run"
            size = min(chance.choice(SIZES), max(16, options.count // 2))
            plan = ["cluster", "plan", model, folder / "photos", "-o", run, "--shard-size", size]
            made = json.loads(trapline(*plan, "--lease", LEASE, "--json"))
            work_and_kill(run, made["shards"], site, options.kills, options.at_once, chance, tally)
            trapline("cluster", "merge", run, "-o", folder / "whole.parquet", "--force")
            before = check(folder / "whole.parquet", single, killer, before, tally)
            tally.plans += 1
            count_attempts(run, tally)
            print(f"shards of {size}: {tally.row()}", file=sys.stderr)
            shutil.rmtree(run)
    print("| kills | plans | attempts | most at a shard | two at one | ended without a word | different |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print(tally.row())
    if tally.different:
        raise SystemExit("a table is another than the single run's")
    print(f"equal to the single run of {options.count} photos, and one failed row")


if __name__ == "__main__":
    main()
