"""What people decided of media, beside the labels that follow from it."""

from __future__ import annotations

import polars as pl

from trapline.catalog.table import Catalog, event_key

DECISIONS = "decisions"
"""A column of catalogs that decisions were put into: List[`DECISION`], null where nobody decided."""

DECISION = pl.Struct(
    {
        "person": pl.String(),
        "decided_at": pl.Datetime("us", "UTC"),
        "verdict": pl.String(),
        "label": pl.String(),
        "count": pl.Int64(),
        "sure": pl.Boolean(),
        "flagged": pl.Boolean(),
        "remark": pl.String(),
        "of_event": pl.Boolean(),
        "stream": pl.String(),
        "asked": pl.String(),
        "suggested_by": pl.String(),
        "stands": pl.Boolean(),
        "held": pl.Boolean(),
    }
)
"""One label that a person decided on; or that it is `blank`, or cannot be told (`verdict`; `label` is null).

`of_event`: it is said of the event as a whole, and of no single media what it shows. `stands`: nobody has
decided otherwise later. `held`: the media is kept for an audit that goes on, and is never trained on. An
entry without a `person` is what the catalog said before and what stands no more.
"""


def has_decisions(catalog: Catalog) -> bool:
    """Whether decisions were put into the catalog; a reader's own column of that name is none."""
    return catalog.table.schema.get(DECISIONS) == pl.List(DECISION)


def any_decision(*fields: str) -> pl.Expr:
    """Whether some decision of a media has all of these fields (`stands`, `held`, …) true; never null."""
    holds = pl.all_horizontal(pl.element().struct.field(name) for name in fields)
    return pl.col(DECISIONS).list.eval(holds).list.any().fill_null(value=False)


def without_held(catalog: Catalog) -> tuple[Catalog, int]:
    """The catalog without the media that an audit keeps, of whole events, and how many these are.

    What an audit's figures rest on must teach nothing, under whichever label.
    """
    if not has_decisions(catalog):
        return catalog, 0
    held = is_held(catalog.table)
    return catalog.filter(~pl.lit(held)), int(held.sum())


def is_held(table: pl.DataFrame) -> pl.Series:
    """One boolean a media of a catalog's table: whether an audit keeps its event."""
    if table.schema.get(DECISIONS) != pl.List(DECISION):
        return pl.repeat(value=False, n=table.height, eager=True)
    return table.select(any_decision("held").any().over(event_key())).to_series()
