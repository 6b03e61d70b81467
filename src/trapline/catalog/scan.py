"""A catalog of which the rows stay on the disk."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from trapline.catalog.facts import CatalogFacts
from trapline.catalog.parquet_file import is_utf8
from trapline.catalog.table import FORMAT_VERSION, SCHEMA, Catalog
from trapline.errors import DataError, kind_of


def scan_catalog(path: Path | str) -> tuple[Catalog, pl.LazyFrame]:
    """What `Catalog.save` wrote: everything but the rows, and the rows, read as they are asked for.

    Raises:
        DataError: it is no catalog.
    """
    path = Path(path).absolute()
    if not path.is_file() or not is_utf8(path) or kind_of(path) != "a Parquet table":
        whole = Catalog.load(path)
        return Catalog(whole.table.clear(), whole.root, whole.source, whole.facts), whole.table.lazy()
    try:
        header = json.loads(pl.read_parquet_metadata(path)["trapline_catalog"])
        if header["format_version"] != FORMAT_VERSION:
            raise ValueError(f"it has catalog format {header['format_version']}, not {FORMAT_VERSION}")
        root = (path.parent / header["root"]).resolve() if header["root"] else path.parent
        source, info = str(header["source"]), dict(header["info"])
        rows = pl.scan_parquet(path, glob=False)
    except (ValueError, KeyError, TypeError, RecursionError, OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read as a catalog: {error!r}.") from error
    facts = CatalogFacts.from_json(info, f"The facts that {path} keeps of its catalog are damaged")
    return Catalog(pl.DataFrame(schema=SCHEMA), root, source, facts), rows
