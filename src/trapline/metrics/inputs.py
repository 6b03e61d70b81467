"""The arrays that every metric takes, and their checks.

Shapes used throughout this package, for N media and K labels:

- truth, single-label: integers [N], the column of the true label. A label that no media has is fine: K comes
  from the probabilities.
- truth, multi-label: 0/1 or bool [N, K].
- probabilities: floats [N, K], each in 0..1; single-label rows sum to 1.
- weights: None, or [N], or [B, N] for B sets of weights at once. The answer has the shape of the weights
  without their last axis, so that what an interval needs is one call with its sets of weights as rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from trapline.errors import DataError, many

Floats = npt.NDArray[np.float64]
Weights = ArrayLike | None
Task = Literal["single-label", "multi-label"]


def task_of(truth: npt.NDArray[np.generic]) -> Task:
    """`single-label` for truth [N], `multi-label` for truth [N, K]."""
    return "single-label" if np.ndim(truth) == 1 else "multi-label"


def check_truth(truth: ArrayLike, values: Floats, what: str) -> npt.NDArray[np.int64]:
    """Truth as int64 [N] or [N, K]; `what` are the values [N, K, ...] that it goes with.

    Raises:
        DataError: it is empty, of another shape, or names a label that is not among the K.
    """
    array, labels = np.asarray(truth), values.shape[1]
    if array.size == 0:
        raise DataError("A metric needs at least one media with a known label; there are none.")
    if array.dtype.kind not in "iub" or array.ndim not in (1, 2):
        raise DataError(
            "Truth must be integers [media] (single-label) or 0/1 [media, labels] (multi-label); "
            f"got {array.dtype} {list(array.shape)}."
        )
    upper = labels - 1 if array.ndim == 1 else 1
    if array.ndim == 2 and array.shape[1] != labels:
        raise DataError(f"Truth has {many(array.shape[1], 'label')} and the model {labels}.")
    if array.min() < 0 or array.max() > upper:
        raise DataError(f"Truth has values from {array.min()} to {array.max()}; allowed are 0 to {upper}.")
    if len(array) != len(values):
        raise DataError(f"Truth has {len(array)} media and the {what} have {len(values)}.")
    return array.astype(np.int64)


def encode_truth(named: Iterable[Sequence[str]], labels: Sequence[str], task: str) -> npt.NDArray[np.int64]:
    """Truth of the labels that each media has: int [N], or 0/1 [N, K] of those among the K `labels`."""
    index_of = {label: index for index, label in enumerate(labels)}
    if task == "single-label":
        return np.array([index_of[names[0]] for names in named], np.int64)
    rows = [[index_of[name] for name in names if name in index_of] for names in named]
    truth = np.zeros((len(rows), len(labels)), np.int64)
    for row, columns in enumerate(rows):
        truth[row, columns] = 1
    return truth


def mark_labels(truth: npt.NDArray[np.int64], labels: int) -> npt.NDArray[np.bool_]:
    """bool [N, K]: whether the media has the label, of truth of either shape."""
    return np.asarray(truth[:, None] == np.arange(labels) if truth.ndim == 1 else truth == 1)


def check(truth: ArrayLike, probabilities: ArrayLike) -> tuple[npt.NDArray[np.int64], Floats]:
    """Truth as int64 and probabilities as float64, checked against one another.

    Raises:
        DataError: shapes that do not fit, values that are not finite or not in 0..1.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 2:
        raise DataError(f"Probabilities must be [media, labels]; got {list(values.shape)}.")
    array = check_truth(truth, values, "probabilities")
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1 + 1e-6:
        raise DataError("Probabilities must be finite and lie in 0..1; failed media must be left out first.")
    return array, values


def check_weights(weights: Weights, media: int) -> Floats:
    """Weights as float64 [..., N]; ones if None.

    Raises:
        DataError: another length, negative or not finite.
    """
    if weights is None:
        return np.ones(media)
    array = np.asarray(weights, dtype=np.float64)
    if array.ndim not in (1, 2) or array.shape[-1] != media:
        raise DataError(f"Weights must be [{media}] or [sets, {media}]; got {list(array.shape)}.")
    if not np.isfinite(array).all() or (array < 0).any():
        raise DataError("Weights must be finite and not negative.")
    return array


def ratio(above: ArrayLike, below: ArrayLike) -> Floats:
    """`above / below`, NaN (undefined) where `below` is 0."""
    top, bottom = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    return np.asarray(np.divide(top, bottom, out=np.full(bottom.shape, np.nan), where=bottom > 0))


def mean_of_defined(values: Floats) -> Floats:
    """The mean over the last axis of what is not NaN; NaN where nothing is."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))


def weighted_mean(values: Floats, weights: Floats) -> Floats:
    """The mean of `values` [N] under weights [..., N]; NaN where the weights are all 0."""
    return ratio(weights @ values, weights.sum(axis=-1))
