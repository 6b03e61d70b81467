"""What a sandbox holds of the machine, counted from outside: memory of every kind, and disk.

Memory is what its processes have of their own, what lies in `/dev/shm`, and what has no name but is open or
mapped somewhere: memfds and mappings shared between processes. Disk is what lies in the sandbox's folder, and
files that were deleted there and are still open. What no count can see (a file on its way through a socket)
shows in what the whole machine has left, so that is looked at too.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Resource = Literal["time", "memory", "disk"]

_LEFT_BYTES = 2**29
"""Of the machine's memory, and of the disk: a run that leaves less is stopped before others suffer."""
_LEFT_FILES = 10_000
_COUNTING_SECONDS = 1.0
_COUNTING_SECONDS_AT_REST = 10.0
"""How long files may be counted; while it runs nothing else is looked at meanwhile."""
_RECOUNT_SECONDS = 1.0
_RECOUNT_PAUSES = 50
"""How many times longer than a count of the files it takes until the next."""
_PAGE_LINES = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+) .*\(deleted\)$", re.MULTILINE
)
_NAMED = re.compile(rb"^(\w+):[ \t]+(\d+) kB$", re.MULTILINE)

File = tuple[int, int]
"""A file's device and number."""


@dataclass(frozen=True)
class RunLimits:
    """What a run may have.

    Attributes:
        seconds: after which it is stopped.
        memory: bytes that all of its processes may hold together.
        disk: bytes that it may write beside what was there.
    """

    seconds: float
    memory: int
    disk: int


@dataclass(frozen=True)
class Passed:
    """A limit that was passed.

    Attributes:
        of: which.
        text: how much was held, a sentence about `main.py`.
    """

    of: Resource
    text: str


class Meter:
    """Counts what a sandbox holds, beside what is there before it runs.

    Args:
        folder: the only folder on disk that it can write to.
        limits: what it may have.
    """

    def __init__(self, folder: Path, limits: RunLimits) -> None:
        self._folder, self._limits = folder, limits
        self._kernels = _device_of_nameless_memory()
        self._filled = _size_of(folder, _COUNTING_SECONDS_AT_REST) or 0
        self._memory_left, self._disk_left, self._files_left = self._left()
        self._recount_at, self._recount_after = limits.disk, 0.0
        self._nameless: dict[File, int] = {}
        self.peak = 0
        """The most memory that was seen, bytes."""

    def find_passed(self, first: int) -> Passed | None:
        """The limit that is passed now; None if none is. It is asked again and again.

        Args:
            first: the number of the sandbox's first process, outside of it.
        """
        root = Path(f"/proc/{first}/root")
        processes = _processes(root)
        self._nameless = _nameless(processes, self._nameless)
        memory, disk, files = self._left()
        of_its_own = self._of_memory(root, processes) or self._of_disk(root, self._disk_left - disk)
        return of_its_own or self._of_machine(memory, disk, files)

    def find_passed_at_the_end(self) -> Passed | None:
        """The same once it has ended: what was written since it was last looked at."""
        written = (_size_of(self._folder, _COUNTING_SECONDS_AT_REST) or 0) - self._filled
        return self._judge(written)

    def _of_memory(self, root: Path, processes: Iterable[Path]) -> Passed | None:
        shared, _ = _disk_usage(root / "dev" / "shm")
        shared += sum(size for (device, _), size in self._nameless.items() if device == self._kernels)
        held = shared + sum(_own(process) for process in processes)
        if held > self._limits.memory:  # pages that forks share were counted once for each
            held = shared + sum(_own_share(process) for process in processes)
        self.peak = max(self.peak, held)
        if held <= self._limits.memory:
            return None
        return Passed("memory", f"used too much memory ({held / 2**30:.2f} GiB)")

    def _of_disk(self, root: Path, fallen: int) -> Passed | None:
        """Files are counted once the disk has that much less, and now and then: others use it as well."""
        began = time.monotonic()
        if fallen <= self._recount_at and began < self._recount_after:
            return None
        size = _size_of(self._folder, _COUNTING_SECONDS)
        elsewhere = (self._kernels, _disk_usage(root / "dev" / "shm")[1])
        deleted = sum(size for (device, _), size in self._nameless.items() if device not in elsewhere)
        written = fallen if size is None else size - self._filled + deleted
        self._recount_at = fallen + self._limits.disk - written
        now = time.monotonic()
        self._recount_after = now + max(_RECOUNT_SECONDS, (now - began) * _RECOUNT_PAUSES)
        return self._judge(written)

    def _judge(self, written: int) -> Passed | None:
        if written <= self._limits.disk:
            return None
        return Passed("disk", f"wrote too much to disk ({written / 2**30:.2f} GiB)")

    def _of_machine(self, memory: int, disk: int, files: int) -> Passed | None:
        folder = self._folder.parent
        if memory < min(_LEFT_BYTES, self._memory_left // 2):
            return Passed("memory", f"and what else runs left this machine {memory >> 20} MiB of memory")
        if disk < min(_LEFT_BYTES, self._disk_left // 2):
            return Passed("disk", f"and what else runs left {disk >> 20} MiB on the disk of {folder}")
        if files < min(_LEFT_FILES, self._files_left // 2):
            return Passed("disk", f"and what else runs left room for {files} files on the disk of {folder}")
        return None

    def _left(self) -> tuple[int, int, int]:
        """Bytes of memory, bytes of disk and files that there is room for."""
        disk = os.statvfs(self._folder)
        memory = _numbers(Path("/proc/meminfo")).get("MemAvailable", 0)
        return memory, disk.f_bavail * disk.f_frsize, disk.f_favail


def _processes(root: Path) -> list[Path]:
    """Their folders in `/proc`: the sandbox shows its own and no others."""
    try:
        return [entry for entry in (root / "proc").iterdir() if entry.name.isdigit()]
    except OSError:  # it has ended
        return []


def _numbers(path: Path) -> dict[str, int]:
    """The sizes that the kernel names in a file, bytes; none if the process has ended."""
    return {name.decode(): int(number) * 1024 for name, number in _NAMED.findall(read_of_kernel(path))}


def read_of_kernel(path: Path) -> bytes:
    """What the kernel says in a file of a process; nothing if that has ended."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _own(process: Path) -> int:
    """Bytes that it holds for itself, with what it shares with its forks, and the tables of its pages."""
    status = _numbers(process / "status")
    return sum(status.get(name, 0) for name in ("RssAnon", "VmSwap", "VmPTE", "HugetlbPages"))


def _own_share(process: Path) -> int:
    """The same with its share of what forks have together, which takes the kernel longer to say."""
    shares, whole = _numbers(process / "smaps_rollup"), _numbers(process / "status")
    if "Pss_Anon" not in shares:  # an old kernel
        return _own(process)
    tables = whole.get("VmPTE", 0) + whole.get("HugetlbPages", 0)
    return tables + shares["Pss_Anon"] + shares.get("SwapPss", 0)


def _disk_usage(folder: Path) -> tuple[int, int]:
    """Bytes that a file system in memory holds, a kilobyte a file among them, and its device."""
    try:
        usage = os.statvfs(folder)
        used = (usage.f_blocks - usage.f_bfree) * usage.f_frsize + (usage.f_files - usage.f_ffree) * 1024
        return used, folder.stat().st_dev
    except OSError:  # it has ended
        return 0, -1


def _nameless(processes: Iterable[Path], before: dict[File, int]) -> dict[File, int]:
    """Bytes of the files without a name that processes have open or mapped.

    A mapping says how far it reaches and not how much is filled, and a file lives on when all but a page of
    it is given back. So of those that are mapped alone, the farthest that was ever seen counts.
    """
    opened: dict[File, int] = {}
    mapped: dict[File, int] = {}
    for process in processes:
        for file, size in _mapped_bytes(process):
            mapped[file] = max(mapped.get(file, before.get(file, 0)), size)
        opened.update(_open_files(process))
    return mapped | opened


def _mapped_bytes(process: Path) -> Iterator[tuple[File, int]]:
    for start, end, offset, major, minor, number in _PAGE_LINES.findall(read_of_kernel(process / "maps")):
        device = os.makedev(int(major, 16), int(minor, 16))
        yield (device, int(number)), int(offset, 16) + int(end, 16) - int(start, 16)


def _open_files(process: Path) -> Iterator[tuple[File, int]]:
    try:
        entries = list((process / "fd").iterdir())
    except OSError:  # it has ended
        return
    for entry in entries:
        try:
            status = entry.stat()
        except OSError:  # closed meanwhile
            continue
        if stat.S_ISREG(status.st_mode) and not status.st_nlink:
            yield (status.st_dev, status.st_ino), status.st_blocks * 512


def _device_of_nameless_memory() -> int:
    """The device on which the kernel keeps memfds and shared mappings."""
    file = os.memfd_create("trapline")
    try:
        return os.fstat(file).st_dev
    finally:
        os.close(file)


def _size_of(folder: Path, seconds: float) -> int | None:
    """Bytes of disk that a folder takes; None if that cannot be counted in time."""
    command = ["du", "-skx", str(folder)]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            command, capture_output=True, timeout=seconds, check=False
        )
        return int(done.stdout.split()[0]) * 1024
    except (subprocess.TimeoutExpired, IndexError, ValueError):
        return None
