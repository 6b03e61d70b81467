"""The table itself: a model's predictions as they are, or the observations that stand in their place."""

from __future__ import annotations

import polars as pl

from trapline.errors import UsageError
from trapline.formats.camtrap_dp_package import csv_bytes
from trapline.formats.writers.answers import describe_spread, describe_threshold, observe_media
from trapline.formats.writers.writing import Job, Written, put, writer

_LOSES = ("locations, times and boxes: they stay in the catalog",)


@writer("csv", endings=(".csv",), loses=_LOSES)
def write_csv(job: Job) -> Written:
    """The predictions as CSV, with their header as JSON beside it; of a catalog alone its observations."""
    if job.predicted is None:
        return _save_observations(job, None)
    return _save_predictions(job, f"{job.output.name}.json")


@writer("parquet", endings=(".parquet",), loses=_LOSES)
def write_parquet(job: Job) -> Written:
    """The predictions as Parquet, their header in its metadata; of a catalog alone its observations."""
    return _save_observations(job, None) if job.predicted is None else _save_predictions(job)


@writer("observations", endings=(".csv", ".parquet"), loses=_LOSES)
def write_observations(job: Job, *, threshold: float | None = None) -> Written:
    """What people, the model and the detector say, one row an answer, and whose word stands (.csv, .parquet).

    Args:
        job: what is to be written.
        threshold: labels below this probability are no answers.
    """
    return _save_observations(job, threshold)


def _save_predictions(job: Job, *beside: str) -> Written:
    if job.labelled_by is not None:
        raise UsageError(
            "--labelled-by names who gave the labels, and the predictions hold a model's answers alone: the "
            "format observations has both."
        )
    job.predictions.save(job.output)
    lost = ["what people say: the format observations has it"] if job.labels_of_people else []
    return Written(
        len(job.predictions), f"rows ({job.predictions.level})", lost, [], [job.output.name, *beside]
    )


def _save_observations(job: Job, threshold: float | None) -> Written:
    observations = job.observe(threshold)
    model = pl.col("observer").str.starts_with("model")
    unclassified = observations.table.filter(model & (pl.col("status") == "unclassified")).height
    notes = observe_media(job, threshold)[1] + describe_spread(job)
    notes += describe_threshold(job, threshold, unclassified, "their status is unclassified")
    if job.output.suffix.lower() == ".parquet":
        observations.save(job.output)
        return Written(len(observations), "observations", [], notes, [job.output.name])
    flat = observations.table.drop("alternatives").with_columns(
        pl.col("observed_at").dt.to_string("iso:strict"), pl.col(pl.Boolean).cast(pl.String)
    )
    rows = flat.with_columns(pl.all().cast(pl.String)).iter_rows(named=True)
    put(job.output, csv_bytes(tuple(flat.columns), list(rows)).decode())
    lost = ["a model's less probable labels, and who the observers are in words: the Parquet table has them"]
    return Written(len(observations), "observations", lost, notes, [job.output.name])
