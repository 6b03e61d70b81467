"""`trapline predictions`: other tools' answers as a table like ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from trapline.cli._common import Force, refuse_as_predictions


def run(
    source: Annotated[
        Path, typer.Argument(help="The file that another tool wrote.", show_default=False, metavar="FILE")
    ],
    catalog: Annotated[
        Path, typer.Argument(help="The catalog, or the source, of the media.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The table to write, .csv or .parquet.", show_default=False)
    ],
    format: Annotated[str, typer.Option("--format", help="auto, or one of: {formats}.")] = "auto",
    rename: Annotated[
        Path | None,
        typer.Option(help="A CSV with the columns from and to: its labels, and those of the catalog."),
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Of a table, as in cp1252.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse entries that cannot be used.")] = False,
    *,
    options: dict[str, Any],
    force: Force = False,
) -> None:
    """Read the answers in FILE for the media of CATALOG, to evaluate, pool and write them as one's own."""
    from trapline import api

    refuse_as_predictions(output, force, source, catalog)
    answers = api.read_answers(
        source, catalog, format=format, rename=rename, encoding=encoding, strict=strict, options=options
    )
    table = answers.predictions
    table.save(output)
    typer.echo(f"{table.facts.model_name} ({answers.format}: {answers.why})")
    for sentence in answers.notes:
        typer.echo(f"note: {sentence}")
    counts = table.summary()
    surest = ", ".join(f"{label} {number:,}" for label, number in list(counts.top_labels.items())[:8])
    typer.echo(f"Wrote {output}: {counts.ok:,} media answered, {counts.failed:,} failed; {surest}.")
