"""The predictions table: one row a media, box or event; every input has a row.

The methods that lead to a room further right are functions of `trapline.api` with the noun first; that import
is a declared exception to "data goes one way", and they hold nothing of their own.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, get_args

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.io.plugins import register_io_source

from trapline.addresses import address_of
from trapline.arguments import Count, Output, checked
from trapline.catalog import (
    BOX,
    Catalog,
    find_folder,
    for_polars,
    is_utf8,
    read_parquet,
    refuse_other_folder,
    write_folder,
)
from trapline.errors import DataError, UsageError, kind_of, many
from trapline.notebook import as_html
from trapline.prediction.facts import PredictionFacts
from trapline.prediction.ranks import Ranks
from trapline.prediction.summary import Tally
from trapline.storage import AnyPath, RemotePath, as_any_path, fetch, replace_text, replace_whole, sync_folder
from trapline.tables import (
    MISSING,
    Reading,
    open_reading,
    read_numbers,
    read_table,
    reject_rows,
)

if TYPE_CHECKING:
    from trapline import api

Level = Literal["media", "box", "event"]
Task = Literal["single-label", "multi-label"]

ROW_GROUP = 8192
"""Rows of a Parquet row group: what writing a table holds in memory."""

FOLDER_HEADER = "_trapline_predictions.json"
"""What says in a folder of Parquet files what is known of the whole table."""

_ROUNDED = 1e-3
"""By how much the probabilities of a row may not add up to 1."""

_MOST_OF_A_HEADER = 256 * 2**20
"""Bytes of a file that may be the header of a table; a taxonomy of many thousand labels is a hundredth."""

FIXED: dict[str, pl.DataType] = {
    "media_id": pl.String(),
    "event_id": pl.String(),
    "box": pl.Int64(),
    "file_path": pl.String(),
    "status": pl.String(),
    "reason": pl.String(),
}
"""The columns before the labels. `status` is `ok`, `failed` or `skipped` (the model was not
asked, or is not listened to: a box of a person, a photo without an animal); `reason` says why, or
what was odd about an `ok` row ("truncated: lower part missing"). `media_id` and `file_path` are null in rows
of level event, `box` is null but in rows of level box."""

BOX_COLUMNS: dict[str, pl.DataType] = dict(pl.Schema({**BOX.to_schema(), "crop": pl.String()}))
"""What predictions of level box have between `FIXED` and the labels: the catalog's box, and what was seen.

There is a row for each box of a media (`box` is its index in the catalog's list, `crop` is `box`); one that
the model's card does not let through (a person, a low confidence) is `skipped`, says why, and its `crop` is
null. A media of which no box is let through has one more row, for the full frame, as at level media: `box`
and the box's columns are null, and `crop` says why: `full frame: no detector was run`, `full frame: nothing
was detected` or `full frame: no box is let through`. So every media has at least one row that is `ok` or
`failed`."""


def fixed_columns(level: Level) -> dict[str, pl.DataType]:
    """The columns before the labels at a level, and their types."""
    return FIXED | BOX_COLUMNS if level == "box" else dict(FIXED)


def probability_columns(labels: Sequence[str], numbers: npt.NDArray[Any]) -> list[pl.Series]:
    """A column a label of numbers [N, labels], float32; null where there is no number."""
    frame = pl.from_numpy(numbers.astype(np.float32, copy=False), list(labels), orient="row")
    return frame.with_columns(pl.all().fill_nan(None)).get_columns()


def check_labels(labels: Sequence[str], level: Level) -> None:
    """Refuse labels that are called like a column of the table.

    Raises:
        DataError: which are.
    """
    clash = set(labels) & set(fixed_columns(level))
    if clash:
        raise DataError(f"Labels may not be named like a column of the predictions: {sorted(clash)}.")


def _cut(names: Sequence[str], most: int = 500) -> str:
    """Names as a message can bear them."""
    text = ", ".join(names)
    return text if len(text) <= most else f"{text[:most]}… ({len(names)} in all)"


@dataclass(frozen=True, eq=False)  # as tables are: none has a truth of `==`
class Predictions:
    """Probabilities from one model file for a list of inputs, in the order of the inputs.

    `ModelFile.predict` makes them. They know their catalog:

    >>> import trapline
    >>> catalog = trapline.Catalog.load("photos.parquet")
    >>> model = trapline.ModelFile("runs/head/model.onnx")
    >>> predictions = model.predict(catalog, "test.parquet", part="test")
    >>> predictions.summary().failed
    0
    >>> evaluation = predictions.evaluate(output="report.html")
    >>> 0 <= evaluation.metrics["accuracy"].value <= 1
    True
    >>> events = predictions.pool("event")               # one answer a visit
    >>> events.write("summary", "species.csv").unit
    'rows'

    Loaded ones are told it; every input has a row, and one that could not be read says why:

    >>> loaded = trapline.Predictions.load("test.parquet")
    >>> loaded.pool("event", catalog="photos.parquet").level
    'event'
    >>> " ".join(loaded.table.columns[:6])
    'media_id event_id box file_path status reason'
    >>> loaded.probabilities().shape[1] == len(loaded.labels)
    True

    Attributes:
        table: the columns of `fixed_columns`, then float32 labels, null where `status` is not `ok`.
        labels: the label names, in the model's order.
        level: what a row stands for.
        model: the model file's fingerprint.
        task: `single-label` (rows sum to 1) or `multi-label`.
        facts: what is known of the whole: the model's name, on what it was calibrated, options of the run.
        catalog: of the media; None where a file was read that does not hold it.
    """

    table: pl.DataFrame
    labels: tuple[str, ...]
    level: Level
    model: str
    task: Task
    facts: PredictionFacts = field(default_factory=PredictionFacts)
    catalog: Catalog | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        fixed = fixed_columns(self.level)
        check_labels(self.labels, self.level)
        expected = [*fixed, *self.labels]
        if self.table.columns != expected:
            raise DataError(f"Predictions need the columns {_cut(expected)}; got {_cut(self.table.columns)}.")

    def __len__(self) -> int:
        return self.table.height

    @property
    def ok(self) -> pl.DataFrame:
        """The rows that have probabilities."""
        return self.table.filter(pl.col("status") == "ok")

    @property
    def failed(self) -> pl.DataFrame:
        """The rows that have none, with their reasons."""
        return self.table.filter(pl.col("status") == "failed")

    def without_skipped(self) -> Predictions:
        """The same without the boxes that the model was not asked about."""
        return replace(self, table=self.table.filter(pl.col("status") != "skipped"))

    def narrowed(self, catalog: Catalog) -> Predictions:
        """Those of the media, or events, that a catalog has."""
        key = "event_id" if self.level == "event" else "media_id"
        known = catalog.table[key].drop_nulls().implode()
        return replace(self, table=self.table.filter(pl.col(key).is_in(known)), catalog=catalog)

    def probabilities(self) -> npt.NDArray[np.float64]:
        """float64 [rows, labels]; NaN where `status` is not `ok`."""
        numbers = self.table[list(self.labels)]  # by name: to `pl.col` a label `*` is every column
        return numbers.cast(pl.Float64).fill_null(float("nan")).to_numpy()

    def _repr_html_(self) -> str:
        counts = self.summary()
        things = {"media": "media", "box": "boxes and full frames", "event": "events"}[self.level]
        rows = [
            (f"{things} predicted", counts.ok),
            ("failed", counts.failed or ""),
            *((f"most probable: {label}", number) for label, number in counts.top_labels.items()),
        ]
        name = self.facts.model_name or "a model"
        return as_html(f"Predictions of {name}", rows, f"{many(len(self.labels), 'label')}, {self.task}")

    def summary(self) -> api.Summary:
        """Counts of the most probable labels, of failures and of warnings."""
        tally = Tally(self.labels)
        tally.add(self.table)
        return tally.summary()

    def pool(
        self,
        rows: api.Rows = "media",
        *,
        catalog: api.CatalogLike | None = None,
        **options: Unpack[api.PoolOptions],
    ) -> Predictions:
        """One answer for the media of each event, in rows of `media` or of each `event`; see `api.pool`."""
        from trapline import api

        return api.pool(self, catalog, rows=rows, **options)

    def weigh_by_region(self, species: Path | str, *, unlisted: float = 0.01) -> Predictions:
        """Weighed by what lives where the photos were taken; see `api.weigh_by_region`."""
        from trapline import api

        return api.weigh_by_region(self, species, unlisted=unlisted)

    def evaluate(
        self,
        catalog: api.CatalogLike | None = None,
        output: Path | str | None = None,
        **options: Unpack[api.EvaluateOptions],
    ) -> api.Evaluation:
        """How good they are by the labels of a catalog; see `api.evaluate`."""
        from trapline import api

        return api.evaluate(catalog, self, output, **options)

    def observe(
        self, catalog: api.Media | None = None, **options: Unpack[api.ObserveOptions]
    ) -> api.Observations:
        """What they, people and a detector say of the media; see `api.observe`."""
        from trapline import api

        return api.observe(self, catalog, **options)

    def write(
        self,
        format: str,
        output: Path | str,
        *,
        catalog: api.Media | None = None,
        **options: Unpack[api.WriteOptions],
    ) -> api.WriteReport:
        """Write them for another tool; see `api.write`."""
        from trapline import api

        return api.write(self, catalog, output, format=format, **options)

    def submit(
        self,
        format_path: Path | str,
        output: Path | str = "submission.csv",
        **options: Unpack[api.SubmitOptions],
    ) -> api.Submission:
        """Write them in the rows and columns that a competition wants; see `api.submit`."""
        from trapline import api

        return api.submit(self, format_path, output, **options)

    def header(self) -> dict[str, Any]:
        """What is stored beside the table: everything but the table, JSON-able."""
        return {
            "format_version": "1",
            "labels": list(self.labels),
            "level": self.level,
            "model": self.model,
            "task": self.task,
            "info": self.facts.as_json(),
        }

    @checked
    def save(self, path: Output, *, rows_per_file: Count | None = None) -> Path:
        """Write Parquet (header in its metadata) or CSV (header in `<path>.json` beside it).

        Args:
            path: of the file, or of the folder.
            rows_per_file: write a folder of Parquet files of so many rows each instead, in their order.

        Raises:
            UsageError: another suffix, or something else lies where the folder would.
            DataError: the disk is full or not writable.
        """
        return write_table(self, self.table.lazy(), path, rows_per_file)

    @classmethod
    @checked
    def load(cls, path: Path | str) -> Predictions:
        """Read what `save` wrote.

        Raises:
            DataError: missing, not predictions, or a CSV whose `.json` beside it is gone.
        """
        head, rows = scan_table(path)
        with _reading(Path(path)):
            return replace(head, table=rows.collect())

    def check_rows(self, source: str) -> None:
        """Refuse rows that no run leaves: a media twice, another status, numbers that are no probabilities.

        Args:
            source: what is called wrong.

        Raises:
            DataError: with the first such row.
        """
        key = ["event_id"] if self.level == "event" else ["media_id", "box"][: 1 + (self.level == "box")]
        values, ok = pl.col(self.labels), pl.col("status") == "ok"
        outside = pl.any_horizontal(values.is_null() | ~values.is_between(0, 1 + 1e-6))
        total = pl.sum_horizontal(values.cast(pl.Float64))
        off = (total > 1 + _ROUNDED) | ((total < 1 - _ROUNDED) & (self.facts.kept is None))
        states = ["ok", "failed", *(["skipped"] if self.level != "event" else [])]
        wrong = {
            f"no {key[0]}": pl.col(key[0]).is_null(),
            "a row more than once": pl.struct(key).is_duplicated(),
            f"a status that is none of {', '.join(states)}": ~pl.col("status").is_in(states).fill_null(False),
            "a probability that is missing or not from 0 to 1": ok & outside,
            "probabilities that do not add up to 1": ok & off & (self.task == "single-label"),
        }
        for what, rows in wrong.items():
            bad = self.table.filter(rows)
            if bad.height:
                where = bad.select(pl.coalesce(key[0], "file_path", pl.lit("a row"))).item(0, 0)
                raise DataError(
                    f"{source}: {where} has {what} ({bad.height:,} such rows). Was the table edited? Correct "
                    "it, or make it anew with `trapline predict`."
                )


def scan_table(path: Path | str) -> tuple[Predictions, pl.LazyFrame]:
    """What `Predictions.save` wrote: everything but the rows, and the rows, read as they are asked for.

    Of a CSV, which has to be looked through, the rows are in memory.

    Raises:
        DataError: as of `Predictions.load`.
    """
    path = Path(path)
    if not (path.is_file() or path.is_dir()):
        raise DataError(f"There are no predictions at {path}. Make them with `trapline predict`.")
    beside = path.with_name(path.name + ".json")
    in_parts = (path / FOLDER_HEADER).is_file()
    kind = kind_of(path)
    if kind not in (None, "text", "a Parquet table") and not in_parts:
        raise DataError(f"{path} is no table of predictions but {kind}. `trapline predict` makes one.")
    if kind != "a Parquet table" and not in_parts and not beside.is_file():
        raise DataError(
            f"{path} cannot be read as predictions: beside it lies no {beside.name}, which "
            "`trapline predict` writes too and which names the labels. Keep the two together."
        )
    with _reading(path):
        if in_parts:
            stored = find_folder(path, FOLDER_HEADER)
            rows, header = stored.scan(), _check_header(stored.document)
        elif path.suffix.lower() == ".parquet":
            rows, header = _scan_file(path)
        else:
            header = _check_header(json.loads(beside.read_text(encoding="utf-8")))
            rows = _read_csv(path, header).lazy()
        if "taxonomy" in header["info"]:  # what `write_table` added is computed anew
            rows = rows.select(*fixed_columns(header["level"]), *header["labels"])
        schema = rows.collect_schema()
    facts = PredictionFacts.from_json(header["info"], f"{path} cannot be read as predictions of Trapline")
    known = (tuple(header["labels"]), header["level"], header["model"], header["task"], facts)
    head = Predictions(pl.DataFrame(schema=schema), *known)
    if kind != "a Parquet table" and not in_parts:  # a text may have been edited
        replace(head, table=rows.collect()).check_rows(path.name)
    return head, rows


def _scan_file(path: Path) -> tuple[pl.LazyFrame, dict[str, Any]]:
    """The rows and the header of a Parquet file; `ValueError` where it has none of ours."""
    if is_utf8(path):
        rows, metadata = pl.scan_parquet(path, glob=False), pl.read_parquet_metadata(path)
    else:  # an open file Polars would read whole all the same
        table, metadata = read_parquet(path)
        rows = table.lazy()
    if "trapline_predictions" not in metadata:
        catalog = "trapline_catalog" in metadata
        what = "a catalog. Name predictions before it." if catalog else "another Parquet table"
        raise ValueError(f"it is {what}")
    return rows, _check_header(json.loads(metadata["trapline_predictions"]))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Make of what goes wrong in reading a table a `DataError` that names it."""
    try:
        yield
    except (KeyError, ValueError, OSError, RecursionError, csv.Error, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read as predictions of Trapline: {error}") from error
    except pl.exceptions.PanicException as error:  # no Exception: how Polars meets some kinds of damage
        raise DataError(f"{path} cannot be read as predictions of Trapline: it is damaged.") from error


def are_predictions(path: AnyPath | str) -> bool:
    """Whether a file, or a folder of files, is a table of predictions, by its header."""
    path = as_any_path(path)
    if isinstance(path, Path) and path.is_dir():
        return (path / FOLDER_HEADER).is_file()
    if not path.is_file():
        return False
    if isinstance(path, RemotePath):
        path = fetch(path)  # which is read as what it is next
    try:
        return "trapline_predictions" in pl.read_parquet_metadata(path)
    except (OSError, pl.exceptions.PolarsError):
        return _is_header(path.with_name(path.name + ".json"))


def _read_csv(path: Path, header: dict[str, Any]) -> pl.DataFrame:
    """A CSV as it was written; or as a spreadsheet has saved it, with its own separators and signs.

    Raises:
        ValueError: a column is missing.
        DataError: a cell is no number; its line is named.
    """
    fixed = fixed_columns(header["level"])
    types = fixed | dict.fromkeys(header["labels"], pl.Float32())
    names = _columns(path)  # Polars leaves doubled quotes in them
    if names[: len(types)] == list(types) and "" not in names:
        with suppress(pl.exceptions.PolarsError), for_polars(path, "rb") as file:
            table = pl.read_csv(file, schema_overrides=types, new_columns=names)
            if not table["status"].null_count():  # a blank line is a row to Polars
                return table.select(*types)
    with open_reading(Reading(not_missing=MISSING, strict=True)):  # a label may be called NA
        table = read_table(path)
        if missing := [name for name in types if name not in table.columns]:
            raise ValueError(f"it lacks the columns {_cut(missing)}")
        for name, kind in types.items():
            if kind != pl.String():
                numbers = read_numbers(table[name], most=None if name in fixed else 1)
                wrong = table[name].is_not_null() & numbers.is_null()
                table = reject_rows(
                    table, wrong, pl.format("has for '{}' '{}', no number", pl.lit(name), name)
                )
                table = table.with_columns(numbers.cast(kind))
    return table.select(*types)


def _columns(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return next(csv.reader(file), [])
    except UnicodeDecodeError:
        return []


def _check_header(header: Any) -> dict[str, Any]:
    """The header as `Predictions.header` gives it; `ValueError` where it is not."""
    kinds = {"labels": list, "level": str, "model": str, "task": str, "info": dict}
    wrong = [
        name
        for name, kind in kinds.items()
        if not isinstance(header, dict) or not isinstance(header.get(name), kind)
    ]
    if wrong:
        raise ValueError(f"its header lacks {', '.join(wrong)}")
    labels = header["labels"]
    if not all(isinstance(label, str) for label in labels) or len(set(labels)) != len(labels):
        raise ValueError("its header's labels are not names that differ")
    if header["level"] not in get_args(Level) or header["task"] not in get_args(Task):
        raise ValueError(f"its header has the level {header['level']} and the task {header['task']}")
    checked: dict[str, Any] = header
    return checked


def predictions_head(header: Mapping[str, Any], where: str) -> Predictions:
    """Predictions without rows, of what `Predictions.header` gave.

    Raises:
        DataError: it is no such header; `where` says of what.
    """
    try:
        known = _check_header(header)
    except ValueError as error:
        raise DataError(f"{where} cannot be read: {error}.") from error
    labels, level = tuple(known["labels"]), known["level"]
    schema = fixed_columns(level) | dict.fromkeys(labels, pl.Float32())
    facts = PredictionFacts.from_json(known["info"], where)
    return Predictions(pl.DataFrame(schema=schema), labels, level, known["model"], known["task"], facts)


def write_table(
    head: Predictions, rows: pl.LazyFrame, path: Path | str, rows_per_file: int | None = None
) -> Path:
    """Write a table whose rows are not all in memory; it appears under its name when it is whole and on disk.

    Tables of a model of taxa get the columns of `trapline.prediction.ranks` behind the labels.

    Args:
        head: everything but the rows.
        rows: with the columns of `head`.
        path: `.csv` or `.parquet`; of a folder any name.
        rows_per_file: write a folder of Parquet files of so many rows each.

    Raises:
        UsageError: see `check_output`.
        DataError: the disk is full or not writable.
    """
    path = Path(path)
    check_output(path, rows_per_file)
    ranks = Ranks.of_facts(head.labels, head.facts)
    rows = rows if ranks is None else ranks.add_lazily(rows)
    header = json.dumps(head.header(), indent=1)
    try:
        if rows_per_file is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_folder(rows, path, FOLDER_HEADER, head.header(), rows_per_file, row_group_size=ROW_GROUP)
            return path
        parquet = path.suffix.lower() == ".parquet"
        metadata = {"trapline_predictions": header}
        with replace_whole(path) as partial:
            with for_polars(partial, "wb") as file:
                if parquet:
                    rows.sink_parquet(file, metadata=metadata, row_group_size=ROW_GROUP, sync_on_close="all")
                else:
                    rows.sink_csv(file, sync_on_close="all")
            if not parquet:
                replace_text(path.with_name(path.name + ".json"), header)
        sync_folder(path.parent)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{path} cannot be written: {reason}.") from error
    return path


def write_parts(
    head: Predictions, parts: Iterator[pl.DataFrame], path: Path | str, rows_per_file: int | None = None
) -> Path:
    """`write_table` of rows that are made part by part; what goes wrong in making them is raised as it is."""
    rows = register_io_source(lambda *_: parts, schema=head.table.schema)
    return write_table(head, rows, path, rows_per_file)


def write_predicted(
    parts: Iterator[Predictions], path: Path | str, rows_per_file: int | None = None
) -> tuple[PredictionFacts, int]:
    """The same of parts that are tables: what the first knows of the whole, and how many rows were written.

    Raises:
        DataError: there is no part.
    """
    first = next(parts, None)
    if first is None:
        raise DataError("There is nothing to write: the predictions have no rows.")
    rows = 0

    def counted() -> Iterator[pl.DataFrame]:
        nonlocal rows
        for part in chain([first], parts):
            rows += len(part)
            yield part.table

    write_parts(replace(first, table=first.table.clear()), counted(), path, rows_per_file)
    return first.facts, rows


def check_output(path: AnyPath, rows_per_file: int | None = None) -> None:
    """Refuse a path that no table can be written to, before hours of work.

    Raises:
        UsageError: another suffix; see `refuse_foreign_header`; something else lies where a folder would.
    """
    if rows_per_file is not None:
        if isinstance(path, RemotePath) or isinstance(address_of(path), RemotePath):
            raise UsageError(
                "A table in several files is written to a disk, not to an address: leave out --rows-per-file."
            )
        refuse_other_folder(path, FOLDER_HEADER)
        return
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(
            f"Predictions are written as .csv or .parquet, not as '{path.name}'; or as a folder of Parquet "
            "files, with --rows-per-file."
        )
    refuse_foreign_header(path)


def refuse_foreign_header(path: AnyPath) -> None:
    """Refuse a CSV whose `.json` beside it would be written over a file that no table of ours has written.

    Raises:
        UsageError: so it is.
    """
    where = address_of(path) if isinstance(path, Path) else path
    beside = where.with_name(path.name + ".json")
    if path.suffix.lower() == ".csv" and _is_there(beside) and not _is_header(beside):
        raise UsageError(
            f"{beside} exists and was not written by Trapline: the header of {path.name} would take its "
            "place. It is never overwritten, not even with --force: move it away, or name another output "
            "with -o."
        )


def _is_there(path: AnyPath) -> bool:
    return path.is_file() if isinstance(path, RemotePath) else os.path.lexists(path)


def _is_header(path: AnyPath) -> bool:
    """Whether a file is what a table of predictions keeps beside it."""
    try:
        if isinstance(path, RemotePath):
            path = fetch(path, _MOST_OF_A_HEADER)
        if not path.is_file() or path.stat().st_size > _MOST_OF_A_HEADER:
            return False
        _check_header(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return False
    return True
