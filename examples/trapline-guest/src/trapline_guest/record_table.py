"""camtrapR's record table, a CSV with a row for each species in each photo: read and written."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from trapline.errors import DataError
from trapline.plugins import Draft, Job, Written, reader, writer

FORMAT = "record-table"
PATH = ("Directory", "FileName")


def _recognise(source: Path) -> str | None:
    if source.suffix.lower() != ".csv" or not source.is_file():
        return None
    with source.open(encoding="utf-8-sig", errors="replace") as file:
        header = {name.strip().strip('"') for name in file.readline().split(",")}
    return "it has camtrapR's columns" if {*PATH, "DateTimeOriginal"} <= header else None


@reader(FORMAT, recognise=_recognise)
def read_record_table(
    source: Path,
    *,
    station_column: str = "Station",
    species_column: str = "Species",
    photos: Path | str | None = None,
) -> Draft:
    """Record table of camtrapR: a row for each species in each photo, with its station and time.

    Args:
        source: the CSV that `recordTable` wrote.
        station_column: which column is the location.
        species_column: which column is the label.
        photos: the folder that the column Directory starts from, instead of the table's own.

    Raises:
        DataError: it is no file, or a column is missing.
    """
    if not source.is_file():
        raise DataError(f"{source} is a folder; a record table is one CSV.")
    table = pl.read_csv(source, infer_schema=False).with_row_index("_line", offset=2)
    for name in (*PATH, "DateTimeOriginal", station_column, species_column):
        if name not in table.columns:
            raise DataError(f"{source} line 1 has no column '{name}': {', '.join(table.columns[1:])}.")
    rows = (
        table.with_columns(pl.concat_str(*PATH, separator="/").alias("file_path"))
        .group_by("file_path", maintain_order=True)
        .agg(
            pl.first(station_column).alias("location_id"),
            pl.first("DateTimeOriginal").alias("_time_text"),
            pl.col(species_column).drop_nulls().unique(maintain_order=True).alias("labels"),
            pl.first("_line"),
        )
        .with_columns(pl.lit(source.name).alias("_file"), pl.col("file_path").alias("media_id"))
    )
    return Draft(rows, Path(photos or source.parent), f"record table {source.name}")


@writer(
    FORMAT,
    loses=(
        "probabilities, boxes, events and who says what",
        "photos without a sure animal, and those that failed",
    ),
)
def write_record_table(job: Job, *, least: float | None = None) -> Written:
    """Record table of camtrapR: a row for each species that people, a model or a detector say of a photo.

    Args:
        job: what is said of which media.
        least: answers of the model less probable than this are left out.
    """
    rows = job.observe(least).per_media(job.catalog)
    animals = [label for label in rows["label"].drop_nulls().unique() if job.kind(label) == "animal"]
    sure = rows.filter(pl.col("label").is_in(animals)).select("media_id", Species="label").unique()
    records = (
        job.catalog.table.join(sure, on="media_id", maintain_order="left")
        .sort("media_id", "Species", maintain_order=True)
        .select(
            pl.col("location_id").alias("Station"),
            "Species",
            pl.col("camera_time").dt.to_string("%Y-%m-%d %H:%M:%S").alias("DateTimeOriginal"),
            pl.col("file_path").str.extract(r"^(.*)/").fill_null(".").alias("Directory"),
            pl.col("file_path").str.extract(r"([^/]*)$").alias("FileName"),
        )
    )
    records.write_csv(job.output)
    unsure = rows.filter(pl.col("status") == "unclassified").height
    notes = [f"{unsure} photos without a sure answer are left out"] if unsure else []
    return Written(len(records), "records", [], notes, [job.output.name])
