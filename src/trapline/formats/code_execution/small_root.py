"""What a command in the sandbox sees of the machine: a root of its own with programs, devices, and its work.

Nothing else has a path there: no home, no other disk, no folder beside the data.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

WORK = Path("/codeexecution")
"""Where the command runs, in its own root; `data` is in it."""

_PROGRAMS = ("bin", "gnu/store", "lib", "lib32", "lib64", "libx32", "nix/store", "sbin", "usr")
_SETTINGS = (
    *("alternatives", "fonts", "group", "host.conf", "hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d"),
    *("localtime", "mime.types", "nsswitch.conf", "passwd", "protocols", "resolv.conf", "services"),
    *("ssl/certs", "ssl/openssl.cnf", "timezone"),
)
"""Of `/etc`: what libraries read to load each other, and to know users, types, fonts, zones and hosts."""

_DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
_GRAPHICS = ("nvidia*", "dri", "kfd", "dxg")
_KERNEL = ("proc", "sys")

_FUNCTIONS = """
show() {
    if [ -d "$1" ]; then mkdir -p "$2"; else mkdir -p "$(dirname "$2")"; [ -e "$2" ] || : > "$2"; fi
    mount --rbind "$1" "$2"
}
read_only() {
    for more in "" ,nosuid,nodev ,nosuid,nodev,noexec; do
        mount -o "remount,bind,ro$more" "$1" 2>/dev/null && return 0
    done
    mount -o remount,bind,ro "$1"
}
"""
"""A mount keeps the restrictions that it had; which those are differs from disk to disk."""


def enter_small_root(
    root: Path, folder: Path, data: Mapping[str, Path], installed: Sequence[Path]
) -> list[str]:
    """Shell commands that make the root and move into it; they need a mount namespace of their own.

    Args:
        root: an empty folder, which becomes it.
        folder: shown at `WORK`, to be written to; its `tmp` also at `/tmp`.
        data: name in `WORK/data` -> the file or folder that is shown there, read-only.
        installed: folders and files outside of the system's that a program needs, read-only at the paths
            given, whatever links lead there.
    """
    work = root / WORK.relative_to("/")
    return [
        _FUNCTIONS,
        _empty(root),
        *_system(root),
        _shown(folder, work),
        _shown(folder / "tmp", root / "tmp"),
        _empty(work / "data"),
        *_read_only({work / "data" / name: source for name, source in data.items()}),
        f"read_only {_quoted(work / 'data')}",
        *_read_only({root / place.relative_to("/"): place for place in _outside_system(installed)}),
        f"cd {_quoted(root)}",
        "mkdir old",
        "pivot_root . old",
        "cd /",
        "umount -l old",
        "rmdir old",
        "read_only /",
        f"cd {WORK}",
    ]


def _system(root: Path) -> Iterator[str]:
    for path in (Path("/", name) for name in _PROGRAMS):
        if path.is_symlink():
            yield f"cp -P {_quoted(path)} {_quoted(root)}"
        elif path.is_dir():
            yield from _read_only({root / path.relative_to("/"): path})
    yield from _read_only({root / "etc" / name: Path("/etc", name) for name in _SETTINGS})
    graphics = [path.name for pattern in _GRAPHICS for path in sorted(Path("/dev").glob(pattern))]
    for name in (*(f"dev/{name}" for name in (*_DEVICES, *graphics)), *_KERNEL):
        if Path("/", name).exists():
            yield _shown(Path("/", name), root / name)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        yield f"ln -s /proc/self/fd/{number} {_quoted(root / 'dev' / name)}"
    yield f"ln -s /proc/self/fd {_quoted(root / 'dev' / 'fd')}"
    yield f"mkdir {_quoted(root / 'dev' / 'shm')}"
    yield f"mount -t tmpfs -o mode=1777 tmpfs {_quoted(root / 'dev' / 'shm')}"


def _outside_system(installed: Sequence[Path]) -> list[Path]:
    """What is not shown anyway, the outer of two folders first and alone."""
    shown = [Path("/", name) for name in _PROGRAMS]
    for place in sorted(set(installed)):
        if not any(place.is_relative_to(known) for known in shown):
            shown.append(place)
    return shown[len(_PROGRAMS) :]


def _read_only(shown: Mapping[Path, Path]) -> Iterator[str]:
    for target, source in shown.items():
        if source.exists():
            yield _shown(source, target)
            yield f"read_only {_quoted(target)}"


def _empty(place: Path) -> str:
    return f"mkdir -p {_quoted(place)}\nmount -t tmpfs -o mode=755,size=1m tmpfs {_quoted(place)}"


def _shown(source: Path, target: Path) -> str:
    return f"show {_quoted(source.resolve())} {_quoted(target)}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
