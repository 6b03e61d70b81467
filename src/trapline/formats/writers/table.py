"""The predictions table itself, as CSV or Parquet."""

from __future__ import annotations

from trapline.formats.writers.writing import Job, Written, writer


@writer("csv", endings=(".csv",), loses=("locations, times and boxes: they stay in the catalog",))
def write_csv(job: Job) -> Written:
    """The table of predictions as CSV, with its header as JSON beside it."""
    return _save(job, f"{job.output.name}.json")


@writer("parquet", endings=(".parquet",), loses=("locations, times and boxes: they stay in the catalog",))
def write_parquet(job: Job) -> Written:
    """The table of predictions as Parquet, its header in the file's metadata."""
    return _save(job)


def _save(job: Job, *beside: str) -> Written:
    job.predictions.save(job.output)
    return Written(
        len(job.predictions), f"rows ({job.predictions.level})", [], [], [job.output.name, *beside]
    )
