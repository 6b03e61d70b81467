"""The predictions table: one row a media, box or event; every input has a row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.errors import DataError

Level = Literal["media", "box", "event"]
Task = Literal["single-label", "multi-label"]

FIXED: dict[str, pl.DataType] = {
    "media_id": pl.String(),
    "event_id": pl.String(),
    "box": pl.Int64(),
    "file_path": pl.String(),
    "status": pl.String(),
    "reason": pl.String(),
}
"""The columns before the labels. `status` is `ok` or `failed`; `reason` says why, or what was odd about an
`ok` row ("truncated: lower part missing"). `media_id` and `file_path` are null in rows of level event,
`box` is null but in rows of level box."""


@dataclass(frozen=True)
class Predictions:
    """Probabilities from one model file for a list of inputs, in the order of the inputs.

    Attributes:
        table: the `FIXED` columns, then one float32 column a label, null where `status` is `failed`.
        labels: the label names, in the model's order.
        level: what a row stands for.
        model: the model file's fingerprint.
        task: `single-label` (rows sum to 1) or `multi-label`.
        info: JSON-able facts: the model's name, on what it was calibrated, options of the run.
    """

    table: pl.DataFrame
    labels: tuple[str, ...]
    level: Level
    model: str
    task: Task
    info: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        clash = set(self.labels) & set(FIXED)
        if clash:
            raise DataError(f"Labels may not be named like a column of the predictions: {sorted(clash)}.")
        expected = [*FIXED, *self.labels]
        if self.table.columns != expected:
            raise DataError(f"Predictions need the columns {expected}; got {self.table.columns}.")

    def __len__(self) -> int:
        return self.table.height

    @property
    def ok(self) -> pl.DataFrame:
        """The rows that have probabilities."""
        return self.table.filter(pl.col("status") == "ok")

    @property
    def failed(self) -> pl.DataFrame:
        """The rows that have none, with their reasons."""
        return self.table.filter(pl.col("status") == "failed")

    def probabilities(self) -> npt.NDArray[np.float64]:
        """float64 [rows, labels]; NaN where the input failed."""
        return self.table.select(pl.col(self.labels).cast(pl.Float64).fill_null(float("nan"))).to_numpy()

    def header(self) -> dict[str, Any]:
        """What is stored beside the table: everything but the table, JSON-able."""
        return {
            "format_version": "1",
            "labels": list(self.labels),
            "level": self.level,
            "model": self.model,
            "task": self.task,
            "info": dict(self.info),
        }

    def save(self, path: Path | str) -> Path:
        """Write Parquet (header in its metadata) or CSV (header in `<path>.json` beside it).

        Raises:
            DataError: another suffix, or the disk is full or not writable.
        """
        path = Path(path)
        if path.suffix.lower() not in (".csv", ".parquet"):
            raise DataError(f"Predictions are written as .parquet or .csv, not as '{path.name}'.")
        header = json.dumps(self.header(), indent=1)
        partial = path.with_name(path.name + ".partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix.lower() == ".parquet":
                self.table.write_parquet(partial, metadata={"trapline_predictions": header})
            else:
                path.with_name(path.name + ".json").write_text(header, encoding="utf-8")
                self.table.write_csv(partial)
            partial.replace(path)
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error.strerror or error}.") from error
        return path

    @classmethod
    def load(cls, path: Path | str) -> Predictions:
        """Read what `save` wrote.

        Raises:
            DataError: missing, not predictions, or a CSV whose `.json` beside it is gone.
        """
        path = Path(path)
        if not path.is_file():
            raise DataError(f"There are no predictions at {path}. Make them with `trapline predict`.")
        try:
            if path.suffix.lower() == ".parquet":
                header = json.loads(pl.read_parquet_metadata(path)["trapline_predictions"])
                table = pl.read_parquet(path)
            else:
                header = json.loads(path.with_name(path.name + ".json").read_text(encoding="utf-8"))
                types = {**FIXED, **dict.fromkeys(header["labels"], pl.Float32())}
                table = pl.read_csv(path, schema_overrides=types)
        except (KeyError, ValueError, OSError, pl.exceptions.PolarsError) as error:
            raise DataError(f"{path} cannot be read as predictions of Trapline: {error}") from error
        return cls(
            table, tuple(header["labels"]), header["level"], header["model"], header["task"], header["info"]
        )
