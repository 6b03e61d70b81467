"""Tables of ecology as they are written: what R reads without a word, and people too."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trapline.metrics import Estimate
from trapline.storage import replace_whole

STATION = "Station"
"""The header of the first column, which camtrapR's functions expect."""


def write_matrix(
    path: Path,
    names: Sequence[str],
    columns: Sequence[str],
    values: npt.NDArray[np.float64],
    *,
    missing: str = "NA",
) -> None:
    """Write a matrix with a name before each row; [rows, columns], NaN as `missing`."""
    rows = (
        [name, *(as_text(value, missing) for value in row)] for name, row in zip(names, values, strict=True)
    )
    write_rows(path, [STATION, *columns], rows)


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV whole or not at all."""
    with replace_whole(path) as scratch, scratch.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def as_text(value: float | None, missing: str = "NA") -> str:
    """A number as briefly as it is exact to ten digits; `missing` where it is none."""
    return missing if value is None or np.isnan(value) else f"{value:.10g}"


def estimate_json(estimate: Estimate) -> dict[str, float | None]:
    """An estimate with its interval, for scripts."""
    return {"estimate": estimate.value, "low": estimate.low, "high": estimate.high}
