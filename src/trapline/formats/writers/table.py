"""The predictions table itself, as CSV or Parquet."""

from __future__ import annotations

from trapline.errors import UsageError
from trapline.formats.writers.writing import Job, Written, writer


@writer("csv", loses=("locations, times and boxes: they stay in the catalog",))
def write_csv(job: Job) -> Written:
    """The table of predictions as CSV, with its header as JSON beside it."""
    return _save(job, ".csv")


@writer("parquet", loses=("locations, times and boxes: they stay in the catalog",))
def write_parquet(job: Job) -> Written:
    """The table of predictions as Parquet, its header in the file's metadata."""
    return _save(job, ".parquet")


def _save(job: Job, suffix: str) -> Written:
    if job.output.suffix.lower() != suffix:
        raise UsageError(f"The output must end in {suffix}, not '{job.output.name}'.")
    job.predictions.save(job.output)
    files = [job.output.name, *([f"{job.output.name}.json"] if suffix == ".csv" else [])]
    return Written(len(job.predictions), f"rows ({job.predictions.level})", [], [], files)
