"""Tables of a classifier's scores: a row a file (photo, event, occasion), some of which people looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy.special import logit

from trapline.ecology.design import Floats, Values
from trapline.ecology.history_table import NAMES, as_values, read_cells
from trapline.errors import DataError, name_some

_SCORE = ("score", "logit")
_PROBABILITY = ("probability", "prob")
_SEEN = ("seen", "annotation", "present")
_YES = {"1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0, "true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
_EDGE = 1e-6
"""Probabilities nearer to 0 or 1 than this have its log odds: 0 and 1 have none."""


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """A table of scores.

    Attributes:
        locations: [R], of each file; None where the table has no column of them.
        scores: [R], on the scale of log odds where the table has probabilities.
        seen: [R], 1 where a person saw the species in the file, 0 where not, NaN where nobody looked.
        covariates: every other column: name → [R].
        notes: what a person must know.
    """

    locations: tuple[str, ...] | None
    scores: Floats
    seen: Floats
    covariates: Mapping[str, Values]
    notes: tuple[str, ...] = ()


def read_score_table(path: Path) -> ScoreTable:
    """Read scores: a column `score` (or `probability`, of which log odds are taken), `location_id`, `seen`.

    Raises:
        DataError: a column is missing, or a cell is not what it should be.
    """
    table, notes = read_cells(path)
    names = {name.strip().lower(): name for name in reversed(table.columns)}
    location = next((names[name] for name in names if name in NAMES), None)
    score = _named(names, (*_SCORE, *_PROBABILITY))
    if score is None:
        raise DataError(f"{path} has no column called {' or '.join((*_SCORE, *_PROBABILITY))}.")
    values = as_values(table[score])
    bad = [str(cell) for cell, value in zip(table[score], values, strict=True) if not _is_number(value)]
    if bad:
        raise DataError(f"{path}: the column {score} has {name_some(bad, 3)} where a number should be.")
    numbers = np.asarray(values, np.float64)
    if score.strip().lower() in _PROBABILITY:
        numbers, more = _log_odds(path, numbers)
        notes = (*notes, *more)
    seen = _named(names, _SEEN)
    rest = [name for name in table.columns if name not in (location, score, seen, "_line")]
    return ScoreTable(
        None if location is None else _locations(path, table, location),
        numbers,
        np.full(len(numbers), np.nan) if seen is None else _flags(path, table[seen]),
        {name: as_values(table[name]) for name in rest},
        notes,
    )


def _named(names: Mapping[str, str], wanted: Sequence[str]) -> str | None:
    return next((names[name] for name in wanted if name in names), None)


def _is_number(value: object) -> bool:
    return isinstance(value, float) and bool(np.isfinite(value))


def _locations(path: Path, table: pl.DataFrame, column: str) -> tuple[str, ...]:
    cells = table[column]
    if cells.null_count():
        line = int(table["_line"].filter(cells.is_null())[0])
        raise DataError(f"{path} line {line} has no location in the column {column}.")
    return tuple(cells.to_list())


def _log_odds(path: Path, values: Floats) -> tuple[Floats, tuple[str, ...]]:
    if values.min() < 0 or values.max() > 1:
        raise DataError(
            f"{path} has probabilities from {values.min():g} to {values.max():g}; they are from 0 to 1."
        )
    edge = int(((values < _EDGE) | (values > 1 - _EDGE)).sum())
    note = f"{path.name}: {edge} probabilities nearer to 0 or 1 than {_EDGE:g} are taken for that."
    return np.asarray(logit(np.clip(values, _EDGE, 1 - _EDGE))), ((note,) if edge else ())


def _flags(path: Path, cells: pl.Series) -> Floats:
    wrong = [cell for cell in cells.drop_nulls() if cell.lower() not in _YES]
    if wrong:
        raise DataError(f"{path}: the column {cells.name} has {name_some(wrong, 3)}; it is 1, 0, or missing.")
    return np.array([np.nan if cell is None else _YES[cell.lower()] for cell in cells], np.float64)
