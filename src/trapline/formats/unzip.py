"""Taking files out of a foreign zip: nothing outside the folder, no links, nothing without end."""

from __future__ import annotations

import lzma
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from trapline.errors import DataError

MAX_FILES = 1_000_000
MAX_BYTES = 200 * 1024**3
MAX_RATIO = 200
_CHUNK = 1024**2
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,  # an unknown way of packing
    EOFError,
    OSError,
    ValueError,  # names or numbers that cannot be
)


def safe_unzip(
    source: Path, folder: Path, *, want: Callable[[str], bool] = lambda _: True, max_bytes: int = MAX_BYTES
) -> list[str]:
    """Unpack the wanted files of a zip below `folder`; files that are there already are not overwritten.

    Args:
        source: the zip.
        folder: where to; made if need be.
        want: whether a name is wanted.
        max_bytes: refuse more than this, unpacked.

    Returns:
        The names that were unpacked, with forward slashes.

    Raises:
        DataError: no zip, damaged, encrypted, too large, a link or a path outside among the wanted files, or
            a file is in the way; the member is named.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            members = [
                member for member in archive.infolist() if not member.is_dir() and want(member.filename)
            ]
            for member in members:
                _check(source, member)
            _check_amount(source, archive, members, max_bytes)
            left = max_bytes
            for member in members:
                left -= _unpack(source, archive, member, folder, left)
            return [member.filename for member in members]
    except _DAMAGE as error:
        raise DataError(f"{source} cannot be unpacked: {error}") from error


def zip_names(source: Path) -> list[str]:
    """The names of a zip's files.

    Raises:
        DataError: it is no zip, or damaged.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            return [member.filename for member in archive.infolist() if not member.is_dir()]
    except _DAMAGE as error:
        raise DataError(f"{source} cannot be read as a zip: {error}") from error


def _check(source: Path, member: zipfile.ZipInfo) -> None:
    path = PurePosixPath(member.filename)
    outside = path.is_absolute() or ".." in path.parts or "\\" in member.filename or ":" in member.filename
    if outside or not path.parts:
        raise DataError(
            f"{source} holds {member.filename!r}, a path outside the folder; it was not unpacked."
        )
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DataError(f"{source} holds the link {member.filename!r}; it was not unpacked.")
    if member.flag_bits & 1:
        raise DataError(f"{source} is encrypted ({member.filename!r}); unpack it yourself.")


def _check_amount(
    source: Path, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], max_bytes: int
) -> None:
    total = sum(member.file_size for member in members)
    packed = max(source.stat().st_size, 1)
    if len(archive.infolist()) > MAX_FILES or total > max_bytes or total / packed > MAX_RATIO:
        raise DataError(
            f"{source} would unpack to {len(members)} files and {total / 1024**2:.0f} MiB from "
            f"{packed / 1024**2:.1f} MiB, which is more than is believable; unpack it yourself."
        )


def _unpack(source: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, left: int) -> int:
    place = folder / PurePosixPath(member.filename)
    if place.exists() or place.is_symlink():
        raise DataError(f"{place} exists; {source.name} is unpacked into an empty folder only.")
    place.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as packed, place.open("xb") as file:
        try:
            size = _copy(packed, file, min(left, member.file_size))
        except BaseException:
            file.close()
            place.unlink()
            raise
    if size is None:
        place.unlink()
        raise DataError(f"{source}: {member.filename!r} is larger than it says; it was not unpacked.")
    return size


def _copy(packed: IO[bytes], file: IO[bytes], most: int) -> int | None:
    """How many bytes were copied; None if there are more than `most`."""
    size = 0
    while chunk := packed.read(_CHUNK):
        size += len(chunk)
        if size > most:
            return None
        file.write(chunk)
    return size
