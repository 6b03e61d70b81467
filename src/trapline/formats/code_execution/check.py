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

from trapline.errors import DataError
from trapline.formats.code_execution.interpreter import Interpreter, find_interpreter
from trapline.formats.code_execution.package import DEFAULT_HOURS
from trapline.formats.code_execution.sandbox import Ran, run_sandboxed
from trapline.prediction.submission import read_format, submission_problems
from trapline.storage import safe_unzip, zip_names

_FORMAT, _METADATA, _OUTPUT = "submission_format.csv", "test_metadata.csv", "submission.csv"
MAX_UNPACKED = 50 * 1024**3
DEFAULT_MEMORY = 16 * 1024**3


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
        python: that runs `main.py`; with the packages that the organisers' has.
        output: keep the `submission.csv` that the run wrote here, also one that does not fit; overwritten.

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
    with tempfile.TemporaryDirectory(prefix="trapline-check-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary) / "run"
        try:
            _unpack(package, folder)
        except DataError as error:
            return Checked(Outcome.bad_zip, str(error))
        before = _content(folder / _OUTPUT)
        ran = run_sandboxed(
            [str(interpreter.program), "main.py"],
            folder,
            _shown(data),
            interpreter.installed,
            time_limit_s=time_limit_s,
            memory_limit=memory_limit,
        )
        outcome, message = _judge(ran, folder / _OUTPUT, data / _FORMAT, before)
        if outcome is Outcome.timed_out:
            message = f"{message} The limit is {time_limit_s:g} s."
        if output is not None and _content(folder / _OUTPUT) not in (None, before):
            _keep(folder / _OUTPUT, Path(output))
        return Checked(outcome, message, ran.seconds, ran.peak_bytes, ran.output, _notes(interpreter))


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


def _shown(data: Path) -> dict[str, Path]:
    """What the run sees of the data: no labels that may lie beside it."""
    folders = {path.name: path for path in sorted(data.iterdir()) if path.is_dir()}
    return {name: data / name for name in (_METADATA, _FORMAT)} | folders


def _keep(written: Path, output: Path) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(written, output, follow_symlinks=False)
    except OSError as error:
        raise DataError(f"{output} cannot be written: {error.strerror or error}.") from error


def _content(path: Path) -> str | None:
    """The SHA-256 of a file; None if there is no regular file. Its times can be set without writing it."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _judge(ran: Ran, output: Path, wanted: Path, before: str | None) -> tuple[Outcome, str]:
    """The first thing that is wrong, the cause before its consequences."""
    end = f"it ended with status {ran.status}" if ran.stopped is None else f"it was stopped ({ran.stopped})"
    if ran.network_attempts:
        return Outcome.network, (
            f"main.py tried to use the network ({ran.network_attempts} packets found no way out; {end}). "
            "There is none where it will run: pack all that it needs."
        )
    if ran.stopped == "time":
        return Outcome.timed_out, f"main.py was still running after {ran.seconds:.0f} s and was killed."
    if ran.stopped == "memory" or (ran.status and "MemoryError" in ran.output):
        return Outcome.out_of_memory, f"main.py used too much memory ({ran.peak_bytes / 2**30:.2f} GiB)."
    if ran.status:
        how = f"status {ran.status}" if ran.status > 0 else f"signal {-ran.status}"
        return Outcome.crashed, f"main.py ended with {how}: {_last_line(ran.output)}"
    after = _content(output)
    if after is None:
        return Outcome.no_csv, "main.py ended with status 0 but wrote no submission.csv beside itself."
    if after == before:
        return Outcome.stale_csv, (
            "submission.csv is, byte for byte, the one that was in the zip, as if main.py had ended with "
            "status 0 without writing it. Leave it out of the zip."
        )
    try:
        problems = submission_problems(output, wanted)
    except DataError as error:
        return Outcome.wrong_columns, f"submission.csv: {error}"
    if not problems:
        return Outcome.passed, "submission.csv fits the format."
    outcomes = {
        "columns": Outcome.wrong_columns,
        "rows": Outcome.wrong_rows,
        "numbers": Outcome.wrong_numbers,
    }
    return outcomes[problems[0].of], "submission.csv: " + " ".join(problem.text for problem in problems)


def _last_line(output: str) -> str:
    lines = [line for line in output.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
