"""Labels as columns of 0 and 1, one row a media or sequence, as DrivenData gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from trapline.errors import DataError
from trapline.formats.text_table import describe_line, read_flat_table

_BITS = 62
"""Columns that are put into one integer to find the rows with the same labels."""


def read_one_hot(path: Path, id_column: str) -> tuple[pl.DataFrame, list[str]]:
    """Read a CSV of an id and one column of 0 or 1 for each label.

    Returns:
        `id_column`, `labels` (list of the columns that are 1, in the order of the file) and `_line`, one row
        an id; and notes: labels that no row has.

    Raises:
        DataError: a column is missing, a cell is neither 0 nor 1, a row has no label, or an id occurs twice;
            the line is named.
    """
    table = read_flat_table(path, (id_column,), numbers=True)
    classes = [name for name in table.columns if name not in (id_column, "_line")]
    if not classes:
        raise DataError(f"{path} has no label columns, only the {id_column}.")
    _refuse_doubled(table, id_column, path)
    _refuse_other_numbers(table, classes, path)
    counts = table.select(pl.col(classes).cast(pl.Int64).sum()).row(0)
    empty = [name for name, count in zip(classes, counts, strict=True) if not count]
    labels = table.select(id_column, "_line").hstack([_lists(table, classes)])
    none = labels.filter(pl.col("labels").list.len() == 0)
    if none.height:
        raise DataError(f"{describe_line(path, none['_line'][0])}: no label is 1 ({none.height} such rows).")
    return labels, [f"{path.name}: no row has the label {', '.join(empty)}"] if empty else []


def _lists(table: pl.DataFrame, classes: list[str]) -> pl.Series:
    """List[String] [rows]. Few sets of labels occur: each is made once and given to all rows that have it."""
    chunks = [classes[start : start + _BITS] for start in range(0, len(classes), _BITS)]
    keys = table.select(
        pl.sum_horizontal(pl.col(name).cast(pl.Int64) * 2**index for index, name in enumerate(chunk)).alias(
            f"key{number}"
        )
        for number, chunk in enumerate(chunks)
    )
    sets = keys.unique()
    named = [
        [
            name
            for chunk, key in zip(chunks, row, strict=True)
            for index, name in enumerate(chunk)
            if key >> index & 1
        ]
        for row in sets.iter_rows()
    ]
    sets = sets.with_columns(pl.Series("labels", named, pl.List(pl.String)))
    return keys.join(sets, on=keys.columns, how="left", maintain_order="left")["labels"]


def _refuse_doubled(table: pl.DataFrame, id_column: str, path: Path) -> None:
    if table[id_column].n_unique() == table.height:
        return
    twice = table.filter(pl.col(id_column).is_duplicated())
    name = twice[id_column][0]
    lines = twice.filter(pl.col(id_column).eq_missing(name))["_line"].head(5).to_list()
    where = " and ".join(describe_line(path, line) for line in lines)
    raise DataError(f"The {id_column} '{name}' occurs more than once: {where} ({path}).")


def _refuse_other_numbers(table: pl.DataFrame, classes: list[str], path: Path) -> None:
    wrong: dict[str, Any] = {}
    for name in classes:
        bad = ~((table[name] == 0) | (table[name] == 1)).fill_null(False)
        if bad.any():
            wrong[name] = bad
    if not wrong:
        return
    rows = pl.DataFrame(wrong).select(pl.any_horizontal(pl.all()))
    row = int(rows.to_series().arg_true()[0])
    name = next(name for name, bad in wrong.items() if bad[row])
    line = int(table["_line"][row])
    try:
        written = pl.read_csv(path, skip_rows_after_header=line - 2, n_rows=1, infer_schema=False)[name][0]
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):  # a quote before that line, or in it
        written = "something else"
    raise DataError(
        f"{describe_line(path, line)}: the label '{name}' is {written!r}, not 0 or 1 "
        f"({int(rows.sum().item())} such rows)."
    )
