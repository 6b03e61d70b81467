"""The column in which a catalog keeps what people decided of its media."""

from __future__ import annotations

import polars as pl

from trapline.catalog.individuals import ATTRIBUTES

DECISIONS = "decisions"
"""A column of catalogs that decisions were put into: List[`DECISION`], null where nobody decided."""

DECISION = pl.Struct(
    {
        "person": pl.String(),
        "decided_at": pl.Datetime("us", "UTC"),
        "verdict": pl.String(),
        "label": pl.String(),
        **ATTRIBUTES,
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
entry without a `person` is what the catalog said before. A label whose individuals are told apart has an
entry for those that are alike.
"""

_SINCE = ("life_stage", "sex", "behaviour")
"""Fields that catalogs of earlier versions lack."""


def as_today(kind: pl.DataType) -> pl.DataType:
    """The type of the column as it is now; a reader's own column of the same name is left as it is."""
    before = pl.Struct([field for field in DECISION.fields if field.name not in _SINCE])
    return pl.List(DECISION) if kind == pl.List(before) else kind
