"""What the benchmarks run beside themselves: Trapline's commands, and rivals in environments of their own."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TENSORFLOW = ("tensorflow-cpu==2.21.0",)


def trapline(*arguments: object, cwd: object = None) -> str:
    """Run one command of Trapline quietly; what it printed. The benchmark stops where the command fails."""
    command = [sys.executable, "-m", "trapline", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def jpegs(folder: Path, most: int | None = None) -> list[Path]:
    """The JPEG files below a folder, in order; the benchmark stops where there is none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not found:
        raise SystemExit(f"There is no JPEG file in {folder}.")
    return found[:most]


def rival_python(name: str, packages: Sequence[str], alone: Sequence[str] = ()) -> Path:
    """The Python of an environment with a rival's packages, made by uv on the first run and kept.

    It stands in the user's cache folder. The benchmark stops and says so where the packages cannot be had: a
    comparison without the rival is none. Packages that are `alone` are installed without what they ask for.
    """
    wanted = hashlib.sha256(repr((sys.version, packages, *alone)).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    made = cache / "trapline-benchmarks" / f"{name}-{wanted}"
    python = made / "bin" / "python"
    if not (made / "done").exists():
        rival(name, ["uv", "venv", "-q", "--clear", "--python", sys.executable, made])
        rival(name, ["uv", "pip", "install", "-q", "--python", python, *packages])
        if alone:
            rival(name, ["uv", "pip", "install", "-q", "--no-deps", "--python", python, *alone])
        (made / "done").touch()
    return python


def rival(name: str, command: Sequence[object]) -> str:
    """Run a rival to its end; what it printed. The benchmark stops and says so where the rival fails."""
    try:
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    except OSError as error:
        raise SystemExit(f"The rival {name} could not be started, so nothing is compared: {error}") from None
    if done.returncode:
        said = f"status {done.returncode}:\n{(done.stderr or done.stdout)[-2000:]}"
        raise SystemExit(f"The rival {name} failed, so nothing is compared; {said}")
    return done.stdout
