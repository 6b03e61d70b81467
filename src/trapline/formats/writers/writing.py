"""The writers by name, and the way into any of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from trapline.catalog import Catalog, as_listed, describe_impossible_times
from trapline.errors import UsageError
from trapline.formats.writers.detected import is_sure, kind_of
from trapline.options import Option, check_options, options_of
from trapline.prediction import Predictions, Ranks
from trapline.registry import Registry
from trapline.storage import replace_whole
from trapline.taxonomy import KINDS, Kind, Label, Taxonomy, default_kind, plain

_ALL_ALIKE: tuple[Kind, ...] = ("blank", "human", "vehicle")
"""Kinds whose only label means the whole kind, whatever it is called ("hunter")."""


@dataclass(frozen=True)
class Job:
    """What is to be written, and where.

    Attributes:
        predictions: what the model said.
        catalog: the media that it said it of.
        taxonomy: has exactly the labels of the predictions; None if none was given.
        output: the file or folder to write.
        force: what exists at the output may be replaced.
    """

    predictions: Predictions
    catalog: Catalog
    taxonomy: Taxonomy | None
    output: Path
    force: bool = False

    @property
    def classifier(self) -> str:
        """The model's name and fingerprint: who says so."""
        name = self.predictions.facts.model_name or "Trapline model"
        return f"{name} ({self.predictions.model})"

    @property
    def detector(self) -> str | None:
        """What found the boxes of the catalog, where it is known."""
        boxes = self.catalog.facts.boxes
        return None if boxes is None else boxes.detector or None

    def label(self, name: str) -> Label:
        """What a label, or a rolled-up answer, stands for; without a taxonomy its name decides."""
        if self.taxonomy is None:
            return Label(name, default_kind(name) or "animal")
        if name in self.taxonomy.labels:
            return self.taxonomy.labels[name]
        for kind in KINDS:
            if name == kind:
                return Label(name, kind)
        return self.taxonomy.for_labels([name]).labels[name]

    @cached_property
    def rolled_up(self) -> Sequence[tuple[str | None, float]] | None:
        """The answer and its probability in each row, of a model of taxa; None of other models.

        The answer is called what a label is where that says the same (see `_labels_that_say`).
        """
        ranks = Ranks.of_facts(self.predictions.labels, self.predictions.facts)
        if ranks is None:
            return None
        ranked = ranks.answers(self.predictions.probabilities())
        named = _labels_that_say(ranks.taxonomy, self.predictions.labels)
        answers = [None if name is None else named.get(name, name) for name in ranked.answers]
        return list(zip(answers, ranked.probabilities.tolist(), strict=True))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """What the model's answers may be called: the labels, then those rolled-up answers that are none."""
        extra = {name for name, _ in self.rolled_up or () if name is not None}
        return (*self.predictions.labels, *sorted(extra - set(self.predictions.labels)))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What an answer may be called: the model's classes, then people and vehicles of the detector."""
        extra = {self.detected_name(kind) for kind in self.detected_kinds}
        return (*self.classes, *sorted(extra - set(self.classes)))

    @cached_property
    def detected_kinds(self) -> frozenset[Kind]:
        """The kinds but animals that the detector is sure to have found; none but in predictions of boxes."""
        if self.predictions.level != "box":
            return frozenset()
        boxes_of_media = (box for boxes in self.catalog.table["boxes"].to_list() for box in boxes or ())
        kinds = {kind_of(box) for box in boxes_of_media if is_sure(box)}
        return frozenset(kind for kind in kinds if kind is not None and kind != "animal")

    def detected_name(self, kind: Kind) -> str:
        """What the detector's people or vehicles are called: like the one label of the kind, else like it."""
        labels = [label for label in self.predictions.labels if self.kind(label) == kind]
        alike = [label for label in labels if plain(label) == kind]
        return (alike or labels)[0] if alike or len(labels) == 1 else kind

    def kind(self, name: str) -> Kind:
        """The kind of a label; without a taxonomy anything that is not `blank`, … is an animal."""
        return self.label(name).kind

    def scientific_name(self, name: str) -> str | None:
        """The taxon of a label or answer, where there is a taxonomy and it has one."""
        return None if self.taxonomy is None else self.label(name).taxon


def _labels_that_say(taxonomy: Taxonomy, names: Sequence[str]) -> dict[str, str]:
    """Taxon or kind → the label that says neither less nor more than it.

    Of a kind that is a label without a taxon called like it ("empty"), or the kind's only label; the only
    label of an animal without a taxon ("unknown bird") still says more than `animal`.
    """
    label_of: dict[str, str] = {}
    for name in reversed(names):
        if (taxon := taxonomy.labels[name].taxon) is not None:
            label_of[taxon] = name
    for kind in KINDS:
        own = [name for name in names if taxonomy.kind(name) == kind]
        alike = [name for name in own if kind in (plain(name), default_kind(name))]
        only = own if len(own) == 1 and kind in _ALL_ALIKE else []
        for name in [*alike, *only][:1]:
            if taxonomy.labels[name].taxon is None:
                label_of[kind] = name
    return label_of


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
    """

    name: str
    description: str
    function: WriteFunction
    options: tuple[Option, ...]
    loses: tuple[str, ...]
    into: Into
    endings: tuple[str, ...] = ()


WRITERS: Registry[Writer] = Registry("writer", "trapline.writers")
"""Every writer by its name."""


def writer(
    name: str, *, loses: Sequence[str], into: Into = "file", endings: Sequence[str] = ()
) -> Callable[[WriteFunction], WriteFunction]:
    """Register a function as the writer of a format; its keyword-only parameters are the options.

    Args:
        name: what `--format` calls it.
        loses: what every file of this format lacks, in words; empty if nothing.
        into: see `Writer`.
        endings: that the output's name may have (`.json`), so that no file is called what it is not.

    Raises:
        UsageError: the name is taken, or the function is no writer; what is expected is said.
    """
    taken = {"predictions", "catalog", "output", "format", "taxonomy", "force"}

    def register(function: WriteFunction) -> WriteFunction:
        own = options_of(function, f"writer '{name}'", "job", taken)
        if into not in get_args(Into):
            raise UsageError(f"The writer '{name}' is into {' or '.join(get_args(Into))}, not '{into}'.")
        description = (inspect.getdoc(function) or "").split("\n")[0]
        entry = Writer(name, description, function, own, tuple(loses), into, tuple(endings))
        WRITERS.add(name, entry, function)
        return function

    return register


def write(
    predictions: Predictions,
    catalog: Catalog,
    output: Path | str,
    *,
    format: str,
    taxonomy: Taxonomy | None = None,
    force: bool = False,
    **options: Any,
) -> WriteReport:
    """Write predictions in a format that other tools read.

    Args:
        predictions: what a model said, of media, boxes or events.
        catalog: the catalog that it was said of; it knows locations, times and boxes.
        output: the file, or for some formats the folder, to write.
        format: the name of a writer in `WRITERS`.
        taxonomy: what the labels stand for; looked up by name; None for what the predictions of a model of
            taxa say themselves. Some formats cannot do without.
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
    tree = predictions.facts.taxonomy
    if taxonomy is None and tree is not None:
        taxonomy = Taxonomy.from_json(tree.as_json(), "The taxonomy of the predictions")
    known = None if taxonomy is None else taxonomy.for_labels(predictions.labels)
    job = Job(predictions.without_skipped(), catalog, known, output, force)
    with WRITERS.naming_guests(chosen.name):
        done = chosen.function(job, **options)
        if not isinstance(done, Written):
            raise TypeError(f"it gave a {type(done).__name__} and not what was Written")
    notes = [*done.notes, *_notes_of_catalog(catalog)]
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
