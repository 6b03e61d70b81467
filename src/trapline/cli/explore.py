"""`trapline explore`: what is in these photos?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trapline.cli._common import Decisions, Force, Json, Report, Seed, SureOnly, progress, refuse_as_report


def run(
    catalog: Annotated[Path, typer.Argument(help="The catalog (.parquet).")],
    output: Report = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="Of a model that was not trained on these photos (validation.parquet of a training): show "
            "the labels that it contradicts."
        ),
    ] = None,
    decisions: Decisions = None,
    sure_only: SureOnly = False,
    sample: Annotated[int, typer.Option(min=0, help="Photos to open for sizes, colour and damage.")] = 500,
    full: Annotated[
        bool, typer.Option("--full", help="Open every photo, and look for those that look alike.")
    ] = False,
    files: Annotated[
        bool,
        typer.Option("--files/--no-files", help="Look at the photos: which are missing or equal, and some."),
    ] = True,
    no_pictures: Annotated[bool, typer.Option("--no-pictures", help="Leave example photos out.")] = False,
    seed: Seed = 42,
    json: Json = False,
    force: Force = False,
) -> None:
    """Look into a catalog before training: labels, locations, times, files, and what could go wrong."""
    from trapline import api

    written = refuse_as_report(output, None if predictions is None else "label_errors", force)
    with progress() as display:
        task = display.add_task("Opening photos", total=None, rate="")
        exploration = api.explore(
            catalog,
            output,
            predictions=predictions,
            decisions=decisions,
            sure_only=sure_only,
            sample=sample,
            full=full,
            files=files,
            pictures=not no_pictures,
            seed=seed,
            on_file=lambda media: display.update(task, advance=1, total=media),
        )
    typer.echo(exploration.model_dump_json(indent=1) if json else exploration.to_text())
    for path in written:
        typer.echo(f"Wrote {path}", err=True)
