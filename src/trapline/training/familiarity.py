"""What the card keeps of the training embeddings, with a threshold that held-out groups have set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog
from trapline.models import Familiar, GroupedBy, pack_directions
from trapline.training.arrays import Flags, Floats, Rows, Singles
from trapline.training.contract import Learner, LearntModel

Names = npt.NDArray[np.str_]

DIRECTIONS = 16
"""That are kept of the embedding's space."""

FEWEST_GROUPS = 20
"""Of fewer held-out groups none is the 19th of 20."""

SIZES = (1, 5, 20, 100, 500)
_FOLDS = 5
_CONFIDENCE = 0.8
_MOST_MEDIA = 50_000
_LEAST_BETWEEN = 0.05
"""Of the largest variance between groups; a few groups make some directions look as if they had none."""


@dataclass(frozen=True)
class _Space:
    """Coordinates and their variances, as `Familiar` has them."""

    plane: Floats
    offsets: Floats
    between: Floats
    most: int

    def raw_distance(self, embeddings: Singles) -> float:
        """Of the mean of some media, before it is divided by a threshold."""
        mean = self.plane @ embeddings.mean(axis=0, dtype=np.float64) + self.offsets
        variance = self.between + 1 / min(len(embeddings), self.most)
        return float(np.sqrt(np.mean(mean**2 / variance)))


def group_media(catalog: Catalog) -> tuple[GroupedBy, Names] | None:
    """What can be held out of the media of a catalog, and of each its group, empty where it is not known.

    Locations; of one camera its days, or its events where there are no times. None where there are too few.
    """
    one_camera = catalog.table["location_id"].drop_nulls().n_unique() <= 1
    ways: tuple[GroupedBy, ...] = ("day", "event") if one_camera else ("location",)
    for by in ways:
        groups = _groups_by(by, catalog)
        if len(np.unique(groups[groups != ""])) >= FEWEST_GROUPS:
            return by, groups
    return None


def _groups_by(by: GroupedBy, catalog: Catalog) -> Names:
    """[N]: the group of each media, empty where it is not known."""
    day = pl.col("camera_time").dt.date().cast(pl.String)
    group = {"location": pl.col("location_id"), "day": day, "event": pl.col("event_id")}[by]
    names = catalog.table.select(group.fill_null("")).to_series()
    return np.asarray(names.to_numpy().astype(np.str_))


M = TypeVar("M", bound=LearntModel)


def familiar_of(learner: Learner[M], model: M) -> Familiar | None:
    """What the card keeps of the embeddings of the media that a model has learnt from.

    None where there are too few groups to set a threshold on.
    """
    recipe, selected = learner.recipe, learner.selected
    by_split = recipe.fit == "train"
    every = np.setdiff1d(np.arange(len(selected.catalog)), list(selected.failed))
    trained = selected.train if by_split else every
    grouped = group_media(selected.catalog.with_table(selected.catalog.table[trained.tolist()]))
    if grouped is None:
        return None
    by, names = grouped
    rng = np.random.default_rng(recipe.seed)
    rows = _drawn(names, rng)
    held = None
    if by_split and learner.fits_embedding:
        held_names = _groups_by(by, selected.catalog)[selected.validation]
        held_rows = _drawn(held_names, rng)
        held = (held_names[held_rows], learner.embeddings(model, selected.validation[held_rows]))
    return familiar_from(
        by,
        names[rows],
        learner.embeddings(model, trained[rows]),
        held,
        seed=recipe.seed,
        fitted=learner.fits_embedding,
    )


def familiar_from(
    by: GroupedBy,
    groups: Names,
    embeddings: Singles,
    held: tuple[Names, Singles] | None = None,
    *,
    seed: int = 42,
    fitted: bool = False,
) -> Familiar | None:
    """The statistics of the training media; None where they cannot be made.

    Groups are too few, or what is left without a fold has groups of one media alone, of whose spread nothing
    is known; or all embeddings are alike.

    Args:
        by: what the groups are.
        groups: [N], of each training media.
        embeddings: float32 [N, D].
        held: groups and embeddings of media that did not train; they set the thresholds if they are of
            `FEWEST_GROUPS` or more. Else the training groups do, each by statistics of the others.
        seed: of the folds, and of what is drawn.
        fitted: the network itself was fitted to the training media, which then lie nearer than others.
    """
    count, rng = len(np.unique(groups)), np.random.default_rng(seed)
    folds = list(_folds(by, groups, rng)) if count >= FEWEST_GROUPS else []
    if not folds or any(len(np.unique(groups[~inside])) == (~inside).sum() for inside in folds):
        return None
    space = _fit(groups, embeddings)
    what = f"{count} training {by}s, each by the statistics of the others"
    if fitted:
        what += ", by a network that had seen them: more than 1 in 20 new ones will lie beyond"
    distances = np.concatenate([_without(inside, groups, embeddings, rng) for inside in folds])
    if held is not None and len(np.unique(held[0])) >= FEWEST_GROUPS:
        what = f"{len(np.unique(held[0]))} {by}s that did not train"
        distances = _distances(space, *held, rng)
    if not np.isfinite(distances).all() or distances.max(axis=0).min() <= 0:
        return None
    independent = [_effective_number(one) if by == "day" else len(one) for one in distances.T]
    if by == "day":
        what += f", which tell as much as {min(independent)} independent ones"
    thresholds = tuple(map(_nineteen_of_twenty, distances.T, independent))
    if not _is_sure(min(independent)):
        what += ", the farthest of them"
    directions, scales = pack_directions(space.plane)
    return Familiar(
        by=by,
        groups=count,
        media=len(groups),
        directions=directions,
        scales=scales,
        offsets=tuple(space.offsets.tolist()),
        between=tuple(space.between.tolist()),
        most=space.most,
        sizes=SIZES,
        thresholds=thresholds,
        held_out=what,
    )


def _drawn(groups: Names, rng: np.random.Generator) -> Rows:
    """Rows of known groups, at most as many of each as the largest size, and of all as fit into memory."""
    order = rng.permutation(np.flatnonzero(groups != ""))
    _, of_row = np.unique(groups[order], return_inverse=True)
    by_group = np.argsort(of_row, kind="stable")
    starts = np.r_[0, np.cumsum(np.bincount(of_row))][of_row[by_group]]
    kept = order[by_group[np.arange(len(order)) - starts < SIZES[-1]]]
    return np.sort(rng.permutation(kept)[:_MOST_MEDIA])


def _fit(groups: Names, embeddings: Singles) -> _Space:
    """Principal directions of the media, turned and scaled as `Familiar` says.

    Both covariances are shrunk (Ledoit and Wolf 2004, *Journal of Multivariate Analysis* 88:365), and of that
    of the groups' means is taken what the photos within explain (the method of moments).
    """
    from sklearn.covariance import ledoit_wolf
    from sklearn.utils.extmath import randomized_svd

    center = embeddings.mean(axis=0, dtype=np.float64)
    width = min(DIRECTIONS, *embeddings.shape)
    _, _, basis = randomized_svd(embeddings - center.astype(np.float32), width, random_state=0)
    basis = basis.astype(np.float64)
    seen = (embeddings - center) @ basis.T
    _, of_media = np.unique(groups, return_inverse=True)
    sizes = np.bincount(of_media)
    means = np.stack([np.bincount(of_media, column) / sizes for column in seen.T], axis=1)
    within, _ = ledoit_wolf(seen - means[of_media], assume_centered=True)
    within = within * len(seen) / max(1, len(seen) - len(sizes))
    values, vectors = np.linalg.eigh(within)
    values = np.maximum(values, max(1e-9 * values.max(), 1e-12))
    whiten = vectors / np.sqrt(values)
    spread, _ = ledoit_wolf(means)
    between, turn = np.linalg.eigh(whiten.T @ spread @ whiten - np.eye(width) * np.mean(1 / sizes))
    plane = (whiten @ turn).T @ basis
    between = np.maximum(between, max(_LEAST_BETWEEN * between.max(), 1e-3))
    offsets = -(means.mean(axis=0) @ whiten @ turn) - plane @ center
    return _Space(plane, offsets, between, int(sizes.max()))


def _folds(by: GroupedBy, groups: Names, rng: np.random.Generator) -> Iterator[Flags]:
    """[N]: the media of each fold.

    Days of one camera are held out as stretches of time: neighbours are alike.
    """
    names = np.unique(groups)
    for held in np.array_split(rng.permutation(names) if by != "day" else names, _FOLDS):
        yield np.isin(groups, held)


def _without(inside: Flags, groups: Names, embeddings: Singles, rng: np.random.Generator) -> Floats:
    """[groups, sizes]: the distances of the groups of a fold, by the statistics of the other folds."""
    return _distances(_fit(groups[~inside], embeddings[~inside]), groups[inside], embeddings[inside], rng)


def _distances(space: _Space, groups: Names, embeddings: Singles, rng: np.random.Generator) -> Floats:
    """[groups, sizes]: of each group that of so many of its media, or of all where it has fewer."""
    drawn = [rng.permutation(np.flatnonzero(groups == name)) for name in np.unique(groups)]
    return np.array([[space.raw_distance(embeddings[rows[:size]]) for size in SIZES] for rows in drawn])


def _effective_number(distances: Floats) -> int:
    """To how many independent ones those of days [n], in their order, amount: n / (1 + 2 Σ autocorrelations).

    Days of one season are alike, and a season that none of the others shows is far on many of its days. The
    sum ends at the first autocorrelation that is not positive (Geyer 1992, *Statistical Science* 7:473).
    """
    centred = distances - distances.mean()
    products = np.correlate(centred, centred, "full")[len(centred) - 1 :]
    if products[0] <= 0:
        return len(distances)
    ends = np.flatnonzero(products <= 0)
    positive = products[1 : ends[0] if len(ends) else None] / products[0]
    return max(1, int(len(distances) / (1 + 2 * positive.sum())))


def _nineteen_of_twenty(distances: Floats, independent: int) -> float:
    """What at least 19 of 20 new ones of the same kind stay under, with a confidence of `_CONFIDENCE`.

    An order statistic as tolerance bound (Wilks 1941, *Annals of Mathematical Statistics* 12:91): the share
    under the k-th of n is over 0.95 with the chance that a binomial (n, 0.95) is under k. Where `independent`
    is fewer than all, it is the same share of all of them. The largest where there are too few for it
    (`_is_sure`).
    """
    from scipy.stats import binom

    count, last = len(distances), len(distances) - 1
    order = int(np.argmax(binom.cdf(np.arange(independent), independent, 0.95) >= _CONFIDENCE)) + 1
    index = int(np.ceil(order * count / independent)) - 1
    return float(np.sort(distances)[min(index, last) if _is_sure(independent) else last])


def _is_sure(count: int) -> bool:
    """Whether the largest of so many distances is such a bound; of fewer than 32 it is not."""
    return bool(1 - 0.95**count >= _CONFIDENCE)
