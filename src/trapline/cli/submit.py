"""`trapline submit`: predictions in the rows, columns and order a competition wants."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from trapline.cli._common import Force, Json, refuse_to_overwrite


class Fill(StrEnum):
    """What to give an id without a prediction."""

    uniform = "uniform"
    prior = "prior"


def run(
    predictions: Annotated[
        Path,
        typer.Argument(help="Predictions of `trapline predict`; with --check-only a finished submission."),
    ],
    format_path: Annotated[
        Path, typer.Argument(metavar="FORMAT", help="The competition's submission_format.csv.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.")] = Path(
        "submission.csv"
    ),
    clip: Annotated[
        float, typer.Option(help="Keep probabilities at least this far from 0 and 1 (for log loss).")
    ] = 0.0,
    fill: Annotated[
        Fill | None,
        typer.Option(
            help="Give ids without a prediction equal shares, or the mean of the other predictions."
        ),
    ] = None,
    absent: Annotated[
        float | None, typer.Option(help="Probability of labels in FORMAT that the model does not know.")
    ] = None,
    check_only: Annotated[
        bool, typer.Option("--check-only", help="Only check a finished submission; write nothing.")
    ] = False,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write predictions as a competition's submission file, joined by id, and check it."""
    if check_only:
        _check(predictions, format_path, json)
        return
    from trapline.prediction import Predictions, write_submission

    refuse_to_overwrite(output, force)
    table = Predictions.load(predictions)
    written = write_submission(
        table, format_path, output, clip=clip, fill=fill.value if fill else None, absent=absent
    )
    if json:
        import dataclasses
        from json import dumps

        typer.echo(dumps(dataclasses.asdict(written) | {"path": str(written.path)}))
        return
    typer.echo(f"Wrote {written.rows} rows to {written.path}; it fits {format_path}.")
    if written.filled:
        typer.echo(f"{len(written.filled)} ids had no prediction and were filled (--fill {fill}).")
    if written.absent_labels:
        typer.echo(f"Labels the model does not know, given {absent}: {', '.join(written.absent_labels)}.")
    if written.unused:
        typer.echo(f"{written.unused} predictions were not asked for.")


def _check(submission: Path, format_path: Path, json: bool) -> None:
    from trapline.prediction import check_submission

    problems = check_submission(submission, format_path)
    if json:
        from json import dumps

        typer.echo(dumps({"path": str(submission), "problems": problems}))
    for problem in problems if not json else []:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(1)
    if not json:
        typer.echo(f"{submission} fits {format_path}.")
