"""The engine: read, decode, run, write down; bounded in memory, and any death costs one batch at most."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog
from trapline.errors import DataError, UsageError
from trapline.images import DEFAULT_LIMITS, ImageError, Limits, Preprocessing, prepare
from trapline.models import ModelFile
from trapline.prediction.inputs import Input, as_catalog, batches
from trapline.prediction.journal import Contents, Entry, Journal, read_header
from trapline.prediction.table import Predictions, Task

DEFAULT_BATCH_SIZE = 16
_AHEAD = 3
"""Batches that are decoded or being decoded while one runs: what memory holds is this many and no more."""


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
class Estimate:
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


def predict(
    model: ModelFile,
    inputs: Catalog | Sequence[Path],
    output: Path | str,
    *,
    part: str | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    strict: bool = False,
    fresh: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    progress: Callable[[Progress], None] | None = None,
) -> Predictions:
    """Predict every media of a catalog, or of a list of files, and write the table.

    The work is written to `<output>.journal` batch by batch. Whatever ends the run, the same call goes on
    where it stopped, and the finished table is the same, byte for byte, as without the interruption. Called
    again after the end it predicts only media that are new or whose file has changed, and tries the failed
    ones again. The journal may be deleted at any time; that only costs the work.

    Args:
        model: a classifier's model file.
        inputs: the media; `boxes` of a catalog are used as the model's card says.
        output: `.csv` (with its header beside it as `.csv.json`) or `.parquet`; overwritten.
        part: only this part of the catalog's split.
        batch_size: media a batch; 16, or as few as there are.
        workers: threads that decode; as many as the machine has cores.
        strict: raise after writing the table if any media failed.
        fresh: forget what an earlier run has done.
        limits: on the bytes of a file and the pixels of a picture.
        progress: called after every batch.

    Returns:
        the table, one row a media in the order of the inputs; a media that could not be read has the
        status `failed`, the reason, and no probabilities.

    Raises:
        UsageError: the model has no labels, the output's suffix is unknown, or the journal is of another
            model or other options.
        DataError: no media; or, with `strict`, failed ones.
        TraplineError: the disk is full.
    """
    output = Path(output)
    catalog = _check(model, inputs, output, part)
    path = journal_path(output)
    header = _header(model, len(catalog), None if fresh else read_header(path), batch_size, limits)
    with Journal(path, header, fresh=fresh) as journal:
        wanted = _not_done(catalog, model, journal.read())
        total, left = len(catalog), int(wanted.sum())
        started, done = time.monotonic(), total - left
        run = _Run(model, catalog, header["batch_size"], workers, limits)
        for entries, probabilities in run.batches(wanted):
            journal.append(entries, probabilities)
            done += len(entries)
            if progress is not None:
                progress(Progress(done, total, total - left, time.monotonic() - started))
        predictions = _finish(catalog, model, journal.read(), header)
    predictions.save(output)
    if strict:
        refuse_failures(predictions)
    return predictions


def estimate(
    model: ModelFile,
    inputs: Catalog | Sequence[Path],
    output: Path | str,
    *,
    part: str | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    fresh: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    sample: int = 64,
) -> Estimate:
    """Time a sample of the media, spread evenly over those that are left; writes nothing."""
    output = Path(output)
    catalog = _check(model, inputs, output, part)
    path = journal_path(output)
    header = _header(model, len(catalog), None if fresh else read_header(path), batch_size, limits)
    wanted = pl.repeat(True, len(catalog), eager=True)
    if path.is_file() and not fresh:
        with Journal(path, header) as journal:
            wanted = _not_done(catalog, model, journal.read())
    left = int(wanted.sum())
    places = wanted.arg_true().gather_every(max(1, left // sample)).head(sample)
    sampled = Catalog(catalog.table[places], catalog.root, catalog.source, catalog.info)
    if len(sampled) == 0:
        return Estimate(len(catalog), len(catalog), 0, 0, 0.0)
    size = min(header["batch_size"], len(sampled))
    run = _Run(model, sampled, size, workers, limits)
    run.warm_up()
    started = time.monotonic()
    entries = [entry for batch, _ in run.batches(None) for entry in batch]
    seconds = (time.monotonic() - started) / len(entries) * left
    failed = sum(entry.status == "failed" for entry in entries)
    return Estimate(len(catalog), len(catalog) - left, len(entries), failed, seconds)


def refuse_failures(predictions: Predictions) -> None:
    """Raise `DataError` if any media failed; the message names the first of them."""
    failed = predictions.failed
    if failed.height:
        shown = "; ".join(
            f"{path}: {why}" for path, why in failed.select("file_path", "reason").head(3).rows()
        )
        more = f" and {failed.height - 3} more" if failed.height > 3 else ""
        raise DataError(f"{failed.height} of {len(predictions)} media failed: {shown}{more}.")


def journal_path(output: Path) -> Path:
    """Where the journal of a table is."""
    return output.with_name(output.name + ".journal")


def _check(model: ModelFile, inputs: Catalog | Sequence[Path], output: Path, part: str | None) -> Catalog:
    if model.card.task == "features":
        raise UsageError(
            f"{model.path} is a backbone without labels; train a head on it with `trapline train`."
        )
    if output.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"Predictions are written as .csv or .parquet, not as '{output.name}'.")
    catalog = as_catalog(inputs)
    return catalog if part is None else catalog.part(part)


def _header(
    model: ModelFile, media: int, found: dict[str, Any] | None, batch_size: int | None, limits: Limits
) -> dict[str, Any]:
    """What makes two runs one. Without a wish the batch size is that of the run that is gone on with."""
    if batch_size is None and found is not None:
        batch_size = found.get("batch_size")
    if batch_size is None:
        batch_size = min(DEFAULT_BATCH_SIZE, media)
    if batch_size < 1:
        raise UsageError(f"The batch size must be at least 1, not {batch_size}.")
    return {
        "journal_version": 1,
        "model": model.fingerprint,
        "labels": list(model.card.labels),
        "batch_size": batch_size,
        "limits": asdict(limits),
    }


def _not_done(catalog: Catalog, model: ModelFile, contents: Contents) -> pl.Series:
    """One boolean a media: true if it is new, its file or box has changed, or it failed."""
    if contents.entries.height == 0:
        return pl.repeat(True, len(catalog), eager=True)
    crop = model.card.preprocessing.crop
    now = [(item.box_text, *_stamp(item.path)) for batch in batches(catalog, crop, 1024) for item in batch]
    schema = {"box": pl.String, "size": pl.Int64, "modified": pl.Int64}
    current = catalog.table.select("media_id", "file_path").hstack(
        pl.DataFrame(now, schema=schema, orient="row")
    )
    done = contents.entries.filter(pl.col("status") == "ok").drop("row", "status", "reason")
    keys = ["media_id", "file_path", "box", "size", "modified"]
    same = current.join(done.with_columns(done=True), on=keys, how="left", maintain_order="left")
    return same["done"].is_null()


def _stamp(path: Path) -> tuple[int | None, int | None]:
    """Size and modification time (ns) of a file, by which a change of it is noticed."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None, None
    return found.st_size, found.st_mtime_ns


def _finish(catalog: Catalog, model: ModelFile, contents: Contents, header: dict[str, Any]) -> Predictions:
    """The table, in the order of the catalog."""
    labels = model.card.labels
    rows = catalog.table.select("media_id", "event_id", "file_path").join(
        contents.entries.select("media_id", "row", "status", "reason"),
        on="media_id",
        how="left",
        maintain_order="left",
    )
    numbers = pl.from_numpy(contents.probabilities[rows["row"].to_numpy()], schema=list(labels))
    failed = rows["status"] == "failed"
    numbers = numbers.select(pl.when(~failed).then(pl.col(label)).alias(label) for label in labels)
    fixed = rows.select(
        "media_id", "event_id", pl.lit(None, pl.Int64).alias("box"), "file_path", "status", "reason"
    )
    crop = model.card.preprocessing.crop
    info = {
        "model_name": model.card.name,
        "calibration": model.card.calibration.fitted_on,
        "source": catalog.source,
        "crops": "none: the model sees full frames" if crop is None else _crops_used(contents, catalog),
        "batch_size": header["batch_size"],
        "limits": header["limits"],
    }
    task: Task = "multi-label" if model.card.task == "multi-label" else "single-label"
    return Predictions(fixed.hstack(numbers), labels, "media", model.fingerprint, task, info)


def _crops_used(contents: Contents, catalog: Catalog) -> str:
    used = contents.entries.join(catalog.table.select("media_id"), on="media_id", how="semi")
    return (
        f"{(used['box'] != '').sum()} of {len(catalog)} media were cut to a box, the others are full frames"
    )


@dataclass(frozen=True)
class _Picture:
    """What a worker made of a file; `pixels` is None if it failed."""

    size: int | None
    modified: int | None
    pixels: npt.NDArray[np.uint8] | None
    reason: str | None


@dataclass(frozen=True)
class _Run:
    """The pipeline: threads decode a few batches ahead of the one that the network runs on.

    Pillow lets go of the interpreter while it decodes and resizes: two threads measured as quick as two
    processes (119 and 113 photos of 2048 × 1536 a second on two cores), without copying pixels between them.
    """

    model: ModelFile
    catalog: Catalog
    batch_size: int
    workers: int | None
    limits: Limits

    def warm_up(self) -> None:
        """Let the network allocate what it needs, so that it does not count."""
        self._run_network([])

    def batches(self, wanted: pl.Series | None) -> Iterator[tuple[list[Entry], npt.NDArray[np.float32]]]:
        """Entries and their probabilities (float32 [entries, labels]), batch by batch."""
        preprocessing = self.model.card.preprocessing
        pool = ThreadPoolExecutor(self.workers or available_cores(), thread_name_prefix="decode")
        waiting: deque[tuple[list[Input], list[Future[_Picture]]]] = deque()
        try:
            for items in batches(self.catalog, preprocessing.crop, self.batch_size, wanted):
                futures = [pool.submit(_read, item, preprocessing, self.limits) for item in items]
                waiting.append((items, futures))
                if len(waiting) > _AHEAD:
                    yield self._answer(*waiting.popleft())
            while waiting:
                yield self._answer(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _answer(
        self, items: list[Input], futures: list[Future[_Picture]]
    ) -> tuple[list[Entry], npt.NDArray[np.float32]]:
        pictures = [future.result() for future in futures]
        readable = [
            (item.place, picture.pixels)
            for item, picture in zip(items, pictures, strict=True)
            if picture.pixels is not None
        ]
        probabilities = np.full((self.batch_size, len(self.model.card.labels)), np.nan, np.float32)
        if readable:
            places = [place for place, _ in readable]
            probabilities[places] = self._run_network(readable)[places]
        chosen = probabilities[[item.place for item in items]]
        entries = [
            _entry(item, picture, bool(np.isfinite(row).all()))
            for item, picture, row in zip(items, pictures, chosen, strict=True)
        ]
        return entries, chosen

    def _run_network(self, pictures: Sequence[tuple[int, npt.NDArray[np.uint8]]]) -> npt.NDArray[np.float32]:
        """float32 [batch_size, labels]; the batch always has its full size, empty places are black.

        A shorter batch would take another way through the matrix products, with other last bits.
        """
        preprocessing = self.model.card.preprocessing
        batch = np.zeros((self.batch_size, preprocessing.height, preprocessing.width, 3), np.uint8)
        for place, pixels in pictures:
            batch[place] = pixels
        return self.model.run(batch).probabilities


def _read(item: Input, preprocessing: Preprocessing, limits: Limits) -> _Picture:
    size, modified = _stamp(item.path)  # before reading: a file that changes meanwhile is then redone
    try:
        prepared = prepare(item.path, preprocessing, item.box, limits)
    except ImageError as error:
        return _Picture(size, modified, None, error.reason)
    except Exception as error:  # noqa: BLE001 - one photo never ends the run; its row says what happened
        reason = f"unexpected {type(error).__name__}: {error}".encode(errors="replace").decode()
        return _Picture(size, modified, None, reason)
    return _Picture(size, modified, prepared.pixels, prepared.warning)


def _entry(item: Input, picture: _Picture, finite: bool) -> Entry:
    failed = picture.pixels is None or not finite
    reason = picture.reason
    if picture.pixels is not None and not finite:
        reason = "the model answered with something that is no number"
    return Entry(
        item.media_id,
        item.file_path,
        picture.size,
        picture.modified,
        item.box_text,
        "failed" if failed else "ok",
        reason,
    )


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
