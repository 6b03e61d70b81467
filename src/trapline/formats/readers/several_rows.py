"""Several rows of a table that are of one media, put together."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from trapline.errors import DataError
from trapline.tables import describe_lines

_LINES = ("_place", "_file", "_line")


def one_row_a_media(rows: pl.DataFrame, key: str, known: Sequence[str], remedy: str) -> pl.DataFrame:
    """The rows of each media as one: its labels in the order of the file, other cells joined by "; ".

    Args:
        rows: with `_place`, or `_file` and `_line`; `labels` may be among the columns.
        key: the column that says which media a row is of.
        known: columns of which a media has one value.
        remedy: what can be done where it has several, for the error.

    Raises:
        DataError: rows of one media disagree on one of these; the lines are named.
    """
    if not rows[key].is_duplicated().any():
        return rows
    known = [name for name in known if name in rows.columns and name != key]
    _refuse_disagreement(rows, key, known, remedy)
    lines = [name for name in _LINES if name in rows.columns]
    labels = [name for name in ("labels",) if name in rows.columns]
    free = [name for name in rows.columns if name not in (key, *known, *lines, *labels)]
    together = rows.group_by(key, maintain_order=True).agg(
        pl.col([*known, *lines]).drop_nulls().first(),
        pl.col(labels).explode().drop_nulls().unique(maintain_order=True),
        pl.col(free).unique(maintain_order=True).drop_nulls(),
    )
    return together.with_columns(pl.col(free).list.join("; ").replace("", None))


def _refuse_disagreement(rows: pl.DataFrame, key: str, names: Sequence[str], remedy: str) -> None:
    for name in names:
        differs = rows.filter(pl.col(name).drop_nulls().n_unique().over(key) > 1)
        if differs.height:
            own = differs.filter(pl.col(key) == differs[key][0]).head(4)
            values = zip(describe_lines(own), own[name], strict=True)
            sentence = "; ".join(f"{where}: {value!r}" for where, value in values)
            raise DataError(
                f"The rows of {own[key][0]} disagree on the {name.strip('_')}: {sentence}. "
                f"One media has one; {remedy}."
            )
