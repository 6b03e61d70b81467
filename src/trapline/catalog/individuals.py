"""What is known of the individuals of a label: how many they are, how old, of which sex, doing what.

The words are Camtrap DP's (https://camtrap-dp.tdwg.org/data/#observations).
"""

from __future__ import annotations

import polars as pl

LIFE_STAGES = ("adult", "subadult", "juvenile")
SEXES = ("female", "male")

ATTRIBUTES: dict[str, pl.DataType] = {
    "count": pl.Int64(),
    "life_stage": pl.String(),
    "sex": pl.String(),
    "behaviour": pl.String(),
}
"""What may be known of the individuals of a label; null where nobody says it."""

INDIVIDUALS = "individuals"
"""A column of catalogs whose source counts or describes: List[`INDIVIDUAL`], null where nothing is known."""

INDIVIDUAL = pl.Struct({"label": pl.String(), **ATTRIBUTES, "of_event": pl.Boolean()})
"""Individuals of one label that are alike; `of_event`: it is said of the event as a whole, not of the media.

A label may have several entries: two adult females and three juveniles. Labels without an entry are neither
counted nor described; the column `labels` alone says what is there.
"""


def with_individuals(rows: pl.DataFrame, *, of_event: bool) -> pl.DataFrame:
    """Rows of one label each with the columns `ATTRIBUTES`: one more for each further entry of the label.

    Args:
        rows: with `label`, and perhaps the column `individuals`, which goes.
        of_event: whether the labels are of events.
    """
    if rows.schema.get(INDIVIDUALS) != pl.List(INDIVIDUAL):
        return rows.drop(INDIVIDUALS, strict=False).with_columns(
            pl.lit(None, kind).alias(name) for name, kind in ATTRIBUTES.items()
        )
    numbered = rows.with_row_index("_row")
    each = numbered.select("_row", pl.col("label").alias("_own"), INDIVIDUALS).explode(INDIVIDUALS)
    known = each.drop_nulls(INDIVIDUALS).unnest(INDIVIDUALS)
    known = known.filter((pl.col("label") == pl.col("_own")) & (pl.col("of_event") == of_event))
    known = known.select("_row", *ATTRIBUTES)
    return numbered.drop(INDIVIDUALS).join(known, on="_row", how="left", maintain_order="left").drop("_row")
