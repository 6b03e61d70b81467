"""Everything that `trapline serve` can be told, checked in one place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trapline.errors import UsageError, many
from trapline.models import PLAIN, Halt, TfSignature
from trapline.storage import MOST_BYTES, AnyPath, as_any_path, is_url, local_copy

MOST_BODY = 64 * 2**20
"""Bytes of one request; several photos may come in one."""

MOST_JSON = 16 * 2**20
"""Bytes of one request in JSON, whose parsed form is many times larger than its text."""

MOST_HELD = 256 * 2**20
"""Bytes of all requests at one time that are being answered, and over HTTP also received."""

MOST_MESSAGE = 32 * 2**20
"""Bytes of one gRPC message."""

MOST_RECEIVED = 4
"""gRPC messages that are received at one time: how long one is tells nobody before it is whole."""

MOST_CONNECTIONS = 512
"""Open HTTP connections; for one more the oldest that sends nothing is closed."""

MOST_HEAD = 64 * 2**10
"""Bytes of a request's line and headers."""

HEAD_SECONDS = 10.0
"""Within which a connection must have sent the whole head of its next request."""

ACCELERATOR_BATCH = 16

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HOST = re.compile(
    r"(?=.{1,259}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+(:\d{1,5})?"
)

Protocol = Literal["v2", "tensorflow"]


@dataclass(frozen=True)
class Settings:
    """How to serve.

    Attributes:
        models: name → model file; the first is the one that `/predict` asks unless told otherwise.
        host: the address to listen on.
        port: of HTTP; 0 for any free one.
        grpc_port: of gRPC; 0 for any free one, None for no gRPC.
        workers: processes; a worker that dies is replaced.
        threads: per worker, photos that are decoded and run at one time; None for the cores over the workers.
        runtime: what runs the network, one of `trapline.models.runtimes.RUNTIMES`.
        batch: most photos run at once; 1 runs each as it comes. None for 1 on a processor and
            `ACCELERATOR_BATCH` elsewhere.
        batch_wait: with batches, seconds that a photo may wait for others.
        queue: most photos in work or waiting per worker; requests beyond it are refused as busy.
        deadline: seconds that a request may take, from its head to its answer.
        drain: seconds to go on serving, no longer ready, after being told to stop.
        token: which clients must show; None lets everyone in.
        allow_url: hosts from which photos may be fetched (`host`, or `host:port` for another port than 443);
            empty for none.
        backend: `host:port` of a model server that computes instead of this process.
        backend_protocol: what it speaks.
        backend_token: what it is shown; None for nothing.
        tf: how TensorFlow Serving's clients ask.
        poll: seconds between looks at whether a model file was replaced.
    """

    models: dict[str, AnyPath]
    host: str = "127.0.0.1"
    port: int = 8080
    grpc_port: int | None = 8500
    workers: int = 1
    threads: int | None = None
    runtime: str = "auto"
    batch: int | None = None
    batch_wait: float = 0.005
    queue: int = 128
    deadline: float = 30.0
    drain: float = 0.0
    token: str | None = None
    allow_url: tuple[str, ...] = ()
    backend: str | None = None
    backend_protocol: Protocol = "v2"
    backend_token: str | None = None
    tf: TfSignature = PLAIN
    poll: float = 1.0

    def __post_init__(self) -> None:
        if not self.models:
            raise UsageError("Name at least one model file to serve.")
        if self.token is not None and (not self.token or not self.token.isascii()):
            raise UsageError("The token must be some ASCII text; leave --token out to let everyone in.")
        if self.backend_token is not None and not self.backend_token.isascii():
            raise UsageError("The model server's token must be ASCII text.")
        for host in self.allow_url:
            if not _HOST.fullmatch(host):
                raise UsageError(
                    f"--allow-url takes the name of a host, as in images.example.org, not '{host}'."
                )
        if self.batch is not None and self.batch > self.queue:
            raise UsageError(
                f"A batch of {self.batch} can never fill in a queue of {many(self.queue, 'photo')}."
            )
        if self.backend is not None and not re.fullmatch(r"[^/\s]+:\d+", self.backend):
            raise UsageError(
                f"--backend takes a model server's address, as in grpc://models:8500, not '{self.backend}'."
            )


def name_models(arguments: Sequence[str], batch: int = 1, halt: Halt | None = None) -> dict[str, AnyPath]:
    """Name → model file, from `model.onnx` (named by its card) or `name=model.onnx`; it may be in a bucket.

    Args:
        arguments: of the command.
        batch: images that a model is asked about at once, at most.
        halt: ends their trial.

    Raises:
        UsageError: a name is no name, or two models share one.
        DataError: a file is missing or no model file, or the model did not pass its trial.
        HaltedError: it was ended.
    """
    from trapline.models import ModelFile
    from trapline.serving.answers import check_classifier
    from trapline.serving.shelf import trial_of

    named: dict[str, AnyPath] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not equals or is_url(argument) or Path(argument).exists():
            name, path = "", argument
        with local_copy(as_any_path(path), most_bytes=MOST_BYTES) as file:
            model = check_classifier(ModelFile(file, threads=1, runtime="cpu", trial=trial_of(batch, halt)))
        name = name or re.sub(r"[^A-Za-z0-9._-]+", "-", model.card.name).strip("-.") or "model"
        if not _NAME.fullmatch(name):
            raise UsageError(f"'{name}' cannot name a model: use letters, digits, '.', '_' and '-'.")
        if name in named:
            raise UsageError(
                f"Two models are called '{name}': {named[name]} and {path}. Name one: other={path}"
            )
        named[name] = as_any_path(path) if is_url(path) else model.path
    return named
