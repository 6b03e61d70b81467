"""Reading Parquet that may be damaged."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from trapline.errors import DataError, kind_of


def read_parquet(path: Path) -> tuple[pl.DataFrame, dict[str, str]]:
    """The table and the metadata of a Parquet file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return pl.read_parquet(path), pl.read_parquet_metadata(path)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        kind = kind_of(path)
        if kind not in (None, "a Parquet table"):
            raise DataError(f"{path} is not Parquet but {kind}.") from error
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    except pl.exceptions.PanicException as error:  # no Exception: how Polars meets some kinds of damage
        raise DataError(f"{path} cannot be read as Parquet: it is damaged.") from error
