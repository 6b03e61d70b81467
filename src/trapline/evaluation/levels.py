"""Truth and predictions on one level: rows of media, events or boxes become rows with one id each."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from trapline.catalog import Catalog, event_catalog, natural_order
from trapline.prediction import Level, Predictions

NOUNS = {"media": "media", "event": "events", "box": "boxes"}
"""What the rows of a level are called in the plural."""


def split_seasons(media: pl.DataFrame) -> list[tuple[str | None, pl.Series]]:
    """The seasons, S2 before S10, each with which media are of it; none where the catalog has none.

    Last, as None, media of no known season.
    """
    if "season" not in media.columns:
        return []
    seasons = media["season"].cast(pl.String)
    known = natural_order(seasons.drop_nulls().unique().to_list())
    names = [*known, None] if seasons.null_count() else known
    return [(name, seasons.eq_missing(name)) for name in names]


def align_levels(catalog: Catalog, predictions: Predictions) -> tuple[Catalog, Predictions]:
    """The catalog with a row for each thing predicted, and the predictions with the same ids, level media.

    A box is held to show what its media shows; boxes that the model was not asked about are left out.
    """
    table = predictions.table
    if predictions.level == "event":
        table = table.with_columns(pl.coalesce("event_id", "media_id").alias("media_id"))
        return event_catalog(catalog), replace(predictions, table=table, level="media")
    if predictions.level == "media":
        return catalog, predictions
    table = table.filter(pl.col("status") != "skipped")
    box = pl.col("box").cast(pl.String).fill_null("frame")
    names = table.select("media_id", pl.concat_str("media_id", pl.lit("#"), box).alias("_box"))
    rows = catalog.table.join(names, on="media_id", how="left", maintain_order="left_right")
    rows = rows.with_columns(pl.coalesce("_box", "media_id").alias("media_id")).drop("_box")
    boxes = table.select(
        names["_box"].alias("media_id"),
        *("event_id", "box", "file_path", "status", "reason"),
        *predictions.labels,
    )
    return catalog.with_table(rows), replace(predictions, table=boxes, level="media")


_ROW_OF = {
    "media": pl.col("media_id"),
    "event": pl.coalesce("event_id", "media_id"),
    "box": pl.col("media_id"),
}
"""What `align_levels` calls the row that a media stands in; of boxes without their number."""


def judged_media(catalog: Catalog, level: Level, ids: pl.Series) -> Catalog:
    """The media of a catalog that rows of a level stand for, by the ids that `align_levels` gave them."""
    return catalog.filter(_ROW_OF[level].is_in(_without_box(ids, level).unique().implode()))


def rows_with(media: Catalog, level: Level, ids: pl.Series) -> pl.Series:
    """Of rows of a level, by these ids, whether they stand for some of the media."""
    return _without_box(ids, level).is_in(media.table.select(_ROW_OF[level]).to_series().implode())


def _without_box(ids: pl.Series, level: Level) -> pl.Series:
    return ids.str.replace("#[^#]*$", "") if level == "box" else ids
