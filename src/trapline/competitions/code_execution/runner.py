"""What runs in a competition's container: from `data/` to `submission.csv`.

It needs ONNX Runtime, Pillow and NumPy alone: `build_package` copies this module and, of Trapline, what it
uses.
"""

from __future__ import annotations

import csv
import json
import re
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from trapline.catalog import shot_order
from trapline.competitions.submission import (
    SubmissionFormat,
    fill_empty,
    finish_rows,
    read_format,
    translate_labels,
    write_rows,
)
from trapline.errors import DataError, many
from trapline.formats import wall_clock
from trapline.formats.readers import NUMBER_IN_NAME, folder_of
from trapline.images import prepare
from trapline.models import Halt, Session, available_cores, open_session
from trapline.prediction import apply_pooling

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

BATCH_SIZE = 16
"""That of `trapline predict`: a network answers batches of another size with other last bits."""

_AHEAD = 3
_LOG_SECONDS = 30.0
_SHARE_OF_TIME = 0.95
_FAILURES_TOLD = 20
_FEWEST_FRAMES = 2
"""That a model of whole sequences is given, however short the time: it compares the frames of each."""


def main(root: Path) -> None:
    """Predict the sequences that `root/data/submission_format.csv` asks for into `root/submission.csv`.

    What cannot be read costs its own photo and nothing else: a sequence is pooled from the photos that are
    left, and one without any is given the mean of the others. Photos are looked at in rounds, the first of
    every sequence before any second one, so that time that runs out costs later photos and no sequence. A
    model of whole sequences takes them one after the other, and fewer frames of each once time gets short.

    Raises:
        DataError: not one photo was read, so that there is nothing to say of any sequence.
    """
    started = time.monotonic()
    assets, data = root / "assets", root / "data"
    settings = json.loads((assets / "settings.json").read_text(encoding="utf-8"))
    session = open_session((assets / "model.onnx").read_bytes(), assets / "model.onnx")
    card = settings["card"]
    wanted = read_format(data / "submission_format.csv")
    frames = read_frames(data, wanted)
    log(
        f"{many(len(frames.paths), 'photo')} of {many(len(wanted.ids), 'sequence')}; the network runs on "
        f"{session.runtime}"
    )
    deadline = started + settings["time_limit_s"] * _SHARE_OF_TIME
    run = _PackedRun(session, card, frames, time.monotonic(), deadline)
    pooling = as_object(settings["pooling"], plain=("by_label",))
    numbers = pool(run.probabilities(), frames.events, len(wanted.ids), card, pooling)
    write(numbers, card, settings, wanted, root / "submission.csv")
    log(f"Wrote submission.csv after {time.monotonic() - started:.0f} s")


def log(text: str) -> None:
    """A line with the time on standard output, at once."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


@dataclass(frozen=True)
class Frames:
    """The photos to look at: sequences in the order of the metadata, each in the order it was shot.

    Attributes:
        paths: of each.
        events: int [N], the row of the format that each belongs to.
    """

    paths: Sequence[Path]
    events: npt.NDArray[np.int64]

    def by_event(self) -> list[list[int]]:
        """Indices of the photos of each sequence."""
        of_event: dict[int, list[int]] = defaultdict(list)
        for index, event in enumerate(self.events.tolist()):
            of_event[event].append(index)
        return list(of_event.values())

    def round_order(self) -> list[int]:
        """Indices of all photos: the first of every sequence, then the second of those that have one, …"""
        rounds = zip_longest(*self.by_event())
        return [index for one in rounds for index in one if index is not None]


def read_frames(data: Path, wanted: SubmissionFormat) -> Frames:
    """The photos of the wanted sequences, from `test_metadata.csv`; others are not looked at.

    The photos of a sequence may be listed in any order; theirs is that of the catalog's reader.
    """
    rows = {name: row for row, name in enumerate(wanted.ids)}
    folders: dict[str, str] = {}
    frames_of_event: dict[int, list[tuple[datetime | None, int | None, str]]] = defaultdict(list)
    with (data / "test_metadata.csv").open(encoding="utf-8-sig", newline="") as file:
        for line in csv.DictReader(file):
            row = rows.get((line["seq_id"] or "").strip())
            if row is not None:
                name, time = ((line.get(column) or "").strip() for column in ("file_name", "datetime"))
                number = re.search(NUMBER_IN_NAME, name)
                frames_of_event[row].append(
                    (wall_clock(time), None if number is None else int(number[1]), name)
                )
    paths: list[Path] = []
    events: list[int] = []
    for row, shots in frames_of_event.items():
        times, numbers, names = zip(*shots, strict=True)
        for index in shot_order(times, numbers, names):
            name = names[index]
            paths.append(data / (_folder(data, name.split("/")[0], folders) + name))
            events.append(row)
    return Frames(paths, np.array(events, np.int64))


def _folder(data: Path, top: str, known: dict[str, str]) -> str:
    if top not in known:
        try:
            known[top] = folder_of(data, top) or ""
        except (DataError, OSError) as error:
            log(f"photos of {top}: {error}")
            known[top] = ""
    return known[top]


@dataclass
class _PackedRun:
    """One pass over the photos.

    Attributes:
        session: the opened model.
        card: its card, as JSON.
        frames: what to look at.
        started: on the monotonic clock.
        deadline: on the same.
        begun: photos so far that are being decoded or were.
        done: photos so far.
        failures: those of them that could not be read.
        told: when progress was last logged.
        short: whether sequences are given fewer frames than they have.
    """

    session: Session
    card: dict[str, Any]
    frames: Frames
    started: float
    deadline: float
    begun: int = 0
    done: int = 0
    failures: int = 0
    told: float = field(default_factory=time.monotonic)
    short: bool = False

    def probabilities(self) -> Floats:
        """Float32 [photos, labels]; NaN for those that were not or could not be looked at.

        Raises:
            DataError: that is so of all.
        """
        table = np.full((len(self.frames.paths), len(self.card["labels"])), np.nan, np.float32)
        for indices, answers in self._answers():
            table[indices] = answers
            self.done += len(indices)
            self._tell()
        if self.done < len(table):
            log(f"Time was short: {many(len(table) - self.done, 'photo was')} not looked at")
        if self.failures:
            log(f"{many(self.failures, 'photo')} could not be read")
        if self.failures == self.done:
            raise DataError(f"{self._why_nothing()}, so there is nothing to hand in.")
        return table

    def _why_nothing(self) -> str:
        if not self.frames.paths:
            return "test_metadata.csv has no photo of the sequences that submission_format.csv asks for"
        if not self.done:
            return f"Time was up before the first of {len(self.frames.paths)} photos was looked at"
        return f"Not one of {many(self.done, 'photo')} could be read"

    def _answers(self) -> Iterator[tuple[list[int], Floats]]:
        """Indices of photos and float32 [photos, labels]; NaN where a photo could not be read."""
        preprocessing = as_object(self.card["preprocessing"])
        waiting: deque[tuple[list[int], list[Future[Pixels | None]]]] = deque()
        with ThreadPoolExecutor(available_cores()) as pool:
            for indices in self._batches():
                if time.monotonic() > self.deadline:
                    break
                self.begun += len(indices)
                waiting.append(
                    (indices, [pool.submit(self._read, index, preprocessing) for index in indices])
                )
                if len(waiting) > _AHEAD:
                    yield self._answer(*waiting.popleft())
            while waiting:
                yield self._answer(*waiting.popleft())

    def _batches(self) -> Iterator[list[int]]:
        """Indices of the photos of one batch after the other."""
        if self.card.get("batch", "media") == "event":  # the network looks at a whole sequence at a time
            sequences, photos = self.frames.by_event(), len(self.frames.paths)
            for number, indices in enumerate(sequences):
                yield indices[: self._most_frames(photos, len(sequences) - number)]
                photos -= len(indices)
            return
        order = self.frames.round_order()
        for start in range(0, len(order), BATCH_SIZE):
            yield order[start : start + BATCH_SIZE]

    def _most_frames(self, photos: int, sequences: int) -> int:
        """How many frames each of the sequences to come may have, which have so many photos together."""
        now = time.monotonic()
        seconds = now - self.started
        if self.done == 0 or seconds < _LOG_SECONDS:  # how fast it is, is not known yet
            return photos
        possible = self.done / seconds * (self.deadline - now) - (self.begun - self.done)
        if possible >= photos:
            return photos
        if not self.short:
            self.short = True
            log(f"Time is short: the {many(sequences, 'sequence')} to come are given their first frames only")
        return max(_FEWEST_FRAMES, int(possible / sequences))

    def _read(self, index: int, preprocessing: Any) -> Pixels | None:
        path = self.frames.paths[index]
        try:
            return prepare(path, preprocessing).pixels
        except Exception as error:  # noqa: BLE001 - one photo never ends the run
            self.failures += 1
            if self.failures <= _FAILURES_TOLD:
                log(f"{path} is left out: {error}")
            return None

    def _answer(self, indices: list[int], futures: list[Future[Pixels | None]]) -> tuple[list[int], Floats]:
        pictures = [future.result() for future in futures]
        good = [index for index, pixels in enumerate(pictures) if pixels is not None]
        answers = np.full((len(indices), len(self.card["labels"])), np.nan, np.float32)
        if good:
            fitting = self.card["preprocessing"]
            by_event = self.card.get("batch", "media") == "event"
            batch = np.zeros(
                (len(good) if by_event else BATCH_SIZE, fitting["height"], fitting["width"], 3), np.uint8
            )
            at = list(range(len(good))) if by_event else good
            for row, index in zip(at, good, strict=True):
                batch[row] = pictures[index]
            answers[good] = self.session.run(["probabilities"], {"images": batch}, Halt())[0][at]
        return indices, answers

    def _tell(self) -> None:
        done, total, now = self.done, len(self.frames.paths), time.monotonic()
        if now - self.told >= _LOG_SECONDS or done == total:
            self.told = now
            rate = done / max(now - self.started, 1e-9)
            left = (total - done) / rate
            log(f"{done} of {many(total, 'photo')}, {rate:.1f} a second, about {left:.0f} s left")


def pool(
    probabilities: Floats, events: npt.NDArray[np.int64], number: int, card: Mapping[str, Any], pooling: Any
) -> npt.NDArray[np.float64]:
    """Float64 [sequences, labels], with the digits of `trapline predict`; NaN where no photo could be read.

    Args:
        probabilities: float32 [photos, labels].
        events: int [photos], 0..number-1.
        number: of sequences.
        card: of the model.
        pooling: of the card, as an object.
    """
    result = np.full((number, len(card["labels"])), np.nan)
    if len(events) == 0:
        return result
    good = np.isfinite(probabilities).all(axis=1)
    weights = good / np.maximum(np.bincount(events, good, number)[events], 1)
    pooled = apply_pooling(
        probabilities.astype(np.float64), weights, events, pooling, card["task"], card["labels"]
    )
    result[: len(pooled)] = pooled.astype(np.float32)
    return result


def write(
    numbers: npt.NDArray[np.float64],
    card: Mapping[str, Any],
    settings: Mapping[str, Any],
    wanted: SubmissionFormat,
    output: Path,
) -> None:
    """Write the submission: every row of the format, in its order, its columns found by their names."""
    labels = translate_labels(card["labels"], wanted)
    kept = [index for index, label in enumerate(labels) if label in wanted.labels]
    for label in set(labels) - set(wanted.labels):
        log(f"The format does not want the label {label}: it is left out")
    lacking = [label for label in wanted.labels if label not in labels]
    if lacking:
        log(f"Labels that the model does not know are given {settings['absent']}: {', '.join(lacking)}")
    empty = int(np.isnan(numbers).any(axis=1).sum())
    if empty:
        log(f"{many(empty, 'sequence is')} of no photo that was read, and given the mean of the others")
    task = card["task"]
    filled = fill_empty(numbers, "prior", task)[:, kept]
    chosen = [labels[index] for index in kept]
    rows = finish_rows(filled, chosen, task, wanted, settings["absent"], settings["clip"])
    partial = output.with_name(output.name + ".partial")
    write_rows(wanted, rows, partial)
    partial.replace(output)


def as_object(values: Mapping[str, Any] | None, plain: Sequence[str] = ()) -> Any:
    """A part of the card as an object with the same attributes; `plain` names stay dictionaries."""
    if values is None:
        return None
    return SimpleNamespace(
        **{
            name: as_object(value) if isinstance(value, dict) and name not in plain else value
            for name, value in values.items()
        }
    )
