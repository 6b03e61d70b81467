"""What a model was trained on, as far as it is known, and whether the evaluated media are free of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog
from trapline.evaluation.result import Leak


@dataclass(frozen=True)
class Training:
    """The training media, or only their locations.

    Attributes:
        locations: the ids of the locations trained on; None if that is not known.
        media: the rows of the training media; None if they are not known.
    """

    locations: frozenset[str] | None
    media: pl.DataFrame | None

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
        return Training(frozenset(training), None)
    source = catalog if training is None else training
    split = source.table["split"]
    if split.null_count() == len(split):
        media = None if training is None else source.table
    else:
        media = source.table.filter(pl.col("split") == "train")
    if media is None or media.height == 0:
        return Training(None, None)
    return Training(frozenset(media["location_id"].drop_nulls()), media)


def find_leak(catalog: Catalog, evaluated: pl.DataFrame, trained_on: Training, part: str | None) -> Leak:
    """Whether evaluated media, or other frames of their events, were trained on."""
    if trained_on.media is None:
        return Leak(checked=False)
    findings = []
    for column, what in (
        ("media_id", "evaluated media were themselves trained on"),
        ("file_path", "evaluated files were themselves trained on under another id"),
        ("event_id", "evaluated media are of an event of which other frames were trained on"),
    ):
        found = evaluated.filter(pl.col(column).is_in(trained_on.media[column].drop_nulls().to_list())).height
        if found:
            findings.append(f"{found} of {evaluated.height} {what}.")
            break
    return Leak(checked=True, findings=tuple(findings))
