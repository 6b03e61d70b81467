"""Competition files: written in the rows, columns and order of a format file, joined by id, and checked."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, islice
from pathlib import Path
from typing import IO, Literal

import numpy as np
import numpy.typing as npt

from trapline.catalog import BLANK_WORDS
from trapline.errors import DataError, UsageError, many, name_some
from trapline.prediction import Predictions, Task
from trapline.tables import read_records
from trapline.taxonomy import BLANK

Fill = Literal["uniform", "prior"]

_SUM_TOLERANCE = 1e-3
_SHOWN = 5
_LONGEST_RECORD = 2**20
"""Characters of a row, which no competition's comes near; a file without line ends is refused at that."""
_ROWS_BEYOND = 1000
_CHARACTERS_A_NUMBER = 64
_LONGEST_NAME = 100


@dataclass(frozen=True)
class SubmissionFormat:
    """What a competition wants to be handed in.

    Attributes:
        path: the format file.
        id_column: the name of the first column.
        labels: the names of the others, in order.
        ids: the rows, in order.
        task: `single-label` if the rows of the format sum to 1, else `multi-label`.
    """

    path: Path
    id_column: str
    labels: tuple[str, ...]
    ids: tuple[str, ...]
    task: Task

    @property
    def header(self) -> list[str]:
        """The first line."""
        return [self.id_column, *self.labels]


@dataclass(frozen=True)
class Submission:
    """What was written.

    Attributes:
        path: the file.
        rows: in it.
        filled: ids that had no prediction and were filled because that was asked.
        absent_labels: labels of the format that the model does not know.
        unused: predictions whose id the format does not want.
    """

    path: Path
    rows: int
    filled: tuple[str, ...]
    absent_labels: tuple[str, ...]
    unused: int


def read_format(path: Path | str) -> SubmissionFormat:
    """Read a `submission_format.csv`: an id column, then one column a label.

    Raises:
        DataError: missing, no CSV of that shape, doubled ids or columns.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"There is no submission format at {path}.")
    rows = read_records(path)
    header = next(rows)
    if len(header) < 2 or len(set(header)) != len(header):
        raise DataError(f"{path}: the first line must name an id column and one column a label, each once.")
    ids, single = [], True
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise DataError(f"{path} line {line} has {len(row)} fields; the first line has {len(header)}.")
        ids.append(row[0])
        if single:
            cells = [_number(cell.replace(",", ".")) for cell in row[1:]]
            numbers = [number for number in cells if number is not None]
            single = len(numbers) == len(row) - 1 and abs(sum(numbers) - 1) <= _SUM_TOLERANCE
    doubled = [name for name, count in Counter(ids).items() if count > 1]
    if not ids or doubled:
        raise DataError(
            f"{path} has {'no rows' if not ids else f'ids more than once: {_list_names(doubled)}'}."
        )
    task: Task = "single-label" if single else "multi-label"
    return SubmissionFormat(path, header[0], tuple(header[1:]), tuple(ids), task)


def write_submission(
    predictions: Predictions,
    format_path: Path | str,
    output: Path | str,
    *,
    clip: float = 0.0,
    fill: Fill | None = None,
    absent: float | None = None,
) -> Submission:
    """Write predictions in the rows, columns and order of a format file, joined by id.

    Args:
        predictions: one row a media (matched by `media_id`) or an event (by `event_id`).
        format_path: the competition's `submission_format.csv`.
        output: the file to write; overwritten.
        clip: keep probabilities at least this far from 0 and 1, so that no single mistake costs without
            bound; single-label rows are scaled to sum to 1 again.
        fill: what to give ids without a prediction: `uniform` (1 over the labels; 0.5 if multi-label) or
            `prior` (the mean of the predictions there are). None makes them an error.
        absent: the probability of labels of the format that the model does not know; None makes them an
            error.

    Raises:
        DataError: ids or labels that do not fit, named; or the file would not pass the check; or only the
            surest labels have a probability.
        UsageError: `clip` or `absent` is no probability that makes sense.
    """
    refuse_numbers(clip, absent)
    if predictions.facts.kept is not None:
        raise DataError(
            "These predictions tell of the surest labels only, and a submission has the probability of every "
            "label: those that are not told of would be made up."
        )
    wanted = read_format(format_path)
    labels = translate_labels(predictions.labels, wanted)
    absent_labels = find_absent(labels, wanted, absent, "The predictions have")
    probabilities, unused = _align_by_id(predictions, wanted)
    missing = list(compress(wanted.ids, _empty_rows(probabilities)))
    if missing and fill is None:
        raise DataError(_missing_message(predictions, wanted, missing))
    numbers = probabilities if fill is None else fill_empty(probabilities, fill, predictions.task)
    numbers = finish_rows(numbers, labels, predictions.task, wanted, absent or 0.0, clip)
    output = Path(output)
    partial = output.with_name(output.name + ".partial")
    write_rows(wanted, numbers, partial)
    problems = check_submission(partial, format_path, task=predictions.task)
    if problems:
        raise DataError(f"{partial} would not be accepted: {' '.join(problems)}")
    partial.replace(output)
    return Submission(output, len(wanted.ids), tuple(missing), absent_labels, unused)


def refuse_numbers(clip: float, absent: float | None) -> None:
    """Check the two numbers of a submission.

    Raises:
        UsageError: one makes no sense.
    """
    if not 0 <= clip < 0.5:
        raise UsageError(f"--clip must be at least 0 and below 0.5, not {clip}.")
    if absent is not None and not 0 <= absent < 1:
        raise UsageError(f"--absent must be at least 0 and below 1, not {absent}.")


def translate_labels(labels: Sequence[str], wanted: SubmissionFormat) -> tuple[str, ...]:
    """The labels with `blank` called as the format calls it: what was read from "empty" is written so."""
    if BLANK not in labels or BLANK in wanted.labels:
        return tuple(labels)
    words = [label for label in wanted.labels if label.casefold() in BLANK_WORDS and label not in labels]
    if len(words) != 1:
        return tuple(labels)
    return tuple(words[0] if label == BLANK else label for label in labels)


def find_absent(
    labels: Sequence[str], wanted: SubmissionFormat, absent: float | None, subject: str
) -> tuple[str, ...]:
    """Labels of the format that are not among the translated ones.

    Args:
        labels: see `translate_labels`.
        wanted: the format.
        absent: the probability of what is not among them; None makes that an error.
        subject: who has the labels, for an error: "The model has".

    Raises:
        DataError: some are absent though that was not allowed for, or the format does not want some.
    """
    extra = [label for label in labels if label not in wanted.labels]
    lacking = tuple(label for label in wanted.labels if label not in labels)
    if extra:
        raise DataError(
            f"{subject} labels that {wanted.path} does not want: {_list_names(extra)}. "
            f"It wants: {_list_names(wanted.labels, len(wanted.labels))}."
        )
    if lacking and absent is None:
        raise DataError(
            f"{wanted.path} wants labels that the model does not know: {_list_names(lacking)}. Give them a "
            "probability with --absent, or use a model that was trained with them."
        )
    return lacking


def _align_by_id(predictions: Predictions, wanted: SubmissionFormat) -> tuple[npt.NDArray[np.float64], int]:
    """Float64 [ids, model's labels] in the order of the format, NaN where there is none; unused rows."""
    key = _id_column(predictions)
    keys = predictions.table[key].to_list()
    doubled = [name for name, count in Counter(keys).items() if count > 1 and name is not None]
    if doubled:
        raise DataError(f"The predictions have {key}s more than once: {_list_names(doubled)}.")
    row_of = {name: index for index, name in enumerate(keys)}
    rows = np.array([row_of.get(name, -1) for name in wanted.ids])
    numbers = np.vstack([predictions.probabilities(), np.full(len(predictions.labels), np.nan)])
    return numbers[rows], len(keys) - int((rows >= 0).sum())


def _id_column(predictions: Predictions) -> str:
    if predictions.level == "box":
        raise DataError("Predictions of boxes cannot be handed in: predict whole media.")
    return "event_id" if predictions.level == "event" else "media_id"


def _missing_message(predictions: Predictions, wanted: SubmissionFormat, missing: Sequence[str]) -> str:
    key = _id_column(predictions)
    reasons = dict(predictions.failed.select(key, "reason").iter_rows())
    shown = [f"{name} (failed: {reasons[name]})" if name in reasons else name for name in missing[:_SHOWN]]
    hint = ""
    if len(missing) == len(wanted.ids):
        ids = predictions.table[key]
        hint = (
            f" None matches: the predictions' ids look like {ids[0]!r}, the format's like {wanted.ids[0]!r}."
        )
    return (
        f"{len(missing)} of the {len(wanted.ids)} ids in {wanted.path} have no prediction: "
        f"{_list_names(shown, _SHOWN, len(missing))}.{hint} Predict them, or fill them with --fill uniform "
        "or --fill prior."
    )


def _empty_rows(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """bool [ids]: true where there is no prediction."""
    return np.asarray(np.isnan(probabilities).any(axis=1))


def fill_empty(probabilities: npt.NDArray[np.float64], fill: Fill, task: Task) -> npt.NDArray[np.float64]:
    """Float64 [ids, labels] with the rows of NaN filled: equal shares, or the mean of the others.

    Raises:
        DataError: `prior`, and there are no others.
    """
    empty = _empty_rows(probabilities)
    if not empty.any():
        return probabilities
    if fill == "prior":
        if empty.all():
            raise DataError("No id has a prediction, so there is no prior to fill with.")
        values = probabilities[~empty].mean(axis=0)
    else:
        values = np.full(
            probabilities.shape[1], 1 / probabilities.shape[1] if task == "single-label" else 0.5
        )
    return np.where(empty[:, None], values, probabilities)


def finish_rows(
    numbers: npt.NDArray[np.float64],
    labels: Sequence[str],
    task: Task,
    wanted: SubmissionFormat,
    absent: float,
    clip: float,
) -> npt.NDArray[np.float64]:
    """Float64 [ids, format's labels]: in the format's order, clipped, single-label rows summing to 1.

    Args:
        numbers: [ids, labels], in the format's order of ids.
        labels: of the columns of `numbers`; all of them are in the format.
        task: `single-label` or `multi-label`.
        wanted: the format.
        absent: the probability of labels of the format that are not in `labels`.
        clip: keep probabilities at least this far from 0 and 1.

    Raises:
        UsageError: `absent` leaves nothing for the others.
    """
    single = task == "single-label"
    lacking = sum(label not in labels for label in wanted.labels)
    if single and absent * lacking >= 1:
        raise UsageError(f"--absent {absent} for {many(lacking, 'label')} leaves nothing for the others.")
    result = np.full((len(numbers), len(wanted.labels)), absent)
    share = 1 - absent * lacking if single else 1.0
    for column, label in enumerate(labels):
        result[:, wanted.labels.index(label)] = numbers[:, column] * share
    if clip:
        result = result.clip(clip, 1 - clip)
    return result / result.sum(axis=1, keepdims=True) if single else result


def write_rows(wanted: SubmissionFormat, numbers: npt.NDArray[np.float64], output: Path) -> None:
    """Write float64 [ids, labels] with the header and the ids of the format."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(wanted.header)
        for name, row in zip(wanted.ids, numbers.tolist(), strict=True):
            writer.writerow([name, *row])


@dataclass(frozen=True)
class Problem:
    """What a competition would refuse.

    Attributes:
        of: the columns, the rows (ids and their order) or the numbers.
        text: one sentence.
    """

    of: Literal["columns", "rows", "numbers"]
    text: str


def check_submission(path: Path | str, format_path: Path | str, *, task: Task | None = None) -> list[str]:
    """What a competition would refuse; an empty list means that the file is as its format wants it.

    Args:
        path: the finished submission.
        format_path: the competition's `submission_format.csv`.
        task: `single-label` also checks that rows sum to 1; None takes the format's.

    Raises:
        DataError: one of the files is missing or no CSV.
    """
    return [problem.text for problem in submission_problems(path, format_path, task=task)]


def submission_problems(
    path: Path | str, format_path: Path | str, *, task: Task | None = None
) -> list[Problem]:
    """The same as `check_submission`, with what each problem is of.

    Time and memory are those that a file of the format takes: no more than twice its rows are looked at.
    """
    wanted = read_format(format_path)
    rows = _lines_of(Path(path), "submission")
    problems = [Problem("columns", text) for text in _header_problems(next(rows), wanted)]
    if problems:
        return problems
    ids: list[str] = []
    empty: list[int] = []
    most = 2 * len(wanted.ids) + _ROWS_BEYOND
    numbers = _number_problems(islice(rows, most), wanted, task or wanted.task, ids, empty)
    if next(rows, None) is not None:
        text = (
            f"There are more than {most} rows, and the format has {len(wanted.ids)}; the rest was not read."
        )
        problems.append(Problem("rows", text))
    if empty:
        problems.append(Problem("rows", f"{many(len(empty), 'row is')} empty: {_lines(empty)}."))
    problems += [Problem("rows", text) for text in _id_problems(ids, wanted)]
    return problems + [Problem("numbers", text) for text in numbers]


def most_bytes(format_path: Path | str) -> int:
    """The most that a submission of a format can have: its ids, and 64 characters a number."""
    wanted = read_format(format_path)
    numbers = _CHARACTERS_A_NUMBER * len(wanted.ids) * len(wanted.labels)
    return wanted.path.stat().st_size + numbers + _LONGEST_RECORD


def _header_problems(header: Sequence[str], wanted: SubmissionFormat) -> list[str]:
    if list(header) == wanted.header:
        return []
    if header and header[0] in wanted.ids:
        return [f"The header is lost: the first line is already the row of {header[0]!r}."]
    for delimiter, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(header) == 1 and header[0].count(delimiter) == len(wanted.header) - 1:
            return [f"The columns are separated by {name}, as a spreadsheet saved them, not by commas."]
    problems = []
    for what, names in (
        ("Missing", [name for name in wanted.header if name not in header]),
        ("Unwanted", [name for name in header if name not in wanted.header]),
    ):
        if names:
            problems.append(f"{what} columns: {_list_names(names)}.")
    return problems or [
        f"The columns are in another order or doubled: they must be {', '.join(wanted.header)}."
    ]


def _id_problems(ids: Sequence[str], wanted: SubmissionFormat) -> list[str]:
    there, expected = set(ids), set(wanted.ids)
    problems = []
    for what, names in (
        ("is missing", [name for name in wanted.ids if name not in there]),
        ("is not in the format", [name for name in ids if name not in expected]),
        ("occurs more than once", [name for name, count in Counter(ids).items() if count > 1]),
    ):
        if names:
            problems.append(f"{many(len(names), 'id ' + what)}: {_list_names(names)}.")
    if not problems and list(ids) != list(wanted.ids):
        line = next(
            line for line, (one, other) in enumerate(zip(ids, wanted.ids, strict=True), 2) if one != other
        )
        problems.append(f"The ids are in another order from line {line} on.")
    return problems


def _number_problems(
    rows: Iterable[Sequence[str]], wanted: SubmissionFormat, task: Task, ids: list[str], empty: list[int]
) -> list[str]:
    """Problems of the numbers; ids and the lines that are empty are kept on the way."""
    rows_of: dict[str, list[int]] = {}
    for line, row in enumerate(rows, start=2):
        if not row:
            empty.append(line)
            continue
        ids.append(row[0])
        for problem in _row_problems(row, len(wanted.header), task):
            rows_of.setdefault(problem, []).append(line)
    told = {many(len(lines), f"row {problem}"): lines for problem, lines in rows_of.items()}
    return [f"{problem}: {_lines(lines)}." for problem, lines in told.items()]


def _lines(numbers: Sequence[int]) -> str:
    return _list_names([f"line {number}" for number in numbers[:_SHOWN]], total=len(numbers))


def _row_problems(row: Sequence[str], width: int, task: Task) -> Iterable[str]:
    if len(row) != width:
        yield f"does not have {width} fields"
        return
    values = [_number(text) for text in row[1:]]
    numbers = [value for value in values if value is not None and math.isfinite(value)]
    if None in values:
        yield "has something that is no number"
    if any(value is not None and not math.isfinite(value) for value in values):
        yield "has NaN or infinity"
    if any(not 0 <= value <= 1 for value in numbers):
        yield "has a probability outside 0 to 1"
    if task == "single-label" and len(numbers) == len(values) and abs(sum(numbers) - 1) > _SUM_TOLERANCE:
        yield "does not sum to 1"


def _number(text: str) -> float | None:
    """A number as other programs read it too: Python alone takes `0_1` and the digits of other scripts."""
    if "_" in text or not text.isascii():
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _lines_of(path: Path, what: str) -> Iterator[list[str]]:
    """The lines one by one; an empty one has no fields.

    Raises:
        DataError: there is no such file, it is no CSV, or all of its lines are empty.
    """
    if not path.is_file():
        raise DataError(f"There is no {what} at {path}.")
    empty = True
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = _Lines(file)
            for row in csv.reader(lines):
                lines.begin_record()
                empty = empty and not row
                yield row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from error
    if empty:
        raise DataError(f"{path} is empty.")


class _Lines:
    """The lines of a file for a CSV reader; an error if those of one record have no end."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self._left, self._number = file, _LONGEST_RECORD, 0

    def begin_record(self) -> None:
        """What follows belongs to another record."""
        self._left = _LONGEST_RECORD

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline(self._left)
        self._left -= len(line)
        self._number += 1
        if not self._left:
            raise csv.Error(f"line {self._number} has more than {_LONGEST_RECORD} characters, or no end")
        if not line:
            raise StopIteration
        return line


def _list_names(names: Sequence[str], shown: int = _SHOWN, total: int = 0) -> str:
    cut = [name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…" for name in names[:shown]]
    return name_some(cut, shown, of=total or len(names))
