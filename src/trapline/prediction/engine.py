"""The engine: decode in other processes, run, write down; bounded in memory, and any death costs a batch."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol, TypedDict, Unpack, get_args

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.io.plugins import register_io_source

from trapline.catalog import Catalog, Presence, streamed
from trapline.errors import DataError, TraplineError, TraplineWarning, UsageError, many
from trapline.images import DEFAULT_LIMITS, CropPolicy, Limits
from trapline.models import Coordinates, Familiar, ModelFile, Outputs, memory_is_short
from trapline.prediction.assembly import table_parts
from trapline.prediction.decoding import DecodedBatch, Decoding
from trapline.prediction.facts import facts_of_card
from trapline.prediction.familiarity import compare
from trapline.prediction.inputs import (
    Extent,
    Input,
    as_catalog,
    batches,
    event_batches,
    event_rows,
    inputs_of,
    measure,
    stamps,
    state,
)
from trapline.prediction.journal import Index, Journal, JournalEntry, read_header, read_index
from trapline.prediction.parts import SideBySide, media_of
from trapline.prediction.pooling import pool_parts
from trapline.prediction.summary import Summary, Tally, refuse_failures
from trapline.prediction.table import (
    Level,
    Predictions,
    Task,
    check_labels,
    check_output,
    fixed_columns,
    write_parts,
)

DEFAULT_BATCH_SIZE = 16
PROBABILITIES, EMBEDDING = attrgetter("probabilities"), attrgetter("embedding")
"""What can be kept of a model's answers; see `BatchRunner`."""


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        done: media with a row, those of earlier runs among them.
        total: media altogether.
        earlier: media that an earlier run had done.
        seconds: since this run began.
    """

    done: int
    total: int
    earlier: int
    seconds: float

    @property
    def rate(self) -> float:
        """Media a second in this run; 0 before the first batch."""
        return (self.done - self.earlier) / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At this rate; None before the first batch."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None


@dataclass(frozen=True)
class RunEstimate:
    """What a run would take.

    Attributes:
        media: to predict.
        earlier: of these already done by an earlier run.
        sampled: media that were timed.
        failed: of these had no prediction.
        seconds: for those that are left.
    """

    media: int
    earlier: int
    sampled: int
    failed: int
    seconds: float


class EstimateOptions(TypedDict, total=False):
    """Of `estimate`."""

    level: Level
    part: str | None
    batch_size: int | None
    workers: int | None
    fresh: bool
    limits: Limits
    rows_per_file: int | None


class RunOptions(EstimateOptions, total=False):
    """Of `predict_to_file`."""

    progress: Callable[[Progress], None] | None


def predict(
    model: ModelFile,
    inputs: Catalog | Sequence[Path | str],
    output: Path | str,
    *,
    strict: bool = False,
    **options: Unpack[RunOptions],
) -> Predictions:
    """Predict every media of a catalog, or of a list of files; write the table and read it into memory.

    See `predict_to_file`, which does not read it and so needs little more memory for more media, and whose
    options it takes.

    Args:
        strict: raise `DataError` after the table is written if any input failed, or if a folder of the source
            could not be read.

    Returns:
        the table; see `Predictions` for its rows.
    """
    catalog = as_catalog(inputs)
    summary = predict_to_file(model, catalog, output, **options)
    if strict:
        refuse_failures(summary, catalog)
    return Predictions.load(output)


def predict_to_file(
    model: ModelFile,
    inputs: Catalog | Sequence[Path | str],
    output: Path | str,
    *,
    level: Level = "media",
    part: str | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    fresh: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    rows_per_file: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """Predict every media of a catalog, or of a list of files, and write the table.

    The work is written to `<output>.journal` batch by batch. Whatever ends the run, the same call goes on
    where it stopped, and the finished table is the same, byte for byte, as without the interruption. Called
    again after the end it predicts only media that are new or whose file has changed, and tries the failed
    ones again. The journal may be deleted at any time; that only costs the work.

    Args:
        model: a classifier's model file.
        inputs: the media; `boxes` of a catalog are used as the model's card says.
        output: `.csv` (with its header beside it as `.csv.json`) or `.parquet`, or the folder; overwritten.
        level: a row a `media`; a row a `box` (see `BOX_COLUMNS`), for models that look at crops; or a row
            an `event`: media are predicted and pooled (`pool_events`). Media and events share a journal.
        part: only this part of the catalog's split.
        batch_size: inputs a batch; that of the run that is gone on with, else 16.
        workers: processes that decode; as many as the machine has cores.
        fresh: forget what an earlier run has done.
        limits: on the bytes of a file and the pixels of a picture.
        rows_per_file: write a folder of Parquet files of so many rows each, and not one file.
        progress: called after every batch.

    Returns:
        counts of the table. It has its rows in the order of the inputs; a media that could not be read has
        the status `failed`, the reason, and no probabilities.

    Raises:
        UsageError: the model has no labels, or makes no crops and boxes are asked for; the output's suffix is
            unknown; or the journal is of another model or other options.
        DataError: no media; no media has an event and events are asked for.
        SourceGoneError: none of the photos can be read, or they can no longer be (a drive was pulled). No
            table is written and an earlier one stays; the same call goes on when they are back.
        TraplineError: the disk is full.
    """
    output = Path(output)
    run, header = prepare_run(
        model,
        inputs,
        output,
        level=level,
        part=part,
        batch_size=batch_size,
        workers=workers,
        fresh=fresh,
        limits=limits,
        rows_per_file=rows_per_file,
    )
    with Journal(journal_path(output), header, fresh=fresh) as journal:
        fill_journal(run, journal, run.wanted(journal.index()), progress)
        events = run.catalog if level == "event" else None
        head = run.head(header["batch_size"])
        if model.card.familiar is not None:
            familiar, media = model.card.familiar, media_of(run.catalog)
            head = compare(head, run.rows(journal), media, familiar, whole_events=run.whole_events)
        return write_answers(head, run.rows(journal), output, events, rows_per_file)


class Answering(Protocol):
    """What answers the inputs of a run, batch by batch."""

    def batches(self, wanted: npt.NDArray[np.bool_]) -> Iterator[Answer]:
        """Entries and numbers of the wanted inputs."""
        ...


def fill_journal(
    run: Answering,
    journal: Journal,
    wanted: npt.NDArray[np.bool_],
    progress: Callable[[Progress], None] | None = None,
) -> None:
    """Write down what is said of the wanted inputs, batch by batch.

    Args:
        run: answers them.
        journal: of the run.
        wanted: one boolean an asked input.
        progress: called after every batch, which is then written.
    """
    done = earlier = len(wanted) - int(wanted.sum())
    started = time.monotonic()
    for entries, numbers in run.batches(wanted):
        journal.append(entries, numbers)
        done += len(entries)
        if progress is not None:
            progress(Progress(done, len(wanted), earlier, time.monotonic() - started))
    journal.sync()


def estimate(
    model: ModelFile,
    inputs: Catalog | Sequence[Path | str],
    output: Path | str,
    *,
    sample: int = 64,
    **options: Unpack[EstimateOptions],
) -> RunEstimate:
    """Time a sample of the media, spread evenly over those that are left; writes nothing.

    What a run needs once, such as starting the processes that decode, is timed apart and counted once. The
    journal is only looked at, so an estimate may be made while a run is writing it. The options are those of
    `predict_to_file`.
    """
    output = Path(output)
    run, header = prepare_run(model, inputs, output, **options)
    path, asked = journal_path(output), run.extent.asked
    wanted = np.ones(asked, np.bool_)
    if path.is_file() and not options.get("fresh"):
        wanted = run.count_not_done(read_index(path, header))
    indices = np.flatnonzero(wanted)
    left = len(indices)
    if left == 0:
        return RunEstimate(asked, asked, 0, 0, 0.0)
    chosen = np.zeros(asked, np.bool_)
    chosen[indices[np.linspace(0, left - 1, min(sample, left)).astype(np.int64)]] = True
    sampled = [row for batch in batches(run.catalog, run.crop, run.level, 1, chosen) for _, row in batch]
    run = replace(run, batch_size=min(header["batch_size"], len(sampled)))
    started = time.monotonic()
    run.warm_up(sampled[0], left)
    warm = time.monotonic()
    entries = [entry for batch, _ in run.answers(_pack(sampled, run.batch_size)) for entry in batch]
    seconds = warm - started + (time.monotonic() - warm) / len(entries) * left
    failed = sum(entry.status == "failed" for entry in entries)
    return RunEstimate(asked, asked - left, len(entries), failed, seconds)


def _pack(rows: Sequence[Input], batch_size: int) -> Iterator[list[tuple[int, Input]]]:
    for start in range(0, len(rows), batch_size):
        yield list(enumerate(rows[start : start + batch_size]))


def journal_path(output: Path) -> Path:
    """Where the journal of a table is."""
    return output.with_name(output.name + ".journal")


def prepare_run(
    model: ModelFile,
    inputs: Catalog | Sequence[Path | str],
    output: Path,
    *,
    level: Level = "media",
    part: str | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    fresh: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    rows_per_file: int | None = None,
) -> tuple[Run, dict[str, Any]]:
    """A run that is checked, and the header of its journal, which is not touched."""
    check_output(output, rows_per_file)
    catalog = as_catalog(inputs)
    catalog = catalog if part is None else catalog.part(part)
    if batch_size is None:  # without a wish that of the run that is gone on with
        stored = None if fresh else read_header(journal_path(output))
        batch_size = (stored or {}).get("batch_size") or DEFAULT_BATCH_SIZE
    header = journal_header(model, level, batch_size, limits)
    run = make_run(model, catalog, level, batch_size, limits)
    return replace(run, presence=Presence(catalog), workers=workers), header


def make_run(
    model: ModelFile, catalog: Catalog, level: Level, batch_size: int, limits: Limits = DEFAULT_LIMITS
) -> Run:
    """A run of media of which none is asked for yet.

    Raises:
        UsageError, DataError: the model, the level and the media do not go together.
    """
    _check(model, catalog, level)
    extent = measure(catalog, model.card.preprocessing.crop, level)
    slots = max(1, min(batch_size, extent.asked))  # a lone photo is not one of sixteen
    return Run(
        model, catalog, level, slots, Presence(catalog.filter(pl.lit(value=False))), None, limits, extent
    )


def _check(model: ModelFile, catalog: Catalog, level: Level) -> None:
    if model.card.task == "features":
        raise UsageError(
            f"{model.path} is a backbone without labels; train a head on it with `trapline train`."
        )
    if level not in get_args(Level):
        raise UsageError(f"Predictions are of {', '.join(get_args(Level))}; not of '{level}'.")
    if level == "box" and model.card.batch == "event":
        raise UsageError(f"{model.path} looks at whole events; it says nothing of a box. Predict events.")
    if level == "box" and model.card.preprocessing.crop is None:
        raise UsageError(
            f"{model.path} was made for whole photos, so what it would say of a box is not known. Train a "
            "model on crops (a recipe with `preprocessing.crop`), or predict media."
        )
    check_labels(model.card.labels, level)
    no_event = pl.col("event_id").is_null().all()
    if level == "event" and streamed(catalog.frame.select(no_event), catalog.source).item():
        raise DataError(
            "No media has an event. `trapline catalog SOURCE --event-gap 60s` makes events; or predict media."
        )


def journal_header(model: ModelFile, level: Level, batch_size: int, limits: Limits) -> dict[str, Any]:
    """What makes two runs one."""
    if batch_size < 1:
        raise UsageError(f"The batch size must be at least 1, not {batch_size}.")
    familiar = model.card.familiar
    return {
        "journal_version": 2,
        "model": model.fingerprint,
        "runtime": model.runtime,
        "labels": list(model.card.labels),
        **({} if familiar is None else {"coordinates": familiar.width}),
        "rows": "box" if level == "box" else "media",
        "batch_size": batch_size,
        "limits": asdict(limits),
    }


def count_not_done(
    catalog: Catalog, crop: CropPolicy | None, level: Level, index: Index, asked: int
) -> npt.NDArray[np.bool_]:
    """One boolean an asked input: true if it is new, its file or box has changed, or it failed."""
    if len(index.keys) == 0 or asked == 0:
        return np.ones(asked, np.bool_)
    parts = []
    for inputs in inputs_of(catalog, crop, level):
        parts.append(not_done(catalog, [row for row in inputs if row.skipped is None], index))
    return np.concatenate(parts)


def not_done(catalog: Catalog, rows: Sequence[Input], index: Index) -> npt.NDArray[np.bool_]:
    """One boolean an input: true if it is new, its file or box has changed, or it failed."""
    if len(index.keys) == 0:
        return np.ones(len(rows), np.bool_)
    files = stamps(catalog, [row.file_path for row in rows])
    now = [
        state(row.media_id, row.number, row.file_path, row.box_text, *file)
        for row, file in zip(rows, files, strict=True)
    ]
    rows_done = index.find([row.key for row in rows])
    different: npt.NDArray[np.bool_] = index.states[rows_done] != np.array(now, np.int64)
    return (rows_done < 0) | different


def _want_whole_events(catalog: Catalog, wanted: npt.NDArray[np.bool_]) -> None:
    """Where one media of an event is to be predicted, all are: the others' answers depend on it."""
    for rows in event_rows(catalog):
        indices = rows.to_numpy()
        wanted[indices] = wanted[indices].any()


def write_answers(
    head: Predictions,
    parts: Iterable[pl.DataFrame],
    output: Path,
    events: Catalog | None = None,
    rows_per_file: int | None = None,
) -> Summary:
    """Write a table, some rows at a time, and count it.

    Args:
        head: everything but the rows, which are of media or boxes.
        parts: the rows, in the order of the catalog; what they have beside the columns of the table is left
            out.
        output: `.csv` or `.parquet`, or the folder.
        events: the catalog, where the rows that are written are its events; it has the media of the rows.
        rows_per_file: write a folder of Parquet files of so many rows each.
    """
    tally, columns = Tally(head.labels), head.table.columns
    rows = (part.select(columns) for part in parts)
    if events is not None:
        table = (head, register_io_source(lambda *_, given=rows: given, schema=head.table.schema))
        pooled = pool_parts(SideBySide.of_all(table, media_of(events)), rows="event")
        first = next(pooled)
        head = replace(first, table=first.table.clear())
        rows = (part.table for part in chain([first], pooled))
    write_parts(head, (tally.add(part) for part in rows), output, rows_per_file)
    return replace(tally.summary(), familiar=head.facts.familiar)


def _crops(extent: Extent, crop: CropPolicy | None, level: Level) -> str:
    if crop is None:
        return "none: the model sees full frames"
    if level != "box":
        return f"{extent.cut} of {many(extent.media, 'media was')} cut to a box, the others are full frames"
    return (
        f"{many(extent.cut, 'box')} of {extent.media} media; {extent.asked - extent.cut} media without one "
        f"are full frames; {many(extent.skipped, 'box was')} skipped"
    )


Answer = tuple[list[JournalEntry], npt.NDArray[np.float32]]
"""Entries and their probabilities, float32 [entries, labels]."""


class _Looking:
    """Probabilities of a batch, and beside them where the embeddings lie."""

    def __init__(self, model: ModelFile, familiar: Familiar) -> None:
        self._coordinates = Coordinates(familiar)

    def __call__(self, outputs: Outputs) -> npt.NDArray[np.float32]:
        """float32 [batch, labels + P]."""
        return np.hstack([outputs.probabilities, self._coordinates(outputs.embedding)])


class BatchRunner:
    """A model that is asked about batches, in pieces as large as memory allows.

    On the processor ONNX Runtime's answers do not depend on the size of the piece (a test holds it to that),
    so a run that had to halve its batches still gives the same table.
    """

    def __init__(
        self, model: ModelFile, output: Callable[[Outputs], npt.NDArray[np.float32]] = PROBABILITIES
    ) -> None:
        self.model, self.output = model, output
        self.most: int | None = None

    def run(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """float32 [batch, numbers], what `output` makes of the answers, for uint8 [batch, height, width, 3].

        Raises:
            TraplineError: not even one photo fits in memory.
        """
        while True:
            size = min(self.most or len(pixels), len(pixels))
            try:
                pieces = [
                    self.output(self.model.run(pixels[start : start + size]))
                    for start in range(0, len(pixels), size)
                ]
                return np.concatenate(pieces)
            except Exception as error:
                if not memory_is_short(error):
                    raise
                if size == 1:
                    raise TraplineError(
                        f"There is not enough memory to run {self.model.path.name} on a single photo: {error}"
                    ) from error
                self.most = (size + 1) // 2
                warnings.warn(
                    f"{many(size, 'photo')} at once did not fit in memory; going on with {self.most}.",
                    TraplineWarning,
                    stacklevel=2,
                )


@dataclass(frozen=True)
class Run:
    """The pipeline: photos are decoded a few batches ahead of the one that the network runs on."""

    model: ModelFile
    catalog: Catalog
    level: Level
    batch_size: int
    presence: Presence
    workers: int | None
    limits: Limits
    extent: Extent

    @property
    def crop(self) -> CropPolicy | None:
        """The model's crop policy."""
        return self.model.card.preprocessing.crop

    @property
    def width(self) -> int:
        """Numbers that are kept of an input."""
        return len(self.model.card.labels) + self.coordinates

    @property
    def coordinates(self) -> int:
        """How many of these say where its embedding lies; 0 where the card has no statistics of it."""
        return 0 if self.model.card.familiar is None else self.model.card.familiar.width

    @cached_property
    def network(self) -> BatchRunner:
        """What is asked about the batches."""
        familiar = self.model.card.familiar
        if familiar is None:
            return BatchRunner(self.model)
        return BatchRunner(self.model, _Looking(self.model, familiar))

    @property
    def decoding(self) -> Decoding:
        """How the photos become pixels."""
        return Decoding(self.catalog, self.model.card.preprocessing, self.limits, self.presence, self.workers)

    @property
    def whole_events(self) -> bool:
        """Whether a batch is the frames of one event, and no more."""
        return self.model.card.batch == "event"

    def count_not_done(self, index: Index) -> npt.NDArray[np.bool_]:
        """See the function of this name."""
        return count_not_done(self.catalog, self.crop, self.level, index, self.extent.asked)

    def wanted(self, index: Index) -> npt.NDArray[np.bool_]:
        """One boolean an asked input: whether it is not done, or is of an event that is looked at anew."""
        wanted = self.count_not_done(index)
        if self.whole_events:
            _want_whole_events(self.catalog, wanted)
        return wanted

    @property
    def rows_are(self) -> Level:
        """What a row of the journal is: events are pooled of media."""
        return "box" if self.level == "box" else "media"

    def head(self, batch_size: int) -> Predictions:
        """All of the table but its rows, which are of `rows_are`."""
        labels, card = self.model.card.labels, self.model.card
        schema = fixed_columns(self.rows_are) | dict.fromkeys(labels, pl.Float32())
        facts = replace(
            facts_of_card(card),
            source=self.catalog.source,
            crops=_crops(self.extent, self.crop, self.rows_are),
            runtime=self.model.runtime,
            batch_size=batch_size,
            limits=asdict(self.limits),
        )
        task: Task = "multi-label" if card.task == "multi-label" else "single-label"
        table = pl.DataFrame(schema=schema)
        return Predictions(table, labels, self.rows_are, self.model.fingerprint, task, facts)

    def rows(self, journal: Journal) -> Iterator[pl.DataFrame]:
        """The table's rows of a journal that has them all, in the order of the catalog."""
        return table_parts(self.catalog, self.crop, self.rows_are, journal)

    def warm_up(self, photo: Input, photos: int) -> None:
        """Do what is done once for `photos` inputs: the network allocates, the decoding processes start."""
        self.network.run(self.decoding.black(self.batch_size))
        self.decoding.warm_up(photo, photos)

    def batches(self, wanted: npt.NDArray[np.bool_]) -> Iterator[Answer]:
        """What the model says of the wanted inputs, batch by batch."""
        if self.whole_events:
            return self.answers(event_batches(self.catalog, self.crop, wanted))
        return self.answers(batches(self.catalog, self.crop, self.level, self.batch_size, wanted))

    def answers(self, inputs: Iterable[list[tuple[int, Input]]]) -> Iterator[Answer]:
        """What the model says of batches of inputs with their slots.

        A batch always has its full size, and slots without a photo are black: a shorter one could take
        another way through the matrix products, with other last bits. What looks at whole events gets the
        readable frames of one alone: a black one would be a frame to it.
        """
        for batch in self.decoding.batches(inputs, None if self.whole_events else self.batch_size):
            yield self.answer(batch)

    def answer(self, batch: DecodedBatch) -> Answer:
        """What the model says of one batch, and what the journal keeps of it."""
        readable, slots = batch.readable, batch.slots
        numbers = np.full((len(readable), self.width), np.nan, np.float32)
        if readable.any() and self.whole_events:
            numbers[readable] = self.network.run(batch.pixels[readable])
        elif readable.any():
            numbers[readable] = self.network.run(batch.pixels)[slots[readable]]
        return batch.entries(np.asarray(np.isfinite(numbers).all(axis=1))), numbers
