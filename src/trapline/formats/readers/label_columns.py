"""Labels that stand in several columns: numbered ones, those that the user names, and columns of 0 and 1."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from trapline.tables import mark_missing, split_cells

NO_WORDS = ("-", "--", "---", "–", "—", "?", "??", "???")
"""What people write alone into a cell where they have nothing to say."""
YES_AND_NO = {"0": 0, "0.0": 0, "false": 0, "1": 1, "1.0": 1, "true": 1}
"""How 0 and 1 are written, in small letters."""


def several_label_columns(names: Sequence[str], asked: str | None, usual: Sequence[str]) -> list[str]:
    """The columns that hold labels together; none where it is one column, or none at all.

    Args:
        names: of the table's columns.
        asked: what the user says: a column, or several with commas between them.
        usual: names of columns of labels, in small letters. Numbers behind them make several of one, as in
            `Species1` and `Species2`.
    """
    if asked is not None:
        parts = [part.strip() for part in asked.split(",")]
        return parts if asked not in names and len(parts) > 1 and set(parts) <= set(names) else []
    for name in usual:
        alike = [each for each in names if re.fullmatch(rf"{name}[ _.-]*\d{{0,2}}", _plain(each))]
        if len(alike) > 1 and any(each[-1].isdecimal() for each in alike):
            return alike
    return []


def _plain(name: str) -> str:
    return name.lower().replace(" ", "_")


def join_label_columns(
    table: pl.DataFrame, columns: Sequence[str], separator: str | None, file: str
) -> pl.Series:
    """The labels of each row, List(String), in the order of the columns.

    Where all columns hold 0 and 1 (or false and true) a label is the name of a column that is 1.

    Args:
        table: as of `read_table`.
        columns: of it.
        separator: what stands between several labels in one cell.
        file: its name, for notes.
    """
    if flag_columns(table, columns) == [*columns]:
        lists = [
            pl.concat_list(pl.when(_flag(name) == 1).then(pl.lit(name))).list.drop_nulls() for name in columns
        ]
        return table.select(pl.concat_list(lists).alias("labels"))["labels"]
    told = mark_missing(table, columns, file, NO_WORDS)
    lists = [pl.lit(split_cells(told[name], separator, file, NO_WORDS)).fill_null([]) for name in columns]
    return table.select(pl.concat_list(lists).list.unique(maintain_order=True).alias("labels"))["labels"]


def flag_columns(table: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """Those of the columns that hold 0 and 1 only, or false and true."""
    return [
        name
        for name in columns
        if table[name].null_count() < table.height
        and table[name].drop_nulls().str.to_lowercase().is_in(list(YES_AND_NO)).all()
    ]


def describe_label_columns(table: pl.DataFrame, columns: Sequence[str]) -> str:
    """What to say of columns that hold labels together."""
    listed = ", ".join(map(repr, columns))
    if flag_columns(table, columns) == [*columns]:
        return f"labels are the names of the columns {listed} that are 1"
    return f"labels from {listed} (--column label={columns[0]} takes that column alone)"


def describe_flags(flags: Sequence[str]) -> list[str]:
    """What to say where no column holds labels but several hold 0 and 1; nothing where fewer than two do."""
    if len(flags) < 2:
        return []
    listed = ", ".join(flags[:5]) + (f" and {len(flags) - 5} more" if len(flags) > 5 else "")
    example = ",".join(flags[:3]) + (",…" if len(flags) > 3 else "")
    return [
        f"no column holds labels; {listed} hold only 0 and 1 (false and true) and are kept as columns. If "
        f"they are labels, name them: --column label={example}"
    ]


def _flag(name: str) -> pl.Expr:
    return pl.col(name).str.to_lowercase().replace_strict(YES_AND_NO, default=None, return_dtype=pl.Int8)
