"""A media is its picture: what tells it from others whatever it is called, wherever it lies and however it is
tagged."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BytesIO
from posixpath import normpath
from typing import BinaryIO, TypeVar

import polars as pl

from trapline.catalog.names import as_name
from trapline.catalog.table import Catalog
from trapline.storage import AnyPath, RemotePath, RemoteStat, open_ranges, remote_stats

CONTENT: dict[str, pl.DataType] = {"content_size": pl.Int64(), "content_hash": pl.String()}
"""Columns of a catalog whose files were read whole: the bytes that `content_hash` is of, and it."""

_DIGEST = 16  # bytes: two of 10^9 different files would share one with a probability of 10^-21
_CHUNK = 2**20
_MOST_BYTES = 2**30
"""Of a photo in a bucket, which is fetched whole."""

_AT_ONCE = 16  # files that a thread takes: of those that are not there it is done with at once
_MD5 = re.compile(r'"?[0-9a-f]{32}"?')
_SEGMENTS = 4096  # before the picture; those of a photo are a few tens
_COMMENT, _ADOBE, _START_OF_SCAN = 0xFE, 0xEE, 0xDA
_METADATA = {*range(0xE0, 0xF0), _COMMENT} - {_ADOBE}  # APPn; Adobe's says how colours are coded
_EXIF = b"Exif\0\0"


Told = TypeVar("Told")


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file, and what is kept of its content for when it is not there.

    Attributes:
        path: where it should be.
        size: bytes of the content.
        content_hash: see `content_hash`.
        as_kept: what was kept of it counts, and not what lies there now.
    """

    path: AnyPath | str
    size: int | None = None
    content_hash: str | None = None
    as_kept: bool = False


def content_hash(path: AnyPath | str) -> str:
    """BLAKE2b of a file's content (RFC 7693, 128 bits), hexadecimal.

    The content of a JPEG (ITU-T T.81, annex B) are its bytes without the segments in which programs write
    keywords, captions, ratings and previews (APPn, COM), and the text of EXIF's DateTimeOriginal: a photo
    stays the same when it is tagged, and two black frames of different times are two. Of other files it is
    all of the bytes.

    Raises:
        OSError: it cannot be read, or is no file but a folder, a pipe or a device.
    """
    digest = hashlib.blake2b(digest_size=_DIGEST)
    with _open(path) as file:
        taken, at = b"", 0
        for start, length in [*_metadata(file), (_end(file), 0)]:
            file.seek(at)
            while at < start and (chunk := file.read(min(_CHUNK, start - at))):
                digest.update(chunk)
                at += len(chunk)
            file.seek(start + 4)
            if length > len(_EXIF) and file.read(len(_EXIF)) == _EXIF:
                taken += _time_taken(_EXIF + file.read(length - 4 - len(_EXIF)))
            at = start + length
    digest.update(taken)
    return digest.hexdigest()


def _open(path: AnyPath | str, *, whole: bool = True) -> BinaryIO:
    """The file to be read; `OSError` for a pipe, which would be waited for, and all else that is no file.

    One in a bucket is fetched, unless it is not to be read `whole`.
    """
    if isinstance(path, RemotePath):
        return BytesIO(path.fetch(most=_MOST_BYTES)[0]) if whole else open_ranges(path)
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - a Path for each of many files is slow
        raise OSError(f"{path} is no file")
    return open(path, "rb")  # noqa: PTH123


def _end(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def content_size(path: AnyPath | str) -> int:
    """How many bytes of a file `content_hash` takes of the picture; only its header is read.

    Raises:
        OSError: as there.
    """
    with _open(path, whole=False) as file:
        metadata = sum(length for _, length in _metadata(file))
        return _end(file) - metadata


def _metadata(file: BinaryIO) -> list[tuple[int, int]]:
    """Start and length of each segment before the picture of a JPEG that holds metadata; else none."""
    segments: list[tuple[int, int]] = []
    at = 2
    if file.read(at) != b"\xff\xd8":
        return []
    for _ in range(_SEGMENTS):
        head = file.read(4)
        marker, length = head[1:2], int.from_bytes(head[2:], "big")
        if len(head) < 4 or head[0] != 0xFF or length < 2:
            return []
        if marker[0] == _START_OF_SCAN:
            return segments
        if marker[0] in _METADATA:
            segments.append((at, 2 + length))
        at += 2 + length
        file.seek(at)
    return []


def _time_taken(segment: bytes) -> bytes:
    """The text of EXIF's DateTimeOriginal; of damaged EXIF all of it."""
    from PIL import ExifTags, Image

    try:
        exif = Image.Exif()
        exif.load(segment)
        text = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal, "")
        return str(text).encode("utf-8", "backslashreplace")
    except Exception:  # noqa: BLE001 - damaged EXIF fails in many ways
        return segment


def media_files(catalog: Catalog, *, as_kept: bool = False) -> list[MediaFile]:
    """The file of every media, in the order of the table.

    Args:
        catalog: the media.
        as_kept: what was kept of them counts, where it was.
    """
    names = (normpath(as_name(name)) for name in catalog.table["file_path"])
    root = catalog.root
    paths: list[AnyPath | str] = (
        [root / name for name in names]
        if isinstance(root, RemotePath)
        else [f"{root}/{name}" for name in names]  # a Path for each of many files is slow
    )
    if any(name not in catalog.table.columns for name in CONTENT):
        return [MediaFile(path) for path in paths]
    contents = catalog.table.select(*CONTENT).iter_rows()
    return [
        MediaFile(path, size, digest, as_kept and digest is not None)
        for path, (size, digest) in zip(paths, contents, strict=True)
    ]


def equal_files(
    files: Sequence[MediaFile],
    on_file: Callable[[int], object] = lambda number: None,
    sizes: Sequence[int | None] | None = None,
) -> list[list[int]]:
    """Groups of indices in `files` that have the same content.

    Only files of equal size are read, and one that is named more than once is read once. What is kept of the
    content counts for those that cannot be; without that they are in no group, and so are empty files.

    In a bucket they are equal if all of their bytes are, metadata too: sizes come with a listing, and S3 says
    of most objects what their content is, so that few are read.

    Args:
        files: the files.
        on_file: told how many more were dealt with, for a progress display.
        sizes: `sizes_of` the files, where they are known.
    """
    sizes = sizes_of(files) if sizes is None else sizes
    of_file: dict[tuple[AnyPath | str, str | None], list[int]] = defaultdict(list)
    for index, file in enumerate(files):
        of_file[file.path, file.content_hash if file.as_kept else None].append(index)
    by_size: dict[int, list[list[int]]] = defaultdict(list)
    for indices in of_file.values():
        if size := sizes[indices[0]]:
            by_size[size].append(indices)
    of_one_size = [indices for group in by_size.values() if len(group) > 1 for indices in group]
    first = [one[0] for one in of_one_size]
    digests = _contents([files[index] for index in first], [sizes[index] for index in first])
    by_content: dict[str, list[int]] = defaultdict(list)
    for indices, digest in zip(of_one_size, digests, strict=True):
        by_content[digest or f"not read: {indices[0]}"] += indices
        on_file(len(indices))
    on_file(len(files) - sum(map(len, of_one_size)))
    alone = [group[0] for group in by_size.values() if len(group) == 1]
    return sorted(sorted(group) for group in (*by_content.values(), *alone) if len(group) > 1)


def sizes_of(files: Sequence[MediaFile]) -> list[int | None]:
    """`size_of` each; the header of one that is named more than once is read once.

    Of objects in a bucket of which nothing is kept it is the whole size, by a listing.
    """
    if (stats := _listed(files)) is not None:
        return [None if stat is None else stat.size for stat in stats]
    distinct = list(dict.fromkeys(files))
    size_by_file = dict(zip(distinct, _in_threads(size_of, distinct), strict=True))
    return [size_by_file[file] for file in files]


def _listed(files: Sequence[MediaFile]) -> list[RemoteStat | None] | None:
    """What a listing says of files, if all are in a bucket and of none a content is kept."""
    paths = [file.path for file in files if isinstance(file.path, RemotePath) and file.content_hash is None]
    return remote_stats(paths) if paths and len(paths) == len(files) else None


def _contents(files: Sequence[MediaFile], sizes: Sequence[int | None]) -> Iterator[str | None]:
    """What tells the content of each file from that of others of its size; None if it cannot be read."""
    stats = _listed(files)
    if stats is None:
        yield from _in_threads(_hash, files)
        return
    told = [None if stat is None else _md5(file, stat) for file, stat in zip(files, stats, strict=True)]
    untold = {size for size, digest in zip(sizes, told, strict=True) if digest is None}
    read = iter(_in_threads(_hash, [file for file, size in zip(files, sizes, strict=True) if size in untold]))
    for digest, size in zip(told, sizes, strict=True):
        yield next(read) if size in untold else digest


def _md5(file: MediaFile, stat: RemoteStat) -> str | None:
    """The ETag where it is the MD5 of the content: that of S3, but for what was put in parts."""
    is_s3 = isinstance(file.path, RemotePath) and file.path.scheme == "s3"
    return stat.etag if is_s3 and _MD5.fullmatch(stat.etag or "") else None


def size_of(file: MediaFile) -> int | None:
    """Bytes of a file's content, or those that are kept of it; None if its content cannot be told."""
    if file.as_kept:
        return file.size
    try:
        return content_size(file.path)
    except (OSError, ValueError):
        return file.size if file.content_hash is not None else None


def _in_threads(told: Callable[[MediaFile], Told], files: Iterable[MediaFile]) -> Iterable[Told]:
    todo = list(files)
    parts = [todo[start : start + _AT_ONCE] for start in range(0, len(todo), _AT_ONCE)]
    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:  # reading lets go of the interpreter
        for answers in pool.map(lambda part: [told(file) for file in part], parts):
            yield from answers


def _hash(file: MediaFile) -> str | None:
    if file.as_kept:
        return file.content_hash
    try:
        return content_hash(file.path)
    except (OSError, ValueError):
        return file.content_hash


def identify(
    catalog: Catalog,
    on_file: Callable[[int], object] = lambda number: None,
    *,
    only: pl.Series | None = None,
) -> Catalog:
    """The catalog with the columns `CONTENT`: every file is read whole.

    What was known of files that cannot be read stays.

    Args:
        catalog: the media.
        on_file: told how many more were read, for a progress display.
        only: one boolean a media, which are read; of the others stays what is known.
    """
    files = media_files(catalog)
    wanted = list(range(len(files))) if only is None else only.arg_true().to_list()
    chosen = [files[row] for row in wanted]
    sizes, digests = [file.size for file in files], [file.content_hash for file in files]
    read = zip(wanted, _in_threads(_hash, chosen), _in_threads(size_of, chosen), strict=True)
    for row, digest, size in read:
        digests[row], sizes[row] = digest, None if digest is None else size
        on_file(1)
    table = catalog.table.with_columns(
        pl.Series("content_size", sizes, CONTENT["content_size"]),
        pl.Series("content_hash", digests, CONTENT["content_hash"]),
    )
    return replace(catalog, table=table)
