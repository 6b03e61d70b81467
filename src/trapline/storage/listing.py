"""What tells the contents of many objects, by few requests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from trapline.storage.remote_path import RemotePath, RemoteStat

_AT_ONCE = 16
_FEW = 4
"""Of those that are asked for, on a page of a listing: less, and each is asked for by itself."""

_UNSORTED = ("az",)
"""Where a listing cannot begin behind a name."""


def remote_stats(paths: Sequence[RemotePath]) -> list[RemoteStat | None]:
    """The stat of each object; None where there is none, or it is not given.

    A server lists a thousand objects by one request, in the order of their names: where many of those that
    are asked for follow one another, that is how they are looked up.

    Raises:
        SourceGoneError: nothing of the bucket can be read.
    """
    stats: dict[RemotePath, RemoteStat | None] = {}
    left = sorted(set(paths))
    while len(left) > _FEW and left[0].scheme not in _UNSORTED:
        try:
            page, more = left[0].page()
        except OSError:  # an account may read without the right to list
            break
        last = max(page, default="")
        bucket = left[0].scheme, left[0].bucket
        done = [
            path for path in left if (path.scheme, path.bucket) == bucket and (path.key <= last or not more)
        ]
        if len(done) <= _FEW or list(page) != sorted(page):
            break
        stats |= {path: page.get(path.key) for path in done}
        left = left[len(done) :]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        stats |= zip(left, pool.map(_stat_or_none, left), strict=True)
    return [stats[path] for path in paths]


def remote_identities(paths: Sequence[RemotePath]) -> list[bytes | None]:
    """32 bytes for each object that stand for its content as long as its server says that it is the same.

    They are of its address, ETag and size, so that nothing is read; None where there is none, or no ETag.
    """
    texts = [
        None if stat is None or stat.etag is None else f"{path}\0{stat.etag}\0{stat.size}"
        for path, stat in zip(paths, remote_stats(paths), strict=True)
    ]
    return [None if text is None else hashlib.sha256(text.encode()).digest() for text in texts]


def _stat_or_none(path: RemotePath) -> RemoteStat | None:
    try:
        return path.stat()
    except OSError:
        return None
