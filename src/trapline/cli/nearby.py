"""`trapline nearby`: answers that lean on what their location shows around that time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trapline.cli._common import Force, LearntBy, LearntFolds, Table, refuse_as_predictions
from trapline.errors import many


def run(
    catalog: Annotated[Path, typer.Argument(help="The catalog that was predicted.")],
    predictions: Annotated[Path, typer.Argument(help="Predictions of its media or events.")],
    output: Table,
    like: Annotated[
        Path | None,
        typer.Option("--like", help="Lean as far as in this table [learn it from the labels]."),
    ] = None,
    fold_by: LearntBy = "location",
    folds: LearntFolds = 5,
    force: Force = False,
) -> None:
    """Let answers lean on those for the same location around that time, as far as labels teach."""
    from trapline import api

    refuse_as_predictions(output, force, catalog, predictions)
    leant = api.lean_on_nearby(
        predictions,
        catalog,
        like=like,
        fold_by=fold_by,  # type: ignore[arg-type]
        folds=folds,
    )
    leant.save(output)
    how = leant.facts.nearby
    assert how is not None
    worth = ", ".join(
        f"{value:.2f} within {_span(days)}" for days, value in zip(how.days, how.amplitudes, strict=True)
    )
    typer.echo(f"Wrote {output}: {many(len(leant), 'row')}.")
    typer.echo(f"A neighbour counts {worth}; reliance {how.reliance:.2f}, sureness {how.sureness:.2f}.")
    typer.echo(f"Learnt {how.learnt_on}.")


def _span(days: float) -> str:
    return f"{days:g} d" if days >= 1 else f"{days * 24 * 60:.0f} min"
