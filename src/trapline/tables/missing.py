"""What a cell says: a missing value, several words, a number as it is written in its column."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from trapline.tables.reading import current_reading, is_reading_open, note

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_COMMA = r"^[+-]?([0-9]*,[0-9]+|[0-9]+)([eE][+-]?[0-9]+)?$"
_THOUSANDS = r"^[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+$|^[+-]?[0-9]{1,3}$"


def mark_missing(
    table: pl.DataFrame, columns: Sequence[str], file: str, more: Sequence[str] = ()
) -> pl.DataFrame:
    """The table with null for what stands for a missing value in String columns, which is counted and noted.

    Args:
        table: cells stripped, empty ones null.
        columns: of it.
        file: its name, for the note.
        more: words besides `MISSING`.
    """
    reading = current_reading()
    taken: dict[str, list[str]] = {}
    for name in columns:
        hits = table[name].is_in(reading.missing_words(name, more))
        if hits.any():
            counts = table[name].filter(hits).value_counts(name="count").sort(name)
            for word, count in counts.rows():
                taken.setdefault(word, []).append(f"{name} ({count:,})")
            table = table.with_columns(pl.when(~hits).then(pl.col(name)).alias(name))
    _note_missing(file, taken)
    return table


def split_cells(cells: pl.Series, separator: str | None, file: str, more: Sequence[str] = ()) -> pl.Series:
    """The words of each cell, List(String): those that stand for a missing value are none; null stays null.

    Args:
        cells: as `read_table` gives them, of the name by which `not_missing` knows the column.
        separator: what stands between words; None where a cell is one.
        file: its name, for the note.
        more: words besides `MISSING`.
    """
    if separator is None or cells.dtype == pl.Null:
        return cells.to_frame().select(pl.concat_list(cells.name).list.drop_nulls())[cells.name]
    words = current_reading().missing_words(cells.name, more)
    split = cells.to_frame().select(
        pl.col(cells.name).str.split(separator).list.eval(pl.element().str.strip_chars().replace("", None))
    )[cells.name]
    inner = split.explode()
    hits = inner.filter(inner.is_in(words)).value_counts(name="count").sort(cells.name)
    _note_missing(file, {word: [f"{cells.name} ({count:,})"] for word, count in hits.rows()})
    missing = pl.element().is_null() | pl.element().is_in(words)
    return split.to_frame().select(pl.col(cells.name).list.eval(pl.element().filter(~missing)))[cells.name]


def _note_missing(file: str, taken: dict[str, list[str]]) -> None:
    if taken:
        listed = "; ".join(f"'{word}' in {', '.join(columns)}" for word, columns in taken.items())
        hint = " (--not-missing WORD reads it as a word)" if is_reading_open() else ""
        note(f"{file}: taken for a missing value: {listed}{hint}")


def read_numbers(cells: pl.Series, *, most: float | None = None) -> pl.Series:
    """Float64 of cells of text; null where a cell is no number.

    Commas are decimal where all cells of the column have commas or are whole, and they cannot all stand
    between thousands: those beyond `most` could not be meant.

    Args:
        cells: of one column.
        most: no number of the column is larger than this.
    """
    filled = cells.drop_nulls()
    commas = filled.str.contains(",", literal=True)
    if commas.any() and filled.str.contains(_COMMA).all():
        thousands = filled.str.contains(_THOUSANDS).all()
        least = filled.filter(commas).str.replace_all(",", "").cast(pl.Float64, strict=False).abs().min()
        if not thousands or (most is not None and isinstance(least, float) and least > most):
            note(f"the column {cells.name} has decimal commas")
            cells = cells.str.replace(",", ".", literal=True)
    is_number = cells.str.contains(_NUMBER)
    return cells.zip_with(is_number.fill_null(False), pl.Series([None], dtype=pl.String)).cast(pl.Float64)
