"""`trapline decisions`: what a review has decided, decisions made elsewhere, the end of an audit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trapline.cli._common import Json, print_json
from trapline.errors import many

group = typer.Typer(
    help="Decisions of a review: what they say, those made elsewhere, the end of an audit.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Log = Annotated[Path, typer.Argument(metavar="FILE.db", help="The decisions.", show_default=False)]


@group.command("show", short_help="Who decided what, where people differ, what the audit says.")
def show_decisions(log: Log, json: Json = False) -> None:
    """Show who decided what, where people differ and how much they agree, and what the audit last said."""
    from trapline import api
    from trapline.review import describe_overview

    shown = api.show_decisions(log)
    if json:
        print_json(shown.as_json(), indent=1)
        return
    for line in describe_overview(shown):
        typer.echo(line)


@group.command("take", short_help="Decisions made elsewhere: sorted folders, Timelapse, AddaxAI.")
def take_decisions(
    log: Log,
    source: Annotated[
        Path, typer.Argument(help="Folders sorted by hand, a table, a package, …", show_default=False)
    ],
    catalog: Annotated[
        Path | None,
        typer.Argument(help="The photos that are reviewed; decisions name them so.", show_default=False),
    ] = None,
    *,
    by: Annotated[str, typer.Option("--by", help="Who decided.", show_default=False)],
    unmoved: Annotated[
        bool,
        typer.Option("--unmoved", help="Sorted folders: also what was not moved, because all was looked at."),
    ] = False,
    json: Json = False,
) -> None:
    """Take the labels of another source as a person's decisions, by the content of the photos."""
    from dataclasses import asdict

    from trapline import api

    taken = api.take_decisions(log, source, catalog, by=by, unmoved=unmoved)
    if json:
        print_json(asdict(taken))
        return
    same = f"; {taken.same:,} were there already" if taken.same else ""
    typer.echo(f"{log}: {many(taken.decisions, 'decision')} of {by} on {taken.media:,} media{same}.")
    for why, count in taken.left_out.items():
        typer.echo(f"  not taken, {count:,} media: {why}")


@group.command("close-audit", short_help="End the audit: its decisions may be learnt of.")
def close_audit(log: Log, json: Json = False) -> None:
    """End the open audit: what was decided for it may be learnt of from now on, and no longer measures."""
    from trapline import api

    closed = api.close_audit(log)
    if json:
        print_json({"closed": closed})
        return
    typer.echo(
        f"Closed audit {closed}. `trapline train --decisions {log}` now learns of its decisions too; what it "
        "last said stays in the file."
    )
