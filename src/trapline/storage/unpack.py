"""Taking files out of a foreign archive: nothing outside the folder, no links, nothing without end."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self

from trapline.errors import DataError, UsageError, many

MAX_FILES = 1_000_000
MAX_BYTES = 200 * 1024**3
MAX_RATIO = 200
MAX_DEPTH = 100
_CHUNK = 1024**2
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
"""How a zip begins. Its directory is at its end, as that of a zip which is the last member of a tar."""

_NAMES_AND_ATTRIBUTES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,  # an unknown way of packing
    EOFError,
    OSError,
    ValueError,  # names or numbers that cannot be
    RecursionError,  # thousands of headers for one member
)


def unpack(source: Path, folder: Path, *, max_bytes: int = MAX_BYTES) -> list[str]:
    """Unpack a zip or tar archive (.tar, .tar.gz, .tar.bz2, .tar.xz) as a new folder, whole or not at all.

    Returns:
        The names of its files, with forward slashes.

    Raises:
        UsageError: the folder is there already.
        DataError: no archive, damaged, too large, or with links, devices or paths outside it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists. Name another folder with -o, or remove it.")
    half = folder.with_name(folder.name + ".unpacking")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    try:
        if _beginning(source).startswith(_ZIP):
            names = safe_unzip(source, half, max_bytes=max_bytes)
        else:
            names = _untar(source, half, max_bytes)
        if folder.exists():
            folder.rmdir()
        half.rename(folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return names


def _beginning(source: Path) -> bytes:
    with source.open("rb") as file:
        return file.read(8)


class _Header(tarfile.TarInfo):
    """A member's header; long names and attributes are read into memory, so they have a limit."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """The header in a block of 512 bytes.

        Raises:
            tarfile.HeaderError: it is the block of zeros at the archive's end.
            tarfile.ReadError: damage, where tarfile would take it for the end; names or attributes of over a
                mebibyte.
        """
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise
            raise tarfile.ReadError(f"{error} before the archive's end") from error
        if member.type in _NAMES_AND_ATTRIBUTES and member.size > _CHUNK:
            raise tarfile.ReadError(f"a header of {member.size} bytes")
        return member


def _untar(source: Path, folder: Path, max_bytes: int) -> list[str]:
    names: list[str] = []
    total, most = 0, min(max_bytes, MAX_RATIO * source.stat().st_size)
    try:
        # read once, in order: what a member says of itself is checked before its content is read
        with (
            _unpack_stream(source) as stream,
            tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as archive,
        ):
            for member in archive:
                if member.isdir():
                    continue
                total += member.size
                if len(names) == MAX_FILES or total > most:
                    raise DataError(f"{source} unpacks to more than is believable; unpack it yourself.")
                _extract(source, archive, member, folder)
                names.append(member.name)
            _check_rest(source, archive, most)
    except (tarfile.TarError, *_DAMAGE) as error:
        kind = "" if names else " as a zip or tar archive"
        raise DataError(f"{source} cannot be unpacked{kind}: {error}") from error
    return names


def _unpack_stream(source: Path) -> IO[bytes]:
    """The tar in a file. Unlike tarfile's own streams these read all parts and compare checksums."""
    start = _beginning(source)
    opening: Callable[[Path, str], Any] = open
    for magic, packed in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ", lzma.open)):
        if start.startswith(magic):
            opening = packed
    stream: IO[bytes] = opening(source, "rb")
    return stream


def _check_rest(source: Path, archive: tarfile.TarFile, most: int) -> None:
    """Only zeros may follow an archive's end; of what is packed, the checksum comes last."""
    assert archive.fileobj is not None
    read = 0
    while chunk := archive.fileobj.read(_CHUNK):
        read += len(chunk)
        if any(chunk) or read > max(most, _CHUNK):
            raise DataError(
                f"{source} goes on behind its end, perhaps with another archive; unpack it yourself."
            )


def _extract(source: Path, archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    if not member.isreg():
        raise DataError(f"{source} holds {member.name!r}, a link or device; it was not unpacked.")
    _check_path(source, member.name)
    packed = archive.extractfile(member)
    assert packed is not None  # a regular file has content
    _write(packed, folder / PurePosixPath(member.name))


def _write(packed: IO[bytes], target: Path) -> None:
    """Unpack one file, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with packed, target.open("xb") as file:
        try:
            shutil.copyfileobj(packed, file, _CHUNK)
        except BaseException:
            file.close()
            target.unlink()
            raise


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
            members = [one for one in archive.infolist() if not one.is_dir() and want(one.filename)]
            for member in members:
                _check(source, member)
            _check_amount(source, archive, members, max_bytes)
            for member in members:
                target = folder / PurePosixPath(member.filename)
                if target.exists() or target.is_symlink():
                    raise DataError(f"{target} exists; {source.name} is unpacked into an empty folder only.")
                _write(archive.open(member), target)  # which gives no more bytes than the member says it has
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
            return [one.filename for one in archive.infolist() if not one.is_dir()]
    except _DAMAGE as error:
        raise DataError(f"{source} cannot be read as a zip: {error}") from error


def _check_path(source: Path, name: str) -> None:
    path = PurePosixPath(name)
    outside = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name
    if outside or not path.parts:
        raise DataError(f"{source} holds {name!r}, a path outside the folder; it was not unpacked.")
    if len(path.parts) > MAX_DEPTH:
        raise DataError(
            f"{source} holds {name[:40]!r}…, a path of {len(path.parts)} folders; it was not unpacked."
        )


def _check(source: Path, member: zipfile.ZipInfo) -> None:
    _check_path(source, member.filename)
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
            f"{source} would unpack to {many(len(members), 'file')} and {total / 1024**2:.0f} MiB from "
            f"{packed / 1024**2:.1f} MiB, which is more than is believable; unpack it yourself."
        )
