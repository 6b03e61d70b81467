"""Fetching one file from an address: whole and checked, or not at all; what broke off goes on later.

requests speaks HTTP; what it does not do stands here: to go on where a connection broke, to refuse too much,
to trust only what is encrypted or has a checksum. (pooch, the field's other library, begins anew each time.)
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trapline.errors import DataError, TraplineError, UsageError
from trapline.storage.lock import lock

if TYPE_CHECKING:
    from requests import Response

MOST_BYTES = 20 * 10**9
ATTEMPTS = 6
"""In a row that bring nothing, before it is given up; they are 1, 2, 4, 8 and 16 seconds apart."""

SECONDS = 30.0
"""Without an answer, or without another byte, until an attempt is over."""

_CHUNK = 2**14
"""Bytes at a time; so many are lost at most where a connection breaks."""
_LATER = (408, 425, 429, 500, 502, 503, 504)
"""Statuses of a server that may answer another time."""


@dataclass(frozen=True)
class Downloaded:
    """A file that is there.

    Attributes:
        path: of the file.
        size: in bytes.
        sha256: of its content, in hexadecimal.
        fetched: how many of its bytes this call fetched; 0 if it was there.
        files: what was unpacked of it; None where nothing was to be.
    """

    path: Path
    size: int
    sha256: str
    fetched: int
    files: tuple[str, ...] | None = None


@dataclass(frozen=True)
class _Source:
    """What a partial file is part of; kept beside it, so that another file's end is never put to it."""

    url: str
    validator: str | None
    size: int | None


class _BrokenOffError(Exception):
    """The connection ended, or the server is busy: to be tried again."""


def download(
    url: str,
    path: Path | str,
    *,
    sha256: str | None = None,
    most_bytes: int = MOST_BYTES,
    force: bool = False,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> Downloaded:
    """Fetch the file at an address.

    Until it is whole it is called `<path>.part`; the same call goes on with that, if the server says that its
    file is still the same, or if there is a checksum to tell at the end.

    Args:
        url: `https://…`; `http://…` only with a checksum, since anybody on the way could change the file.
        path: of the file that is written.
        sha256: what its content must have, in hexadecimal.
        most_bytes: refuse a larger file.
        force: replace a file that is there, unless it is the wanted one.
        progress: is told how many bytes are there, and how many there will be, if the server says.

    Raises:
        UsageError: no such address or checksum, or a file is there that is not the wanted one.
        DataError: the server has no such file, a larger one, a web page in its place, or not the wanted one.
        TraplineError: the network or the server failed; what has come is kept.
    """
    path, wanted = Path(path), None if sha256 is None else sha256.lower()
    _check_request(url, wanted)
    if path.exists() and (there := _look_at(path, wanted, force=force)):
        return there
    path.parent.mkdir(parents=True, exist_ok=True)
    part, note = path.with_name(path.name + ".part"), path.with_name(path.name + ".part.json")
    try:
        with note.open("a+b") as taken:
            lock(taken, path)
            fetching = _Fetching(url, part, note, wanted, most_bytes, progress)
            before = fetching.have()
            fetched = fetching.run() - before
            digest = _digest(part)
            if wanted is not None and digest != wanted:
                part.unlink()
                raise DataError(f"{url} has the SHA-256 {digest}, not {wanted}; it was not kept.")
            part.replace(path)
    finally:
        if not part.exists():
            note.unlink(missing_ok=True)
    return Downloaded(path, path.stat().st_size, digest, fetched)


def _check_request(url: str, sha256: str | None) -> None:
    try:
        parts = urlsplit(url)
        there = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is no number
        there = False
    if not there:
        raise UsageError(f"'{url}' is no address of a file; one begins with https://.")
    if sha256 is not None and not re.fullmatch("[0-9a-f]{64}", sha256):
        raise UsageError(f"'{sha256}' is no SHA-256: that is 64 hexadecimal digits.")
    if parts.scheme == "http" and sha256 is None:
        raise UsageError(
            f"{url} is not encrypted, so that anybody on the way could change the file: use https, or give "
            "its --sha256."
        )


def _look_at(path: Path, sha256: str | None, *, force: bool) -> Downloaded | None:
    """The wanted file if it is the one that is there; None if that one is to be replaced."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file.")
    digest = _digest(path) if sha256 else None
    if digest is not None and digest == sha256:
        return Downloaded(path, path.stat().st_size, digest, 0)
    if not (force and path.is_file()):
        what = f"and has the SHA-256 {digest}" if digest else "(with a checksum it would be compared)"
        raise UsageError(f"{path} exists {what}. Name another with -o, or replace it with --force.")
    return None


@dataclass(frozen=True)
class _Fetching:
    """One file on its way."""

    url: str
    part: Path
    note: Path
    sha256: str | None
    most_bytes: int
    progress: Callable[[int, int | None], None]

    def run(self) -> int:
        """Attempts until the file is whole; its bytes."""
        failures = 0
        while True:
            before = self.have()
            try:
                return self._attempt()
            except _BrokenOffError as error:
                failures = 1 if self.have() > before else failures + 1
                if failures == ATTEMPTS:
                    raise TraplineError(
                        f"{self.url} could not be fetched: {error}. What has come is kept as {self.part}; "
                        "the same command goes on with it."
                    ) from None
                time.sleep(2 ** (failures - 1))

    def have(self) -> int:
        """How many bytes are there of the very file that is asked for."""
        source = self._source()
        known = source is not None and source.url == self.url and bool(source.validator or self.sha256)
        return self.part.stat().st_size if known and self.part.is_file() else 0

    def _source(self) -> _Source | None:
        try:
            return _Source(**json.loads(self.note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _attempt(self) -> int:
        """One request, for what is missing; the bytes of the file if it is whole now."""
        have, source = self.have(), self._source()
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if source is not None and source.validator:
                headers["If-Range"] = source.validator
        with _request(self.url, headers) as response:
            _check_answer(response, self.url, self.sha256)
            if response.status_code == 416 and source is not None and have == source.size:
                return have  # it was whole already
            if response.status_code == 416 or (
                response.status_code == 206 and not _continues(response, have)
            ):
                self.part.unlink(missing_ok=True)
                raise _BrokenOffError("the server did not go on where the earlier part ends")
            start = have if response.status_code == 206 else 0
            total = _total(response, start)
            self._check_size(start, total)
            source = _Source(self.url, _validator(response), total)
            self.note.write_text(json.dumps(asdict(source)), encoding="utf-8")
            return self._copy(response, start, total)

    def _check_size(self, start: int, total: int | None) -> None:
        if total is None:
            return
        if total > self.most_bytes:
            raise DataError(f"{self.url} has {total / 1e9:.2f} GB, {self._more_than_allowed()}")
        free = shutil.disk_usage(self.part.parent).free
        if total - start > free:
            raise DataError(
                f"{self.url} has {total / 1e9:.2f} GB; {self.part.parent} has room for {free / 1e9:.2f} only."
            )

    def _more_than_allowed(self) -> str:
        return f"more than the {self.most_bytes / 1e9:g} GB that are allowed; allow more with --most."

    def _copy(self, response: Response, start: int, total: int | None) -> int:
        done = start
        with self.part.open("ab" if start else "wb") as file:
            for chunk in response.iter_content(_CHUNK):
                done += len(chunk)
                if done > self.most_bytes:
                    raise DataError(f"{self.url} has {self._more_than_allowed()}")
                file.write(chunk)
                self.progress(done, total)
        if total is not None and done < total:
            raise _BrokenOffError(f"the connection ended after {done} of {total} bytes")
        return done


@contextmanager
def _request(url: str, headers: Mapping[str, str]) -> Iterator[Response]:
    import requests
    from urllib3.exceptions import HTTPError  # of addresses, requests lets some through

    try:
        with requests.get(url, headers=headers, stream=True, timeout=SECONDS) as response:
            yield response
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _BrokenOffError(_describe_error(error)) from None
    except (requests.RequestException, HTTPError) as error:
        raise DataError(f"{url} cannot be fetched: {_describe_error(error)}") from None


def _describe_error(error: Exception) -> str:
    """The innermost reason, which names what failed without the library's layers about it."""
    while (inner := error.__cause__ or error.__context__) and isinstance(inner, Exception):
        error = inner
    return str(error)[:200] or type(error).__name__


def _check_answer(response: Response, url: str, sha256: str | None) -> None:
    """Refuse what is no file: an error, a page to log in on, a way that is not encrypted."""
    status = response.status_code
    passed = [one.url for one in (*response.history, response)]
    if sha256 is None and any(urlsplit(one).scheme != "https" for one in passed):
        raise DataError(f"{url} leads to {passed[-1]}, which is not encrypted; give its --sha256.")
    if status in _LATER:
        raise _BrokenOffError(f"the server answered {status} ({response.reason})")
    if status not in (200, 206, 416):
        raise DataError(f"{url} cannot be fetched: the server answered {status} ({response.reason}).")
    page = response.headers.get("Content-Type", "").startswith("text/html")
    if page and not urlsplit(url).path.lower().endswith((".html", ".htm")):
        raise DataError(
            f"{url} is a web page and no file: perhaps one must log in there, or press a button. Fetch it "
            "with a browser."
        )
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise DataError(f"{url} comes packed in a way that was not asked for; it cannot be checked.")


def _total(response: Response, start: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdigit() else None


def _continues(response: Response, have: int) -> bool:
    return re.match(rf"bytes {have}-\d", response.headers.get("Content-Range", "")) is not None


def _validator(response: Response) -> str | None:
    """What names this very version of the file, if the server says: RFC 9110 takes only strong ones."""
    tag = response.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
