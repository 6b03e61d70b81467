"""What is reviewed: the photos, their events, what is suggested of each, and the names to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog, assign_events
from trapline.errors import DataError, many
from trapline.observations import kind_of_observer
from trapline.review.events import Events
from trapline.review.names import LabelNames, as_new_label
from trapline.review.suggestions import Suggestions, suggest
from trapline.tables import read_table, read_text

if TYPE_CHECKING:
    from trapline.prediction import Predictions
    from trapline.taxonomy import Taxonomy

VISIT = timedelta(seconds=60)
"""Between two photos of one event, where nobody says of which events they are: as for cards."""


@dataclass(eq=False)
class Project:
    """What one review is of.

    Attributes:
        name: for people.
        catalog: the photos.
        events: of them.
        suggestions: what is filled in; a model that learns replaces them.
        names: the labels to choose from.
        taxonomy: what the labels are; None where nobody gave one.
        tree: the same, or else the tree of the model whose answers are reviewed.
        wanted: [E], which events are reviewed.
        known: event → the labels that people gave it before.
        notes: sentences that people should read at the start.
    """

    name: str
    catalog: Catalog
    events: Events
    suggestions: Suggestions
    names: LabelNames
    taxonomy: Taxonomy | None
    tree: Taxonomy | None
    wanted: npt.NDArray[np.bool_]
    known: dict[int, tuple[str, ...]]
    notes: list[str] = field(default_factory=list)


def open_project(
    catalog: Catalog,
    predictions: Predictions | None = None,
    *,
    labels: Sequence[str] = (),
    taxonomy: Taxonomy | None = None,
    only: Sequence[str] | None = None,
) -> Project:
    """A review of these photos.

    Args:
        catalog: with labels, boxes, or neither. Where nothing says of which events its photos are, those
            with times are put together by them.
        predictions: what a model says of them.
        labels: that may be chosen, beside those of the catalog, the model and the taxonomy.
        taxonomy: what the labels are.
        only: media ids, event ids or file paths: only these events are reviewed.

    Raises:
        UsageError: one of `labels` can be none.
        DataError: the predictions are of other photos, or what is to be reviewed alone is not there.
    """
    notes = []
    together, timed = catalog.table["event_id"].is_not_null(), catalog.table["camera_time"].is_not_null()
    alone = int((~together & ~timed).sum())
    if not together.any() and timed.any():
        catalog = assign_events(catalog, VISIT)
        notes.append(
            f"Nothing says which photos belong together: those at most {VISIT.total_seconds():g} s apart at "
            "one camera are shown as one event. `trapline catalog --event-gap` makes others."
        )
    if alone and len(catalog) > 1:
        notes.append(
            f"{many(alone, 'photo has')} neither a time nor an event: each is asked alone, also those of one "
            "burst. A catalog may have `event_id` or `camera_time` from a table."
        )
    events = Events.of(catalog)
    suggestions = suggest(catalog, events, predictions, taxonomy)
    answered = {index: answer for index, answer in enumerate(suggestions.answers) if answer is not None}
    told = {label for answer in answered.values() for label in answer.labels}
    names = LabelNames(
        [*map(as_new_label, labels), *catalog.labels, *suggestions.labels, *sorted(told)], taxonomy
    )
    wanted = np.ones(len(events), bool) if only is None else select(catalog, events, only)
    known = {
        index: answer.labels
        for index, answer in answered.items()
        if kind_of_observer(answer.observer) == "human"
    }
    tree = predictions.facts.tree if taxonomy is None and predictions is not None else taxonomy
    return Project(catalog.source, catalog, events, suggestions, names, taxonomy, tree, wanted, known, notes)


_MOST_BYTES = 256 * 2**20
_ID_COLUMNS = ("media_id", "event_id", "file_path")


def read_ids(path: Path) -> list[str]:
    """What alone is to be reviewed: the media, event or path that each row of a table names, or each line of
    another file.

    Raises:
        DataError: there is no such file, it has no such column, or nothing stands in it.
    """
    if path.suffix.lower() == ".txt":
        ids = [line.strip() for line in read_text(path, _MOST_BYTES).splitlines() if line.strip()]
    else:
        table = read_table(path)
        columns = [name for name in _ID_COLUMNS if name in table.columns]
        if not columns:
            raise DataError(
                f"{path} has none of the columns {', '.join(_ID_COLUMNS)}: nothing says what to review alone."
            )
        named = table.select(pl.coalesce(columns)).to_series()  # a row may name an event alone
        ids = named.drop_nulls().unique(maintain_order=True).to_list()
    if not ids:
        raise DataError(f"{path} names nothing that is to be reviewed.")
    return ids


def select(catalog: Catalog, events: Events, only: Sequence[str]) -> npt.NDArray[np.bool_]:
    """[E]: the events of which a media id, event id or file path is among these.

    Raises:
        DataError: one is none of them.
    """
    wanted = np.zeros(len(events), bool)
    table = catalog.table
    index: dict[str, int] = {}
    of_row = events.of_row.tolist()
    for column in reversed(_ID_COLUMNS):
        index |= {name: event for name, event in zip(table[column], of_row, strict=True) if name is not None}
    missing = [name for name in only if name not in index]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(only)} ids that alone are to be reviewed are no media, event or file "
            f"path of {catalog.source}; the first: {missing[0]!r}."
        )
    wanted[[index[name] for name in only]] = True
    return wanted
