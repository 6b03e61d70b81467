"""What came out of a run, in counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from trapline.prediction.table import Predictions


@dataclass(frozen=True)
class Summary:
    """Counts of a predictions table.

    Attributes:
        rows: altogether.
        ok: with probabilities.
        failed: without.
        top_labels: label -> rows in which it is the most probable, most frequent first.
        failures: reason -> failed rows, most frequent first.
        warnings: what was odd -> rows that were predicted nevertheless.
    """

    rows: int
    ok: int
    failed: int
    top_labels: dict[str, int]
    failures: dict[str, int]
    warnings: dict[str, int]


def summarise(predictions: Predictions) -> Summary:
    """Count labels, failures and warnings."""
    ok, failed = predictions.ok, predictions.failed
    top = ok.select(predictions.labels).to_numpy().argmax(axis=1) if ok.height else np.empty(0, np.intp)
    counts = np.bincount(top, minlength=len(predictions.labels)).tolist()
    found = {label: count for label, count in zip(predictions.labels, counts, strict=True) if count}
    return Summary(
        rows=len(predictions),
        ok=ok.height,
        failed=failed.height,
        top_labels=dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))),
        failures=_counted(failed),
        warnings=_counted(ok),
    )


def _counted(rows: pl.DataFrame) -> dict[str, int]:
    counts = (
        rows["reason"]
        .drop_nulls()
        .value_counts(name="rows")
        .sort(["rows", "reason"], descending=[True, False])
    )
    return dict(counts.select("reason", "rows").iter_rows())
