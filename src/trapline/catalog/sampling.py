"""A share of the labelled media, drawn at random: for a quick look, and as published pipelines did."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog.facts import SampleRecord
from trapline.catalog.table import Catalog, event_key, known_labels


def sample_catalog(catalog: Catalog, share: float, seed: int) -> Catalog:
    """The catalog with a share of its labelled media; the others are not in it, unlabelled media are.

    Drawn are events, and media that have none. Where there is a split, its parts are drawn from one by one,
    so that each keeps its proportion. A catalog that was drawn so already stays as it is. The draw is that of
    `pandas.DataFrame.sample(frac=share, random_state=seed)` over the events in the catalog's order.

    Args:
        catalog: with labels.
        share: of the events of each part, above 0; at least one is kept.
        seed: of the draw.

    Returns:
        the rest, with `facts.sample`: share, seed and `of`, the labelled media there were.
    """
    earlier = catalog.facts.sample
    if earlier is not None and (earlier.share, earlier.seed) == (share, seed):
        return catalog
    labelled = catalog.table.select(known_labels(catalog.table).is_not_null()).to_series().to_numpy()
    parts = catalog.table["split"].fill_null("").to_numpy()
    events = catalog.table.select(event_key()).to_series()
    kept = ~labelled
    for part in np.unique(parts[labelled]):
        inside = labelled & (parts == part)
        kept[inside] = _draw(events.filter(inside), share, seed)
    table = catalog.table.filter(kept)
    sample = SampleRecord(share=share, seed=seed, of=int(labelled.sum()))
    return catalog.with_table(table, replace(catalog.facts, sample=sample))


def _draw(events: pl.Series, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """[rows]: which are of the events that are drawn."""
    names = events.unique(maintain_order=True)
    size = max(1, round(share * len(names)))
    chosen = np.random.RandomState(seed).choice(len(names), size, replace=False)
    return events.is_in(names[chosen].implode()).to_numpy()
