"""Folders of pictures: which files are there, in a steady order, and what was left aside."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from trapline.catalog import as_text
from trapline.errors import DataError, many
from trapline.formats.hidden import is_hidden
from trapline.formats.videos import count_videos
from trapline.tables import current_reading

_NAMED = 5
"""Folders that a note names; it counts the others."""


@dataclass(frozen=True)
class FoundFiles:
    """The pictures below a folder.

    Attributes:
        pictures: their paths relative to the folder (strings), with forward slashes, sorted; bytes of names
            that are not UTF-8 as `catalog.as_text` has them.
        empty_folders: folders without any picture in or below them, relative.
        unreadable_folders: folders whose content the system does not show, relative.
        left_out: what was left aside and what could not be read, in sentences for people.
    """

    pictures: pl.Series
    empty_folders: list[str]
    unreadable_folders: list[str]
    left_out: list[str]


def find_pictures(root: Path) -> FoundFiles:
    """Every picture below `root` by its file ending; what is hidden or a linked folder is only counted.

    Videos are listed in the reading that is open.

    Raises:
        DataError: `root` is no folder, or holds no picture that can be found.
    """
    from trapline.images import SUFFIXES

    if not root.is_dir():
        raise DataError(f"{root} is not a folder.")
    pictures: list[pl.Series] = []  # a folder at a time: as Python strings a card takes ten times as much
    full: set[str] = set()
    folders: list[str] = []
    videos: list[tuple[str, str]] = []
    aside: Counter[str] = Counter()
    refused: list[OSError] = []
    for folder, below, files in os.walk(root, onerror=refused.append):
        inner = Path(folder).relative_to(root)
        if inner.parts:
            folders.append(as_text(inner.as_posix()))
        links = [name for name in below if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114, PTH118 - a Path's question may raise
        aside["linked folders"] += len(links)
        hidden = [name for name in below if is_hidden(name)]
        aside["hidden folders"] += len(hidden)
        below[:] = sorted(set(below) - set(links) - set(hidden))
        if here := _sort_out(inner, files, videos, aside):
            pictures.append(pl.Series("file_path", here))
            full.update(as_text(above.as_posix()) for above in (inner, *inner.parents))
    unreadable = sorted(as_text(Path(error.filename).relative_to(root).as_posix()) for error in refused)
    left_out = _describe_left_out(aside, unreadable, refused)
    if not pictures:
        counted = count_videos(videos)
        why = "".join(f"; {sentence}" for sentence in left_out)
        why += f"; {counted.describe()}. Take frames out of them" if counted else ""
        raise DataError(f"There is no picture in or below {root} ({', '.join(sorted(SUFFIXES))}){why}.")
    current_reading().videos += sorted(videos)
    empty = sorted(folder for folder in folders if folder not in full and folder not in unreadable)
    return FoundFiles(pl.concat(pictures).sort(), empty, unreadable, left_out)


def _sort_out(
    folder: Path, files: Sequence[str], videos: list[tuple[str, str]], aside: Counter[str]
) -> list[str]:
    """The paths of the pictures among the files of a folder; the others are listed or counted."""
    from trapline.images import SUFFIXES, VIDEO_SUFFIXES

    pictures = []
    for name in files:
        ending = os.path.splitext(name)[1].lower()  # noqa: PTH122 - a Path for each of a million names is slow
        if name.startswith(".trapline-"):
            continue
        if is_hidden(name):
            aside["hidden files"] += 1
        elif ending in SUFFIXES:
            pictures.append(as_text((folder / name).as_posix()))
        elif ending in VIDEO_SUFFIXES:
            videos.append((as_text((folder / name).as_posix()), ending))
        else:
            aside[f"{as_text(ending)} files" if ending else "files without an ending"] += 1
    return pictures


def _describe_left_out(
    aside: Counter[str], unreadable: Sequence[str], refused: Sequence[OSError]
) -> list[str]:
    """What was left aside, and why folders could not be read, a sentence each."""
    counted = sorted(aside.items(), key=lambda item: (-item[1], item[0]))
    parts = ", ".join(f"{count:,} {what}" for what, count in counted if count)
    sentences = [f"left aside: {parts}"] if parts else []
    if unreadable:
        reasons = ", ".join(sorted({error.strerror or str(error) for error in refused}))
        more = ", …" if len(unreadable) > _NAMED else ""
        sentences.append(
            f"{many(len(unreadable), 'folder')} cannot be read, and what is in them is missing: "
            f"{', '.join(unreadable[:_NAMED])}{more} ({reasons})"
        )
    return sentences
