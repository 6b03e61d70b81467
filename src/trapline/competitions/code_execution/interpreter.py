"""The Python that runs a submission: where it is installed, and what it has that the organisers' has not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trapline.errors import UsageError

_QUESTION = """
import importlib.util, json, sys
told = {"program": sys.executable, "prefixes": [sys.prefix, sys.base_prefix]}
print(json.dumps({**told, "has_trapline": importlib.util.find_spec("trapline") is not None}))
"""
_PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Interpreter:
    """A Python.

    Attributes:
        program: its path, by which it finds its packages.
        installed: the folders and files that it consists of, under all the names by which links lead there.
        has_trapline: whether it can import Trapline, which the organisers' cannot.
    """

    program: Path
    installed: tuple[Path, ...]
    has_trapline: bool


def find_interpreter(python: Path | str) -> Interpreter:
    """Ask a Python, which is run for that, about itself.

    Raises:
        UsageError: there is none, or it does not answer.
    """
    program = shutil.which(str(python))
    if program is None:
        raise UsageError(f"There is no Python at {python}.")
    try:
        asked = subprocess.run(  # noqa: S603 - the user's own Python
            [program, "-I", "-c", _QUESTION],
            capture_output=True,
            text=True,
            check=True,
            timeout=_PATIENCE_SECONDS,
        )
        description = json.loads(asked.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        description = getattr(error, "stderr", None) or error
        raise UsageError(f"{program} is no Python that answers: {str(description).strip()}") from error
    prefixes = [Path(prefix) for prefix in description["prefixes"]]
    folders = [*prefixes, *(prefix.resolve() for prefix in prefixes), *_links(Path(description["program"]))]
    return Interpreter(Path(description["program"]), tuple(folders), description["has_trapline"])


def _links(path: Path) -> Iterator[Path]:
    """A path and all that it is a link to, one after the other."""
    while path.is_symlink():
        yield path
        path = Path(os.path.normpath(path.parent / path.readlink()))
    yield path
