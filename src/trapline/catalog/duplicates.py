"""Files that are byte for byte the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path


def exact_duplicates(paths: Sequence[Path], on_file: Callable[[], object] = lambda: None) -> list[list[int]]:
    """Groups of places in `paths` whose files have the same content; files that cannot be read have none.

    Only files of equal size are read.

    Args:
        paths: the files.
        on_file: called once for each path that was dealt with, for a progress display.
    """
    by_size: dict[int, list[int]] = defaultdict(list)
    for place, path in enumerate(paths):
        try:
            by_size[path.stat().st_size].append(place)
        except OSError:
            on_file()
    by_content: dict[str, list[int]] = defaultdict(list)
    for places in by_size.values():
        for place in places:
            if len(places) > 1:
                _add(by_content, paths[place], place)
            on_file()
    return sorted(places for places in by_content.values() if len(places) > 1)


def _add(by_content: dict[str, list[int]], path: Path, place: int) -> None:
    from trapline.images import ImageError, content_hash

    try:
        by_content[content_hash(path)].append(place)
    except ImageError:
        return
