"""`trapline region`: predictions of a model of taxa, weighed by what lives where the photos were taken."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trapline.cli._common import Force, Table, refuse_as_predictions
from trapline.errors import many


def run(
    predictions: Annotated[Path, typer.Argument(help="Predictions of a model of taxa.")],
    species: Annotated[
        Path,
        typer.Argument(
            help="CSV: name (label, taxon or common name) and, if you like, weight, genus, family, …"
        ),
    ],
    output: Table,
    unlisted: Annotated[
        float, typer.Option(min=0, help="Weight of animals that are not named; 0 rules them out.")
    ] = 0.01,
    force: Force = False,
) -> None:
    """Weigh predictions by a regional list of species: how much more often each is met than in training."""
    from trapline import api

    refuse_as_predictions(output, force, predictions)
    weighed = api.weigh_by_region(predictions, species, unlisted=unlisted)
    weighed.save(output)
    region = weighed.facts.region
    assert region is not None
    weights, not_named, unknown = region.weights, region.not_named, region.unknown
    typer.echo(f"Wrote {output}: {many(len(weighed), 'row')}, {many(len(weights), 'label')} weighed.")
    if unknown:
        typer.echo(f"Nothing that the model knows, so passed over: {', '.join(unknown)}.")
    if not_named:
        typer.echo(f"Not named, weight {unlisted:g}: {', '.join(not_named)}.")
    if out := [label for label, weight in weights.items() if weight == 0 and label not in not_named]:
        typer.echo(f"Ruled out: {', '.join(out)}.")
