"""The rows of computer vision in Wildlife Insights' images.csv."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from trapline.errors import DataError, many
from trapline.formats.answers.registry import ToolAnswers, answer_reader
from trapline.formats.wildlife_insights_tables import BY_MACHINE
from trapline.tables import read_header, read_numbers, read_table, refuse_missing_columns

_NEEDED = ("identified_by", "common_name", "cv_confidence")


def _recognise(source: Path) -> str | None:
    if source.suffix.lower() != ".csv":
        return None
    try:
        header = read_header(source)
    except DataError:
        return None
    return "it has Wildlife Insights' columns" if {*_NEEDED} <= {*header} else None


@answer_reader("wildlife_insights", recognise=_recognise)
def read_wildlife_insights_answers(source: Path) -> ToolAnswers:
    """Wildlife Insights' images.csv: of each photo the surest label that its computer vision gave.

    Rows that a person identified are no answers of a machine and are left out, and counted.

    Args:
        source: images.csv of a download.
    """
    table = read_table(source)
    refuse_missing_columns(source, table.columns, _NEEDED)
    file = next((name for name in ("filename", "location", "image_id") if name in table.columns), None)
    if file is None:
        raise DataError(f"{source} has none of the columns filename, location and image_id.")
    machine = pl.col("identified_by").str.contains(BY_MACHINE).fill_null(False)
    scored = table.with_columns(_score=read_numbers(table["cv_confidence"], most=100))
    rows = scored.filter(machine & pl.col(file).is_not_null())
    score = pl.col("_score")
    rows = rows.with_columns(_score=pl.when(score.max() > 1).then(score / 100).otherwise(score))
    names_of_taxa = ("common_name", *(name for name in ("species", "genus") if name in rows.columns))
    label = pl.coalesce(*names_of_taxa)
    if {"genus", "species"} <= {*rows.columns}:  # `species` is the epithet
        label = pl.coalesce("common_name", pl.concat_str("genus", pl.lit(" "), "species"), *names_of_taxa[1:])
    best = rows.with_columns(_label=label.str.to_lowercase()).sort("_score", descending=True, nulls_last=True)
    best = best.unique(file, keep="first", maintain_order=True)
    names, labels, scores = (best[name].to_list() for name in (file, "_label", "_score"))
    told = [
        {name: score} if name is not None and score is not None else {}
        for name, score in zip(labels, scores, strict=True)
    ]
    people = table.height - rows.height
    return ToolAnswers.of_scores(
        told,
        names,
        [None if scores else "computer vision gave no label with a confidence" for scores in told],
        tool="Wildlife Insights' computer vision",
        task="single-label",
        kept=1,
        entry="row {}".format,
        notes=[f"{many(people, 'row is not of computer vision and is')} left out"] if people else [],
    )
