"""Photos that have moved: found again at their paths, by their content, or with their whole folder."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from itertools import takewhile
from pathlib import Path, PurePosixPath

import polars as pl

from trapline.catalog.identity import MediaFile, content_hash, content_size, media_files
from trapline.catalog.names import as_name, as_text
from trapline.catalog.table import Catalog
from trapline.errors import DataError
from trapline.storage import AnyPath, RemotePath

_TRIED = 64  # missing media from which guesses of where a folder went are made, at a time


def relocate(catalog: Catalog, root: AnyPath) -> Catalog:
    """The catalog with its files looked for below another folder; ids, labels and all else stay.

    A media is the file at its path below `root`; else the file of its content, where that was kept
    (`identify`), under whatever name; else the file at the place where its whole folder went: all of that
    folder's media must be there, in one place only, and taken when the catalog says if that is known from
    the EXIF. Nothing else is guessed: what is not found keeps its path, is counted in the notes, and fails
    where it is asked for.

    Args:
        catalog: one whose photos were moved, copied or renamed.
        root: the folder in which they are now, on a disk or in a bucket.

    Raises:
        DataError: the folder is missing, or none of the media is in it.
    """
    root = root.absolute()
    if not root.is_dir():
        raise DataError(f"The folder {root}, in which the photos should be, does not exist.")
    search = _Search(root, catalog.table["file_path"].to_list(), media_files(catalog), _exif_times(catalog))
    search.by_path()
    counts = [(len(search.placed), "at their paths")]
    for way, words in ((search.by_content, "by their content"), (search.by_folder, "with their folder")):
        before = len(search.placed)
        way()
        counts.append((len(search.placed) - before, words))
    if not search.placed and len(catalog):
        raise DataError(
            f"None of the {len(catalog):,} media is in {root}: neither at its path (the first is "
            f"{search.paths[0]}) nor, where that is known, by its content. Name the folder that holds them."
        )
    table = catalog.table.with_columns(
        pl.Series("file_path", [search.placed.get(row, path) for row, path in enumerate(search.paths)])
    )
    facts = replace(catalog.facts, notes=(*catalog.facts.notes, _note(root, counts, search.missing())))
    return replace(catalog.with_table(table, facts), root=root)


def _note(root: AnyPath, counts: Sequence[tuple[int, str]], missing: Sequence[str]) -> str:
    parts = [f"{count:,} {words}" for count, words in counts if count]
    note = f"media looked for in {root}: {', '.join(parts)}"
    if not missing:
        return note
    return f"{note}; {len(missing):,} are not there ({', '.join(missing[:3])}{', …' if missing[3:] else ''})"


@dataclass
class _Search:
    """What is looked for, and what was found: row → path below the root."""

    root: AnyPath
    paths: list[str]
    files: list[MediaFile]
    times: list[datetime | None]
    placed: dict[int, str] = field(default_factory=dict)

    def missing(self) -> list[str]:
        """Paths of media that were not found."""
        return [path for row, path in enumerate(self.paths) if row not in self.placed]

    def _rows(self) -> list[int]:
        return [row for row in range(len(self.paths)) if row not in self.placed]

    def by_path(self) -> None:
        """Media that are where they should be, be their letters written otherwise (Unicode, case)."""
        for row, path in enumerate(self.paths):
            if self._can_be(path, row):
                self.placed[row] = path
        if len(self.placed) == len(self.paths):
            return
        alike = _by_key(self._there(), _spelling)
        for row in self._rows():
            names = alike.get(_spelling(self.paths[row]), ())
            if len(names) == 1 and self._can_be(names[0], row):
                self.placed[row] = names[0]

    def by_content(self) -> None:
        """Media whose content was kept, under any name."""
        wanted: dict[int, list[int]] = defaultdict(list)
        for row in self._rows():
            if (size := self.files[row].size) and self.files[row].content_hash is not None:
                wanted[size].append(row)
        if not wanted:
            return
        having: dict[str, list[str]] = defaultdict(list)
        for name in self._there():
            path = self.root / as_name(name)
            try:
                if content_size(path) in wanted:
                    having[content_hash(path)].append(name)
            except OSError:
                continue
        for row in (row for rows in wanted.values() for row in rows):
            names = having.get(self.files[row].content_hash or "", ())
            if names:  # they are all the same
                self.placed[row] = max(names, key=lambda name: _common_end(name, self.paths[row]))

    def by_folder(self) -> None:
        """Media of which no content is known, where all of their folder went to one place."""
        names = _by_key(self._there(), _last)
        there = {name for group in names.values() for name in group}
        rows = [row for row in self._rows() if self.files[row].content_hash is None]
        while moves := {move for row in rows[:_TRIED] for move in _moves(self.paths[row], names)}:
            owner = _owners(self.paths, rows)
            whole: dict[str, list[tuple[str, list[int]]]] = defaultdict(list)
            for old, new in moves:
                below = [row for row in rows if self.paths[row].startswith(old)]
                if all(
                    self._may_be(row, new + self.paths[row].removeprefix(old), there, owner) for row in below
                ):
                    whole[old].append((new, below))
            sure = {old: targets[0] for old, targets in whole.items() if len(targets) == 1}
            if not sure:
                rows = rows[_TRIED:]
                continue
            old = min(sure, key=len)
            new, below = sure[old]
            there -= {new + self.paths[row].removeprefix(old) for row in below}
            self.placed |= {row: new + self.paths[row].removeprefix(old) for row in below}
            rows = [row for row in rows if row not in self.placed]

    def _may_be(self, row: int, name: str, there: set[str], owner: Mapping[str, int | None]) -> bool:
        """Whether a file is there, and was taken when the media was, or else is no other media's as well."""
        from trapline.images import read_exif

        if name not in there:
            return False
        known = self.times[row]
        if known is not None:
            return known == read_exif(self.root / as_name(name)).camera_time
        return next(owner[end] for end in _ends(name) if end in owner) == row

    def _can_be(self, name: str, row: int) -> bool:
        """Whether a file is there that may be the one: of its size, where that was kept, else any."""
        path, size = self.root / as_name(name), self.files[row].size
        try:
            there = name in self._listed if isinstance(path, RemotePath) else path.is_file()
            return there and (size is None or size == content_size(path))
        except OSError:
            return False

    def _there(self) -> Iterator[str]:
        """Files below the root that are no media's yet."""
        taken = set(self.placed.values())
        names = self._listed if isinstance(self.root, RemotePath) else _walk(self.root)
        return (name for name in names if name not in taken)

    @cached_property
    def _listed(self) -> dict[str, None]:
        """All that is below a root in a bucket, by one listing."""
        names = self.root.walk() if isinstance(self.root, RemotePath) else ()
        return dict.fromkeys(as_text(name) for name, _ in names)


def _walk(root: Path) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        below = Path(folder).relative_to(root)
        yield from (as_text((below / name).as_posix()) for name in names)


def _exif_times(catalog: Catalog) -> list[datetime | None]:
    """What the EXIF of each file said when the catalog was made; None where it said nothing."""
    shift = pl.lit(0)
    if "clock_shift_seconds" in catalog.table.columns:
        shift = pl.col("clock_shift_seconds").fill_null(0)
    written = pl.col("camera_time") - pl.duration(seconds=shift)
    from_exif = pl.col("timestamp_source") == "exif"
    return catalog.table.select(pl.when(from_exif).then(written)).to_series().to_list()


def _by_key(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[key(name)].append(name)
    return groups


def _spelling(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _last(path: str) -> str:
    return PurePosixPath(path).name


def _common_end(one: str, other: str) -> int:
    """How many of the last parts of two paths are the same."""
    pairs = zip(reversed(one.split("/")), reversed(other.split("/")), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _ends(path: str) -> Iterator[str]:
    """The path, and what is left of it without its first folder, its first two, …"""
    parts = path.split("/")
    yield from ("/".join(parts[start:]) for start in range(len(parts)))


def _owners(paths: Sequence[str], rows: Sequence[int]) -> dict[str, int | None]:
    """End of a path → the one of the rows whose path ends so; None for several."""
    owner: dict[str, int | None] = {}
    for row in rows:
        for end in _ends(paths[row]):
            owner[end] = None if end in owner else row
    return owner


def _moves(path: str, names: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Beginnings of a path with what may stand in their place, ending with a slash or empty.

    What stays the same are the file's name and at least its folder's; a file's name alone says little, as
    every camera counts from 1.
    """
    for name in names.get(_last(path), ()):
        for same in range(2 if "/" in path else 1, _common_end(path, name) + 1):
            old, new = path.split("/")[:-same], name.split("/")[:-same]
            yield "/".join([*old, ""]) if old else "", "/".join([*new, ""]) if new else ""
