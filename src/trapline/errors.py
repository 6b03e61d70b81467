"""The errors of Trapline: what is wrong, where, and what to do about it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType


class TraplineError(Exception):
    """The base of every error that Trapline raises on purpose (exit status 1)."""

    exit_status = 1


class UsageError(TraplineError):
    """An option or argument that cannot be right (exit status 2)."""

    exit_status = 2


class DataError(TraplineError):
    """Something in the user's files is wrong; the message names the file and the row."""


class MissingExtraError(TraplineError):
    """A part of Trapline that is not installed was asked for."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed. "
            f"Install the extra '{extra}' that brings it: pip install '.[{extra}]' in Trapline's folder."
        )


class TraplineWarning(UserWarning):
    """Something a user should know that does not stop the work."""


def require(package: str, extra: str, purpose: str) -> ModuleType:
    """Import `package`, or raise `MissingExtraError` naming the extra that brings it."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] == package.split(".")[0]:
            raise MissingExtraError(package, extra, purpose) from None
        raise


def describe_system_error(error: OSError) -> str:
    """`Is a directory: out.parquet`, and what to look at."""
    where = error.filename2 or error.filename
    what = error.strerror or type(error).__name__
    return (
        f"{what}{f': {where}' if where else ''}. Check the path, your rights there and the room on the disk."
    )


def name_some(names: Sequence[str], most: int = 5, *, of: int = 0, between: str = ", ") -> str:
    """`a, b and 3 more`: the first names, and how many more there are.

    Args:
        names: all of them, or the first.
        most: that are named.
        of: how many there are, where `names` are the first only.
        between: two names.
    """
    more = max(of, len(names)) - len(names[:most])
    return between.join(names[:most]) + (f" and {more} more" if more else "")


_BEGINNINGS = (
    (b"PAR1", "a Parquet table"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x89PNG", "a picture"),
    (b"GIF8", "a picture"),
    (b"PK\x03\x04", "a zip"),
    (b"\x1f\x8b", "a gzip file"),
    (b"SQLite format 3", "a database"),
    (b"\x00\x01\x00\x00Standard ", "a database"),
    (b"\xd0\xcf\x11\xe0", "a workbook of old Excel"),
    (b"%PDF", "a PDF"),
    (b"<!DOCTYPE", "a page for browsers"),
    (b"<!doctype", "a page for browsers"),
    (b"<html", "a page for browsers"),
    (b"<?xml", "XML"),
    (b"{", "JSON"),
    (b"[", "JSON"),
)


def kind_of(path: Path) -> str | None:
    """What a file looks like, to say so where another kind was wanted; None if that is not clear."""
    if path.is_dir():
        return "a folder"
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        return "an empty file"
    for beginning, kind in _BEGINNINGS:
        if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(beginning):
            return kind
    if path.suffix.lower() == ".onnx":
        return "an ONNX model"
    return "text" if all(byte >= 32 or byte in b"\t\r\n" for byte in start) else None
