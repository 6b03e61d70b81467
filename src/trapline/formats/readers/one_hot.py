"""Labels as columns of 0 and 1, one row a media or sequence, as DrivenData gives them."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from trapline.errors import DataError
from trapline.formats.readers.label_columns import YES_AND_NO
from trapline.tables import (
    describe_line,
    read_number_table,
    read_table,
    refuse_missing_columns,
    reject_rows,
    with_lines,
)

_BITS = 62
"""Columns that are put into one integer to find the rows with the same labels."""


def read_one_hot(path: Path, id_column: str) -> tuple[pl.DataFrame, list[str]]:
    """Read a CSV of an id and one column of 0 or 1 for each label.

    Returns:
        `id_column`, `labels` (list of the columns that are 1, in the order of the file) and `_line`, one row
        an id; and notes: labels that no row has.

    Rows of which a cell is neither 0 nor 1 (nor true or false), or that have no label, cannot be used.

    Raises:
        DataError: a column is missing, an id occurs twice, or rows cannot be used where that is refused; the
            line is named.
    """
    table = read_number_table(path, (id_column,))
    classes = [] if table is None else [name for name in table.columns if name not in (id_column, "_line")]
    if table is None or not _is_plain(table, classes, id_column):
        table, classes = _read_cells(path, id_column)
    if not classes:
        raise DataError(f"{path} has no label columns, only the {id_column}.")
    _refuse_doubled(table, id_column, path)
    counts = table.select(pl.col(classes).cast(pl.Int64).sum()).row(0)
    empty = [name for name, count in zip(classes, counts, strict=True) if not count]
    labels = table.select(id_column, "_line").hstack([_lists(table, classes)])
    return labels, [f"{path.name}: no row has the label {', '.join(empty)}"] if empty else []


def _is_plain(table: pl.DataFrame, classes: list[str], id_column: str) -> bool:
    """Whether every row has an id, 0 or 1 in each cell, and a 1."""
    if not classes or table[id_column].null_count():
        return False
    if not all(((table[name] == 0) | (table[name] == 1)).all() for name in classes):
        return False
    return bool((table.select(pl.max_horizontal(pl.col(classes))).to_series() == 1).all())


def _read_cells(path: Path, id_column: str) -> tuple[pl.DataFrame, list[str]]:
    """The rows that can be used, their cells 0 and 1, and the names of the labels."""
    given = read_table(path)
    refuse_missing_columns(path, given.columns, (id_column,))
    classes = [name for name in given.columns if name not in (id_column, "_place")]
    given = reject_rows(given, pl.col(id_column).is_null(), f"has no {id_column}")
    number = {
        name: pl.col(name).str.to_lowercase().replace_strict(YES_AND_NO, default=None, return_dtype=pl.Int8)
        for name in classes
    }
    if classes:
        wrong = [
            pl.when(value.is_null()).then(
                pl.format("has for the label '{}' {}, not 0 or 1", pl.lit(name), _quoted(pl.col(name)))
            )
            for name, value in number.items()
        ]
        given = reject_rows(
            given, pl.any_horizontal(v.is_null() for v in number.values()), pl.coalesce(wrong)
        )
        given = given.with_columns(value.alias(name) for name, value in number.items())
        given = reject_rows(given, pl.max_horizontal(pl.col(classes)) == 0, "has no label that is 1")
    return with_lines(given), classes


def _quoted(cell: pl.Expr) -> pl.Expr:
    return pl.when(cell.is_null()).then(pl.lit("nothing")).otherwise(pl.format("'{}'", cell))


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
