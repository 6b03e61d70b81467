"""What came out of a run, in counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from trapline.catalog import Catalog
from trapline.errors import DataError, many, name_some
from trapline.prediction.facts import Compared

_EXAMPLES = 3


@dataclass(frozen=True)
class Summary:
    """Counts of a predictions table.

    Attributes:
        rows: altogether.
        ok: with probabilities.
        failed: without.
        skipped: boxes that the model was not asked about.
        top_labels: label -> rows in which it is the most probable, most frequent first.
        failures: reason -> failed rows, most frequent first.
        warnings: what was odd -> rows that were predicted nevertheless.
        failed_examples: the first few that failed, with their reasons.
        familiar: how far the locations lie from what the model has learnt from; None where its card cannot
            tell.
    """

    rows: int
    ok: int
    failed: int
    skipped: int
    top_labels: dict[str, int]
    failures: dict[str, int]
    warnings: dict[str, int]
    failed_examples: tuple[str, ...] = ()
    familiar: Compared | None = None


@dataclass
class Tally:
    """Counts that grow with the parts of a table."""

    labels: tuple[str, ...]
    _statuses: Counter[str] = field(default_factory=Counter)
    _top: Counter[str] = field(default_factory=Counter)
    _failures: Counter[str] = field(default_factory=Counter)
    _warnings: Counter[str] = field(default_factory=Counter)
    _examples: list[str] = field(default_factory=list)

    def add(self, part: pl.DataFrame) -> pl.DataFrame:
        """Count the rows of a part; returns it."""
        self._statuses.update(_counts(part["status"]))
        ok, failed = part.filter(pl.col("status") == "ok"), part.filter(pl.col("status") == "failed")
        if ok.height and self.labels:
            top = ok.select(self.labels).to_numpy().argmax(axis=1)
            counts = np.bincount(top, minlength=len(self.labels)).tolist()
            self._top.update(
                {label: count for label, count in zip(self.labels, counts, strict=True) if count}
            )
        self._warnings.update(_counts(ok["reason"].drop_nulls()))
        self._failures.update(_counts(failed["reason"].drop_nulls()))
        named = failed.select(pl.coalesce("file_path", "event_id", "media_id"), "reason")
        self._examples += [
            f"{name}: {why}" for name, why in named.head(_EXAMPLES - len(self._examples)).rows()
        ]
        return part

    def summary(self) -> Summary:
        """The counts so far."""
        return Summary(
            rows=self._statuses.total(),
            ok=self._statuses["ok"],
            failed=self._statuses["failed"],
            skipped=self._statuses["skipped"],
            top_labels=_most_frequent_first(self._top),
            failures=_most_frequent_first(self._failures),
            warnings=_most_frequent_first(self._warnings),
            failed_examples=tuple(self._examples),
        )


def refuse_failures(summary: Summary, catalog: Catalog) -> None:
    """Raise `DataError` if any input failed, or a folder could not be read; the message names the first."""
    parts = []
    if summary.failed:
        named = name_some(summary.failed_examples, of=summary.failed, between="; ")
        parts.append(f"{summary.failed} of {many(summary.rows, 'row')} failed: {named}.")
    unread = catalog.facts.unreadable_folders
    if unread:
        named = name_some(unread, _EXAMPLES, between="; ")
        parts.append(
            f"{many(len(unread), 'folder')} could not be read, and their photos have no rows: {named}."
        )
    if parts:
        raise DataError(" ".join(parts))


def _counts(values: pl.Series) -> dict[str, int]:
    return dict(values.rename("value").value_counts(name="count").iter_rows())


def _most_frequent_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
