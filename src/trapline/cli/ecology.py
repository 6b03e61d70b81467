"""`trapline ecology`: from decided observations to the tables that an ecologist publishes."""

from __future__ import annotations

import typer

from trapline.cli import _ecology_activity, _ecology_occupancy, _ecology_report, _ecology_tables

group = typer.Typer(
    help="From decided observations to effort, detection histories, rates, occupancy, activity and richness.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (_ecology_tables, _ecology_occupancy, _ecology_activity, _ecology_report):
    for name, (command, short) in part.COMMANDS.items():
        group.command(name, short_help=short)(command)
