"""The errors of Trapline: what is wrong, where, and what to do about it."""

from __future__ import annotations

import importlib
import re
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


_SEVERAL = {"media": "media", "species": "species", "series": "series", "taxon": "taxa", "person": "people"}
_VERBS = {"is": "are", "was": "were", "has": "have", "does": "do", "carries": "carry"} | {
    f"{verb}s": verb for verb in ("lie", "occur", "name", "say", "take", "differ")
}


def many(count: int, what: str) -> str:
    """`1 photo`, `1,200 photos`; `1 photo has no time`, `3 photos have no time`.

    Args:
        count: of what.
        what: a noun, as it is of one, and what is said of it: a few short verbs are put right.
    """
    noun, *words = what.split(" ")
    if count != 1:
        ending = "es" if noun.endswith(("s", "x", "ch", "sh")) else "s"
        noun = _SEVERAL.get(noun, f"{noun[:-1]}ies" if re.search("[^aeiou]y$", noun) else noun + ending)
        words = [_VERBS.get(word, word) for word in words]
    return " ".join((f"{count:,}", noun, *words))


ONNX = "an ONNX model"
HDF5 = "an HDF5 file (the .h5 of Keras)"
SAVED_MODEL = "a SavedModel of TensorFlow"
KERAS_FILE = "a model of Keras (.keras)"
STATE_DICT = "a file of PyTorch (torch.save)"
TORCHSCRIPT = "a TorchScript file of PyTorch"
TORCH_EXPORT = "a program of torch.export (.pt2)"
SAFETENSORS = "a safetensors file"
PICKLE = "a Python pickle, which could run code when it is opened"

IMPORTED = (KERAS_FILE, HDF5, STATE_DICT, SAFETENSORS, TORCHSCRIPT, TORCH_EXPORT, SAVED_MODEL)
"""What `trapline import` takes, besides ONNX."""

_BEGINNINGS = (
    (b"PAR1", "a Parquet table"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x89PNG", "a picture"),
    (b"GIF8", "a picture"),
    (b"PK\x03\x04", "a zip"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"SQLite format 3", "a database"),
    (b"\x00\x01\x00\x00Standard ", "a database"),
    (b"\xd0\xcf\x11\xe0", "a workbook of old Excel"),
    (b"%PDF", "a PDF"),
    (b"\x89HDF\r\n\x1a\n", HDF5),
    (b"GGUF", "a GGUF file of a language model"),
    (b"\x93NUMPY", "an array of NumPy (.npy)"),
    (
        b"version https://git-lfs.github.com/spec",
        "a pointer of Git LFS, not the file it stands for (git lfs pull)",
    ),
    (b"<!DOCTYPE", "a page for browsers"),
    (b"<!doctype", "a page for browsers"),
    (b"<html", "a page for browsers"),
    (b"<?xml", "XML"),
    (b"{", "JSON"),
    (b"[", "JSON"),
)

_IN_ZIPS = (
    ("model.weights.h5", KERAS_FILE),
    ("constants.pkl", TORCHSCRIPT),
    ("archive_format", TORCH_EXPORT),
    ("serialized_exported_program.json", TORCH_EXPORT),
    ("data.pkl", STATE_DICT),
)
"""What a zip is that holds a file of this name, the first that is there."""

_BY_NAME = {
    ".onnx": ONNX,
    ".mlmodel": "a model of Core ML (.mlmodel)",
    ".pb": "a graph of TensorFlow (.pb)",
}
"""What has no mark of its own: protobuf."""


def kind_of(path: Path) -> str | None:
    """What a file or folder looks like by its content, to say so where another kind was wanted.

    Returns:
        None if that is not clear.
    """
    if path.is_dir():
        return _kind_of_folder(path)
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        return "an empty file"
    for beginning, kind in _BEGINNINGS:
        if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(beginning):
            return _kind_of_zip(path) if kind == "a zip" else kind
    if (model := _kind_of_model(start)) is not None:
        return model
    if (suffix := path.suffix.lower()) in _BY_NAME:
        return _BY_NAME[suffix]
    return "text" if all(byte >= 32 or byte in b"\t\r\n" for byte in start) else None


def _kind_of_folder(path: Path) -> str:
    if any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
        return SAVED_MODEL
    if (path / "Manifest.json").is_file() and (path / "Data").is_dir():
        return "a model of Core ML (.mlpackage)"
    return "a folder"


def _kind_of_zip(path: Path) -> str:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "a zip"
    return next((kind for name, kind in _IN_ZIPS if name in names), "a zip")


def _kind_of_model(start: bytes) -> str | None:
    """Of files of models whose mark does not stand at their beginning, or is no text."""
    if start[4:8] == b"TFL3":
        return "a model of TensorFlow Lite (.tflite)"
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        old_torch = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the number that torch.save wrote before 2020
        return STATE_DICT if start[2:].startswith(old_torch) else PICKLE
    if len(start) > 9 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 10**9:
        return SAFETENSORS
    return None
