"""`trapline evaluate`: how good are these predictions?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trapline.cli._common import (
    Decisions,
    Force,
    Json,
    Report,
    Seed,
    SureOnly,
    refuse_as_report,
    refuse_to_overwrite,
)


def run(
    catalog: Annotated[Path, typer.Argument(help="The catalog with the true labels (.parquet).")],
    predictions: Annotated[Path, typer.Argument(help="What `trapline predict` wrote (.parquet or .csv).")],
    output: Report = None,
    decisions: Decisions = None,
    asked: Annotated[
        str | None,
        typer.Option(
            help="On which decisions: audit, calibration, chosen or all [audit, if something is not decided]."
        ),
    ] = None,
    sure_only: SureOnly = False,
    tables: Annotated[
        Path | None, typer.Option(help="Models of taxa: a folder for the tables by rank and node, as CSV.")
    ] = None,
    thresholds: Annotated[
        Path | None,
        typer.Option(help="A CSV for the thresholds of each label and rank, which `write` takes."),
    ] = None,
    want: Annotated[
        list[str] | None,
        typer.Option(
            help="What they keep: precision=0.95, recall=0.9, lynx:recall=0.9, lost=0.02 (animals among "
            "blanks); again for several.  [precision=0.95]"
        ),
    ] = None,
    taxonomy: Annotated[
        Path | None,
        typer.Option(help="What the labels are: answers that say less of the same are right then."),
    ] = None,
    answers: Annotated[
        str, typer.Option(help="Models of taxa: rolled-up (stop in time) or greedy (always to a leaf).")
    ] = "rolled-up",
    part: Annotated[
        str | None,
        typer.Option(help="Judge one part of the split: train, validation, test [the one predicted]."),
    ] = None,
    training: Annotated[
        Path | None,
        typer.Option(help="The catalog the model was trained on, if it is another; tells seen locations."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the model is called in the report.")] = None,
    intervals_over: Annotated[
        str | None,
        typer.Option(help="What the 95 % intervals are over: location, event, season or media [location]."),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=10, help="Leave out locations in so many sets at most, for intervals.")
    ] = 1000,
    pictures: Annotated[int, typer.Option(min=0, help="Worst mistakes to show; 0 for none.")] = 24,
    unknown_labels: Annotated[
        str, typer.Option(help="True labels the model does not know: error, wrong or leave-out.")
    ] = "error",
    several_labels: Annotated[
        str, typer.Option(help="Photos with several labels and a model that says one: error or leave-out.")
    ] = "error",
    allow_unmatched: Annotated[
        bool, typer.Option("--allow-unmatched", help="Count photos without prediction, and the other way.")
    ] = False,
    alike: Annotated[
        Path | None,
        typer.Option(help="The catalog's embeddings (`trapline embed`): show training photos like mistakes."),
    ] = None,
    seed: Seed = 42,
    json: Json = False,
    force: Force = False,
) -> None:
    """Judge predictions by the labels of a catalog: figures with 95 % intervals over locations."""
    from trapline import api

    written = refuse_as_report(output, "mistakes", force)
    for path in (tables, thresholds):
        if path is not None:
            refuse_to_overwrite(path, force)
    evaluation = api.evaluate(
        catalog,
        predictions,
        output,
        decisions=decisions,
        asked=asked,  # type: ignore[arg-type]
        sure_only=sure_only,
        tables=tables,
        thresholds=thresholds,
        want=want or [],
        taxonomy=taxonomy,
        answers=answers,  # type: ignore[arg-type]
        part=part,
        training=training,
        name=name,
        over=intervals_over,  # type: ignore[arg-type]
        samples=samples,
        pictures=pictures,
        unknown_labels=unknown_labels,  # type: ignore[arg-type]
        several_labels=several_labels,  # type: ignore[arg-type]
        allow_unmatched=allow_unmatched,
        alike=alike,
        seed=seed,
    )
    typer.echo(evaluation.model_dump_json(indent=1) if json else evaluation.to_text())
    for path in (*(one for one in (tables, thresholds) if one is not None), *written):
        typer.echo(f"Wrote {path}", err=True)
