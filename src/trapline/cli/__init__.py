"""The command line: one file a command; each parses, calls the Python API and prints.

Every module here whose name does not start with an underscore is a command of that name; its function `run`
is the command. Command modules import only light things at the top, so that `trapline --help` stays quick.
"""

from __future__ import annotations

import atexit
import importlib
import io
import os
import pkgutil
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from types import FrameType
from typing import Annotated, Any

import typer

from trapline import __version__
from trapline.arguments import naming_options
from trapline.cli._addresses import with_addresses
from trapline.cli._common import warnings_as_notes
from trapline.errors import TraplineError, describe_system_error


def build_app(command: str | None = None) -> typer.Typer:
    """The application with every command of this package.

    Args:
        command: the only one that needs the options of the formats that are read or written, for which
            their room is imported; None for all.
    """
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
            short = _COMMANDS.get(name)  # of the help's first line as much as fits would end in the middle
            command_module = importlib.import_module(f"{__name__}.{name}")
            if group := getattr(command_module, "group", None):
                app.add_typer(_with_addresses(group), name=name, short_help=short)
                continue
            run = command_module.run
            if name in ("catalog", "predictions", "write"):
                run = _with_format_options(name, run, asked=command in (None, name))
            run = with_addresses(run) if command in (None, name) else run
            app.command(name.rstrip("_").replace("_", "-"), short_help=short)(run)
    return app


def _with_format_options(name: str, run: Callable[..., None], asked: bool) -> Callable[..., None]:
    """What the registered readers and writers take, in the command that reads or writes."""
    from trapline.cli._format_options import format_options, opened_by, with_format_options

    with warnings_as_notes():
        formats, programs = (format_options(name), opened_by(name)) if asked else ({}, {})
        return with_format_options(run, formats, programs)


def _with_addresses(group: typer.Typer) -> typer.Typer:
    """A command of commands, each with addresses where it has paths; the module's own stays as it is."""
    opened = copy(group)
    opened.registered_commands = [copy(one) for one in group.registered_commands]
    for one in opened.registered_commands:
        one.callback = one.callback and with_addresses(one.callback)
    return opened


_COMMANDS = {
    "card": "From a card of photos to a table and a page.",
    "quickstart": "Try the whole way on synthetic photos, without data.",
    "run": "A recipe whole, from photos to report and submission.",
    "download": "Fetch a data set or archive, checked.",
    "models": "Ready models: list, show, get.",
    "catalog": "Read photos and labels from any source.",
    "explore": "Look into a catalog before training.",
    "split": "Say which photos train, validate and test.",
    "train": "Train a recipe; leaves a model file.",
    "tune": "Search a recipe's settings by location folds.",
    "detect": "Find boxes around what is in photos.",
    "predict": "A table with a row for every photo.",
    "embed": "What a network sees in each photo.",
    "predictions": "Other tools' answers, to be judged.",
    "pool": "One answer for the photos of a visit.",
    "combine": "Several models as one, each calibrated.",
    "nearby": "Answers that lean on those around them.",
    "shares": "Answers for another season's label shares.",
    "region": "Weigh predictions by what lives there.",
    "evaluate": "Say how good predictions are, and where.",
    "review": "A page on which people decide.",
    "decisions": "What was decided, here or elsewhere.",
    "submit": "A competition's file, or its code, checked.",
    "write": "Species tables, and files for other tools.",
    "ecology": "Effort, histories, occupancy, activity.",
    "import_": "A model made elsewhere, as a model file.",
    "export": "A model in eight bits, or for TensorFlow.",
    "recalibrate": "Probabilities fitted to your labelled photos.",
    "cluster": "predict and detect on many machines.",
    "serve": "A model for others: page, REST, gRPC.",
    "show": "What is in a model file.",
}
"""The commands in the order of the data's way, as the first help says them; others come last."""

_ORDER = {name: index for index, name in enumerate(_COMMANDS)}


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"trapline {__version__}")
        raise typer.Exit


def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and stop.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """From a card full of camera-trap photos to a species table one can defend."""
    context.with_resource(naming_options())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its status: 0 all well, 1 failed, 2 wrong usage, 130 stopped.

    Args:
        arguments: None for those of this process, which then is the command's and ends with it.
    """
    if arguments is not None:
        _run(arguments)
        return
    try:
        _run(sys.argv[1:])
    except SystemExit as end:
        _end_process(end.code)
        raise


def _end_process(status: object) -> None:
    """End at once where PyTorch is loaded: to free its objects one by one takes Python more than a second.

    What else is done at a process's end is done here; come back where there is more to wait for.
    """
    waiting = [thread for thread in threading.enumerate() if not thread.daemon]
    if "torch" not in sys.modules or not isinstance(status, int) or len(waiting) > 1:
        return
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # Python says so in its own way
        return
    os._exit(status)


def _run(arguments: list[str]) -> None:
    # Pillow warns of every photo with damaged EXIF; what matters of that stands in the results' rows.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    _write_whatever_comes()
    with _ending_by_signals(_command(arguments)) as caught:
        try:
            with warnings_as_notes():
                build_app(_command(arguments))(arguments, prog_name="trapline")
        except BaseException as error:
            _leave(error, arguments, bool(caught))
            raise


def _leave(error: BaseException, arguments: list[str], stopped: bool) -> None:
    """Say why a command ended and leave with its status; come back where Python shall show the error."""
    status = error.code if isinstance(error, SystemExit) else 1
    stopped = stopped and bool(status)  # what was finished all the same is no failure
    if stopped or status == _INTERRUPTED or isinstance(error, KeyboardInterrupt):
        typer.echo(f"\nStopped. {_AFTER_STOP.get(_command(arguments), '')}".rstrip(), err=True)
        sys.exit(_INTERRUPTED)
    if "--debug" in arguments:
        return
    if isinstance(error, TraplineError):
        hint = _whose_options(str(error), _command(arguments))
        typer.echo(f"Error: {error}{hint}", err=True)
        sys.exit(error.exit_status)
    if isinstance(error, UnicodeEncodeError):  # of a path: what is written gets through
        typer.echo(
            f"Error: Python takes this system's names for {error.encoding}, which has no '{error.object}'. "
            "Set PYTHONUTF8=1, or a locale such as LC_ALL=C.UTF-8.",
            err=True,
        )
        sys.exit(1)
    if isinstance(error, OSError):  # a full disk, a folder that may not be written to: not ours
        typer.echo(f"Error: {describe_system_error(error)}", err=True)
        sys.exit(1)


def _whose_options(message: str, command: str) -> str:
    """Where a message names options of reading, and this command reads but has them not: which one has."""
    named = re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", message)
    if not named or command == "catalog" or "`trapline " in message:
        return ""
    own, reading = _flags_of(command), _flags_of("catalog")
    missing = list(dict.fromkeys(flag for flag in named if flag in reading and flag not in own))
    if not own or not missing:
        return ""
    are = "is an option" if len(missing) == 1 else "are options"
    return (
        f" {' and '.join(missing)} {are} of `trapline catalog`, whose catalog `trapline {command}` takes in "
        "place of the source."
    )


def _flags_of(command: str) -> set[str]:
    """The options of a command; none if there is no such command."""
    group = typer.main.get_command(build_app(command))
    named = getattr(group, "commands", {}).get(command)
    return {flag for one in getattr(named, "params", ()) for flag in (*one.opts, *one.secondary_opts)}


def _write_whatever_comes() -> None:
    """Labels and names that a terminal, file or pipe has no signs for are written as \\u9e7f."""
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        if stream.errors == "strict" or not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _ending_by_signals(command: str) -> Iterator[list[int]]:
    """SIGTERM ends a command as Ctrl-C does; yields the signals that came.

    Libraries turn an interrupt into errors of their own, so that it is written down when it comes. `serve`
    and `review` have their own way to stop, and what a shell has told to ignore signals goes on to.
    """
    caught: list[int] = []
    before: dict[int, Any] = {}
    owner = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner and number == signal.SIGTERM:  # forked: its parent's way to end it
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        caught.append(number)
        raise KeyboardInterrupt

    if command not in ("serve", "review") and threading.current_thread() is threading.main_thread():
        for which in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(which) in (signal.SIG_DFL, signal.default_int_handler):
                before[which] = signal.signal(which, stop)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_INTERRUPTED = 130
"""The status after Ctrl-C, and typer's."""

_AFTER_STOP = {
    "card": "The same command goes on where it stopped.",
    "cluster": "The same command goes on where it stopped.",
    "download": "The same command goes on where it stopped.",
    "detect": "The same command goes on where it stopped.",
    "models": "The same command goes on where it stopped.",
    "run": "If it was training: trapline train OUTPUT/catalog.parquet -o OUTPUT/train --resume, with the "
    "same recipe, goes on with what was finished.",
    "predict": "The same command goes on where it stopped.",
    "embed": "The same command goes on where it stopped.",
    "train": "The same command with --resume goes on with what was finished.",
    "tune": "The same command goes on with the trials that are left.",
}


def _command(arguments: list[str]) -> str:
    return next((word for word in arguments if not word.startswith("-")), "")
