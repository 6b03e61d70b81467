"""A submission's zip run as the organisers would, and what it wrote checked: a status that can be trusted."""

from __future__ import annotations

import hashlib
import shutil
import stat
import sys
import tempfile
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from trapline.competitions.code_execution.interpreter import Interpreter, find_interpreter
from trapline.competitions.code_execution.limits import RunLimits
from trapline.competitions.code_execution.package import DEFAULT_HOURS
from trapline.competitions.code_execution.sandbox import Ran, remove_tree, run_sandboxed
from trapline.competitions.submission import most_bytes, read_format, submission_problems
from trapline.errors import DataError
from trapline.storage import safe_unzip, zip_names

_FORMAT, _METADATA, _OUTPUT = "submission_format.csv", "test_metadata.csv", "submission.csv"
MAX_UNPACKED = 50 * 1024**3
DEFAULT_MEMORY = 16 * 1024**3
DEFAULT_DISK = 10 * 1024**3


class Outcome(IntEnum):
    """How a check ended; the number is the exit status of `trapline submit --check`."""

    passed = 0
    bad_zip = 10
    crashed = 11
    timed_out = 12
    out_of_memory = 13
    network = 14
    no_csv = 15
    stale_csv = 16
    wrong_columns = 17
    wrong_rows = 18
    wrong_numbers = 19
    out_of_disk = 20


_REFUSALS = {
    "MemoryError": (Outcome.out_of_memory, "used too much memory"),
    "std::bad_alloc": (Outcome.out_of_memory, "used too much memory"),
    "No space left on device": (Outcome.out_of_memory, "used too much memory in /dev/shm"),
    "File too large": (Outcome.out_of_disk, "wrote too large a file"),
}
"""What programs print as their last words when the kernel holds them to a limit -> what that was.

No disk gets full: the run is stopped before."""


@dataclass(frozen=True)
class Checked:
    """What was found.

    Attributes:
        outcome: `passed`, or the first thing that is wrong.
        message: what is wrong, for people.
        seconds: that the run took; None if it never began.
        peak_bytes: the most memory that it held.
        output: the end of what it printed.
        notes: what a person should know who trusts the outcome.
    """

    outcome: Outcome
    message: str
    seconds: float | None = None
    peak_bytes: int | None = None
    output: str = ""
    notes: tuple[str, ...] = ()


def check_package(
    package: Path | str,
    data: Path | str,
    *,
    time_limit_s: float = DEFAULT_HOURS * 3600,
    memory_limit: int = DEFAULT_MEMORY,
    disk_limit: int = DEFAULT_DISK,
    python: Path | str = sys.executable,
    output: Path | str | None = None,
) -> Checked:
    """Unpack a submission into a fresh folder, run its `main.py` in a sandbox, check its `submission.csv`.

    The sandbox has no network, no privileges and no environment but a path. It sees of this machine the
    system's programs (`/usr`), the Python and the unpacked zip, and no other file; `data/` cannot be written
    to, and holds of the folder `data` what the organisers give: the test metadata, the format and folders.

    Args:
        package: the zip.
        data: a folder with `test_metadata.csv`, `submission_format.csv` and folders of photos.
        time_limit_s: after which the run and all that it started are killed.
        memory_limit: bytes that all of its processes may hold together.
        disk_limit: bytes that they may write beside what was in the zip.
        python: that runs `main.py`; with the packages that the organisers' has.
        output: keep the `submission.csv` that the run wrote here, also one that does not fit, unless it is
            larger than any of that format can be; overwritten.

    Raises:
        UsageError: this machine cannot make the sandbox, or there is no such Python.
        DataError: `data` is not as the organisers' folder, or `output` cannot be written.
    """
    package, data = Path(package), Path(data)
    for name in (_FORMAT, _METADATA):
        if not (data / name).is_file():
            raise DataError(f"{data} has no {name}, which the organisers' data folder has.")
    read_format(data / _FORMAT)
    interpreter = find_interpreter(python)
    limits = RunLimits(time_limit_s, memory_limit, disk_limit)
    with tempfile.TemporaryDirectory(prefix="trapline-check-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary) / "run"
        try:
            _unpack(package, folder)
        except DataError as error:
            return Checked(Outcome.bad_zip, str(error))
        before = _content(folder / _OUTPUT) if (folder / _OUTPUT).is_file() else None
        command = [str(interpreter.program), "main.py"]
        try:
            ran = run_sandboxed(command, folder, _show(data), interpreter.installed, limits)
            outcome, message = _judge(ran, limits, folder / _OUTPUT, data / _FORMAT, before)
            notes = _notes(interpreter)
            if output is not None and _no_answer(folder / _OUTPUT, before) is None:
                notes += _keep(folder / _OUTPUT, Path(output), most_bytes(data / _FORMAT))
        finally:
            remove_tree(folder)
        message, printed = _harmless(message), _harmless(ran.output)
        return Checked(outcome, message, ran.seconds, ran.peak_bytes, printed, notes)


def _notes(interpreter: Interpreter) -> tuple[str, ...]:
    if not interpreter.has_trapline:
        return ()
    return (
        f"{interpreter.program} has Trapline installed, so it is hardly the organisers' Python: packages "
        "that theirs lacks are found here. Name one like theirs with --python.",
    )


def _unpack(package: Path, folder: Path) -> None:
    names = zip_names(package)
    if "main.py" not in names:
        deeper = sorted(name for name in names if name.endswith("/main.py"))
        hint = f" {deeper[0]} is there: zip the contents of that folder, not the folder." if deeper else ""
        raise DataError(f"{package} has no main.py at its top.{hint}")
    if any(name.split("/")[0] in ("data", "tmp") for name in names):
        raise DataError(f"{package} holds a folder data or tmp, which the run makes itself.")
    safe_unzip(package, folder, max_bytes=MAX_UNPACKED)


def _show(data: Path) -> dict[str, Path]:
    """What the run sees of the data: no labels that may lie beside it."""
    folders = {path.name: path for path in sorted(data.iterdir()) if path.is_dir()}
    return {name: data / name for name in (_METADATA, _FORMAT)} | folders


def _keep(written: Path, output: Path, most: int) -> tuple[str, ...]:
    """Copy a file; if it is larger than `most` bytes, a note that it was not."""
    size = written.stat().st_size
    if size > most:
        return (
            f"submission.csv was not kept: it has {size / 2**20:.0f} MiB, and one of this format has at most "
            f"{most / 2**20:.1f}.",
        )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(written, output, follow_symlinks=False)
    except OSError as error:
        raise DataError(f"{output} cannot be written: {error.strerror or error}.") from error
    return ()


def _content(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file. Its times can be set without writing it."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _no_answer(path: Path, before: tuple[int, str] | None) -> tuple[Outcome, str] | None:
    """Why what lies at a path is nothing that the run wrote; None if it is a file, and a new one."""
    end = "main.py ended with status 0 but"
    try:
        kind = path.lstat()
        if not stat.S_ISREG(kind.st_mode):
            return (
                Outcome.no_csv,
                f"{end} left a submission.csv that is no file but a folder, link or device.",
            )
        if before is None or kind.st_size != before[0] or _content(path) != before:
            return None
    except FileNotFoundError:
        return Outcome.no_csv, f"{end} wrote no submission.csv beside itself."
    except OSError as error:
        return Outcome.no_csv, f"{end} left a submission.csv that cannot be read: {error.strerror}."
    return Outcome.stale_csv, (
        "submission.csv is, byte for byte, the one that was in the zip, as if main.py had ended with "
        "status 0 without writing it. Leave it out of the zip."
    )


def _judge(
    ran: Ran, limits: RunLimits, output: Path, wanted: Path, before: tuple[int, str] | None
) -> tuple[Outcome, str]:
    """The first thing that is wrong, the cause before its consequences."""
    passed = ran.passed
    end = f"it ended with status {ran.status}" if passed is None else f"it was stopped ({passed.of})"
    if ran.network_attempts:
        return Outcome.network, (
            f"main.py tried to use the network ({ran.network_attempts} packets found no way out; {end}). "
            "There is none where it will run: pack all that it needs."
        )
    if passed is not None:
        outcome, limit = {
            "time": (Outcome.timed_out, f"{limits.seconds:g} s"),
            "memory": (Outcome.out_of_memory, f"{limits.memory / 2**30:g} GiB"),
            "disk": (Outcome.out_of_disk, f"{limits.disk / 2**30:g} GiB"),
        }[passed.of]
        return outcome, f"main.py {passed.text}. The limit is {limit}."
    for words, (outcome, what) in _REFUSALS.items() if ran.status else ():
        if words in ran.output:
            return outcome, f"main.py {what}, which it was refused: {_last_line(ran.output)}"
    if ran.status:
        how = f"status {ran.status}" if ran.status > 0 else f"signal {-ran.status}"
        return Outcome.crashed, f"main.py ended with {how}: {_last_line(ran.output)}"
    without = _no_answer(output, before)
    if without is not None:
        return without
    try:
        problems = submission_problems(output, wanted)
    except DataError as error:
        return Outcome.wrong_columns, str(error).replace(str(output), output.name)
    if not problems:
        return Outcome.passed, "submission.csv fits the format."
    texts = " ".join(problem.text for problem in problems)
    return Outcome[f"wrong_{problems[0].of}"], f"submission.csv: {texts}"


def _harmless(text: str) -> str:
    """What a program printed or named, without what would steer a terminal."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in lines)


def _last_line(output: str) -> str:
    lines = [line for line in output.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
