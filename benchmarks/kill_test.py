"""Kill `trapline predict` at random moments, again and again; what comes out must be as if nothing had been.

The photos are real ones repeated as separate files, the real broken ones of a folder of fixtures, and the
zoo of broken files that the tests make. Each time the command is killed (SIGKILL) after a random share of
the time that a whole run takes, from the start of the interpreter to the writing of the table; in a third of
the runs one of its decoding processes is killed before. Then the same command is run again. When a run comes
to its end, its table must be that of the run left alone, byte for byte; then all is deleted and begun anew.

usage: python benchmarks/kill_test.py PHOTOS FIXTURES [--model MODEL] [--kills 200] [--count 2000]
           [--format csv|parquet]
"""

from __future__ import annotations

import argparse
import importlib.util
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

from running import jpegs
from small_model import small_model


def make_zoo(folder: Path) -> None:
    """The tests' zoo of good and broken photos."""
    place = Path(__file__).parent.parent / "tests" / "conftest.py"
    found = importlib.util.spec_from_file_location("zoo", place)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    folder.mkdir()
    for part in (module._write_good, module._write_odd, module._write_broken):
        part(folder)


def lay_out(folder: Path, photos: Path, fixtures: Path, count: int) -> list[str]:
    """Zoo, fixtures and copies of photos; their paths, in a random but fixed order."""
    make_zoo(folder / "zoo")
    shutil.copytree(fixtures, folder / "fixtures", symlinks=True)
    names = [
        f"zoo/{name}" for name in ("vanished.jpg", *sorted(path.name for path in (folder / "zoo").iterdir()))
    ]
    names += [path.relative_to(folder).as_posix() for path in sorted((folder / "fixtures").rglob("*.*"))]
    (folder / "photos").mkdir()
    real = jpegs(photos)
    for number in range(max(0, count - len(names))):
        name = f"photos/{number:05}.jpg"
        shutil.copyfile(real[number % len(real)], folder / name)
        names.append(name)
    random.Random(1).shuffle(names)
    (folder / "list.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return names


@dataclass
class Seen:
    """What happened."""

    kills: int = 0
    decoders: int = 0
    ends: int = 0
    journal: list[int] = field(default_factory=list)
    stages: Counter[str] = field(default_factory=Counter)


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(word) for word in task.read_text().split()]
    return found


def kill_once(command: list[str], folder: Path, table: Path, wait: float, seen: Seen, chance: Any) -> bool:
    """Start the command, kill it after a while; whether it came to its end before."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if chance.random() < 1 / 3:
        early = chance.uniform(0, wait)
        time.sleep(early)
        wait -= early
        decoders = children(process.pid)
        if decoders:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(decoders), signal.SIGKILL)
            seen.decoders += 1
    try:
        process.wait(wait)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    _, complaint = process.communicate()
    if process.returncode == 0:
        return True
    if process.returncode != -signal.SIGKILL:
        raise SystemExit(f"the command left with {process.returncode}: {complaint.decode()}")
    seen.kills += 1
    journal = table.with_name(table.name + ".journal")
    seen.journal.append(journal.stat().st_size if journal.exists() else 0)
    writing = table.with_name(table.name + ".partial").exists()
    stage = (
        "while the table was written" if writing else "at work" if journal.exists() else "before the journal"
    )
    seen.stages[stage] += 1
    if seen.kills % 20 == 0:
        print(f"{seen.kills} kills, {seen.ends} ends", file=sys.stderr)
    return False


def compare(one: Path, other: Path) -> None:
    """Stop if two tables, or the headers beside them, differ in a byte."""
    for end in ("", ".json"):
        first, second = (path.with_name(path.name + end) for path in (one, other))
        if first.exists() and first.read_bytes() != second.read_bytes():
            raise SystemExit(f"DIFFERENT: {first} and {second}")


def main() -> None:
    """Run it and print what was seen."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("fixtures", type=Path)
    parser.add_argument("--model", type=Path, help="left out: a head on Lite0 at 64 pixels")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--format", choices=["csv", "parquet"], default="csv")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = small_model(folder) if options.model is None else options.model.resolve()
        names = lay_out(folder, options.photos, options.fixtures, options.count)
        command = [sys.executable, "-m", "trapline", "predict", str(model), "list.txt", "--force", "-o"]
        whole, cut = folder / f"whole.{options.format}", folder / f"cut.{options.format}"
        subprocess.run([*command, whole.name], cwd=folder, check=True, capture_output=True)
        whole.with_name(whole.name + ".journal").unlink()
        started = time.perf_counter()
        alone = subprocess.run([*command, whole.name, "--json"], cwd=folder, check=True, capture_output=True)
        needed = time.perf_counter() - started
        said = json.loads(alone.stdout)
        seen, chance = Seen(), random.Random(options.seed)
        while seen.kills < options.kills:
            if kill_once([*command, cut.name], folder, cut, chance.uniform(0, needed), seen, chance):
                compare(whole, cut)
                seen.ends += 1
                for path in folder.glob(f"{cut.name}*"):
                    path.unlink()
        subprocess.run([*command, cut.name], cwd=folder, check=True, capture_output=True)
        compare(whole, cut)
        seen.ends += 1
        left = list(folder.glob("*.partial"))
        print(
            f"{len(names)} inputs: {said['ok']} predicted, {said['failed']} failed; alone in {needed:.1f} s"
        )
        print(f"failures: {said['failures']}")
        print(f"{seen.kills} kills ({dict(seen.stages)}), {seen.decoders} decoding processes killed besides")
        print(
            f"journal when killed: {len(set(seen.journal))} different sizes up to {max(seen.journal)} bytes"
        )
        print(
            f"{seen.ends} runs came to their end: every {options.format} equal to the byte; left over: {left}"
        )


if __name__ == "__main__":
    main()
