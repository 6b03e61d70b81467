"""Objects fetched before their turn: many at once, in bounded memory, since each takes its time to come."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from errno import ECANCELED
from types import TracebackType
from typing import Self

from trapline.storage.remote_path import RemotePath, RemoteStat

AT_ONCE = 16
"""Requests under way. A server that takes 50 milliseconds to answer each still gives 300 photos a second."""

MOST_BYTES = 128 * 2**20
"""That are here and not taken yet, or are expected; at least one object is, however large."""

_EXPECTED = 2 * 2**20
"""Bytes of an object, before the first is here."""


class FetchAhead:
    """Fetches what is asked for in that order, so many at once; what was not taken yet is bounded.

    What is asked for first must be taken first, or at the same time: a later one may wait for its room.
    """

    def __init__(self, most: int) -> None:
        """Most: bytes that an object may have."""
        self._most = most
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch")
        self._changed = threading.Condition()
        self._asked = self._begun = 0  # how many; one after the other gets its room
        self._held, self._expected, self._closed = 0, _EXPECTED, False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Fetch nothing more; what is under way is not waited for."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def ask(self, path: RemotePath) -> Fetching:
        """Have an object fetched in its turn."""
        with self._changed:
            ticket, self._asked = self._asked, self._asked + 1
        return Fetching(self, self._pool.submit(self._fetch, path, ticket))

    def _fetch(self, path: RemotePath, ticket: int) -> tuple[bytes, RemoteStat, int]:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (ticket == self._begun and self._has_room()))
            self._begun += 1
            taken = self._expected
            self._held += taken
            self._changed.notify_all()
        try:
            content, stat = path.fetch(most=self._most, pause=self._pause)
        except BaseException:
            self.give_back(taken)
            raise
        with self._changed:
            self._held += len(content) - taken
            self._expected += (len(content) - self._expected) // 16  # as the last ones had
        return content, stat, len(content)

    def _pause(self, seconds: float) -> None:
        with self._changed:
            if self._changed.wait_for(lambda: self._closed, seconds):
                raise OSError(ECANCELED, "It is no longer wanted")

    def _has_room(self) -> bool:
        return self._held == 0 or self._held + self._expected <= MOST_BYTES

    def give_back(self, size: int) -> None:
        """So many bytes are no longer here."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()


class Fetching:
    """An object that is on its way."""

    def __init__(self, ahead: FetchAhead, future: Future[tuple[bytes, RemoteStat, int]]) -> None:
        self._ahead, self._future = ahead, future

    def take(self) -> tuple[bytes, RemoteStat]:
        """Its content, and what tells it from another; its room is another's then.

        Raises:
            OSError: it cannot be read, or has too many bytes.
            SourceGoneError: nothing of the bucket can be.
        """
        content, stat, size = self._future.result()
        self._ahead.give_back(size)
        return content, stat
