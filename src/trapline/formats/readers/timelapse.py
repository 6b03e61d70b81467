"""The CSV that Timelapse exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from trapline.catalog import normal_paths
from trapline.errors import DataError, UsageError, many
from trapline.formats.readers.draft import Draft
from trapline.formats.readers.individuals import add_individuals, usual_columns
from trapline.formats.readers.label_columns import (
    NO_WORDS,
    describe_flags,
    describe_label_columns,
    flag_columns,
    join_label_columns,
    several_label_columns,
)
from trapline.formats.readers.registry import reader
from trapline.formats.time_columns import join_date_and_time, read_instants
from trapline.tables import mark_missing, read_header, read_numbers, read_table, reject_rows, split_cells

_LABELS = ("species", "label", "animal", "taxon", "class")
_LOCATIONS = ("station", "site", "location", "camera")
_OFFSETS = ("UtcOffset", "UTCOffset")
"""Hours between the camera's clock and UTC, in which versions before 2.2.5 wrote DateTime beside it."""
_NO_LABELS = ("DeleteFlag", "MarkForDeletion", "ImageQuality", "Dark")
_OWN = ("File", "RelativePath", "RootFolder", "Folder", "DateTime", "Date", "Time", "_place")


def _recognise(source: Path) -> str | None:
    if not source.name.lower().endswith((".csv", ".csv.gz")):
        return None
    names = set(read_header(source))
    timed = "DateTime" in names or {"Date", "Time"} <= names
    return (
        "it has Timelapse's columns File and RelativePath"
        if {"File", "RelativePath"} <= names and timed
        else None
    )


@reader("timelapse", recognise=_recognise)
def read_timelapse(
    source: Path,
    *,
    columns: Mapping[str, str] | None = None,
    label_separator: str | None = None,
    root: Path | str | None = None,
) -> Draft:
    """Timelapse CSV export: file, folder, time, and the columns of the template.

    Templates name their columns as they like: `columns` says which holds the label and which the location;
    else the label is taken from Species, Label, Animal, Taxon or Class, or from those of them with numbers
    behind together (Species1, Species2), the location from Station, Site, Location or Camera. All other
    columns are kept. Several rows of one file (Timelapse's duplicates) are
    several labels.

    Args:
        source: the CSV; paths start at its folder, which is where Timelapse writes it.
        columns (ROLE=NAME): which column is the label or the location, where its name is not a usual one;
            several with commas between them are labels together, of boxes that are ticked the boxes' names.
        label_separator: what stands between several labels in one cell.
        root: the folder that the paths start from, instead of the file's own.

    Raises:
        DataError: a column is missing, a row has no file, or rows of one file disagree on location or time.
        UsageError: `columns` names something else.
    """
    table = read_table(source)
    missing = [name for name in ("File", "RelativePath") if name not in table.columns]
    if missing:
        raise DataError(f"{source} line 1 lacks the column {missing[0]}, which Timelapse always writes.")
    asked = columns or {}
    unknown = sorted(set(asked) - {"label", "location"})
    if unknown:
        raise UsageError(f"Of a Timelapse CSV the columns label and location can be named, not {unknown[0]}.")
    location = _column(table, asked.get("location"), _LOCATIONS, source)
    table = reject_rows(table, pl.col("File").is_null(), "names no file")
    words, labelled, origin = _labels(table, asked.get("label"), label_separator, source)
    if location is not None:
        table = mark_missing(table, [location], source.name, NO_WORDS)
    folder = pl.col("RelativePath").fill_null("").str.strip_chars("/\\")
    path = pl.when(folder == "").then("File").otherwise(folder + "/" + pl.col("File"))
    free = [name for name in table.columns if name not in (*_OWN, *labelled, location)]
    rows = table.select(
        path.alias("file_path"),
        "_place",
        _on_the_spot(_times(table), table).alias("_time_text"),
        (pl.lit(None, pl.String) if location is None else pl.col(location)).alias("location_id"),
        pl.lit(words).alias("labels"),
        *(pl.col(name).alias(f"timelapse_{name}") for name in free),
    )
    folder_above = source.parent if root is None else Path(root)
    rows = rows.with_columns(normal_paths(rows["file_path"], folder_above))
    statements = rows.select("file_path", "labels", *(f"timelapse_{name}" for name in free))
    rows, notes = _one_row_a_file(rows)
    rows, more = _add_individuals(rows, statements, free)
    notes += more
    if not labelled:
        notes += describe_flags(flag_columns(table, [name for name in free if name not in _NO_LABELS]))
    notes.insert(0, f"columns: {origin}, locations from {location!r}" if location else f"columns: {origin}")
    return Draft(
        rows.with_columns(pl.col("file_path").alias("media_id")),
        folder_above,
        f"Timelapse {source.name}",
        notes=notes,
    )


def _add_individuals(
    rows: pl.DataFrame, statements: pl.DataFrame, free: Sequence[str]
) -> tuple[pl.DataFrame, list[str]]:
    """What the template's columns of usual names say of individuals, of rows with one label, and a note."""
    named = usual_columns(free)
    one = statements.filter(pl.col("labels").list.len() == 1)  # of which of several it is not said
    if not named or one.is_empty():
        return rows, []
    told = one.with_columns(pl.col("labels").list.first().alias("_label"))
    columns = {attribute: f"timelapse_{name}" for attribute, name in named.items()}
    with_them = add_individuals(rows, told, "file_path", columns)
    if with_them.columns == rows.columns:
        return rows, []
    names = ", ".join(f"{name.replace('_', ' ')} from {column!r}" for name, column in named.items())
    return with_them, [f"individuals: {names}"]


def _labels(
    table: pl.DataFrame, asked: str | None, separator: str | None, source: Path
) -> tuple[pl.Series, list[str], str]:
    """The labels of each row, List(String), the columns that they are of, and what to say of it."""
    several = several_label_columns(table.columns, asked, _LABELS)
    if several:
        words = join_label_columns(table, several, separator, source.name)
        return words, several, describe_label_columns(table, several)
    column = _column(table, asked, _LABELS, source)
    if column is None:
        nothing = pl.Series("labels", [None] * table.height, pl.List(pl.String))
        return nothing, [], "no labels: no column is named for them"
    table = mark_missing(table, [column], source.name, NO_WORDS)
    words = split_cells(table[column], separator, source.name, NO_WORDS)
    return words, [column], f"labels from {column!r}"


def _column(table: pl.DataFrame, asked: str | None, usual: tuple[str, ...], source: Path) -> str | None:
    if asked is not None and asked not in table.columns:
        have = ", ".join(name for name in table.columns if name != "_place")
        raise DataError(f"{source} line 1: there is no column '{asked}'; it has: {have}.")
    lower = {name.lower(): name for name in reversed(table.columns)}
    return asked or next((lower[name] for name in usual if name in lower), None)


def _times(table: pl.DataFrame) -> pl.Series:
    if "DateTime" in table.columns:
        return table["DateTime"]
    if {"Date", "Time"} <= set(table.columns):
        return join_date_and_time(table["Date"], table["Time"])
    return pl.Series([None] * table.height, dtype=pl.String)


def _on_the_spot(times: pl.Series, table: pl.DataFrame) -> pl.Series:
    """Times with the camera's clock and its offset, where they are in UTC and their offset stands beside."""
    column = next((name for name in _OFFSETS if name in table.columns), None)
    if column is None or not times.drop_nulls().str.ends_with("Z").any():
        return times
    minutes = (read_numbers(table[column], most=14) * 60).round()
    instants = read_instants(times)
    known = times.str.ends_with("Z") & instants.is_not_null() & minutes.is_not_null()
    frame = pl.DataFrame(
        {"as": times, "instant": instants, "minutes": minutes.cast(pl.Int64), "known": known}
    )
    size = pl.col("minutes").abs()
    offset = pl.format(
        "{}{}:{}",
        pl.when(pl.col("minutes") < 0).then(pl.lit("-")).otherwise(pl.lit("+")),
        (size // 60).cast(pl.String).str.zfill(2),
        (size % 60).cast(pl.String).str.zfill(2),
    )
    wall = (pl.col("instant") + pl.duration(minutes="minutes")).dt.to_string("%Y-%m-%dT%H:%M:%S%.3f")
    return frame.select(pl.when("known").then(wall + offset).otherwise("as").alias("time"))["time"]


def _one_row_a_file(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    for name in ("location_id", "_time_text"):
        differs = rows.filter(pl.col(name).drop_nulls().n_unique().over("file_path") > 1)
        if differs.height:
            raise DataError(
                f"{differs['_place'][0]}: the rows of {differs['file_path'][0]} disagree on the "
                f"{name.strip('_').split('_')[0]}."
            )
    free = [name for name in rows.columns if name.startswith("timelapse_")]
    together = rows.group_by("file_path", maintain_order=True).agg(
        pl.col("_place", "_time_text", "location_id").drop_nulls().first(),
        pl.col("labels").explode().drop_nulls().unique(maintain_order=True),
        *(pl.col(name).drop_nulls().unique(maintain_order=True).str.join("; ") for name in free),
    )
    together = together.with_columns(
        pl.when(pl.col("labels").list.len() > 0).then("labels").alias("labels"),
        *(pl.col(name).replace("", None) for name in free),
    )
    more = rows.height - together.height
    return together, [
        f"{many(more, 'row names')} a file that an earlier row names: labels of one media"
    ] if more else []
