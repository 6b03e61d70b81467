"""What a model was trained on, as far as it is known, and whether the evaluated media are free of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import SCHEMA, Catalog, check_leaks, fingerprint
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
        media: the rows of the training media; None if they are not known.
        same_root: whether their files lie in the folder of the evaluated ones, so that they can be compared.
        another_split: whether they are not known because the catalog was split anew.
        held_out: whether each media was predicted by a model that was not trained on it, fold by fold.
    """

    locations: frozenset[str] | None
    media: pl.DataFrame | None = None
    same_root: bool = False
    another_split: bool = False
    held_out: bool = False

    @property
    def known(self) -> bool:
        """Whether seen and unseen locations can be told apart."""
        return self.locations is not None

    def saw(self, locations: pl.Series) -> pl.Series | None:
        """For each location whether training used it (null where the location is null); None if not known."""
        if self.locations is None:
            return None
        return locations.is_in(sorted(self.locations))

    def frequencies(self, labels: tuple[str, ...], single: bool) -> npt.NDArray[np.float64] | None:
        """[K]: the share of the labelled training media that have each label; None if not known."""
        if self.media is None:
            return None
        labelled = self.media["labels"].drop_nulls()
        counts = dict(labelled.explode().value_counts().iter_rows())
        media_of_label = np.array([counts.get(label, 0) for label in labels], dtype=np.float64)
        total = media_of_label.sum() if single else len(labelled)
        return media_of_label / total if total else None


def what_is_told(predictions: Predictions, source: Catalog) -> Told:
    """What the predictions tell of the training, held against a catalog with a row a media."""
    if held_out_by := predictions.facts.held_out_by:
        return Told(held_out_by=held_out_by)
    models = predictions.facts.trained_on
    if not models:
        return Told()
    parts = frozenset(part for model in models for part in model.parts)
    return Told(parts, {model.split for model in models} == {fingerprint(source)})


def find_training(catalog: Catalog, training: Catalog | Collection[str] | None, told: Told) -> Training:
    """What is known of the training: see `trapline.evaluation.evaluate`."""
    if training is not None and not isinstance(training, Catalog):
        return Training(frozenset(training))
    if (
        told.held_out_by is not None and training is None
    ):  # other folds' models know no more than other locations
        return Training(frozenset() if told.held_out_by == "location" else None, held_out=True)
    source = catalog if training is None else training
    parts = source.table["split"].drop_nulls().n_unique()
    if parts > 1 and told.same is False:
        return Training(None, another_split=True)
    if parts == 0:
        media = source.table if training is not None or told.same else None
    else:
        media = source.table.filter(pl.col("split").is_in(sorted(told.parts)))
    if media is None or media.height == 0:
        return Training(None)
    return Training(frozenset(media["location_id"].drop_nulls()), media, source.root == catalog.root)


def find_leak(catalog: Catalog, evaluated: pl.DataFrame, trained_on: Training) -> Leak:
    """What the training media and the evaluated ones have in common and should not."""
    if trained_on.another_split:
        return Leak(checked=False, findings=(ANOTHER_SPLIT,))
    if trained_on.held_out:
        return Leak(checked=True)
    if trained_on.media is None:
        return Leak(checked=False)
    findings = []
    both = evaluated.join(trained_on.media, on="media_id", how="semi").height
    if both:
        findings.append(f"{both} of {evaluated.height} evaluated media were themselves trained on.")
    others = trained_on.media.join(evaluated, on="media_id", how="anti")
    if others.height:
        leaks = check_leaks(_side_by_side(catalog, others, evaluated), files=trained_on.same_root)
        findings += [_sentence(line) for line in leaks.lines() if line.startswith(LEAK)]
    return Leak(checked=True, findings=tuple(findings))


def _side_by_side(catalog: Catalog, trained: pl.DataFrame, evaluated: pl.DataFrame) -> Catalog:
    """A catalog of the two alone, as parts `train` and `test`."""
    columns = list(SCHEMA)
    parts = [
        table.select(columns).with_columns(split=pl.lit(part))
        for table, part in ((trained, "train"), (evaluated, "test"))
    ]
    return catalog.with_table(pl.concat(parts))


def _sentence(line: str) -> str:
    line = line.removeprefix(LEAK)
    return line[0].upper() + line[1:].replace("in more than one part", "in training and evaluation") + "."
