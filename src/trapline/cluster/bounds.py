"""Where a catalog is cut into shards."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def cut_at_batches(asked: npt.NDArray[np.int64] | int, size: int, batch: int) -> list[int]:
    """Bounds between which a run makes the same batches as over the whole.

    Args:
        asked: int64 [media], the inputs of each that the model is asked about; or the number of media that
            are asked about once each.
        size: media a shard should have at least.
        batch: inputs of a batch.

    Returns:
        rising, 0 and the number of media among them.
    """
    if isinstance(asked, int):
        return [*range(0, asked, -(-size // batch) * batch), asked]
    total = np.cumsum(asked)
    return _cut(np.flatnonzero(total % batch == 0) + 1, size, len(asked))


def cut_between_events(last: npt.NDArray[np.int64], size: int) -> list[int]:
    """Bounds that cut no event: where its media are scattered, all that lies between them is one shard.

    Args:
        last: int64 [media], the row of the last media of each one's event.
        size: media a shard should have at least.

    Returns:
        rising, 0 and the number of media among them.
    """
    reach = np.maximum.accumulate(last)
    return _cut(np.flatnonzero(reach == np.arange(len(last))) + 1, size, len(last))


def _cut(allowed: npt.NDArray[np.int64], size: int, media: int) -> list[int]:
    """The first of the allowed bounds, which rise, from `size` media behind the one before."""
    bounds = [0]
    while bounds[-1] < media:
        index = int(np.searchsorted(allowed, bounds[-1] + size))
        bounds.append(int(allowed[index]) if index < len(allowed) else media)
    return bounds
