"""Files that are byte for byte the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path


def exact_duplicates(paths: Sequence[Path], on_file: Callable[[], object] = lambda: None) -> list[list[int]]:
    """Groups of indices in `paths` whose files have the same content; files that cannot be read have none.

    Only files of equal size are read.

    Args:
        paths: the files.
        on_file: called once for each path that was dealt with, for a progress display.
    """
    by_size: dict[int, list[int]] = defaultdict(list)
    for index, path in enumerate(paths):
        try:
            by_size[path.stat().st_size].append(index)
        except OSError:
            on_file()
    by_content: dict[str, list[int]] = defaultdict(list)
    for indices in by_size.values():
        for index in indices:
            if len(indices) > 1:
                _add(by_content, paths[index], index)
            on_file()
    return sorted(indices for indices in by_content.values() if len(indices) > 1)


def _add(by_content: dict[str, list[int]], path: Path, index: int) -> None:
    from trapline.images import ImageError, content_hash

    try:
        by_content[content_hash(path)].append(index)
    except ImageError:
        return
