"""The figures of an evaluation by label, by location and by media."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from numpy.typing import ArrayLike

from trapline import metrics
from trapline.evaluation.intervals import Resampling
from trapline.evaluation.levels import split_seasons
from trapline.evaluation.matching import Matched
from trapline.evaluation.mistakes import Mistake, mistakes_at
from trapline.evaluation.result import LabelResult, LocationResult, SeasonResult
from trapline.metrics import Weights
from trapline.models import Interval

MISTAKES_KEPT = 1000
_OF_EVERY_PROBABILITY = ("average_precision", "auc")


def _label_figures(
    truth: ArrayLike, probabilities: ArrayLike, weights: Weights, blank: int | None = None
) -> dict[str, npt.NDArray[np.float64]]:
    counts = metrics.count_labels(truth, probabilities, weights, blank=blank)
    own = metrics.label_log_loss(truth, probabilities, weights) if np.ndim(truth) == 2 else None
    losses = {} if own is None else {"log_loss": own}
    return losses | {
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "average_precision": metrics.label_average_precision(truth, probabilities, weights),
        "auc": metrics.label_auc(truth, probabilities, weights),
    }


def per_label(matched: Matched, resampling: Resampling) -> tuple[LabelResult, ...]:
    """The figures of every label, with intervals; of what was predicted, whatever counts as right."""
    counts = metrics.count_labels(matched.truth, matched.answered, blank=matched.blank)
    figures = metrics.estimate_vectors(
        matched.truth,
        matched.answered,
        *(resampling.groups, resampling.samples, resampling.seed),
        metrics_fn=partial(_label_figures, blank=matched.blank),
    )
    return tuple(
        LabelResult(
            label=label,
            known=label not in matched.unknown,
            media=int(counts.support[index]),
            locations=_locations_with(matched, index),
            said=int(counts.predicted[index]),
            **{
                name: None
                if matched.kept and name in _OF_EVERY_PROBABILITY
                else Interval.of(estimates[index])
                for name, estimates in figures.items()
            },
        )
        for index, label in enumerate(matched.labels)
    )


def _locations_with(matched: Matched, index: int) -> int:
    has = metrics.mark_labels(matched.truth, len(matched.labels))[:, index]
    return matched.media["location_id"].filter(pl.Series(has)).drop_nulls().n_unique()


def rows_right(matched: Matched) -> npt.NDArray[np.bool_]:
    """[N]: whether the label, or every label, is right."""
    if matched.truth.ndim == 1:
        return np.asarray(matched.probabilities.argmax(axis=1) == matched.truth)
    told = metrics.labels_said(matched.probabilities, blank=matched.blank)
    return np.asarray((told == (matched.truth == 1)).all(axis=1))


def per_location(matched: Matched, seen: pl.Series | None) -> tuple[LocationResult, ...]:
    """The figures of every location, sorted by id, media of no known location last."""
    table = matched.media.select("location_id", "labels").with_columns(
        right=pl.Series(rows_right(matched)),
        loss=pl.Series(metrics.log_losses(matched.truth, matched.probabilities)),
        seen=pl.lit(None, pl.Boolean) if seen is None else seen,
    )
    grouped = table.group_by("location_id").agg(
        media=pl.len(),
        labels=pl.col("labels").explode().n_unique(),
        accuracy=pl.col("right").mean(),
        log_loss=pl.lit(None, pl.Float64) if matched.kept else pl.col("loss").mean(),
        seen=pl.col("seen").first(),
    )
    ordered = grouped.sort("location_id", nulls_last=True).rename({"location_id": "location"})
    return tuple(LocationResult(**row) for row in ordered.iter_rows(named=True))


def per_season(matched: Matched, resampling: Resampling) -> tuple[SeasonResult, ...]:
    """The figures of every season, S2 before S10; empty if the catalog has no seasons."""
    results = []
    for name, of_season in split_seasons(matched.media):
        inside = of_season.to_numpy()
        figures = matched.measure(resampling, inside)
        labels = _season_labels(matched, inside)
        results.append(SeasonResult(season=name, media=int(inside.sum()), metrics=figures, **labels))
    return tuple(results)


def _season_labels(matched: Matched, inside: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """What a season shows beside the others, and the log loss label by label."""
    shows = metrics.mark_labels(matched.truth, len(matched.labels))
    here, elsewhere = shows[inside].sum(axis=0), shows[~inside].any(axis=0)
    alone = [matched.labels[index] for index in np.flatnonzero((here > 0) & ~elsewhere)]
    figures = {
        "label_media": dict(zip(matched.labels, here.tolist(), strict=True)),
        "only_here": tuple(alone),
    }
    if matched.truth.ndim == 1:
        return figures
    losses = metrics.label_log_loss(matched.truth[inside], matched.answered[inside])
    shared = {"shared_log_loss": float(losses[elsewhere].mean())} if elsewhere.any() else {}
    return figures | shared | {"label_log_loss": dict(zip(matched.labels, losses.tolist(), strict=True))}


def confusion(matched: Matched) -> tuple[tuple[int, ...], ...] | None:
    """The confusion matrix; None for multi-label."""
    if matched.truth.ndim == 2:
        return None
    return tuple(map(tuple, metrics.confusion_matrix(matched.truth, matched.answered).tolist()))


def worst_mistakes(matched: Matched) -> tuple[int, tuple[Mistake, ...]]:
    """How many media are wrong, and the worst of them."""
    wrong, badness = badness_of(matched)
    worst = wrong[np.argsort(-badness[wrong], kind="stable")][:MISTAKES_KEPT]
    return len(wrong), mistakes_at(matched, worst)


def badness_of(matched: Matched) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The rows of media that are wrong, and of all media how bad that would be.

    That is the confidence in the wrong label, or the log loss where there can be several labels.
    """
    wrong = np.flatnonzero(~rows_right(matched))
    if matched.truth.ndim == 1:
        return wrong, matched.probabilities.max(axis=1)
    return wrong, metrics.log_losses(matched.truth, matched.probabilities)
