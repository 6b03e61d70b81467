"""Addresses (`s3://bucket/photos.parquet`) as arguments of functions that know files of this machine alone.

What is read at an address comes in as a copy, and what is written is made here and put there at the end, when
the function has come back. Meanwhile the files stand for their addresses: `address_of` tells these, for what
is kept relative to a file, and errors name them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from trapline.errors import TraplineError, UsageError
from trapline.storage import AnyPath, RemotePath, as_any_path, fetch, is_url, put_staged, stage

_standing: ContextVar[Mapping[str, RemotePath]] = ContextVar("trapline_addresses", default={})  # noqa: B039
"""The addresses that files and folders of this machine stand for, while a function is at work on these."""


class Use(Enum):
    """What becomes of a path that is an address, in an annotation; a copy is read where nothing is said."""

    LEADS_ON = "what it names is read there: photos lie beside it"
    WRITTEN = "made on this machine, and put there at the end"
    GOES_ON = "likewise; what an earlier call has not finished is gone on with"
    LOCAL = "must be on this machine"


@contextmanager
def standing_for(files: Mapping[Path, RemotePath]) -> Iterator[None]:
    """Meanwhile files of this machine stand for addresses: `address_of` tells them, and so do errors."""
    token = _standing.set({**_standing.get(), **{str(file): address for file, address in files.items()}})
    try:
        yield
    except TraplineError as error:
        error.args = (naming_addresses(str(error)), *error.args[1:])
        raise
    finally:
        _standing.reset(token)


def naming_addresses(message: str) -> str:
    """A message with addresses for the files that stand for them."""
    known = _standing.get()
    for file in sorted(known, key=len, reverse=True):
        message = message.replace(file, str(known[file]))
    return message


def address_of(path: AnyPath) -> AnyPath:
    """The address that a file of this machine stands for while a function is at work on it, or the path."""
    known = _standing.get()
    if not known or isinstance(path, RemotePath):
        return path
    for one in (path, *path.parents):
        if (address := known.get(str(one))) is not None:
            return address / path.relative_to(one).as_posix()
    return path


def names_address(value: object) -> bool:
    """Whether an argument, or one of those in it, is an address."""
    if isinstance(value, list | tuple):
        return any(map(names_address, value))
    if isinstance(value, Mapping):
        return any(map(names_address, value.values()))
    return isinstance(value, RemotePath | Path | str) and is_url(value)


def call_at_addresses(
    function: Callable[..., Any],
    bound: inspect.BoundArguments,
    hints: Mapping[str, Any],
    called: Callable[[str], str],
) -> Any:
    """Call a function with files of this machine in place of addresses, and put what it wrote.

    Args:
        function: what is called.
        bound: its arguments, some of them addresses.
        hints: their types, with what `Use` says.
        called: what a parameter is called in messages.

    Raises:
        UsageError: an address cannot be taken, or something is there already.
        DataError: there is nothing, or it is too large.
    """
    arguments = bound.arguments
    files: dict[Path, RemotePath] = {}
    written: list[RemotePath] = []

    def as_file(address: RemotePath, name: str, use: Use | None) -> AnyPath:
        if use is Use.LEADS_ON:
            return address
        if use is Use.LOCAL:
            raise UsageError(f"{called(name)} must be on this machine: {address} is an address.")
        if use in (Use.WRITTEN, Use.GOES_ON):
            may_replace = bool(arguments.get("force", "force" not in bound.signature.parameters))
            here = stage(address, replace=may_replace, goes_on=use is Use.GOES_ON)
            written.append(address)
        else:
            here = fetch(address)
        if address.key:  # so that what lies beside it is known too
            files[here.parent] = address.parent
        else:
            files[here] = address
        return here

    for name, value in arguments.items():
        arguments[name] = _with_files(value, hints.get(name, object), name, as_file)
    if (say := arguments.get("say")) is not None:
        arguments["say"] = lambda text: say(naming_addresses(text))
    with standing_for(files):
        result = _at_addresses(function(*bound.args, **bound.kwargs))
    for address in written:
        put_staged(address)
    return result


def _with_files(
    value: Any, hint: Any, name: str, as_file: Callable[[RemotePath, str, Use | None], AnyPath]
) -> Any:
    """An argument with files for the addresses in it, where its hint takes paths."""
    if not _takes_path(hint) or not names_address(value):
        return value
    if isinstance(value, Mapping):
        return {key: _with_files(one, hint, name, as_file) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_files(one, hint, name, as_file) for one in value]
    address = as_any_path(value)
    return as_file(address, name, _use_of(hint)) if isinstance(address, RemotePath) else value


def _takes_path(hint: Any) -> bool:
    return hint is Path or any(_takes_path(part) for part in get_args(hint))


def _use_of(hint: Any) -> Use | None:
    """What an annotation says of addresses."""
    for part in get_args(hint):
        use = part if isinstance(part, Use) else _use_of(part)
        if use is not None:
            return use
    return None


def _at_addresses(result: Any) -> Any:
    """What a function gives back, with the addresses of what it says that it wrote."""
    if isinstance(result, Path):
        return address_of(result)
    if type(result) in (tuple, list) and all(isinstance(one, Path) for one in result):
        return type(result)(map(address_of, result))
    if not is_dataclass(result) or isinstance(result, type):
        return result
    paths = {one.name: getattr(result, one.name) for one in fields(result) if one.init}
    moved = {name: _at_addresses(value) for name, value in paths.items() if isinstance(value, Path | tuple)}
    changed = {name: value for name, value in moved.items() if value != paths[name]}
    return replace(result, **changed) if changed else result
