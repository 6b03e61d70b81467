"""What is to be predicted: media, or boxes of media, in batches whose make-up depends on nothing else."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import (
    Catalog,
    ScannedCatalog,
    as_listed,
    as_name,
    as_text,
    conform,
    event_key,
    normal_paths,
)
from trapline.catalog import batches as table_batches
from trapline.errors import DataError, UsageError, many
from trapline.images import Box, CropPolicy, as_box, choose_box, refusal
from trapline.prediction.table import Level
from trapline.storage import (
    AnyPath,
    RemotePath,
    as_any_path,
    fetch,
    is_url,
    remote_stats,
)

_MEDIA_AT_ONCE = 4096
"""Media that are Python objects at a time; the rest stays in the catalog's table."""

_COLUMNS = ("media_id", "event_id", "file_path", "boxes")
"""All that a model's answer and its row depend on."""


class Input(NamedTuple):
    """One media, or one box of a media: a row of the table.

    Attributes:
        media_id: of the catalog.
        event_id: of the catalog.
        file_path: of the catalog.
        number: the box's index in the catalog's list; None for a media or its full frame.
        found: that box as the catalog has it.
        box: what is cut to, None for the full frame.
        crop: for people, at level box: what the model sees.
        skipped: why the model is not asked about this box; None if it is.
    """

    media_id: str
    event_id: str | None
    file_path: str
    number: int | None = None
    detection: Mapping[str, Any] | None = None
    box: Box | None = None
    crop: str | None = None
    skipped: str | None = None

    @property
    def key(self) -> int:
        """64 bits that name the input."""
        return key(self.media_id, self.number)

    @property
    def box_text(self) -> str:
        """What is cut to as text, to tell whether a later run cuts to the same; empty for the full frame."""
        box = self.box
        return "" if box is None else f"{box.x:.6f},{box.y:.6f},{box.width:.6f},{box.height:.6f}"


def state(
    media_id: str, number: int | None, file_path: str, box_text: str, size: int | None, modified: int | None
) -> int:
    """64 bits of all that must be as it was for an answer to hold: the file, its stamp, the crop."""
    return hash((media_id, number, file_path, box_text, size, modified))


Stamp = tuple[int | None, int | None]


def stamp(path: Path) -> Stamp:
    """Size and modification time (ns) of a file, by which a change of it is noticed."""
    return _stamp(os.fspath(path))


def stamps(catalog: Catalog, file_paths: Sequence[str]) -> list[Stamp]:
    """The stamp of each file; of one in a bucket its size and what stands for its ETag (`RemoteStat.digest`).

    Args:
        catalog: says where the files are.
        file_paths: of its media.

    Raises:
        SourceGoneError: nothing of the bucket can be read.
    """
    if isinstance(catalog.root, RemotePath):
        stats = remote_stats([catalog.root / as_name(name) for name in file_paths])
        return [(None, None) if file is None else (file.size, file.digest) for file in stats]
    root = os.fspath(catalog.root)  # to make a `Path` of each would take longer than asking the disk
    return [_stamp(os.path.join(root, as_name(name))) for name in file_paths]  # noqa: PTH118


def _stamp(path: str) -> Stamp:
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None, None
    return status.st_size, status.st_mtime_ns


def key(media_id: str, number: int | None) -> int:
    """`Input.key` of the input with this id and box.

    Python's own hash is another in each process, and no key or state outlives one.
    """
    return hash((media_id, number))


class PathList(Sequence[str]):
    """Paths as a text file has them; the text of 100,000 takes 5 MB and not the 40 of as many `Path`s.

    Attributes:
        lines: strings, relative to `folder`, absolute, or addresses.
        folder: of the text file.
    """

    def __init__(self, lines: pl.Series, folder: AnyPath) -> None:
        self.lines, self.folder = lines, folder

    def __len__(self) -> int:
        return len(self.lines)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """A path, or some, relative to where the text file's path is relative to."""
        if isinstance(index, slice):
            return [self._path(line) for line in self.lines[index]]
        return self._path(self.lines[index])

    def _path(self, line: str) -> str:
        return line if is_url(line) else str(self.folder / as_name(line))


def as_catalog(inputs: Catalog | Sequence[AnyPath | str]) -> Catalog:
    """A catalog as it is; of a list of files one with their common folder as root and the paths as ids.

    Raises:
        DataError: the list is empty, or names a file twice.
        UsageError: it is no such list, or the files are on several drives.
    """
    if isinstance(inputs, Catalog):
        return inputs
    _refuse_no_paths(inputs)
    if len(inputs) == 0:
        raise DataError("The list of files is empty.")
    if is_url(inputs[0]):
        return _at_addresses([as_any_path(path) for path in inputs])
    try:
        root = os.path.commonpath({os.path.dirname(os.path.abspath(str(path))) for path in inputs})  # noqa: PTH100, PTH120
    except ValueError as error:
        raise UsageError("The files are on several drives; predict one drive at a time.") from error
    skip = len(os.path.join(root, ""))  # noqa: PTH118
    names = pl.concat(
        pl.Series("media_id", [_name(path, skip) for path in inputs[start : start + _MEDIA_AT_ONCE]])
        for start in range(0, len(inputs), _MEDIA_AT_ONCE)
    )
    source = many(len(names), "file")
    return Catalog.from_rows(names.to_frame().with_columns(file_path="media_id"), root, source)


def _at_addresses(paths: Sequence[AnyPath]) -> Catalog:
    """The catalog of a list of addresses, all in one bucket."""
    remote = [path for path in paths if isinstance(path, RemotePath)]
    if len(remote) < len(paths) or len({(path.scheme, path.bucket) for path in remote}) > 1:
        raise UsageError(
            "The files are on several disks or in several buckets; predict those of one at a time."
        )
    root = replace(remote[0], key=posixpath.commonpath([f"/{path.parent.key}" for path in remote]).strip("/"))
    names = pl.Series("media_id", [path.relative_to(root).as_posix() for path in remote])
    rows = names.to_frame().with_columns(file_path="media_id")
    return Catalog.from_rows(rows, root, many(len(remote), "file"))


def _refuse_no_paths(inputs: object) -> None:
    """Refuse what is no list of paths, above all one text, whose letters would each be a file."""
    if isinstance(inputs, str | bytes | os.PathLike) or not isinstance(inputs, Sequence):
        raise UsageError(
            f"A list of paths is wanted, or a catalog, not a value of the type {type(inputs).__name__}. Put "
            "a single photo into a list; read a folder or a table with trapline.read."
        )
    if isinstance(inputs, PathList):
        return
    for number, path in enumerate(inputs, 1):
        if not isinstance(path, str | os.PathLike | RemotePath) or not str(path):
            raise UsageError(f"Number {number} of the list of files is {path!r}, and not a path.")


def narrow(catalog: Catalog) -> Catalog:
    """The catalog with nothing but what prediction needs; all else is unknown in it, and takes no memory.

    Of a long card's table that is most: whoever keeps this one and lets go of the whole one has the memory
    for the network. What of a scanned catalog stays on the disk is narrowed there.
    """
    if isinstance(catalog, ScannedCatalog):
        return catalog.with_frame(conform(catalog.frame.select(*_COLUMNS, "location_id", "frame", "split")))
    columns = catalog.table.select(
        *_COLUMNS, "location_id", "frame", "split"
    )  # frames of an event are pooled in their order
    needed = columns.select(column.name for column in columns if column.null_count() < len(catalog))
    if needed["media_id"].equals(needed["file_path"]):
        needed = needed.with_columns(media_id="file_path")  # one text for both, as in most folders and lists
    return replace(catalog, table=conform(needed))


def _name(path: AnyPath | str, skip: int) -> str:
    """A path without its first characters, with forward slashes; what links point to stays unasked."""
    name = as_text(os.path.abspath(str(path))[skip:])  # noqa: PTH100 - a Path takes several times the memory
    return name if os.sep == "/" else name.replace(os.sep, "/")


def read_list(path: AnyPath) -> PathList:
    """The paths in a text file, one a line, relative to its folder; empty lines are left out.

    A backslash is understood as `normal_paths` does.

    Raises:
        DataError: the file is missing, is no text, or names nothing.
    """
    parts: list[pl.Series] = []
    here = fetch(path) if isinstance(path, RemotePath) else path
    try:
        with here.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
            while lines := list(islice(file, _MEDIA_AT_ONCE)):
                named = [as_listed(line.rstrip("\r\n")) for line in lines if line.strip()]
                parts.append(pl.Series("path", named, pl.String))
    except (OSError, UnicodeError) as error:
        raise DataError(f"{path} cannot be read as a list of paths: {error}") from error
    if any(part.str.contains("\0", literal=True).any() for part in parts):
        raise DataError(
            f"{path} is no list of paths in UTF-8: save it as UTF-8 text (PowerShell's > does not)."
        )
    if not any(map(len, parts)):
        raise DataError(f"{path} names no files: it needs one path a line.")
    return PathList(normal_paths(pl.concat(parts), here.parent), path.parent)


def inputs_of(catalog: Catalog, crop: CropPolicy | None, level: Level) -> Iterator[list[Input]]:
    """Every row of the table to come, in the order of the catalog, some media at a time.

    Args:
        catalog: the media.
        crop: the model's crop policy.
        level: `box` gives a row a box; `media` and `event` a row a media.
    """
    parts = table_batches(catalog.frame.select(_COLUMNS), catalog.source)
    for part in (slice_ for batch in parts for slice_ in batch.iter_slices(_MEDIA_AT_ONCE)):
        rows: list[Input] = []
        for media_id, event_id, file_path, boxes in part.iter_rows():
            rows += rows_of(media_id, event_id, file_path, boxes, crop, level)
        yield rows


def rows_of(
    media_id: str,
    event_id: str | None,
    file_path: str,
    boxes: Sequence[Mapping[str, Any]] | None,
    crop: CropPolicy | None,
    level: Level,
) -> list[Input]:
    """The rows of one media; see `inputs_of`."""
    if level == "box" and crop is not None:
        return list(_boxes(media_id, event_id, file_path, boxes, crop))
    return [Input(media_id, event_id, file_path, box=choose_box(boxes, crop))]


def _boxes(
    media_id: str,
    event_id: str | None,
    file_path: str,
    boxes: Sequence[Mapping[str, Any]] | None,
    crop: CropPolicy,
) -> Iterator[Input]:
    """A row a box, and one for the full frame if the model is asked about none of them."""
    asked = False
    for number, box in enumerate(boxes or ()):
        skipped = refusal(box, crop)
        if skipped is None:
            asked = True
            yield Input(media_id, event_id, file_path, number, box, as_box(box), "box")
        else:
            yield Input(media_id, event_id, file_path, number, box, skipped=skipped)
    if not asked:
        yield Input(media_id, event_id, file_path, crop=f"full frame: {why_uncut(boxes)}")


def why_uncut(boxes: Sequence[Mapping[str, Any]] | None) -> str:
    """For people: why a photo of which no box is chosen is seen whole."""
    if boxes is None:
        return "no detector was run"
    return "no box is let through" if boxes else "nothing was detected"


@dataclass(frozen=True)
class Extent:
    """How much there is to predict.

    Attributes:
        media: of the catalog.
        asked: inputs that the model is asked about.
        skipped: boxes that it is not.
        cut: of the asked, those cut to a box.
    """

    media: int
    asked: int
    skipped: int
    cut: int


def measure(catalog: Catalog, crop: CropPolicy | None, level: Level) -> Extent:
    """Count the inputs."""
    if crop is None:
        return Extent(len(catalog), len(catalog), 0, 0)
    asked = skipped = cut = 0
    for rows in inputs_of(catalog, crop, level):
        refused = sum(row.skipped is not None for row in rows)
        skipped += refused
        asked += len(rows) - refused
        cut += sum(row.box is not None for row in rows)
    return Extent(len(catalog), asked, skipped, cut)


def batches(
    catalog: Catalog,
    crop: CropPolicy | None,
    level: Level,
    batch_size: int,
    wanted: npt.NDArray[np.bool_] | None = None,
) -> Iterator[list[tuple[int, Input]]]:
    """The inputs that the model is asked about, `batch_size` at a time, each with its slot in the batch.

    An input's batch and its slot there follow from its row alone, so that its probabilities come out the
    same to the last bit however much of the work was already done.

    Args:
        catalog: the media.
        crop: the model's crop policy.
        level: see `inputs_of`.
        batch_size: inputs a batch.
        wanted: one boolean an asked input; the slots of others stay
            empty. None wants all.
    """
    asked = _asked(catalog, crop, level, wanted)
    for _, batch in groupby(asked, key=lambda one: one[0] // batch_size):
        yield [(index % batch_size, row) for index, row in batch]


def _asked(
    catalog: Catalog, crop: CropPolicy | None, level: Level, wanted: npt.NDArray[np.bool_] | None
) -> Iterator[tuple[int, Input]]:
    """The wanted inputs, each with its index among those that the model is asked about."""
    by_media = level != "box" or crop is None
    if by_media and wanted is not None:  # an input a media: those that are done need not be looked at
        chosen = replace(catalog, table=catalog.table.select(_COLUMNS).filter(wanted))
        rows = (row for part in inputs_of(chosen, crop, level) for row in part)
        yield from zip(np.flatnonzero(wanted).tolist(), rows, strict=True)
        return
    index = 0
    for part in inputs_of(catalog, crop, level):
        for row in part:
            if row.skipped is not None:
                continue
            if wanted is None or wanted[index]:
                yield index, row
            index += 1


def event_rows(catalog: Catalog) -> pl.Series:
    """The rows of each event, list[u32], in order of appearance; media without an event are one each."""
    keys = catalog.table.select(event_key().alias("event")).with_row_index("row")
    return keys.group_by("event", maintain_order=True).agg("row")["row"]


def event_batches(
    catalog: Catalog, crop: CropPolicy | None, wanted: npt.NDArray[np.bool_]
) -> Iterator[list[tuple[int, Input]]]:
    """All media of each event of which one is wanted, an event at a time, each with its slot in it."""
    columns = catalog.table.select(_COLUMNS)
    for rows in event_rows(catalog):
        if wanted[rows.to_numpy()].any():
            yield [
                (index, Input(media_id, event_id, file_path, box=choose_box(boxes, crop)))
                for index, (media_id, event_id, file_path, boxes) in enumerate(columns[rows].iter_rows())
            ]
