"""The figures of a long table from sums by location and season, and values of areas under curves."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline import metrics
from trapline.catalog import natural_order
from trapline.evaluation.coarser import with_exact
from trapline.evaluation.result import LabelResult, LocationGroup, LocationResult, SeasonResult
from trapline.evaluation.tallies import EXACT
from trapline.models import Interval, as_intervals

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CellFigures:
    """Figures from sums by cell: the media of one location and season.

    Attributes:
        labels: the model's, then any that it does not know.
        cells: the location and season of each.
        sums: by name [cells, D].
        groups: [cells], what is drawn together.
        samples: as of `metrics.estimate`.
        seed: likewise.
        several: the model can say several labels.
        exclusive: as of `metrics.measure`, likewise `kept`.
        kept: see there.
        coarser: some answers say less than the label, and count as right.
    """

    labels: tuple[str, ...]
    cells: pl.DataFrame
    sums: Mapping[str, Floats]
    groups: npt.NDArray[np.int64]
    samples: int
    seed: int
    several: bool
    exclusive: bool
    kept: int | None
    coarser: bool = False

    def total(self, cells: npt.NDArray[np.bool_] | None = None) -> dict[str, Floats]:
        """The sums over some cells, or all."""
        return {
            name: values.sum(axis=0) if cells is None else values[cells].sum(axis=0)
            for name, values in self.sums.items()
        }

    def _estimate(self, cells: npt.NDArray[np.bool_], figures: Any) -> dict[str, list[metrics.Estimate]]:
        codes = np.unique(self.groups[cells], return_inverse=True)[1]
        by_group = {}
        for name, values in self.sums.items():
            by_group[name] = np.zeros((int(codes.max()) + 1, values.shape[1]))
            np.add.at(by_group[name], codes, values[cells])
        several = self.several
        return metrics.estimate_sums(by_group, self.samples, self.seed, figures=figures, several=several)

    def measure(self, cells: npt.NDArray[np.bool_]) -> dict[str, Interval]:
        """Every figure that follows from sums, with its interval, of the media of some cells."""
        of_sums = partial(metrics.figures_of_sums, several=self.several, exclusive=self.exclusive)

        def figures(sums: Mapping[str, Floats]) -> dict[str, Floats]:
            known = known_of(sums)
            return with_exact(known, known_of(as_answered(sums))) if self.coarser else known

        def known_of(sums: Mapping[str, Floats]) -> dict[str, Floats]:
            return {
                name: value[..., None]
                for name, value in of_sums(sums).items()
                if self.kept is None or metrics.knows_enough(name, self.kept)
            }

        estimates = self._estimate(cells, figures)
        return as_intervals({name: one[0] for name, one in estimates.items()})

    def by_label(self) -> dict[str, list[Interval | None]]:
        """Precision, recall and F1 of every label, and the log loss of each where there can be several."""

        def figures(sums: Mapping[str, Floats]) -> dict[str, Floats]:
            sums = as_answered(sums)
            counts = metrics.counts_of_sums(sums)
            losses = {"log_loss": sums["losses"] / sums["media"]} if self.several else {}
            return losses | {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1}

        estimates = self._estimate(np.ones(len(self.groups), np.bool_), figures)
        return {name: [Interval.of(one) for one in every] for name, every in estimates.items()}


def as_answered(sums: Mapping[str, Floats]) -> dict[str, Floats]:
    """The sums of what was predicted, whatever counts as right."""
    own = {name: values for name, values in sums.items() if not name.startswith(EXACT)}
    return own | {name.removeprefix(EXACT): values for name, values in sums.items() if name.startswith(EXACT)}


def with_curves(figures: dict[str, Interval], curves: tuple[Floats, Floats] | None) -> dict[str, Interval]:
    """The figures of all media, in the order of `metrics.measure`, with those of curves among them."""
    if curves is None:
        return figures
    means = {
        name: float(np.nanmean(values)) if np.isfinite(values).any() else None
        for name, values in zip(metrics.OF_CURVES, curves, strict=True)
    }
    ordered: dict[str, Interval] = {}
    for name, interval in figures.items():
        if name == "log_loss" and "subset_accuracy" in figures:
            ordered |= _without_interval("mean_average_precision", means)
        ordered[name] = interval
    return ordered | _without_interval("macro_auc", means)


def _without_interval(name: str, means: Mapping[str, float | None]) -> dict[str, Interval]:
    value = means[name]
    return {} if value is None else {name: Interval(value=value)}


def label_results(
    figures: CellFigures, unknown: Collection[str], curves: tuple[Floats, Floats] | None
) -> tuple[LabelResult, ...]:
    """The figures of every label, with intervals where they follow from sums."""
    total, by_label = as_answered(figures.total()), figures.by_label()
    areas, precisions = curves or (np.full(len(figures.labels), np.nan),) * 2
    results = []
    for index, label in enumerate(figures.labels):
        there = figures.cells.filter(pl.Series(figures.sums["support"][:, index] > 0))
        results.append(
            LabelResult(
                label=label,
                known=label not in unknown,
                media=int(total["support"][index]),
                locations=there["location_id"].drop_nulls().n_unique(),
                said=int(total["predicted"][index]),
                average_precision=_point(precisions[index]),
                auc=_point(areas[index]),
                **{name: every[index] for name, every in by_label.items()},
            )
        )
    return tuple(results)


def _point(value: float) -> Interval | None:
    return Interval(value=float(value)) if np.isfinite(value) else None


def location_results(
    figures: CellFigures, names: Mapping[str | None, Collection[str]], seen: pl.Series | None
) -> tuple[LocationResult, ...]:
    """The figures of every location, sorted by id, media of no known location last.

    Args:
        figures: of all media.
        names: location → the names of all true labels there.
        seen: of each cell whether training used its location; None if that is not known.
    """
    losses = figures.sums["losses"].mean(axis=1)
    table = figures.cells.select("location_id").with_columns(
        media=pl.Series(figures.sums["media"][:, 0]),
        right=pl.Series(figures.sums["right"][:, 0]),
        loss=pl.Series(losses),
        seen=pl.lit(None, pl.Boolean) if seen is None else seen,
    )
    grouped = table.group_by("location_id").agg(
        pl.col("media", "right", "loss").sum(), pl.col("seen").first()
    )
    return tuple(
        LocationResult(
            location=row["location_id"],
            media=int(row["media"]),
            labels=len(names[row["location_id"]]),
            accuracy=row["right"] / row["media"],
            log_loss=None if figures.kept else row["loss"] / row["media"],
            seen=row["seen"],
        )
        for row in grouped.sort("location_id", nulls_last=True).iter_rows(named=True)
    )


def season_results(figures: CellFigures) -> tuple[SeasonResult, ...]:
    """The figures of every season, S2 before S10, media of no known season last."""
    cells = figures.cells
    known = natural_order(cells["season"].drop_nulls().unique().to_list())
    results = []
    for season in [*known, None] if cells["season"].null_count() else known:
        inside = cells["season"].eq_missing(season).to_numpy()
        here, elsewhere = as_answered(figures.total(inside)), figures.total(~inside)["support"] > 0
        support = here["support"].astype(int).tolist()
        alone = [
            label
            for label, count, other in zip(figures.labels, support, elsewhere, strict=True)
            if count and not other
        ]
        more: dict[str, Any] = {}
        if figures.several:
            losses = here["losses"] / here["media"]
            more["label_log_loss"] = dict(zip(figures.labels, losses.tolist(), strict=True))
            if elsewhere.any():
                more["shared_log_loss"] = float(losses[elsewhere].mean())
        results.append(
            SeasonResult(
                season=season,
                media=int(here["media"][0]),
                metrics=figures.measure(inside),
                only_here=tuple(alone),
                label_media=dict(zip(figures.labels, support, strict=True)),
                **more,
            )
        )
    return tuple(results)


def location_group(figures: CellFigures, chosen: pl.Series | None) -> LocationGroup | None:
    """The figures over the chosen cells; those of no known location, which are null, are in no group."""
    inside = None if chosen is None else chosen.fill_null(False).to_numpy()
    if inside is None or not inside.any():
        return None
    locations = figures.cells.filter(pl.Series(inside))["location_id"].n_unique()
    media = int(figures.total(inside)["media"][0])
    return LocationGroup(media=media, locations=locations, metrics=figures.measure(inside))
