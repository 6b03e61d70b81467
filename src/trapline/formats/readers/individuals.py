"""What sources say of the individuals of a label: how many, how old, of which sex, doing what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from trapline.catalog import ATTRIBUTES, INDIVIDUAL, INDIVIDUALS, LIFE_STAGES, SEXES
from trapline.errors import many
from trapline.tables import note, read_numbers
from trapline.taxonomy import BLANK

_WORDS = {
    "life_stage": {name: name for name in LIFE_STAGES} | {"sub-adult": "subadult", "sub adult": "subadult"},
    "sex": {name: name for name in SEXES},
}
"""Column -> how its values are written, in small letters -> the value."""

USUAL_COLUMNS: dict[str, Sequence[str]] = {
    "count": ("count", "number", "individuals", "group_size", "groupsize", "number_of_objects"),
    "life_stage": ("life_stage", "lifestage", "age", "age_class", "ageclass"),
    "sex": ("sex",),
    "behaviour": ("behaviour", "behavior"),
}
"""What the columns of tables that people design are called, in small letters."""


def usual_columns(names: Sequence[str]) -> dict[str, str]:
    """Attribute -> the column that has it, by its usual names."""
    lower = {name.lower().replace(" ", "_"): name for name in reversed(names)}
    columns = {
        attribute: next((lower[one] for one in usual if one in lower), None)
        for attribute, usual in USUAL_COLUMNS.items()
    }
    return {attribute: name for attribute, name in columns.items() if name is not None}


def add_individuals(
    media: pl.DataFrame,
    told: pl.DataFrame,
    key: str,
    columns: Mapping[str, str],
    *,
    of_event: pl.Series | bool = False,
) -> pl.DataFrame:
    """The media with the column `individuals`, where the source counts or describes any; else as they are.

    Rows of one label whose individuals are alike are one entry, with the sum of their counts, or none where
    one of them is not counted. What is no whole number above 0, and words that are not Camtrap DP's life
    stages and sexes, say nothing here; it is noted how many these are.

    Args:
        media: one row a media.
        told: one row a statement: `key`, `_label` (null: the row says nothing) and the columns.
        key: of media and `told`: `media_id`, `event_id`, …
        columns: attribute (`trapline.catalog.ATTRIBUTES`) -> the column of `told`, of text, that has it.
        of_event: of each row whether it is said of the event as a whole.
    """
    there = {name: column for name, column in columns.items() if column in told.columns}
    if not there:
        return media
    values = [
        _values(name, told[there[name]]) if name in there else pl.lit(None, kind).alias(name)
        for name, kind in ATTRIBUTES.items()
    ]
    rows = told.select(
        pl.col(key), pl.col("_label").alias("label"), *values, pl.lit(of_event).alias("of_event")
    )
    rows = rows.drop_nulls([key, "label"]).filter(pl.col("label") != BLANK)
    apart = [name for name in INDIVIDUAL.to_schema() if name != "count"]
    alike = rows.group_by(key, *apart, maintain_order=True).agg(
        pl.when(pl.col("count").null_count() == 0).then(pl.col("count").sum()).alias("count")
    )
    known = alike.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in ATTRIBUTES))
    if known.is_empty():
        return media
    labels = known.select(key, "label", "of_event").unique()  # of those all that are alike, described or not
    kept = alike.join(labels, on=[key, "label", "of_event"], how="semi", maintain_order="left")
    lists = kept.group_by(key, maintain_order=True).agg(
        pl.struct(*INDIVIDUAL.to_schema()).cast(INDIVIDUAL).alias(INDIVIDUALS)
    )
    if INDIVIDUALS not in media.columns:
        return media.join(lists, on=key, how="left", maintain_order="left")
    both = media.join(lists.rename({INDIVIDUALS: "_more"}), on=key, how="left", maintain_order="left")
    joined = pl.concat_list(pl.col(INDIVIDUALS, "_more").fill_null([]))
    told_any = pl.col(INDIVIDUALS).is_not_null() | pl.col("_more").is_not_null()
    return both.with_columns(pl.when(told_any).then(joined).alias(INDIVIDUALS)).drop("_more")


def of_media(media: pl.DataFrame, where: pl.Expr) -> pl.DataFrame:
    """What is said of individuals of events, as said of each media `where` it takes its labels from them."""
    if INDIVIDUALS not in media.columns:
        return media
    each = pl.col(INDIVIDUALS).list.eval(pl.element().struct.with_fields(of_event=pl.lit(value=False)))
    return media.with_columns(pl.when(where).then(each).otherwise(INDIVIDUALS).alias(INDIVIDUALS))


def _values(name: str, cells: pl.Series) -> pl.Series:
    """The cells of one attribute as the catalog has them; null where they say nothing."""
    if name == "behaviour":
        return cells.str.strip_chars().replace("", None).alias(name)
    if name == "count":
        numbers = read_numbers(cells)
        whole = (numbers == numbers.round()) & numbers.is_between(1, 1e6)
        values = pl.select(pl.when(whole).then(numbers)).to_series().cast(pl.Int64)
        silent = cells.is_not_null() & values.is_null() & ~(numbers == 0).fill_null(value=False)
    else:
        values = (
            cells.str.strip_chars()
            .str.to_lowercase()
            .replace_strict(_WORDS[name], default=None, return_dtype=pl.String)
        )
        silent = cells.is_not_null() & values.is_null() & ~cells.str.to_lowercase().is_in(_UNKNOWN)
    if count := int(silent.sum()):
        first = cells.filter(silent)[0]
        note(f"{many(count, 'value')} of {cells.name} no {_CALLED[name]}: the first is {first!r}")
    return values.alias(name)


_UNKNOWN = ["unknown", "unk", "undetermined", "unidentified", "not sure", ""]
_CALLED = {
    "count": "number of individuals",
    "life_stage": f"life stage ({', '.join(LIFE_STAGES)})",
    "sex": f"sex ({', '.join(SEXES)})",
}
