"""How the crops of an observation become one answer: chosen on observations that no head saw."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from trapline.catalog import Catalog
from trapline.metrics import log_loss
from trapline.models import EventPooling, PoolingMethod
from trapline.prediction import Predictions, pool_events

METHODS: tuple[PoolingMethod, ...] = ("mean-logit", "geometric-mean", "mean", "max")
LEAST = 10
"""Observations of several media that are needed to choose between them."""


def choose_pooling(
    predictions: Predictions, catalog: Catalog, of_label: Mapping[str, str | None]
) -> EventPooling | None:
    """The way of pooling with the least log loss over the observations; None where there are too few.

    Args:
        predictions: of media that no head was trained on.
        catalog: with their labels and events.
        of_label: label of the data → class. Observations whose media have several classes, or a coarse
            label, do not take part.
    """
    fine = {label: name for label, name in of_label.items() if name is not None}
    truth = (
        catalog.table.join(predictions.ok.select("media_id"), on="media_id", how="semi")
        .filter(pl.col("event_id").is_not_null())
        .select("event_id", pl.col("labels").list.first().replace_strict(fine, default=None).alias("truth"))
        .group_by("event_id", maintain_order=True)
        .agg(pl.col("truth").unique(), pl.len().alias("media"))
        .filter((pl.col("media") > 1) & (pl.col("truth").list.len() == 1))
        .with_columns(pl.col("truth").list.first())
        .drop_nulls("truth")
    )
    if truth.height < LEAST:
        return None
    index_of = {name: index for index, name in enumerate(predictions.labels)}
    losses: dict[PoolingMethod, float] = {}
    for method in METHODS:
        pooled = pool_events(predictions, catalog, how=method, rows="event")
        rows = truth.join(pooled.table, on="event_id", how="inner", maintain_order="left")
        numbers = rows[list(predictions.labels)].cast(pl.Float64).to_numpy()
        answers = np.array([index_of[name] for name in rows["truth"]])
        losses[method] = float(log_loss(answers, numbers))
    best = min(losses, key=losses.__getitem__)
    tried = ", ".join(f"{method} {loss:.3f}" for method, loss in losses.items())
    return EventPooling(
        method=best,
        selected_on=f"the log loss of {truth.height} observations of several photos, unseen ({tried})",
    )
