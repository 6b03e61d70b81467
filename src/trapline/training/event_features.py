"""From the embeddings of frames to the features of events: one row an event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trapline.prediction import event_rows as events_of
from trapline.recipes import Statistic
from trapline.training.arrays import Rows, Singles
from trapline.training.selection import Selected


def event_rows(selected: Selected) -> tuple[Selected, list[Rows]]:
    """The selection with one row an event, its first media, and the readable media of each event.

    An event of which no media can be read is left out.
    """
    usable = np.setdiff1d(np.arange(len(selected.catalog)), list(selected.failed))
    readable = selected.catalog.with_table(selected.catalog.table[usable.tolist()])
    members = [usable[rows.to_numpy()] for rows in events_of(readable)]
    kept = np.array([rows[0] for rows in members], np.int64)
    chosen = replace(
        selected,
        catalog=selected.catalog.with_table(selected.catalog.table[kept.tolist()]),
        targets=selected.targets[kept],
        train=np.flatnonzero(np.isin(kept, selected.train)),
        validation=np.flatnonzero(np.isin(kept, selected.validation)),
        failed={},
    )
    return chosen, members


def over_events(features: Singles, members: Sequence[Rows], statistics: Sequence[Statistic]) -> Singles:
    """float32 [events, views, D * statistics] of the frames' features [N, views, D], as the graph has them.

    `std` divides by the number of frames: it is 0 where there is only one.
    """
    pooled = np.empty((len(members), features.shape[1], features.shape[2] * len(statistics)), np.float32)
    for event, rows in enumerate(members):
        frames = features[rows].astype(np.float64)
        parts = {"mean": frames.mean(axis=0), "std": frames.std(axis=0), "max": frames.max(axis=0)}
        pooled[event] = np.concatenate([parts[name] for name in statistics], axis=-1)
    return pooled
