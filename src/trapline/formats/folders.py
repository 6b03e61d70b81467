"""Folders of pictures: which files are there, in a steady order, and what was left aside."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from trapline.catalog import as_text
from trapline.errors import DataError


@dataclass(frozen=True)
class FoundFiles:
    """The pictures below a folder.

    Attributes:
        pictures: their paths relative to the folder (strings), with forward slashes, sorted; bytes of names
            that are not UTF-8 as `catalog.as_text` has them.
        empty_folders: folders without any picture in or below them, relative.
        notes: what was left aside, for people.
    """

    pictures: pl.Series
    empty_folders: list[str]
    notes: list[str]


def find_pictures(root: Path) -> FoundFiles:
    """Every picture below `root` by its file ending; what is hidden or a linked folder is only counted.

    Raises:
        DataError: `root` is no folder, or holds no picture.
    """
    from trapline.images import SUFFIXES

    if not root.is_dir():
        raise DataError(f"{root} is not a folder.")
    pictures: list[pl.Series] = []  # a folder at a time: as Python strings a card takes ten times as much
    full: set[str] = set()
    folders: list[str] = []
    aside: Counter[str] = Counter()
    for folder, below, files in os.walk(root):
        inner = Path(folder).relative_to(root)
        if inner.parts:
            folders.append(as_text(inner.as_posix()))
        links = [name for name in below if Path(folder, name).is_symlink()]
        aside["linked folders"] += len(links)
        hidden = [name for name in below if is_hidden(name)]
        aside["hidden folders"] += len(hidden)
        below[:] = sorted(set(below) - set(links) - set(hidden))
        here = []
        for name in files:
            ending = os.path.splitext(name)[1].lower()  # noqa: PTH122 - a Path for each of a million names is slow
            if name.startswith(".trapline-"):
                continue
            if is_hidden(name):
                aside["hidden files"] += 1
            elif ending in SUFFIXES:
                here.append(as_text((inner / name).as_posix()))
            else:
                aside[f"{ending} files" if ending else "files without an ending"] += 1
        if here:
            pictures.append(pl.Series("file_path", here))
            full.update(as_text(above.as_posix()) for above in (inner, *inner.parents))
    if not pictures:
        raise DataError(f"There is no picture in or below {root} ({', '.join(sorted(SUFFIXES))}).")
    said = ", ".join(f"{count:,} {what}" for what, count in aside.most_common() if count)
    return FoundFiles(
        pl.concat(pictures).sort(),
        sorted(folder for folder in folders if folder not in full),
        [f"left aside: {said}"] if said else [],
    )


def is_hidden(name: str) -> bool:
    """Whether a name is hidden, or of what systems leave in folders."""
    return name.startswith(".") or name in ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")
