"""Where photos become pixels while many ask: so many at a time, each in a process that can be ended.

A decoder is C, and a photo may have been made to keep it busy. So each is decoded by another process
(`trapline.images.decoders`), which is ended when the photo has taken its seconds or its request's deadline
has passed; and a photo that takes long leaves its lane to others, so that a few of its kind hold up nobody.
"""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from trapline.errors import TraplineError
from trapline.images import Decoder, Decoders, ImageError, Preprocessing, choose_box
from trapline.models import Card
from trapline.serving.answers import SERVING_LIMITS, PreparedPhoto, RequestPhoto
from trapline.serving.refusals import NOT_READY, RefusedError, too_late
from trapline.serving.shelf import Served

Source = RequestPhoto | PreparedPhoto
"""What is asked about: an encoded photo, or pixels that the client has made itself."""

T = TypeVar("T")

LONG = 0.5
"""Seconds after which a photo counts as slow and makes way."""

SLOW_A_LANE = 1
"""Slow photos at one time beside the others, for each lane; each may take a decoder's memory."""

STUCK = 2.0
"""Seconds that a photo may wait for its turn before the server is no longer ready."""


OVERDUE = SERVING_LIMITS.max_seconds + 3.0
"""Seconds after which a decoder that has ended neither the photo nor itself is ended from here."""


class Lanes:
    """Threads that each carry one photo at a time to a decoder, and perhaps through the network.

    A photo that takes long while others wait goes aside: it is decoded on, with a low priority, where only
    few are; or if there is no room, begun anew there when there is. So slow photos hold up each other.

    Args:
        lanes: photos at a time, slow ones aside.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self._free, self._aside = asyncio.Semaphore(lanes), asyncio.Semaphore(SLOW_A_LANE * lanes)
        self._threads = ThreadPoolExecutor((1 + SLOW_A_LANE) * lanes, thread_name_prefix="photo")
        self._waiting: dict[Slot, float] = {}
        self._decoders = Decoders()
        self._broken = False  # whether a decoder could not be started

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """What a function makes of a photo, in a thread, once there is a lane.

        Args:
            work: is called with the arguments and the photo's place, which it gives to `view`.
            arguments: of it.
        """
        slot = Slot(self._free)
        self._waiting[slot] = time.monotonic()
        try:
            await self._free.acquire()
        finally:
            del self._waiting[slot]
        timer = asyncio.get_running_loop().call_later(LONG, self._look_after, slot)
        try:
            return await self._in_thread(slot, work, *arguments)
        except _MadeWayError:
            slot = Slot(self._aside, slow=True)
            await self._aside.acquire()
            return await self._in_thread(slot, work, *arguments)
        finally:
            timer.cancel()

    async def _in_thread(self, slot: Slot, work: Callable[..., T], *arguments: object) -> T:
        """A request that is given up leaves its place when the function has returned, and not before; a photo
        that takes long is then decoded no further, a quick one is left to end by itself.
        """
        try:
            running = asyncio.get_running_loop().run_in_executor(
                self._threads, partial(work, *arguments, slot)
            )
        except RuntimeError:  # the system gives no thread
            slot.give_back()
            raise
        running.add_done_callback(slot.leave)
        self._end_after(OVERDUE, slot)  # a decoder that is stuck, or stopped
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self._end_after(LONG, slot)
            raise

    def _end_after(self, seconds: float, slot: Slot) -> None:
        """See to it that a photo that is decoded for so long is decoded no further, and keeps no lane."""
        if slot.decodes_since(seconds):
            slot.end()
        elif not slot.left:
            slot.watch = asyncio.get_running_loop().call_later(seconds / 5, self._end_after, seconds, slot)

    def _look_after(self, slot: Slot) -> None:
        """Have a photo that takes long make way, if others wait."""
        if slot.left:
            return
        if not self._waiting or not slot.decodes_since(LONG):
            asyncio.get_running_loop().call_later(LONG / 5, self._look_after, slot)
        elif not self._aside.locked():
            slot.moving = asyncio.ensure_future(self._move(slot))
        elif slot.make_way():
            self._replace()

    async def _move(self, slot: Slot) -> None:
        if self._aside.locked():  # by another that moved just now
            self._look_after(slot)
            return
        await self._aside.acquire()  # does not wait: it was not locked
        if slot.left or not slot.step_back():
            self._aside.release()
            return
        slot.held.release()
        slot.held = self._aside
        self._replace()

    def _replace(self) -> None:
        """Start another decoder meanwhile, so that the next photo need not wait for that."""
        asyncio.get_running_loop().run_in_executor(None, self._add)

    def _add(self) -> None:
        with suppress(TraplineError):  # the next photo will be told
            self._decoders.add()

    def view(self, source: Source, served: Served, deadline: float, slot: Slot) -> PreparedPhoto:
        """What the network sees of a source; decodes it if it is a photo. For `run`.

        Raises:
            RefusedError: its turn came, or its decoding ended, after the deadline.
        """
        left = deadline - time.monotonic()
        if left <= 0:
            raise too_late()
        return (
            source
            if isinstance(source, PreparedPhoto)
            else self._decode(source, served.model.card, left, slot)
        )

    def _decode(self, photo: RequestPhoto, card: Card, seconds: float, slot: Slot) -> PreparedPhoto:
        size = card.preprocessing
        pixels = np.zeros((size.height, size.width, 3), np.uint8)
        until = time.monotonic() + seconds
        try:
            box = choose_box(photo.boxes, size.crop)
            with self._decoders.borrow() as decoder:
                decoder.start()  # the time that it takes is not the photo's
                if slot.slow:
                    decoder.step_back()
                with slot.decoding(decoder):
                    made = decoder.prepare_into(pixels, photo.content, size, box, SERVING_LIMITS, seconds)
        except ImageError as error:
            if slot.made_way:
                raise _MadeWayError from None
            if time.monotonic() >= until:
                raise too_late() from None
            return PreparedPhoto(photo.name, None, error.reason)
        except TraplineError as error:
            self._broken = True
            raise RefusedError(NOT_READY, str(error), retry_after=1) from error
        return PreparedPhoto(photo.name, made.pixels, made.warning)

    def warm_up(self) -> None:
        """Have a decoder for each lane decode a photo, as proof that it can; later photos find it started.

        Raises:
            TraplineError: no process can be started, or none can decode.
        """
        content, size = io.BytesIO(), Preprocessing()
        Image.new("RGB", (8, 8)).save(content, "PNG")
        with ExitStack() as stack, ThreadPoolExecutor(self.lanes) as pool:
            started = [
                pool.submit(
                    stack.enter_context(self._decoders.borrow()).prepare_into,
                    np.zeros((size.height, size.width, 3), np.uint8),
                    content.getvalue(),
                    size,
                )
                for _ in range(self.lanes)
            ]
            try:
                for one in started:
                    one.result()
            except ImageError as error:
                raise TraplineError(f"Photos cannot be decoded on this machine: {error.reason}.") from None

    async def check_ready(self) -> None:
        """Refuse if a photo that came now would not be looked at.

        Raises:
            RefusedError: photos have been waiting too long for their turn, or no decoder can be started.
        """
        if self._broken:  # tried again here: a server that is not ready is sent no photos
            try:
                await asyncio.to_thread(self.warm_up)
            except TraplineError as error:
                raise RefusedError(NOT_READY, str(error), retry_after=1) from error
            self._broken = False
        if not self._waiting:
            return
        waited = time.monotonic() - next(iter(self._waiting.values()))
        if waited > STUCK:
            raise RefusedError(
                NOT_READY, f"Photos have been waiting for {waited:.0f} s for their turn.", retry_after=1
            )

    def close(self) -> None:
        """End the decoders, whatever they are at, and let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._decoders.end()


class _MadeWayError(Exception):
    """The decoding of a slow photo was ended for others; it is begun anew aside."""


class Slot:
    """Where a photo is: in a lane or aside; given back when its thread is done with it.

    Attributes:
        held: what is given back.
        slow: whether it began aside.
        moving: keeps the task alive that moves it aside.
        watch: on a decoder that does not end.
        made_way: whether its decoding was ended for others.
        left: whether its thread is done with it.
    """

    def __init__(self, held: asyncio.Semaphore, *, slow: bool = False) -> None:
        self.held, self.slow = held, slow
        self.moving: asyncio.Future[None] | None = None
        self.watch: asyncio.TimerHandle | None = None
        self.made_way = self.left = False
        self._lock = threading.Lock()  # a decoder that is done with this photo may be at another's already
        self._decoder: Decoder | None = None
        self._since = 0.0

    @contextmanager
    def decoding(self, decoder: Decoder) -> Iterator[None]:
        """The photo is decoded by this one meanwhile."""
        with self._lock:
            self._since, self._decoder = time.monotonic(), decoder
        try:
            yield
        finally:
            with self._lock:
                self._decoder = None

    def decodes_since(self, seconds: float) -> bool:
        """Whether the photo has been decoded for that long, and still is."""
        with self._lock:
            return self._decoder is not None and time.monotonic() - self._since >= seconds

    def step_back(self) -> bool:
        """Let others have the processor first; whether it is still decoded."""
        with self._lock:
            if self._decoder is not None:
                self._decoder.step_back()
            return self._decoder is not None

    def make_way(self) -> bool:
        """End the decoding, to be begun anew; whether there was one."""
        with self._lock:
            self.made_way = self._decoder is not None
            if self._decoder is not None:
                self._decoder.end()
            return self.made_way

    def end(self) -> None:
        """End the decoding, if there is one, for good."""
        with self._lock:
            if self._decoder is not None:
                self._decoder.end()

    def give_back(self) -> None:
        """Whoever waits next may begin."""
        self.left = True
        if self.watch is not None:
            self.watch.cancel()
        self.held.release()

    def leave(self, done: asyncio.Future[Any]) -> None:
        """The photo is done."""
        self.give_back()
        if not done.cancelled():
            done.exception()  # looked at, also where nobody waits for it any more
