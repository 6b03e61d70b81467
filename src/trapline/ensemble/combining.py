"""Several models' predictions of the same media as one table, calibrated apart for what is harder to see.

A photo without a box shows an animal so small or hidden that a detector missed it, and a classifier that
learnt mostly from crops is far too sure of it; a visit of several photos may be surer than a photo alone.
What each model's word is worth in each of these groups is learnt from predictions of media that the models
did not train on (`validation.parquet` of a run by folds), and then applied to others. One model alone is
calibrated anew.
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

from trapline.catalog import ByLocation, Catalog, event_key
from trapline.errors import DataError, UsageError
from trapline.metrics import fit_opinions, pool_opinions
from trapline.prediction import (
    Combination,
    Media,
    PoolingOptions,
    PredictionFacts,
    Predictions,
    SideBySide,
    Table,
    check_output,
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
    members: Sequence[Predictions], catalog: Catalog, *, folds: int = 5, seed: int = 42
) -> Predictions:
    """Learn what each model's word is worth, and combine the same media honestly.

    Args:
        members: a table a model, of the same media, none of which the model (or the fold of it that answered)
            trained on; all pooled by event, or none.
        catalog: with the labels of these media, their locations, boxes and events.
        folds: of the locations: each fold's media are combined by weights learnt on the others.
        seed: deals the folds.

    Returns:
        the combined table; its `facts.combined` is the `Combination` learnt on all of the media.

    Raises:
        DataError: tables that are not of the same media and labels, or that tell of the surest labels only;
            media without a label, too few locations.
    """
    members = _align(members)
    table = _rows_of_media(members[0], catalog)
    truth = _truth(table, members[0])
    groups, opinions = _groups(table, members), _opinions(members)
    good = np.isfinite(opinions).all(axis=(1, 2))
    labelled = table["labels"].is_not_null().to_numpy() & good

    probabilities = np.full(opinions.shape[:2], np.nan)
    of_fold = _folds(catalog, table, labelled, folds, seed)
    multi = members[0].task == "multi-label"

    def fit(rows: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
        return fit_opinions(opinions[rows], truth[rows], groups[rows], len(GROUPS))

    def answer(rows: npt.NDArray[np.bool_], weights: Floats, sureness: Floats) -> None:
        pooled = pool_opinions(opinions[rows], weights, sureness[groups[rows]], multi_label=multi)
        probabilities[rows] = pooled

    weights, sureness = fit(labelled)
    answer(good & (of_fold < 0), weights, sureness)
    for fold in range(folds):
        answer(of_fold == fold, *fit(labelled & (of_fold != fold)))
    location_count = table.filter(pl.Series(labelled))["location_id"].n_unique()
    combination = Combination(
        models=tuple(member.model for member in members),
        names=tuple(_name(member) for member in members),
        weights=tuple(weights.tolist()),
        sureness=dict(zip(GROUPS, sureness.tolist(), strict=True)),
        pooled=_common_pooling(members),
        learnt_on=f"out of fold: {int(labelled.sum())} media at {location_count} locations",
    )
    method = f"{folds} location folds, each combined by weights learnt on the others"
    return _as_table(members, probabilities, combination, measured_on=method)


def combine(members: Sequence[Predictions], catalog: Catalog, like: Combination) -> Predictions:
    """Combine predictions of other media by weights that were learnt.

    Args:
        members: a table a model, in any order: the models are known by their fingerprints.
        catalog: with the boxes and events of these media.
        like: of `Combination.of` the table that learning gave.

    Raises:
        DataError: tables that are not of the same media and labels, or of other models.
        UsageError: pooled by event though the weights were learnt on single media, or the other way round.
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
    groups, opinions = _groups(_rows_of_media(members[0], catalog), members), _opinions(members)
    sureness = np.array([like.sureness[name] for name in GROUPS])[groups]
    several = members[0].task == "multi-label"  # pooled, these are NaN where a model failed
    probabilities = pool_opinions(opinions, like.weights, sureness, multi_label=several)
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
    side = SideBySide.open(tables, media)
    if side is None:
        members = [whole(table) for table in tables]
        parts = iter([combine(members, whole_catalog(media, _ASKED), like)])
    else:
        given = (part for part in side.parts(_ASKED) if any(map(len, part[0])))
        parts = (combine(members, catalog, like) for members, catalog in given)
    facts, rows = write_predicted(parts, output, rows_per_file)
    return CombinedTable(Combination.of(facts), rows)


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
        exclusive=all(member.facts.exclusive for member in members),
        pooled=first.facts.pooled,
    )
    fingerprint = hashlib.sha256("\n".join(combination.models).encode()).hexdigest()
    table = fixed.hstack(probability_columns(first.labels, probabilities))
    return Predictions(table, first.labels, first.level, fingerprint, first.task, facts)


def _align(members: Sequence[Predictions]) -> list[Predictions]:
    """The tables with the rows and labels of the first, in its order."""
    first, aligned = members[0], []
    media = first.table["media_id"]
    for member in members:
        if member.facts.kept is not None:
            raise DataError(
                f"{_name(member)} tells of the surest labels only; what its word is worth is learnt from the "
                "probability of every label. Leave it out, and judge it by itself with `trapline evaluate`."
            )
        if member.level != "media":
            raise DataError("Predictions of media are combined; these have a row a box or an event.")
        if set(member.labels) != set(first.labels) or member.task != first.task:
            raise DataError(
                f"The models know different labels: {', '.join(first.labels)} and {', '.join(member.labels)}."
            )
        lone = set(media) ^ set(member.table["media_id"])
        if lone or len(member) != len(first):
            few = ", ".join(sorted(lone)[:3])
            raise DataError(
                f"The tables are not of the same media: {len(lone)} are in one and not the other ({few}). "
                "Predict the same catalog with each model."
            )
        ids = first.table.select("media_id")
        table = ids.join(member.table, on="media_id", how="left", maintain_order="left")
        columns = [*member.table.columns[: -len(member.labels)], *first.labels]
        aligned.append(replace(member, table=table[columns], labels=first.labels))
    return aligned


def _rows_of_media(first: Predictions, catalog: Catalog) -> pl.DataFrame:
    """The catalog's rows of the predicted media, in their order."""
    table = first.table.select("media_id").join(
        catalog.table, on="media_id", how="left", maintain_order="left"
    )
    strangers = table.filter(pl.col("file_path").is_null())["media_id"].to_list()
    if strangers:
        raise DataError(
            f"{len(strangers)} predicted media are not in the catalog: {', '.join(strangers[:5])}. "
            "Give the catalog that was predicted."
        )
    return table


def _truth(table: pl.DataFrame, first: Predictions) -> npt.NDArray[np.int64]:
    """[N], or 0/1 [N, K] for several labels; 0 where there is no label."""
    unknown = sorted(set(table["labels"].explode().drop_nulls()) - set(first.labels))
    if unknown:
        raise DataError(
            f"The models do not know the label {', '.join(unknown)}; "
            "leave its media out of what is learnt from."
        )
    if table["labels"].is_null().all():
        raise DataError(
            "The catalog has no labels, so what each model's word is worth cannot be learnt from it. "
            "Learn it on labelled media, and give that table with --like."
        )
    if first.task == "multi-label":
        columns = [table["labels"].list.contains(label).fill_null(False) for label in first.labels]
        return np.stack([column.to_numpy() for column in columns], axis=1).astype(np.int64)
    if (table["labels"].list.len() > 1).any():
        raise DataError("Media with several labels cannot be learnt from by a model that says one.")
    index_of = {label: number for number, label in enumerate(first.labels)}
    return table["labels"].list.first().replace_strict(index_of, default=0, return_dtype=pl.Int64).to_numpy()


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


def _folds(catalog: Catalog, table: pl.DataFrame, rows: npt.NDArray[np.bool_], folds: int, seed: int) -> Ints:
    """[N], the fold that holds a media out; -1 for media that cannot be learnt from."""
    learnt = catalog.with_table(
        catalog.table.filter(pl.col("media_id").is_in(table.filter(pl.Series(rows))["media_id"].implode()))
    )
    fold_of = np.full(len(table), -1)
    for index, fold in enumerate(ByLocation(folds=folds, seed=seed).folds(learnt)):
        held_out = fold.table.filter(pl.col("split") == "validation")["media_id"]
        fold_of[table["media_id"].is_in(held_out.implode()).to_numpy()] = index
    return fold_of
