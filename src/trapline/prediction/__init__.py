"""The streaming engine, its journal, and the predictions table."""

from trapline.prediction.detection import detect
from trapline.prediction.engine import Estimate, Progress, estimate, predict, predict_to_file
from trapline.prediction.explain import Explained, explain
from trapline.prediction.inputs import as_catalog, read_list
from trapline.prediction.pooling import pool_events
from trapline.prediction.ranks import Ranks, add_ranks
from trapline.prediction.region import read_region, weigh_by_region
from trapline.prediction.submission import (
    Submission,
    SubmissionFormat,
    check_submission,
    read_format,
    write_submission,
)
from trapline.prediction.summary import Summary, refuse_failures, summarise
from trapline.prediction.table import Predictions

__all__ = [
    "Estimate",
    "Explained",
    "Predictions",
    "Progress",
    "Ranks",
    "Submission",
    "SubmissionFormat",
    "Summary",
    "add_ranks",
    "as_catalog",
    "check_submission",
    "detect",
    "estimate",
    "explain",
    "pool_events",
    "predict",
    "predict_to_file",
    "read_format",
    "read_list",
    "read_region",
    "refuse_failures",
    "summarise",
    "weigh_by_region",
    "write_submission",
]
