"""Several models' predictions of the same media as one table, calibrated apart for what is harder to see.

A photo without a box shows an animal so small or hidden that a detector missed it, and a classifier that
learnt mostly from crops is far too sure of it; a visit of several photos may be surer than a photo alone.
What each model's word is worth in each of these groups is learnt from predictions of media that the models
did not train on (`validation.parquet` of a run by folds), and then applied to others. One model alone is
calibrated anew. Where other locations bear it, the combination has an offset a label besides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog, Groups, event_key
from trapline.ensemble.learnt import (
    FoldBy,
    count_learnt,
    deal_folds,
    known_labels,
    rows_predicted,
    say_several,
    truth_of,
)
from trapline.errors import DataError, UsageError
from trapline.metrics import fit_opinions, pool_opinions
from trapline.models import Calibration, apply_calibration, choose_calibration
from trapline.prediction import (
    Combination,
    Compared,
    Media,
    PoolingOptions,
    PredictionFacts,
    Predictions,
    SideBySide,
    Table,
    check_output,
    pooled_logits,
    probability_columns,
    whole,
    whole_catalog,
    write_predicted,
)

GROUPS = ("no box", "faint", "alone", "several")
"""Media without a box; whose best box is fainter than `FAINT`; alone in their event; the others. If events
are pooled, the boxes of all media of an event count."""
FAINT = 0.5
"""Below this confidence a detector is often wrong; a box without one was drawn by hand and is sure."""

_ASKED = ("event_id", "boxes")
"""What is asked of the catalog besides what identifies its media."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def learn_combination(
    members: Sequence[Predictions],
    catalog: Catalog,
    *,
    fold_by: FoldBy = "location",
    folds: int = 5,
    seed: int = 42,
) -> Predictions:
    """Learn what each model's word is worth, and combine the same media honestly.

    Args:
        members: a table a model, of the same media or events, none of which the model (or the fold of it that
            answered) trained on; media all pooled by event, or none.
        catalog: with the labels of these media, their locations, boxes and events.
        fold_by: what the models' folds kept together. Of several labels those that no other fold shows teach
            nothing: a model without them could not know them.
        folds: of the locations: each fold's media are combined by weights learnt on the others; or each
            season is one.
        seed: deals the folds.

    Returns:
        the combined table; its `facts.combined` is the `Combination` learnt on all of the media.

    Raises:
        DataError: tables that are not of the same media and labels, or that tell of the surest labels only;
            media without a label, too few locations.
        UsageError: answers that lean on others or were shifted; tables that are pooled in different ways.
    """
    members = _align(members)
    table = rows_predicted(members[0], catalog)
    truth, teaches = truth_of(table, members[0])
    groups, opinions = _groups(table, members), _opinions(members)
    good = np.isfinite(opinions).all(axis=(1, 2))
    labelled = table["labels"].is_not_null().to_numpy() & good

    probabilities = np.full(opinions.shape[:2], np.nan)
    of_fold = deal_folds(catalog, table, labelled, fold_by, folds, seed)
    teaches = teaches & good
    labels, task, grouped = members[0].labels, _form(members[0]), Groups.of(table)
    # of one camera what the folds keep apart stands for locations: its events are all of the same seasons
    together = grouped.keys if grouped.by == "location" else of_fold
    counted = known_labels(truth, of_fold) if task == "multi-label" else None

    def fit(rows: npt.NDArray[np.bool_]) -> _Pool:
        known = None if counted is None else counted[rows]
        weights, sureness = fit_opinions(
            opinions[rows], truth[rows], groups[rows], len(GROUPS), counted=known
        )
        plain = _Pool(weights, sureness, Calibration(), labels, task)
        logits = pooled_logits(plain.answer(opinions[rows], groups[rows]), task)
        chosen = choose_calibration(
            "auto", logits, truth[rows], Calibration(), task, labels, together[rows], known
        )
        if chosen.method != "labels":  # a temperature does no more than the sureness does
            return plain
        return replace(plain, calibration=chosen)

    def answer(rows: npt.NDArray[np.bool_], pool: _Pool) -> None:
        probabilities[rows] = pool.answer(opinions[rows], groups[rows])

    pool = fit(teaches)
    answer(good & (of_fold < 0), pool)
    for fold in range(int(of_fold.max()) + 1):
        answer(of_fold == fold, fit(teaches & (of_fold != fold)))
    combination = Combination(
        models=tuple(member.model for member in members),
        names=tuple(_name(member) for member in members),
        weights=tuple(pool.weights.tolist()),
        sureness=dict(zip(GROUPS, pool.sureness.tolist(), strict=True)),
        slopes=dict(zip(labels, pool.calibration.slopes, strict=False)),  # empty where there are none
        offsets=dict(zip(labels, pool.calibration.offsets, strict=False)),
        pooled=_common_pooling(members),
        learnt_on=count_learnt(table, teaches),
    )
    method = f"folds by {fold_by}, each combined by weights learnt on the others"
    return _as_table(members, probabilities, combination, measured_on=method)


def combine(members: Sequence[Predictions], catalog: Catalog, like: Combination) -> Predictions:
    """Combine predictions of other media by weights that were learnt.

    Args:
        members: a table a model, in any order: the models are known by their fingerprints.
        catalog: with the boxes and events of these media.
        like: of `Combination.of` the table that learning gave.

    Raises:
        DataError: tables that are not of the same media and labels, or of other models.
        UsageError: pooled by event though the weights were learnt on single media, or the other way round;
            as of `learn_combination`.
    """
    by_model = {member.model: member for member in members}
    if sorted(by_model) != sorted(set(like.models)) or len(members) != len(like.models):
        raise DataError(
            f"The weights are of the models {', '.join(like.names)}; these predictions "
            f"are of {', '.join(_name(member) for member in members)}, or of other versions. Give one table "
            "of each model that the weights were learnt for."
        )
    members = _align([by_model[model] for model in like.models])
    if _common_pooling(members) != like.pooled:
        raise UsageError(
            f"The weights were learnt on predictions {_how(like.pooled)}, and these are "
            f"{_how(_common_pooling(members))}. Treat both alike (`trapline pool`)."
        )
    groups, opinions = _groups(rows_predicted(members[0], catalog), members), _opinions(members)
    probabilities = _Pool.of(like, members[0]).answer(opinions, groups)
    return _as_table(members, probabilities, like)


def combine_tables(
    tables: Sequence[Table],
    media: Media,
    output: Path | str,
    like: Combination,
    *,
    rows_per_file: int | None = None,
) -> CombinedTable:
    """`combine` from table to table, some events at a time; all at once where the tables' orders differ.

    Args:
        tables: of `scan_table`, one a model.
        media: of `media_of`.
        output: as of `write_table`, likewise `rows_per_file`.
        like: as of `combine`.
        rows_per_file: see there.

    Raises:
        DataError: as of `combine`, likewise `UsageError`.
    """
    check_output(Path(output), rows_per_file)
    events = any(head.level == "event" for head, _ in tables)
    side = None if events else SideBySide.open(tables, media)
    if side is None:
        members = [whole(table) for table in tables]
        asked = (*_ASKED, "frame") if events else _ASKED
        parts = iter([combine(members, whole_catalog(media, asked), like)])
    else:
        given = (part for part in side.parts(_ASKED) if any(map(len, part[0])))
        parts = (combine(members, catalog, like) for members, catalog in given)
    facts, rows = write_predicted(parts, output, rows_per_file)
    return CombinedTable(Combination.of(facts), rows)


@dataclass(frozen=True)
class _Pool:
    """What each model's word is worth [M], how sure each group is, and the offsets that labels have."""

    weights: Floats
    sureness: Floats
    calibration: Calibration
    labels: tuple[str, ...]
    task: str

    @classmethod
    def of(cls, like: Combination, first: Predictions) -> _Pool:
        """What was learnt, for tables with the labels of the first."""
        calibration = Calibration()
        if like.offsets:
            slopes, offsets = (
                tuple(values[label] for label in first.labels) for values in (like.slopes, like.offsets)
            )
            calibration = Calibration(method="labels", slopes=slopes, offsets=offsets)
        sureness = np.array([like.sureness[name] for name in GROUPS])
        return cls(np.array(like.weights), sureness, calibration, first.labels, _form(first))

    def answer(self, opinions: Floats, groups: Ints) -> Floats:
        """float64 [N, K] of opinions [N, K, M]; NaN where a model failed."""
        several = self.task == "multi-label"  # NaN stays
        pooled = pool_opinions(opinions, self.weights, self.sureness[groups], multi_label=several)
        if self.calibration.method == "none":
            return pooled
        return apply_calibration(pooled_logits(pooled, self.task), self.calibration, self.task, self.labels)


@dataclass(frozen=True)
class CombinedTable:
    """How the models were combined, and how many rows the table has."""

    how: Combination
    rows: int


def _as_table(
    members: Sequence[Predictions],
    probabilities: Floats,
    combination: Combination,
    measured_on: str | None = None,
) -> Predictions:
    """The first table with these probabilities; media that failed for one model keep its reason."""
    first = members[0]
    refused = pl.when(pl.col("status") != "ok").then("reason")
    reasons = pl.coalesce([pl.lit(member.table.select(refused).to_series()) for member in members])
    failed = pl.lit(pl.Series(~np.isfinite(probabilities).all(axis=1)))
    fixed = first.table[first.table.columns[: -len(first.labels)]].with_columns(
        pl.when(failed).then(pl.lit("failed")).otherwise("status").alias("status"),
        pl.when(failed).then(reasons).otherwise("reason").alias("reason"),
    )
    trained_on = [member.facts.trained_on for member in members]
    held_out_by = {member.facts.held_out_by for member in members}
    facts = PredictionFacts(
        model_name=f"{', '.join(combination.names)} combined",
        calibration=combination.learnt_on,
        combined=combination,
        measured_on=measured_on,
        trained_on=tuple(chain.from_iterable(trained_on)) if all(trained_on) else (),
        measured_at=tuple(chain.from_iterable(member.facts.models_measured_at for member in members)),
        held_out_by=held_out_by.pop() if len(held_out_by) == 1 else None,
        exclusive=first.facts.exclusive,
        familiar=_farthest(members),
        pooled=first.facts.pooled,
    )
    fingerprint = hashlib.sha256("\n".join(combination.models).encode()).hexdigest()
    table = fixed.hstack(probability_columns(first.labels, probabilities))
    return Predictions(table, first.labels, first.level, fingerprint, first.task, facts)


def _farthest(members: Sequence[Predictions]) -> Compared | None:
    """Of the members' comparisons with what they have learnt from the one that most locations are unlike."""
    known = [member.facts.familiar for member in members if member.facts.familiar is not None]
    return max(known, key=lambda one: one.far, default=None)


def _align(members: Sequence[Predictions]) -> list[Predictions]:
    """The tables with the rows and labels of the first, in its order; their labels exclude each other where
    those of all of them do."""
    first, aligned = members[0], []
    exclusive = all(member.facts.exclusive for member in members)
    key = pl.coalesce("event_id", "media_id") if first.level == "event" else pl.col("media_id")
    ids = first.table.select(key.alias("_key"))
    for member in members:
        if member.facts.kept is not None:
            raise DataError(
                f"{_name(member)} tells of the surest labels only; what its word is worth is learnt from the "
                "probability of every label. Leave it out, and judge it by itself with `trapline evaluate`."
            )
        if member.facts.nearby is not None or member.facts.shares is not None:
            raise UsageError(
                f"{_name(member)} leans on its locations' others, or was shifted to other shares. Combine "
                "answers before that, and do it to what comes out (`trapline nearby`, `trapline shares`)."
            )
        if member.level != first.level or member.level == "box":
            raise DataError(
                "Predictions of media are combined, or such of events; not of boxes, nor of both."
            )
        if set(member.labels) != set(first.labels) or member.task != first.task:
            raise DataError(
                f"The models know different labels: {', '.join(first.labels)} and {', '.join(member.labels)}."
            )
        keyed = member.table.with_columns(key.alias("_key"))
        lone = set(ids["_key"]) ^ set(keyed["_key"])
        if lone or len(member) != len(first):
            few = ", ".join(sorted(lone)[:3])
            raise DataError(
                f"The tables are not of the same media: {len(lone)} are in one and not the other ({few}). "
                "Predict the same catalog with each model."
            )
        table = ids.join(keyed, on="_key", how="left", maintain_order="left")
        columns = [*member.table.columns[: -len(member.labels)], *first.labels]
        facts = replace(member.facts, exclusive=exclusive)
        aligned.append(replace(member, table=table[columns], labels=first.labels, facts=facts))
    return aligned


def _groups(table: pl.DataFrame, members: Sequence[Predictions]) -> Ints:
    """[N], indices in `GROUPS`; media on which no detector was run count as seen."""
    sure = (
        pl.col("boxes").list.eval(pl.element().struct.field("conf").fill_null(1.0)).list.max().fill_null(0.0)
    )
    best = pl.when(pl.col("boxes").is_null()).then(1.0).otherwise(sure)
    boxes, size = pl.col("boxes").list.len().fill_null(1), pl.lit(1)
    if _common_pooling(members) is not None:
        event = event_key()
        best, boxes, size = best.max().over(event), boxes.max().over(event), pl.len().over(event)
    group = pl.when(boxes == 0).then(0).when(best < FAINT).then(1).when(size == 1).then(2).otherwise(3)
    return table.select(group.cast(pl.Int64).alias("group"))["group"].to_numpy()


def _form(first: Predictions) -> str:
    """The task as answers are pooled: labels that exclude each other as a softmax has them."""
    return "multi-label" if say_several(first) else "single-label"


def _opinions(members: Sequence[Predictions]) -> Floats:
    return np.stack([member.probabilities() for member in members], axis=2)


def _common_pooling(members: Sequence[Predictions]) -> PoolingOptions | None:
    """How the tables were pooled, all alike; None if they were not."""
    pooled = [member.facts.pooled for member in members]
    options = [None if one is None else one.options for one in pooled]
    if any(one != options[0] for one in options):
        raise UsageError(
            f"The tables are {' and '.join(_how(one) for one in options)}; pool them alike, or none of them."
        )
    return options[0]


def _how(pooled: PoolingOptions | None) -> str:
    return "not pooled by event" if pooled is None else f"pooled by event ({pooled})"


def _name(member: Predictions) -> str:
    return member.facts.recipe or member.facts.model_name or member.model[:12]
