"""The media that are judged by rank: those with one label and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
    groups: Sequence[str | None] | None,
    unknown_are_wrong: bool,
    samples: int,
    seed: int,
) -> RankTruth:
    """The media that have one label, inside the node that the model decides, and probabilities.

    Args:
        catalog: the media and their labels.
        predictions: one row a media.
        classes: of the model.
        groups: what the intervals resample, one for each media of the catalog; None for locations.
        unknown_are_wrong: media of labels that the tree does not know are among them.
        samples: resamples behind each interval.
        seed: of the resamples.
    """
    row_of = {media: row for row, media in enumerate(predictions.table["media_id"])}
    values = predictions.probabilities()
    there: Flags = np.asarray(np.isfinite(values).all(axis=1))
    over = list(groups) if groups is not None else catalog.table["location_id"].to_list()
    rows, media, labels, keys, unknown = [], [], [], [], 0
    for number, (name, named) in enumerate(catalog.table.select("media_id", "labels").iter_rows()):
        row = row_of.get(name)
        if row is None or not there[row] or named is None or len(named) != 1:
            continue
        if named[0] in classes.outside:
            continue
        if named[0] not in classes.of_label:
            unknown += 1
            if not unknown_are_wrong:
                continue
        rows.append(row)
        media.append(name)
        labels.append(named[0])
        keys.append(str(over[number]) if over[number] is not None else "")
    codes = np.unique(np.array(keys, str), return_inverse=True)[1].astype(np.int64)
    known = np.array([label in classes.of_label for label in labels], bool)
    resampling = Resampling(codes, samples, seed)
    return RankTruth(media, labels, known, values[rows], resampling, unknown)
