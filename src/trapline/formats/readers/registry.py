"""The readers by name, and the choice among them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from trapline.addresses import address_of, naming_addresses, standing_for
from trapline.catalog import (
    Catalog,
    ReadAs,
    assign_events,
    identify,
    is_catalog_folder,
    open_catalog,
    relocate,
)
from trapline.errors import DataError, TraplineWarning, UsageError
from trapline.formats.readers.draft import CommonOptions, Draft, finish
from trapline.formats.unknown import what_to_do
from trapline.options import Option, check_options, check_positional, options_of
from trapline.registry import GuestError, Registry
from trapline.storage import AnyPath, as_any_path, outlined
from trapline.tables import Reading, open_reading

ReadFunction = Callable[..., Draft]


@dataclass(frozen=True)
class Reader:
    """One foreign format.

    Attributes:
        name: what `--format` calls it.
        description: one line for people.
        function: from the source's path and the reader's own options to a draft.
        recognise: why a source is of this format, in a few words; None if it is not.
        options: the reader's own.
        rank: the lower, the earlier `auto` asks.
        event_gap: the time gap by which it makes events unless asked otherwise.
    """

    name: str
    description: str
    function: ReadFunction
    recognise: Callable[[Path], str | None]
    options: tuple[Option, ...]
    rank: int = 0
    event_gap: timedelta | None = None


READERS: Registry[Reader] = Registry("reader", "trapline.readers", besides="auto")
"""Every reader by its name."""

COMMON_OPTIONS = options_of(CommonOptions, "options of every reader")
"""What every reader takes besides its own."""


def reader(
    name: str, *, recognise: Callable[[Path], str | None], rank: int = 0, event_gap: timedelta | None = None
) -> Callable[[ReadFunction], ReadFunction]:
    """Register a function as the reader of a format; its keyword-only parameters are the options.

    The options are those of `read` and of the command `catalog` too: their types and defaults are the
    signature's, and what is said of them stands under Args of the docstring.

    Args:
        name: what `--format` calls it.
        recognise: why a source is of this format; None if it is not. It reads as little as it can.
        rank: the lower, the earlier `auto` asks; formats that are sure of themselves come first.
        event_gap: the time gap by which this reader's media become events unless asked otherwise.

    Raises:
        UsageError: the name is taken, or the function is no reader; what is expected is said.
    """
    taken = {"source", "format", "event_gap", "content", *(option.name for option in COMMON_OPTIONS)}

    def register(function: ReadFunction) -> ReadFunction:
        if name == "auto":
            raise UsageError("'auto' is what asks all readers; give this one another name.")
        own = options_of(function, f"reader '{name}'", "source", taken)
        check_positional(recognise, f"recognise of the reader '{name}'", "source")
        description = (inspect.getdoc(function) or "").split("\n")[0]
        READERS.add(name, Reader(name, description, function, recognise, own, rank, event_gap), function)
        return function

    return register


def read(
    source: AnyPath | str,
    *,
    format: str = "auto",
    event_gap: timedelta | None = None,
    content: bool = False,
    **options: Any,
) -> Catalog:
    """Read camera-trap media in any known format into a catalog; pixels are not read.

    Args:
        source: a folder or file, or the address of one; also the Parquet file or folder of a catalog.
        format: the name of a reader in `READERS`, or `auto` to recognise it; what was taken and why is
            kept in the catalog's `facts.format`.
        event_gap: media without an event are put together when less than this lies between them; where
            None only the readers of card folders do so.
        content: read every file whole and keep what it is known by when it is renamed or moved.
        **options: those of every reader (`blank`, `timezone`, `encoding`, `strict`, …; see `CommonOptions`),
            and the reader's own.

    Raises:
        DataError: the source is missing, of no known format, or wrong; file and line are named.
        UsageError: there is no such reader, or it has no such option.
    """
    source = as_any_path(source)
    if not source.exists():
        raise DataError(f"There is nothing at {source}. Check the path.")
    if source.suffix.lower() == ".parquet" or (isinstance(source, Path) and is_catalog_folder(source)):
        catalog = _read_catalog(source, options)
    else:
        with on_this_machine(source) as here, _root_here(options) as options_here:
            catalog, usual_gap = _read_foreign(here, format, options_here)
            catalog = _at_address(catalog)
        event_gap = usual_gap if event_gap is None else event_gap
    catalog = catalog if event_gap is None else assign_events(catalog, event_gap)
    return identify(catalog) if content else catalog


@contextmanager
def on_this_machine(source: AnyPath) -> Iterator[Path]:
    """A source as files of this machine: itself, or the outline of where it lies (`outlined`)."""
    if isinstance(source, Path):
        yield source
        return
    with outlined(source) as outline, standing_for(outline):
        here, folder = next(iter(outline.items()))
        yield here if folder == source else here / source.name


@contextmanager
def _root_here(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The options with the outline of the folder that `root` names, where that is an address."""
    root = options.get("root")
    if root is None or isinstance(as_any_path(root), Path):
        yield options
        return
    with on_this_machine(as_any_path(root)) as here:
        yield options | {"root": here}


def _at_address(catalog: Catalog) -> Catalog:
    """A catalog that was read from files of this machine with root and notes as at their addresses."""
    facts = catalog.facts
    notes, left_out = (tuple(map(naming_addresses, texts)) for texts in (facts.notes, facts.left_out))
    facts = replace(facts, notes=notes, left_out=left_out)
    source = naming_addresses(catalog.source)
    return replace(catalog, root=cast("Path", address_of(catalog.root)), source=source, facts=facts)


def _read_foreign(source: Path, format: str, options: dict[str, Any]) -> tuple[Catalog, timedelta | None]:
    """What a reader makes of a source, and the gap between events that is usual for it."""
    chosen, why = choose_reader(source, format)
    others = {name: other.options for name, other in READERS.items()}
    check_options(options, (*COMMON_OPTIONS, *chosen.options), f"The reader '{chosen.name}'", others)
    root = options.get("root")
    is_folder = any(option.name == "root" and option.form == "path" for option in chosen.options)
    if is_folder and root is not None and not Path(root).is_dir():
        raise UsageError(f"The folder that --root names, '{root}', does not exist.")
    shared = {option.name for option in COMMON_OPTIONS}
    common = CommonOptions(**{name: options[name] for name in options if name in shared})
    reading = Reading(encoding=common.encoding, not_missing=common.not_missing, strict=common.strict)
    with READERS.naming_guests(chosen.name), open_reading(reading):
        draft = chosen.function(source, **{name: options[name] for name in options if name not in shared})
        if not isinstance(draft, Draft):
            raise TypeError(f"it gave a {type(draft).__name__} and not a Draft")
        asked = options.get("classified_by", "human")
        read_as = ReadAs(name=chosen.name, why=why, labels_of=None if asked == "human" else asked)
        catalog = finish(draft, common, read_as)
    return catalog, None if catalog.table["camera_time"].is_null().all() else chosen.event_gap


def choose_reader(source: AnyPath, format: str = "auto") -> tuple[Reader, str]:
    """The reader for a source, and why it was taken.

    Raises:
        UsageError: there is no reader called `format`; the near one is suggested.
        DataError: no reader recognises the source.
    """
    from trapline.images import is_video

    if format != "auto":
        return READERS.find(format), "it was asked for"
    if not isinstance(source, Path):
        with on_this_machine(source) as here:
            return choose_reader(here)
    for candidate in sorted(READERS.values(), key=lambda reader: reader.rank):
        why = _recognise(candidate, source)
        if why is not None:
            return candidate, why
    if is_video(source.name):
        raise DataError(
            f"{source} is a video, and photos are looked at here: give a folder of frames taken out of it."
        )
    raise DataError(
        f"{source} is of no format that Trapline recognises.{what_to_do(source)} "
        f"Name one with --format: {', '.join(READERS)}."
    )


def _recognise(candidate: Reader, source: Path) -> str | None:
    """Why a source is of a reader's format; a guest that fails at the look is warned of and passed over."""
    try:
        with READERS.naming_guests(candidate.name):
            return candidate.recognise(source)
    except GuestError as error:
        warnings.warn(f"{error} It was not asked whether it reads {source}.", TraplineWarning, stacklevel=2)
        return None


def _read_catalog(source: AnyPath, options: dict[str, Any]) -> Catalog:
    """A saved catalog; with `root` its photos are looked for in that folder."""
    others = sorted(set(options) - {"root"})
    if others:
        raise UsageError(
            f"{source} is a catalog already; {', '.join(others)} can only be given when a source is read."
        )
    catalog = open_catalog(str(source))
    if options.get("root") is None:
        return catalog
    return relocate(catalog, as_any_path(options["root"]))
