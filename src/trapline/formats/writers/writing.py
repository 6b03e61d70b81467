"""The writers by name, and the way into any of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from trapline.catalog import Catalog, as_listed, describe_impossible_times
from trapline.errors import UsageError
from trapline.models import name_few_locations
from trapline.observations import Sources, describe_thresholds, gather
from trapline.options import Option, check_options, options_of
from trapline.prediction import PredictionFacts, Predictions
from trapline.registry import Registry
from trapline.storage import replace_whole
from trapline.taxonomy import Taxonomy


@dataclass(frozen=True, kw_only=True)
class Job(Sources):
    """What is to be written, and where: what people, a model and a detector say of the media of a catalog.

    `observe(threshold)` is all of it, as one table; `predictions` refuses a catalog alone.

    Attributes:
        output: the file or folder to write.
        force: what exists at the output may be replaced.
    """

    output: Path
    force: bool = False


@dataclass(frozen=True)
class WriteReport:
    """What was written, and what could not be.

    Attributes:
        format: the writer's name.
        output: the file or folder.
        rows: how many of `unit` were written.
        unit: what a row is ("images", "observations").
        lost: what the format cannot carry, and what was therefore left out, in words.
        notes: what else a person should know.
        files: every file written, relative to a folder `output`, or its name.
        failed: photos that could not be written, each with its reason.
    """

    format: str
    output: Path
    rows: int
    unit: str
    lost: tuple[str, ...]
    notes: tuple[str, ...]
    files: tuple[str, ...]
    failed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The report, JSON-able."""
        return asdict(self) | {"output": self.output.as_posix()}


@dataclass
class Written:
    """What a writer did; `write` makes the report of it."""

    rows: int
    unit: str
    lost: list[str]
    notes: list[str]
    files: list[str]
    failed: list[str] = field(default_factory=list)


WriteFunction = Callable[..., Written]


Into = Literal["file", "folder", "shared"]


@dataclass(frozen=True)
class Writer:
    """One foreign format.

    Attributes:
        name: what `--format` calls it.
        description: one line for people.
        function: from a job and the writer's own options to what was written.
        options: the writer's own.
        loses: what every file of this format lacks, in words.
        into: the output is a `file`, a `folder` of its own, or a `shared` folder that may hold more.
        endings: that the name of a file may have, lower case; empty for any.
        opened_by: the programs that open it, by which people look for it.
    """

    name: str
    description: str
    function: WriteFunction
    options: tuple[Option, ...]
    loses: tuple[str, ...]
    into: Into
    endings: tuple[str, ...] = ()
    opened_by: tuple[str, ...] = ()


WRITERS: Registry[Writer] = Registry("writer", "trapline.writers")
"""Every writer by its name."""


def writer(
    name: str,
    *,
    loses: Sequence[str],
    into: Into = "file",
    endings: Sequence[str] = (),
    opened_by: Sequence[str] = (),
) -> Callable[[WriteFunction], WriteFunction]:
    """Register a function as the writer of a format; its keyword-only parameters are the options.

    Args:
        name: what `--format` calls it.
        loses: what every file of this format lacks, in words; empty if nothing.
        into: see `Writer`.
        endings: that the output's name may have (`.json`), so that no file is called what it is not.
        opened_by: the programs that open it ("Timelapse"): help and errors name them.

    Raises:
        UsageError: the name is taken, or the function is no writer; what is expected is said.
    """
    taken = {"predictions", "catalog", "output", "format", "taxonomy", "force"}
    taken |= {"observers", "min_conf", "labelled_by"}

    def register(function: WriteFunction) -> WriteFunction:
        own = options_of(function, f"writer '{name}'", "job", taken)
        if into not in get_args(Into):
            raise UsageError(f"The writer '{name}' is into {' or '.join(get_args(Into))}, not '{into}'.")
        description = (inspect.getdoc(function) or "").split("\n")[0]
        entry = Writer(name, description, function, own, tuple(loses), into, tuple(endings), tuple(opened_by))
        WRITERS.add(name, entry, function, opened_by)
        return function

    return register


def write(
    predictions: Predictions | None,
    catalog: Catalog,
    output: Path | str,
    *,
    format: str,
    taxonomy: Taxonomy | None = None,
    observers: Sequence[str] | None = None,
    min_conf: float | None = None,
    labelled_by: str | None = None,
    thresholds: Path | str | Mapping[str, float] | None = None,
    force: bool = False,
    **options: Any,
) -> WriteReport:
    """Write what is said of media in a format that other tools read.

    Args:
        predictions: what a model said, of media, boxes or events; None for what the catalog says alone.
        catalog: the catalog that it was said of; it knows locations, times, labels and boxes.
        output: the file, or for some formats the folder, to write.
        format: the name of a writer in `WRITERS`.
        taxonomy: what the labels stand for; looked up by name; None for what the predictions of a model of
            taxa say themselves. Some formats cannot do without.
        observers: whose word counts: `human`, `model`, `detector`; None for all that there are.
        min_conf: the confidence from which a detector's box counts; None for 0.2.
        labelled_by: the name of who gave the catalog's labels.
        thresholds: of the model's labels or ranks: the table of `evaluate --thresholds`, or by their names.
        force: replace what exists at `output`.
        **options: the writer's own (`threshold`, …).

    Raises:
        UsageError: there is no such writer or option, the output exists, or something that the format
            requires was not given; the message says what.
        DataError: the predictions are not of this catalog, or a file is wrong.
    """
    chosen = WRITERS.find(format)
    others = {name: other.options for name, other in WRITERS.items()}
    check_options(options, chosen.options, f"The format '{chosen.name}'", others)
    output = Path(output)
    if chosen.into != "shared" and output.exists() and not force:
        raise UsageError(f"{output} exists. Name another output, or overwrite it with --force.")
    if chosen.into != "file" and output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file; the format {chosen.name} is written into a folder.")
    if chosen.endings and output.suffix.lower() not in chosen.endings:
        raise UsageError(
            f"The format {chosen.name} is written as {' or '.join(chosen.endings)}, not as '{output.name}'."
        )
    if chosen.into == "file" and output.is_dir():
        raise UsageError(f"{output} is a folder; the format {chosen.name} is one file.")
    sources = gather(
        predictions,
        catalog,
        taxonomy=taxonomy,
        observers=observers,
        min_conf=min_conf,
        labelled_by=labelled_by,
        thresholds=thresholds,
    )
    parts = {one.name: getattr(sources, one.name) for one in fields(sources)}
    job = Job(**parts, output=output, force=force)
    with WRITERS.naming_guests(chosen.name):
        done = chosen.function(job, **options)
        if not isinstance(done, Written):
            raise TypeError(f"it gave a {type(done).__name__} and not what was Written")
    one_for_all = options.get("threshold") is not None
    own = [] if one_for_all else describe_thresholds(job.thresholds, job.predicted)
    told = (
        [] if predictions is None or "model" not in sources.observers else _few_locations(predictions.facts)
    )
    notes = [*told, *own, *done.notes, *_notes_of_catalog(catalog)]
    return WriteReport(
        chosen.name,
        output,
        done.rows,
        done.unit,
        (*chosen.loses, *done.lost),
        tuple(notes),
        tuple(done.files),
        tuple(done.failed),
    )


def _few_locations(facts: PredictionFacts) -> list[str]:
    """What must be known first of models measured at few locations, shortly: `predict` said it whole."""
    told = dict.fromkeys(name_few_locations(one) for one in facts.models_measured_at)
    return [sentence for sentence in told if sentence]


def _notes_of_catalog(catalog: Catalog) -> list[str]:
    """What is said of the catalog whatever the format."""
    videos = catalog.facts.videos
    return [
        *([] if videos is None else [videos.describe()]),
        *describe_impossible_times(catalog.table["camera_time"]),
    ]


def put(path: Path, content: str | bytes) -> Path:
    """Write a file whole or not at all; in text bytes of names that are no UTF-8 as tables have them."""
    with replace_whole(path) as partial:
        partial.write_bytes(content if isinstance(content, bytes) else as_listed(content).encode())
    return path
