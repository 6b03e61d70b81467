"""What a model was trained on, as far as it is known, and whether the evaluated media are free of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import (
    Catalog,
    CatalogFacts,
    compare_parts,
    equal_files,
    fingerprint,
    media_files,
    sizes_of,
)
from trapline.evaluation.result import Leak
from trapline.prediction import Predictions

LEAK = "LEAK: "
"""How the catalog's leak check marks what is more than a warning."""
ANOTHER_SPLIT = (
    "The model was trained with another split than the one of this catalog, so it cannot be told which media "
    "and locations it has seen. Judge it with the catalog it was trained on, or name that with --training."
)


@dataclass(frozen=True)
class Told:
    """What predictions tell of their models' training, held against the catalog that has its media.

    Attributes:
        parts: of the split that were trained on.
        same: whether the catalog has the split that was trained with; None if the predictions do not tell.
        held_out_by: what was kept together where each media was predicted by a model of other folds.
    """

    parts: frozenset[str] = frozenset({"train"})
    same: bool | None = None
    held_out_by: str | None = None


@dataclass(frozen=True)
class Training:
    """The training media, or only their locations.

    Attributes:
        locations: the ids of the locations trained on; None if that is not known.
        catalog: the training media alone; None if they are not known, or not in memory.
        of_label: how many of them have each label; None if that is not known.
        labelled: how many of them have any.
        another_split: whether they are not known because the catalog was split anew.
        held_out: whether each media was predicted by a model that was not trained on it, fold by fold.
        by: what the split that told training from evaluation was made by, where it was one.
    """

    locations: frozenset[str] | None
    catalog: Catalog | None = None
    of_label: Mapping[str, int] | None = None
    labelled: int = 0
    another_split: bool = False
    held_out: bool = False
    by: str | None = None

    @property
    def known(self) -> bool:
        """Whether seen and unseen locations can be told apart."""
        return self.locations is not None

    def saw(self, locations: pl.Series, besides: frozenset[str] = frozenset()) -> pl.Series | None:
        """For each location whether training used it (null where the location is null); None if not known.

        Args:
            locations: one a media.
            besides: locations that training used under another name.
        """
        if self.locations is None:
            return None
        return locations.is_in(sorted(self.locations | besides))

    def frequencies(self, labels: tuple[str, ...], single: bool) -> npt.NDArray[np.float64] | None:
        """[K]: the share of the labelled training media that have each label; None if not known."""
        if self.of_label is None:
            return None
        media_of_label = np.array([self.of_label.get(label, 0) for label in labels], dtype=np.float64)
        total = media_of_label.sum() if single else self.labelled
        return media_of_label / total if total else None


def read_told(predictions: Predictions, source: Catalog, split: str | None = None) -> Told:
    """What the predictions tell of the training, held against a catalog with a row a media.

    Args:
        predictions: tell.
        source: the catalog.
        split: the fingerprint of its split, where its rows are not in memory.
    """
    if held_out_by := predictions.facts.held_out_by:
        return Told(held_out_by=held_out_by)
    models = predictions.facts.trained_on
    if not models:
        return Told()
    parts = frozenset(part for model in models for part in model.parts)
    return Told(parts, {model.split for model in models} == {fingerprint(source) if split is None else split})


def find_training(catalog: Catalog, training: Catalog | Collection[str] | None, told: Told) -> Training:
    """What is known of the training: see `trapline.evaluation.evaluate`."""
    if training is not None and not isinstance(training, Catalog):
        return Training(frozenset(training))
    source = catalog if training is None else training
    rows = source.table.lazy().select("location_id", "labels", "split", rows=pl.lit(1))
    among = training_among(rows, told, source.facts, others=training is not None)
    if among.of_label is None:
        return among
    in_parts = source.table["split"].is_not_null().any()
    kept = source.filter(pl.col("split").is_in(sorted(told.parts))) if in_parts else source
    return replace(among, catalog=kept)


def training_among(media: pl.LazyFrame, told: Told, facts: CatalogFacts, *, others: bool) -> Training:
    """What is known of the training by a catalog that has its media, which need not be in memory.

    Args:
        media: the catalog's `location_id`, `labels` and `split`, and in `rows` how many have them.
        told: what the predictions tell.
        facts: what is known of the catalog as a whole.
        others: the catalog is not the one that is judged by.
    """
    if told.held_out_by is not None and not others:
        # other folds' models know no more than other locations
        return Training(frozenset() if told.held_out_by == "location" else None, held_out=True)
    parts = media.select(pl.col("split").drop_nulls().n_unique()).collect(engine="streaming").item()
    if parts > 1 and told.same is False:
        return Training(None, another_split=True)
    if parts:
        media = media.filter(pl.col("split").is_in(sorted(told.parts)))
    elif not others and not told.same:
        return Training(None)
    labelled = media.filter(pl.col("labels").is_not_null())
    counts = media.select(media=pl.col("rows").sum()).collect(engine="streaming")
    if not counts["media"].item():
        return Training(None)
    locations = media.select(pl.col("location_id").drop_nulls().unique()).collect(engine="streaming")
    names = labelled.select("labels", "rows").explode("labels").group_by("labels").agg(pl.col("rows").sum())
    return Training(
        frozenset(locations.to_series()),
        of_label=dict(names.drop_nulls().collect(engine="streaming").iter_rows()),
        labelled=labelled.select(pl.col("rows").sum()).collect(engine="streaming").item(),
        by=facts.split.by if facts.split is not None and parts and not others else None,
    )


@dataclass(frozen=True)
class Entangled:
    """What evaluated media have to do with the training.

    Attributes:
        leak: what they share and should not.
        locations: those of the evaluated media that hold photos which were trained on, by whatever name.
        shared: what they share on purpose, for people; empty if nothing.
        media: the ids of evaluated media that were themselves trained on.
    """

    leak: Leak
    locations: frozenset[str] = frozenset()
    shared: str = ""
    media: frozenset[str] = frozenset()


def find_leak(evaluated: Catalog, trained_on: Training) -> Entangled:
    """What the training media and the evaluated ones have in common and should not.

    A photo is known by its content under any id, name and folder; by its id only where the content of one of
    the two can neither be read nor was kept (`trapline.catalog.identify`).
    """
    if trained_on.another_split:
        return Entangled(Leak(checked=False, findings=(ANOTHER_SPLIT,)))
    if trained_on.held_out:
        return Entangled(Leak(checked=True))
    if trained_on.catalog is None:
        return Entangled(Leak(checked=False))
    trained = trained_on.catalog
    same = _find_same(evaluated, trained)
    findings, shared = [], ""
    both = evaluated.table.filter(same.evaluated)
    if both.height:
        renamed = both.filter(~pl.col("media_id").is_in(trained.table["media_id"].implode())).height
        under = f" ({renamed} of them under another name)" if renamed else ""
        findings.append(
            f"{both.height} of {len(evaluated)} evaluated media were themselves trained on{under}."
        )
    others = trained.table.filter(~same.trained)
    if others.height:
        leaks = replace(compare_parts(_side_by_side(others, evaluated.table).lazy()), by=trained_on.by)
        if leaks.locations and not leaks.lines()[0].startswith(LEAK):
            shared = _sentence(leaks.lines()[0])
        findings += [_sentence(line) for line in leaks.lines() if line.startswith(LEAK)]
    return Entangled(
        Leak(checked=True, findings=tuple(findings), by_name=same.by_name),
        locations=frozenset(both["location_id"].drop_nulls()),
        shared=shared,
        media=frozenset(both["media_id"]),
    )


@dataclass(frozen=True)
class _Same:
    """Which evaluated media were trained on, and the other way round; one boolean a row.

    Attributes:
        by_name: evaluated media of which a copy under another name could not be known.
    """

    evaluated: pl.Series
    trained: pl.Series
    by_name: int


def _find_same(evaluated: Catalog, trained: Catalog) -> _Same:
    files = [*media_files(evaluated), *media_files(trained, as_kept=True)]
    first, sizes = len(evaluated), sizes_of(files)
    group_of: list[int | None] = [None] * len(files)
    for number, group in enumerate(equal_files(files, sizes=sizes)):
        if group[0] < first <= group[-1]:
            for index in group:
                group_of[index] = number
    content = pl.DataFrame(
        {"known": [size is not None for size in sizes], "group": pl.Series(group_of, dtype=pl.Int64)}
    )
    ours = evaluated.table.select("media_id").hstack(content[:first])
    theirs = trained.table.select("media_id").hstack(content[first:])
    unknown = len(ours) if not theirs["known"].all() else len(ours.filter(~pl.col("known")))
    return _Same(_same_as(ours, theirs), _same_as(theirs, ours), by_name=unknown)


def _same_as(own: pl.DataFrame, others: pl.DataFrame) -> pl.Series:
    """One boolean a row: of equal content to another, or of the same id where a content is not known."""
    joined = own.join(others, on="media_id", how="left", maintain_order="left", suffix="_other")
    same_id = pl.col("known_other").is_not_null() & ~(pl.col("known") & pl.col("known_other"))
    return joined.select(pl.col("group").is_not_null() | same_id.fill_null(False)).to_series()


def _side_by_side(trained: pl.DataFrame, evaluated: pl.DataFrame) -> pl.DataFrame:
    """A table of the two, as parts `train` and `test`."""
    columns = ["media_id", "location_id", "event_id", "camera_time"]
    parts = ((trained, "train"), (evaluated, "test"))
    return pl.concat(table.select(columns).with_columns(split=pl.lit(part)) for table, part in parts)


def _sentence(line: str) -> str:
    line = line.removeprefix(LEAK)
    return line[0].upper() + line[1:].replace("in more than one part", "in training and evaluation") + "."
