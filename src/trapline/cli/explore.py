"""`trapline explore`: what is in these photos?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trapline.cli._common import Force, Json, Report, Seed, progress, refuse_to_overwrite


def run(
    catalog: Annotated[Path, typer.Argument(help="The catalog (.parquet).")],
    output: Report = None,
    sample: Annotated[int, typer.Option(min=0, help="Photos to open for sizes, colour and damage.")] = 500,
    full: Annotated[
        bool, typer.Option("--full", help="Open every photo, and look for those that look alike.")
    ] = False,
    no_pictures: Annotated[bool, typer.Option("--no-pictures", help="Leave example photos out.")] = False,
    seed: Seed = 42,
    json: Json = False,
    force: Force = False,
) -> None:
    """Look into a catalog before training: labels, locations, times, files, and what could go wrong."""
    from trapline import api

    if output is not None:
        refuse_to_overwrite(output, force)
    with progress() as display:
        task = display.add_task("Opening photos", total=None, rate="")
        exploration = api.explore(
            catalog,
            output,
            sample=sample,
            full=full,
            pictures=not no_pictures,
            seed=seed,
            on_file=lambda media: display.update(task, advance=1, total=media),
        )
    typer.echo(exploration.model_dump_json(indent=1) if json else exploration.to_text())
    if output is not None:
        typer.echo(f"Wrote {output}", err=True)
