"""What lies nearest in a space of embeddings: exact, by cosine, some thousands at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_BLOCK = 8192

Singles = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


class Directions:
    """Embeddings [N, D] as unit vectors, for many queries.

    Rows that are not finite, or have no direction, are no neighbours.
    """

    def __init__(self, embeddings: Singles) -> None:
        self._units = np.zeros(embeddings.shape, np.float32)
        self._there = np.zeros(len(embeddings), np.bool_)
        for start in range(0, len(embeddings), _BLOCK):
            block = embeddings[start : start + _BLOCK].astype(np.float64)
            lengths = np.linalg.norm(block, axis=1)
            there = np.isfinite(lengths) & (lengths > 0)
            self._units[start : start + _BLOCK][there] = block[there] / lengths[there, None]
            self._there[start : start + _BLOCK] = there

    def nearest(self, query: npt.ArrayLike, most: int, among: Rows | None = None) -> tuple[Rows, Singles]:
        """The rows with the largest cosines to `query` [D], largest first; and these.

        At most `most`; of equal ones the earlier row. A query that is not finite, or has no direction, has no
        neighbours.

        Args:
            query: [D].
            most: rows.
            among: the rows that may be; None for all.
        """
        wanted = np.asarray(query, np.float64)
        length = float(np.linalg.norm(wanted))
        asked = self._there.copy()
        if among is not None:
            asked[:] = False
            asked[among] = self._there[among]
        if not (np.isfinite(length) and length > 0 and asked.any()):
            return np.empty(0, np.int64), np.empty(0, np.float32)
        cosines = np.where(asked, self._units @ (wanted / length).astype(np.float32), -np.inf)
        least = np.partition(cosines, -min(most, len(cosines)))[-min(most, len(cosines))]
        rows = np.flatnonzero(asked & (cosines >= least))
        rows = rows[np.argsort(-cosines[rows], kind="stable")][:most]
        return rows, cosines[rows].astype(np.float32)


def nearest_by_cosine(query: npt.ArrayLike, embeddings: Singles, most: int) -> tuple[Rows, Singles]:
    """See `Directions.nearest`: of embeddings [N, D] that are asked about once."""
    return Directions(embeddings).nearest(query, most)
