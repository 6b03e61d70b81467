"""Media whose label and whose answer differ: mistakes of a model, or of those who labelled."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from trapline import metrics
from trapline.catalog import as_listed
from trapline.evaluation.matching import Matched
from trapline.evaluation.result_part import Box, ResultPart, best_boxes
from trapline.prediction import Level
from trapline.storage import replace_text


class Neighbour(ResultPart):
    """A training photo that looks like a mistake.

    Attributes:
        media_id: of it.
        file_path: of it.
        location: of it.
        labels: that it was trained as.
        cosine: of both embeddings.
    """

    media_id: str
    file_path: str
    location: str | None
    labels: tuple[str, ...]
    cosine: float


class Mistake(ResultPart):
    """A media that the model got wrong.

    Attributes:
        media_id: of the media; of a row that is an event or a box, the name of that.
        event: of the media, where it is of one.
        truth: its labels.
        said: what the model said.
        confidence: the probability of what it said (of the most probable label).
        truth_probability: the least probability it gave to a true label.
        boxes: detected boxes, most confident first: x, y, width, height as fractions.
        alike: training photos that look most like it, nearest first, where that was asked for.
    """

    media_id: str
    event: str | None = None
    file_path: str
    location: str | None
    truth: tuple[str, ...]
    said: tuple[str, ...]
    confidence: float
    truth_probability: float
    boxes: tuple[Box, ...] = ()
    alike: tuple[Neighbour, ...] = ()


def mistakes_at(matched: Matched, rows: Iterable[int]) -> tuple[Mistake, ...]:
    """The media of some rows, with what was said of them, in the order of the rows."""
    return tuple(_mistake(matched, int(row)) for row in rows)


def _mistake(matched: Matched, row: int) -> Mistake:
    media = matched.media.row(row, named=True)
    values = matched.probabilities[row]
    if matched.truth.ndim == 1:
        answers, true = [int(values.argmax())], [int(matched.truth[row])]
    else:
        answers = np.flatnonzero(metrics.labels_said(values, blank=matched.blank)).tolist()
        true = np.flatnonzero(matched.truth[row]).tolist()
    return Mistake(
        media_id=media["media_id"],
        event=media["event_id"],
        file_path=media["file_path"],
        location=media["location_id"],
        truth=tuple(media["labels"]),
        said=tuple(matched.labels[index] for index in answers),
        confidence=float(values.max()),
        truth_probability=float(values[true].min()) if true else float(1 - values.max()),
        boxes=best_boxes(media["boxes"], 3),
    )


_COLUMNS = (
    *("media_id", "event_id", "file_path", "location_id"),
    *("labels", "says", "confidence", "label_probability"),
)


def write_mistakes(mistakes: Sequence[Mistake], level: Level, path: Path) -> Path:
    """Write them as CSV, in their order: what `trapline review --only` takes, and a spreadsheet opens.

    Where rows are events, `event_id` says which, and `media_id` is there only for media of no event.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_COLUMNS)
    for one in mistakes:
        media_id = one.media_id.rpartition("#")[0] if level == "box" else one.media_id
        of_event = level == "event" and one.event is not None
        table.writerow(
            (
                "" if of_event else media_id,
                one.event or "",
                one.file_path,
                one.location or "",
                "; ".join(one.truth),
                "; ".join(one.said),
                f"{one.confidence:.6f}",
                f"{one.truth_probability:.6f}",
            )
        )
    replace_text(path, as_listed(text.getvalue()))
    return path
