"""What ensembles learn from: what was predicted, with its labels, dealt to folds of locations or seasons."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import ByLocation, BySeason, Catalog, event_catalog
from trapline.errors import DataError, UsageError, many
from trapline.prediction import Predictions

FoldBy = Literal["location", "season"]
"""What the folds keep together: as the model's own folds did."""

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def rows_predicted(first: Predictions, catalog: Catalog) -> pl.DataFrame:
    """The catalog's rows of the predicted media, in their order; of events, of their first frames.

    Raises:
        DataError: some are not in the catalog.
    """
    events = first.level == "event"
    key = pl.coalesce("event_id", "media_id") if events else pl.col("media_id")
    known = (event_catalog(catalog) if events else catalog).table
    ids = first.table.select(key.alias("media_id"))
    table = ids.join(known, on="media_id", how="left", maintain_order="left")
    strangers = table.filter(pl.col("file_path").is_null())["media_id"].to_list()
    if strangers:
        raise DataError(
            f"{len(strangers)} predicted {'events' if events else 'media'} are not in the catalog: "
            f"{', '.join(strangers[:5])}. Give the catalog that was predicted."
        )
    return table


def say_several(predictions: Predictions) -> bool:
    """Whether labels do not exclude each other: each is answered by itself."""
    return predictions.task == "multi-label" and not predictions.facts.exclusive


def refuse_taxa(predictions: Predictions) -> None:
    """Raises `UsageError` for answers of a model of taxa, which keep their promise only as they are."""
    if predictions.facts.taxonomy is not None:
        name = predictions.facts.model_name or predictions.model[:12]
        raise UsageError(
            f"{name} is a model of taxa: what its ranks promise rests on its own calibration, and what is "
            "learnt of few labels or of the answers themselves cannot promise it anew."
        )


def truth_of(table: pl.DataFrame, first: Predictions) -> tuple[Ints, Bools]:
    """What media show, and which of them teach: the labelled, with one label where such exclude each other.

    Returns:
        int [N], or 0/1 [N, K] where the model says several labels; 0 where there is no label.
        bool [N].
    """
    unknown = sorted(set(table["labels"].explode().drop_nulls()) - set(first.labels))
    if unknown:
        raise DataError(
            f"The models do not know the label {', '.join(unknown)}; "
            "leave its media out of what is learnt from."
        )
    if table["labels"].is_null().all():
        raise DataError(
            "The catalog has no labels, so what answers are worth cannot be learnt from it. "
            "Learn it on labelled media, and give that table with --like."
        )
    if first.task == "multi-label":
        columns = [table["labels"].list.contains(label).fill_null(False) for label in first.labels]
        marks = np.stack([column.to_numpy() for column in columns], axis=1).astype(np.int64)
        if say_several(first):
            return marks, table["labels"].is_not_null().to_numpy()
        return marks.argmax(axis=1), marks.sum(axis=1) == 1
    if (table["labels"].list.len() > 1).any():
        raise DataError("Media with several labels cannot be learnt from by a model that says one.")
    index_of = {label: number for number, label in enumerate(first.labels)}
    truth = table["labels"].list.first().replace_strict(index_of, default=0, return_dtype=pl.Int64)
    return truth.to_numpy(), table["labels"].is_not_null().to_numpy()


def deal_folds(catalog: Catalog, table: pl.DataFrame, rows: Bools, by: FoldBy, folds: int, seed: int) -> Ints:
    """[N], the fold that holds a media out; -1 for media that cannot be learnt from.

    Args:
        catalog: whose media these are.
        table: of `rows_predicted`.
        rows: [N], those that can be learnt from.
        by: each season is a fold, or locations are dealt to `folds`.
        folds: how many.
        seed: deals the locations.
    """
    learnt = catalog.with_table(table.filter(pl.Series(rows)))
    splitter = BySeason(folds="each") if by == "season" else ByLocation(folds=folds, seed=seed)
    fold_of = np.full(len(table), -1)
    for index, fold in enumerate(splitter.folds(learnt)):
        held_out = fold.table.filter(pl.col("split") == "validation")["media_id"]
        fold_of[table["media_id"].is_in(held_out.implode()).to_numpy()] = index
    return fold_of


def known_labels(truth: Ints, fold_of: Ints) -> Bools:
    """[N, K]: whether media of other folds show a label, so that what was held out could be told of it.

    Args:
        truth: 0/1 [N, K], of several labels.
        fold_of: [N], -1 for media that are not learnt from: of these every label that any shows.
    """
    known = np.zeros(truth.shape, bool)
    for fold in np.unique(fold_of):
        others = (fold_of != fold) & (fold_of >= 0)
        known[fold_of == fold] = truth[others].any(axis=0)
    return known


def label_shares(marks: npt.NDArray[Any], *, several: bool) -> npt.NDArray[np.float64]:
    """[K]: the share of each label, half a media added to either side, so that none is impossible.

    Args:
        marks: 0/1 [N, K], what labelled media show.
        several: whether labels do not exclude each other; the shares of such as do sum to 1.

    Raises:
        DataError: there are none: what was held out is all that is labelled.
    """
    if not len(marks):
        raise DataError("All that is labelled is held out together, so that there is nothing to learn from.")
    counts = marks.sum(axis=0) + 0.5
    return np.asarray(counts / (len(marks) + 1 if several else counts.sum()))


def count_learnt(table: pl.DataFrame, rows: Bools, noun: str = "media") -> str:
    """For people: how many media, and at how many locations, were learnt from."""
    locations = table.filter(pl.Series(rows))["location_id"].n_unique()
    return f"out of fold: {int(rows.sum())} {noun} at {many(locations, 'location')}"
