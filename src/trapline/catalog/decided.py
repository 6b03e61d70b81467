"""What people decided of media, beside the labels that follow from it."""

from __future__ import annotations

import polars as pl

from trapline.catalog.decision_column import DECISION, DECISIONS
from trapline.catalog.parquet_file import streamed
from trapline.catalog.table import EVENT_LABELS, Catalog, event_key
from trapline.taxonomy import BLANK


def has_decisions(catalog: Catalog) -> bool:
    """Whether decisions were put into the catalog; a reader's own column of that name is none."""
    return catalog.table.schema.get(DECISIONS) == pl.List(DECISION)


def any_decision(*fields: str) -> pl.Expr:
    """Whether some decision of a media has all of these fields (`stands`, `held`, …) true; never null."""
    holds = pl.all_horizontal(pl.element().struct.field(name) for name in fields)
    return pl.col(DECISIONS).list.eval(holds).list.any().fill_null(value=False)


def without_decisions(catalog: Catalog) -> Catalog:
    """The catalog as it was before decisions were put into it, but for events that media took from them."""
    if not has_decisions(catalog):
        return catalog
    decided, table = any_decision("stands"), catalog.table
    labels = pl.when(decided).then(_before(of_event=False)).otherwise("labels").alias("labels")
    columns = [labels]
    if EVENT_LABELS in table.columns:
        before = _before(of_event=True).sort(nulls_last=True).first().over(event_key())
        touched = decided.any().over(event_key())
        columns.append(pl.when(touched).then(before).otherwise(EVENT_LABELS).alias(EVENT_LABELS))
    return catalog.with_table(table.with_columns(columns).drop(DECISIONS))


def _before(*, of_event: bool) -> pl.Expr:
    """The labels that a media, or its event, had before it was decided; null for none."""
    entry = pl.element().struct.field
    unsaid = pl.element().filter(entry("person").is_null() & (entry("of_event") == of_event))
    label = pl.when(entry("verdict") == "blank").then(pl.lit(BLANK)).otherwise(entry("label"))
    labels = pl.col(DECISIONS).list.eval(unsaid).list.eval(label)
    return pl.when(labels.list.len() > 0).then(labels)


def without_held(catalog: Catalog) -> tuple[Catalog, int]:
    """The catalog without the media that an audit keeps, of whole events, and how many these are.

    What an audit's figures rest on must teach nothing, under whichever label.
    """
    if not has_decisions(catalog):
        return catalog, 0
    held = is_held(catalog.frame)
    return catalog.filter(~held), int(streamed(catalog.frame.select(held.sum())).item())


def is_held(frame: pl.LazyFrame) -> pl.Expr:
    """Of each media of a catalog's frame whether an audit keeps its event; never null, one false for all."""
    if frame.collect_schema().get(DECISIONS) != pl.List(DECISION):
        return pl.lit(value=False)
    kept = frame.filter(any_decision("held")).select(event_key().unique())
    return event_key().is_in(streamed(kept).to_series().implode())
