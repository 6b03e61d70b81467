"""What all interfaces share: the shelf, the engine, the counts; one call answers a request."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from trapline.errors import DataError
from trapline.models import NO_PROBABILITY, OPENVINO, Halt
from trapline.serving.answers import MOST_PHOTOS, Answer, check_count, describe, familiar_document, pool
from trapline.serving.body import Held
from trapline.serving.engine import BatchingEngine, Engine, LocalEngine
from trapline.serving.fetch import Fetcher
from trapline.serving.lanes import Lanes, Source
from trapline.serving.refusals import (
    INTERNAL,
    INVALID,
    NOT_READY,
    UNAUTHENTICATED,
    UNREADABLE,
    RefusedError,
    until,
)
from trapline.serving.settings import ACCELERATOR_BATCH, Settings
from trapline.serving.shelf import Served, Shelf
from trapline.serving.telemetry import Telemetry

log = logging.getLogger("trapline.serving")

T = TypeVar("T")


@dataclass(frozen=True)
class Service:
    """A server without its interfaces.

    Attributes:
        settings: how it serves.
        shelf: the models.
        engine: what computes.
        telemetry: the counts.
        fetcher: of photos by address.
        held: the bytes of all requests, of whatever interface.
        converting: held by the one request whose body is being taken apart.
    """

    settings: Settings
    shelf: Shelf
    engine: Engine
    telemetry: Telemetry
    fetcher: Fetcher
    held: Held = field(default_factory=Held)
    converting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def convert(self, convert: Callable[[], T], deadline: float) -> T:
        """What a function makes of a request, in a thread, so that probes and others are answered meanwhile.

        One at a time: it holds the interpreter's lock, so several would take as long and more memory.

        Args:
            convert: takes apart JSON, a form, or a tensor.
            deadline: of the event loop's clock.

        Raises:
            RefusedError: the queue is full, the deadline has passed, or the function refuses.
        """
        self.engine.gate.check()
        async with until(deadline):
            await self.converting.acquire()
            work = asyncio.ensure_future(asyncio.to_thread(convert))
            work.add_done_callback(self._convert)  # a thread whose request was given up goes on
            try:
                return await asyncio.shield(work)
            finally:
                del work  # its error would keep this frame, and so itself and the request, in memory

    def _convert(self, work: asyncio.Future[Any]) -> None:
        self.converting.release()
        if not work.cancelled():
            work.exception()  # looked at, also where nobody waits for it any more

    def check_room(self, photos: int) -> None:
        """Refuse a request of so many photos before they are converted.

        Raises:
            RefusedError: there are none, or too many for this server, or for now.
        """
        try:
            check_count(photos, min(MOST_PHOTOS, self.settings.queue))
        except DataError as error:
            raise RefusedError(INVALID, str(error)) from None
        self.engine.gate.check(photos)

    async def answers(
        self, served: Served, sources: Sequence[Source], deadline: float, *, event: bool = False
    ) -> list[Answer]:
        """One answer a photo; of an event one answer for all.

        Raises:
            RefusedError: no photos, too many or none readable, a full queue, the deadline has passed, or the
                model says what are no probabilities.
        """
        self.check_room(len(sources))
        answers = await self.engine.answers(served, sources, deadline)
        self.telemetry.answered(served.name, answers)
        self.telemetry.compared(served.name, familiar_document(answers, served.model.card))
        if any(one.reason == NO_PROBABILITY for one in answers):
            log.error("%s (%s): %s", served.name, served.model.fingerprint[:12], NO_PROBABILITY)
            raise RefusedError(INTERNAL, f"It is not the photo: {NO_PROBABILITY}.")
        if all(one.probabilities is None for one in answers):
            named = answers[0].name or "The photo"
            raise RefusedError(UNREADABLE, f"{named} cannot be used as a picture: {answers[0].reason}.")
        return [pool(answers, served.model.card)] if event else answers

    async def check_ready(self, name: str | None = None, version: str | None = None) -> None:
        """Refuse unless that model, or if none is named every model, is open and can compute, and the server
        is not about to stop.

        Raises:
            RefusedError: it is not so, and why.
        """
        if self.shelf.draining:
            raise RefusedError(NOT_READY, "The server is about to stop.", retry_after=1)
        names = self.shelf.names if name is None else (name,)
        served = [self.shelf.get(one, version) for one in names]
        await asyncio.gather(*map(self.engine.check_ready, served))

    async def ready(self, name: str | None = None, version: str | None = None) -> bool:
        """Whether `check_ready` finds nothing.

        Raises:
            RefusedError: there is no such model.
        """
        try:
            await self.check_ready(name, version)
        except RefusedError as refusal:
            if refusal.kind is not NOT_READY:
                raise
            return False
        return True

    def describe(self, served: Served) -> dict[str, Any]:
        """What an answer tells of the model that it comes from, JSON-able."""
        return describe(served.model) | {"name": served.name} | self.engine.says(served)

    def deadline(self, seconds: float | None = None) -> float:
        """The event loop's time by which a request that begins now must be answered."""
        allowed = self.settings.deadline
        return asyncio.get_running_loop().time() + (allowed if seconds is None else min(seconds, allowed))

    def check_token(self, authorization: str | None) -> None:
        """Let in who shows the token; takes equally long whatever is shown.

        Raises:
            RefusedError: another token, or none.
        """
        wanted = self.settings.token
        if wanted is None:
            return
        scheme, _, shown = (authorization or "").partition(" ")
        same = hmac.compare_digest(shown.strip().encode("utf-8", "replace"), wanted.encode())
        if scheme.lower() != "bearer" or not same:
            raise RefusedError(UNAUTHENTICATED, "This server asks for 'Authorization: Bearer <token>'.")


async def build_service(settings: Settings, cores: int, halt: Halt | None = None) -> Service:
    """Open the models and make all that answers.

    Args:
        settings: how to serve.
        cores: for this process.
        halt: ends the trial of a model, now and whenever one is replaced.

    Raises:
        TraplineError: a model cannot be opened.
        HaltedError: its trial was ended.
    """
    threads = settings.threads or max(1, cores)
    computes = settings.backend is None
    shelf = Shelf(
        settings.models,
        threads=threads if (settings.batch or 1) > 1 else 1,
        runtime=settings.runtime if computes else "cpu",
        batch=settings.batch or 1,
        halt=halt,
    )
    lanes = Lanes(threads + 1)  # one more: a photo on its way to or from its decoder leaves its core idle
    await asyncio.gather(asyncio.to_thread(shelf.open_all), asyncio.to_thread(lanes.warm_up))
    on_processor = shelf.get().model.runtime in ("cpu", OPENVINO)
    batch = settings.batch or (1 if on_processor else min(ACCELERATOR_BATCH, settings.queue))
    engine: Engine
    if not computes:
        from trapline.serving.backend import GatewayEngine  # speaks gRPC, which a function in the cloud lacks

        engine = GatewayEngine(settings, lanes)
    elif batch > 1:
        engine = BatchingEngine(lanes, settings.queue, batch, settings.batch_wait)
    else:
        engine = LocalEngine(lanes, settings.queue)
    telemetry = Telemetry()
    shelf.replaced = telemetry.replaced
    return Service(settings, shelf, engine, telemetry, Fetcher(settings.allow_url))
