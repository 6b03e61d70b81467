"""A command run as a competition runs it: no network, no privileges, nothing of the machine, limits.

Bubblewrap (`bwrap`) makes the namespaces and the root, and gives the kernel the filter of `seccomp`. Root
hands the command to a user without an account or rights; anybody else runs it in a user namespace. `limits`
counts what it holds. The kernel counts the packets that found no way out of the namespace, so an attempt to
reach the network is seen also where it was caught.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

from trapline.competitions.code_execution.limits import Meter, Passed, RunLimits, read_of_kernel
from trapline.competitions.code_execution.seccomp import knows_machine, seccomp_filter
from trapline.errors import TraplineError, UsageError

WORK = Path("/codeexecution")
"""Where the command runs, in its own root; `data` is in it."""

_USER = 61_184
"""A user and group id that no account has; from the range that systemd keeps for such uses."""

_TOOLS = {"bwrap": "bubblewrap", "setpriv": "util-linux", "prlimit": "util-linux", "du": "coreutils"}
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_PROGRAMS = ("bin", "gnu/store", "lib", "lib32", "lib64", "libx32", "nix/store", "sbin", "usr")
_SETTINGS = (
    *("alternatives", "fonts", "group", "host.conf", "hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d"),
    *("localtime", "mime.types", "nsswitch.conf", "passwd", "protocols", "resolv.conf", "services"),
    *("ssl/certs", "ssl/openssl.cnf", "timezone"),
)
"""Of `/etc`: what libraries read to load each other, and to know users, types, fonts, zones and hosts."""
_GRAPHICS = ("nvidia*", "dri", "kfd", "dxg")

_TAIL = 8192
_LOST = ("IpOutNoRoutes", "Ip6OutNoRoutes", "UdpNoPorts", "Udp6NoPorts")
_MAKING_SECONDS = 60.0
"""How long a sandbox may take to be made on a busy machine."""
_ENDING_SECONDS = 30.0
_POLL_SECONDS = 0.05
_MOST_POLL_SECONDS = 0.5
_SHARE_OF_COUNTING = 0.1
"""Of the time: counting what many processes hold takes a while itself."""
_SLACK = 2**31
"""Bytes beyond the limits at which the kernel refuses, so that what is counted is told first.

Memory that is reserved is not used, either."""
_MOST_PROCESSES = 4096
"""With their threads."""


@dataclass(frozen=True)
class Ran:
    """How a command ended.

    Attributes:
        status: its exit status (negative: the signal that ended it); None if it was stopped.
        passed: the limit that it passed, and was stopped for unless it had ended.
        seconds: that it took.
        peak_bytes: the most memory that its processes held together, as seen every 50 ms or more.
        network_attempts: packets that it tried to send.
        output: the end of what it printed.
    """

    status: int | None
    passed: Passed | None
    seconds: float
    peak_bytes: int
    network_attempts: int
    output: str


def missing_for_sandbox() -> str | None:
    """What this machine lacks, in a sentence; None if nothing."""
    if not sys.platform.startswith("linux"):
        return f"Linux's namespaces are needed, and this is {sys.platform}. Check in a container or on Linux."
    if not knows_machine():
        return f"There is no list of system calls for processors of the kind {platform.machine()}."
    lost = [tool for tool in _TOOLS if shutil.which(tool, path=_PATH) is None]
    if lost:
        packages = ", ".join(sorted({_TOOLS[tool] for tool in lost}))
        return f"The programs {', '.join(lost)} are needed: install {packages}."
    everything = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", *_in_memory(Path("/tmp"))]  # noqa: S108
    tried = subprocess.run(  # noqa: S603 - a fixed command
        [*_bwrap(), *everything, "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        return (
            f"Bubblewrap, of version 0.7 or newer, cannot make one ({tried.stderr.strip()}). In a container, "
            "give it --privileged or run the check outside; on Ubuntu allow unprivileged user namespaces "
            "(sysctl kernel.apparmor_restrict_unprivileged_userns=0)."
        )
    return None


def run_sandboxed(
    command: Sequence[str],
    folder: Path,
    data: Mapping[str, Path],
    installed: Sequence[Path],
    limits: RunLimits,
) -> Ran:
    """Run a command in `folder`, which it may write to; it sees `data` in `folder/data`, which it may not.

    Of the machine it sees the system's programs and devices, and what else is given, all read-only.

    Args:
        command: a program and its arguments.
        folder: where it runs; it is given to the sandbox's user. The command sees it as `/codeexecution`.
        data: name in `folder/data` -> the file or folder that is shown there.
        installed: folders and files that the program consists of, at the paths given, whatever links lead
            there.
        limits: what it and all that it started may have together, before all is killed.

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
    meter = Meter(folder, limits)
    told, telling = os.pipe()
    with os.fdopen(told) as about, tempfile.TemporaryFile() as calls:
        calls.write(seccomp_filter())
        calls.seek(0)
        process = subprocess.Popen(  # noqa: S603 - running it is what was asked for
            [
                *_bwrap(),
                *("--seccomp", str(calls.fileno()), "--json-status-fd", str(telling)),
                *_root(folder, data, installed, limits.memory),
                *("sh", "-c", _script(command, limits)),
            ],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(calls.fileno(), telling),
            start_new_session=True,
        )
        os.close(telling)
        sandbox = _Sandbox(process, about.readline())
        try:
            return _watch(sandbox, meter, limits.seconds)
        finally:
            sandbox.end()


def remove_tree(folder: Path) -> None:
    """Remove what a run left: folders nested without end, and ones that nobody may read."""
    for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
        if shutil.which(command[0], path=_PATH):
            subprocess.run([*command, str(folder)], stderr=subprocess.DEVNULL, check=False)  # noqa: S603


def _bwrap() -> list[str]:
    """Namespaces, and a first process with no more rights than it needs to take them from the command.

    Having them, it cannot be looked into by the command, which might forge the status.
    """
    namespaces = [f"--unshare-{name}" for name in ("net", "ipc", "pid", "uts", "cgroup-try")]
    rights = ["CAP_SETPCAP"]
    if os.geteuid() == 0:
        rights += ["CAP_SETUID", "CAP_SETGID"]
    else:
        namespaces.append("--unshare-user")
    kept = [option for right in rights for option in ("--cap-add", right)]
    return ["bwrap", *namespaces, "--die-with-parent", "--as-pid-1", "--cap-drop", "ALL", *kept]


def _root(folder: Path, data: Mapping[str, Path], installed: Sequence[Path], memory: int) -> list[str]:
    """Options that make the command's root. Nothing else has a path in it: no home, nothing beside `data`."""
    graphics = [str(path) for pattern in _GRAPHICS for path in sorted(Path("/dev").glob(pattern))]
    return [
        *_system(),
        *("--dev", "/dev", "--proc", "/proc", "--ro-bind", "/sys", "/sys"),
        *(option for device in graphics for option in ("--dev-bind", device, device)),
        *("--perms", "1777", *_in_memory(Path("/dev/shm"), memory), "--remount-ro", "/dev"),  # noqa: S108
        *("--bind", str(folder), str(WORK), "--bind", str(folder / "tmp"), "/tmp"),  # noqa: S108
        *_in_memory(WORK / "data"),
        *(option for name, source in data.items() for option in _read_only(source, WORK / "data" / name)),
        *("--remount-ro", str(WORK / "data")),
        *(option for outside in _outside_system(installed) for option in _read_only(outside, outside)),
        *("--remount-ro", "/", "--chdir", str(WORK)),
    ]


def _system() -> Iterator[str]:
    for path in (Path("/", name) for name in _PROGRAMS):
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        else:
            yield from _read_only(path, path)
    for path in (Path("/etc", name) for name in _SETTINGS):
        yield from _read_only(path, path)


def _outside_system(installed: Sequence[Path]) -> list[Path]:
    """What is not shown anyway, the outer of two folders first and alone."""
    shown = [Path("/", name) for name in _PROGRAMS]
    for path in sorted(set(installed)):
        if not any(path.is_relative_to(known) for known in shown):
            shown.append(path)
    return shown[len(_PROGRAMS) :]


def _read_only(source: Path, target: Path) -> list[str]:
    """Show a file or folder; those around it, which bubblewrap makes, may be passed through by anybody."""
    if not source.exists():
        return []
    around = [option for parent in reversed(target.parents) for option in ("--dir", str(parent))]
    return [*around, "--ro-bind", str(source), str(target)]


def _in_memory(target: Path, size: int = 2**20) -> tuple[str, ...]:
    return ("--size", str(size), "--tmpfs", str(target))


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
    return kept | {"PATH": _PATH, "HOME": str(WORK), "TMPDIR": "/tmp", "PYTHONUNBUFFERED": "1"}  # noqa: S108


def _script(command: Sequence[str], limits: RunLimits) -> str:
    """What the first process of the sandbox does; its standard output is for us and not for the command."""
    drop = ["--reuid", str(_USER), "--regid", str(_USER), "--clear-groups"] if os.geteuid() == 0 else []
    most = {
        "core": 0,
        "data": limits.memory + _SLACK,
        "fsize": max(limits.memory, limits.disk) + _SLACK,  # of files in memory, too
        "nproc": _MOST_PROCESSES,
    }
    confined = [
        *("setpriv", *drop, "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"),
        *("prlimit", *(f"--{name}={number}" for name, number in most.items())),
    ]
    return "\n".join(
        [
            "echo ready",
            f"{shlex.join([*confined, *command])} 1>&2",
            'echo "status $?"',
            "cat /proc/net/snmp /proc/net/snmp6 2>/dev/null",
        ]
    )


class _Sandbox:
    """One that runs.

    Args:
        bwrap: the program that makes it.
        told: the line of JSON in which it names the sandbox's first process; empty if it could make none.
    """

    def __init__(self, bwrap: subprocess.Popen[bytes], told: str) -> None:
        self.bwrap = bwrap
        self.first: int = json.loads(told)["child-pid"] if told else bwrap.pid
        self._handle: int | None = None
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            self._handle = os.pidfd_open(self.first)

    def end(self) -> None:
        """End it and wait for that: with the first process the kernel ends all others, and then it."""
        if self._handle is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            select.select([self._handle], [], [], _ENDING_SECONDS)
            os.close(self._handle)
            self._handle = None
        self.bwrap.kill()
        self.bwrap.wait()


def _watch(sandbox: _Sandbox, meter: Meter, time_limit_s: float) -> Ran:
    """Wait for the end, or make one when a limit is passed.

    Args:
        sandbox: what runs.
        meter: made before it ran.
        time_limit_s: after which it is ended.
    """
    process = sandbox.bwrap
    assert process.stdout is not None
    assert process.stderr is not None
    told, tail = _OutputReader(process.stdout, 2**20), _OutputReader(process.stderr, _TAIL)
    began = started = time.monotonic()
    passed, attempts = None, 0
    while process.poll() is None:
        looked = time.monotonic()
        if told.anything or looked - began >= _MAKING_SECONDS:
            passed = meter.find_passed(sandbox.first)
            if passed is None and looked - started > time_limit_s:
                passed = Passed("time", f"was still running after {looked - started:.0f} s and was killed")
        else:
            started = looked  # the program's time is not spent on making the sandbox
        if passed is not None:
            counters = Path(f"/proc/{sandbox.first}/net")
            counted = b"".join(read_of_kernel(counters / name) for name in ("snmp", "snmp6"))
            attempts = _count_attempts(counted.decode("ascii", "replace"))
            break
        counting = (time.monotonic() - looked) / _SHARE_OF_COUNTING
        time.sleep(min(max(counting, _POLL_SECONDS), _MOST_POLL_SECONDS))
    seconds = time.monotonic() - started
    sandbox.end()
    output, facts = tail.text(), told.text()
    if not facts.startswith("ready"):
        raise TraplineError(f"The sandbox could not be made: {output.strip()}")
    status = None
    if passed is None:
        passed = meter.find_passed_at_the_end()
        statuses = [int(line.split()[1]) for line in facts.splitlines() if line.startswith("status ")]
        status = statuses[0] if statuses else 128 + signal.SIGKILL
        status = 128 - status if status > 128 else status  # as a shell writes signals
        attempts = _count_attempts(facts)
    return Ran(status, passed, seconds, meter.peak, attempts, output)


class _OutputReader:
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


def _count_attempts(counters: str) -> int:
    """Packets that found no way out, of the kernel's counters `snmp` and `snmp6`.

    Besides those without a route these are datagrams to local ports on which nobody listens: questions to a
    name server that the host has at an address of its own.
    """
    counts: dict[str, int] = {}
    lines = counters.splitlines()
    for names, values in pairwise(lines):
        kind, _, rest = names.partition(": ")
        if values.startswith(f"{kind}: ") and not rest[:1].isdigit():
            named = zip(rest.split(), values.split()[1:], strict=True)
            counts |= {kind + name: int(number) for name, number in named}
    for line in lines:
        name, _, number = line.partition(" ")
        if name.startswith(("Ip6", "Udp6")):
            counts[name.split()[0]] = int(number)
    return sum(counts.get(name, 0) for name in _LOST)
