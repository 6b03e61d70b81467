"""`trapline combine`: several models as one, and each calibrated for what it can see."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trapline.cli._common import Force, LearntBy, LearntFolds, RowsPerFile, Table, refuse_as_predictions


def run(
    catalog: Annotated[
        Path, typer.Argument(help="The catalog that was predicted, with its boxes and events.")
    ],
    predictions: Annotated[
        list[Path], typer.Argument(help="Predictions of its media or events, a table a model.")
    ],
    output: Table,
    like: Annotated[
        Path | None,
        typer.Option("--like", help="Weigh the models as in this combined table [learn it from the labels]."),
    ] = None,
    fold_by: LearntBy = "location",
    folds: LearntFolds = 5,
    rows_per_file: RowsPerFile = None,
    force: Force = False,
) -> None:
    """Combine the predictions of several models; or calibrate one apart for photos with and without a box."""
    from trapline import api

    refuse_as_predictions(output, force, catalog, predictions, rows_per_file=rows_per_file)
    done = api.combine_to_file(
        predictions,
        catalog,
        output,
        like=like,
        fold_by=fold_by,  # type: ignore[arg-type]
        folds=folds,
        rows_per_file=rows_per_file,
    )
    typer.echo(f"Combined {', '.join(done.how.names)}: {done.rows} media in {output}")
    for name, weight in zip(done.how.names, done.how.weights, strict=True):
        typer.echo(f"  {name}: {weight:.2f}")
    sure = ", ".join(f"{group} {value:.2f}" for group, value in done.how.sureness.items())
    if offsets := done.how.offsets.values():
        typer.echo(f"An offset a label: {min(offsets):+.2f} to {max(offsets):+.2f}.")
    typer.echo(f"How sure: {sure}. Learnt {done.how.learnt_on}.")
