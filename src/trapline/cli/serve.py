"""`trapline serve`: a model for others, by REST and gRPC."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from trapline.cli._common import Runtime, TfInput, TfOutput, TfRange
from trapline.errors import UsageError
from trapline.storage import AnyPath

_BACKENDS = ("v2", "tensorflow")


def _named(models: list[str], batch: int) -> dict[str, AnyPath]:
    """The models, tried. SIGTERM ends their trial, which may take half a minute, and the command; process 1
    of a container would not notice it.
    """
    from trapline.models import Halt, HaltedError
    from trapline.serving import name_models

    halt = Halt()
    before = signal.signal(signal.SIGTERM, lambda *_: halt.now())
    try:
        return name_models(models, batch, halt)
    except HaltedError:
        raise typer.Exit from None
    finally:
        signal.signal(signal.SIGTERM, before)


def run(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...", help="Model files or ids of ready models; NAME=FILE to choose the name."
        ),
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for every machine that can reach this one.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of HTTP; 0 for any free one.")] = 8080,
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="Of gRPC; 0 for any free one.")] = 8500,
    grpc: Annotated[bool, typer.Option("--grpc/--no-grpc", help="Whether to speak gRPC.")] = True,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes; one that dies is replaced.")] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Photos at one time, per worker; as many as there are cores.")
    ] = None,
    runtime: Runtime = "auto",
    batch: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Most photos run at once; 1 on a processor, 16 on a GPU."),
    ] = None,
    batch_wait: Annotated[
        float, typer.Option(min=0, help="Milliseconds that a photo may wait for others of its batch.")
    ] = 5.0,
    queue: Annotated[
        int,
        typer.Option(min=1, help="Most photos in work or waiting, per worker; then requests are refused."),
    ] = 128,
    deadline: Annotated[float, typer.Option(min=0.1, help="Seconds that a request may take.")] = 30.0,
    drain: Annotated[
        float, typer.Option(min=0, help="Seconds to go on serving, no longer ready, after SIGTERM.")
    ] = 0.0,
    token: Annotated[
        str | None,
        typer.Option(envvar="TRAPLINE_TOKEN", help="Clients must show it: Authorization: Bearer TOKEN."),
    ] = None,
    allow_url: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST",
            help="Fetch photos from this host (https, public addresses only); may be repeated.",
        ),
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(help="grpc://HOST:PORT of a model server that computes; this one is its front."),
    ] = None,
    backend_protocol: Annotated[str, typer.Option(help=f"What it speaks: {' or '.join(_BACKENDS)}.")] = "v2",
    backend_token: Annotated[
        str | None,
        typer.Option(envvar="TRAPLINE_BACKEND_TOKEN", help="What the model server asks for."),
    ] = None,
    tf_input: TfInput = None,
    tf_output: TfOutput = None,
    tf_range: TfRange = None,
) -> None:
    """Serve MODELs: REST, Open Inference Protocol, TensorFlow Serving, and a page to drop photos on."""
    from trapline.errors import require

    for package in ("fastapi", "uvicorn", "grpc"):
        require(package, "serve", "Serving")
    from trapline.models import TfSignature
    from trapline.serving import Ports, Settings, configure_log, serve

    if backend_protocol not in _BACKENDS:
        raise UsageError(f"--backend-protocol is {' or '.join(_BACKENDS)}, not '{backend_protocol}'.")
    settings = Settings(
        models=_named(models, batch or 1),
        host=host,
        port=port,
        grpc_port=grpc_port if grpc else None,
        workers=workers,
        threads=threads,
        runtime=runtime,
        batch=batch,
        batch_wait=batch_wait / 1000,
        queue=queue,
        deadline=deadline,
        drain=drain,
        token=token,
        allow_url=tuple(name.lower() for name in allow_url or ()),
        backend=None if backend is None else backend.removeprefix("grpc://"),
        backend_protocol="tensorflow" if backend_protocol == "tensorflow" else "v2",
        backend_token=backend_token or None,
        tf=TfSignature.of_options(tf_input, tf_output, tf_range),
    )

    def say(ports: Ports) -> None:
        shown = f"[{host}]" if ":" in host else host
        calls = f", gRPC at {shown}:{ports.grpc}" if ports.grpc else ""
        typer.echo(f"Serving {', '.join(settings.models)} at http://{shown}:{ports.http}/{calls}", err=True)

    configure_log()
    if host not in ("127.0.0.1", "::1", "localhost") and token is None:
        typer.echo("Note: everyone who reaches this address may ask; --token asks for a token.", err=True)
    serve(settings, say)
