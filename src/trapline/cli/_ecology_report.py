"""Commands of `trapline ecology`: the report and what is carried through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from trapline.cli._common import Decisions, Force, Json, SureOnly, print_json, refuse_to_overwrite
from trapline.cli._ecology_options import Column, Exclude, StationsColumn, roles_of


def report(
    source: Annotated[
        Path,
        typer.Argument(
            help="Records: a table, a Camtrap DP package, a Wildlife Insights download; or a folder of "
            "`card`, a catalog, predictions, observations.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The page (.html), its tables beside it; or .json.")
    ],
    stations: Annotated[
        Path | None,
        typer.Option(
            help="Where cameras stood from when to when; else a package's own, or a guess from photos."
        ),
    ] = None,
    catalog: Annotated[Path | None, typer.Option(help="The catalog of predictions or observations.")] = None,
    decisions: Decisions = None,
    sure_only: SureOnly = False,
    made_of: Annotated[
        str | None,
        typer.Option(
            metavar="decisions|threshold|probabilities",
            help="Of what records are made: people's word alone; answers that stand; probabilities, as "
            "expected records.  [threshold where a model speaks]",
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Labels of the model below this probability are no answers.")
    ] = None,
    thresholds: Annotated[
        Path | None, typer.Option(help="Each label with its own: what `evaluate --thresholds` wrote (.csv).")
    ] = None,
    taxonomy: Annotated[Path | None, typer.Option(help="What the labels are.")] = None,
    observers: Annotated[
        list[str] | None,
        typer.Option(help="Whose word counts: human, model, detector; again for several. All if none."),
    ] = None,
    minutes: Annotated[float, typer.Option(min=0, help="Independent records are so far apart.")] = 30.0,
    days: Annotated[int, typer.Option(min=1, help="Days of an occasion of occupancy.")] = 7,
    timezone: Annotated[
        str | None, typer.Option(help="Of the cameras' clocks: Europe/Paris, +01:00; for times by the sun.")
    ] = None,
    species: Annotated[
        str | None, typer.Option(help="Labels, with commas between.  [all but people and vehicles]")
    ] = None,
    exclude: Exclude = None,
    column: Column = None,
    stations_column: StationsColumn = None,
    json: Json = False,
    force: Force = False,
) -> None:
    """Effort, species, rates, occupancy, activity and richness of a survey on one page, and as tables."""
    from trapline import api
    from trapline.reports import report_files

    page = output.suffix.lower() != ".json"
    for path in report_files(output) if page else [output]:
        refuse_to_overwrite(path, force)
    result = api.ecology_report(
        source,
        output,
        catalog=catalog,
        stations=stations,
        decisions=decisions,
        sure_only=sure_only,
        made_of=made_of,  # type: ignore[arg-type]  # refused there
        threshold=threshold,
        thresholds=thresholds,
        taxonomy=taxonomy,
        observers=observers,
        minutes=minutes,
        occasion_days=days,
        timezone=timezone,
        species=_names(species),
        exclude=exclude or (),
        columns=roles_of(column, "--column"),
        stations_columns=roles_of(stations_column, "--stations-column"),
    )
    if json:
        print_json(result.as_json())
    for note in dict.fromkeys((*result.records.doubts, result.made_of, *result.notes)):
        typer.echo(note, err=True)
    for path in report_files(output) if page else [output]:
        if path.exists():
            typer.echo(f"Wrote {path}", err=True)


def _names(given: str | None) -> list[str]:
    return [] if given is None else [name.strip() for name in given.split(",") if name.strip()]


COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "report": (report, "All of a survey on one page, its tables beside it")
}
"""name → the command and its short help."""
