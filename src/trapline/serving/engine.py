"""From photos to answers while many ask at once: threads, batches, a bounded queue, deadlines."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from trapline.errors import many
from trapline.models import Halt, ModelFile
from trapline.serving.answers import Answer, Floats, Pixels, answer_view, check_answer, run_model
from trapline.serving.lanes import Lanes, Slot, Source
from trapline.serving.refusals import BUSY, NOT_READY, RefusedError, until
from trapline.serving.shelf import Served

log = logging.getLogger("trapline.serving")

HALT_SECONDS = 5.0
"""Within which a network that was told to end must."""

_SMOOTHING = 0.05
_LONGEST_RETRY = 30


class Gate:
    """Lets in so many photos and no more; who does not get in is told when to come again."""

    def __init__(self, most: int, threads: int) -> None:
        self.most, self.inside = most, 0
        self._threads = threads
        self._seconds = 0.02

    def check(self, photos: int = 1) -> None:
        """Refuse a request of so many photos that would not be let in now.

        Raises:
            RefusedError: there are not enough free places.
        """
        if self.inside + photos > self.most:
            raise RefusedError(
                BUSY,
                f"{many(self.inside, 'photo is')} in work, and {photos} more would be over {self.most}. "
                "Try again.",
                retry_after=self.retry_after(),
            )

    @contextmanager
    def admit(self, photos: int) -> Iterator[None]:
        """Hold places for the photos of one request.

        Raises:
            RefusedError: there are not enough free ones.
        """
        self.check(photos)
        self.inside += photos
        try:
            yield
        finally:
            self.inside -= photos

    def took(self, seconds: float) -> None:
        """Note how long a photo took once its turn had come."""
        self._seconds += _SMOOTHING * (seconds - self._seconds)

    def retry_after(self) -> int:
        """Whole seconds in which the present queue should be done."""
        return max(1, min(_LONGEST_RETRY, math.ceil(self.inside * self._seconds / self._threads)))


class Engine(ABC):
    """Answers photos; the front ends know no more of it.

    Args:
        lanes: where photos are decoded.
        queue: of how many photos in work or waiting.
    """

    def __init__(self, lanes: Lanes, queue: int) -> None:
        self.gate = Gate(queue, lanes.lanes)
        self._lanes = lanes

    @abstractmethod
    async def answers(self, served: Served, sources: Sequence[Source], deadline: float) -> list[Answer]:
        """One answer a photo, in their order.

        Args:
            served: the model.
            sources: the photos.
            deadline: of the event loop's clock.

        Raises:
            RefusedError: the queue is full, or the deadline has passed.
        """

    async def given_up(self) -> None:
        """Return when this process can be helped no more; never, unless a network runs here."""
        await asyncio.Event().wait()

    async def check_ready(self, served: Served) -> None:
        """Refuse if the model cannot compute now.

        Raises:
            RefusedError: it cannot, and why.
        """
        await self._lanes.check_ready()

    def says(self, served: Served) -> dict[str, Any]:
        """What an answer must tell of what computed, beside the model; JSON-able."""
        return {}

    async def close(self) -> bool:
        """Let go of threads and connections.

        Returns:
            whether all is at rest; false if a thread can only be ended with this process.
        """
        self._lanes.close()
        return True


class Runs:
    """The runs of networks in this process: each ends with the request, or the batch, that it is for.

    Attributes:
        stuck: set once a run does not end that was told to.
    """

    def __init__(self) -> None:
        self.stuck = asyncio.Event()
        self._halts: set[Halt] = set()

    @contextmanager
    def begin(self) -> Iterator[Halt]:
        """What ends the runs that begin now; it does when this is left."""
        halt = Halt()
        self._halts.add(halt)
        try:
            yield halt
        finally:
            self.end(halt)

    def end(self, halt: Halt) -> None:
        """End runs, and see to it that they do."""
        if not halt.ended:
            halt.now()
            if halt.running:
                asyncio.get_running_loop().call_later(HALT_SECONDS, self._look_at, halt)
                return
        if not halt.running:
            self._halts.discard(halt)

    def _look_at(self, halt: Halt) -> None:
        if halt.running:
            log.error("A network does not end although it was told to %g s ago", HALT_SECONDS)
            self.stuck.set()
        else:
            self._halts.discard(halt)

    async def close(self) -> bool:
        """End all, and wait for it; whether that is so."""
        for halt in self._halts:
            halt.now()
        last = time.monotonic() + HALT_SECONDS
        while any(halt.running for halt in self._halts) and time.monotonic() < last:
            await asyncio.sleep(0.01)
        return not any(halt.running for halt in self._halts)


class LocalEngine(Engine):
    """Computes here: each photo is decoded and run by one thread, as many at a time as there are lanes.

    On a processor a batch is no quicker than its photos one by one, and costs latency; so a thread a photo,
    each with a network of one thread, keeps every core busy without any waiting for a batch.

    What runs for a request that is answered, refused or given up is ended. A network that does not end then
    keeps its thread (see `Halt`): such a process gives up, for another to take its place.
    """

    def __init__(self, lanes: Lanes, queue: int) -> None:
        super().__init__(lanes, queue)
        self._runs = Runs()

    async def answers(self, served: Served, sources: Sequence[Source], deadline: float) -> list[Answer]:
        """See `Engine`."""
        with self.gate.admit(len(sources)), self._runs.begin() as halt:
            work = [self._one(served, source, deadline, halt) for source in sources]
            async with until(deadline):
                return list(await asyncio.gather(*work))

    async def _one(self, served: Served, source: Source, deadline: float, halt: Halt) -> Answer:
        return await self._lanes.run(self._work, served, source, deadline, halt)

    def _work(self, served: Served, source: Source, deadline: float, halt: Halt, slot: Slot) -> Answer:
        started = time.monotonic()
        view = self._lanes.view(source, served, deadline, slot)
        with halt.bound():
            answer = answer_view(served.model, view)
        if view.pixels is not None:
            self.gate.took(time.monotonic() - started)
        return answer

    async def given_up(self) -> None:
        """See `Engine`."""
        await self._runs.stuck.wait()

    async def check_ready(self, served: Served) -> None:
        """See `Engine`."""
        if self._runs.stuck.is_set():
            raise RefusedError(NOT_READY, "A run of the network does not end; this process gives up.")
        await super().check_ready(served)

    async def close(self) -> bool:
        """See `Engine`."""
        await super().close()
        return await self._runs.close()


class BatchingEngine(LocalEngine):
    """Decodes in threads and runs the network on batches; for accelerators, where a batch is quicker."""

    def __init__(self, lanes: Lanes, queue: int, batch: int, wait: float) -> None:
        super().__init__(lanes, queue)
        self._size, self._wait = batch, wait
        self._batchers: dict[str, Batcher] = {}

    async def _one(self, served: Served, source: Source, deadline: float, halt: Halt) -> Answer:
        started = time.monotonic()
        view = await self._lanes.run(self._lanes.view, source, served, deadline)
        if view.pixels is None:
            return check_answer(view, None)
        answer = check_answer(view, *await self._batcher(served).run(view.pixels))
        self.gate.took((time.monotonic() - started) / self._size)
        return answer

    def _batcher(self, served: Served) -> Batcher:
        known = self._batchers.get(served.name)
        if known is None or known.model is not served.model:
            known = self._batchers[served.name] = Batcher(served.model, self._size, self._wait, self._runs)
        return known


_Row = tuple[Floats, Floats]
"""Probabilities [labels] and coordinates [P] of a photo."""


class Batcher:
    """Joins photos into batches: runs as soon as one is full or its first photo has waited long enough.

    While a batch runs the next one gathers; so a photo waits for `wait` seconds or one run, no longer.
    """

    def __init__(self, model: ModelFile, size: int, wait: float, runs: Runs) -> None:
        self.model = model
        self._size, self._wait, self._runs = size, wait, runs
        self._waiting: list[tuple[Pixels, asyncio.Future[_Row]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None

    async def run(self, pixels: Pixels) -> _Row:
        """Of one photo; see `run_model`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Row] = loop.create_future()
        self._waiting.append((pixels, future))
        if len(self._waiting) >= self._size:
            self._start()
        elif self._timer is None:
            self._timer = loop.call_later(self._wait, self._start)
        return await future

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._running is None and self._waiting:
            self._running = asyncio.create_task(self._run_batch())

    async def _run_batch(self) -> None:
        batch = [one for one in self._waiting[: self._size] if not one[1].done()]
        del self._waiting[: self._size]
        try:
            if batch:
                stacked = np.stack([pixels for pixels, _ in batch])
                rows = await self._rows(stacked, [future for _, future in batch])
                for (_, future), *row in zip(batch, *rows, strict=True):
                    if not future.done():
                        future.set_result((row[0], row[1]))
        except Exception as error:  # noqa: BLE001 - whoever waits for the batch must be told
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        finally:
            self._running = None
            self._start()

    async def _rows(self, stacked: Pixels, futures: Sequence[asyncio.Future[_Row]]) -> tuple[Floats, Floats]:
        """See `run_model`; a batch that nobody waits for any more is ended."""

        def gone(_: object) -> None:
            if all(future.done() for future in futures):
                self._runs.end(halt)

        with self._runs.begin() as halt:
            for future in futures:
                future.add_done_callback(gone)
            with halt.bound():
                return await asyncio.to_thread(run_model, self.model, stacked)
