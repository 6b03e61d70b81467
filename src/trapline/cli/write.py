"""`trapline write`: what is said of photos, in the formats that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trapline.cli._common import Decisions, Force, Json, Part, SureOnly, print_json
from trapline.errors import many

if TYPE_CHECKING:
    from trapline.formats import WriteReport

_NAMED = 10
"""Photos that were not written and are named; the others are counted."""


def run(
    source: Annotated[
        Path,
        typer.Argument(
            help="The table that `predict` wrote; or a catalog, whose labels and boxes are written.",
            show_default=False,
        ),
    ],
    catalog: Annotated[
        Path | None,
        typer.Argument(help="The catalog, or the source, that was predicted.", show_default=False),
    ] = None,
    *,
    format: Annotated[
        str,
        typer.Option(
            "-f",
            "--format",
            help="One of: {formats}.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The file or folder to write.", show_default=False)
    ],
    taxonomy: Annotated[
        Path | None, typer.Option(help="What the labels are: a CSV, JSON, SpeciesNet labels, folders.")
    ] = None,
    observers: Annotated[
        list[str] | None,
        typer.Option(help="Whose word counts: human, model, detector; again for several. All if none."),
    ] = None,
    min_conf: Annotated[
        float | None, typer.Option(help="Boxes of a detector count from this confidence on.  [0.2]")
    ] = None,
    labelled_by: Annotated[
        str | None, typer.Option(help="The name of who gave the catalog's labels.")
    ] = None,
    thresholds: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE.csv|LABEL=NUMBER",
            help="Each label with its own: what `evaluate --thresholds` wrote, or lynx=0.83; again for more.",
        ),
    ] = None,
    decisions: Decisions = None,
    sure_only: SureOnly = False,
    part: Part = None,
    options: dict[str, Any],
    undo: Annotated[
        bool, typer.Option("--undo", help="Sorted: take away what was made in the output folder.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Leave with status 1 if a photo could not be copied.")
    ] = False,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write what is said of photos for another tool, and say what its format cannot carry.

    Labels of people stand above predictions, and both above a detector's boxes.
    """
    from trapline import api
    from trapline.errors import DataError, UsageError

    if undo:
        if format != "sorted":
            raise UsageError("--undo takes away sorted folders; give it with --format sorted.")
        if not isinstance(output, Path):
            raise UsageError(f"--undo takes away folders of this machine; {output} is an address.")
        _undo(output, json)
        return
    report = api.write(
        source,
        output if catalog is None else catalog,
        None if catalog is None else output,
        format=format,
        taxonomy=taxonomy,
        observers=observers,
        min_conf=min_conf,
        labelled_by=labelled_by,
        thresholds=_thresholds(thresholds or []),
        decisions=decisions,
        sure_only=sure_only,
        part=part,
        force=force,
        options=options,
    )
    _show(report, json)
    if strict and report.failed:
        raise DataError(
            f"{many(len(report.failed), 'photo was')} not written, the first is {report.failed[0]}."
        )


def _thresholds(given: list[str]) -> dict[str, float] | str | None:
    """A file, or numbers by label; None where nothing is given."""
    from trapline.errors import UsageError

    if len(given) == 1 and (Path(given[0]).suffix.lower() == ".csv" or "=" not in given[0]):
        return given[0]
    numbers = {}
    for text in given:
        label, _, number = text.rpartition("=")
        if label in numbers:
            raise UsageError(f"--thresholds names '{label}' twice: give one number for it.")
        try:
            numbers[label] = float(number)
        except ValueError:
            numbers[""] = 0.0
        if "" in numbers:
            raise UsageError(f"'{text}' is no threshold: give one table, or LABEL=NUMBER, as lynx=0.83.")
    return numbers or None


def _undo(output: Path, json: bool) -> None:
    from trapline.formats import undo_sorted

    removed, kept = undo_sorted(output)
    if json:
        print_json({"output": output.as_posix(), "removed": removed, "kept": kept})
        return
    typer.echo(f"Took {many(removed, 'file')} away from {output}.")
    for path in kept:
        typer.echo(f"Left, because it changed: {path}")


def _show(report: WriteReport, json: bool) -> None:
    if json:
        print_json(report.to_json())
        return
    from trapline.cli._format_options import singular

    typer.echo(f"Wrote {many(report.rows, singular(report.unit))} to {report.output} ({report.format}).")
    for note in report.notes:
        typer.echo(f"  {note}")
    if report.failed:
        typer.echo(f"{many(len(report.failed), 'photo was')} not written:")
    for failure in report.failed[:_NAMED]:
        typer.echo(f"  {failure}")
    if len(report.failed) > _NAMED:
        typer.echo(f"  and {len(report.failed) - _NAMED:,} more (--json has them all)")
    typer.echo("Not in it:")
    for lost in report.lost:
        typer.echo(f"  {lost}")
