"""`trapline card`: from a card without labels to a table of visits and a page to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trapline.cli import _common as common

if TYPE_CHECKING:
    from trapline.card_walk import CardWalk


def run(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="A card, a folder of cards, or any source that `catalog` reads.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A folder for everything [FOLDER's name and -card, here]."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A model file that names the animals.", show_default=False)
    ] = None,
    detector: Annotated[
        str, typer.Option(help="What finds the boxes: auto is the one that comes with Trapline.")
    ] = "auto",
    format: Annotated[str, typer.Option("--format", help="The name of a reader, or auto.")] = "auto",
    show_people: Annotated[
        bool, typer.Option("--show-people", help="Show photos in which people may be, as they are.")
    ] = False,
    pictures: Annotated[int, typer.Option(min=0, help="Photos of each answer on the page.")] = 24,
    workers: common.Workers = None,
    threads: common.Threads = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Leave with status 1 if a photo could not be read.")
    ] = False,
    fresh: common.Fresh = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write over edited tables; leave out what is gone.")
    ] = False,
    json: common.Json = False,
) -> None:
    """From a card of photos to a table of visits and a page. Run again to go on, or after new photos came."""
    from trapline import api
    from trapline.cli._steps import reporter

    with common.warnings_as_notes(), common.progress() as display:
        done = api.card(
            source,
            output,
            model=model,
            detector=detector,
            format=format,
            show_people=show_people,
            pictures=pictures,
            workers=workers,
            threads=threads,
            fresh=fresh,
            force=force,
            say=common.note,
            report=reporter(display),
        )
    _show(done, json)
    if strict:
        done.refuse_failures()


def _show(done: CardWalk, json: bool) -> None:
    from trapline.evaluation import columns

    figures = done.figures
    if json:
        common.print_json(
            {
                "output": str(done.folder),
                "page": str(done.page),
                "tables": list(map(str, done.tables)),
                "photos": figures.media,
                "locations": figures.locations,
                "answers": {
                    one.label: {"photos": one.media, "visits": one.visits} for one in figures.answers
                },
                "findings": [one.title for one in figures.findings],
            },
            indent=1,
        )
        return
    rows = [("answer", "photos", "visits")]
    for one in figures.answers:
        rows.append((one.label, f"{one.media:,}", "–" if one.visits is None else f"{one.visits:,}"))
    for line in columns(rows):
        typer.echo(line)
    for finding in figures.findings:
        typer.echo(f"{'Serious' if finding.serious else 'Note'}: {finding.title}. {finding.text}")
    typer.echo(f"The page:  {done.page}")
    typer.echo(f"The table: {' and '.join(map(str, done.tables))}")
