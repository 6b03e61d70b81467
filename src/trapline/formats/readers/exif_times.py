"""Times and cameras from the EXIF of photos, for readers whose source does not say them."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from trapline.addresses import address_of
from trapline.catalog import ByDefault, Catalog, Splitter, as_name
from trapline.errors import DataError, TraplineWarning, many
from trapline.formats.exiftool import installed_exiftool, read_tag
from trapline.storage import AnyPath
from trapline.times import day_evidence, read_time

if TYPE_CHECKING:
    from trapline.images import ExifInfo

PHOTOS_AT_ONCE = 512
"""Photos whose EXIF is in memory as Python objects, of a card that may have any number."""

TIME_TAG = "exif_time_tag"
"""A column of catalogs whose times are the photos': which tag each was read from."""

MODIFIED = "exif_modified"
"""A column of catalogs with changed photos: the time of the tag `DateTime`, where it is none of capture."""

_XMP = "XMP "
_EXAMPLES = 3
_MAKER_NOTE = "MakerNotes:DateTimeOriginal"
_MAKER_NOTES_AT_ONCE = 64

_EXIF_COLUMNS: dict[str, pl.DataType] = {
    "camera_time": pl.Datetime("us"),
    "timestamp": pl.Datetime("us", "UTC"),
    TIME_TAG: pl.String(),
    MODIFIED: pl.Datetime("us"),
    "camera_make": pl.String(),
    "camera_model": pl.String(),
    "camera_serial": pl.String(),
}


_TIMES = {"camera_time", "timestamp", "timestamp_source"}


def add_exif(rows: pl.DataFrame, root: AnyPath) -> tuple[pl.DataFrame, list[str]]:
    """Rows with `file_path` and, of each photo, its clock and camera; also what is to be told of it.

    Pixels are not decoded. `exif_time_tag` says where a time was read: the capture's tags first; then what
    the maker of the camera wrote in a way of its own, where ExifTool is installed, which knows it. The tag
    `DateTime` is no time of capture where something says that the photo was changed: it then stands in
    `exif_modified`.

    Raises:
        DataError: the rows have a column of these names already.
    """
    taken = [name for name in _EXIF_COLUMNS if name in rows.columns]
    if taken:
        raise DataError(f"The source has a column {taken[0]}, as the photos' EXIF data have: rename it.")
    told = _Told()
    parts = []
    ambiguous: dict[int, str] = {}
    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
        for start, infos in _read_all(rows, root, pool, told):
            ambiguous |= {start + row: info.time_text for row, info in enumerate(infos) if info.time_text}
            told.count(infos)
            values = [
                (one.camera_time, one.timestamp, one.time_tag, one.modified, one.make, one.model, one.serial)
                for one in infos
            ]
            parts.append(pl.DataFrame(values, schema=_EXIF_COLUMNS, orient="row"))
    exif, more = _settle_days(pl.concat(parts), ambiguous)
    if exif[MODIFIED].null_count() == exif.height:
        exif = exif.drop(MODIFIED)
    known = pl.col("camera_time").is_not_null()
    rows = rows.hstack(exif).with_columns(
        pl.when(known).then(pl.lit("exif")).otherwise(pl.lit("none")).alias("timestamp_source")
    )
    return rows, [*told.notes(), *more]


def with_times_for(splitter: Splitter, catalog: Catalog) -> Catalog:
    """The catalog, with the times of its photos where a splitter has nothing else to go by (`ByDefault`).

    Told by a warning. A catalog that has times or events already is left as it is.
    """
    if not isinstance(splitter, ByDefault) or not splitter.needs_times(catalog):
        return catalog
    table = catalog.table
    if table["camera_time"].null_count() < table.height or set(_EXIF_COLUMNS) & set(table.columns) - _TIMES:
        return catalog
    rows, notes = add_exif(table.drop(_TIMES), catalog.root)
    known = rows.height - rows["camera_time"].null_count()
    told = (
        f"All labelled photos are of one location, and the source names no times: EXIF has those of {known} "
    )
    warnings.warn(
        " ".join([f"{told}of {many(rows.height, 'photo')}.", *notes]), TraplineWarning, stacklevel=3
    )
    return catalog.with_table(rows.select(*table.columns, pl.exclude(table.columns)))


def _read_all(
    rows: pl.DataFrame, root: AnyPath, pool: ThreadPoolExecutor, told: _Told
) -> Iterator[tuple[int, list[ExifInfo]]]:
    """The first row of each part, and what its photos say."""
    from trapline.images import read_exif

    program, asked = None, False
    root, start = address_of(root), 0
    for part in rows.select("file_path").iter_slices(PHOTOS_AT_ONCE):
        paths = [root / as_name(path) for path in part["file_path"]]
        infos = list(pool.map(read_exif, paths))
        open_ones = [row for row, info in enumerate(infos) if info.maker_note and info.camera_time is None]
        if open_ones and not asked:
            program, asked = installed_exiftool(), True
        if program is not None:
            for row, info in _read_maker_notes(program, open_ones, paths, infos, pool):
                infos[row] = info
        else:
            told.maker_notes_unread += len(open_ones)
        yield start, infos
        start += len(infos)


def _read_maker_notes(
    program: str,
    rows: Sequence[int],
    paths: Sequence[AnyPath],
    infos: Sequence[ExifInfo],
    pool: ThreadPoolExecutor,
) -> Iterator[tuple[int, ExifInfo]]:
    """Those of the photos `rows` whose makers wrote the time in a way of their own."""
    slices = [
        rows[start : start + _MAKER_NOTES_AT_ONCE] for start in range(0, len(rows), _MAKER_NOTES_AT_ONCE)
    ]
    answers = pool.map(lambda some: read_tag(program, [paths[row] for row in some], _MAKER_NOTE), slices)
    for some, texts in zip(slices, answers, strict=True):
        for row, text in zip(some, texts, strict=True):
            read = read_time(text or "")
            if read is not None and read.wall is not None:
                yield (
                    row,
                    replace(
                        infos[row],
                        camera_time=read.wall,
                        timestamp=read.instant,
                        time_tag=_MAKER_NOTE,
                        time_text=None,
                        problem=None,
                    ),
                )


def _settle_days(exif: pl.DataFrame, ambiguous: dict[int, str]) -> tuple[pl.DataFrame, list[str]]:
    """Times with day and month in an order that one photo does not tell, if all of them together do."""
    if not ambiguous:
        return exif, []
    order = day_evidence(ambiguous.values()).order
    read = {row: read_time(text, order) for row, text in ambiguous.items()}
    times = exif["camera_time"].to_list()
    for row, one in read.items():
        times[row] = one and one.wall
    exif = exif.with_columns(
        pl.Series("camera_time", times, pl.Datetime("us")),
        pl.when(pl.Series(times, dtype=pl.Datetime("us")).is_not_null()).then(TIME_TAG).alias(TIME_TAG),
    )
    lost = sum(one is None or one.wall is None for one in read.values())
    first = next(iter(ambiguous.values()))
    notes = []
    if order is not None:
        notes.append(f"EXIF: {many(len(read) - lost, 'photo has')} their dates {order}, as {first!r}")
    if lost:
        notes.append(
            f"EXIF: {many(lost, 'photo has')} dates of which nothing tells the day from the month, as "
            f"{first!r}: they have no time"
        )
    return exif, notes


class _Told:
    """What there is to say of the EXIF of many photos."""

    def __init__(self) -> None:
        self.problems: Counter[str] = Counter()
        self.examples: dict[str, set[str]] = {}
        self.changed_by: Counter[str | None] = Counter()
        self.silent = self.by_change_tag = self.in_xmp = self.maker_notes = self.maker_notes_unread = 0

    def count(self, infos: Sequence[ExifInfo]) -> None:
        """Add some photos."""
        for one in infos:
            if one.problem is not None and not one.time_text:
                kind = re.split(r": | \(", one.problem, maxsplit=1)[0]
                example = one.problem[len(kind) :].removeprefix(": ").removeprefix(" (").removesuffix(")")
                self.problems[kind] += 1
                examples = self.examples.setdefault(kind, set())
                if example and len(examples) <= _EXAMPLES:
                    examples.add(example)
        self.changed_by.update(one.software for one in infos if one.modified and one.camera_time is None)
        self.silent += sum(one.camera_time is None and one.problem is None for one in infos)
        self.by_change_tag += sum(one.time_tag == "DateTime" for one in infos)
        self.in_xmp += sum((one.time_tag or "").startswith(_XMP) for one in infos)
        self.maker_notes += sum(one.time_tag == _MAKER_NOTE for one in infos)

    def notes(self) -> list[str]:
        """In sentences."""
        counted = self.problems.most_common()
        notes = [f"EXIF: {many(count, 'photo')}: {self._describe(kind)}" for kind, count in counted]
        if self.silent:
            notes.append(f"EXIF: {many(self.silent, 'photo has')} no time")
        if self.changed_by:
            names = ", ".join(repr(name) for name, _ in self.changed_by.most_common(3) if name)
            notes.append(
                f"EXIF: {many(self.changed_by.total(), 'photo says')} only when they were modified "
                f"({f'by {names}; ' if names else ''}the tag DateTime), which is no time of capture: kept in "
                f"the column {MODIFIED}"
            )
        if self.by_change_tag:
            notes.append(
                f"EXIF: {many(self.by_change_tag, 'photo has')} no DateTimeOriginal; their time is that of "
                f"the tag DateTime, which programs that change a photo set anew ({TIME_TAG} tells them)"
            )
        if self.in_xmp:
            notes.append(
                f"EXIF: {many(self.in_xmp, 'photo has')} their time in XMP alone ({TIME_TAG} tells them)"
            )
        if self.maker_notes:
            notes.append(
                f"EXIF: {many(self.maker_notes, 'photo has')} their time where only the camera's maker "
                "writes it; it was read with ExifTool"
            )
        if self.maker_notes_unread:
            notes.append(
                f"EXIF: {many(self.maker_notes_unread, 'photo without a time has')} a block of the camera's "
                "maker, which may hold it: with the program ExifTool (https://exiftool.org) it is read"
            )
        return notes

    def _describe(self, kind: str) -> str:
        examples = sorted(self.examples[kind])
        more = ", …" if len(examples) > _EXAMPLES else ""
        return f"{kind}: {', '.join(examples[:_EXAMPLES])}{more}" if examples else kind
