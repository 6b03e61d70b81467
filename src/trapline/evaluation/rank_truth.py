"""The media that are judged by rank: those with one label and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog
from trapline.evaluation.intervals import Floats, Resampling
from trapline.prediction import Predictions
from trapline.taxonomy import Classes

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RankTruth:
    """Media with one label and probabilities.

    Attributes:
        media: their ids.
        labels: one each.
        known: which labels the tree knows; the others count as wrong.
        probabilities: [N, classes].
        resampling: behind their intervals.
        unknown: how many are not known, whether they count or not.
    """

    media: list[str]
    labels: list[str]
    known: Flags
    probabilities: Floats
    resampling: Resampling
    unknown: int

    @property
    def of_the_tree(self) -> RankTruth:
        """Those whose label the tree knows."""
        rows = np.flatnonzero(self.known)
        media, labels = ([names[row] for row in rows] for names in (self.media, self.labels))
        resampling = self.resampling.at(rows)
        return RankTruth(media, labels, self.known[rows], self.probabilities[rows], resampling, 0)


def truth_by_rank(
    catalog: Catalog,
    predictions: Predictions,
    classes: Classes,
    groups: Sequence[str | None],
    unknown_are_wrong: bool,
    samples: int,
    seed: int,
) -> RankTruth:
    """The media that have one label, inside the node that the model decides, and probabilities.

    Args:
        catalog: the media and their labels.
        predictions: one row a media.
        classes: of the model.
        groups: what the intervals are over, one for each media of the catalog.
        unknown_are_wrong: media of labels that the tree does not know are among them.
        samples: as of `metrics.estimate`, for the intervals.
        seed: likewise.
    """
    values = predictions.probabilities()
    predicted = predictions.table.select("media_id").with_row_index("row")
    predicted = predicted.filter(pl.Series(np.isfinite(values).all(axis=1)))
    keys = pl.Series(groups, strict=False).cast(pl.String).fill_null("")
    table = catalog.table.select("media_id", "labels", group=keys)
    table = table.filter(pl.col("labels").list.len() == 1).explode("labels")
    table = table.filter(~pl.col("labels").is_in(list(classes.outside)))
    table = table.join(predicted, on="media_id", maintain_order="left")
    of_the_tree = table["labels"].is_in(list(classes.of_label))
    unknown = int((~of_the_tree).sum())
    if not unknown_are_wrong:
        table = table.filter(of_the_tree)
    media, labels, rows = (table[name].to_list() for name in ("media_id", "labels", "row"))
    known = np.array([label in classes.of_label for label in labels], bool)
    codes = np.unique(np.array(table["group"].to_list(), str), return_inverse=True)[1].astype(np.int64)
    resampling = Resampling(codes, samples, seed)
    return RankTruth(media, labels, known, values[rows], resampling, unknown)
