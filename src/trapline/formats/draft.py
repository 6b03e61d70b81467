"""What a reader hands over, and how it becomes a checked catalog: the same for every format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from trapline.catalog import BLANK, Catalog
from trapline.errors import DataError
from trapline.formats.times import parse_times, to_utc

CERTAIN_BLANKS = ("blank", "empty")
"""Labels that can only mean "looked at, nothing there"; compared without regard to case."""


@dataclass
class Draft:
    """Media as a reader found them, before the checks that all formats share.

    Attributes:
        rows: one row a media, columns as in the catalog's `SCHEMA` and any more; besides these
            `_place` (String: file and line, for errors) and, where times come as text, `_time_text`.
        root: the folder that `file_path` is relative to.
        source: what was read, for people.
        time_source: where `_time_text` was found: `metadata` or `filename`.
        notes: what a person should know of how it was read.
        info: JSON-able facts to keep with the catalog.
    """

    rows: pl.DataFrame
    root: Path
    source: str
    time_source: str = "metadata"
    notes: list[str] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CommonOptions:
    """The options that every reader takes besides the gap between events.

    Attributes:
        blank: labels that mean "nothing there" besides `blank` and `empty`.
        timezone: the zone of the cameras' clocks ("Africa/Abidjan"); without it no time is zone-aware.
        time_format: how times are written (`%d/%m/%Y %H:%M`), where they are not `YYYY-MM-DD HH:MM:SS`.
    """

    blank: Sequence[str] = ()
    timezone: str | None = None
    time_format: str | None = None


def finish(draft: Draft, options: CommonOptions) -> Catalog:
    """Turn what a reader found into a checked catalog.

    Raises:
        DataError: a row breaks a rule of the catalog, or no time can be read; file and line are named.
        UsageError: the time zone or the time format cannot be right.
    """
    rows = draft.rows
    if rows.height == 0:
        raise DataError(f"No media were found in {draft.source}. Check the path and the format.")
    rows = rows.with_columns(normal_path(pl.col("file_path"), draft.root))
    notes = list(draft.notes)
    rows, mapped = _map_blanks(rows, options.blank)
    if mapped:
        said = ", ".join(f"'{label}' ({count} media)" for label, count in mapped.items())
        notes.append(f"read as '{BLANK}': {said}")
    if "_time_text" in rows.columns:
        rows, time_notes = parse_times(rows, options.time_format, draft.time_source)
        notes += time_notes
    if options.timezone is not None:
        rows, time_notes = to_utc(rows, options.timezone)
        notes += time_notes
    info: dict[str, Any] = {**draft.info, "notes": notes, "blank_from": mapped}
    if options.timezone is not None:
        info["timezone"] = options.timezone
    return Catalog.from_rows(
        rows.drop("_place"), draft.root, draft.source, where=rows["_place"].to_list(), info=info
    )


def normal_path(path: pl.Expr, root: Path) -> pl.Expr:
    """Paths with forward slashes, without a leading `./`, relative to `root` where they lie below it."""
    slashes = path.str.replace_all("\\", "/", literal=True)
    below = slashes.str.strip_prefix(root.absolute().as_posix().rstrip("/") + "/")
    return below.str.replace(r"^(\./+)+", "")


def _map_blanks(rows: pl.DataFrame, synonyms: Sequence[str]) -> tuple[pl.DataFrame, Mapping[str, int]]:
    """Write `blank` for every label that certainly means it; also how many media each was read from."""
    if "labels" not in rows.columns or rows.schema["labels"] == pl.Null:
        return rows, {}
    certain = {word.casefold() for word in (*CERTAIN_BLANKS, *synonyms)}
    names = rows["labels"].explode().drop_nulls().value_counts(name="count").sort("labels").rows()
    mapped = {name: count for name, count in names if name.casefold() in certain and name != BLANK}
    if not mapped:
        return rows, {}
    renamed = pl.element().replace(dict.fromkeys(mapped, BLANK))
    return rows.with_columns(pl.col("labels").list.eval(renamed).list.unique(maintain_order=True)), mapped
