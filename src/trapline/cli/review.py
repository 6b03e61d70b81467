"""`trapline review`: a page on which people decide what photos show."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from trapline.cli import _common as common


def run(
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder that `card` made, a catalog, or any source that `catalog` reads.",
            show_default=False,
        ),
    ],
    predictions: Annotated[
        Path | None, typer.Argument(help="What a model says of it: a table of `predict`.", show_default=False)
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where decisions are kept; gone on with if it is there.")
    ] = Path("decisions.db"),
    person: Annotated[
        str | None, typer.Option(help="Who decides; else the page asks.", show_default=False)
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(
            help="What is asked next: start, learn, table, errors, random, all.", show_default=False
        ),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Labels to choose from, with commas between them.", show_default=False)
    ] = None,
    taxonomy: Annotated[
        Path | None,
        typer.Option(help="Names to choose from: a CSV, JSON, SpeciesNet's labels or nested folders."),
    ] = None,
    only: Annotated[
        Path | None,
        typer.Option(help="A CSV or text file of media ids, event ids or file paths: review these alone."),
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="A model learns from what is decided, meanwhile and at the end.")
    ] = False,
    audit: Annotated[
        float,
        typer.Option(min=0, max=0.9, help="Share of the events that is drawn by chance, to estimate from."),
    ] = 0.15,
    blur_people: Annotated[
        bool, typer.Option("--blur-people", help="Show what is in boxes of people unrecognisable.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for every machine that can reach this one.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="0 for that of before, if it is free, else any.")
    ] = 0,
    token: Annotated[
        str | None,
        typer.Option(envvar="TRAPLINE_REVIEW_TOKEN", help="What the link ends with; a new one each time."),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Whether to open the page.")] = True,
) -> None:
    """A page on which people decide what photos show. Ctrl-C ends it; the same command goes on."""
    from trapline import api
    from trapline.errors import require

    for package in ("fastapi", "uvicorn", "httptools"):
        require(package, "review", "The page")

    on_this_machine = host in ("127.0.0.1", "::1", "localhost")

    def started(link: str) -> None:
        typer.echo(f"The page: {link}")
        typer.echo(f"Decisions are kept in {output}. Ctrl-C ends this; the same command goes on.", err=True)
        if not on_this_machine:
            common.note(
                "Whoever has the link sees the photos and decides, and nothing is encrypted on its way."
            )
        if browser and _has_screen():
            import webbrowser

            webbrowser.open(link)

    model = api.review(
        source,
        predictions,
        output,
        person=person,
        stream=stream,
        labels=None if labels is None else [name.strip() for name in labels.split(",") if name.strip()],
        taxonomy=taxonomy,
        only=only,
        train=train,
        audit=audit,
        blur_people=blur_people,
        host=host,
        port=port,
        token=token,
        say=common.note,
        started=started,
    )
    if model is not None:
        typer.echo(f"The model: {model}")


def _has_screen() -> bool:
    """Whether a browser would not open in the terminal."""
    return sys.platform != "linux" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
