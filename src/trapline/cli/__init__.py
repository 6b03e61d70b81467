"""The command line: one file a command; each parses, calls the Python API and prints.

Every module here whose name does not start with an underscore is a command of that name; its function `run`
is the command. Command modules import only light things at the top, so that `trapline --help` stays quick.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import warnings
from typing import Annotated

import typer

from trapline import __version__
from trapline.errors import TraplineError


def build_app() -> typer.Typer:
    """The application with every command of this package."""
    app = typer.Typer(
        name="trapline",
        help="From a card full of camera-trap photos to a species table one can defend.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # rich's help costs a third of a second at every start
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: _ORDER.get(module.name, 99)):
        if not module.name.startswith("_"):
            name = module.name
            app.command(name.replace("_", "-"))(importlib.import_module(f"{__name__}.{name}").run)
    return app


_NAMES = (
    "quickstart run catalog explore split train tune detect predict pool region "
    "evaluate submit write export serve show"
)
_ORDER = {name: place for place, name in enumerate(_NAMES.split())}


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"trapline {__version__}")
        raise typer.Exit


def _options(
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and stop.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """From a card full of camera-trap photos to a species table one can defend."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its status: 0 all went well, 1 a failed run, 2 wrong usage."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # Pillow warns of every photo with damaged EXIF; what matters of that stands in the results' rows.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        build_app()(arguments, prog_name="trapline")
    except TraplineError as error:
        if "--debug" in arguments:
            raise
        typer.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_status)
