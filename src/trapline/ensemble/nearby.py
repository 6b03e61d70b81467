"""Answers that lean on what the same location shows around that time, as far as labels have taught.

A camera sees few kinds, and tonight's are those of an hour ago: where a photo says little, those before
and after it say more. How much near ones are worth, and how much far ones, is learnt from predictions of
media that the model did not train on, and then applied to others (`trapline.metrics.nearby`). No label of
the location itself is used, but its other photos' answers are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog, event_key
from trapline.ensemble.learnt import (
    Bools,
    FoldBy,
    count_learnt,
    deal_folds,
    known_labels,
    label_shares,
    refuse_taxa,
    rows_predicted,
    say_several,
    truth_of,
)
from trapline.ensemble.shares import shares_after
from trapline.errors import DataError, UsageError
from trapline.metrics import SPANS, Leaning, Neighbours, fit_leaning, lean, sum_neighbours
from trapline.prediction import NearbyWeights, Predictions, probability_columns

Floats = npt.NDArray[np.float64]


def learn_nearby(
    predictions: Predictions,
    catalog: Catalog,
    *,
    fold_by: FoldBy = "location",
    folds: int = 5,
    seed: int = 42,
) -> Predictions:
    """Learn how far answers lean on their location's others, and lean the same media honestly.

    Args:
        predictions: of media or events on which the model (or the fold of it that answered) did not train.
        catalog: with the labels of these media, their locations, times and events.
        fold_by: what the model's folds kept together. Labels that no other fold shows teach nothing: a model
            without them could not know them.
        folds: of the locations: each fold's media lean as was learnt on the others; or each season is one.
        seed: deals the folds.

    Returns:
        the table with the answers that lean; its `facts.nearby` is what was learnt on all of the media.

    Raises:
        DataError: predictions of boxes, or that tell of the surest labels only; no labels or locations, or
            labels that the model does not know.
        UsageError: the predictions lean already, or are of a model of taxa.
    """
    table = _rows(predictions, catalog)
    truth, teaches = truth_of(table, predictions)
    units = _Units.of(predictions, table)
    labelled = table["labels"].is_not_null().to_numpy() & units.good
    fold_of = deal_folds(catalog, table, labelled, fold_by, folds, seed)
    marks = truth if truth.ndim == 2 else np.eye(len(units.labels), dtype=np.int64)[truth]
    counted = known_labels(truth, fold_of) if truth.ndim == 2 else None
    learn_from = teaches & units.first
    learnt_on = count_learnt(table, learn_from, units.noun)

    def fit(rows: Bools) -> NearbyWeights:
        shares = label_shares(marks[rows], several=units.several)
        base = shares if units.shares is None else units.shares[rows]
        how = fit_leaning(
            units.answers[rows],
            truth[rows],
            units.around[rows],
            base,
            counted=None if counted is None else counted[rows],
        )
        return _weights(predictions, how, shares, learnt_on, units.noun)

    whole = fit(learn_from)
    answers = units.lean(whole)
    for fold in range(int(fold_of.max()) + 1):
        inside = fold_of == fold
        answers[inside] = units.lean(fit(learn_from & ~inside))[inside]
    method = f"folds by {fold_by}, each leaning on its locations' other media as was learnt on the others"
    return _as_table(predictions, answers, whole, measured_on=method)


def lean_on_nearby(predictions: Predictions, catalog: Catalog, like: NearbyWeights) -> Predictions:
    """Answers for other media that lean as was learnt.

    Args:
        predictions: of the model whose answers were learnt from, treated alike.
        catalog: with the locations, times and events of these media.
        like: of `NearbyWeights.of_table` of the table that learning gave.

    Raises:
        DataError: as of `learn_nearby`, or predictions of another model.
        UsageError: of other things (media, pooled media, events) than it was learnt on, or shifted to other
            shares where those were not, or the other way round; they lean already, or are of a model of taxa.
    """
    table = _rows(predictions, catalog)
    if predictions.model != like.model or set(predictions.labels) != set(like.shares):
        raise DataError(
            "How far answers lean was learnt from another model's, or from those of another version. Give "
            "the predictions of the same model."
        )
    units = _Units.of(predictions, table, like.days)
    if units.noun != like.of:
        raise UsageError(
            f"It was learnt on the answers of {like.of}, and these are of {units.noun}. Treat both alike "
            "(`trapline pool`)."
        )
    shifted = predictions.facts.shares is not None
    if shifted != like.shifted:
        ways = "as the model has them", "shifted to other shares"
        raise UsageError(
            f"It was learnt on answers {ways[like.shifted]}, and these are {ways[shifted]}. Treat both alike "
            "(`trapline shares`)."
        )
    return _as_table(predictions, units.lean(like), like)


@dataclass(frozen=True)
class _Units:
    """What has an answer of its own: each media, or of pooled predictions each event.

    Attributes:
        answers: [N, K]; NaN where the model has none.
        around: of each row, without its own unit.
        first: [N], whether a row is the first of its unit that has an answer.
        several: whether labels do not exclude each other.
        labels: K.
        noun: what the units are: media, pooled media, or events.
        shares: [N, K], of the labels where the answers were shifted to such; else those are as learnt.
    """

    answers: Floats
    around: Neighbours
    first: Bools
    several: bool
    labels: tuple[str, ...]
    noun: str
    shares: Floats | None

    @classmethod
    def of(cls, predictions: Predictions, table: pl.DataFrame, spans: tuple[float, ...] = SPANS) -> _Units:
        answers = predictions.probabilities().astype(np.float64)
        good = np.isfinite(answers).all(axis=1)
        pooled = predictions.level == "media" and predictions.facts.pooled is not None
        key = event_key() if pooled else pl.col("media_id")
        codes = table.select(key.alias("key"))["key"].rank("dense").to_numpy().astype(np.int64) - 1
        order = np.lexsort((np.arange(len(codes)), ~good, codes))
        first = np.zeros(len(codes), bool)
        first[order[np.diff(codes[order], prepend=-1) > 0]] = True
        rows = np.flatnonzero(first)
        locations, days = _where_and_when(table)
        around = sum_neighbours(answers[rows], locations[rows], days[rows], spans)
        unit_of = np.zeros(len(codes), np.int64)
        unit_of[codes[rows]] = np.arange(len(rows))
        noun = "pooled media" if pooled else "events" if predictions.level == "event" else "media"
        several = say_several(predictions)
        if len(rows) < len(codes):  # else they are in the order of the rows, and a copy is for nothing
            around = around[unit_of[codes]]
        shares = shares_after(predictions, table)
        return cls(answers, around, first & good, several, predictions.labels, noun, shares)

    @property
    def good(self) -> Bools:
        """[N], which rows have an answer."""
        return np.asarray(np.isfinite(self.answers).all(axis=1))

    def lean(self, how: NearbyWeights) -> Floats:
        """[N, K]: the answers as they lean; NaN where there is none."""
        leaning = Leaning(how.amplitudes, how.reliance, how.sureness)
        shares = self.shares
        if shares is None:
            shares = np.array([how.shares[label] for label in self.labels])
        answers = np.where(self.good[:, None], self.answers, 0.5)
        leant = lean(answers, self.around, shares, leaning, multi_label=self.several)
        return np.where(self.good[:, None], leant, np.nan)


def _where_and_when(table: pl.DataFrame) -> tuple[npt.NDArray[np.int64], Floats]:
    """int [N], -1 where the location is not known, and days [N], NaN where the time is not."""
    columns = table.select(
        (pl.col("location_id").rank("dense").cast(pl.Int64).fill_null(0) - 1).alias("location"),
        (pl.col("camera_time").dt.epoch("s") / 86_400).fill_null(float("nan")).alias("day"),
    )
    return columns["location"].to_numpy(), columns["day"].to_numpy()


def _rows(predictions: Predictions, catalog: Catalog) -> pl.DataFrame:
    if predictions.level == "box" or predictions.facts.kept is not None:
        raise DataError("Answers for media or events lean on others, with the probability of every label.")
    if predictions.facts.nearby is not None:
        raise UsageError("These answers lean on their location's others already; give those before that.")
    refuse_taxa(predictions)
    table = rows_predicted(predictions, catalog)
    for column, what in (("location_id", "location"), ("camera_time", "time")):
        if table[column].is_null().all():
            raise DataError(f"The catalog tells no {what} of these media, so that none has others beside it.")
    return table


def _weights(
    predictions: Predictions, how: Leaning, shares: Floats, learnt_on: str, noun: str
) -> NearbyWeights:
    return NearbyWeights(
        model=predictions.model,
        of=noun,
        days=SPANS,
        amplitudes=how.amplitudes,
        reliance=how.reliance,
        sureness=how.sureness,
        shares=dict(zip(predictions.labels, shares.tolist(), strict=True)),
        learnt_on=learnt_on,
        shifted=predictions.facts.shares is not None,
    )


def _as_table(
    predictions: Predictions, answers: Floats, how: NearbyWeights, measured_on: str | None = None
) -> Predictions:
    facts = replace(predictions.facts, nearby=how, calibration=how.learnt_on, measured_on=measured_on)
    columns = probability_columns(predictions.labels, answers)
    return replace(predictions, table=predictions.table.with_columns(columns), facts=facts)
