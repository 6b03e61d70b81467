"""`trapline pool`: from photos to events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trapline.cli._common import Force, RowsPerFile, Table, refuse_as_predictions
from trapline.errors import many


def run(
    predictions: Annotated[Path, typer.Argument(help="Predictions of media.")],
    catalog: Annotated[Path, typer.Argument(help="The catalog that was predicted, with its events.")],
    output: Table,
    how: Annotated[
        str | None,
        typer.Option(
            help="mean, max, noisy-or, mean-logit, geometric-mean, first, or of models of taxa node-mean "
            "[as the model was fitted]."
        ),
    ] = None,
    without_box: Annotated[
        float, typer.Option(help="Weight of media in which the detector found nothing, 0 to 1.")
    ] = 1.0,
    place_days: Annotated[
        float | None,
        typer.Option(
            help="Answer events without a box by what else their location shows within so many days; "
            "only where no photo is blank."
        ),
    ] = None,
    rows: Annotated[
        str,
        typer.Option(
            help="media: a row a photo, of which its event says what is there. event: a row an event."
        ),
    ] = "media",
    blanks: Annotated[
        str | None,
        typer.Option(
            help="Who says whether anything is on a photo: its own answer, or its event's, which gives the "
            "animal of a visit to its blank frames too. [own, where the model knows blanks]"
        ),
    ] = None,
    rows_per_file: RowsPerFile = None,
    force: Force = False,
) -> None:
    """Pool the predictions of the photos of each event into one answer."""
    from trapline import api

    refuse_as_predictions(output, force, predictions, catalog, rows_per_file=rows_per_file)
    done = api.pool_to_file(
        predictions,
        catalog,
        output,
        rows=rows,  # type: ignore[arg-type]
        how=how,  # type: ignore[arg-type]
        without_box=without_box,
        place_days=place_days,
        blanks=blanks,  # type: ignore[arg-type]
        rows_per_file=rows_per_file,
    )
    assert done.facts.pooled is not None
    pooling_method = done.facts.pooled.how
    others = "".join(f", {label} by {method}" for label, method in pooling_method.by_label.items())
    why = f", chosen on {pooling_method.selected_on}" if how is None and pooling_method.selected_on else ""
    typer.echo(
        f"Wrote {output}: {many(done.rows, 'row')}, {done.pooled:,} media pooled by {pooling_method.method}"
        f"{others}{why}."
    )
