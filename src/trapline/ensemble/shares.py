"""Answers where labels have other shares than where the model learnt, estimated of the answers themselves.

The next season shows other species, or the same ones more often. The mean answer of a calibrated model says
how often, roughly; expectation and maximisation says it better (`trapline.metrics.shares`), and Bayes' rule
answers again. It holds where the shares alone have changed: a label that looks otherwise here, or that the
model does not know, is taken for a change of shares.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog, event_catalog
from trapline.ensemble.learnt import FoldBy, label_shares, refuse_taxa, say_several
from trapline.errors import DataError, UsageError
from trapline.metrics import estimate_shares, shift_shares
from trapline.prediction import Predictions, SharesShift, probability_columns

ALL = "all"
"""The name of the one group where nothing is told apart."""
KEPT = 300.0
"""Media of the old shares that count beside the new: in simulated seasons fewer lose more beside the best
number where they lose most; 1000 lose as little (`benchmarks/shares_kept.py`)."""

Floats = npt.NDArray[np.float64]


def shift_to_shares(
    predictions: Predictions, learnt: Catalog, *, fold_by: FoldBy | None = None, kept: float = KEPT
) -> Predictions:
    """The answers as they are where labels have the shares that these media seem to have.

    Args:
        predictions: all of those whose shares are asked for: of a new season, say.
        learnt: the labelled media that the model learnt from; those of its test part are left out.
        fold_by: of predictions of these very media by the models of folds: what the folds kept together.
            Each season (or location) is then shifted by itself, from the shares that the others have.
        kept: so many media of the old shares count beside the new; the more, the less changes.

    Returns:
        predictions of the same media; those that failed stay failed and do not count. `facts.shares` keeps
        the shares before and after.

    Raises:
        UsageError: a negative `kept`, or predictions that were shifted before; predictions of the media that
            the model learnt from, without `fold_by`; a model of taxa.
        DataError: predictions that tell of the surest labels only, labels that the model does not know,
            nothing labelled, or nothing with an answer.
    """
    _check(predictions, kept)
    labels, several = predictions.labels, say_several(predictions)
    key = pl.coalesce("event_id", "media_id") if predictions.level == "event" else pl.col("media_id")
    ids = predictions.table.select(key.alias("media_id"))["media_id"]
    known = (event_catalog(learnt) if predictions.level == "event" else learnt).table
    known = known.filter(pl.col("split").ne_missing("test"))
    group_of = _groups(ids, known, fold_by)
    marks, group_learnt = _marks(known.filter(pl.col("labels").is_not_null()), labels, fold_by)
    values = predictions.probabilities().astype(np.float64)
    good = np.isfinite(values).all(axis=1)
    shifts: dict[str, SharesShift] = {}
    for group in sorted(set(group_of)):
        inside = good & (group_of == group)
        if not inside.any():
            continue
        before = label_shares(marks[group_learnt != group], several=several)
        after = estimate_shares(values[inside], before, kept=kept, multi_label=several)
        values[inside] = shift_shares(values[inside], before, after, multi_label=several)
        both = (dict(zip(labels, shares.tolist(), strict=True)) for shares in (before, after))
        shifts[group] = SharesShift(
            before=next(both), after=next(both), over=fold_by or ALL, kept=kept, media=int(inside.sum())
        )
    if not shifts:
        raise DataError("None of these media has an answer, so that no shares can be estimated.")
    calibration = predictions.facts.calibration
    if calibration:
        calibration = f"{calibration}; then shifted to the shares of these media, not measured with them"
    facts = replace(predictions.facts, shares=shifts, calibration=calibration)
    table = predictions.table.with_columns(probability_columns(labels, values))
    return replace(predictions, table=table, facts=facts)


def shares_after(predictions: Predictions, table: pl.DataFrame) -> Floats | None:
    """[N, K]: the shares to which each answer was shifted; None where none were.

    Args:
        predictions: of `shift_to_shares`, or not.
        table: the catalog's rows of what was predicted, in their order.
    """
    shifts = predictions.facts.shares
    if not shifts:
        return None
    over = next(iter(shifts.values())).over
    groups = [ALL] * len(table) if over == ALL else table.select(_column(table, over)).to_series().to_list()
    after = {name: [shift.after[label] for label in predictions.labels] for name, shift in shifts.items()}
    unknown = [0.5] * len(predictions.labels)  # of a group without an answer nothing was estimated
    return np.array([after.get(group, unknown) for group in groups])


def _check(predictions: Predictions, kept: float) -> None:
    if not 0 <= kept < float("inf"):
        raise UsageError(f"The media of the old shares that count are a number from 0 on, not {kept:g}.")
    if predictions.facts.shares is not None:
        raise UsageError("These answers were shifted to other shares already; give those before that.")
    if predictions.facts.kept is not None:
        raise DataError("Shares are estimated of the probability of every label; these tell of the surest.")
    if predictions.level == "box":
        raise DataError("Shares are estimated of media or events; pool the boxes first (`trapline pool`).")
    refuse_taxa(predictions)


def _groups(ids: pl.Series, known: pl.DataFrame, fold_by: FoldBy | None) -> npt.NDArray[np.str_]:
    """[N], what is shifted together: all, or each season or location of what was learnt from.

    Raises:
        UsageError: media that were learnt from, without a word on the folds; or others, with one.
    """
    learnt_too = ids.is_in(known["media_id"].implode())
    if fold_by is None:
        if learnt_too.any():
            raise UsageError(
                f"{learnt_too.sum()} of these media are among those that the model learnt from. If folds of "
                "it answered, say what they kept together: --fold-by season."
            )
        return np.array([ALL] * len(ids))
    if not learnt_too.all():
        raise UsageError(
            f"{(~learnt_too).sum()} of these media are not among those that the model learnt from, so that "
            "no fold of it has held them out: leave --fold-by out."
        )
    named = known.select("media_id", _column(known, fold_by).alias("group"))
    return ids.to_frame().join(named, on="media_id", how="left", maintain_order="left")["group"].to_numpy()


def _column(known: pl.DataFrame, fold_by: str) -> pl.Expr:
    name = "season" if fold_by == "season" else "location_id"
    if name not in known.columns or known[name].is_null().any():
        raise DataError(f"The catalog does not tell the {fold_by} of every media.")
    return pl.col(name).cast(pl.String)


def _marks(
    labelled: pl.DataFrame, labels: tuple[str, ...], fold_by: FoldBy | None
) -> tuple[Floats, npt.NDArray[np.str_]]:
    """0/1 [M, K], what the labelled media show, and the group of each; "" where there are none.

    Raises:
        DataError: nothing is labelled, or labels that the model does not know.
    """
    if not len(labelled):
        raise DataError("The catalog has no labels: give the one that the model learnt from.")
    if unknown := sorted(set(labelled["labels"].explode().drop_nulls()) - set(labels)):
        raise DataError(
            f"The model does not know the label {', '.join(unknown)}: give the catalog that it learnt from."
        )
    marks = np.stack([labelled["labels"].list.contains(label).to_numpy() for label in labels], axis=1)
    if fold_by is None:
        return marks.astype(np.float64), np.array([""] * len(labelled))
    return marks.astype(np.float64), labelled.select(_column(labelled, fold_by)).to_series().to_numpy()
