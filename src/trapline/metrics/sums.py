"""Figures from sums over media: how a table is judged that is never whole in memory.

Every figure of `measure` but the areas under curves follows from a few sums, which add up over the parts of a
table and are weighed by group as the media of the group would be. `sum_media` makes them, `figures_of_sums`
the figures; a test holds the two to `measure`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from trapline.metrics.calibration import bin_sums
from trapline.metrics.correctness import LabelCounts, ranks, top_shares
from trapline.metrics.inputs import Floats, mark_labels, mean_of_defined, ratio
from trapline.metrics.probability import binary_losses, brier_scores, cross_entropies, log_losses
from trapline.metrics.several import labels_said

OF_CURVES = ("macro_auc", "mean_average_precision")
"""The figures of `measure` that do not follow from sums: each needs the order of all media."""

_TOP = (2, 3, 5)
_TOP_SEVERAL = 5


def sum_media(
    truth: npt.NDArray[np.int64],
    probabilities: Floats,
    cells: npt.NDArray[np.int64],
    count: int,
    *,
    blank: int | None = None,
) -> dict[str, Floats]:
    """The sums over the media of each cell: by name float64 [count, D].

    Args:
        truth: int [N] or 0/1 [N, K].
        probabilities: [N, K].
        cells: [N], the cell of each media, 0..count-1.
        count: cells.
        blank: the column of the label `blank`, as of `measure`.
    """
    rows = _of_media(truth, probabilities, blank)
    return {
        name: np.stack([np.bincount(cells, column, count) for column in values.T], axis=1)
        for name, values in rows.items()
    }


def _of_media(
    truth: npt.NDArray[np.int64], probabilities: Floats, blank: int | None
) -> dict[str, npt.NDArray[np.float64 | np.bool_]]:
    """What is summed, each [N, D]."""
    labels = probabilities.shape[1]
    several, actual = truth.ndim == 2, mark_labels(truth, labels)
    if several:
        told = labels_said(probabilities, blank=blank)
        top = top_shares(truth, probabilities, 1), top_shares(truth, probabilities, _TOP_SEVERAL)
        own = {
            "right": (actual == told).all(axis=1)[:, None],
            "top": np.stack([*(share for share, _ in top), top[0][1]], axis=1),
            "cross_entropy": cross_entropies(truth, probabilities)[:, None],
            "losses": binary_losses(truth, probabilities),
        }
    else:
        told = mark_labels(probabilities.argmax(axis=1), labels)
        position = ranks(truth, probabilities)
        own = {
            "right": (position < 1)[:, None],
            "top": position[:, None] < np.array(_TOP),
            "losses": log_losses(truth, probabilities)[:, None],
        }
    count, confidence, right = bin_sums(truth, probabilities)
    return own | {
        "media": np.ones((len(truth), 1)),
        "support": actual,
        "predicted": told,
        "hits": actual & told,
        "brier": brier_scores(truth, probabilities)[:, None],
        "bin_count": count,
        "bin_confidence": confidence,
        "bin_right": right,
    }


def counts_of_sums(sums: Mapping[str, Floats]) -> LabelCounts:
    """Support, predictions and hits a label, as `count_labels` has them."""
    return LabelCounts(sums["support"], sums["predicted"], sums["hits"])


def figures_of_sums(
    sums: Mapping[str, Floats], *, several: bool = False, exclusive: bool = False
) -> dict[str, Floats]:
    """The figures of `measure`, in its order, but those of `OF_CURVES`; of sums [..., D] each [...].

    Args:
        sums: of `sum_media`, weighed and added over cells.
        several: the model can say several labels.
        exclusive: as of `measure`.
    """
    media, labels, counts = sums["media"][..., 0], sums["support"].shape[-1], counts_of_sums(sums)
    right, top = ratio(sums["right"][..., 0], media), sums["top"]
    f1, figures = mean_of_defined(counts.f1), {}
    if several:
        if exclusive:
            figures["accuracy"] = ratio(top[..., 0], top[..., 2])
            figures["categorical_cross_entropy"] = ratio(sums["cross_entropy"][..., 0], media)
        figures["subset_accuracy"] = right
        if labels > _TOP_SEVERAL:
            figures["top_5_accuracy"] = ratio(top[..., 1], top[..., 2])
        figures["macro_f1"] = f1
    else:
        figures |= {"accuracy": right, "balanced_accuracy": mean_of_defined(counts.recall), "macro_f1": f1}
        for index, k in enumerate(_TOP):
            if k < labels:
                figures[f"top_{k}_accuracy"] = ratio(top[..., index], media)
    gaps = np.abs(sums["bin_right"] - sums["bin_confidence"]).sum(axis=-1)
    return figures | {
        "log_loss": ratio(sums["losses"].mean(axis=-1), media),
        "brier_score": ratio(sums["brier"][..., 0], media),
        "expected_calibration_error": ratio(gaps, sums["bin_count"].sum(axis=-1)),
    }
