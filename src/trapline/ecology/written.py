"""Tables of ecology as they are written: what R reads without a word, and people too."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.metrics import Estimate
from trapline.storage import AnyPath, RemotePath, replace_whole

Target: TypeAlias = AnyPath | TextIO
"""Where a table goes: a file, or what is open already, as standard output."""

STATION = "Station"
"""The header of the first column, which camtrapR's functions expect."""


def write_matrix(
    to: Target,
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
    write_rows(to, [STATION, *columns], rows)


def write_rows(to: Target, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV; a file whole or not at all."""
    with ExitStack() as stack:
        if isinstance(to, Path | RemotePath):
            scratch = stack.enter_context(replace_whole(to))
            to = stack.enter_context(scratch.open("w", encoding="utf-8", newline=""))
        writer = csv.writer(to, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_table(to: Target, table: pl.DataFrame, missing: str = "NA") -> None:
    """As `write_rows`, of a table."""
    if isinstance(to, Path | RemotePath):
        with replace_whole(to) as scratch:
            table.write_csv(scratch, null_value=missing)
    else:
        to.write(table.write_csv(null_value=missing))


def as_text(value: float | None, missing: str = "NA") -> str:
    """A number as briefly as it is exact to ten digits; `missing` where it is none."""
    return missing if value is None or np.isnan(value) else f"{value:.10g}"


def estimate_json(estimate: Estimate) -> dict[str, float | None]:
    """An estimate with its interval, for scripts."""
    return {"estimate": estimate.value, "low": estimate.low, "high": estimate.high}
