"""The door of the Python face: arguments are of the types that signatures name, or refused by their names.

What a signature says of an argument is checked before any work: a path is text or a `Path`, a count a whole
number, a list of texts is no text. What a module imports for checkers only is imported when it is asked for.

A path may be an address (`s3://bucket/photos.parquet`). What is read there comes in as a copy on this
machine, and what is written is put there at the end, so that functions know files alone; see `Use`.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import inspect
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from trapline.addresses import Use, address_of, call_at_addresses, names_address
from trapline.errors import DataError, TraplineError, UsageError, describe_system_error
from trapline.storage import AnyPath, RemotePath, as_any_path, is_url

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class From:
    """The least that a number may be."""

    least: int

    def __str__(self) -> str:
        return f"from {self.least} on"


Whole: TypeAlias = Annotated[int, From(0)]
Count: TypeAlias = Annotated[int, From(1)]
Folds: TypeAlias = Annotated[int, From(2)]


File: TypeAlias = Path | str
Source: TypeAlias = Annotated[Path | RemotePath | str, Use.LEADS_ON]
Output: TypeAlias = Annotated[Path | str, Use.WRITTEN]
Resumable: TypeAlias = Annotated[Path | str, Use.GOES_ON]
LocalFile: TypeAlias = Annotated[Path | str, Use.LOCAL]

_TEXTS: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    Path: "a path",
    bool: "True or False",
    Sequence: "a list of texts",
    Mapping: "texts by their names",
    Callable: "a function",
}
_NUMBERS: dict[Any, type] = {int: Integral, float: Real}
_OPTIONS = {
    "-o": "output",
    "-r": "recipe",
    "--set": "changes",
    "--intervals-over": "over",
    "--column": "columns",
    "--stations-column": "stations_columns",
}
_OPTION_OF = {name: option for option, name in _OPTIONS.items()}
_at_command = False


def checked(function: F) -> F:
    """Check the arguments of each call by the function's signature.

    A message of the function that names an option of a command (`--recipe-file`) names the parameter instead,
    and what the system says of a path is an error of Trapline. While a command is at work, options are named.

    Raises:
        UsageError: an argument has another type; it says which, and what is accepted.
        DataError: a path cannot be read or written.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        try:
            bound = signature.bind(*given, **named)
        except TypeError:  # too many, or an unknown name: as Python says it of the function itself
            return function(*given, **named)
        for name, value in bound.arguments.items():
            hint = hints_of(function).get(name, object)
            if not fits(value, hint):
                raise UsageError(f"{_option_of(name)} must be {describe(hint)}, not {_shown(value)}.")
        try:
            if any(map(names_address, bound.arguments.values())):
                return call_at_addresses(function, bound, hints_of(function), _option_of)
            return function(*given, **named)
        except TraplineError as error:
            error.args = (_for_python(str(error), signature), *error.args[1:])
            raise
        except OSError as error:
            if error.filename is None:  # of something else than a path: a callback's, perhaps
                raise
            raise DataError(describe_system_error(error)) from error

    return call  # type: ignore[return-value]


def refuse_own_input(output: AnyPath | str, *sources: object) -> None:
    """Refuse to write over a file that is read.

    Args:
        output: what is to be written.
        sources: arguments; those that are paths, or lists of them, are compared.

    Raises:
        UsageError: one of them is the same file, by whatever name.
    """
    each = [one for source in sources for one in (source if isinstance(source, list | tuple) else [source])]
    if any(_is_same(output, source) for source in each):
        raise UsageError(
            f"{output} is read by the command itself, and would be lost. Name another output with -o."
        )


def _is_same(output: AnyPath | str, source: object) -> bool:
    """Whether two arguments are the same file, or the same address."""
    if not isinstance(source, Path | str | RemotePath):
        return False
    one, other = (str(address_of(as_any_path(path))) for path in (output, source))
    if is_url(one) or is_url(other):
        return one == other
    with suppress(OSError, ValueError):  # a text that is no path
        known = Path(one).is_file() or _is_table(Path(one))
        return known and Path(other).exists() and Path(one).samefile(other)
    return False


def _is_table(folder: Path) -> bool:
    """Whether a folder is a catalog, or predictions, in several files."""
    return any(folder.glob("_trapline_*.json"))


@functools.cache
def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The types of a function's arguments, also those that its module imports for checkers only."""
    return get_type_hints(function, None, AnnotationNames(function), include_extras=True)


def fits(value: object, hint: Any) -> bool:
    """Whether a value is of a type; one text is no list, True is no number, and a path is not empty."""
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind is Annotated:
        least = next((note.least for note in parts[1:] if isinstance(note, From)), None)
        return fits(value, parts[0]) and (least is None or value >= least)  # type: ignore[operator]
    if kind in (Union, types.UnionType):
        return any(fits(value, part) for part in _members(parts))
    if kind is Literal:
        return isinstance(value, str) and value in parts
    if kind in _NUMBERS:
        return isinstance(value, _NUMBERS[kind]) and not isinstance(value, bool)
    if kind is Path and isinstance(value, RemotePath):
        return True
    if kind is Path:
        return isinstance(value, Path | str) and bool(str(value).strip()) and "\0" not in str(value)
    if kind is Sequence:
        several = isinstance(value, Sequence) and not isinstance(value, str | bytes)
        return several and all(fits(one, parts[0]) for one in value)  # type: ignore[attr-defined]
    if kind is Mapping:
        return isinstance(value, Mapping) and all(
            fits(one, part) for pair in value.items() for one, part in zip(pair, parts, strict=True)
        )
    if not isinstance(kind, type) or getattr(kind, "_is_protocol", False):
        return True
    return isinstance(value, kind)


def describe(hint: Any) -> str:
    """What is accepted, for people: what `Annotated` says, or else the types."""
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind is Annotated:
        text = next((note for note in parts[1:] if isinstance(note, str)), "")
        return text or " ".join(
            [describe(parts[0]), *(str(note) for note in parts[1:] if isinstance(note, From))]
        )
    if kind in (Union, types.UnionType):
        given = [part for part in _members(parts) if part is not types.NoneType]
        return ", or ".join(dict.fromkeys(map(describe, given)))
    if kind is Literal:
        return f"one of {', '.join(parts)}"
    if kind is Mapping and parts[1] is object:
        return "values by their names"
    return _TEXTS.get(kind, f"a {getattr(kind, '__name__', kind)}")


@contextmanager
def naming_options() -> Iterator[None]:
    """While a command is at work, messages name its options and not the parameters of functions."""
    global _at_command
    before, _at_command = _at_command, True
    try:
        yield
    finally:
        _at_command = before


def _option_of(name: str) -> str:
    """What a parameter is called by whoever is at work."""
    return _OPTION_OF.get(name, f"--{name.replace('_', '-')}") if _at_command else name


def _for_python(message: str, signature: inspect.Signature) -> str:
    """The parameters where the message names options; commands in backticks are left as they are."""
    if _at_command:
        return message
    called = {f"--{name.replace('_', '-')}": name for name in signature.parameters}
    called |= {option: name for option, name in _OPTIONS.items() if name in signature.parameters}
    options = r"`[^`]*`|(?<![\w-])--?[a-z][a-z-]*"
    return re.sub(options, lambda option: called.get(option[0], option[0]), message)


def _members(parts: Sequence[Any]) -> list[Any]:
    """Those of a union; text beside a path is a path."""
    return [part for part in parts if not (part in (str, RemotePath) and Path in parts)]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


class AnnotationNames(dict[str, Any]):
    """What the annotations of a function name, also where its module imports it for checkers only."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._module = function.__module__
        super().__init__(vars(builtins) | vars(sys.modules[self._module]))

    def __missing__(self, name: str) -> Any:
        known = _for_checkers(self._module).get(name)
        if isinstance(known, tuple):
            module = importlib.import_module(known[0])
            self[name] = getattr(module, known[1]) if known[1] else module
        elif known is not None:
            self[name] = eval(compile(ast.Expression(known), name, "eval"), {}, self)  # noqa: S307  our own
        else:
            raise NameError(name)
        return self[name]


@functools.cache
def _for_checkers(module: str) -> dict[str, tuple[str, str] | ast.expr]:
    """What stands under `if TYPE_CHECKING` of a module: where each name is from, or its value."""
    names: dict[str, tuple[str, str] | ast.expr] = {}
    for block in ast.parse(inspect.getsource(sys.modules[module])).body:
        if not (isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"):
            continue
        for node in block.body:
            if isinstance(node, ast.ImportFrom) and node.module:
                names |= {one.asname or one.name: (node.module, one.name) for one in node.names}
            elif isinstance(node, ast.Import):
                names |= {one.asname or one.name: (one.name, "") for one in node.names}
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
                names[node.target.id] = node.value
    return names
