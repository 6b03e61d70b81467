"""Paths of objects in the clouds, which look like those on disks."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EFBIG
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias

from trapline.errors import DataError, TraplineError, UsageError
from trapline.storage.stores import Answer, ask, library

if TYPE_CHECKING:
    from obstore import ObjectMeta

    from trapline.storage.stores import Store

_SCHEMES = {
    **{"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"},
    **dict.fromkeys(("az", "azure", "adl", "abfs", "abfss"), "az"),
}
_URL = re.compile(rf"({'|'.join(_SCHEMES)}):/{{1,2}}(?!/)", re.IGNORECASE)
_WEB = re.compile(r"(https?|ftp)[:]/{1,2}(?!/)", re.IGNORECASE)
_SIGNED = re.compile(r"[?&](X-Amz-\w+|X-Goog-\w+|AWSAccessKeyId|Signature|sig|sv|se)=", re.IGNORECASE)
_PART_BYTES = 8 * 2**20
_PARTS_AT_ONCE = 4
_STREAMED_BYTES = 2**18
_NO_RANGES = "non-partial response"
"""In what obstore says of a server that was asked for a part of an object, as of `rclone serve s3`."""

PAGE = 1000
"""Objects that a server lists at a time."""


@dataclass(frozen=True, slots=True)
class RemoteStat:
    """What tells one content of an object from another.

    Attributes:
        size: bytes.
        etag: what the server calls this content; another content has another. None if it has none.
    """

    size: int
    etag: str | None

    @property
    def digest(self) -> int | None:
        """63 bits of the ETag, which stand where a file on a disk has the time of its change."""
        if self.etag is None:
            return None
        import hashlib  # not at every start

        content = hashlib.blake2b(self.etag.encode(), digest_size=8).digest()
        return int.from_bytes(content, "little") >> 1


@dataclass(frozen=True, slots=True, order=True)
class RemotePath:
    """An object in a bucket, or what begins like one (a "folder"); immutable, and used like a `pathlib.Path`.

    It holds no credentials: they are found when it is read, by each process for itself. `as_any_path` makes
    one of a URL.

    Attributes:
        scheme: `s3`, `gs` or `az`.
        bucket: its name; of Azure the container's, or `container@account.dfs.core.windows.net`.
        key: of the object in it, without a slash at its beginning or end; empty for the whole bucket.
    """

    scheme: str
    bucket: str
    key: str = ""

    def __str__(self) -> str:
        scheme = "abfss" if "@" in self.bucket else self.scheme
        return f"{scheme}://{self.bucket}" + (f"/{self.key}" if self.key else "")

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __truediv__(self, other: str | PurePosixPath) -> RemotePath:
        parts = [self.key, *(part for part in str(other).split("/") if part not in ("", "."))]
        return RemotePath(self.scheme, self.bucket, "/".join(parts).removeprefix("/"))

    @property
    def name(self) -> str:
        """What stands behind the last slash; of a whole bucket the empty text."""
        return self.key.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The name's ending with its dot, or nothing."""
        return PurePosixPath(self.name).suffix

    @property
    def stem(self) -> str:
        """The name without that ending."""
        return PurePosixPath(self.name).stem

    @property
    def parent(self) -> RemotePath:
        """What stands before the last slash; a bucket's is itself."""
        return RemotePath(self.scheme, self.bucket, self.key.rpartition("/")[0])

    def with_name(self, name: str) -> RemotePath:
        """The same with another name."""
        if not self.key:
            raise ValueError(f"{self} has no name")
        return self.parent / name

    def with_suffix(self, suffix: str) -> RemotePath:
        """The same with another ending."""
        return self.with_name(self.stem + suffix)

    def relative_to(self, other: RemotePath) -> PurePosixPath:
        """What follows `other`.

        Raises:
            ValueError: it is not below that.
        """
        below = (self.scheme, self.bucket) == (other.scheme, other.bucket)
        if not below or not (f"{self.key}/".startswith(f"{other.key}/") or not other.key):
            raise ValueError(f"{self} is not below {other}")
        return PurePosixPath(self.key.removeprefix(other.key).lstrip("/"))

    def absolute(self) -> RemotePath:
        """Itself: there is no folder that it could be relative to."""
        return self

    resolve = absolute

    def as_posix(self) -> str:
        """The URL."""
        return str(self)

    def stat(self) -> RemoteStat:
        """Size and ETag.

        Raises:
            OSError: there is no such object, or it cannot be read.
            SourceGoneError: nothing of the bucket can.
        """
        obstore = library(str(self))
        try:
            return _stat(self._ask(lambda store: obstore.head(store, self.key)))
        except (
            FileNotFoundError
        ):  # a server says nothing more to this question, not even that there is no bucket
            with suppress(OSError):  # an account may read without the right to list
                RemotePath(self.scheme, self.bucket)._first_below()
            raise

    def exists(self) -> bool:
        """Whether there is such an object, or one below it."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Whether there is such an object."""
        if not self.key:
            return False
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether there is an object below it; a bucket that is there is one."""
        return bool(self._first_below()) or not self.key

    def _first_below(self) -> list[ObjectMeta]:
        return self._ask(lambda store: next(self._pages(store, self._below(), None, 1), []))

    def read(self, start: int = 0, length: int | None = None, *, most: int) -> bytes:
        """Its content, or `length` bytes of it from `start` on, or as many as there are.

        Args:
            start: of what is wanted.
            length: bytes; None for all that follow.
            most: refuse more than so many bytes.

        Raises:
            OSError: it cannot be read, or has too many bytes.
            SourceGoneError: nothing of the bucket can be.
        """
        if length == 0:
            return b""
        if start or length is not None:
            return self._range(start, length, most)
        return self.fetch(most=most)[0]

    def fetch(self, *, most: int, pause: Callable[[float], object] = time.sleep) -> tuple[bytes, RemoteStat]:
        """Its content, and what tells it from another, by one request.

        Args:
            most: refuse more than so many bytes.
            pause: waits so many seconds before the server is asked again; may raise `OSError`.

        Raises:
            OSError: it cannot be read, or has too many bytes.
            SourceGoneError: nothing of the bucket can be.
        """
        obstore = library(str(self))

        def request(store: Store) -> tuple[bytes | None, RemoteStat]:
            answer = obstore.get(store, self.key)
            stat = _stat(answer.meta)
            return (answer.bytes().to_bytes() if stat.size <= most else None), stat

        content, stat = self._ask(request, pause)
        if content is None:
            raise self._too_large(stat.size, most)
        return content, stat

    def _range(self, start: int, length: int | None, most: int, etag: str | None = None) -> bytes:
        obstore = library(str(self))
        length = self.stat().size - start if length is None else length
        if length <= 0:
            return b""
        if length > most:
            raise self._too_large(length, most)
        end = start + length
        options: Any = {"range": (start, end)} | ({"if_match": etag} if etag else {})

        def request(store: Store) -> bytes:
            try:
                return bytes(obstore.get(store, self.key, options=options).bytes().to_bytes())
            except obstore.exceptions.GenericError as error:
                if _NO_RANGES not in str(error):
                    raise
            return self._part_of_all(store, start, end, etag)

        return self._ask(request)

    def _part_of_all(self, store: Store, start: int, end: int, etag: str | None) -> bytes:
        """Bytes of it from a server that gives nothing but all: no more of them are held, or waited for."""
        answer = library(str(self)).get(store, self.key)
        if etag is not None and _stat(answer.meta).etag != etag:
            raise DataError(f"{self} became another while it was read; try it again.")
        content, at = bytearray(), 0
        for chunk in answer.stream(min_chunk_size=_STREAMED_BYTES):
            content += memoryview(chunk)[max(0, start - at) : max(0, end - at)]
            at += len(chunk)
            if at >= end:
                break
        return bytes(content)

    def _too_large(self, size: int, most: int) -> OSError:
        return OSError(EFBIG, f"It has {size:,} bytes, more than the {most:,} that are allowed", str(self))

    def walk(self) -> Iterator[tuple[str, RemoteStat]]:
        """All objects below it, in the order of their names: each with its path from here, and its stat.

        What only marks a folder is left out. A server is asked once for a thousand.

        Raises:
            OSError: they cannot be listed.
            SourceGoneError: nothing of the bucket can be.
        """
        skip, held = len(self.key) + bool(self.key), None
        for one in self._list():
            if held is not None and (held["size"] or not one["path"].startswith(f"{held['path']}/")):
                yield held["path"][skip:], _stat(held)
            held = one
        if held is not None:
            yield held["path"][skip:], _stat(held)

    def _list(self) -> Iterator[ObjectMeta]:
        """All below it; where a listing breaks off another goes on behind the last name."""
        last: str | None = None
        pages: Iterator[list[ObjectMeta]] | None = None

        def request(store: Store) -> list[ObjectMeta] | None:
            nonlocal pages
            begun, pages = pages or self._pages(store, self._below(), last, PAGE), None
            page = next(begun, None)
            pages = begun
            return page

        while page := self._ask(request):
            yield from page
            last = page[-1]["path"]

    def _pages(
        self, store: Store, prefix: str | None, behind: str | None, size: int
    ) -> Iterator[list[ObjectMeta]]:
        pages: Any = library(str(self)).list(store, prefix, offset=behind, chunk_size=size)
        return iter(pages)

    def page(self) -> tuple[dict[str, RemoteStat], bool]:
        """The keys and stats of a thousand objects of its bucket, itself and those that follow it, and
        whether there are more.

        Raises:
            OSError: they cannot be listed.
            SourceGoneError: nothing of the bucket can be.
        """
        behind = self.key[:-1] or None  # a listing begins behind a name, and nearly nothing lies between
        page = self._ask(lambda store: next(self._pages(store, None, behind, PAGE), []))
        return {one["path"]: _stat(one) for one in page}, len(page) == PAGE

    def put(self, file: Path) -> None:
        """Put a local file in its place: whole, at once, or not at all.

        Raises:
            OSError: it cannot be written.
            SourceGoneError: nothing in the bucket can be.
        """
        obstore = library(str(self))
        self._ask(lambda store: obstore.put(store, self.key, file))

    def create(self, content: bytes) -> bool:
        """Put it there if there is none: of several who do so at once one does.

        Returns:
            whether this one did. Where the answer to the one who did was lost, nobody is told so.

        Raises:
            OSError: it cannot be written.
            SourceGoneError: nothing in the bucket can be.
        """
        obstore = library(str(self))

        def request(store: Store) -> bool:
            try:
                obstore.put(store, self.key, content, mode="create", use_multipart=False)
            except obstore.exceptions.AlreadyExistsError:
                return False
            return True

        return self._ask(request)

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Take it away.

        Raises:
            OSError: it cannot be, or there is none.
        """
        obstore = library(str(self))
        if not missing_ok:
            self.stat()  # to take away what is not there is no error to a server
        self._ask(lambda store: obstore.delete(store, self.key))

    def _ask(
        self, request: Callable[[Store], Answer], pause: Callable[[float], object] = time.sleep
    ) -> Answer:
        return ask(self.scheme, self.bucket, self.key, request, pause)

    def _below(self) -> str | None:
        return f"{self.key}/" if self.key else None


AnyPath: TypeAlias = Path | RemotePath


def is_url(text: object) -> bool:
    """Whether a text, or a `Path` that was made of one, is the URL of a bucket or of what is in it."""
    if isinstance(text, RemotePath):
        return True
    return isinstance(text, str | os.PathLike) and _URL.match(os.fspath(text).replace("\\", "/")) is not None


def as_any_path(text: AnyPath | str) -> AnyPath:
    """The path that a text names, on a disk or in a bucket.

    A `Path` of a URL, which has lost a slash, is that URL's.

    Raises:
        UsageError: the URL names no bucket, holds credentials, or has steps that no object's name has; or it
            is one of the web, which is not shown: it may be signed.
    """
    if not isinstance(text, RemotePath) and _WEB.match(os.fspath(text)):
        raise UsageError(
            "An address of the web (https://…) is no path. Fetch the file with `trapline download`, and name "
            "what that has written."
        )
    if isinstance(text, RemotePath) or not is_url(text):
        return text if isinstance(text, RemotePath) else Path(text)
    url = os.fspath(text)
    url = url.replace("\\", "/") if isinstance(text, Path) and os.name == "nt" else url
    given, _, rest = url.partition(":")
    rest = rest.lstrip("/")
    bucket, _, key = rest.partition("/")
    scheme = _SCHEMES[given.lower()]
    _refuse_credentials(scheme, given.lower(), bucket, rest)
    key = key.rstrip("/")
    if not bucket:
        raise UsageError(f"'{url}' names no bucket: write {given}://BUCKET/…")
    if key and any(part in ("", ".", "..") for part in key.split("/")):
        raise UsageError(f"'{url}' has an empty step or a step of dots, which cannot be asked for.")
    return RemotePath(scheme, bucket, key)


def _refuse_credentials(scheme: str, given: str, bucket: str, rest: str) -> None:
    """What is refused is not shown: it would be in a log."""
    account = scheme == "az" and given.startswith("abfs") and ":" not in bucket
    if ("@" in bucket and not account) or _SIGNED.search(rest):
        raise UsageError(
            f"The address of a bucket ({given}://…) holds a key, a password or a signature, which would be "
            "kept in catalogs and logs. Name the bucket alone, and set the variables of its SDK "
            "(docs/cluster.md)."
        )


def _stat(meta: ObjectMeta) -> RemoteStat:
    """What a server says of an object; Azure has quotes round ETags when asked for one, and none in lists."""
    etag = meta["e_tag"]
    return RemoteStat(meta["size"], etag if etag is None or etag.endswith('"') else f'"{etag}"')


@contextmanager
def local_copy(path: AnyPath, *, most_bytes: int) -> Iterator[Path]:
    """A file on this machine's disk with the content: itself, or a copy, of its name and gone at the end.

    Args:
        path: of a file.
        most_bytes: refuse to copy a larger one.

    Raises:
        OSError: it cannot be read.
        DataError: it is too large, or became another while it was read.
    """
    if isinstance(path, Path):
        yield path
        return
    stat = path.stat()
    if stat.size > most_bytes:
        raise DataError(f"{path} has {stat.size:,} bytes, more than the {most_bytes:,} that are allowed.")
    import tempfile

    with tempfile.TemporaryDirectory(prefix="trapline-") as folder:
        copy = Path(folder) / path.name
        _copy(path, stat, copy)
        try:
            yield copy
        except TraplineError as error:  # which names the copy
            error.args = (str(error).replace(str(copy), str(path)), *error.args[1:])
            raise


def _copy(path: RemotePath, stat: RemoteStat, copy: Path) -> None:
    """In parts, of which each is tried again alone, and all of one content."""

    def part(start: int) -> bytes:
        return path._range(start, min(_PART_BYTES, stat.size - start), _PART_BYTES, stat.etag)

    starts = range(0, stat.size, _PART_BYTES)
    from concurrent.futures import ThreadPoolExecutor

    with copy.open("wb") as file, ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
        for at in range(0, len(starts), _PARTS_AT_ONCE):  # no more of them in memory
            for content in pool.map(part, starts[at : at + _PARTS_AT_ONCE]):
                file.write(content)
    if copy.stat().st_size != stat.size:
        raise DataError(f"{path} came with {copy.stat().st_size:,} of {stat.size:,} bytes; try it again.")
