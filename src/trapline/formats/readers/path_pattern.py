"""Facts from paths: a regular expression with named groups."""

from __future__ import annotations

import polars as pl

from trapline.errors import DataError, UsageError, many
from trapline.formats.time_columns import join_date_and_time

_MEANINGS = {
    "location": "location_id",
    "deployment": "deployment_id",
    "event": "event_id",
    "frame": "frame",
    "time": "_time_text",
    "label": "labels",
}


def apply_pattern(rows: pl.DataFrame, pattern: str) -> tuple[pl.DataFrame, list[str]]:
    """Fill columns from `file_path` by a regular expression whose groups are named for what they hold.

    The expression is searched for anywhere in the path (with forward slashes). The groups `location`,
    `deployment`, `event`, `frame` (a number, or letters: a is 1, aa 27), `time` (or `date` and `time`) and
    `label` go to the catalog's columns, others become columns of their name. Where it does not match, the
    columns stay as they were.

    Raises:
        UsageError: the expression is wrong or has no named group.
        DataError: it matches no path.
    """
    try:
        groups = rows.select(pl.col("file_path").str.extract_groups(pattern).alias("found")).unnest("found")
    except pl.exceptions.PolarsError as error:
        raise UsageError(f"The pattern {pattern!r} is not a regular expression: {error}") from error
    names = [name for name in groups.columns if not name.isdigit()]
    if not names:
        raise UsageError(
            f"The pattern {pattern!r} has no named group. Write (?P<location>…), with one of "
            f"{', '.join(_MEANINGS)} or a name of your own."
        )
    matched = groups.select(pl.any_horizontal(pl.col(names).is_not_null()).alias("any"))["any"]
    if not matched.any():
        raise DataError(f"The pattern {pattern!r} matches no path; the first is {rows['file_path'][0]!r}.")
    if {"date", "time"} <= set(names):
        groups = groups.with_columns(join_date_and_time(groups["date"], groups["time"]).alias("time"))
        names.remove("date")
    for name in names:
        target = _MEANINGS.get(name, name)
        value = _read_types(groups[name], name)
        old = pl.col(target) if target in rows.columns else pl.lit(None)
        rows = rows.with_columns(pl.coalesce(value, old).alias(target))
    missed = len(matched) - int(matched.sum())
    return rows, [f"the pattern does not match {many(missed, 'path')}"] if missed else []


def _read_types(text: pl.Series, name: str) -> pl.Series:
    if name == "label":
        return pl.select(pl.when(text.is_not_null()).then(pl.concat_list(text))).to_series()
    if name != "frame":
        return text
    return pl.select(
        pl.coalesce(pl.lit(text).cast(pl.Int64, strict=False), _letters(pl.lit(text.str.to_lowercase())))
    ).to_series()


def _letters(text: pl.Expr) -> pl.Expr:
    """The number of one or two letters in a, b, …, z, aa, ab, …; null where it is anything else."""
    numbers = {chr(97 + n): n + 1 for n in range(26)}
    first, last = (
        text.str.extract("^([a-z])?([a-z])$", group).replace_strict(
            numbers, default=None, return_dtype=pl.Int64
        )
        for group in (1, 2)
    )
    return first.fill_null(0) * 26 + last
