"""The options of formats as a command's: a guest's never take away what the command has for itself."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from trapline.cli._format_options import with_format_options
from trapline.options import Option, options_of


def command(given: dict[str, Any], *guests: Callable[..., None]) -> typer.Typer:
    """A command with options of its own and of the readers `guests`; what it is given is noted in `given`."""

    def run(
        output: Annotated[Path | None, typer.Option("-o", "--output")] = None,
        *,
        options: dict[str, Any],
        join_gap: Annotated[str | None, typer.Option("--join-events")] = None,
        force: Annotated[bool, typer.Option("--force")] = False,
    ) -> None:
        given.update(options=options, output=output, join_gap=join_gap, force=force)

    formats: dict[str, Sequence[Option]] = {guest.__name__: options_of(guest, "guest") for guest in guests}
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command(context_settings={"help_option_names": ["-h", "--help"]})(with_format_options(run, formats))
    return app


def clashing(
    *,
    help: str = "",
    debug: bool = False,
    outputs: Sequence[str] = (),
    join_events: int = 1,
    forces: Mapping[str, str] | None = None,
    name: str = "",
    names: Sequence[str] = (),
    _x: int = 1,
    x: int = 2,
    class_: str = "",
) -> None:
    """Each is called as something else is."""


def test_no_option_of_a_format_takes_a_flag_that_something_else_has() -> None:
    given: dict[str, Any] = {}
    app = command(given, clashing)
    page = CliRunner().invoke(app, ["--help"])
    assert page.exit_code == 0
    assert "Usage:" in page.output
    words = ["--output", "out", "--force", "--join-events", "1h", "--clashing-output", "a", "--class", "bird"]
    more = ["--name", "b", "--clashing-name", "c", "--x", "5", "--clashing-x", "6", "--clashing-help", "d"]
    done = CliRunner().invoke(app, [*words, *more, "--clashing-join-events", "7", "--clashing-debug"])
    assert done.exit_code == 0, done.output
    assert (given["output"], given["force"], given["join_gap"]) == (Path("out"), True, "1h")
    assert given["options"] == {
        "outputs": ["a"], "class_": "bird", "name": "b", "names": ["c"], "_x": 5, "x": 6, "help": "d",
        "join_events": 7, "debug": True,
    }  # fmt: skip


def exif(*, exif: bool = True) -> None:
    """A switch that is on."""


def unsure(*, sure: bool | None = None, no_exif: bool = False) -> None:
    """A switch with three states, and one whose name is the other's negation."""


def test_a_switch_can_be_put_in_each_of_its_states() -> None:
    given: dict[str, Any] = {}
    app = command(given, exif, unsure)
    for words, options in {
        (): {},
        ("--sure",): {"sure": True},
        ("--no-sure",): {"sure": False},
        ("--no-exif",): {"exif": False},
        ("--unsure-no-exif",): {"no_exif": True},
    }.items():
        assert CliRunner().invoke(app, list(words)).exit_code == 0
        assert given["options"] == options


@pytest.mark.parametrize(
    ("name", "flag"),
    [("labels", "label"), ("classes", "class"), ("boxes", "box"), ("categories", "category"),
     ("species", "species"), ("series", "series"), ("s", "s")],
)  # fmt: skip
def test_a_repeatable_option_is_in_the_singular(name: str, flag: str) -> None:
    def guest() -> None:
        """Has one option."""

    option = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=(), annotation=Sequence[str])
    guest.__signature__ = inspect.Signature([option])  # type: ignore[attr-defined]
    guest.__annotations__ = {name: Sequence[str]}
    given: dict[str, Any] = {}
    done = CliRunner().invoke(command(given, guest), [f"--{flag}", "a", f"--{flag}", "b"])
    assert done.exit_code == 0, done.output
    assert given["options"] == {name: ["a", "b"]}


def test_help_has_no_empty_sentence_for_an_option_that_nothing_is_said_of() -> None:
    page = CliRunner().invoke(command({}, clashing), ["--help"]).output
    assert "clashing: [2]." in page
    assert ": ." not in page
    assert ":  [" not in page
