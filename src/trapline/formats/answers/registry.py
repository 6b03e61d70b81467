"""Other tools' answers as predictions: what a reader hands over, and how it becomes a table like ours."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import BLANK_WORDS, Catalog, content_hash
from trapline.errors import DataError, UsageError, many
from trapline.formats.naming import match_names
from trapline.formats.unknown import what_to_do
from trapline.options import Option, check_options, options_of
from trapline.prediction import PredictionFacts, Predictions, check_labels, fixed_columns
from trapline.registry import Registry
from trapline.tables import Reading, RejectedRow, open_reading, read_table, refuse_missing_columns, reject
from trapline.taxonomy import BLANK, plain

Task = Literal["single-label", "multi-label"]
VERIFIED = "a person verified it, and what the model said is not kept"
_ROUNDED = 0.02  # probabilities of two digits, each rounded, do not add up to 1 exactly


@dataclass
class ToolAnswers:
    """What a tool says of media, by the names that it has for them.

    Attributes:
        tool: its name and version, for people.
        task: `single-label` where a media's probabilities are shares of 1.
        labels: in the tool's words.
        names: of the files, one an entry; a file may have several entries.
        probabilities: float64 [entries, labels]; NaN in all of an entry that has none.
        reasons: why an entry has none, or what is odd about it.
        kept: how many labels of each media the tool tells of at most, where it tells of the surest only;
            those that it does not tell of have 0 here, which is not what it thinks of them.
        entry: what an entry is called in messages, by its number.
        notes: what a person should know of how it was read.
    """

    tool: str
    task: Task
    labels: tuple[str, ...]
    names: list[str]
    probabilities: npt.NDArray[np.float64]
    reasons: list[str | None]
    kept: int | None = None
    entry: Callable[[int], str] = "entry {}".format
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of_scores(
        cls, scores: Sequence[Mapping[str, float]], names: list[str], reasons: list[str | None], **facts: Any
    ) -> ToolAnswers:
        """From the labels that are told of each entry, with their probabilities.

        Args:
            scores: one an entry; empty where it has none.
            names: likewise.
            reasons: likewise.
            **facts: `tool`, `task`, `kept`, `entry`, `notes`.
        """
        labels = tuple(sorted({label for row in scores for label in row}))
        column = {label: index for index, label in enumerate(labels)}
        values = np.zeros((len(names), len(labels)))
        for number, row in enumerate(scores):
            for label, score in row.items():
                values[number, column[label]] = score
            if not row:
                values[number] = np.nan
        return cls(labels=labels, names=names, probabilities=values, reasons=reasons, **facts)


def usable_entries(
    source: Path, key: str, entries: Sequence[Any], name: str
) -> list[tuple[int, dict[str, Any]]]:
    """Entries of a JSON list that name their file, with their numbers; others are listed as such.

    Args:
        source: the file.
        key: of the list.
        entries: its content.
        name: the key under which an entry names its file.

    Raises:
        DataError: as of `trapline.tables.reject`.
    """
    good, wrong = [], []
    for number, entry in enumerate(entries):
        if isinstance(entry, dict) and isinstance(entry.get(name), str):
            good.append((number, entry))
        else:
            wrong.append(RejectedRow(f"{source.name} {key}[{number}]", f"has no '{name}'"))
    reject(wrong, len(wrong), of=len(entries))
    return good


AnswerFunction = Callable[..., ToolAnswers]


@dataclass(frozen=True)
class AnswerReader:
    """One tool's form.

    Attributes:
        name: what `--format` calls it.
        description: one line for people.
        function: from the file's path and the reader's own options to answers.
        recognise: why a file is of this form, in a few words; None if it is not.
        options: the reader's own.
    """

    name: str
    description: str
    function: AnswerFunction
    recognise: Callable[[Path], str | None]
    options: tuple[Option, ...]


ANSWER_READERS: Registry[AnswerReader] = Registry("reader of answers", "trapline.answers", besides="auto")
"""Every reader of answers by its name, in the order in which `auto` asks."""

_TAKEN = {"source", "catalog", "format", "rename", "encoding", "strict", "output", "force", "json"}


def answer_reader(
    name: str, *, recognise: Callable[[Path], str | None]
) -> Callable[[AnswerFunction], AnswerFunction]:
    """Register a function as the reader of a tool's answers; its keyword-only parameters are the options.

    Args:
        name: what `--format` calls it.
        recognise: why a file is of this form; None if it is not. It reads as little as it can.
    """

    def register(function: AnswerFunction) -> AnswerFunction:
        own = options_of(function, f"reader of answers '{name}'", "source", _TAKEN)
        description = (inspect.getdoc(function) or "").split("\n")[0]
        ANSWER_READERS.add(name, AnswerReader(name, description, function, recognise, own), function)
        return function

    return register


@dataclass(frozen=True)
class ForeignPredictions:
    """Another tool's answers as predictions, and what is to be said of how they were read.

    Attributes:
        predictions: a row a media of the catalog.
        format: which reader read them, and
        why: it was taken.
        notes: in sentences for people.
    """

    predictions: Predictions
    format: str
    why: str
    notes: tuple[str, ...]


def read_answers(
    source: Path | str,
    catalog: Catalog,
    *,
    format: str = "auto",
    rename: Path | str | None = None,
    encoding: str | None = None,
    strict: bool = False,
    **options: Any,
) -> ForeignPredictions:
    """Read another tool's answers for the media of a catalog.

    Every media of the catalog has a row: one that the file does not name, or for which the tool has no
    answer, is `failed` and says why. Labels that differ from one of the catalog in case, blanks and
    underscores only are that one, and words for nothing (`empty`), as in the tables of labels, are `blank`.

    Args:
        source: the file.
        catalog: the media; names are matched by `trapline.formats.naming.match_names`.
        format: of `ANSWER_READERS`, or `auto` to recognise it.
        rename: a CSV with the columns `from` and `to`: the tool's label, and that of the catalog; several
            that become one are added up.
        encoding: of a table.
        strict: refuse entries that cannot be used, which else fail alone.
        **options: the reader's own.

    Raises:
        DataError: the file is missing, of no known form, or names no media of the catalog.
        UsageError: there is no such reader, or it has no such option.
    """
    source = Path(source)
    if not source.is_file():
        raise DataError(f"There is no file {source}.")
    chosen, why = _choose(source, format)
    others = {name: other.options for name, other in ANSWER_READERS.items()}
    check_options(options, chosen.options, f"The reader of answers '{chosen.name}'", others)
    with ANSWER_READERS.naming_guests(chosen.name), open_reading(Reading(encoding, (), strict)) as reading:
        answers = chosen.function(source, **options)
        words = {} if rename is None else _read_renaming(Path(rename))
    if not answers.labels:
        why_none = next((reason for reason in answers.reasons if reason), "it has no entries")
        raise DataError(f"{source} has no answer for any media: {why_none}.")
    answers, notes = _rename(answers, words, catalog.labels)
    try:
        check_labels(answers.labels, "media")
    except DataError as error:
        raise DataError(f"{source}: {error} Give them other names with --rename.") from error
    predictions, more = _lay_out(answers, source, catalog, strict)
    return ForeignPredictions(
        predictions,
        chosen.name,
        why,
        (*answers.notes, *reading.notes, *reading.describe_rejected(), *notes, *more),
    )


def _choose(source: Path, format: str) -> tuple[AnswerReader, str]:
    if format != "auto":
        return ANSWER_READERS.find(format), "it was asked for"
    for reader in ANSWER_READERS.values():
        if (why := reader.recognise(source)) is not None:
            return reader, why
    raise DataError(
        f"{source} is of no form of answers that Trapline recognises.{what_to_do(source)} "
        f"Name one with --format: {', '.join(ANSWER_READERS)} (a table whose column of files is called "
        "otherwise: --format table --column NAME)."
    )


def _read_renaming(path: Path) -> dict[str, str]:
    table = read_table(path)
    refuse_missing_columns(path, table.columns, ["from", "to"])
    pairs = table.select("from", "to").drop_nulls().unique()
    twice = pairs.filter(pl.col("from").is_duplicated()).sort("from", "to")
    if twice.height:
        raise DataError(
            f"{path.name} says two things of '{twice['from'][0]}': {' and '.join(twice['to'][:2])}."
        )
    return dict(pairs.iter_rows())


def _rename(
    answers: ToolAnswers, words: Mapping[str, str], known: Sequence[str]
) -> tuple[ToolAnswers, list[str]]:
    """The answers under other labels: those named by the user, then those spelt otherwise in the catalog."""
    strange = sorted(set(words) - set(answers.labels))
    if len(strange) == len(words) and words:
        raise UsageError(
            f"None of the labels to be renamed is one of the tool's: {', '.join(strange[:5])}. It has: "
            f"{', '.join(answers.labels[:20])}."
        )
    spelt: dict[str, list[str]] = {}
    for label in known:
        spelt.setdefault(plain(label), []).append(label)
    target = {}
    for label in answers.labels:
        called = words.get(label, label)
        alike = spelt.get(plain(called), [])
        blank = not alike and label not in words and called.casefold() in BLANK_WORDS
        target[label] = alike[0] if len(alike) == 1 else BLANK if blank else called
    labels = tuple(sorted(set(target.values())))
    to = np.array([labels.index(target[label]) for label in answers.labels], np.int64)
    values = np.zeros((len(answers.names), len(labels)))
    add = np.add if answers.task == "single-label" else np.maximum
    for column, index in enumerate(to):
        values[:, index] = add(values[:, index], answers.probabilities[:, column])
    changed = [f"{old} → {new}" for old, new in target.items() if old != new and old not in words]
    notes = [f"labels spelt as in the catalog: {', '.join(changed[:8])}{', …' if changed[8:] else ''}"]
    return replace(answers, labels=labels, probabilities=values), notes if changed else []


def _lay_out(
    answers: ToolAnswers, source: Path, catalog: Catalog, strict: bool
) -> tuple[Predictions, list[str]]:
    """A row for every media of the catalog."""
    values, reasons = answers.probabilities.copy(), list(answers.reasons)
    odd = _refuse_what_is_no_probability(answers, values, reasons)
    if odd and strict:
        raise DataError(f"{source}: {odd[0]} ({len(odd)} such entries).")
    if answers.task == "single-label":  # rounded, they add up nearly
        total = np.nan_to_num(values.sum(axis=1, keepdims=True), nan=1.0)
        values /= total if answers.kept is None else np.maximum(total, 1)
    values = values.clip(0, 1)
    paths, ids = catalog.table["file_path"].to_list(), catalog.table["media_id"].to_list()
    entry_of = _match(answers, paths, ids, source, values)
    chosen = np.array([entry_of.get(row, -1) for row in range(len(paths))], np.int64)
    given = chosen >= 0
    rows = np.full((len(paths), len(answers.labels)), np.nan, np.float32)
    rows[given] = values[chosen[given]]
    ok = np.asarray(~np.isnan(rows).any(axis=1))
    why = [reasons[entry] if entry >= 0 else f"{source.name} does not name it" for entry in chosen.tolist()]
    fixed = catalog.table.select("media_id", "event_id", "file_path").with_columns(
        box=pl.lit(None, pl.Int64),
        status=pl.Series(np.where(ok, "ok", "failed").tolist()),
        reason=pl.Series(why, dtype=pl.String),
    )
    columns = [
        pl.Series(label, rows[:, index], pl.Float32).fill_nan(None)
        for index, label in enumerate(answers.labels)
    ]
    answers = replace(answers, kept=_told_of_each(answers, rows[ok]))
    facts = PredictionFacts(
        model_name=answers.tool,
        calibration="not known: the answers are another tool's",
        source=f"{source.name}, for {catalog.source}",
        kept=answers.kept,
    )
    table = fixed.select(list(fixed_columns("media"))).hstack(columns)
    model = content_hash(source)
    predictions = Predictions(table, answers.labels, "media", model, answers.task, facts, catalog)
    return predictions, _describe(answers, odd, len(entry_of), catalog, ok)


def _told_of_each(answers: ToolAnswers, rows: npt.NDArray[np.float32]) -> int | None:
    """How many labels are told of in every media, but for those where the told ones are all of 1."""
    if answers.kept is None:
        return None
    told = (rows > 0).sum(axis=1)[rows.sum(axis=1) < 1 - _ROUNDED]
    return int(max(1, min(answers.kept, told.min(initial=answers.kept))))


def _refuse_what_is_no_probability(
    answers: ToolAnswers, values: npt.NDArray[np.float64], reasons: list[str | None]
) -> list[str]:
    """Set aside entries whose numbers are none, are outside 0 to 1, or are not shares of 1."""
    odd = []
    outside = np.asarray(((values < 0) | (values > 1 + _ROUNDED)).any(axis=1))
    missing = np.isnan(values)
    partly = np.asarray(missing.any(axis=1) & ~missing.all(axis=1))
    total = np.asarray(values.sum(axis=1))
    off = (total > 1 + _ROUNDED) | ((total < 1 - _ROUNDED) & (answers.kept is None))
    off &= answers.task == "single-label"
    for number in np.flatnonzero(outside | off | partly).tolist():
        if outside[number]:
            reason = reasons[number] or "a probability is below 0 or above 1"
        elif partly[number]:
            reason = "a probability is missing"
        else:
            reason = f"its probabilities add up to {total[number]:.3g}"
        odd.append(f"{answers.entry(number)} ({answers.names[number]}): {reason}")
        values[number], reasons[number] = np.nan, reason
    return odd


def _match(
    answers: ToolAnswers,
    paths: Sequence[str],
    ids: Sequence[str],
    source: Path,
    values: npt.NDArray[np.float64],
) -> dict[int, int]:
    """Row of the catalog → entry: by its id where all names, or most and not one end of a path, are ids;
    else by its path.

    Of several entries of one media that which has an answer counts; two answers must be the same.
    """
    row_of_id = {media_id: row for row, media_id in enumerate(ids)}
    if _are_ids(answers.names, row_of_id, paths):
        rows: list[int | None] = [row_of_id.get(name) for name in answers.names]
    else:
        rows = match_names(paths, answers.names, source, answers.entry)
    answered = ~np.asarray(np.isnan(values).all(axis=1))
    entry_of: dict[int, int] = {}
    for number, row in enumerate(rows):
        if row is None:
            continue
        before = entry_of.get(row)
        if before is None or not answered[before]:
            entry_of[row] = number
        elif answered[number] and not np.allclose(values[number], values[before], atol=1e-6):
            raise DataError(
                f"{source}: {answers.entry(before)} and {answers.entry(number)} answer "
                f"{answers.names[number]} in two ways. Keep the one that holds."
            )
    return entry_of


def _are_ids(names: Sequence[str], row_of_id: Mapping[str, int], paths: Sequence[str]) -> bool:
    known = sum(name in row_of_id for name in names)
    if not known or known == len(names):
        return known > 0
    files = {path.rsplit("/", 1)[-1].casefold() for path in paths}
    return 2 * known > len(names) and not any(
        re.split(r"[/\\]", name)[-1].casefold() in files for name in names
    )


def _describe(
    answers: ToolAnswers, odd: Sequence[str], matched: int, catalog: Catalog, ok: npt.NDArray[np.bool_]
) -> list[str]:
    from trapline.images import is_video

    notes = []
    strangers = len(set(answers.names)) - matched
    if strangers > 0:
        videos = sum(map(is_video, set(answers.names)))
        of_them = f", {videos:,} of them videos" if videos else ""
        notes.append(f"it names {many(strangers, 'file that is')} not in the catalog{of_them}")
    if matched < len(catalog):
        notes.append(f"{len(catalog) - matched:,} media of the catalog are not in it: they are failed")
    if odd:
        notes.append(f"{many(len(odd), 'entry cannot be used and is')} failed: {odd[0]}")
    if answers.kept is not None:
        labels = "label" if answers.kept == 1 else many(answers.kept, "label")
        notes.append(
            f"it tells of the surest {labels} only: what needs the probability of every label (log loss, "
            "Brier score, areas under curves) is not computed on it"
        )
    elsewhere = [label for label in catalog.labels if label not in answers.labels and label != BLANK]
    if elsewhere and ok.any():
        notes.append(
            f"labels of the catalog that are not among its answers: {', '.join(elsewhere[:8])}"
            f"{', …' if elsewhere[8:] else ''} (--rename says which are the same)"
        )
    return notes
