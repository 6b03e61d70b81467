"""Paths of commands that may be addresses: `s3://bucket/photos.parquet` as well as `photos.parquet`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import copy
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from trapline.addresses import Use
from trapline.errors import UsageError
from trapline.storage import AnyPath, RemotePath, as_any_path


def with_addresses(run: Callable[..., None]) -> Callable[..., None]:
    """The command with a `RemotePath` where an address is given for a `Path`.

    Parameters that are marked with `Use.LOCAL` refuse addresses.
    """
    hints = get_type_hints(run, include_extras=True)
    parameters = []
    for one in inspect.signature(run).parameters.values():
        hint = hints[one.name] if isinstance(one.annotation, str) else one.annotation
        parameters.append(one.replace(annotation=_open_to_addresses(hint)))

    @wraps(run)
    def command(**given: Any) -> None:
        run(**given)

    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
    )
    return command


def _open_to_addresses(hint: Any) -> Any:
    """An annotation of a path with the parser that takes addresses; another as it is."""
    if get_origin(hint) is not Annotated or not _is_path(get_args(hint)[0]):
        return hint
    kind, *notes = get_args(hint)
    parser = _local_path if Use.LOCAL in notes else as_any_path
    opened = []
    for note in notes:
        if isinstance(note, typer.models.ParameterInfo):
            note = copy(note)
            note.parser = parser
        opened.append(note)
    return Annotated[kind, *opened]


def _is_path(kind: Any) -> bool:
    return kind is Path or any(_is_path(part) for part in get_args(kind))


def _local_path(text: str | Path) -> AnyPath:
    path = as_any_path(text)
    if isinstance(path, RemotePath):
        raise UsageError(f"{path} is an address; name a path on this machine here.")
    return path
