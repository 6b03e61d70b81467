"""What a model was trained on, as far as it is known, and whether the evaluated media are free of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import SCHEMA, Catalog, check_leaks
from trapline.evaluation.result import Leak

LEAK = "LEAK: "
"""How the catalog's leak check marks what is more than a warning."""


@dataclass(frozen=True)
class Training:
    """The training media, or only their locations.

    Attributes:
        locations: the ids of the locations trained on; None if that is not known.
        media: the rows of the training media; None if they are not known.
        same_root: whether their files lie in the folder of the evaluated ones, so that they can be compared.
    """

    locations: frozenset[str] | None
    media: pl.DataFrame | None = None
    same_root: bool = False

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
        found = np.array([counts.get(label, 0) for label in labels], dtype=np.float64)
        total = found.sum() if single else len(labelled)
        return found / total if total else None


def find_training(catalog: Catalog, training: Catalog | Collection[str] | None) -> Training:
    """What is known of the training: see `trapline.evaluation.evaluate`."""
    if training is not None and not isinstance(training, Catalog):
        return Training(frozenset(training))
    source = catalog if training is None else training
    split = source.table["split"]
    if split.null_count() == len(split):
        media = None if training is None else source.table
    else:
        media = source.table.filter(pl.col("split") == "train")
    if media is None or media.height == 0:
        return Training(None)
    return Training(frozenset(media["location_id"].drop_nulls()), media, source.root == catalog.root)


def find_leak(catalog: Catalog, evaluated: pl.DataFrame, trained_on: Training) -> Leak:
    """What the training media and the evaluated ones have in common and should not."""
    if trained_on.media is None:
        return Leak(checked=False)
    findings = []
    both = evaluated.join(trained_on.media, on="media_id", how="semi").height
    if both:
        findings.append(f"{both} of {evaluated.height} evaluated media were themselves trained on.")
    others = trained_on.media.join(evaluated, on="media_id", how="anti")
    if others.height:
        found = check_leaks(_side_by_side(catalog, others, evaluated), files=trained_on.same_root)
        findings += [_sentence(line) for line in found.lines() if line.startswith(LEAK)]
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
