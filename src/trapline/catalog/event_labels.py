"""What is known of events: given for the event, or the union of what its media show."""

from __future__ import annotations

import polars as pl

from trapline.catalog.events import frame_order
from trapline.catalog.table import EVENT_LABELS, Catalog, event_key
from trapline.taxonomy import BLANK


def label_events(catalog: Catalog) -> Catalog:
    """The same media with the labels of their whole event in place of their own.

    The labels of an event are those in the column `event_labels` where the reader found some; else the union
    of its media's labels, `blank` only where nothing else is. Media without an event keep their own.
    """
    names = [name for name in (EVENT_LABELS, "labels") if name in catalog.table.columns]
    rows = catalog.table.select(event_key().alias("event"), labels=pl.coalesce(names))
    shown = union_labels(rows)
    rows = rows.select("event").join(shown, on="event", how="left", maintain_order="left")
    return catalog.with_table(catalog.table.with_columns(rows["labels"]))


def event_catalog(catalog: Catalog) -> Catalog:
    """One row an event, that of its first frame, with the event's id and its labels (see `label_events`)."""
    named = label_events(catalog).table.with_columns(pl.coalesce("event_id", "media_id").alias("media_id"))
    in_order = named.with_row_index("_row")[frame_order(named)]
    first = in_order.with_columns(pl.col("_row").min().over("media_id")).unique("media_id", keep="first")
    return catalog.with_table(first.sort("_row").drop("_row"))


def union_labels(rows: pl.DataFrame) -> pl.DataFrame:
    """`event` and `labels`, sorted, of those of which something is known, by rows of the same columns."""
    shown = (
        rows.explode("labels").drop_nulls("labels").group_by("event").agg(pl.col("labels").unique().sort())
    )
    several = pl.col("labels").list.len() > 1
    rest = pl.col("labels").list.set_difference(pl.lit([BLANK])).list.sort()
    return shown.with_columns(pl.when(several).then(rest).otherwise("labels").alias("labels"))
