"""A plain table for people: what was seen where, how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from trapline.catalog import harmless_cell
from trapline.errors import UsageError
from trapline.formats.camtrap_dp_package import csv_bytes
from trapline.formats.writers.answers import (
    describe_spread,
    describe_threshold,
    folders_of,
    observe_media,
    tell_names_apart,
)
from trapline.formats.writers.workbook import workbook_bytes
from trapline.formats.writers.writing import Job, Written, put, writer
from trapline.observations import UNCLASSIFIED, MediaObservations

COLUMNS = {
    "location_id": pl.String(),
    "label": pl.String(),
    "scientific_name": pl.String(),
    "media": pl.Int64(),
    "mean_probability": pl.Float64(),
    "independent_events": pl.Int64(),
    "media_without_time": pl.Int64(),
    "first": pl.Datetime("us"),
    "last": pl.Datetime("us"),
    "most_at_once": pl.Int64(),
}

INTERVAL = 30.0
"""Minutes between independent events, unless asked otherwise."""

_NUMBERS = ("media", "mean_probability", "independent_events", "media_without_time", "most_at_once")


@dataclass
class _Count:
    media: int = 0
    probabilities: list[float] = field(default_factory=list)
    untimed: int = 0
    times: list[datetime] = field(default_factory=list)
    most: int | None = None


@writer(
    "summary",
    endings=(".csv", ".xlsx"),
    loses=(
        "single photos, their probabilities and who says what",
        "how many animals each photo shows: media and events are counted, and the most individuals at once",
    ),
)
def write_summary(job: Job, *, threshold: float | None = None, interval: float = INTERVAL) -> Written:
    """A CSV or workbook (.xlsx) of locations × labels: media, independent events, first and last time.

    An event of a label at a location is independent if at least `interval` minutes lie between it and the
    independent event before it (camtrapR's `lastIndependentRecord`). Media without a time are counted as
    media, never as events; no events are counted of media without a location. Rows `unclassified`, `failed`
    and `unobserved` (nobody says anything) keep the sums whole, and a label of such a name is told apart.
    `most_at_once` is the most individuals of a label that a photo, or an event, was said to show; empty where
    nobody counted. In a CSV, names that a spreadsheet would run as formulas get an apostrophe before them; in
    a workbook they are text.

    Args:
        job: what is to be written.
        threshold: labels below this probability are no answers.
        interval: minutes between independent events; 0 counts every photo.

    Raises:
        UsageError: `interval` is negative.
    """
    if interval < 0:
        raise UsageError(f"The interval must not be negative, it is {interval}.")
    entries, notes = observe_media(job, threshold)
    called, renamed = tell_names_apart(job.names)
    labels = {other: label for label, other in called.items()}
    counts: dict[tuple[str, str], _Count] = {}
    for entry in entries:
        for label in folders_of(entry, called):
            count = counts.setdefault((entry.media["location_id"] or "", label), _Count())
            count.media += 1
            count.most = max(
                filter(None, (count.most, _individuals_of(entry, labels.get(label)))), default=None
            )
            count.probabilities += _probability_of(entry, labels.get(label))
            if entry.media["camera_time"] is None:
                count.untimed += 1
            else:
                count.times.append(entry.media["camera_time"])
    gap = timedelta(minutes=interval)
    rows = []
    for (location, label), count in sorted(counts.items()):
        known = job.scientific_name(labels[label]) if label in labels else None
        rows.append(
            (
                location,
                label,
                known,
                count.media,
                round(sum(count.probabilities) / len(count.probabilities), 3)
                if count.probabilities
                else None,
                len(independent_times(count.times, gap)) if location else None,
                count.untimed,
                min(count.times, default=None),
                max(count.times, default=None),
                count.most,
            )
        )
    put(job.output, _content(job, pl.DataFrame(rows, schema=COLUMNS, orient="row")))
    unclassified = sum(entry.unclassified for entry in entries)
    notes += describe_spread(job) + describe_threshold(
        job, threshold, unclassified, f"they are counted as {UNCLASSIFIED}"
    )
    notes += renamed
    if job.predicted is not None and (compared := job.predicted.facts.familiar):
        notes += compared.sentences()
    notes.append(f"independent events: at least {interval:g} minutes after the one before")
    untimed = sum(entry.media["camera_time"] is None for entry in entries)
    lost = [f"events of {untimed} media without a time"] if untimed else []
    unplaced = sum(not entry.media["location_id"] for entry in entries)
    if unplaced:
        lost.append(
            f"events of {unplaced} media without a location: several cameras would be taken for one. Name "
            "the locations when you make the catalog"
        )
    return Written(len(rows), "rows", lost, notes, [job.output.name])


def _probability_of(entry: MediaObservations, label: str | None) -> list[float]:
    """How probable a label of the photo is, by its surest box; nothing where nobody gives a probability."""
    answers = (answer for what in entry.shown for answer in what.answers if answer.label == label)
    known = [answer.probability for answer in answers if answer.probability is not None]
    return [max(known)] if known else []


def _individuals_of(entry: MediaObservations, label: str | None) -> int | None:
    """How many of a label the photo, or its event, shows at once; None where somebody did not count them."""
    counts = [answer.count for what in entry.shown for answer in what.answers if answer.label == label]
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def _content(job: Job, table: pl.DataFrame) -> str | bytes:
    """The table as the output's ending says."""
    if job.output.suffix.lower() == ".xlsx":
        return workbook_bytes(table, "summary")
    rows = [
        {
            "location_id": harmless_cell(row["location_id"]),
            "label": harmless_cell(row["label"]),
            "scientific_name": row["scientific_name"] and harmless_cell(row["scientific_name"]),
            **{name: None if row[name] is None else str(row[name]) for name in _NUMBERS},
            **{name: row[name] and row[name].isoformat(" ", "seconds") for name in ("first", "last")},
        }
        for row in table.iter_rows(named=True)
    ]
    return csv_bytes(tuple(COLUMNS), rows).decode()


def independent_times(times: Sequence[datetime], gap: timedelta) -> list[datetime]:
    """Those of `times` that lie at least `gap` after the last one that counted, in their order."""
    counted: list[datetime] = []
    for moment in sorted(times):
        if not counted or moment - counted[-1] >= gap:
            counted.append(moment)
    return counted
