"""Tables of detection histories and covariates, as camtrapR, unmarked and Trapline write them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.arguments import File, checked
from trapline.ecology.design import Floats, Values
from trapline.errors import DataError, name_some
from trapline.tables import Reading, open_reading, read_numbers, read_records, read_table, with_lines

NAMES = frozenset(
    {"location_id", "locationid", "location", "location_name", "locationname", "station", "stationid"}
    | {"station_id", "site", "site_id", "siteid", "sitename", "site_name", "placename"}
)
"""What a column of locations is called, in lower case."""

_OWN = ("_line",)
_EXPECTED_NOTES = ("taken for a missing value", "has no name and is called")
_NUMBERS_ROWS = "column 1 numbers the rows"
_ROW_NAMES = "location_id"
_NUMBERED = re.compile(r"(.+)\.(\d+)")


@dataclass(frozen=True, eq=False)
class HistoryTable:
    """A table of detection histories.

    Attributes:
        locations: [N], their names; None where the table has none and its rows are known by their order
            alone.
        occasions: [J], the names of the columns.
        detections: [N, J]: 0, 1, perhaps more; NaN where the camera did not work.
        site_covariates: of a table in unmarked's wide form (`y.1`, `y.2`, `habitat`): name → [N].
        observation_covariates: of such a table (`date.1`, `date.2`): name → [N, J].
        notes: what a person must know.
    """

    locations: tuple[str, ...] | None
    occasions: tuple[str, ...]
    detections: Floats
    site_covariates: Mapping[str, Values] = field(default_factory=dict)
    observation_covariates: Mapping[str, Values] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SiteTable:
    """A table with a row a location.

    Attributes:
        locations: [N], their names; None where no column has them.
        columns: name → [N]: numbers where all cells that are not missing are such, else texts.
        notes: what a person must know.
    """

    locations: tuple[str, ...] | None
    columns: Mapping[str, Values]
    notes: tuple[str, ...] = ()


@checked
def read_histories(path: File) -> HistoryTable:
    """Read detection histories: a row a location, a column an occasion, 0, 1 and missing.

    The first column may have the locations' names; it may be missing, as in tables that R writes without row
    names. Of a table in unmarked's wide form (`y.1`, `y.2`, …) the other columns are covariates: those with
    numbers (`date.1`, `date.2`) of observations, the others of locations.

    Raises:
        DataError: no such table, a cell is no whole number from 0 on, or a name is there twice.
    """
    path = Path(path)
    table, notes = read_cells(path)
    locations, table = _split_names(path, table, _column_of_names(table))
    groups = _numbered_groups(table.columns)
    if "y" not in groups:
        return HistoryTable(locations, tuple(table.columns), _counts(path, table), notes=notes)
    wide = table.select(groups["y"])
    rest = {name: columns for name, columns in groups.items() if name != "y" and len(columns) == wide.width}
    inside = {column for columns in (groups["y"], *rest.values()) for column in columns}
    sites = {name: as_values(table[name]) for name in table.columns if name not in inside}
    observations = {name: _stacked([as_values(table[one]) for one in each]) for name, each in rest.items()}
    return HistoryTable(locations, tuple(wide.columns), _counts(path, wide), sites, observations, notes)


def read_site_table(path: Path) -> SiteTable:
    """Read a table of covariates: a row a location.

    Raises:
        DataError: no such table, or a name is there twice.
    """
    table, notes = read_cells(path)
    names = _headed_column(table) or _first_of_texts(table)
    locations, table = _split_names(path, table, names, of_covariates=True)
    return SiteTable(locations, {name: as_values(table[name]) for name in table.columns}, notes)


def read_observation_table(path: Path) -> tuple[tuple[str, ...] | None, Values, tuple[str, ...]]:
    """Read one covariate of observations: a row a location, a column an occasion.

    Returns:
        The locations, or None; [N, J] values, texts if any of them is none; notes.

    Raises:
        DataError: no such table, or a name is there twice.
    """
    table, notes = read_cells(path)
    locations, table = _split_names(path, table, _column_of_names(table))
    return locations, _stacked([as_values(table[name]) for name in table.columns]), notes


def match_rows(
    locations: Sequence[str] | None, others: Sequence[str] | None, counts: tuple[int, int], what: str
) -> npt.NDArray[np.int64]:
    """Which row of another table belongs to each location: by name, or by order where neither has names.

    Args:
        locations: [N] of the histories, or None.
        others: [M] of the other table, or None.
        counts: (N, M).
        what: the other table, for messages.

    Returns:
        int [N]; -1 where the other table lacks the location.

    Raises:
        DataError: one of them has names and the other has not, or the order cannot be meant.
    """
    if (locations is None) != (others is None):
        named, bare = ("the histories have", what) if others is None else (f"{what} has", "the histories")
        raise DataError(
            f"{named} names of locations and {bare} none, so that rows cannot be matched: add a column "
            "location_id to it, or leave the names out of both, where their rows have one order."
        )
    if locations is None or others is None:
        if counts[0] != counts[1]:
            raise DataError(
                f"The histories have {counts[0]} rows and {what} {counts[1]}; without names of locations "
                "rows are matched by their order, and must be as many. Add a column location_id to both."
            )
        return np.arange(counts[0])
    index = {name: row for row, name in enumerate(others)}
    rows = np.array([index.get(name, -1) for name in locations], np.int64)
    if (rows < 0).all():
        raise DataError(
            f"None of the histories' locations ({name_some(locations, 3)}) is in {what} "
            f"({name_some(others, 3)})."
        )
    return rows


def as_values(cells: pl.Series) -> Values:
    """Numbers, NaN where missing, if all that is there are numbers; else texts, None where missing."""
    if cells.dtype != pl.String:
        return np.asarray(cells.cast(pl.Float64).fill_null(np.nan).to_numpy(), np.float64)
    numbers = read_numbers(cells)
    if numbers.null_count() == cells.null_count():
        return np.asarray(numbers.fill_null(np.nan).to_numpy(), np.float64)
    return np.array(cells.to_list(), object)


def read_cells(path: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """A table as text, with `_line`, and what must be known of how it was read.

    Row names that are numbers, but do not just count the rows, are locations' names.

    Raises:
        DataError: no such table, or it has no rows.
    """
    with open_reading(Reading(strict=True)) as reading:
        table = with_lines(read_table(path))
    if not table.height:
        raise DataError(f"{path} has no rows.")
    notes = [one for one in reading.notes if not any(usual in one for usual in _EXPECTED_NOTES)]
    numbered = [one for one in notes if _NUMBERS_ROWS in one]
    if numbered and _ROW_NAMES not in table.columns:
        names = [row[0].strip() for row in read_records(path)][-table.height :]
        if names not in ([str(row + first) for row in range(table.height)] for first in (0, 1)):
            table = table.select(pl.Series(_ROW_NAMES, names, pl.String), pl.all())
        notes = [one for one in notes if one not in numbered]
    return table, tuple(notes)


def _headed_column(table: pl.DataFrame) -> str | None:
    """The first column that is called as a column of locations is."""
    return next((name for name in table.columns if name.strip().lower() in NAMES), None)


def _first_of_texts(table: pl.DataFrame) -> str | None:
    """A first column whose every cell is a text of its own: row names of R."""
    first = table[table.columns[0]]
    is_named = first.n_unique() == table.height and not first.null_count()
    return table.columns[0] if is_named and read_numbers(first).null_count() == table.height else None


def _column_of_names(table: pl.DataFrame) -> str | None:
    """Where the locations of a table with a column an occasion stand."""
    headed = _headed_column(table)
    if headed is not None:
        return headed
    name = table.columns[0]
    first = table[name].drop_nulls()
    if _NUMBERED.fullmatch(name) or first.is_in(["0", "1", "0.0", "1.0"]).all():
        return None
    numbers = read_numbers(first)
    if numbers.null_count():
        return name
    others = pl.Series([cell for one in table.columns[1:] if one not in _OWN for cell in table[one]])
    if first.str.contains(r"^0[0-9]").any() and first.n_unique() == table.height:
        return name  # 007 is no number
    are_counts = bool(len(others)) and bool(others.drop_nulls().is_in(["0", "1", "2"]).all())
    is_named = first.n_unique() == table.height and bool((numbers > 2).any())
    return name if are_counts and is_named else None


def _split_names(
    path: Path, table: pl.DataFrame, column: str | None, *, of_covariates: bool = False
) -> tuple[tuple[str, ...] | None, pl.DataFrame]:
    """The locations, and the table without them and without what is ours."""
    lines = table["_line"]
    rest = table.drop([*_OWN, *([] if column is None else [column])])
    if not rest.width and not of_covariates:
        raise DataError(f"{path} has no column besides the locations.")
    if column is None:
        _refuse_gaps(path, lines)
        return None, rest
    names = table[column]
    if names.null_count():
        line = int(lines.filter(names.is_null())[0])
        raise DataError(f"{path} line {line} has no location in the column {column}.")
    twice = names.filter(names.is_duplicated()).unique(maintain_order=True)
    if len(twice):
        raise DataError(
            f"{path}: {name_some(twice.to_list())} {'stands' if len(twice) == 1 else 'stand'} in more than "
            f"one row of the column {column}; a location is one row. Several sessions are several tables."
        )
    return tuple(names.to_list()), rest


def _refuse_gaps(path: Path, lines: pl.Series) -> None:
    """Rows that are known by their order must all be there: an empty line could be a location."""
    gaps = (lines.diff().drop_nulls() != 1).arg_true()
    if len(gaps):
        raise DataError(
            f"{path} line {int(lines[int(gaps[0])]) + 1} is empty. Without names of locations rows are "
            "known by their order: write NA in its cells if it is a location, or take the line away."
        )


def _numbered_groups(columns: Sequence[str]) -> dict[str, list[str]]:
    """`y.1`, `y.2`, `date.1` → {y: [y.1, y.2], date: [date.1]}, in the order of their numbers."""
    groups: dict[str, list[tuple[int, str]]] = {}
    for column in columns:
        if match := _NUMBERED.fullmatch(column):
            groups.setdefault(match[1], []).append((int(match[2]), column))
    return {name: [column for _, column in sorted(each)] for name, each in groups.items()}


def _counts(path: Path, table: pl.DataFrame) -> Floats:
    """The cells as numbers, [N, J]; NaN where missing."""
    for name in table.columns:
        numbers = read_numbers(table[name])
        wrong = table[name].is_not_null() & (
            numbers.is_null() | (numbers < 0) | (numbers != numbers.floor())
        ).fill_null(True)
        if wrong.any():
            cell = table[name].filter(wrong)[0]
            raise DataError(
                f"{path}: the column {name} has '{cell}', which is no detection (0, 1 or missing). "
                "Histories have a row a location and a column an occasion; covariates stand in a table of "
                "their own."
            )
    return _stacked([as_values(table[name]) for name in table.columns]).astype(np.float64)


def _stacked(columns: Sequence[Values]) -> Values:
    """Columns side by side; texts where one of them is of texts."""
    if all(column.dtype != object for column in columns):
        return np.column_stack(columns).astype(np.float64)
    texts: npt.NDArray[np.object_] = np.column_stack([_texts(column) for column in columns]).astype(object)
    return texts


def _texts(column: Values) -> Values:
    if column.dtype == object:
        return column
    return np.array([None if np.isnan(value) else f"{value:.15g}" for value in column], object)
