"""From a journal to the table, in the order of the catalog, a few thousand rows at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from trapline.catalog import BOX, Catalog
from trapline.errors import DataError
from trapline.images import CropPolicy
from trapline.prediction.inputs import Input, inputs_of
from trapline.prediction.journal import Batch, Journal, width_of
from trapline.prediction.table import BOX_COLUMNS, FIXED, Level, probability_columns

COORDINATES = "\tcoordinates"
"""The column of what a journal keeps of embeddings, which is in no table of predictions that is written. No
label can be called so."""

_BATCHES_AT_HAND = 128
"""Frames of the journal that are kept decoded: rows of one run stand together, those of others elsewhere."""


def table_parts(
    catalog: Catalog, crop: CropPolicy | None, level: Level, journal: Journal
) -> Iterator[pl.DataFrame]:
    """The table's rows (columns as in `Predictions`, and `COORDINATES` of a journal that has some), some at a
    time.

    Args:
        catalog: the media; the journal has an entry for each input of it.
        crop: the model's crop policy.
        level: `media` or `box`.
        journal: of the finished run.
    """
    labels = list(journal.header["labels"])
    index, at_hand = journal.index(), _Batches(journal)
    for inputs in inputs_of(catalog, crop, level):
        statuses = ["skipped"] * len(inputs)
        reasons = [row.skipped for row in inputs]
        numbers = np.full((len(inputs), width_of(journal.header)), np.nan, np.float32)
        asked = np.flatnonzero([row.skipped is None for row in inputs])
        positions = index.find([inputs[at].key for at in asked])
        _refuse_lack(journal, [inputs[at] for at in asked[positions < 0]])
        begins, indices = index.spots_at(positions)
        ends = np.append(np.flatnonzero(begins[1:] != begins[:-1]) + 1, len(begins))
        start = 0
        for end in ends[ends > 0].tolist():  # the inputs of one frame, which follow one another
            batch = at_hand.get(int(begins[start]))
            rows, picked = asked[start:end], indices[start:end]
            for row, entry in zip(
                rows.tolist(), map(batch.entries.__getitem__, picked.tolist()), strict=True
            ):
                if entry[:2] != (inputs[row].media_id, inputs[row].number):
                    _refuse_lack(journal, [inputs[row]])
                statuses[row], reasons[row] = entry.status, entry.reason
            numbers[rows] = np.hstack([batch.probabilities[picked], batch.coordinates[picked]])
            start = end
        numbers[[status != "ok" for status in statuses]] = np.nan
        frame = _frame(inputs, level, statuses, reasons)
        frame = frame.hstack(probability_columns(labels, numbers[:, : len(labels)]))
        if width := numbers.shape[1] - len(labels):
            seen = pl.Series(COORDINATES, numbers[:, len(labels) :], pl.Array(pl.Float32, width))
            frame = frame.with_columns(seen)
        yield frame


def _refuse_lack(journal: Journal, inputs: Sequence[Input]) -> None:
    if inputs:
        raise DataError(f"The journal {journal.path} lacks {inputs[0].media_id!r}; begin again with --fresh.")


class _Batches:
    """The frames of a journal, the last few of them decoded."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._kept: OrderedDict[int, Batch] = OrderedDict()

    def get(self, begin: int) -> Batch:
        """The frame that begins there."""
        if begin not in self._kept:
            self._kept[begin] = self._journal.batch_at(begin)
            if len(self._kept) > _BATCHES_AT_HAND:
                self._kept.popitem(last=False)
        return self._kept[begin]


def _frame(
    inputs: Sequence[Input], level: Level, statuses: Sequence[str], reasons: Sequence[str | None]
) -> pl.DataFrame:
    """The columns before the labels."""
    columns: dict[str, Sequence[object]] = {
        "media_id": [row.media_id for row in inputs],
        "event_id": [row.event_id for row in inputs],
        "box": [row.number for row in inputs],
        "file_path": [row.file_path for row in inputs],
        "status": statuses,
        "reason": reasons,
    }
    if level != "box":
        return pl.DataFrame(columns, schema=FIXED)
    for name in BOX.to_schema():
        columns[name] = [None if row.detection is None else row.detection[name] for row in inputs]
    columns["crop"] = [row.crop for row in inputs]
    return pl.DataFrame(columns, schema=FIXED | BOX_COLUMNS)
