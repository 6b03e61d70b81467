"""Tables with a row a file: a column a label as zamba's and our own, or one label with its probability."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.errors import DataError
from trapline.formats.answers.registry import ToolAnswers, answer_reader
from trapline.prediction import BOX_COLUMNS, FIXED
from trapline.tables import describe_lines, read_header, read_numbers, read_table, refuse_missing_columns
from trapline.taxonomy import plain

_NAMES = (
    *("media_id", "filepath", "file_path", "path", "file", "filename", "file_name", "image", "image_path"),
    *("image_name", "img", "relative_path", "relativepath", "absolute_path", "id", "image_id"),
)
_ANSWERS = (
    *("prediction", "predicted_label", "predicted_class", "predicted_species", "predicted", "label"),
    *("class", "class_name", "species", "common_name", "scientific_name", "top1", "answer"),
)
_SCORE = re.compile(
    r"((md|det|detection|detector|max|top|pred|prediction|predicted|label|class|classification|species|best"
    r"|answer|kind|order|family|genus)[_ ]?)?"
    r"(score|conf|confidence|prob|probability|certainty)(base)?[_ ]?1?",
    re.IGNORECASE,
)
"""Columns that tell how sure something is, and of no label alone."""
_NUMBERED = re.compile(r"(.*?)[ _.-]?(\d{1,2})")
_PERCENT = r"^\s*[+-]?[0-9]+([.,][0-9]+)?\s*%$"
_SUMMARIES = (
    {"image_path", "max_confidence", "detections"},
    {"filename", "detection_category", "max_detection_confidence"},
)
"""Columns of the CSVs that MegaDetector's `convert_output_format` and `generate_csv_report` write."""
_ADDS_UP = 0.02
_ADDS_UP_WELL, _MOST_ROWS = 0.005, 0.75

Task = Literal["single-label", "multi-label"]


@dataclass(frozen=True)
class _Numbers:
    """A column that may hold probabilities: float64, NaN for what is no number or missing.

    Attributes:
        values: one a row.
        damaged: rows where something else than a number stands.
    """

    values: npt.NDArray[np.float64]
    damaged: npt.NDArray[np.bool_]

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """Which are from 0 to 1."""
        return np.asarray((self.values >= 0) & (self.values <= 1 + _ADDS_UP))

    @property
    def fractional(self) -> bool:
        """Whether some are not whole: what counts, or is yes or no, is whole."""
        known = self.values[np.isfinite(self.values)]
        return bool((known != np.round(known)).any())

    @property
    def mostly_inside(self) -> bool:
        """Whether more of what is filled is a probability than not."""
        filled = int((np.isfinite(self.values) | self.damaged).sum())
        return 2 * int(self.inside.sum()) > filled

    @property
    def all_numbers(self) -> bool:
        """Whether everything that is filled is a number, and something is."""
        return bool(not self.damaged.any() and np.isfinite(self.values).any())


@dataclass
class _Layout:
    """Which columns hold the probabilities, and what is to be said of the choice."""

    columns: dict[str, _Numbers]
    task: Task
    notes: list[str] = field(default_factory=list)


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
    task: Task | None = None,
    percent: bool = False,
) -> ToolAnswers:
    """A table with a column of files, and a probability for each label or one label with its probability.

    Columns of probabilities are those whose numbers are from 0 to 1; a cell that is none fails its row. Where
    there are none, but a column like `prediction` beside one like `confidence`, that is the surest label of
    each row, and of several rows of a file the surest counts; where those of every file add up to 1, each is
    a label's. Numbered pairs of such columns (`top1`, `p1`, `top2`, `p2`) are the surest labels of a row.

    Args:
        source: CSV or TSV.
        column: with the names (or ids) of the files; by default the first that is called like it.
        labels: the columns of probabilities; by default those that hold some.
        task: `single-label` if each row's are shares of 1, `multi-label` if each is for itself; by default
            found out: shares of 1 add up to it.
        percent: they are from 0 to 100.

    Raises:
        DataError: there is no such column; or the table is a summary by MegaDetector's utilities, which tells
            of the highest confidences in a file and not of what it shows.
    """
    table = read_table(source)
    if not labels and any(table_of <= set(table.columns) for table_of in _SUMMARIES):
        raise DataError(
            f"{source} is a summary of a MegaDetector file: the highest confidence of each category in a "
            "photo is no answer for the photo. Read the JSON that it was made of."
        )
    named = _name_column(source, table, column)
    refuse_missing_columns(source, table.columns, labels)
    others = [name for name in table.columns if name not in (named, "_place")]
    numbers = {name: _read_numbers(table[name], percent) for name in labels or _candidates(table, others)}
    ranked = [] if labels else _ranked_pairs(numbers)
    if ranked:
        return _read_ranked(source, table, named, ranked, numbers)
    told = None if labels else _surest_label(others, table, numbers)
    if told is not None:
        return _read_surest(source, table, named, told, numbers[told[1]], percent)
    layout = _choose_columns(source, numbers, bool(labels), task)
    ignored = [name for name in others if name not in layout.columns]
    if not layout.columns:
        raise DataError(
            f"{source} has no column of probabilities: none of {', '.join(others) or 'its columns'} holds "
            "numbers from 0 to 1 only. A label without its probability is no prediction that can be judged; "
            "name columns of probabilities with --label, and say with --percent if they are percent."
        )
    values = np.stack([each.values for each in layout.columns.values()], axis=1)
    for index, each in enumerate(layout.columns.values()):
        values[each.damaged, index] = np.inf  # no probability, and not missing either
    damaged = np.asarray(np.isinf(values).any(axis=1))
    empty = np.asarray(np.isnan(values).all(axis=1))
    written = table["reason"].to_list() if _is_ours(table.columns) else [None] * table.height
    reasons = [
        why or ("a probability is no number" if bad else "it has no probabilities" if none else None)
        for why, bad, none in zip(written, damaged.tolist(), empty.tolist(), strict=True)
    ]
    if ignored:
        layout.notes.insert(0, f"columns that are no labels: {', '.join(ignored[:10])}")
    return ToolAnswers(
        tool=source.name,
        task=layout.task,
        labels=tuple(layout.columns),
        names=table[named].fill_null("").to_list(),
        probabilities=values,
        reasons=reasons,
        entry=describe_lines(table).to_list().__getitem__,
        notes=layout.notes,
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


def _is_ours(columns: Sequence[str]) -> bool:
    return {"media_id", "file_path", "status", "reason"} <= {*columns}


def _candidates(table: pl.DataFrame, others: Sequence[str]) -> list[str]:
    """Columns that may hold probabilities: of our own table those behind the fixed ones."""
    columns = table.columns
    fixed = set(FIXED) if _is_ours(columns) else set(FIXED) - {"reason", "box"}
    if {"box", "crop"} <= {*columns}:
        fixed |= set(BOX_COLUMNS)
    return [name for name in others if name not in fixed and name.casefold() not in _NAMES]


def _read_numbers(cells: pl.Series, percent: bool) -> _Numbers:
    filled = cells.drop_nulls()
    signed = bool(len(filled) and filled.str.contains(_PERCENT).all())
    if signed:
        cells = cells.str.replace("%", "", literal=True).str.strip_chars()
    numbers = read_numbers(cells, most=100 if signed or percent else 1)
    values = numbers.fill_null(float("nan")).to_numpy() / (100 if signed or percent else 1)
    return _Numbers(values, (cells.is_not_null() & numbers.is_null()).to_numpy())


def _surest_label(
    others: Sequence[str], table: pl.DataFrame, numbers: dict[str, _Numbers]
) -> tuple[str, str] | None:
    """The columns with a label and its probability, where the labels have no columns of their own."""
    by_name = {name.casefold(): name for name in others}
    words = [by_name[name] for name in _ANSWERS if name in by_name]
    words = [name for name in words if name in numbers and not numbers[name].all_numbers]
    scores = [name for name in numbers if _SCORE.fullmatch(name) and numbers[name].all_numbers]
    if not words or not scores:
        return None
    answered = {plain(label) for label in table[words[0]].drop_nulls().unique()}
    if 2 * len(answered & {plain(name) for name in numbers}) > len(answered):
        return None
    index = others.index(words[0])
    return words[0], min(scores, key=lambda name: (others.index(name) < index, others.index(name)))


def _ranked_pairs(numbers: dict[str, _Numbers]) -> list[tuple[str, str]]:
    """The columns with the first label and its probability, the second …; none where that is not clear."""
    words: dict[str, dict[int, str]] = {}
    scores: dict[str, dict[int, str]] = {}
    for name, each in numbers.items():
        if numbered := _NUMBERED.fullmatch(name):
            mostly_numbers = each.damaged.sum() < np.isfinite(each.values).sum()
            kind = scores if mostly_numbers else words
            kind.setdefault(numbered[1].casefold(), {})[int(numbered[2])] = name
    words = {stem: columns for stem, columns in words.items() if len(columns) > 1}
    pairs = [
        (one, other) for one in words.values() for other in scores.values() if one.keys() == other.keys()
    ]
    return [(pairs[0][0][rank], pairs[0][1][rank]) for rank in sorted(pairs[0][0])] if len(pairs) == 1 else []


def _read_ranked(
    source: Path, table: pl.DataFrame, named: str, pairs: list[tuple[str, str]], numbers: dict[str, _Numbers]
) -> ToolAnswers:
    """The surest labels of each row, from a pair of columns for each."""
    _refuse_beyond_one(source, pairs[0][1], numbers[pairs[0][1]])
    scores: list[dict[str, float]] = [{} for _ in range(table.height)]
    reasons: list[str | None] = ["it has no label with a probability"] * table.height
    odd: dict[int, str] = {}
    for word, score in pairs:
        damaged = numbers[score].damaged
        for row, (label, value) in enumerate(zip(table[word], numbers[score].values.tolist(), strict=True)):
            if damaged[row]:
                odd[row] = "a probability is no number"
            elif label is not None and label in scores[row]:
                odd[row] = f"it names '{label}' twice"
            elif label is not None and not math.isnan(value):
                scores[row][label], reasons[row] = value, None
    for row, reason in odd.items():
        scores[row], reasons[row] = {}, reason
    return ToolAnswers.of_scores(
        scores,
        table[named].fill_null("").to_list(),
        reasons,
        tool=source.name,
        task="single-label",
        kept=len(pairs),
        entry=describe_lines(table).to_list().__getitem__,
        notes=[f"'{pairs[0][0]}' to '{pairs[-1][0]}' are taken for the {len(pairs)} surest labels of a row"],
    )


def _refuse_beyond_one(source: Path, column: str, score: _Numbers) -> None:
    if not score.mostly_inside:
        raise DataError(
            f"{source}: the column '{column}' holds numbers beyond 1, so they are no probabilities. If they "
            "are percent, say so with --percent."
        )


def _read_surest(
    source: Path, table: pl.DataFrame, named: str, told: tuple[str, str], score: _Numbers, percent: bool
) -> ToolAnswers:
    """Of each file the row with the largest probability; all where they are the shares of its labels."""
    if not percent:
        _refuse_beyond_one(source, told[1], score)
    rows = pl.DataFrame(
        {
            "name": table[named].fill_null(""),
            "label": table[told[0]],
            "score": pl.Series(score.values, dtype=pl.Float64).fill_nan(None),
            "line": describe_lines(table),
        }
    )
    shares = _shares_of_files(rows)
    if shares is not None:
        return ToolAnswers.of_scores(
            list(shares.values()),
            list(shares),
            [None] * len(shares),
            tool=source.name,
            task="single-label",
            notes=[f"there is a row a label ('{told[0]}'): those of every file add up to 1 in '{told[1]}'"],
        )
    best = rows.sort("score", descending=True, nulls_last=True, maintain_order=True)
    best = best.unique("name", keep="first", maintain_order=True)
    scores = [
        {} if label is None or score is None else {label: score}
        for label, score in best.select("label", "score").iter_rows()
    ]
    return ToolAnswers.of_scores(
        scores,
        best["name"].to_list(),
        [None if each else "it has no label with a probability" for each in scores],
        tool=source.name,
        task="single-label",
        kept=1,
        entry=best["line"].to_list().__getitem__,
        notes=[f"the column '{told[0]}' is taken for the surest label, '{told[1]}' for its probability"],
    )


def _shares_of_files(rows: pl.DataFrame) -> dict[str, dict[str, float]] | None:
    """File → label → probability, where the rows of every file are the shares of its labels, a row each."""
    if rows.select(pl.struct("name", "label").is_duplicated().any()).item() or rows["name"].n_unique() == len(
        rows
    ):
        return None
    totals = rows.group_by("name").agg(pl.col("score").sum())["score"]
    whole = not (rows["label"].null_count() or rows["score"].null_count())
    if not whole or ((totals - 1).abs() > _ADDS_UP).any():
        return None
    shares: dict[str, dict[str, float]] = {}
    for name, label, score in rows.select("name", "label", "score").iter_rows():
        shares.setdefault(name, {})[label] = score
    return shares


def _choose_columns(source: Path, numbers: dict[str, _Numbers], named: bool, task: Task | None) -> _Layout:
    """The columns of probabilities, and whether they are shares of 1: decided from whole columns, or asked.

    Raises:
        DataError: numbers beyond 1 stand beside those that are not, or all may be percent.
    """
    chosen = dict(numbers)
    if not named:
        chosen = {name: each for name, each in numbers.items() if each.mostly_inside}
        labels = {name: each for name, each in chosen.items() if not _SCORE.fullmatch(name)}
        chosen = labels or chosen
    shares = _add_up(chosen)
    without_flags = {name: each for name, each in chosen.items() if each.fractional}
    if not shares and not named and without_flags and _add_up(without_flags):
        chosen, shares = without_flags, True
    if not (shares or named):
        _refuse_what_may_be_percent(source, numbers, chosen)
    layout = _Layout(chosen, task or ("single-label" if shares else "multi-label"))
    if task is None and chosen:
        how = (
            "are shares of 1, as they add up to it"
            if shares
            else f"are each for itself ({', '.join(list(chosen)[:10])}): not all add up to 1"
        )
        layout.notes.append(f"its probabilities {how} (--task says otherwise)")
    return layout


def _add_up(columns: dict[str, _Numbers]) -> bool:
    """Whether the numbers of each row that is whole are shares of 1, but for a few bad rows."""
    if not columns:
        return False
    values = np.stack([each.values for each in columns.values()], axis=1)
    off = np.abs(values[np.isfinite(values).all(axis=1)].sum(axis=1) - 1)
    if not len(off):
        return False
    return bool((off <= _ADDS_UP).all() or (off <= _ADDS_UP_WELL).mean() >= _MOST_ROWS)


def _refuse_what_may_be_percent(
    source: Path, numbers: dict[str, _Numbers], chosen: dict[str, _Numbers]
) -> None:
    whole = not any(each.fractional for each in chosen.values())
    beyond = [
        name
        for name, each in numbers.items()
        if name not in chosen and each.all_numbers and (each.fractional or (chosen and whole))
    ]
    beyond = [name for name in beyond if not _SCORE.fullmatch(name)]
    if beyond:
        raise DataError(
            f"{source}: numbers of '{beyond[0]}' are not from 0 to 1, so it cannot be told which columns "
            "hold probabilities. Say that they are percent with --percent, or name the columns with --label; "
            "scores that are neither are no predictions."
        )
