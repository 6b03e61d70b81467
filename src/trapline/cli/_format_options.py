"""The options of registered readers and writers as options of their command, built-in and guest alike."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import asdict
from functools import wraps
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from trapline.errors import UsageError
from trapline.options import Form, Option

OWN = "options"
"""The parameter of a command's `run` that takes what was given of the formats' options, by name."""

STORED = Path(__file__).with_name("format_options.json")
"""The options of Trapline's own formats, as `scripts/store_format_options.py` finds them: importing readers
takes longer than a whole help may."""

Options = dict[str, dict[str, tuple[Option, ...]]]
"""Command → format → its options; those of all formats under the name of none."""

_GROUPS = {"catalog": "trapline.readers", "write": "trapline.writers"}


def format_options(command: str) -> dict[str, tuple[Option, ...]]:
    """The options of each format that a command reads or writes; guests are imported, if there are any."""
    if entry_points(group=_GROUPS[command]):
        return derived()[command]
    stored = json.loads(STORED.read_text(encoding="utf-8"))[command]
    return {
        name: tuple(Option(**option | {"choices": tuple(option["choices"])}) for option in options)
        for name, options in stored.items()
    }


def derived() -> Options:
    """The same from the registered functions themselves."""
    from trapline.formats import COMMON_OPTIONS, READERS, WRITERS

    return {
        "catalog": {"": COMMON_OPTIONS, **{name: reader.options for name, reader in READERS.items()}},
        "write": {name: writer.options for name, writer in WRITERS.items()},
    }


def dump(options: Options) -> str:
    """As it is stored."""
    shown = {
        command: {name: [asdict(option) for option in own] for name, own in formats.items()}
        for command, formats in options.items()
    }
    return json.dumps(shown, indent=1, ensure_ascii=False) + "\n"


_TYPES: dict[Form, Any] = {
    "text": str,
    "integer": int,
    "number": float,
    "path": Path,
    "switch": bool,
    "list": list[str],
    "mapping": list[str],
}


def with_format_options(
    run: Callable[..., None], formats: Mapping[str, Sequence[Option]]
) -> Callable[..., None]:
    """The command with a parameter for each option of the formats, where `run` has its `options`.

    An option that several formats share is one, if it takes the same; else, or if the command has one of
    that name for itself, it is called `--FORMAT-OPTION`.

    Args:
        run: the command; what is given of the formats' options comes to it as the dictionary `options`.
        formats: each format's own options, by its name, which the help of `--format` lists; those that all
            have under the empty name.
    """
    parameters = inspect.signature(run).parameters
    hints = get_type_hints(run, include_extras=True)
    added = list(_flags(formats, set(parameters)))
    signature = []
    for parameter in parameters.values():
        if parameter.name == OWN:
            signature += [flag.parameter() for flag in added]
        else:
            signature.append(parameter.replace(annotation=_named(hints[parameter.name], formats)))

    @wraps(run)
    def command(**given: Any) -> None:
        options: dict[str, Any] = {}
        for flag in added:
            value = flag.value(given.pop(flag.name))
            if value is not None and flag.option.name in options:
                raise UsageError(f"{flag.flag} says again what '{flag.option.name}' says: give one of them.")
            if value is not None:
                options[flag.option.name] = value
        run(**given, **{OWN: options})

    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in signature]
    )
    return command


class _Flag:
    """One option of the command: of the formats `owners`, which mean the same by it."""

    def __init__(self, name: str, owners: Mapping[str, Option]) -> None:
        self.name, self.owners = name, owners
        self.option = next(iter(owners.values()))
        many = self.option.form in ("list", "mapping")
        self.flag = f"--{(name.removesuffix('s') if many else name).replace('_', '-')}"
        self.shape = self.option.metavar or ("NAME=VALUE" if self.option.form == "mapping" else None)

    def parameter(self) -> inspect.Parameter:
        names = self.flag
        if self.option.form == "switch" and any(option.default for option in self.owners.values()):
            names = f"{self.flag}/--no-{self.flag.removeprefix('--')}"
        shown = typer.Option(names, help=self._help(), metavar=self.shape)
        plain: Any = _TYPES[self.option.form]
        kind = Annotated[plain | None, shown]
        return inspect.Parameter(self.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)

    def value(self, given: Any) -> Any:
        """What `read` and `write` take, of what typer gives."""
        if not given and given is not False:
            return given if isinstance(given, (str, int, float)) else None
        if self.option.form != "mapping":
            return given
        for pair in given:
            if "=" not in pair:
                raise UsageError(f"{self.flag} takes {self.shape}, not '{pair}'.")
        return {key: value for key, _, value in (pair.partition("=") for pair in given)}

    def _help(self) -> str:
        """What each text says, after the names of the formats that it is of."""
        texts: dict[str, list[str]] = {}
        for name, option in self.owners.items():
            texts.setdefault(_sentence(option), []).append(name)
        sentences = [f"{', '.join(names)}: {text}" if any(names) else text for text, names in texts.items()]
        sentences += ["Repeatable."] if self.option.form in ("list", "mapping") else []
        return " ".join(text[:1].upper() + text[1:] if text in texts else text for text in sentences)


def _flags(formats: Mapping[str, Iterable[Option]], taken: set[str]) -> Iterable[_Flag]:
    options_of: dict[str, dict[str, Option]] = {}
    for owner, options in formats.items():
        for option in options:
            name = option.name
            others = options_of.get(name, {})
            if name in taken or any(other.form != option.form for other in others.values()):
                name = f"{owner.replace('-', '_').replace('.', '_')}_{name}"
            options_of.setdefault(name, {})[owner] = option
    return (_Flag(name, owners) for name, owners in options_of.items())


def _sentence(option: Option) -> str:
    """The help without what is for readers of code, its default at the end."""
    text = re.sub(r" \(see `[^)]*\)", "", option.help).replace("`", "").rstrip(".")
    if option.choices and not all(choice in text for choice in option.choices):
        text = f"{text}{': ' if text else ''}{' or '.join(option.choices)}"
    plain = isinstance(option.default, (str, int, float)) and not isinstance(option.default, bool)
    shown = f"{option.default:g}" if isinstance(option.default, float) else option.default
    return f"{text} [{shown}]." if plain and option.default != "" else f"{text}."


def _named(hint: Any, formats: Mapping[str, Any]) -> Any:
    """The annotation with the formats' names where the help says `{formats}`."""
    info = next((note for note in get_args(hint)[1:] if isinstance(note, typer.models.OptionInfo)), None)
    if info is None or not info.help or "{formats}" not in info.help:
        return hint
    shown = copy(info)
    shown.help = info.help.replace("{formats}", ", ".join(filter(None, formats)))
    return Annotated[get_args(hint)[0], shown]
