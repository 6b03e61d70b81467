"""A model is tried before it is believed: opened and asked in a process of its own, within limits.

An ONNX file runs no foreign code, but one from a stranger can compute for ever, ask for all memory there is
or answer with numbers that are no probabilities. What it does to the process of a trial stays there;
`trial_worker` is that process. What has passed is not tried again by the same process.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal

from trapline.errors import DataError, TraplineError, UsageError
from trapline.models import backbones, detectors, kinds
from trapline.models.halting import Halt, HaltedError
from trapline.models.whole_file import MAX_BYTES, fingerprint_of, open_whole

Kind = Literal["model", "detector"]
"""What a file should be: a model file, or a detector."""

_LOOK_SECONDS = 0.01
_SHARE_OF_FREE_MEMORY = 0.8
_OUT_OF_TIME = 1
"""The exit status with which faulthandler ends a process after a given time."""


@dataclass(frozen=True)
class Trial:
    """How a model is tried.

    Attributes:
        batches: numbers of images that it is asked about at once.
        seconds: to open it, and then again for every image that it is asked about; a second more for every
            16 MB of the file.
        memory: bytes; ten times the file's size more. Less where the machine or its container has less free.
        halt: ends the trial early.
    """

    batches: tuple[int, ...] = (1, 2)
    seconds: float = 30.0
    memory: int = 4 * 2**30
    halt: Halt = field(default_factory=Halt)


STANDARD = Trial()
"""How a model is tried that is to be asked about photos of this machine."""

Key = tuple[str, str, bool]
"""Fingerprint, kind, and whether it was tried with OpenVINO."""

_passed: set[Key] = set()


def read_tried(
    path: Path, kind: Kind, runtime: str, trial: Trial | None, asked: Mapping[str, Any] | None = None
) -> bytes:
    """The content of a model file, exactly as it was tried.

    Args:
        path: of the file.
        kind: what it should be.
        runtime: what is to run it. An accelerator's model is tried on the processor.
        trial: how; None for no trial, of a file that this process or this package has made.
        asked: how a detector is to be opened: what `Detector.of` takes.

    Raises:
        DataError: the file cannot be read, changed meanwhile, or the model is none that can be used; why.
        HaltedError: the trial was stopped.
        TraplineError: the process cannot be started.
    """
    with open_whole(path) as file:
        if trial is None or any(one.SHIPPED.has(path) for one in (backbones, detectors, kinds)):
            return file.read(MAX_BYTES)
        fingerprint = hashlib.file_digest(file, "sha256").hexdigest()
        if _key(fingerprint, kind, runtime) not in _passed:
            tried_with = "openvino" if runtime == "openvino" else "cpu"
            fingerprint = _try(file, path, kind, tried_with, trial, asked or {})
        file.seek(0)
        content = file.read(MAX_BYTES)
    if fingerprint_of(content) != fingerprint:
        raise DataError(f"{path} changed while it was tried. Put a new file in its place by renaming (mv).")
    mark_passed(fingerprint, kind, runtime)
    return content


def mark_passed(fingerprint: str, kind: Kind = "model", runtime: str = "cpu") -> None:
    """Take a model file as tried: another process of ours did it, or this one has made the file."""
    _passed.add(_key(fingerprint, kind, runtime))


def mark_all_passed() -> frozenset[Key]:
    """What this process takes as tried; for those that it starts."""
    return frozenset(_passed)


def take_over(keys: frozenset[Key]) -> None:
    """Take as tried what the process that started this one does."""
    _passed.update(keys)


def _key(fingerprint: str, kind: Kind, runtime: str) -> Key:
    return fingerprint, kind, runtime == "openvino"


class _KilledError(Exception):
    """Somebody killed the process of a trial before it said anything."""


def _try(
    file: BufferedReader, path: Path, kind: Kind, runtime: str, trial: Trial, asked: Mapping[str, Any]
) -> str:
    """Run the trial; returns the fingerprint of what was tried.

    A process that is killed is followed by one more: that it happens twice is the model's doing, whose memory
    the system takes back so.
    """
    for _ in range(2):
        with suppress(_KilledError):
            return _try_once(file, path, kind, runtime, trial, asked)
    raise DataError(too_large(path))


def _try_once(
    file: BufferedReader, path: Path, kind: Kind, runtime: str, trial: Trial, asked: Mapping[str, Any]
) -> str:
    size = file.seek(0, 2)
    file.seek(0)
    seconds, memory = trial.seconds + size / 16e6, trial.memory + 10 * size
    job = {
        "path": str(path),
        "kind": kind,
        "runtime": runtime,
        "batches": trial.batches,
        "seconds": seconds,
        "memory": memory,
        "asked": dict(asked),
    }
    began, images = time.monotonic(), 3 + sum(trial.batches)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*_command(), json.dumps(job)],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the caller, which then ends it
        )
    except OSError as error:
        raise TraplineError(f"No process for trying {path} can be started: {error}.") from error
    with process:
        try:
            with suppress(ImportError):  # meanwhile: the caller needs it next
                importlib.import_module("openvino" if runtime == "openvino" else "onnxruntime")
            status = _wait(process, path, began + seconds * (1 + images), memory, trial.halt)
        finally:
            process.kill()
        assert process.stdout is not None
        output = process.stdout.read()
    if status is None or (status == _OUT_OF_TIME and time.monotonic() > began + seconds - 1):
        raise DataError(
            f"{path} was tried and took more than {seconds:.0f} s for an image or to open: it may never end. "
            "It is not used."
        )
    return _verdict(output, status, path)


def _wait(process: subprocess.Popen[bytes], path: Path, until: float, memory: int, halt: Halt) -> int | None:
    """Wait for its exit status; None if its time was over first, and its own watch did not end it before.

    Raises:
        DataError: it takes too much memory.
        HaltedError: somebody would not wait.
    """
    allowed = min(memory, _SHARE_OF_FREE_MEMORY * _free_memory())
    while True:
        try:
            return process.wait(_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            if halt.ended:
                raise HaltedError(f"The trial of {path} was stopped.") from None
            if time.monotonic() > until:
                return None
            if memory_of(process.pid)[1] > allowed:
                raise DataError(too_large(path)) from None


def _verdict(output: bytes, status: int, path: Path) -> str:
    """The fingerprint of what passed; raises what the process says against it."""
    try:
        verdict: dict[str, Any] = json.loads(output)
    except ValueError:
        if status == -9:  # nobody here did it
            raise _KilledError from None
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        raise DataError(
            f"{path} was tried, and the process that did it crashed ({how}). It is not used."
        ) from None
    if "error" in verdict:
        raise (UsageError if verdict["usage"] else DataError)(verdict["error"])
    return str(verdict["fingerprint"])


def too_large(path: Path) -> str:
    """What is said of a model that does not fit in the memory of its trial."""
    return f"{path} was tried and took more memory than there is for it. It is not used."


def _command() -> list[str]:
    """The worker, with this process's import path wherever that came from."""
    return [
        sys.executable,
        "-c",
        f"import sys; sys.path[:] = {sys.path!r}; from trapline.models.trial_worker import main; main()",
    ]


def _free_memory() -> float:
    """Bytes that this machine, or its container, has left; infinite where nobody says (only Linux does)."""
    free = float("inf")
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    with suppress(OSError, ValueError):  # "max" where there is no limit
        group = Path("/sys/fs/cgroup")
        most = int((group / "memory.max").read_text(encoding="ascii"))
        free = min(free, most - int((group / "memory.current").read_text(encoding="ascii")))
    return free


def memory_of(pid: int | str) -> tuple[int, int]:
    """Bytes of memory that a process has mapped, and that it holds; zeros where that is not known."""
    try:
        import resource

        mapped, resident = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[:2]
        return int(mapped) * resource.getpagesize(), int(resident) * resource.getpagesize()
    except (ImportError, OSError, ValueError):
        return 0, 0
