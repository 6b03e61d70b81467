"""What lies nearest in a space of embeddings: exact, by cosine, some thousands at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_BLOCK = 8192

Singles = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


def nearest_by_cosine(query: npt.ArrayLike, embeddings: Singles, most: int) -> tuple[Rows, Singles]:
    """The rows of `embeddings` [N, D] with the largest cosines to `query` [D], largest first; and these.

    At most `most`; of equal ones the earlier row. Rows that are not finite, or have no direction, are no
    neighbours; nor has a query of this kind any.
    """
    wanted = np.asarray(query, np.float64)
    length = float(np.linalg.norm(wanted))
    cosines = np.full(len(embeddings), -np.inf)
    if np.isfinite(length) and length > 0:
        for start in range(0, len(embeddings), _BLOCK):
            block = embeddings[start : start + _BLOCK].astype(np.float64)
            lengths = np.linalg.norm(block, axis=1)
            there = np.isfinite(lengths) & (lengths > 0)
            cosines[start : start + _BLOCK][there] = block[there] @ wanted / (lengths[there] * length)
    rows = np.argsort(-cosines, kind="stable")[:most]
    rows = rows[np.isfinite(cosines[rows])]
    return rows, cosines[rows].astype(np.float32)
