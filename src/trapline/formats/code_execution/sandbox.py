"""A command run as a competition runs it: no network, no privileges, nothing of the machine, limits.

Linux only: namespaces for the network, mounts and processes, made by `unshare`, and a root of its own (see
`small_root`). Root hands the command to a user without an account or rights; anybody else runs it in a user
namespace. The kernel counts the packets that found no way out of the namespace, so an attempt to reach the
network is seen also where it was caught.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

from trapline.errors import TraplineError, UsageError
from trapline.formats.code_execution.small_root import WORK, enter_small_root

_USER = 61_184
"""A user and group id that no account has; from the range that systemd keeps for such uses."""

_TOOLS = ("unshare", "mount", "umount", "pivot_root", "setpriv", "sh")
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_TAIL = 8192
_LOST = ("IpOutNoRoutes", "Ip6OutNoRoutes", "UdpNoPorts", "Udp6NoPorts")
_MAKING_SECONDS = 60.0
"""How long a sandbox may take to be made on a busy machine."""
_POLL_SECONDS = 0.05
_MEMORY_SLACK = 2**31
"""Bytes beyond the limit that a process may reserve before its allocations fail: reserved is not used."""


@dataclass(frozen=True)
class Ran:
    """How a command ended.

    Attributes:
        status: its exit status (negative: the signal that ended it); None if it was stopped.
        stopped: `time` or `memory` if a limit was passed.
        seconds: that it took.
        peak_bytes: the most memory that its processes held together, as seen every 50 ms.
        network_attempts: packets that it tried to send.
        output: the end of what it printed.
    """

    status: int | None
    stopped: str | None
    seconds: float
    peak_bytes: int
    network_attempts: int
    output: str


def missing_for_sandbox() -> str | None:
    """What this machine lacks, in a sentence; None if nothing."""
    if not sys.platform.startswith("linux"):
        return f"Linux's namespaces are needed, and this is {sys.platform}. Check in a container or on Linux."
    lost = [tool for tool in _TOOLS if shutil.which(tool, path=_PATH) is None]
    if lost:
        return f"The programs {', '.join(lost)} are needed (package util-linux)."
    tried = subprocess.run(  # noqa: S603 - a fixed command
        [*_unshare(), "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        return (
            f"This machine does not allow new namespaces ({tried.stderr.strip()}). In a container, give it "
            "--privileged or run the check outside; on Ubuntu allow unprivileged user namespaces "
            "(sysctl kernel.apparmor_restrict_unprivileged_userns=0)."
        )
    return None


def run_sandboxed(
    command: Sequence[str],
    folder: Path,
    data: Mapping[str, Path],
    installed: Sequence[Path],
    *,
    time_limit_s: float,
    memory_limit: int,
) -> Ran:
    """Run a command in `folder`, which it may write to; it sees `data` in `folder/data`, which it may not.

    Of the machine it sees the system's programs and devices, and what else is given, all read-only.

    Args:
        command: a program and its arguments.
        folder: where it runs; it is given to the sandbox's user. The command sees it as `/codeexecution`.
        data: name in `folder/data` -> the file or folder that is shown there.
        installed: folders and files that the program consists of.
        time_limit_s: after which it and all that it started are killed.
        memory_limit: bytes that it and all that it started may hold together.

    Raises:
        UsageError: this machine cannot make a sandbox.
        TraplineError: the sandbox could not be made after all.
    """
    lacking = missing_for_sandbox()
    if lacking is not None:
        raise UsageError(f"A submission cannot be run safely here. {lacking}")
    folder = folder.resolve()
    for name in ("data", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, _USER, _USER, follow_symlinks=False)
    with tempfile.TemporaryDirectory(prefix="trapline-sandbox-") as root:
        enter = enter_small_root(Path(root).resolve(), folder, data, installed)
        process = subprocess.Popen(  # noqa: S603 - running it is what was asked for
            [*_unshare(), "sh", "-c", _script(command, memory_limit, enter)],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            return _watch(process, time_limit_s, memory_limit)
        finally:
            _kill(process)


def _unshare() -> list[str]:
    namespaces = ["unshare", "--net", "--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return namespaces if os.geteuid() == 0 else [*namespaces, "--user", "--map-root-user"]


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
    return kept | {"PATH": _PATH, "HOME": str(WORK), "TMPDIR": "/tmp", "PYTHONUNBUFFERED": "1"}  # noqa: S108


_LOOPBACK_UP = (
    "import fcntl, socket, struct; of = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
    "fcntl.ioctl(of, 0x8914, struct.pack('16sH14x', b'lo', 0x41))"
)
"""Containers without a network have their own address, by which parts of a program may talk to each other."""


def _script(command: Sequence[str], memory_limit: int, enter: Sequence[str]) -> str:
    """What the first process of the sandbox does; its standard output is for us and not for the command."""
    drop = f"--reuid {_USER} --regid {_USER} --clear-groups" if os.geteuid() == 0 else ""
    return "\n".join(
        [
            "set -e",
            "mount --make-rprivate /",
            shlex.join([sys.executable, "-I", "-S", "-c", _LOOPBACK_UP]),
            *enter,
            "ulimit -c 0",
            f"ulimit -d {(memory_limit + _MEMORY_SLACK) // 1024}",
            "set +e",
            "echo ready",
            f"setpriv {drop} --no-new-privs --inh-caps=-all --bounding-set=-all {shlex.join(command)} 1>&2",
            'echo "status $?"',
            "cat /proc/net/snmp /proc/net/snmp6 2>/dev/null",
        ]
    )


def _watch(process: subprocess.Popen[bytes], time_limit_s: float, memory_limit: int) -> Ran:
    assert process.stdout is not None
    assert process.stderr is not None
    told, tail = _Reader(process.stdout, 2**20), _Reader(process.stderr, _TAIL)
    began = started = time.monotonic()
    peak, stopped, attempts = 0, None, 0
    while process.poll() is None:
        if not told.anything and time.monotonic() - began < _MAKING_SECONDS:
            started = time.monotonic()  # the program's time is not spent on making the sandbox
        running = _descendants(process.pid)
        peak = max(peak, sum(_resident(pid) for pid in running))
        if peak > memory_limit:
            stopped = "memory"
        elif time.monotonic() - started > time_limit_s:
            stopped = "time"
        if stopped is not None:
            attempts = _count_attempts(_counters(running))
            break
        time.sleep(_POLL_SECONDS)
    seconds = time.monotonic() - started
    _kill(process)
    output, facts = tail.text(), told.text()
    if not facts.startswith("ready"):
        raise TraplineError(f"The sandbox could not be made: {output.strip()}")
    status = None
    if stopped is None:
        found = [int(line.split()[1]) for line in facts.splitlines() if line.startswith("status ")]
        status = found[0] if found else 128 + signal.SIGKILL
        status = 128 - status if status > 128 else status  # as a shell writes signals
        attempts = _count_attempts(facts)
    return Ran(status, stopped, seconds, peak, attempts, output)


def _counters(running: Sequence[int]) -> str:
    """The kernel's counters of the sandbox's network, seen through its first process."""
    return "".join(_read(f"/proc/{pid}/net/{name}") for pid in running[:1] for name in ("snmp", "snmp6"))


class _Reader:
    """Reads a pipe to its end in a thread of its own and keeps the last bytes."""

    def __init__(self, source: IO[bytes], kept: int) -> None:
        self._source, self._kept, self._content = source, kept, b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._source:
            while part := os.read(self._source.fileno(), 65536):
                self._content = (self._content + part)[-self._kept :]

    @property
    def anything(self) -> bool:
        """Whether something was read."""
        return bool(self._content)

    def text(self) -> str:
        """What was read; waits a moment for the end."""
        self._thread.join(5)
        return self._content.decode(errors="replace")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the sandbox: with its first process the kernel ends all others."""
    if process.poll() is None:
        for pid in [*_descendants(process.pid)[:1], process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    process.wait()


def _descendants(pid: int) -> list[int]:
    """The processes that a process started, and those that they did, the oldest first."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _read(f"/proc/{entry.name}/stat").rpartition(")")[2].split()
            if len(fields) > 1:
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        children = sorted(parents.get(waiting.pop(0), ()))
        found += children
        waiting += children
    return found


def _resident(pid: int) -> int:
    fields = _read(f"/proc/{pid}/statm").split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 2 else 0


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:  # it has ended meanwhile
        return ""


def _count_attempts(counters: str) -> int:
    """Packets that found no way out, of the kernel's counters `snmp` and `snmp6`.

    Besides those without a route these are datagrams to local ports on which nobody listens: questions to a
    name server that the host has at an address of its own.
    """
    found: dict[str, int] = {}
    lines = counters.splitlines()
    for names, values in pairwise(lines):
        kind, _, rest = names.partition(": ")
        if values.startswith(f"{kind}: ") and not rest[:1].isdigit():
            named = zip(rest.split(), values.split()[1:], strict=True)
            found |= {kind + name: int(number) for name, number in named}
    for line in lines:
        name, _, number = line.partition(" ")
        if name.startswith(("Ip6", "Udp6")):
            found[name.split()[0]] = int(number)
    return sum(found.get(name, 0) for name in _LOST)
