"""What is wrong with the files of a catalog: missing, unreadable, double, labelled in two ways."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from trapline.catalog.identity import MediaFile, equal_files, media_files
from trapline.catalog.presence import refuse_gone
from trapline.catalog.table import Catalog
from trapline.storage import AnyPath, RemotePath, remote_stats


@dataclass(frozen=True)
class FileCheck:
    """What was found; media are named by their ids.

    Attributes:
        depth: `quick` (names and equal files) or `full` (every picture was decoded).
        missing: media whose file is not there.
        unreadable: media whose file is no picture, with the reason; `full` only.
        damaged: media of which only a part could be decoded, with the warning; `full` only.
        same_path: groups of media that are one file.
        duplicates: groups of media whose files have the same content (see `trapline.catalog.content_hash`).
        near_duplicates: groups of media that look alike though they are of different events; `full` only.
        conflicts: groups of equal files, or of media that are one file, whose labels differ.
        near_conflicts: groups that look alike and whose labels differ; `full` only.
    """

    depth: str
    missing: tuple[str, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    damaged: tuple[tuple[str, str], ...] = ()
    same_path: tuple[tuple[str, ...], ...] = ()
    duplicates: tuple[tuple[str, ...], ...] = ()
    near_duplicates: tuple[tuple[str, ...], ...] = ()
    conflicts: tuple[tuple[str, ...], ...] = ()
    near_conflicts: tuple[tuple[str, ...], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def check_files(
    catalog: Catalog, *, full: bool = False, on_file: Callable[[int], object] = lambda number: None
) -> FileCheck:
    """Look at the files of a catalog.

    Args:
        catalog: what to check.
        full: also decode every picture, at reduced size, to find those that cannot be read and those
            that look alike.
        on_file: told with how many more media a step is through (two steps where `full`), for a
            progress display.

    Raises:
        SourceGoneError: `full`, and none of the photos can be read.
    """
    if full:
        refuse_gone(catalog)
    table, files = catalog.table, media_files(catalog)
    ids = table["media_id"].to_list()
    there = _find(catalog, files)
    equal = equal_files(files, on_file)
    same_path = _same_path(table)
    unlike = _labels_differ(table)
    check = FileCheck(
        depth="full" if full else "quick",
        missing=tuple(media for media, path in zip(ids, there, strict=True) if path is None),
        same_path=_describe_named(same_path, ids),
        duplicates=_describe_named(
            [group for group in equal if len({files[row].path for row in group}) > 1], ids
        ),
        conflicts=_describe_named([group for group in equal if unlike(group)], ids),
    )
    return _decode_files(check, table, there, equal, on_file) if full else check


def _find(catalog: Catalog, files: Sequence[MediaFile]) -> list[AnyPath | None]:
    """Where each file is; None where it is not there."""
    if isinstance(catalog.root, RemotePath):
        remote = [file.path for file in files if isinstance(file.path, RemotePath)]
        stats = remote_stats(remote)
        return [None if stat is None else path for path, stat in zip(remote, stats, strict=True)]
    paths = [str(file.path) for file in files]
    return [Path(path) if os.path.isfile(path) else None for path in paths]  # noqa: PTH113 - a Path for each that is gone is slow


def _decode_files(
    check: FileCheck,
    table: pl.DataFrame,
    paths: Sequence[AnyPath | None],
    equal: list[list[int]],
    on_file: Callable[[int], object],
) -> FileCheck:
    from trapline.images import near_duplicates

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looks = []
        for look in pool.map(_look, paths):
            looks.append(look)
            on_file(1)
    ids, events = table["media_id"].to_list(), table["event_id"].to_list()
    twins = {frozenset(group) for group in equal}
    alike = [
        group
        for group in near_duplicates([print_ for print_, _, _ in looks])
        # frames of one event are alike by nature, and equal files are named already
        if frozenset(group) not in twins and not _one_event([events[row] for row in group])
    ]
    unlike = _labels_differ(table)
    return replace(
        check,
        unreadable=tuple((ids[row], reason) for row, (_, reason, _) in enumerate(looks) if reason),
        damaged=tuple((ids[row], warning) for row, (_, _, warning) in enumerate(looks) if warning),
        near_duplicates=_describe_named(alike, ids),
        near_conflicts=_describe_named([group for group in alike if unlike(group)], ids),
    )


def _look(path: AnyPath | None) -> tuple[int | None, str | None, str | None]:
    """Perceptual hash, why it cannot be read, and what is wrong with what can; all None for no file."""
    from trapline.images import ImageError, fetch, load, perceptual_hash

    if path is None:
        return None, None, None
    try:
        photo = fetch(path) if isinstance(path, RemotePath) else path
        return perceptual_hash(photo), None, load(photo, min_side=(64, 64)).warning
    except ImageError as error:
        return None, str(error), None


def _one_event(events: Sequence[str | None]) -> bool:
    return events[0] is not None and len(set(events)) == 1


def _same_path(table: pl.DataFrame) -> list[list[int]]:
    rows = table.select("file_path").with_row_index("row").filter(pl.col("file_path").is_duplicated())
    return rows.group_by("file_path", maintain_order=True).agg("row")["row"].to_list()


def _labels_differ(table: pl.DataFrame) -> Callable[[Sequence[int]], bool]:
    labels = [None if names is None else frozenset(names) for names in table["labels"].to_list()]
    return lambda group: len({labels[row] for row in group} - {None}) > 1


def _describe_named(groups: Sequence[Sequence[int]], ids: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(ids[row] for row in group) for group in groups)
