"""The arrays of training by what they hold; shapes stand where they are taken or given."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
"""Features, targets and what a network answers."""

Rows = npt.NDArray[np.int64]
"""Rows of the selected media, or numbers of folds."""

Flags = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]
