"""ExifTool: the program that reads what only makers of cameras know, and writes keywords into photos.

Everything else in them it leaves as it is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from trapline.addresses import address_of
from trapline.errors import UsageError
from trapline.storage import AnyPath, RemotePath, local_copy

Tags = Mapping[str, Sequence[str]]
"""What is to be added to a photo: ExifTool's name of a list (`XMP-dc:Subject`) -> values."""

IPTC_KEYWORDS = "IPTC:Keywords"
_DECLARE_UTF8 = ("-if", "not $CurrentIPTCDigest", "-IPTC:CodedCharacterSet=UTF8")
"""Only where no IPTC block is: the text of an old one would not be translated by declaring it to be UTF-8."""

# The user's own configuration could give tags another meaning.
_OWN_OPTIONS = ("-config", "", "-@", "-", "-common_args")
_DONE = "{done}"
_SECONDS = 60
"""How long writing a photo may take on average; ExifTool needs a hundredth of a second."""

_READ_SECONDS = 30, 1
"""How long reading may take: to begin with, and on average a photo."""

_COPIES_AT_ONCE = 32
_MOST_COPIED = 2**28
"""Bytes of a photo at an address, of which ExifTool reads a copy."""

_MOST_GIVEN_UP = 3
"""After so many photos on which ExifTool ended or hung, those that wait are not read."""


def find_exiftool() -> str:
    """The program.

    Raises:
        UsageError: it is not installed, or does not run.
    """
    program = installed_exiftool()
    if program is None:
        lacking = "is not installed" if shutil.which("exiftool") is None else "does not run"
        raise UsageError(
            f"The program ExifTool, which reads keywords and writes them into copies of photos, {lacking} "
            "here. Install it (Debian and Ubuntu: apt install libimage-exiftool-perl; others: "
            "https://exiftool.org). Sidecars are written without it, with --mode sidecar."
        )
    return program


def installed_exiftool() -> str | None:
    """The program; None if it is not installed, or does not run."""
    program = shutil.which("exiftool")
    if program is None or subprocess.run([program, "-ver"], capture_output=True, check=False).returncode:  # noqa: S603
        return None
    return program


def read_tag(program: str, photos: Sequence[AnyPath], tag: str) -> list[str | None]:
    """The text of one tag (`MakerNotes:DateTimeOriginal`) of each photo; None where it is not there.

    Nor where ExifTool ends or hangs on a photo; after a few of these the rest is not read.
    """
    answers = _read(program, photos, ["-s3", f"-{tag}"])
    return [lines[0].strip() if lines else None for lines in answers]


def read_lists(program: str, files: Sequence[AnyPath], tags: Sequence[str]) -> list[dict[str, list[str]]]:
    """The values of tags that are lists (`XMP-dc:Subject`) of each photo or sidecar, by their names alone.

    Nothing of those on which ExifTool ends or hangs; after a few of these the rest is not read.
    """
    answers = _read(program, files, ["-j", *(f"-{tag}" for tag in tags)])
    return [_lists("\n".join(lines)) for lines in answers]


def _lists(text: str) -> dict[str, list[str]]:
    if not text.strip():
        return {}
    values: dict[str, Any] = json.loads(text, parse_int=str, parse_float=str)[0]  # "1.50" is a keyword too
    values.pop("SourceFile", None)
    return {
        name: [str(one) for one in (value if isinstance(value, list) else [value])]
        for name, value in values.items()
    }


def _read(program: str, photos: Sequence[AnyPath], asked_for: Sequence[str]) -> list[list[str]]:
    """The lines that ExifTool answers of each photo; none where it ends or hangs.

    Of photos at addresses it reads copies, some at a time.
    """
    answers: list[list[str]] = []
    remote = any(isinstance(address_of(photo), RemotePath) for photo in photos)
    at_once = _COPIES_AT_ONCE if remote else max(1, len(photos))
    for start in range(0, len(photos), at_once):
        with ExitStack() as stack:
            copies = [
                stack.enter_context(local_copy(address_of(photo), most_bytes=_MOST_COPIED))
                for photo in photos[start : start + at_once]
            ]
            answers += _read_here(program, copies, asked_for)
    return answers


def _read_here(program: str, photos: Sequence[Path], asked_for: Sequence[str]) -> list[list[str]]:
    read: list[list[str]] = []
    given_up = 0
    while len(read) < len(photos) and given_up < _MOST_GIVEN_UP:
        waiting = photos[len(read) :]
        asked = [[*asked_for, _name_of(photo), "-echo3", _DONE, "-execute"] for photo in waiting]
        seconds = _READ_SECONDS[0] + _READ_SECONDS[1] * len(waiting)
        read += _ask([program, *_OWN_OPTIONS, "-q", "-fast", "-m"], asked, seconds, "stdout")
        if len(read) < len(photos):
            read.append([])
            given_up += 1
    return [*read, *[[]] * (len(photos) - len(read))]


def read_keywords(program: str, photos: Sequence[AnyPath]) -> list[tuple[frozenset[str], frozenset[str]]]:
    """The flat keywords of each photo (XMP, IPTC), and those with levels; none where they cannot be read."""
    tags = ("XMP-dc:Subject", IPTC_KEYWORDS, "XMP-lr:HierarchicalSubject")
    return [
        (
            frozenset(values.get("Subject", [])) | frozenset(values.get("Keywords", [])),
            frozenset(values.get("HierarchicalSubject", [])),
        )
        for values in read_lists(program, photos, tags)
    ]


def _name_of(photo: Path) -> str:
    """A photo in ExifTool's list of arguments, a line each; with a line's end in its name as C writes it."""
    text = os.fspath(photo.absolute())
    if "\n" not in text and "\r" not in text:
        return text
    return "#[CSTR]" + text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


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
    asked = [list(_arguments(name, tags)) for name, tags in photos.items()]
    command = [program, *_OWN_OPTIONS, "-q", "-overwrite_original"]  # -q leaves errors and warnings
    return _ask(command, asked, _SECONDS * len(photos), "stderr", folder)


def _ask(
    command: Sequence[str],
    asked: Sequence[Sequence[str]],
    seconds: float,
    stream: Literal["stdout", "stderr"],
    folder: Path | None = None,
) -> list[list[str]]:
    """What ExifTool says of each photo, in their order, up to the last that it has answered.

    Args:
        command: the program and what it is told of all photos.
        asked: its arguments for each photo, a line each, which make it say `_DONE` at the end.
        seconds: that it may take.
        stream: where it answers.
        folder: in which it runs.
    """
    lines = [argument for one in asked for argument in one]
    try:
        process = subprocess.run(  # noqa: S603 - our own command
            command,
            cwd=folder,
            input=b"".join(os.fsencode(f"{line}\n") for line in lines),
            timeout=seconds,
            check=False,
            capture_output=True,
        )
        output = process.stdout if stream == "stdout" else process.stderr
    except subprocess.TimeoutExpired as error:
        output = (error.stdout if stream == "stdout" else error.stderr) or b""
    answers: list[list[str]] = [[]]
    for line in output.decode(errors="replace").splitlines():
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
