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
    given = (
        pl.col(EVENT_LABELS) if EVENT_LABELS in catalog.table.columns else pl.lit(None, pl.List(pl.String))
    )
    rows = catalog.table.select(event_key().alias("_event"), "labels", given.alias("_given"))
    shown = (
        rows.select("_event", pl.coalesce("_given", "labels").alias("_labels"))
        .explode("_labels")
        .drop_nulls("_labels")
        .group_by("_event")
        .agg(pl.col("_labels").unique().sort())
    )
    several = pl.col("_labels").list.len() > 1
    rest = pl.col("_labels").list.set_difference(pl.lit([BLANK]))
    shown = shown.with_columns(pl.when(several).then(rest).otherwise("_labels").list.sort().alias("_labels"))
    event_labels = rows.select("_event").join(shown, on="_event", how="left", maintain_order="left")[
        "_labels"
    ]
    return catalog.with_table(catalog.table.with_columns(event_labels.alias("labels")))
