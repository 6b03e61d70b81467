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
from itertools import count
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

_GROUPS = {
    "catalog": "trapline.readers",
    "predictions": "trapline.answers",
    "write": "trapline.writers",
}


def format_options(command: str) -> dict[str, tuple[Option, ...]]:
    """The options of each format that a command reads or writes, those of all formats under the name of none.

    Guests are imported, if there are any.
    """
    if entry_points(group=_GROUPS[command]):
        return derived(command)
    stored = json.loads(STORED.read_text(encoding="utf-8"))[command]
    return {
        name: tuple(Option(**option | {"choices": tuple(option["choices"])}) for option in options)
        for name, options in stored.items()
    }


def opened_by(command: str) -> dict[str, tuple[str, ...]]:
    """The programs that open what a format's writer writes, by the format's name, for the help."""
    if command != "write":
        return {}
    if not entry_points(group=_GROUPS[command]):
        return {name: tuple(own) for name, own in json.loads(STORED.read_text("utf-8"))["opened_by"].items()}
    from trapline.formats import WRITERS

    return {name: writer.opened_by for name, writer in WRITERS.items()}


def derived(command: str) -> dict[str, tuple[Option, ...]]:
    """The same from the registered functions themselves; guests of the other command are left alone."""
    from trapline.formats import ANSWER_READERS, COMMON_OPTIONS, READERS, WRITERS

    if command == "predictions":
        return {name: reader.options for name, reader in ANSWER_READERS.items()}
    if command == "write":
        return {name: writer.options for name, writer in WRITERS.items()}
    return {"": COMMON_OPTIONS, **{name: reader.options for name, reader in READERS.items()}}


def dump() -> str:
    """The options of the commands, and who opens what is written, as they are stored."""
    from trapline.formats import WRITERS

    shown: dict[str, Any] = {
        command: {name: [asdict(option) for option in own] for name, own in derived(command).items()}
        for command in _GROUPS
    }
    shown["opened_by"] = {name: writer.opened_by for name, writer in WRITERS.items() if writer.opened_by}
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
    run: Callable[..., None],
    formats: Mapping[str, Sequence[Option]],
    opened_by: Mapping[str, Sequence[str]] | None = None,
) -> Callable[..., None]:
    """The command with a parameter for each option of the formats, where `run` has its `options`.

    An option that several formats share is one, if it takes the same; else, or if the command or another
    format has its flag, it is called `--FORMAT-OPTION`.

    Args:
        run: the command; what is given of the formats' options comes to it as the dictionary `options`.
        formats: each format's own options, by its name, which the help of `--format` lists; those that all
            have under the empty name.
        opened_by: programs by the format's name, which that help names with it.
    """
    named = {
        name: f"{name} ({', '.join(programs)})" for name, programs in (opened_by or {}).items() if programs
    }
    names = [named.get(name, name) for name in formats if name]
    parameters = inspect.signature(run).parameters
    hints = get_type_hints(run, include_extras=True)
    added = list(_flags(formats, set(_own_flags(hints))))
    signature = []
    for parameter in parameters.values():
        if parameter.name == OWN:
            signature += [flag.parameter() for flag in added]
        else:
            signature.append(parameter.replace(annotation=_named(hints[parameter.name], names)))

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

    def __init__(self, flag: str, owners: Mapping[str, Option]) -> None:
        self.flag, self.owners = flag, owners
        self.name = f"{flag.removeprefix('--').replace('-', '_')}_option"
        self.option = next(iter(owners.values()))
        shape = {"mapping": "NAME=VALUE", "list": "<str>"}.get(self.option.form)
        self.shape = None if self.option.form == "switch" else self.option.metavar or shape

    def parameter(self) -> inspect.Parameter:
        names = self.flag
        defaults = [option.default for option in self.owners.values()]
        if self.option.form == "switch" and any(default is not False for default in defaults):
            names = f"{self.flag}/{_negated(self.flag)}"
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
        sentences = [
            f"{', '.join(names)}{': ' if text else '.'}{text}" if any(names) else text
            for text, names in texts.items()
        ]
        sentences += ["Repeatable."] if self.option.form in ("list", "mapping") else []
        return " ".join(text[:1].upper() + text[1:] if text in texts else text for text in sentences)


def _own_flags(hints: Mapping[str, Any]) -> Iterable[str]:
    """The flags of the command itself, and those that every command has."""
    yield from ("--help", "--debug")
    for name, hint in hints.items():
        yield _spelt(name)
        for note in get_args(hint)[1:]:  # in Annotated typer has the first flag where a default would stand
            for flags in (getattr(note, "default", None), *(getattr(note, "param_decls", None) or ())):
                yield from flags.split("/") if isinstance(flags, str) else ()


def _flags(formats: Mapping[str, Iterable[Option]], own: set[str]) -> Iterable[_Flag]:
    owners_of: dict[str, dict[str, Option]] = {}
    claimed = dict.fromkeys(own, "")
    for owner, options in formats.items():
        for option in options:
            for flag in _candidates(owner, option):
                wanted = (flag, _negated(flag)) if option.form == "switch" else (flag,)
                others = owners_of.get(flag, {}).values()
                alike = all((other.name, other.form) == (option.name, option.form) for other in others)
                if alike and all(claimed.get(one, flag) == flag for one in wanted):
                    break
            claimed |= dict.fromkeys(wanted, flag)
            owners_of.setdefault(flag, {})[owner] = option
    return (_Flag(flag, owners) for flag, owners in owners_of.items())


def _candidates(owner: str, option: Option) -> Iterable[str]:
    """What an option may be called, the plain name first; a repeatable one is in the singular."""
    name = option.name.strip("_")
    if option.form in ("list", "mapping") and len(name) > 1:
        name = singular(name)
    yield _spelt(name)
    long = _spelt(f"{owner.replace('.', '_')}_{name}")
    yield long
    yield from (f"{long}-{number}" for number in count(2))


def _spelt(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _negated(flag: str) -> str:
    return f"--no-{flag.removeprefix('--')}"


def singular(name: str) -> str:
    """Of an English plural: names, classes, boxes, categories; species and series are their own."""
    if name.endswith(("species", "series", "ss")):
        return name
    if name.endswith("ies"):
        return f"{name.removesuffix('ies')}y"
    return name[:-2] if name.endswith(("sses", "xes", "ches", "shes")) else name.removesuffix("s")


def _sentence(option: Option) -> str:
    """The help without what is for readers of code, its default at the end."""
    text = re.sub(r" \(see `[^)]*\)", "", option.help).replace("`", "").rstrip(".")
    if option.choices and not all(choice in text for choice in option.choices):
        text = f"{text}{': ' if text else ''}{' or '.join(option.choices)}"
    plain = isinstance(option.default, (str, int, float)) and not isinstance(option.default, bool)
    if plain and option.default != "":
        shown = f"{option.default:g}" if isinstance(option.default, float) else option.default
        text = f"{text} [{shown}]".lstrip()
    return text and f"{text}."


def _named(hint: Any, names: Sequence[str]) -> Any:
    """The annotation with the formats' names where the help says `{formats}`."""
    info = next((note for note in get_args(hint)[1:] if isinstance(note, typer.models.OptionInfo)), None)
    if info is None or not info.help or "{formats}" not in info.help:
        return hint
    shown = copy(info)
    shown.help = info.help.replace("{formats}", ", ".join(names))
    return Annotated[get_args(hint)[0], shown]
