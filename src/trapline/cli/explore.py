"""`trapline explore`: what is in these photos?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trapline.cli._common import Force, Json, Seed, progress, refuse_to_overwrite


def run(
    catalog: Annotated[Path, typer.Argument(help="The catalog (.parquet).")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a report: .html to read, .json for scripts.")
    ] = None,
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
    from trapline.catalog import Catalog
    from trapline.errors import UsageError
    from trapline.evaluation import survey

    if output is not None:
        if output.suffix.lower() not in (".html", ".json"):
            raise UsageError(f"The report is written as .html or .json, not as '{output.name}'.")
        refuse_to_overwrite(output, force)
    loaded = Catalog.load(catalog)
    with progress() as display:
        total = len(loaded) if full else min(sample, len(loaded))
        task = display.add_task("Opening photos", total=total, rate="")
        found = survey(loaded, sample=sample, full=full, seed=seed, on_file=lambda: display.advance(task))
    typer.echo(found.model_dump_json(indent=1) if json else found.to_text())
    if output is None:
        return
    if output.suffix.lower() == ".json":
        found.save_json(output)
    else:
        found.save_report(output, pictures=not no_pictures)
    typer.echo(f"Wrote {output}", err=True)
