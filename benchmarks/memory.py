"""Memory of `trapline predict` at 2,000 and at 100,000 photos, which are links to the same small files.

The command runs in a process of its own; its peak and the largest sum with its decoding processes are
printed, and what a photo costs more. A folder of photos and a list of their paths are measured apart.

usage: python benchmarks/memory.py PHOTOS [--model MODEL] [--counts 2000,100000] [--ways folder,list]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from running import jpegs
from small_model import small_model


def resident(pid: int) -> tuple[int, int]:
    """KB that a process and its children hold: its peak, and the sum now."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0, 0
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    sizes = [int(fields.get(name, "0 kB").split()[0]) for name in ("VmHWM", "VmRSS")]
    return sizes[0], sizes[1] + sum(resident(int(child))[1] for child in children)


def watch(command: list[str], folder: Path) -> tuple[int, int, float]:
    """Run a command; its peak, the largest sum with its children (KB), and seconds."""
    started, peak, together = time.perf_counter(), 0, 0
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        own, total = resident(process.pid)
        peak, together = max(peak, own), max(together, total)
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} left with {process.returncode}")
    return peak, together, time.perf_counter() - started


def lay_out(photos: list[Path], folder: Path, count: int) -> None:
    """A folder tree with `count` links to the photos, and a list of their paths."""
    names = []
    for number in range(count):
        place = folder / f"card{number // 5000:03}"
        if number % 5000 == 0:
            place.mkdir(parents=True)
        link = place / f"IMG_{number:06}.JPG"
        os.link(photos[number % len(photos)], link)
        names.append(link.relative_to(folder.parent).as_posix())
    (folder.parent / f"{folder.name}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", type=Path, help="left out: a head on Lite0 at 64 pixels")
    parser.add_argument("--counts", default="2000,100000")
    parser.add_argument("--ways", default="folder,list")
    parser.add_argument("--width", type=int, default=160, help="of the photos, pixels; 0 keeps them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as temporary:
        folder = Path(temporary)
        model = small_model(folder) if options.model is None else options.model.resolve()
        (folder / "small").mkdir()
        photos = jpegs(options.photos, 40)
        for number, photo in enumerate(photos):
            with Image.open(photo) as image:
                image.draft("RGB", (options.width, options.width))
                image.thumbnail((options.width, options.width))
                image.convert("RGB").save(folder / "small" / f"{number}.jpg")
        small = sorted((folder / "small").iterdir())
        print("| photos as | number | peak MB | with decoders MB | bytes a photo more | s |")
        print("| --- | --- | --- | --- | --- | --- |")
        counts = [int(count) for count in options.counts.split(",")]
        for count in counts:
            lay_out(small, folder / f"photos{count}", count)
        for way in options.ways.split(","):
            first = 0
            for count in counts:
                source = f"photos{count}" + (".txt" if way == "list" else "")
                command = [sys.executable, "-m", "trapline", "predict", str(model), source]
                peak, together, seconds = watch([*command, "-o", f"{way}{count}.csv"], folder)
                more = "" if not first else f"{(peak - first) * 1024 / (count - counts[0]):.0f}"
                first = first or peak
                row = (way, f"{count:,}", f"{peak / 1024:.0f}", f"{together / 1024:.0f}", more)
                print(f"| {' | '.join(row)} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
