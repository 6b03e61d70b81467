"""camtrapR's record table, a CSV with a row for each species in each photo: read and written."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from trapline.errors import DataError, UsageError
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
    loses=("probabilities, boxes and events", "photos without a sure animal, and those that failed"),
)
def write_record_table(job: Job, *, least: float = 0.5) -> Written:
    """Record table of camtrapR: a row for each photo's most probable species.

    Args:
        job: predictions of media.
        least: answers less probable than this are left out.

    Raises:
        UsageError: the predictions are of boxes or events.
    """
    if job.predictions.level != "media":
        raise UsageError("A record table has a row a photo: write predictions of media.")
    answers = job.predictions.ok.unpivot(
        job.predictions.labels, index="media_id", variable_name="Species", value_name="probability"
    )
    best = answers.sort("probability", descending=True).unique("media_id", keep="first", maintain_order=True)
    sure = best.filter(pl.col("probability") >= least)
    animals = [label for label in job.predictions.labels if job.kind(label) == "animal"]
    records = (
        job.catalog.table.join(sure, on="media_id", maintain_order="left")
        .filter(pl.col("Species").is_in(animals))
        .select(
            pl.col("location_id").alias("Station"),
            "Species",
            pl.col("camera_time").dt.to_string("%Y-%m-%d %H:%M:%S").alias("DateTimeOriginal"),
            pl.col("file_path").str.extract(r"^(.*)/").fill_null(".").alias("Directory"),
            pl.col("file_path").str.extract(r"([^/]*)$").alias("FileName"),
        )
    )
    records.write_csv(job.output)
    unsure = len(best) - len(sure)
    notes = [f"{unsure} photos without an answer of at least {least:g} are left out"] if unsure else []
    return Written(len(records), "records", [], notes, [job.output.name])
