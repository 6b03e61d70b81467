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
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from typing import Any

from trapline.errors import TraplineError, UsageError
from trapline.models.cores import available_cores
from trapline.serving.grpc_server import GrpcServer
from trapline.serving.http_server import HttpServer, bind
from trapline.serving.rest import build_app
from trapline.serving.service import Service, build_service
from trapline.serving.settings import Settings
from trapline.serving.telemetry import MANY_WORKERS

log = logging.getLogger("trapline.serving")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_RESTART_SECONDS = 1.0


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
    service = await build_service(settings, max(1, available_cores() // settings.workers))
    speaks_grpc = settings.grpc_port is not None
    calls = GrpcServer(service, share_port=many) if speaks_grpc else None
    pages = HttpServer(build_app(service), settings.deadline + 1)
    stop = _stop_event((signal.SIGTERM,) if many else _SIGNALS)
    orphaned = asyncio.create_task(_watch_parent(stop)) if many else None
    if calls is not None:
        await calls.start()
    http = asyncio.create_task(pages.serve(sockets=[listening]))
    watching = asyncio.create_task(service.shelf.watch(settings.poll))
    started(Ports(listening.getsockname()[1], calls.port if calls else None))
    await asyncio.wait([http, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
    await _drain(service, pages, http, calls)
    watching.cancel()
    if orphaned is not None:
        orphaned.cancel()
    await service.engine.close()


async def _watch_parent(stop: asyncio.Event) -> None:
    """Stop when the process that would replace this one is gone: nobody else would."""
    parent = multiprocessing.parent_process()
    while parent is not None and parent.is_alive():
        await asyncio.sleep(_RESTART_SECONDS)
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
    pages.should_exit = True
    await asyncio.gather(http, *([calls.stop(service.settings.deadline)] if calls else []))


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
        self._stopping = threading.Event()

    def run(self, started: Callable[[Ports], None]) -> None:
        """Start the workers, replace those that die, stop all when told to."""
        os.environ[MANY_WORKERS] = self._counts.name
        for number in _SIGNALS:
            signal.signal(number, lambda *_: self._stopping.set())
        with self._counts:
            workers = [self._start() for _ in range(self._settings.workers)]
            try:
                self._wait_for_first(workers)
                started(Ports(self._listening.getsockname()[1], self._settings.grpc_port))
                while not self._stopping.wait(0.2):
                    workers = [worker if worker.is_alive() else self._again(worker) for worker in workers]
            finally:
                self._stop(workers)

    def _start(self) -> BaseProcess:
        ready = self._context.Event()
        worker = self._context.Process(target=_work, args=(self._settings, self._listening, ready))
        worker.start()
        worker.ready = ready  # type: ignore[attr-defined]
        return worker

    def _wait_for_first(self, workers: list[BaseProcess]) -> None:
        """Wait until one worker answers.

        Raises:
            TraplineError: one ended instead; it has said why.
        """
        while not any(worker.ready.is_set() for worker in workers):  # type: ignore[attr-defined]
            if self._stopping.wait(0.05):
                return
            if not all(worker.is_alive() for worker in workers):
                raise TraplineError("A worker could not start; the lines above say why.")

    def _again(self, dead: BaseProcess) -> BaseProcess:
        from prometheus_client import multiprocess

        log.error("Worker %s died with status %s; another takes its place", dead.pid, dead.exitcode)
        multiprocess.mark_process_dead(dead.pid)  # type: ignore[no-untyped-call]
        time.sleep(_RESTART_SECONDS if not dead.ready.is_set() else 0.0)  # type: ignore[attr-defined]
        return self._start()

    def _stop(self, workers: list[BaseProcess]) -> None:
        for worker in workers:
            if worker.is_alive():
                worker.terminate()
        seconds = self._settings.drain + self._settings.deadline + 5
        until = time.monotonic() + seconds
        for worker in workers:
            worker.join(max(0.1, until - time.monotonic()))
            if worker.is_alive():
                worker.kill()


def _reserve(settings: Settings) -> socket.socket:
    """Hold the gRPC port for the workers, which each bind it themselves."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    held = socket.socket(family, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        held.bind((settings.host, settings.grpc_port))
    except OSError as error:
        raise TraplineError(
            f"The gRPC port {settings.grpc_port} on {settings.host} cannot be had: {error.strerror}. "
            "Choose another with --grpc-port, or --no-grpc."
        ) from None
    return held


def _work(settings: Settings, listening: socket.socket, ready: Any) -> None:
    """A worker's whole life."""
    configure_log()
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
