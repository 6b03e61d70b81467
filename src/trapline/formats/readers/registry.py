"""The readers by name, and the choice among them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from trapline.catalog import Catalog, ReadAs
from trapline.catalog.events import assign_events
from trapline.errors import DataError, UsageError
from trapline.formats.readers.draft import CommonOptions, Draft, finish

ReadFunction = Callable[..., Draft]


@dataclass(frozen=True)
class Reader:
    """One foreign format.

    Attributes:
        name: what `--format` calls it.
        description: one line for people.
        function: from the source's path and the reader's own options to a draft.
        recognise: why a source is of this format, in a few words; None if it is not.
        options: the names of the reader's own options.
        rank: the lower, the earlier `auto` asks.
        event_gap: the time gap by which it makes events unless asked otherwise.
    """

    name: str
    description: str
    function: ReadFunction
    recognise: Callable[[Path], str | None]
    options: tuple[str, ...]
    rank: int = 0
    event_gap: timedelta | None = None


READERS: dict[str, Reader] = {}
"""Every reader by its name."""

COMMON = tuple(field.name for field in fields(CommonOptions))


def reader(
    name: str, *, recognise: Callable[[Path], str | None], rank: int = 0, event_gap: timedelta | None = None
) -> Callable[[ReadFunction], ReadFunction]:
    """Register a function as the reader of a format; its keyword-only parameters are the options.

    Args:
        name: what `--format` calls it.
        recognise: why a source is of this format; None if it is not.
        rank: the lower, the earlier `auto` asks; formats that are sure of themselves come first.
        event_gap: the time gap by which this reader's media become events unless asked otherwise.
    """

    def register(function: ReadFunction) -> ReadFunction:
        parameters = inspect.signature(function).parameters.values()
        own = tuple(p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)
        description = (inspect.getdoc(function) or "").split("\n")[0]
        READERS[name] = Reader(name, description, function, recognise, own, rank, event_gap)
        return function

    return register


def read(
    source: Path | str, *, format: str = "auto", event_gap: timedelta | None = None, **options: Any
) -> Catalog:
    """Read camera-trap media in any known format into a catalog; pixels are not read.

    Args:
        source: a folder or file; also the Parquet file of a catalog.
        format: the name of a reader in `READERS`, or `auto` to recognise it; what was taken and why is
            kept in the catalog's `facts.format`.
        event_gap: media without an event are put together when less than this lies between them; where
            None only the readers of card folders do so.
        **options: those of every reader (`blank`, `timezone`, `time_format`, `clock_shifts`; see
            `CommonOptions`), and the reader's own.

    Raises:
        DataError: the source is missing, of no known format, or wrong; file and line are named.
        UsageError: there is no such reader, or it has no such option.
    """
    source = Path(source)
    if not source.exists():
        raise DataError(f"There is nothing at {source}. Check the path.")
    if source.suffix.lower() == ".parquet":
        return _read_catalog(source, event_gap, options)
    chosen, why = choose_reader(source, format)
    _refuse_unknown(chosen, options)
    common = CommonOptions(**{name: options[name] for name in COMMON if name in options})
    draft = chosen.function(source, **{name: options[name] for name in options if name not in COMMON})
    catalog = finish(draft, common, ReadAs(name=chosen.name, why=why))
    if event_gap is None and not catalog.table["camera_time"].is_null().all():
        event_gap = chosen.event_gap
    return catalog if event_gap is None else assign_events(catalog, event_gap)


def choose_reader(source: Path, format: str = "auto") -> tuple[Reader, str]:
    """The reader for a source, and why it was taken.

    Raises:
        UsageError: there is no reader called `format`.
        DataError: no reader recognises the source.
    """
    if format != "auto":
        name = format.replace("-", "_")
        if name not in READERS:
            raise UsageError(f"There is no format '{format}'; there are: auto, {', '.join(READERS)}.")
        return READERS[name], "it was asked for"
    for candidate in sorted(READERS.values(), key=lambda reader: reader.rank):
        why = candidate.recognise(source)
        if why is not None:
            return candidate, why
    raise DataError(
        f"{source} is of no format that Trapline recognises. Name one with --format: {', '.join(READERS)}."
    )


def _read_catalog(source: Path, event_gap: timedelta | None, options: dict[str, Any]) -> Catalog:
    if options:
        raise UsageError(
            f"{source} is a catalog already; {', '.join(sorted(options))} can only be given "
            "when a source is read."
        )
    catalog = Catalog.load(source)
    return catalog if event_gap is None else assign_events(catalog, event_gap)


def _refuse_unknown(chosen: Reader, options: dict[str, Any]) -> None:
    known = (*COMMON, *chosen.options)
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            owners = [other.name for other in READERS.values() if name in other.options]
            elsewhere = f" It belongs to the format {' and '.join(owners)}." if owners else ""
            raise UsageError(
                f"The reader '{chosen.name}' has no option '{name}'; "
                f"it has: {', '.join(known)}.{hint}{elsewhere}"
            )
