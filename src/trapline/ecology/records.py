"""Records: a species at a location at a time, wherever they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

from trapline.errors import DataError

RECORDS: dict[str, pl.DataType] = {
    "location_id": pl.String(),
    "deployment_id": pl.String(),
    "session": pl.String(),
    "event_id": pl.String(),
    "camera_time": pl.Datetime("us"),
    "label": pl.String(),
    "individual": pl.String(),
    "count": pl.Int64(),
    "life_stage": pl.String(),
    "sex": pl.String(),
    "behaviour": pl.String(),
    "probability": pl.Float64(),
}
"""The columns of a table of records; one row a record.

`camera_time` is the wall clock at the location, without a zone. `probability` is that the label is right:
null where people decided or nobody gives one. `count` is of individuals; null where nobody counted. What the
source does not say is null.
"""

MadeOf = Literal["table", "decisions", "threshold", "probabilities"]
"""Of what records are made: somebody's table, human decisions alone, answers above a threshold, or
calibrated probabilities."""


@dataclass(frozen=True, eq=False)
class Records:
    """Records of species.

    Attributes:
        table: one row a record, columns as in `RECORDS`.
        made_of: of what.
        source: in words, for people.
        notes: what a person must know: rows that could not be used and why, clocks, thresholds.
        doubts: what stands above all else: the model that named them was measured at too few locations, or
            has learnt from photos unlike these.
    """

    table: pl.DataFrame
    made_of: MadeOf = "table"
    source: str | None = None
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wrong = [name for name, kind in RECORDS.items() if self.table.schema.get(name) != kind]
        if wrong:
            raise DataError(f"Records need the columns {', '.join(RECORDS)}; wrong: {', '.join(wrong)}.")

    def __len__(self) -> int:
        return self.table.height
