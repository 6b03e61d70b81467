"""What is known of events: given for the event, or the union of what its media show."""

from __future__ import annotations

import polars as pl

from trapline.catalog.table import EVENT_LABELS, Catalog, event_key
from trapline.taxonomy import BLANK


def label_events(catalog: Catalog) -> Catalog:
    """The same media with the labels of their whole event in place of their own.

    The labels of an event are those in the column `event_labels` where the reader found some; else the union
    of its media's labels, `blank` only where nothing else is. Media without an event keep their own.
    """
    names = [name for name in (EVENT_LABELS, "labels") if name in catalog.table.columns]
    rows = catalog.table.select(event_key().alias("_event"), pl.coalesce(names).alias("_labels"))
    shown = (
        rows.explode("_labels")
        .drop_nulls("_labels")
        .group_by("_event")
        .agg(pl.col("_labels").unique().sort())
    )
    several = pl.col("_labels").list.len() > 1
    rest = pl.col("_labels").list.set_difference(pl.lit([BLANK]))
    shown = shown.with_columns(pl.when(several).then(rest).otherwise("_labels").list.sort().alias("_labels"))
    rows = rows.select("_event").join(shown, on="_event", how="left", maintain_order="left")
    return catalog.with_table(catalog.table.with_columns(rows["_labels"].alias("labels")))
