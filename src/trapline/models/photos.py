"""The photos of a catalog read by threads, ahead of their turn and in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from trapline.catalog import Presence
from trapline.images import ImageError

Made = TypeVar("Made")


def read_photos(
    paths: Sequence[Path],
    presence: Presence,
    rows: Iterable[int],
    make: Callable[[int], Made],
    *,
    workers: int | None = None,
    ahead: int = 64,
) -> Iterator[tuple[int, Made | ImageError]]:
    """Each row with what is made of its photo, or why that cannot be read.

    Args:
        paths: of all photos.
        presence: of the same.
        rows: that are wanted, in this order.
        make: from a row to what is wanted of its photo.
        workers: threads; None for one a core.
        ahead: so many at most are read before their turn.

    Raises:
        SourceGoneError: the drive with the photos is gone.
    """

    def attempt(row: int) -> Made | ImageError:
        try:
            return make(row)
        except ImageError as error:
            return error

    def take(row: int, future: Future[Made | ImageError]) -> tuple[int, Made | ImageError]:
        made = future.result()
        if isinstance(made, ImageError):
            presence.refuse_if_gone([paths[row]])
        else:
            presence.saw(paths[row])
        return row, made

    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        waiting: deque[tuple[int, Future[Made | ImageError]]] = deque()
        for row in rows:
            waiting.append((row, pool.submit(attempt, row)))
            if len(waiting) >= ahead:
                yield take(*waiting.popleft())
        while waiting:
            yield take(*waiting.popleft())
