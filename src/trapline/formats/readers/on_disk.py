"""The pictures that a table from elsewhere means: its folders are those of another computer, or of none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from trapline.catalog import as_name, normal_paths
from trapline.errors import DataError, many
from trapline.formats.naming import match_some_names
from trapline.formats.readers.folders import find_pictures

URL = r"^[A-Za-z][A-Za-z0-9+.-]*://"
"""How an address begins; nothing is fetched from one."""

ELSEWHERE = r"^(/|[A-Za-z]:)"
"""How a path begins that is below no root of ours."""

_UPLOADED = r"^(?:images/|.*/data/upload/\d+/)?(?P<folder>(?:.*/)?)[0-9a-f]{4,32}-(?P<name>[^/]+)$"
_ROBOFLOW = r"^(?P<name>.+)_(?P<ending>[A-Za-z]{3,4})\.rf\.[0-9A-Za-z]{16,}\.[A-Za-z]{3,4}$"
_SERVED = r"^.*/data/local-files/\?d="

_LOOKED_AT = 200
"""Paths of which one must be there for all to be taken as they are."""


def pictures_below(root: Path) -> list[str]:
    """The pictures below a folder, as a catalog has their paths; none where it is not there."""
    try:
        return find_pictures(root).pictures.to_list()
    except DataError:  # there is no such folder, or no picture in it
        return []


def match_files(names: pl.Series, pictures: Sequence[str], source: Path) -> pl.Series:
    """The picture that each name means, by its end; null where there is none.

    Args:
        names: of files, with the folders of where the table was made, or without any; null is none.
        pictures: paths of those that are there.
        source: the table, for messages.

    Returns:
        String [names]: of `pictures`.

    Raises:
        DataError: a name could be any of several pictures, or two different ones be one.
    """
    distinct = names.drop_nulls().unique(maintain_order=True)
    rows = match_some_names(pictures, distinct.to_list(), source, lambda number: f"'{distinct[number]}'")
    by_name = {name: pictures[row] for name, row in zip(distinct, rows, strict=True) if row is not None}
    return names.replace_strict(by_name, default=None, return_dtype=pl.String)


def look_up_paths(paths: pl.Series, root: Path, source: Path, *, asked: bool) -> tuple[pl.Series, list[str]]:
    """Paths of a table as a catalog has them; those of another computer by their ends, and what to say of it.

    A path is looked for by its end where it cannot be below `root` or, where the user named that folder, if
    none of the first ones is there.

    Raises:
        DataError: as of `match_files`.
    """
    normal = normal_paths(paths, root)
    looked_at = normal.drop_nulls().unique(maintain_order=True).head(_LOOKED_AT)
    foreign = normal.str.contains(ELSEWHERE).fill_null(False)
    if asked and not foreign.any() and not any((root / path).exists() for path in looked_at):
        foreign = normal.is_not_null()
    if not foreign.any():
        return normal, []
    nothing = pl.Series([None], dtype=pl.String)
    matched = match_files(normal.zip_with(foreign, nothing), pictures_below(root), source)
    count = len(matched) - matched.null_count()
    if not count:
        return normal, []
    row = matched.is_not_null().arg_max() or 0
    note = (
        f"{count:,} of {many(int(foreign.sum()), 'path is')} of another folder and were matched by their "
        f"ends: '{paths[row]}' is taken for '{matched[row]}'"
    )
    return matched.fill_null(normal), [note]


def look_up_renamed(paths: pl.Series, root: Path, source: Path) -> tuple[pl.Series, list[str]]:
    """Paths with the names that tools of annotation give to photos, as these are called on the disk.

    Label Studio writes `3f2c1a2b-IMG_0001.JPG`, with what it counts uploads by, and addresses of its own
    server; Roboflow `IMG_0001_JPG.rf.<hash>.jpg`. Names that are there, and those of which the photo is not
    below `root`, stay.

    Raises:
        DataError: a name could be any of several pictures, or two different ones be one.
    """
    before = paths.str.replace(_UPLOADED, "$folder$name").str.replace(_ROBOFLOW, "$name.$ending")
    before = before.str.replace(_SERVED, "")
    changed = (before != paths).fill_null(False)
    if changed.any():
        there = pl.Series(
            [
                os.path.exists(root / as_name(path))  # noqa: PTH110 - it says no to a name that none can have
                for path in paths.filter(changed)
            ],
            dtype=pl.Boolean,
        )
        changed = changed.scatter(changed.arg_true().filter(there), False)
    if not changed.any():
        return paths, []
    nothing = pl.Series([None], dtype=pl.String)
    matched = match_files(before.zip_with(changed, nothing), pictures_below(root), source)
    count = len(matched) - matched.null_count()
    if not count:
        return paths, []
    row = matched.is_not_null().arg_max() or 0
    return matched.fill_null(paths), [
        f"{many(count, 'file has')} names that a tool of annotation gave them: '{paths[row]}' is taken for "
        f"'{matched[row]}'"
    ]
