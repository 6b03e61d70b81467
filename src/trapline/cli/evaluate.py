"""`trapline evaluate`: how good are these predictions?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trapline.cli._common import Force, Json, Seed, refuse_to_overwrite

if TYPE_CHECKING:
    from trapline.evaluation import Evaluation


def run(
    catalog: Annotated[Path, typer.Argument(help="The catalog with the true labels (.parquet).")],
    predictions: Annotated[Path, typer.Argument(help="What `trapline predict` wrote (.parquet or .csv).")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a report: .html to read, .json for scripts.")
    ] = None,
    tables: Annotated[
        Path | None, typer.Option(help="Models of taxa: a folder for the tables by rank and node, as CSV.")
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
        typer.Option(help="What the 95 % intervals resample: location, event, season or media [location]."),
    ] = None,
    samples: Annotated[int, typer.Option(min=10, help="Resamples behind each interval.")] = 1000,
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
    seed: Seed = 42,
    json: Json = False,
    force: Force = False,
) -> None:
    """Judge predictions by the labels of a catalog: figures with 95 % intervals over locations."""
    from trapline.catalog import Catalog
    from trapline.errors import UsageError
    from trapline.evaluation import evaluate
    from trapline.prediction import Predictions

    choices = {
        "--intervals-over": (intervals_over or "location", ("location", "event", "season", "media")),
        "--unknown-labels": (unknown_labels, ("error", "wrong", "leave-out")),
        "--several-labels": (several_labels, ("error", "leave-out")),
        "--answers": (answers, ("rolled-up", "greedy")),
    }
    for option, (given, allowed) in choices.items():
        if given not in allowed:
            raise UsageError(f"{option} is one of {', '.join(allowed)}; got '{given}'.")
    if output is not None:
        if output.suffix.lower() not in (".html", ".json"):
            raise UsageError(f"The report is written as .html or .json, not as '{output.name}'.")
        refuse_to_overwrite(output, force)
    if tables is not None:
        refuse_to_overwrite(tables, force)
    evaluation = evaluate(
        Catalog.load(catalog),
        Predictions.load(predictions),
        training=Catalog.load(training) if training is not None else None,
        part=part,
        name=name,
        samples=samples,
        seed=seed,
        over=intervals_over,  # type: ignore[arg-type]
        unknown_labels=unknown_labels,  # type: ignore[arg-type]
        several_labels=several_labels,  # type: ignore[arg-type]
        allow_unmatched=allow_unmatched,
        answers=answers,  # type: ignore[arg-type]
    )
    if json:
        typer.echo(evaluation.model_dump_json(indent=1))
    else:
        typer.echo(evaluation.to_text())
    if tables is not None:
        _save_tables(evaluation, tables)
    if output is None:
        return
    if output.suffix.lower() == ".json":
        evaluation.save_json(output)
    else:
        evaluation.save_report(output, pictures=pictures)
    typer.echo(f"Wrote {output}", err=True)


def _save_tables(evaluation: Evaluation, folder: Path) -> None:
    from trapline.errors import UsageError

    if evaluation.ranks is None:
        raise UsageError("--tables is for predictions of a model of taxa; these have no taxonomy.")
    written = evaluation.ranks.save_tables(folder)
    typer.echo(f"Wrote {len(written)} tables to {folder}", err=True)
