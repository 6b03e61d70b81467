"""JSON files of others: read whole, within limits, by the same rules as tables."""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

from trapline.catalog import as_listed
from trapline.errors import DataError, UsageError, kind_of, many
from trapline.formats.hidden import is_hidden
from trapline.storage import safe_unzip, zip_names
from trapline.tables import current_reading, note, read_bytes, read_start

MAX_BYTES = 4 * 1024**3
_LARGE = 1e300  # infinite, or nearly so
_LOOKED_AT = 2**20
_ENDINGS = (".json", ".json.gz")
_BEFORE = "\ufeff \t\r\n"
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_TOKEN = re.compile(r'"((?:\\.|[^"\\])*)"\s*(:?)|[{}\[\]]', re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_json_object(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds; `NaN` and `Infinity`, which are no JSON, are null, and noted.

    Raises:
        DataError: missing, too large, not JSON (line and column are named), or not an object.
        UsageError: there is no such encoding as was asked for.
    """
    content = _unzip(path) if _begins_as_zip(path) else read_bytes(path, MAX_BYTES)
    encoding: str = json.detect_encoding(content)
    if encoding == "utf-8":
        encoding = current_reading().encoding or encoding
    constants: Counter[str] = Counter()

    def missing(constant: str) -> None:
        constants[constant] += 1

    try:
        document = json.loads(content.decode(encoding), parse_constant=missing)
        if _SURROGATE.search(content):
            document = _as_listed(document)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path} line {error.lineno} column {error.colno} is not JSON: {error.msg}."
        ) from error
    except LookupError as error:
        raise UsageError(
            f"There is no encoding '{encoding}'; usual ones are utf-8, cp1252, utf-16."
        ) from error
    except (ValueError, RecursionError) as error:  # no UTF-8, or an integer of thousands of digits
        raise DataError(f"{path} is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise DataError(f"{path} holds a {type(document).__name__}, not an object with keys.")
    if constants:
        counted = ", ".join(f"{name} {many(count, 'time')}" for name, count in sorted(constants.items()))
        note(f"{path.name}: taken for a missing value: {counted}")
    return document


def keys_at_the_start(path: Path) -> tuple[list[str], str]:
    """The keys of a JSON file's object, as far as they stand in its first MiB, and the text of that.

    None and no text for what is called otherwise (`.json`, packed `.json.gz`), begins otherwise, or cannot be
    read.
    """
    text = json_start(path)
    if not text.startswith("{"):
        return [], ""
    keys, depth = [], 0
    for token in _TOKEN.finditer(text):
        sign = token[0][0]
        depth += (sign in "{[") - (sign in "}]")
        if sign == '"' and depth == 1 and token[2]:
            keys.append(token[1])
    return keys, text


def json_start(path: Path) -> str:
    """The first MiB of a file that is called JSON, packed or alone in a zip or not; empty for any other."""
    try:
        if path.name.lower().endswith(".zip"):
            return _start_in_zip(path)
        if not path.name.lower().endswith(_ENDINGS):
            return ""
        return read_start(path, _LOOKED_AT).lstrip(_BEFORE)
    except OSError:
        return ""


def _begins_as_zip(path: Path) -> bool:
    return path.is_file() and kind_of(path) == "a zip"


def _alone_in_zip(path: Path) -> str | None:
    """The name of the JSON file that is all there is in a zip; None where it is not so."""
    names = [name for name in zip_names(path) if not any(map(is_hidden, name.split("/")))]
    return names[0] if len(names) == 1 and names[0].lower().endswith(".json") else None


def _start_in_zip(path: Path) -> str:
    try:
        name = _alone_in_zip(path) if _begins_as_zip(path) else None
        if name is None:
            return ""
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            content = file.read(_LOOKED_AT)
    except (DataError, RuntimeError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        return ""  # said when the whole is read
    return content.decode(json.detect_encoding(content), "ignore").lstrip(_BEFORE)


def _unzip(path: Path) -> bytes:
    name = _alone_in_zip(path)
    if name is None:
        raise DataError(f"{path} is a zip of more than one JSON file. Unpack it, and name the file in it.")
    with tempfile.TemporaryDirectory() as scratch:
        safe_unzip(path, Path(scratch), want=lambda each: each == name, max_bytes=MAX_BYTES)
        return read_bytes(Path(scratch) / name, MAX_BYTES)


def id_text(value: Any) -> str | None:
    """An id, which some write as a number, some as text and pandas as 12.0: the same text for all."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value)


def as_number(value: Any) -> float | None:
    """A finite number, also one that is written as text; None for all else, as `1e999` and truths."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGE
    return float(value) if known else None


def _as_listed(document: Any) -> Any:
    """Names that are no UTF-8, which Python writes as halves of characters, as tables have them.

    Raises:
        ValueError: there are other halves, which no table and no file can hold.
    """
    text = as_listed(json.dumps(document, ensure_ascii=False))
    text.encode()
    return json.loads(text)
