"""What the server counts, for Prometheus."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from starlette.requests import ClientDisconnect

from trapline.serving.answers import Answer
from trapline.serving.refusals import RefusedError

_BOUNDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

MANY_WORKERS = "PROMETHEUS_MULTIPROC_DIR"
"""Where the workers of one server add up their counts; set by whoever starts them."""


class Telemetry:
    """The server's counts. Labels are few and chosen by us, never by a client."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "trapline_requests",
            "Requests by interface and outcome.",
            ("interface", "code"),
            registry=registry,
        )
        self._seconds = Histogram(
            "trapline_request_seconds",
            "From a request's head to its answer.",
            ("interface",),
            buckets=_BOUNDS,
            registry=registry,
        )
        self._photos = Counter(
            "trapline_photos", "Photos by model and status.", ("model", "status"), registry=registry
        )
        self._inside = Gauge(
            "trapline_photos_in_work",
            "Photos in work or waiting.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._compared = Counter(
            "trapline_compared_requests",
            "Requests by whether their photos are unlike what the model has learnt from.",
            ("model", "far"),
            registry=registry,
        )
        self._replaced = Counter(
            "trapline_model_replacements", "Replaced model files.", ("model", "outcome"), registry=registry
        )

    @contextmanager
    def request(self, interface: str) -> Iterator[None]:
        """Count and time one request."""
        started, code = time.perf_counter(), "ok"
        try:
            yield
        except RefusedError as refusal:
            code = refusal.kind.code
            raise
        except (asyncio.CancelledError, ClientDisconnect):
            code = "gone"  # the client: no fault of ours
            raise
        except BaseException:
            code = "internal"
            raise
        finally:
            self._requests.labels(interface, code).inc()
            self._seconds.labels(interface).observe(time.perf_counter() - started)

    def refused(self, interface: str, code: str) -> None:
        """Count a request that was refused before anything of it was read."""
        self._requests.labels(interface, code).inc()

    def answered(self, model: str, answers: list[Answer]) -> None:
        """Count a model's answers."""
        for one in answers:
            self._photos.labels(model, one.status).inc()

    def compared(self, model: str, document: Mapping[str, Any] | None) -> None:
        """Count a request whose photos were compared with those of training; see `familiar_document`."""
        if document is not None:
            self._compared.labels(model, "yes" if document["far"] else "no").inc()

    def replaced(self, model: str, good: bool) -> None:
        """Count a model file that was replaced."""
        self._replaced.labels(model, "ok" if good else "failed").inc()

    def page(self, inside: int) -> bytes:
        """All counts in Prometheus' text format, with so many photos in work; those of all workers if there
        are several.
        """
        self._inside.set(inside)
        if MANY_WORKERS not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
