"""The photos of a catalog read by threads, ahead of their turn and in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from trapline.catalog import Presence
from trapline.images import DEFAULT_LIMITS, Content, ImageError, ask_for
from trapline.storage import AnyPath, FetchAhead

Made = TypeVar("Made")


def read_photos(
    paths: Sequence[AnyPath],
    presence: Presence,
    rows: Iterable[int],
    make: Callable[[int, Path | Content], Made],
    *,
    workers: int | None = None,
    ahead: int = 64,
) -> Iterator[tuple[int, Made | ImageError]]:
    """Each row with what is made of its photo, or why that cannot be read.

    Photos of a bucket are fetched ahead, many at once, and made into what is wanted as there are cores.

    Args:
        paths: of all photos.
        presence: of the same.
        rows: that are wanted, in this order.
        make: from a row and its photo to what is wanted of it.
        workers: threads; None for one a core.
        ahead: so many at most are read before their turn.

    Raises:
        SourceGoneError: the drive with the photos is gone, or nothing of the bucket can be read.
    """

    def attempt(row: int, photo: Callable[[], Path | Content]) -> Made | ImageError:
        try:
            return make(row, photo())
        except ImageError as error:
            return error

    def take(row: int, future: Future[Made | ImageError]) -> tuple[int, Made | ImageError]:
        made = future.result()
        if isinstance(made, ImageError):
            presence.refuse_if_gone([paths[row]])
        else:
            presence.saw(paths[row])
        return row, made

    with (
        FetchAhead(DEFAULT_LIMITS.max_bytes) as fetched,
        ThreadPoolExecutor(workers or os.cpu_count()) as pool,
    ):
        waiting: deque[tuple[int, Future[Made | ImageError]]] = deque()
        for row in rows:
            waiting.append((row, pool.submit(attempt, row, ask_for(paths[row], fetched))))
            if len(waiting) >= ahead:
                yield take(*waiting.popleft())
        while waiting:
            yield take(*waiting.popleft())
