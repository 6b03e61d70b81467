"""One process that serves: starts, watches the model files, drains, stops. Or several under a parent."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from typing import Any

from trapline.errors import TraplineError, UsageError
from trapline.models import Halt, HaltedError, Key, available_cores, mark_all_passed, take_over
from trapline.serving.grpc_server import GrpcServer, port_taken
from trapline.serving.http_server import HttpServer, bind
from trapline.serving.rest import LastWord, build_app
from trapline.serving.service import Service, build_service
from trapline.serving.settings import Settings
from trapline.serving.telemetry import MANY_WORKERS

log = logging.getLogger("trapline.serving")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LOOK_SECONDS = 1.0
_TEND_SECONDS = 0.1
_LAST_SECONDS = 0.2
"""For the requests on connections that were made just before the last could be."""

_LONGEST_PAUSE = 30.0
"""Seconds before a worker that cannot start is tried again."""


@dataclass(frozen=True)
class Ports:
    """Where a server listens; `grpc` is None if it speaks no gRPC."""

    http: int
    grpc: int | None


def serve(settings: Settings, started: Callable[[Ports], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is running.

    Args:
        settings: how.
        started: called once the server accepts requests.

    Raises:
        TraplineError: a model cannot be opened, or an address cannot be had.
    """
    try:
        listening = bind(settings.host, settings.port)
    except OSError as error:
        raise TraplineError(
            f"Port {settings.port} on {settings.host} cannot be had: {error.strerror or error}. "
            "Choose another with --port."
        ) from None
    with listening:
        if settings.workers == 1:
            asyncio.run(_serve(settings, listening, started))
        else:
            _Parent(settings, listening).run(started)


async def _serve(
    settings: Settings, listening: socket.socket, started: Callable[[Ports], None], *, many: bool = False
) -> None:
    """One process: HTTP and gRPC in one event loop, the work in threads beside it."""
    stop = _stop_event((signal.SIGTERM,) if many else _SIGNALS)  # first: process 1 would not notice it later
    trials = Halt()
    beside = [asyncio.create_task(_end_trials(stop, trials))]
    try:
        service = await build_service(settings, max(1, available_cores() // settings.workers), trials)
    except HaltedError:
        return
    calls = None if settings.grpc_port is None else GrpcServer(service, share_port=many)
    pages = HttpServer(LastWord(build_app(service)), settings.deadline + 1)
    if many:
        beside.append(asyncio.create_task(_watch_parent(stop)))
    if calls is not None:
        await calls.start()
    http = asyncio.create_task(pages.serve(sockets=[listening]))
    beside.append(asyncio.create_task(service.shelf.watch(settings.poll)))
    started(Ports(listening.getsockname()[1], calls.port if calls else None))
    given_up = asyncio.create_task(service.engine.given_up())
    ends = (http, asyncio.create_task(stop.wait()), given_up)
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    trials.now()
    await _drain(service, pages, http, calls)
    for task in beside:
        task.cancel()
    at_rest = await service.engine.close()
    if given_up.done() or not at_rest:
        log.error("A network that does not end is ended with this process, with status 1.")
        os._exit(1)  # the interpreter would wait for its thread
    given_up.cancel()


async def _end_trials(stop: asyncio.Event, trials: Halt) -> None:
    """End the trial of a model, which may take half a minute, as soon as the server is told to stop."""
    await stop.wait()
    trials.now()


async def _watch_parent(stop: asyncio.Event) -> None:
    """Stop when the process that would replace this one is gone: nobody else would."""
    parent = multiprocessing.parent_process()
    while parent is not None and parent.is_alive():
        await asyncio.sleep(_LOOK_SECONDS)
    stop.set()


def _stop_event(numbers: tuple[signal.Signals, ...]) -> asyncio.Event:
    """Set by the first of these signals; the second ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in numbers:
        try:
            loop.add_signal_handler(number, ask)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(ask))
    return stop


async def _drain(
    service: Service, pages: HttpServer, http: asyncio.Task[None], calls: GrpcServer | None
) -> None:
    """Say that this server is no longer ready, give others time to notice, then finish what is running."""
    service.shelf.draining = True
    log.info("Stopping: %d photos in work", service.engine.gate.inside)
    await asyncio.sleep(service.settings.drain)
    pages.stop_listening()
    await asyncio.sleep(_LAST_SECONDS)
    pages.should_exit = True
    await asyncio.gather(http, *([calls.stop(service.settings.deadline)] if calls else []))


@dataclass
class _Worker:
    """A process that serves.

    Attributes:
        process: of it.
        ready: set by it once it answers.
        failures: how many in its place ended before they answered, one after the other.
        again: by `time.monotonic`, when another takes its place; None while it lives.
    """

    process: BaseProcess
    ready: Any
    failures: int = 0
    again: float | None = None


class _Parent:
    """Keeps the workers alive; serves nothing itself."""

    def __init__(self, settings: Settings, listening: socket.socket) -> None:
        if settings.grpc_port is not None:
            if not hasattr(socket, "SO_REUSEPORT"):
                raise UsageError("Several workers cannot share a gRPC port on this system; give --no-grpc.")
            self._grpc = _reserve(settings)
            settings = replace(settings, grpc_port=self._grpc.getsockname()[1])
        self._settings, self._listening = settings, listening
        self._context = multiprocessing.get_context("spawn")
        self._counts = tempfile.TemporaryDirectory(prefix="trapline-counts-")
        self._told_to_stop = (
            0  # times; no Event, whose lock a signal may find taken by the very thread it stops
        )

    def run(self, started: Callable[[Ports], None]) -> None:
        """Start the workers, replace those that die, stop all when told to.

        Raises:
            TraplineError: no worker could start, or they were told twice to stop and did so at once.
        """
        os.environ[MANY_WORKERS] = self._counts.name
        for number in _SIGNALS:
            signal.signal(number, self._ask_to_stop)
        with self._counts:
            workers = [self._start() for _ in range(self._settings.workers)]
            try:
                self._wait_for_first(workers)
                started(Ports(self._listening.getsockname()[1], self._settings.grpc_port))
                while not self._told_to_stop:
                    time.sleep(_TEND_SECONDS)
                    workers = [self._tend(worker) for worker in workers]
            finally:
                self._stop(workers)
        if self._told_to_stop > 1:
            raise TraplineError("Told twice to stop, so requests that ran were not waited for.")

    def _ask_to_stop(self, *_: object) -> None:
        self._told_to_stop += 1

    def _start(self, failures: int = 0) -> _Worker:
        ready = self._context.Event()
        process = self._context.Process(
            target=_work, args=(self._settings, self._listening, ready, mark_all_passed())
        )
        process.start()
        return _Worker(process, ready, failures)

    def _wait_for_first(self, workers: list[_Worker]) -> None:
        """Wait until one worker answers.

        Raises:
            TraplineError: one ended instead; it has said why.
        """
        while not any(worker.ready.is_set() for worker in workers):
            time.sleep(_TEND_SECONDS)
            if self._told_to_stop:
                return
            if not all(worker.process.is_alive() for worker in workers):
                raise TraplineError("A worker could not start; the lines above say why.")

    def _tend(self, worker: _Worker) -> _Worker:
        """The worker; or if it is dead the one in its place: at once if it had served, else ever later, for a
        file that cannot be opened must not keep a core busy with trying.
        """
        if worker.process.is_alive() or self._told_to_stop:
            return worker
        if worker.again is None:
            from prometheus_client import multiprocess

            worker.failures = 0 if worker.ready.is_set() else worker.failures + 1
            pause = min(_LONGEST_PAUSE, 2.0 ** (worker.failures - 1)) if worker.failures else 0.0
            worker.again = time.monotonic() + pause
            dead = worker.process
            log.error("Worker %s died with status %s; another starts in %g s", dead.pid, dead.exitcode, pause)
            multiprocess.mark_process_dead(dead.pid)  # type: ignore[no-untyped-call]
        return worker if time.monotonic() < worker.again else self._start(worker.failures)

    def _stop(self, workers: list[_Worker]) -> None:
        """Tell all to finish what is running; end those that do not in time, or all if there is no time."""
        processes = [worker.process for worker in workers if worker.process.is_alive()]
        for process in processes:
            process.terminate()
        self._listening.close()  # else the system would take connections after the last worker has stopped to
        until = time.monotonic() + self._settings.drain + self._settings.deadline + 5
        while any(process.is_alive() for process in processes):
            if time.monotonic() > until or self._told_to_stop > 1:
                break
            time.sleep(_TEND_SECONDS)
        for process in processes:
            process.kill()
            process.join()


def _reserve(settings: Settings) -> socket.socket:
    """Hold the gRPC port for the workers, which each bind it themselves."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    held = socket.socket(family, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        # The option lets in another server's workers as well, and each would get some of the other's calls.
        socket.create_server((settings.host, settings.grpc_port or 0), family=family).close()
        held.bind((settings.host, settings.grpc_port))
    except OSError as error:
        raise port_taken(settings, f": {error.strerror}") from None
    return held


def _work(settings: Settings, listening: socket.socket, ready: Any, known: frozenset[Key]) -> None:
    """A worker's whole life; it need not try again the models that its parent knows."""
    configure_log()
    take_over(known)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent then tells us
    try:
        asyncio.run(_serve(settings, listening, lambda _: ready.set(), many=True))
    except TraplineError as error:
        sys.exit(f"Error: {error}")


def configure_log() -> None:
    """One line an event on standard error, without photos' names or clients' words."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
