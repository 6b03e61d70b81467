"""File names in tables: text with forward slashes for every name that a disk can hold, and back again.

On Linux a name is bytes, all but `/`: old cards have names in Latin-1, and `a\\b.jpg` is one name there and
two elsewhere. In tables a byte that is no UTF-8 is a private-use character, U+EF80 to U+EFFF for 0x80 to
0xFF (as in MirBSD's OPTU-8), a backslash that is part of a name is U+EF5C, and such a character itself is
its bytes. So names that differ on the disk differ in the table, and each leads back to its file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import polars as pl

from trapline.errors import DataError

_BACKSLASH = "\uef5c"
_IS_BYTES = os.name == "posix"
_BYTES = {0xDC00 + byte: 0xEF00 + byte for byte in range(0x80, 0x100)}
_TEXT = _BYTES | ({ord("\\"): ord(_BACKSLASH)} if _IS_BYTES else {})
_NAME = {text: name for name, text in _TEXT.items()}
_OURS = re.compile(f"[{_BACKSLASH}\uef80-\uefff]")


def as_text(name: str) -> str:
    """A name as Python has it (bytes that are no UTF-8 are lone surrogates, PEP 383) for a table."""
    if name.isascii() and "\\" not in name:
        return name
    if _IS_BYTES:
        name = _OURS.sub(lambda match: match[0].encode().decode("ascii", "surrogateescape"), name)
    return name.translate(_TEXT)


def as_name(text: str) -> str:
    """The name that `as_text` made the text of."""
    return text if text.isascii() else text.translate(_NAME)


def as_listed(line: str) -> str:
    """A line of a list of names, bytes that are no UTF-8 as in `as_text`; its backslashes stay."""
    return line if line.isascii() else line.translate(_BYTES)


def normal_paths(paths: pl.Series, root: Path) -> pl.Series:
    """Paths as a table or list has them, in the form of the catalog: with forward slashes, below `root`.

    A leading `./`, doubled slashes and the root itself are left out. A backslash is a slash, as where the
    table was written, unless a file of that very name lies below `root`.

    Raises:
        DataError: two names differ in nothing but a backslash for a slash, and the disk does not say that
            they are two files.
    """
    backslash = paths.str.contains("\\", literal=True).fill_null(False)
    own = _files_with_backslash(paths.filter(backslash).unique(), root)
    path = pl.col(paths.name)
    slashes = (
        pl.when(path.is_in(own))
        .then(path.str.replace_all("\\", _BACKSLASH, literal=True))
        .otherwise(path.str.replace_all("\\", "/", literal=True))
    )
    is_url = slashes.str.contains("://", literal=True)
    single = pl.when(is_url).then(slashes).otherwise(slashes.str.replace_all(r"/+(\./+)*", "/"))
    below = single.str.strip_prefix(root.absolute().as_posix().rstrip("/") + "/")
    normal = paths.to_frame().select(below.str.replace(r"^(\./+)+", "")).to_series()
    if backslash.any():
        _refuse_two_spellings(paths, normal, backslash)
    return normal


def _files_with_backslash(names: pl.Series, root: Path) -> list[str]:
    """Those of the names that are, letter by letter, files below `root`; only a system of bytes has such."""
    if not _IS_BYTES or len(names) == 0:
        return []
    folders = names.str.extract(r"^((?:[^\\]*/)?)[^/\\]*\\", 1)
    having = [folder for folder in folders.unique() if _holds_backslashes(root / as_name(folder))]
    files = names.filter(folders.is_in(having))
    return [name for name in files if os.path.lexists(root / as_name(name))]


def _holds_backslashes(folder: Path) -> bool:
    """Whether a name in a folder has a backslash: asked once a folder, not once a row."""
    try:
        with os.scandir(folder) as entries:
            return any("\\" in entry.name for entry in entries)
    except (OSError, ValueError):
        return False


def _refuse_two_spellings(paths: pl.Series, normal: pl.Series, backslash: pl.Series) -> None:
    table = pl.DataFrame({"path": paths, "normal": normal})
    concerned = table.join(table.filter(backslash).select("normal").unique(), on="normal", how="semi")
    spelt = concerned.with_columns(pl.col("path").str.replace(r"^(\.[/\\]+)+", "")).unique(
        maintain_order=True
    )
    twice = spelt.filter(pl.col("normal").is_duplicated())
    if twice.height:
        same = twice.filter(pl.col("normal") == twice["normal"][0])["path"].to_list()
        raise DataError(
            f"{same[0]!r} and {same[1]!r} are both named, and which files they are cannot be told: a "
            "backslash is read as a slash where no file of that very name is found. Write both with slashes "
            "if they are one file, or name the folder in which both are (--root)."
        )
