"""What is to be predicted: rows of a catalog, in batches whose make-up depends on nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from trapline.catalog import Catalog
from trapline.errors import DataError, UsageError
from trapline.images import Box, CropPolicy, choose_box


@dataclass(frozen=True)
class Input:
    """One media to predict.

    Attributes:
        place: its row in the batch.
        media_id: of the catalog.
        file_path: of the catalog.
        path: where it is on disk.
        box: what to cut it to, None for the full frame.
    """

    place: int
    media_id: str
    file_path: str
    path: Path
    box: Box | None

    @property
    def box_text(self) -> str:
        """The box as text, to tell whether a later run cuts to the same; empty for the full frame."""
        box = self.box
        return "" if box is None else f"{box.x:.6f},{box.y:.6f},{box.width:.6f},{box.height:.6f}"


def as_catalog(inputs: Catalog | Sequence[Path]) -> Catalog:
    """A catalog as it is; of a list of files one with their common folder as root and the paths as ids.

    Raises:
        DataError: the list is empty, names a file twice, or one whose name is not UTF-8.
        UsageError: the files are on several drives.
    """
    if isinstance(inputs, Catalog):
        return inputs
    paths = [Path(os.path.abspath(path)) for path in inputs]  # noqa: PTH100 - links must stay as they are
    if not paths:
        raise DataError("The list of files is empty.")
    try:
        root = Path(os.path.commonpath([path.parent for path in paths]))
    except ValueError as error:
        raise UsageError("The files are on several drives; predict one drive at a time.") from error
    names = [path.relative_to(root).as_posix() for path in paths]
    undecodable = [name for name in names if _has_surrogates(name)]
    if undecodable:
        raise DataError(
            f"{len(undecodable)} files have names that are not UTF-8; no table can hold those, so rename: "
            + ", ".join(ascii(name) for name in undecodable[:5])
        )
    rows = pl.DataFrame({"media_id": names, "file_path": names})
    return Catalog.from_rows(rows, root, f"{len(names)} files", where=[str(path) for path in paths])


def _has_surrogates(text: str) -> bool:
    """Whether Python could not decode all of a file's name."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def read_list(path: Path) -> list[Path]:
    """The paths in a text file, one a line, relative to its folder; empty lines are left out.

    Raises:
        DataError: the file is missing, is no UTF-8 text, or names nothing.
    """
    try:
        lines = [line.removesuffix("\r") for line in path.read_text(encoding="utf-8-sig").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list of paths: {error}") from error
    named = [line for line in lines if line.strip()]
    if not named:
        raise DataError(f"{path} names no files: it needs one path a line.")
    return [path.parent / name for name in named]


def batches(
    catalog: Catalog, crop: CropPolicy | None, batch_size: int, wanted: pl.Series | None = None
) -> Iterator[list[Input]]:
    """The media in the order of the catalog, `batch_size` rows of it at a time.

    A media's batch and its place there follow from its row alone, so that its probabilities come out the
    same to the last bit however much of the work was already done.

    Args:
        catalog: the media.
        crop: the model's crop policy.
        batch_size: rows a batch.
        wanted: one boolean a row; rows that are not wanted leave their places empty. None wants all.
    """
    columns = ["media_id", "file_path", "boxes"]
    for start in range(0, len(catalog), batch_size):
        mask = None if wanted is None else wanted.slice(start, batch_size)
        if mask is not None and not mask.any():
            continue
        rows = catalog.table.select(columns).slice(start, batch_size)
        yield [
            Input(place, media_id, file_path, catalog.path(file_path), choose_box(boxes, crop))
            for place, (media_id, file_path, boxes) in enumerate(rows.iter_rows())
            if mask is None or mask[place]
        ]
