"""Dealing folds: every media held out once, by a model that never saw its location (or event, or season)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import AtRandom, ByEvent, ByLocation, BySeason, Catalog, Splitter
from trapline.errors import DataError, many
from trapline.recipes import FoldedRecipe
from trapline.training.arrays import Rows
from trapline.training.selection import Selected, how_to_leave_out


@dataclass(frozen=True)
class Dealt:
    """Who is held out when.

    Attributes:
        parts: for each fold the rows that train and the rows that are held out.
        by: what the folds keep together.
        given: whether the folds came from elsewhere, so that what they keep together is not known.
    """

    parts: list[tuple[Rows, Rows]]
    by: str
    given: bool = False

    @property
    def rows(self) -> Rows:
        """Those that are held out, fold after fold."""
        return np.concatenate([held for _, held in self.parts])

    @property
    def numbers(self) -> Rows:
        """The fold of each of the `rows`."""
        return np.repeat(np.arange(len(self.parts)), [len(held) for _, held in self.parts])


def deal(
    selected: Selected,
    folds: int | Sequence[Catalog],
    recipe: FoldedRecipe,
    *,
    needs_every_label: bool | None = None,
) -> Dealt:
    """Deal the readable media.

    Args:
        selected: the media.
        folds: how many, or the folds themselves as catalogs with a split.
        recipe: its `fold_by` and seed are used.
        needs_every_label: whether each fold must train with every label; None for single-label tasks.

    Raises:
        DataError: the folds do not hold every media out exactly once, or a fold trains without a label that
            it needs.
    """
    if needs_every_label is None:
        needs_every_label = recipe.task == "single-label"
    catalogs = _deal(selected.catalog, folds, recipe) if isinstance(folds, int) else list(folds)
    ids = selected.catalog.table.select("media_id").with_row_index("row")
    usable = np.setdiff1d(np.arange(len(selected.catalog)), list(selected.failed))
    parts, untaught = [], []
    for catalog in catalogs:
        split = ids.join(catalog.table.select("media_id", "split"), on="media_id", how="left")
        train, held_out = (
            np.intersect1d(usable, split.filter(pl.col("split") == part)["row"].to_numpy())
            for part in ("train", "validation")
        )
        untaught.append(selected.unseen(train) if needs_every_label else [])
        parts.append((train, held_out))
    if missing := sorted({label for labels in untaught for label in labels}):
        index = next(index for index, labels in enumerate(untaught) if labels)
        raise DataError(
            f"Fold {index + 1} of {len(catalogs)} would train without the label "
            f"{', '.join(untaught[index])}: it occurs in too few {recipe.fold_by}s. Use fewer folds, "
            f"another seed, or {how_to_leave_out(missing, recipe)}"
        )
    held: npt.NDArray[Any] = np.sort(np.concatenate([held_out for _, held_out in parts]))
    if not np.array_equal(held, usable):
        raise DataError("The folds must hold out every labelled media exactly once.")
    return Dealt(parts, recipe.fold_by, given=not isinstance(folds, int))


def folds_within(selected: Selected, rows: Rows, recipe: FoldedRecipe) -> Rows:
    """[rows]: folds by what `fold_by` says; by event or media where that is not known or the same for all."""
    inside = selected.catalog.with_table(selected.catalog.table[rows.tolist()])
    if len(inside) < 2:
        raise DataError("The part 'train' has one media only; nothing can be learnt from it.")
    numbers = np.zeros(len(rows), np.int64)
    for fold, (_, held) in enumerate(_way_to_deal(inside, recipe).split(inside)):
        numbers[held] = fold
    return numbers


def _way_to_deal(catalog: Catalog, recipe: FoldedRecipe) -> Splitter:
    """By what folds can be dealt, and in how many."""
    column = {"location": "location_id", "season": "season"}.get(recipe.fold_by)
    if column in catalog.table.columns:
        groups = catalog.table[column]
        if not groups.null_count() and groups.n_unique() > 1:
            if column == "season":
                return BySeason(folds="each")
            return ByLocation(folds=min(recipe.folds, groups.n_unique()), seed=recipe.seed)
    return AtRandom(folds=min(recipe.folds, len(catalog)), seed=recipe.seed)


def _deal(catalog: Catalog, folds: int, recipe: FoldedRecipe) -> list[Catalog]:
    """The folds that the recipe asks for."""
    if recipe.fold_by == "season":
        return list(BySeason(folds="each").folds(catalog))
    if recipe.fold_by == "location":
        _check_locations(catalog, folds)
    by = ByLocation if recipe.fold_by == "location" else ByEvent
    return list(by(folds=folds, seed=recipe.seed).folds(catalog))


def _check_locations(catalog: Catalog, folds: int) -> None:
    """Name the setting that helps where locations cannot be dealt."""
    locations = catalog.table["location_id"]
    lacking, there = locations.null_count(), locations.drop_nulls().n_unique()
    if lacking:
        what = f"{lacking} of {len(locations)} labelled media have no known location"
    elif there < folds:
        what = f"The labelled media are of {many(there, 'location')} only"
    else:
        return
    fewer = ", or ask for fewer folds" if not lacking and there > 1 else ""
    events = catalog.table["event_id"].null_count() < len(locations)
    first = "" if events else " once there are events (`trapline catalog … --event-gap 60s`)"
    raise DataError(
        f"{what}, so {folds} folds of locations cannot be dealt. Keep the photos of each event together "
        f"instead (--set fold_by=event){first}{fewer}, or say where locations are when reading "
        "(`trapline catalog … --column location=NAME` or --location-level)."
    )
