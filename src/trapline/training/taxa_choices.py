"""What a model of taxa decides on media that no head saw: how the crops of an observation become one answer,
and from which thresholds each rank keeps its promise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog
from trapline.metrics import choose_threshold, log_loss
from trapline.models import EventPooling, PoolingMethod
from trapline.prediction import Predictions, pool_events
from trapline.recipes import Taxa
from trapline.taxonomy import Classes, best_answers, levels_of, unsupported_kinds, verdict
from trapline.training.arrays import Floats

_POOLINGS: tuple[PoolingMethod, ...] = ("mean-logit", "geometric-mean", "mean", "max")
_LEAST = 10
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
    if truth.height < _LEAST:
        return None
    index_of = {name: index for index, name in enumerate(predictions.labels)}
    losses: dict[PoolingMethod, float] = {}
    for method in _POOLINGS:
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


METHOD = (
    "at each rank, of the media that no finer rank answers: the lowest threshold whose one-sided bound of "
    "precision (Clopper-Pearson at the effective number of media; Korn & Graubard 1998, Kish 1965) keeps the "
    "promise, tried in a fixed order (Angelopoulos et al. 2021)"
)


def choose_thresholds(
    probabilities: Floats, labels: list[str], groups: npt.NDArray[Any], classes: Classes, settings: Taxa
) -> tuple[dict[str, float], dict[str, Any]]:
    """The threshold of each level that can keep the promise, and the record for the card.

    Media whose label says less than a level are not counted there, unless the answer is wrong already.

    Args:
        probabilities: [N, classes], calibrated, of media that no head was trained on.
        labels: [N], the truth, as the data has it.
        groups: [N], what is right or wrong together: the location of each, or its event.
        classes: the tree and its classes.
        settings: `promise` and `confidence`.
    """
    tree = classes.taxonomy
    bests = best_answers(probabilities, levels_of(tree, classes.names, unsupported_kinds(classes)))
    open_rows = np.ones(len(labels), bool)
    thresholds: dict[str, float] = {}
    table = {}
    for best in reversed(bests):
        pairs = list(zip(best.answers, labels, strict=True))
        known = {
            (answer, label): "none" if answer is None else verdict(tree, answer, label)
            for answer, label in dict.fromkeys(pairs)
        }
        verdict_of = np.array([known[pair] for pair in pairs])
        judged = open_rows & ~np.isin(verdict_of, ("unknown", "none"))
        choice = choose_threshold(
            best.probabilities[judged],
            verdict_of[judged] == "right",
            groups[judged],
            promise=settings.promise,
            confidence=settings.confidence,
        )
        if choice is None:
            continue
        thresholds[best.level] = np.floor(choice.threshold * 1e6) / 1e6  # tables hold float32
        open_rows &= ~(best.probabilities >= thresholds[best.level])  # NaN: the path has no such rank
        table[best.level] = {
            "media": choice.answered,
            "right": choice.right,
            "groups": choice.groups,
            "bound": round(choice.bound, 4),
        }
    order = [best.level for best in bests if best.level in thresholds]
    record = {
        "promise": settings.promise,
        "confidence": settings.confidence,
        "method": METHOD,
        "media": len(labels),
        "groups": len(np.unique(groups)),
        "chosen_on": {level: table[level] for level in order},
        "unanswered": int(open_rows.sum()),
    }
    return {level: thresholds[level] for level in order}, record
