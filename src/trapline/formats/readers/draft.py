"""What a reader hands over, and how it becomes a checked catalog: the same for every format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import overload

import polars as pl
from pydantic import JsonValue

from trapline.catalog import (
    BLANK_WORDS,
    EVENT_LABELS,
    SCHEMA,
    Catalog,
    CatalogFacts,
    ReadAs,
    RejectedRows,
    conform,
    describe_impossible_times,
    normal_paths,
    number_frames,
    row_rules,
)
from trapline.errors import DataError
from trapline.formats.readers.clock_shifts import read_clock_shifts, shift_clocks
from trapline.formats.readers.on_disk import ELSEWHERE
from trapline.formats.readers.other_forms import as_on_disk
from trapline.formats.times import parse_times, to_utc
from trapline.formats.videos import count_videos, leave_out_videos
from trapline.tables import MOST_KEPT, Reading, current_reading, describe_lines, reject_rows
from trapline.taxonomy import BLANK, group_spelt_alike

_NAMES = ("location_id", "deployment_id", "event_id")


@dataclass
class Draft:
    """Media as a reader found them, before the checks that all formats share.

    Attributes:
        rows: one row a media, columns as in the catalog's `SCHEMA` and any more; besides these
            `_place` (String: file and line, for errors), or for many rows `_file` and `_line` (without
            them errors count the rows); where times come as text, `_time_text`; where the number in a
            file's name orders the media of an event, `_frame_number` (see `number_frames`); what the source
            says that a media is, `_mediatype` (`video/mp4`). Videos among them are left out by `finish`.
        root: the folder that `file_path` is relative to.
        source: what was read, for people.
        from_disk: whether the paths are those of files that were found there, and not as a table has them.
        time_source: where `_time_text` was found: `metadata` or `filename`.
        time_format: how the source's program always writes `_time_text`, where the user does not say it.
        notes: what a person should know of how it was read.
        left_out: what of the source is not among the rows, in sentences for people.
        unreadable_folders: folders of the source whose content the system does not show.
        others: facts of the reader's own to keep with the catalog, by name.
    """

    rows: pl.DataFrame
    root: Path
    source: str
    time_source: str = "metadata"
    time_format: str | None = None
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    unreadable_folders: list[str] = field(default_factory=list)
    others: dict[str, JsonValue] = field(default_factory=dict)
    from_disk: bool = False

    def __post_init__(self) -> None:
        """Refuse rows that no catalog can be made of.

        Raises:
            TypeError: a column is missing or has a type that cannot be its own.
        """
        columns = self.rows.columns
        if self.rows.height == 0:
            return
        for name in ("media_id", "file_path"):
            if name not in columns:
                raise TypeError(f"the rows of its Draft have no column '{name}', but {', '.join(columns)}")
        for name in ("labels", EVENT_LABELS):
            kind = self.rows.schema.get(name, pl.Null())
            if kind not in (pl.Null(), pl.List(pl.Null), pl.List(pl.String)):
                raise TypeError(f"the column '{name}' of its Draft is {kind}, not List(String)")
        if "_place" not in columns and not {"_file", "_line"} <= set(columns):
            number = pl.int_range(1, pl.len() + 1)
            self.rows = self.rows.with_columns(
                pl.format("row {} of {}", number, pl.lit(self.source)).alias("_place")
            )


@dataclass(frozen=True, kw_only=True)
class CommonOptions:
    """The options that every reader takes besides the gap between events.

    Attributes:
        blank (LABEL): labels that mean "nothing there" besides `blank` and `empty`.
        timezone: of the cameras' clocks, as Area/City, or as +01:00; without it no time is zone-aware.
        time_format: how times are written, where the source does not tell: day-first, month-first, excel,
            excel-1904, or as in `%d/%m/%y %H:%M`.
        clock_shifts: a CSV of clocks that were wrong, and by how much (see `read_clock_shifts`).
        encoding: of the source's text files, as in cp1252; otherwise each one's is found out.
        not_missing (WORD): words that are no missing values here, as in NA; country=NA in one column.
        strict: refuse the source where a row cannot be used; otherwise such rows are listed and left out.
    """

    blank: Sequence[str] = ()
    timezone: str | None = None
    time_format: str | None = None
    clock_shifts: Path | str | None = None
    encoding: str | None = None
    not_missing: Sequence[str] = ()
    strict: bool = False


def finish(draft: Draft, options: CommonOptions, read_as: ReadAs) -> Catalog:
    """Turn what a reader found into a checked catalog, which says by whom it was read.

    Videos are left out and counted, rows that break a rule of the catalog are left out and listed. It is
    done while the reading is open.

    Raises:
        DataError: all rows are videos, or break a rule, or one does where the reading is strict; a media's
            id occurs twice, or no time can be read; file and line are named.
        UsageError: the time zone or the time format cannot be right.
    """
    rows = draft.rows
    if rows.height == 0:
        raise DataError(f"No media were found in {draft.source}. Check the path and the format.")
    rows = leave_out_videos(rows.with_columns(normal_paths(rows["file_path"], draft.root)))
    _refuse_absolute_paths(rows["file_path"], draft)
    rows, name_notes = (rows, []) if draft.from_disk else _name_as_on_disk(rows, draft.root)
    videos = count_videos(current_reading().videos)
    if rows.height == 0 and videos is not None:
        raise DataError(f"There is no photo in {draft.source}: {videos.describe()}. Take frames out of them.")
    left_out = [*draft.left_out, *([videos.describe()] if videos else [])]
    notes = [*left_out, *draft.notes, *name_notes]
    rows = _compose_accents(rows)
    rows, mapped = _map_blanks(rows, options.blank)
    if mapped:
        counts = ", ".join(f"'{label}' ({count} media)" for label, count in mapped.items())
        notes.append(f"read as '{BLANK}': {counts}")
    rows = _reject_bad_rows(rows)
    notes += _label_notes(rows)
    if "_time_text" in rows.columns:
        rows, time_notes = parse_times(rows, options.time_format or draft.time_format, draft.time_source)
        notes += time_notes
    if options.clock_shifts is not None:
        rows, time_notes = shift_clocks(rows, read_clock_shifts(Path(options.clock_shifts)))
        notes += time_notes
    notes += _clock_notes(rows)
    if options.timezone is not None:
        rows, time_notes = to_utc(rows, options.timezone)
        notes += time_notes
    rows, event_notes = _events_at_one_location(rows)
    notes += event_notes
    if "_frame_number" in rows.columns:
        rows = number_frames(rows)
    reading = current_reading()
    reading.check_words()
    facts = CatalogFacts(
        format=read_as,
        notes=tuple(notes),
        blank_from=mapped,
        left_out=tuple(left_out),
        videos=videos,
        unreadable_folders=tuple(draft.unreadable_folders),
        timezone=options.timezone,
        others=draft.others,
    )
    line_columns = [name for name in ("_place", "_file", "_line") if name in rows.columns]
    return Catalog.from_rows(
        rows.drop(line_columns),
        draft.root,
        draft.source,
        where=SourceLines(rows.select(line_columns)),
        facts=add_reading(facts, reading),
    )


def add_reading(facts: CatalogFacts, reading: Reading) -> CatalogFacts:
    """Facts with what was noted while something was read, and the rows of it that cannot be used."""
    notes = (*reading.describe_rejected(), *reading.notes, *facts.notes)
    if not reading.rejected_count:
        return replace(facts, notes=notes)
    before = facts.rejected or RejectedRows(count=0, rows=())
    rows = (*before.rows, *reading.rejected)[:MOST_KEPT]
    return replace(
        facts, notes=notes, rejected=RejectedRows(count=before.count + reading.rejected_count, rows=rows)
    )


def _refuse_absolute_paths(paths: pl.Series, draft: Draft) -> None:
    """Refuse a source all of whose paths are whole ones of another folder, and say what to do.

    Raises:
        DataError: as said.
    """
    if len(paths) and paths.str.contains(ELSEWHERE).all():
        raise DataError(
            f"The photos of {draft.source} are not below {draft.root}: their paths are whole ones, as in "
            f"{paths[0]!r}. Name the folder that they are in with --root FOLDER."
        )


def _name_as_on_disk(rows: pl.DataFrame, root: Path) -> tuple[pl.DataFrame, list[str]]:
    """Rows with paths as the disk writes them, and ids that are these paths."""
    paths, notes = as_on_disk(rows["file_path"], root)
    if not notes:
        return rows, []
    is_path = pl.col("media_id") == pl.col("file_path")
    ids = pl.when(is_path).then(pl.lit(paths)).otherwise("media_id").alias("media_id")
    return rows.with_columns(ids, paths), notes


def _compose_accents(rows: pl.DataFrame) -> pl.DataFrame:
    """Labels and names of locations with accents in one form (NFC), in which they are one to a reader."""
    names = [name for name in _NAMES if rows.schema.get(name) == pl.String and not _is_ascii(rows[name])]
    lists = [
        name
        for name in _label_columns(rows)
        if rows.schema[name] == pl.List(pl.String) and not _is_ascii(rows[name].explode())
    ]
    composed = pl.element().str.normalize("NFC").unique(maintain_order=True)
    return rows.with_columns(
        *(pl.col(name).str.normalize("NFC") for name in names),
        *(pl.col(name).list.eval(composed) for name in lists),
    )


def _is_ascii(texts: pl.Series) -> bool:
    """Whether no accent can be in them: most tables have none, and millions of rows take their time."""
    return bool((texts.str.len_bytes() == texts.str.len_chars()).all())


def _reject_bad_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows without those that break a rule of the catalog, if any does."""
    lines = [name for name in ("_place", "_file", "_line") if name in rows.columns]
    known = [name for name in rows.columns if name in (*SCHEMA, EVENT_LABELS)]
    table = conform(rows.select(*known, *lines, pl.int_range(pl.len()).alias("_row")))
    whole = table.height
    for reason, bad in row_rules(table.columns):
        named = pl.format("{} (file_path '{}')", pl.lit(reason), pl.col("file_path").fill_null(""))
        table = reject_rows(table, bad, named)
    return rows if table.height == whole else rows[table["_row"]]


def _events_at_one_location(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Tell apart events of several locations that have one id, by the location before it; and what to say.

    An event is of one capture, so at one location: such ids count from 1 at each camera.
    """
    if not {"event_id", "location_id"} <= set(rows.columns):
        return rows, []
    pairs = rows.select("event_id", "location_id").drop_nulls().unique()
    shared = pairs.filter(pl.col("event_id").is_duplicated())
    if shared.height == 0:
        return rows, []
    ids = shared["event_id"].unique()
    told_apart = pl.col("event_id").is_in(ids.implode()) & pl.col("location_id").is_not_null()
    named = pl.format("{}/{}", "location_id", "event_id")
    rows = rows.with_columns(pl.when(told_apart).then(named).otherwise("event_id").alias("event_id"))
    first = shared.sort("event_id", "location_id").row(0, named=True)
    return rows, [
        f"{len(ids)} event ids occur at several locations, so they count anew at each: {shared.height} "
        f"events have their location before their id ('{first['location_id']}/{first['event_id']}')"
    ]


def _map_blanks(rows: pl.DataFrame, synonyms: Sequence[str]) -> tuple[pl.DataFrame, dict[str, int]]:
    """Write `blank` for every label that certainly means it; also how many media each was read from."""
    certain = {word.casefold() for word in (*BLANK_WORDS, *synonyms)}
    mapped: dict[str, int] = {}
    for column in _label_columns(rows):
        names = rows[column].explode().drop_nulls().value_counts(name="count").sort(column).rows()
        blank_words = {name: count for name, count in names if name.casefold() in certain and name != BLANK}
        if blank_words:
            renamed = pl.element().replace(dict.fromkeys(blank_words, BLANK))
            rows = rows.with_columns(pl.col(column).list.eval(renamed).list.unique(maintain_order=True))
        mapped = blank_words | mapped
    return rows, mapped


def _label_columns(rows: pl.DataFrame) -> list[str]:
    names = ("labels", EVENT_LABELS)
    return [name for name in names if name in rows.columns and rows.schema[name] != pl.Null]


def _clock_notes(rows: pl.DataFrame) -> list[str]:
    """Times that no photo can have been taken at; they stay as the cameras wrote them."""
    if "camera_time" not in rows.columns or rows.schema["camera_time"] == pl.Null:
        return []
    return describe_impossible_times(rows["camera_time"].cast(pl.Datetime("us")))


def _label_notes(rows: pl.DataFrame) -> list[str]:
    """Labels that are probably one and stay several: which of them is meant is not ours to guess."""
    words = {label for name in _label_columns(rows) for label in rows[name].explode().drop_nulls().unique()}
    alike = group_spelt_alike(words)
    if not alike:
        return []
    sentence = "; ".join(" and ".join(f"'{label}'" for label in group) for group in alike)
    return [f"labels that differ in case, spaces or underscores only stay different labels: {sentence}"]


class SourceLines(Sequence[str]):
    """Where each row was read, put into words only for the rows that are asked for."""

    def __init__(self, rows: pl.DataFrame) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return self._rows.height

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return describe_lines(self._rows[index]).to_list()
        return str(describe_lines(self._rows[index : index + 1])[0])
