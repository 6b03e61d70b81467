"""Beside the worst mistakes the training photos that look most like them, from a table of embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from trapline.catalog import Catalog
from trapline.errors import DataError, UsageError
from trapline.evaluation.mistakes import Neighbour
from trapline.evaluation.result import Evaluation
from trapline.metrics import nearest_by_cosine

MOST_NEIGHBOURS = 3
"""Training photos beside a mistake."""

_AT_ONCE = 8192

Near = tuple[float, str]
"""A cosine, and the media."""


def with_neighbours(evaluation: Evaluation, catalog: Catalog, table: Path, most: int) -> Evaluation:
    """The evaluation whose first `most` mistakes have the training photos that look most like them.

    Args:
        evaluation: of single photos.
        catalog: that was judged, with the media that the model was trained on.
        table: of embeddings (`trapline embed`) of both.
        most: mistakes.

    Raises:
        UsageError: rows are events or boxes.
        DataError: the table is none of embeddings, or lacks the training media of the catalog, or a mistake.
    """
    if evaluation.level != "media":
        raise UsageError(f"--alike is of single photos; these predictions are of a row {evaluation.level}.")
    trained = _training_media(evaluation, catalog)
    seen = _scan(table)
    asked = [one.media_id for one in evaluation.mistakes[:most]]
    queries = dict(seen.filter(pl.col("media_id").is_in(asked)).collect().iter_rows())
    if lacking := [media for media in asked if media not in queries]:
        raise DataError(
            f"{table} has no embedding of {lacking[0]!r}. Embed the whole catalog (trapline embed)."
        )
    nearest: dict[str, list[Near]] = {media: [] for media in asked}
    columns = ("media_id", "event_id", "location_id")
    told = trained.lazy().select(columns).join(seen, on="media_id", maintain_order="left")
    judged = catalog.table.filter(pl.col("media_id").is_in(asked)).select(columns)
    own = {row["media_id"]: row for row in judged.iter_rows(named=True)}
    apart = columns if evaluation.model_info.held_out_by == "location" else columns[:2]
    count = 0
    for part in told.collect_batches(chunk_size=_AT_ONCE, maintain_order=True):
        count += part.height
        for media, best in nearest.items():
            others = _without(part, own.get(media, {}), apart)
            if others.is_empty():
                continue
            embeddings = others["embedding"].to_numpy()
            rows, cosines = nearest_by_cosine(queries[media], embeddings, MOST_NEIGHBOURS)
            best += zip(cosines.tolist(), others["media_id"].gather(rows).to_list(), strict=True)
            best.sort(key=lambda one: -one[0])
            del best[MOST_NEIGHBOURS:]
    if not count:
        raise DataError(f"{table} has no embedding of a media that the model was trained on.")
    mistakes = [
        one.model_copy(update={"alike": _described(nearest.get(one.media_id, ()), trained)})
        for one in evaluation.mistakes
    ]
    return evaluation.model_copy(update={"mistakes": tuple(mistakes)})


def _without(part: pl.DataFrame, media: Mapping[str, str | None], apart: Sequence[str]) -> pl.DataFrame:
    """Training media without a media itself, its event, and what else its answer was made without.

    Args:
        part: some of the training media.
        media: the values of that media in the columns
        apart: in which what is the same is left out.
    """
    same = [pl.col(name).eq_missing(media[name]) for name in apart if media.get(name) is not None]
    return part.filter(~pl.any_horizontal(same)) if same else part


def _training_media(evaluation: Evaluation, catalog: Catalog) -> pl.DataFrame:
    """The labelled media of the catalog's parts that the model was trained on."""
    known = evaluation.model_info.trained_on
    parts = sorted({part for one in known for part in one.parts} or {"train"})
    trained = catalog.table.filter(pl.col("split").is_in(parts) & pl.col("labels").is_not_null())
    if trained.is_empty():
        raise DataError(
            f"The catalog has no labelled media in the part {' or '.join(parts)}, of which the model was "
            "trained: --alike shows these beside mistakes."
        )
    return trained


def _scan(table: Path) -> pl.LazyFrame:
    """`media_id` and `embedding`, of the photos that could be read."""
    try:
        rows = pl.scan_parquet(table, glob=False)
        names = rows.collect_schema().names()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{table} cannot be read as a table of embeddings: {error}") from error
    if not {"media_id", "status", "embedding"} <= set(names):
        raise DataError(
            f"{table} is no table of embeddings: `trapline embed MODEL CATALOG -o TABLE` makes one."
        )
    return rows.filter(pl.col("status") == "ok").select("media_id", "embedding")


def _described(nearest: Sequence[Near], trained: pl.DataFrame) -> tuple[Neighbour, ...]:
    names = [media for _, media in nearest]
    rows = {row["media_id"]: row for row in trained.filter(pl.col("media_id").is_in(names)).to_dicts()}
    return tuple(
        Neighbour(
            media_id=media,
            file_path=rows[media]["file_path"],
            location=rows[media]["location_id"],
            labels=tuple(rows[media]["labels"]),
            cosine=float(np.round(cosine, 3)),
        )
        for cosine, media in nearest
    )
