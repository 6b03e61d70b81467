"""`trapline shares`: answers where labels have other shares than where the model learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trapline.cli._common import Force, Table, refuse_as_predictions
from trapline.errors import many


def run(
    learnt: Annotated[Path, typer.Argument(help="The labelled catalog that the model learnt from.")],
    predictions: Annotated[Path, typer.Argument(help="Predictions of other media: of a new season, say.")],
    output: Table,
    fold_by: Annotated[
        str | None,
        typer.Option(
            help="Of validation.parquet, which folds answered: season or location, each shifted by itself "
            "[all together].",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        float, typer.Option(min=0, help="So many media of the old shares count beside the new.")
    ] = 300.0,
    force: Force = False,
) -> None:
    """Shift answers to the label shares of their media, which are estimated of the answers themselves."""
    from trapline import api

    refuse_as_predictions(output, force, learnt, predictions)
    shifted = api.shift_to_shares(predictions, learnt, fold_by=fold_by, kept=keep)  # type: ignore[arg-type]
    shifted.save(output)
    typer.echo(f"Wrote {output}: {many(len(shifted), 'row')}.")
    for group, shares in (shifted.facts.shares or {}).items():
        changes = ", ".join(
            f"{label} {before:.3f} -> {shares.after[label]:.3f}" for label, before in shares.before.items()
        )
        typer.echo(f"{group}, {shares.media}: {changes}")
