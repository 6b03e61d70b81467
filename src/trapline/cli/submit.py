"""`trapline submit`: predictions in the rows, columns and order a competition wants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trapline.addresses import Use
from trapline.cli._common import Force, Json, print_json, refuse_to_overwrite
from trapline.errors import many

if TYPE_CHECKING:
    from trapline.competitions import Submission
    from trapline.competitions.code_execution import Checked, CodePackage


def run(
    first: Annotated[
        Path,
        typer.Argument(
            metavar="PREDICTIONS",
            help="Predictions of `trapline predict`; with --check-only a finished submission, with --package "
            "a model file, with --check the organisers' data folder.",
        ),
    ],
    format_path: Annotated[
        Path | None, typer.Argument(metavar="FORMAT", help="The competition's submission_format.csv.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The file to write, by default submission.csv; with --check, keep there what the run wrote.",
        ),
    ] = None,
    clip: Annotated[
        float, typer.Option(help="Keep probabilities at least this far from 0 and 1 (for log loss).")
    ] = 0.0,
    fill: Annotated[
        str | None,
        typer.Option(
            help="Give ids without a prediction equal shares (uniform), or the mean of the others (prior)."
        ),
    ] = None,
    absent: Annotated[
        float | None, typer.Option(help="Probability of labels in FORMAT that the model does not know.")
    ] = None,
    check_only: Annotated[
        bool, typer.Option("--check-only", help="Only check a finished submission; write nothing.")
    ] = False,
    package: Annotated[
        Path | None, typer.Option("--package", help="Write this zip with a model and the code to run it.")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option("--check", help="Run this zip as the organisers would; check its answer."),
    ] = None,
    hours: Annotated[
        float, typer.Option("--hours", help="The time that the organisers give (--package, --check).")
    ] = 8.0,
    memory: Annotated[
        float, typer.Option("--memory", help="The memory that they give, GiB (--check).")
    ] = 16.0,
    disk: Annotated[
        float,
        typer.Option("--disk", help="The disk that it may fill beside the zip's content, GiB (--check)."),
    ] = 10.0,
    python: Annotated[
        Path | None,
        typer.Option("--python", help="With --check: the Python that runs main.py."),
        Use.LOCAL,
    ] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write a competition's file from predictions, or package a model that writes it; check either."""
    from trapline import api
    from trapline.errors import UsageError

    if (package is not None) + (check is not None) + check_only > 1:
        raise UsageError("--package, --check and --check-only are three things; ask for one of them.")
    if package is not None:
        refuse_to_overwrite(package, force)
        built = api.package(
            str(first), package, format_path=format_path, clip=clip, absent=absent, hours=hours
        )
        _show_package(built, absent, json)
        return
    if check is not None:
        if output is not None:
            refuse_to_overwrite(output, force)
        limits = {"hours": hours, "memory": memory, "disk": disk}
        _show_checked(api.check_package(check, first, output, python=python, **limits), json)
        return
    if format_path is None:
        raise UsageError("Name the competition's submission_format.csv after the predictions.")
    if check_only:
        _show_problems(api.check_submission(first, format_path), first, format_path, json)
        return
    output = output or Path("submission.csv")
    refuse_to_overwrite(output, force)
    written = api.submit(
        first,
        format_path,
        output,
        clip=clip,
        fill=fill,  # type: ignore[arg-type]
        absent=absent,
    )
    _show_written(written, format_path, fill, absent, json)


def _show_written(
    written: Submission, format_path: Path, fill: str | None, absent: float | None, json: bool
) -> None:
    if json:
        print_json(vars(written))
        return
    typer.echo(f"Wrote {many(written.rows, 'row')} to {written.path}; it fits {format_path}.")
    if written.filled:
        typer.echo(f"{many(len(written.filled), 'id')} had no prediction and were filled (--fill {fill}).")
    if written.absent_labels:
        typer.echo(f"Labels the model does not know, given {absent}: {', '.join(written.absent_labels)}.")
    if written.unused:
        typer.echo(f"{many(written.unused, 'prediction was')} not asked for.")


def _show_package(built: CodePackage, absent: float | None, json: bool) -> None:
    if json:
        print_json(vars(built))
        return
    typer.echo(f"Wrote {built.path}: {many(len(built.files), 'file')}, {built.size / 2**20:.1f} MiB.")
    typer.echo(f"Photos are pooled into sequences by {built.pooling}.")
    if built.absent_labels:
        typer.echo(f"Labels the model does not know, given {absent}: {', '.join(built.absent_labels)}.")
    for note in built.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"Try it as the organisers would: trapline submit --check {built.path} DATA")


def _show_checked(outcome: Checked, json: bool) -> None:
    from dataclasses import asdict

    if json:
        print_json(asdict(outcome) | {"outcome": outcome.outcome.name})
    else:
        if outcome.seconds is not None and outcome.peak_bytes is not None:
            if outcome.output:
                typer.echo(outcome.output.rstrip())
            typer.echo(
                f"Ran for {outcome.seconds:.1f} s and held {outcome.peak_bytes / 2**30:.2f} GiB at most."
            )
        for note in outcome.notes:
            typer.echo(f"note: {note}")
        typer.echo(f"{outcome.outcome.name.replace('_', ' ')}: {outcome.message}", err=bool(outcome.outcome))
    if outcome.outcome:
        raise typer.Exit(int(outcome.outcome))


def _show_problems(problems: list[str], submission: Path, format_path: Path, json: bool) -> None:
    if json:
        print_json({"path": str(submission), "problems": problems})
    for problem in problems if not json else []:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(1)
    if not json:
        typer.echo(f"{submission} fits {format_path}.")
