"""How far a model agrees with the truth beyond chance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trapline.plugins import Yielded, metric


@metric("single-label")
def agreement(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None, blank: int | None
) -> Yielded:
    """Cohen's kappa of the most probable label (Cohen 1960): 1 is perfect, 0 what chance would give.

    Args:
        truth: the index of each media's label [N].
        probabilities: [N, K].
        weights: of the media, [N] or [B, N] (as many resamples at once); the value has the shape [] or [B].
        blank: the index of the label `blank`; not used.
    """
    values = np.asarray(probabilities)
    labels = np.eye(values.shape[1])
    seen, said = labels[np.asarray(truth)], labels[values.argmax(axis=1)]
    weight = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    total = weight.sum(axis=-1)
    agreed = weight @ (seen * said).sum(axis=1) / total
    chance = ((weight @ seen) * (weight @ said)).sum(axis=-1) / total**2
    with np.errstate(invalid="ignore", divide="ignore"):  # one label only: undefined, so not a number
        yield "cohens_kappa", (agreed - chance) / (1 - chance)
