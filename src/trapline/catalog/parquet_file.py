"""Files that Polars reads and writes: whatever they are called, and Parquet that may be damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

import polars as pl

from trapline.errors import DataError, kind_of


@contextmanager
def for_polars(path: Path, mode: Literal["rb", "wb"]) -> Iterator[Path | IO[bytes]]:
    """What Polars takes for a file: its path, or the open file where the path is no UTF-8."""
    if is_utf8(path):
        yield path
        return
    with path.open(mode) as file:
        yield file


def is_utf8(path: Path) -> bool:
    """Whether Polars can take the path as a text."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def read_parquet(path: Path) -> tuple[pl.DataFrame, dict[str, str]]:
    """The table and the metadata of a Parquet file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with for_polars(path, "rb") as file, for_polars(path, "rb") as again:
            return pl.read_parquet(file), pl.read_parquet_metadata(again)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        kind = kind_of(path)
        if kind not in (None, "a Parquet table"):
            raise DataError(f"{path} is not Parquet but {kind}.") from error
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    except pl.exceptions.PanicException as error:  # no Exception: how Polars meets some kinds of damage
        raise DataError(f"{path} cannot be read as Parquet: it is damaged.") from error


def streamed(frame: pl.LazyFrame, source: object = "The table") -> pl.DataFrame:
    """What a frame comes to, worked out in parts: only the result is ever whole in memory.

    Args:
        frame: over a table, on disk or in memory.
        source: where the table is, for errors.

    Raises:
        DataError: the file cannot be read, or has other types than it says.
    """
    with readable(source):
        return frame.collect(engine="streaming")


def compact(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The frame with its texts copied: few rows of many would keep the bytes of all of them in memory."""
    texts = [name for name, kind in frame.collect_schema().items() if kind == pl.String]
    return frame.with_columns(pl.concat_str(name, pl.lit("")) for name in texts)


def batches(frame: pl.LazyFrame, source: object = "The table") -> Iterator[pl.DataFrame]:
    """The rows of a frame in their order, some at a time.

    Raises:
        DataError: as of `streamed`.
    """
    with readable(source):
        yield from frame.collect_batches(maintain_order=True, engine="streaming")


class Cursor:
    """The rows of a frame in their order, taken from the front; what is read ahead is all that is in memory.

    Args:
        frame: over a table, on disk or in memory.
        at_once: rows that are read at a time; None for Polars' choice.
        source: where the table is, for errors.
    """

    def __init__(self, frame: pl.LazyFrame, at_once: int | None = None, source: object = "The table") -> None:
        self._source = source
        with readable(source):
            self._batches = iter(
                frame.collect_batches(chunk_size=at_once, maintain_order=True, engine="streaming")
            )
            self.left = pl.DataFrame(schema=frame.collect_schema())

    def more(self) -> bool:
        """Whether there are rows; the next are then `left`."""
        while not self.left.height:
            with readable(self._source):
                following = next(self._batches, None)
            if following is None:
                return False
            self.left = following
        return True

    def batches(self, count: int) -> Iterator[pl.DataFrame]:
        """The next `count` rows, or as many as there are, some at a time."""
        while count > 0 and self.more():
            batch, self.left = self.left[:count], self.left[count:]
            count -= batch.height
            yield batch

    def take(self, count: int) -> pl.DataFrame:
        """The next `count` rows, or as many as there are."""
        return pl.concat([self.left[:0], *self.batches(count)])


@contextmanager
def readable(source: object) -> Iterator[None]:
    """Make of what Polars says of a file that it cannot read a `DataError` that names it."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{source} cannot be read as Parquet: {error}") from error
    except pl.exceptions.PanicException as error:  # no Exception: how Polars meets some kinds of damage
        raise DataError(f"{source} cannot be read as Parquet: it is damaged.") from error
