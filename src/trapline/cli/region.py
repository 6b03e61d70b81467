"""`trapline region`: predictions of a model of taxa, weighed by what lives where the photos were taken."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trapline.cli._common import Force, refuse_to_overwrite


def run(
    predictions: Annotated[Path, typer.Argument(help="Predictions of a model of taxa.")],
    species: Annotated[
        Path, typer.Argument(help="CSV: name (label, taxon or common name) and, if you like, weight.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The table to write, .csv or .parquet.")],
    unlisted: Annotated[
        float, typer.Option(min=0, help="Weight of animals that are not named; 0 rules them out.")
    ] = 0.01,
    force: Force = False,
) -> None:
    """Weigh predictions by a regional list of species: how much more often each is met than in training."""
    from trapline.prediction import Predictions
    from trapline.prediction.region import read_region, weigh_by_region

    refuse_to_overwrite(output, force)
    found = weigh_by_region(Predictions.load(predictions), read_region(species), unlisted)
    found.save(output)
    weights = found.info["region"]["weights"]
    out = [label for label, weight in weights.items() if weight == 0]
    typer.echo(f"Wrote {output}: {len(found)} rows, {len(weights)} labels weighed.")
    if unknown := found.info["region"]["unknown"]:
        typer.echo(f"The model does not know, so passed over: {', '.join(unknown)}.")
    if out:
        typer.echo(f"Ruled out: {', '.join(out)}.")
