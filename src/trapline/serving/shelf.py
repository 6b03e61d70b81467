"""The models that are served: tried, opened, and replaced while requests run."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trapline.errors import DataError, TraplineError
from trapline.models import Card, Halt, HaltedError, ModelFile, Trial, familiar_doubt, few_locations_doubt
from trapline.serving.answers import check_classifier
from trapline.serving.refusals import NOT_FOUND, NOT_READY, RefusedError
from trapline.storage import MOST_BYTES, AnyPath, RemoteStat, SourceGoneError, local_copy

VERSION = "1"
"""The only version a model has towards clients; which file answered says the fingerprint."""

log = logging.getLogger("trapline.serving")

Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Served:
    """A model under its name. A request keeps the one that it began with until it is answered."""

    name: str
    model: ModelFile


class Shelf:
    """Name → model file, watched for replacement.

    A new file is tried in a process of its own (`trapline.models.trial`), opened beside the old one and then
    put in its place: requests that run go on with the model that they began with, later ones get the new. A
    file that does not pass changes nothing. What is served is exactly what was tried.

    Args:
        paths: name → model file, on a disk or in a bucket.
        threads: that the network runs on, per photo.
        runtime: what runs it.
        batch: images that it is asked about at once, at most.
        halt: ends the trial that runs, if one does, and those to come.
    """

    def __init__(
        self,
        paths: dict[str, AnyPath],
        *,
        threads: int = 1,
        runtime: str = "auto",
        batch: int = 1,
        halt: Halt | None = None,
    ) -> None:
        self._paths, self._threads, self._runtime, self._batch = paths, threads, runtime, batch
        self._halt = halt
        self._served: dict[str, Served] = {}
        self._stamps: dict[str, Stamp | None] = {}
        self._lock = threading.Lock()
        self.draining = False
        self.replaced: Callable[[str, bool], None] = lambda name, good: None

    @property
    def names(self) -> tuple[str, ...]:
        """Of all models, the default first."""
        return tuple(self._paths)

    @property
    def cropping(self) -> tuple[str, ...]:
        """Of the open models that were trained on crops, and so miss the boxes that nobody drops."""
        served = list(self._served.items())
        return tuple(name for name, one in served if one.model.card.saw_crops)

    @property
    def doubts(self) -> dict[str, str]:
        """What people must know first of the open models, by name: that they were measured at too few
        locations, or cannot tell which photos are unlike those of training."""
        told = {name: " ".join(_doubts(one.model.card)) for name, one in list(self._served.items())}
        return {name: doubt for name, doubt in told.items() if doubt}

    def get(self, name: str | None = None, version: str | None = None) -> Served:
        """The model of that name, or the default one.

        Raises:
            RefusedError: there is none, or none of that version; or it is not open yet.
        """
        name = self.names[0] if name is None else name
        if name not in self._paths:
            known = ", ".join(self.names)
            raise RefusedError(NOT_FOUND, f"There is no model '{name[:100]}' here; there are: {known}.")
        if version not in (None, "", "0", VERSION):  # some clients write 0 for the newest
            raise RefusedError(
                NOT_FOUND, f"Model '{name}' has the version {VERSION} only, not '{version[:50]}'."
            )
        if name not in self._served:
            raise RefusedError(NOT_READY, f"Model '{name}' is not open yet.", retry_after=1)
        return self._served[name]

    def open_all(self) -> None:
        """Open every model.

        Raises:
            TraplineError: one cannot be opened.
        """
        for name, path in self._paths.items():
            stamp = _stamp(path)
            self._put(name, path)
            self._stamps[name] = stamp

    def _put(self, name: str, path: AnyPath) -> None:
        trial = trial_of(self._batch, self._halt)
        with local_copy(path, most_bytes=MOST_BYTES) as file:
            model = check_classifier(
                ModelFile(file, threads=self._threads, runtime=self._runtime, trial=trial)
            )
        size = model.card.preprocessing
        try:  # on the runtime itself, which need not be the one that it was tried on
            model.run(np.zeros((1, size.height, size.width, 3), np.uint8))
        except TraplineError:
            raise
        except Exception as error:  # the runtimes' errors have no common base but Exception
            raise DataError(f"{path} can be opened, but not run: {error}") from error
        if model.card.saw_crops is not False:
            log.warning(
                "%s cuts photos to the detector's boxes that are sent with them. Of a photo without boxes it "
                "sees all, which is not what it learnt from: let clients send boxes.",
                path,
            )
        for doubt in _doubts(model.card):
            log.warning("%s: %s", path, doubt)
        with self._lock:
            self._served[name] = Served(name, model)

    async def watch(self, seconds: float) -> None:
        """Look for replaced files for ever. A file counts when it was the same at two looks in a row, so that
        one that is still being copied is left alone.
        """
        seen = dict(self._stamps)
        while True:
            await asyncio.sleep(seconds)
            for name, path in self._paths.items():
                now = await asyncio.to_thread(_stamp, path)
                if now is not None and now == seen[name] and now != self._stamps[name]:
                    self._stamps[name] = now
                    await asyncio.to_thread(self.replace, name)
                seen[name] = now

    def replace(self, name: str) -> None:
        """Put the file as it is now in the place of the one that was opened."""
        path = self._paths[name]
        try:
            self._put(name, path)
        except HaltedError:
            log.info("%s was replaced and is not tried to the end: this server is about to stop", path)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the new file, the old one goes on
            log.warning("%s was replaced but cannot be served, so the old one goes on: %s", path, error)
            self.replaced(name, False)
        else:
            log.info("%s was replaced: %s now answers", path, self._served[name].model.fingerprint[:12])
            self.replaced(name, True)


def trial_of(batch: int, halt: Halt | None = None) -> Trial:
    """How a model is tried that is to be asked about so many images at once."""
    return Trial(batches=tuple(sorted({1, 2, batch})), halt=halt or Halt())


def _doubts(card: Card) -> list[str]:
    return [doubt for doubt in (few_locations_doubt(card), familiar_doubt(card)) if doubt]


def _stamp(path: AnyPath) -> Stamp | None:
    try:
        status = path.stat()
    except (OSError, SourceGoneError):
        return None
    if isinstance(status, RemoteStat):
        return status.digest or 0, status.size, 0
    return status.st_ino, status.st_size, status.st_mtime_ns
