"""The options of a registered function, from its signature: the same for a command and from Python."""

from __future__ import annotations

import difflib
import inspect
import re
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from trapline.arguments import describe, fits
from trapline.errors import UsageError

Form = Literal["text", "integer", "number", "path", "switch", "list", "mapping"]

_FORMS: dict[Any, Form] = {
    str: "text",
    int: "integer",
    float: "number",
    Path: "path",
    bool: "switch",
    Sequence[str]: "list",
    list[str]: "list",
    tuple[str, ...]: "list",
    Mapping[str, str]: "mapping",
    dict[str, str]: "mapping",
}
_HINTS: dict[Form, Any] = {form: hint for hint, form in reversed(_FORMS.items())}
_TAKEN = "str, int, float, bool, Path, Literal of texts, Sequence[str] or Mapping[str, str], each also | None"


@dataclass(frozen=True)
class Option:
    """One keyword-only parameter of a registered function.

    Attributes:
        name: of the parameter.
        form: what it takes.
        default: what stands where it is not given.
        help: what the docstring's Args (or `Annotated[..., "…"]`) say of it.
        choices: the only values, of a `Literal`.
        metavar: what a value looks like in a command's help: what stands in brackets after the name in Args.
    """

    name: str
    form: Form
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    metavar: str | None = None


def options_of(
    function: Callable[..., Any], what: str, first: str = "", taken: Collection[str] = ()
) -> tuple[Option, ...]:
    """The options of a function; its signature is checked on the way.

    Args:
        function: one positional parameter (`first`) and keyword-only ones with defaults, all annotated.
        what: what the function is, for messages ("reader 'guest'").
        first: what its positional parameter is for ("source"); empty if it has none.
        taken: names that have another meaning for every function of the kind.

    Raises:
        UsageError: the signature is another; the message says what is expected.
    """
    form = f"def {function.__name__}({first or ''}{', ' if first else ''}*, option: type = default, …)"
    parameters = list(inspect.signature(function).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    if len(positional) != bool(first) or len(positional) + len(named) != len(parameters):
        raise UsageError(f"The {what} has the signature {inspect.signature(function)}; expected is {form}.")
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise UsageError(f"The {what} has a type that cannot be looked up: {error}.") from None
    texts = _argument_texts(inspect.getdoc(function) or "")
    options = []
    for parameter in named:
        name = parameter.name
        if name in taken:
            raise UsageError(f"The {what} has an option '{name}', which means another thing here: rename it.")
        if parameter.default is parameter.empty:
            raise UsageError(f"The option '{name}' of the {what} has no default; expected is {form}.")
        description, hint = _unwrap(hints.get(name))
        chosen = _form_of(hint)
        if chosen is None:
            raise UsageError(f"The option '{name}' of the {what} has the type {hint}; an option is {_TAKEN}.")
        metavar, help = texts.get(name, ("", ""))
        options.append(
            Option(name, chosen, parameter.default, description or help, _choices(hint), metavar or None)
        )
    return tuple(options)


def check_positional(function: Callable[..., Any], what: str, *names: str) -> None:
    """Refuse a function that cannot be called with these positional arguments and no others.

    Raises:
        UsageError: what is expected is said.
    """
    try:
        inspect.signature(function).bind(*names)
    except (TypeError, ValueError):
        signature = inspect.signature(function) if callable(function) else type(function).__name__
        raise UsageError(
            f"The {what} is {signature}; expected is a function of ({', '.join(names)})."
        ) from None


def check_options(
    given: Mapping[str, Any],
    options: Sequence[Option],
    what: str,
    elsewhere: Mapping[str, Iterable[Option]] | None = None,
) -> None:
    """Refuse options that a function has not, and values that are none of the choices or of another type.

    Args:
        given: name → value.
        options: those that there are.
        what: whose they are, for messages ("The reader 'csv'").
        elsewhere: those of the others of the kind, by their names, to say where an option belongs.

    Raises:
        UsageError: the near option is suggested.
    """
    known = {option.name: option for option in options}
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            owners = [
                other for other, theirs in (elsewhere or {}).items() if name in {o.name for o in theirs}
            ]
            owner_hint = f" It belongs to {', '.join(owners)}." if owners else ""
            has = f"has: {', '.join(known)}" if known else "has none"
            raise UsageError(f"{what} has no option '{name}'; it {has}.{hint}{owner_hint}")
        choices = known[name].choices
        if choices and value is not None and value not in choices:
            raise UsageError(f"{what} takes for '{name}' {' or '.join(choices)}, not '{value}'.")
        hint = _HINTS[known[name].form]
        if not (value is None or choices or fits(value, hint)):
            raise UsageError(f"{what} takes for '{name}' {describe(hint)}, not {value!r}.")


def _unwrap(hint: Any) -> tuple[str, Any]:
    """The text of `Annotated`, and the type without it, without None, and without text beside a Path."""
    description = ""
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        description = next((note for note in notes if isinstance(note, str)), "")
    if get_origin(hint) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not types.NoneType]
        if set(kinds) == {Path, str}:
            kinds = [Path]
        inner, hint = _unwrap(kinds[0]) if len(kinds) == 1 else ("", hint)
        description = description or inner
    return description, hint


def _form_of(hint: Any) -> Form | None:
    if _choices(hint):
        return "text"
    try:
        return _FORMS.get(hint)
    except TypeError:  # no hashable thing, so no type
        return None


def _choices(hint: Any) -> tuple[str, ...]:
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    return choices if all(isinstance(choice, str) for choice in choices) else ()


def _argument_texts(doc: str) -> dict[str, tuple[str, str]]:
    """What the section Args (of a class: Attributes) of a docstring has in brackets of each, and says."""
    section = re.search(r"^(?:Args|Attributes):\n((?:[ \t]+.*\n?|\n)+)", doc, re.MULTILINE)
    if section is None:
        return {}
    lines = section[1].splitlines()
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    texts: dict[str, tuple[str, str]] = {}
    name = ""
    for line in lines:
        start = re.match(r"(\w+)(?: \(([^)]*)\))?:\s*(.*)", line[indent:])
        if start:
            name = start[1]
            texts[name] = (start[2] or "", start[3])
        elif name and line.strip():
            texts[name] = (texts[name][0], f"{texts[name][1]} {line.strip()}".strip())
    return texts
