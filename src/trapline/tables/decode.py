"""From a file's bytes to text: gzip, byte order marks, UTF-8 and UTF-16, and what Windows wrote."""

from __future__ import annotations

import codecs
import io
import re
import zlib
from pathlib import Path

from trapline.errors import DataError, UsageError, kind_of
from trapline.tables.reading import current_reading, note

_GZIP = b"\x1f\x8b"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NO_TABLES = {
    "a database": "Export the table that lists the photos as CSV.",
    "a workbook of old Excel": "Save its sheet as CSV.",
    "a picture": "Name a table, or the folder of the pictures.",
    "a PDF": "Save the table in it as CSV.",
    "a page for browsers": "Links to share a sheet lead to one: download the sheet as CSV.",
    "XML": "Export as CSV.",
}
"""What to do with files that may be called .csv and are none."""
_SAMPLE = 4096
_UNPACKED = 64 * 1024**2
"""Bytes that any gzip file may unpack to; beyond, tables shrink to a tenth and bombs to a thousandth."""
_MOST_TIMES = 100
_OTHER_CODE_PAGE = re.compile(r"[A-Za-z][„“”‘ŠŽŸŒƒ‡†ˆ‰‹›‚…¡¢£¤¥¦][a-z]")
"""What letters with accents of DOS and of old Macs are in cp1252: signs within words."""


def read_text(path: Path, max_bytes: int, encoding: str | None = None) -> str:
    """The text of a file, in the encoding that the reading names, or its source, or that is found out.

    A byte order mark, and UTF-16 without one, are certain. What is no UTF-8 is taken for cp1252, which is
    noted as the guess that it is, unless it is UTF-8 in other lines or would be signs within words.

    Raises:
        DataError: missing, too large, no text, or not in the encoding; the line is named.
        UsageError: there is no such encoding.
    """
    content = read_bytes(path, max_bytes)
    if content.startswith(b"PK\x03\x04"):
        raise DataError(f"{path} is no text but a zip or a workbook. Save its sheet as CSV.")
    kind = kind_of(path)
    if kind in _NO_TABLES:
        raise DataError(f"{path} is no table as text but {kind}. {_NO_TABLES[kind]}")
    marked = _certain_encoding(content)
    asked = current_reading().encoding or encoding
    try:
        return content.decode(marked or asked or "utf-8")
    except LookupError as error:
        raise UsageError(f"There is no encoding '{asked}'; usual ones are utf-8, cp1252, utf-16.") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        text = None if asked or marked else _guess(content)
        if text is None:
            raise DataError(
                f"{path} line {line} is not {marked or asked or 'utf-8'}. Name its encoding (Excel often "
                "writes cp1252): --encoding cp1252."
            ) from error
        example = text.split("\n")[line - 1].strip()[:60]
        note(
            f"{path.name} is not UTF-8 and was read as cp1252, which is a guess: line {line} says "
            f"{example!r} (--encoding names another)"
        )
        return text


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """The bytes of a file, unpacked if it is gzip.

    Raises:
        DataError: missing, too large, damaged gzip.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    if path.stat().st_size > max_bytes:
        raise DataError(f"{path} is larger than {_say_size(max_bytes)}; split it.")
    content = path.read_bytes()
    return _unpack(path, content, max_bytes) if content.startswith(_GZIP) else content


def read_start(path: Path, size: int) -> str:
    """The beginning of a file's text as far as can be told; what cannot be decoded is replaced."""
    with path.open("rb") as file:
        content = file.read(size)
    if content.startswith(_GZIP):
        try:
            content = zlib.decompressobj(wbits=31).decompress(content, size)
        except zlib.error:
            return ""
    encoding = _certain_encoding(content) or current_reading().encoding or "utf-8"
    try:
        return content.decode(encoding, "replace")
    except LookupError:
        return ""  # said when the whole is read


def _unpack(path: Path, content: bytes, max_bytes: int) -> bytes:
    most = min(max_bytes, max(_UNPACKED, _MOST_TIMES * len(content)))
    unpacked, rest = io.BytesIO(), content
    try:
        while rest.startswith(_GZIP):  # files that were put one behind the other are one
            member = zlib.decompressobj(wbits=31)
            unpacked.write(member.decompress(rest, most + 1 - unpacked.tell()))
            if unpacked.tell() > most:
                raise DataError(
                    f"{path} unpacks to more than {_say_size(most)}; unpack it yourself, or split it."
                )
            if not member.eof:
                raise DataError(f"{path} is damaged: its gzip ends too early.")
            rest = member.unused_data
    except zlib.error as error:
        raise DataError(f"{path} is damaged: its gzip cannot be unpacked ({error}).") from error
    return unpacked.getvalue()


def _say_size(size: int) -> str:
    return f"{size // 1024**3} GiB" if size >= 1024**3 else f"{size // 1024**2} MiB"


def _certain_encoding(content: bytes) -> str | None:
    """That of the byte order mark; UTF-16 without one has a zero beside every letter, on one side only."""
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    if marked is not None:
        return marked
    sample = content[: _SAMPLE // 2 * 2]
    if not sample or len(content) % 2:
        return None
    pairs = len(sample) // 2
    zeroes = sample[0::2].count(0) / pairs, sample[1::2].count(0) / pairs
    if max(zeroes) < 0.5 or min(zeroes) > 0.02:
        return None
    return "utf-16-le" if zeroes[1] > zeroes[0] else "utf-16-be"


def _guess(content: bytes) -> str | None:
    """The text if it is cp1252 by all that can be told; None where it may be something else."""
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        return None
    beside = content.decode("utf-8", "ignore")
    if not beside.isascii() or _OTHER_CODE_PAGE.search(text) or "\0" in text:
        return None
    return text
