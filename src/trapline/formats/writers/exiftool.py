"""ExifTool: the program that writes keywords into photos, and leaves everything else in them as it is."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from trapline.errors import UsageError

Tags = Mapping[str, Sequence[str]]
"""What is to be added to a photo: ExifTool's name of a list (`XMP-dc:Subject`) -> values."""

IPTC_KEYWORDS = "IPTC:Keywords"
_DECLARE_UTF8 = ("-if", "not $CurrentIPTCDigest", "-IPTC:CodedCharacterSet=UTF8")
"""Only where no IPTC block is: the text of an old one would not be translated by declaring it to be UTF-8."""

_DONE = "{done}"
_SECONDS = 60
"""How long a photo may take on average; ExifTool needs a hundredth of a second."""


def find_exiftool() -> str:
    """The program.

    Raises:
        UsageError: it is not installed, or does not run.
    """
    program = shutil.which("exiftool")
    if program is None or subprocess.run([program, "-ver"], capture_output=True, check=False).returncode:  # noqa: S603
        lacking = "is not installed" if program is None else "does not run"
        raise UsageError(
            f"The program ExifTool, which writes keywords into copies of photos, {lacking} here. Install it "
            "(Debian and Ubuntu: apt install libimage-exiftool-perl; others: https://exiftool.org), or write "
            "sidecars with --mode sidecar."
        )
    return program


def add_tags(program: str, folder: Path, photos: Mapping[str, Tags]) -> dict[str, str]:
    """Add values to lists in the metadata of photos, in place; values that are there are not added twice.

    A photo that ends ExifTool, or keeps it busy for long, is given up, and the others go on.

    Args:
        program: see `find_exiftool`.
        folder: where the photos are.
        photos: file name in it, of ASCII letters and digits (so no system writes it in another way) -> what
            is to be added; no value holds a line break.

    Returns:
        file name -> why, of the photos that could not be written.
    """
    failed: dict[str, str] = {}
    waiting = list(photos)
    while waiting:
        answers = _run(program, folder, {name: photos[name] for name in waiting})
        for name, lines in zip(waiting, answers, strict=False):
            errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error")]
            if errors:
                failed[name] = errors[0].removesuffix(f" - {name}")
        waiting = waiting[len(answers) :]
        if waiting:
            failed[waiting.pop(0)] = "ExifTool ended or hung on it"
    return failed


def _run(program: str, folder: Path, photos: Mapping[str, Tags]) -> list[list[str]]:
    """What ExifTool complains about each photo, in their order, up to the last that it has answered."""
    lines = [argument for name, tags in photos.items() for argument in _arguments(name, tags)]
    # The user's own configuration could give tags another meaning; -q leaves errors and warnings.
    command = [program, "-config", "", "-@", "-", "-common_args", "-q", "-overwrite_original"]
    try:
        process = subprocess.run(  # noqa: S603 - our own command
            command,
            cwd=folder,
            input="".join(f"{line}\n" for line in lines).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_SECONDS * len(photos),
            check=False,
        ).stderr
    except subprocess.TimeoutExpired as error:
        process = error.stderr or b""
    answers: list[list[str]] = [[]]
    for line in process.decode(errors="replace").splitlines():
        if line == _DONE:
            answers.append([])
        else:
            answers[-1].append(line)
    return answers[:-1]


def _arguments(name: str, tags: Tags) -> Iterator[str]:
    """ExifTool's arguments for one photo, a line each."""
    # Taken away and added: that is how ExifTool's own manual avoids a second of the same.
    changes = [f"-{tag}{sign}={value}" for tag, values in tags.items() for value in values for sign in "-+"]
    if tags.get(IPTC_KEYWORDS):
        yield from (*_DECLARE_UTF8, name, "-execute")
    yield from (*changes, "-echo4", _DONE, name, "-execute")
