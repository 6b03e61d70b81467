"""Tables with a row a file and a column a label: zamba's, our own, and anybody's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from trapline.errors import DataError
from trapline.formats.answers.registry import ToolAnswers, answer_reader
from trapline.prediction import FIXED
from trapline.tables import describe_lines, read_header, read_numbers, read_table, refuse_missing_columns

_NAMES = (
    *("media_id", "filepath", "file_path", "path", "file", "filename", "file_name", "image", "image_path"),
    *("image_name", "img", "id", "image_id"),
)
_ADDS_UP = 0.02


def _recognise(source: Path) -> str | None:
    if source.suffix.lower() not in (".csv", ".tsv", ".txt", ".gz"):
        return None
    try:
        header = [name.strip() for name in read_header(source)]
    except DataError:
        return None
    named = next((name for name in _NAMES if name in {column.casefold() for column in header}), None)
    return f"it is a table with a column '{named}'" if named and len(header) > 1 else None


@answer_reader("table", recognise=_recognise)
def read_probability_table(
    source: Path,
    *,
    column: str | None = None,
    labels: Sequence[str] = (),
    task: Literal["single-label", "multi-label"] | None = None,
) -> ToolAnswers:
    """A table of probabilities: a column with the files and one for each label, as zamba's and ours.

    Args:
        source: CSV or TSV.
        column: with the names (or ids) of the files; by default the first that is called like it.
        labels: the columns of probabilities; by default all whose every value is a number from 0 to 1.
        task: `single-label` if each row's are shares of 1, `multi-label` if each is for itself; by default
            found out: shares of 1 add up to it in every row.
    """
    table = read_table(source)
    named = _name_column(source, table, column)
    columns, ignored = _label_columns(source, table, named, labels)
    values = pl.DataFrame([read_numbers(table[name], most=1) for name in columns]).to_numpy()
    names = table[named].fill_null("").to_list()
    empty = np.isnan(values).all(axis=1)
    written = table["reason"].to_list() if "reason" in table.columns else [None] * len(names)
    reasons = [
        why or ("it has no probabilities" if none else None)
        for why, none in zip(written, empty.tolist(), strict=True)
    ]
    adds_up = bool((np.abs(values[~empty].sum(axis=1) - 1) <= _ADDS_UP).all())
    shares = adds_up if task is None else task == "single-label"
    notes = [f"columns that are no labels: {', '.join(ignored[:10])}"] if ignored else []
    if task is None:
        how = (
            "are shares of 1, as every row adds up to it"
            if shares
            else "are each for itself: not all add up to 1"
        )
        notes.append(f"its probabilities {how} (--task says otherwise)")
    lines = describe_lines(table).to_list()
    return ToolAnswers(
        tool=source.name,
        task="single-label" if shares else "multi-label",
        labels=tuple(columns),
        names=names,
        probabilities=values,
        reasons=reasons,
        entry=lines.__getitem__,
        notes=notes,
    )


def _name_column(source: Path, table: pl.DataFrame, wanted: str | None) -> str:
    by_name = {name.casefold(): name for name in table.columns}
    candidates = _NAMES if wanted is None else (wanted.casefold(),)
    found_name = next((by_name[name] for name in candidates if name in by_name), None)
    if found_name is None:
        what = f"no column '{wanted}'" if wanted else "no column that is called like names of files"
        raise DataError(
            f"{source} has {what}; it has: {', '.join(table.columns[:-1])}. Name it with --column."
        )
    return found_name


def _label_columns(
    source: Path, table: pl.DataFrame, named: str, wanted: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The columns of probabilities, and those that are for something else."""
    refuse_missing_columns(source, table.columns, wanted)
    others = [name for name in table.columns if name not in (named, "_place", *FIXED)]
    columns = list(wanted) or [name for name in others if _holds_probabilities(table[name])]
    if not columns:
        raise DataError(
            f"{source} has no column of probabilities: none of {', '.join(others) or 'its columns'} holds "
            "numbers from 0 to 1 only. A label without its probability is no prediction that can be judged; "
            "name columns of probabilities with --label."
        )
    return columns, [name for name in others if name not in columns]


def _holds_probabilities(cells: pl.Series) -> bool:
    filled = cells.drop_nulls()
    numbers = read_numbers(filled, most=1)
    return bool(len(filled) and numbers.null_count() == 0 and numbers.is_between(0, 1 + _ADDS_UP).all())
