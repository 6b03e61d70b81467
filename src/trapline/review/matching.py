"""Which photos of a catalog those are that were decided: quickly where nothing has moved."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from trapline.catalog import CONTENT, Catalog, content_hash, content_size, event_key, same_photos
from trapline.review.standing import MEDIA
from trapline.storage import AnyPath

_JPEG = (".jpg", ".jpeg")
"""Of which hardly two have one size: of others the content is compared."""


def match_media(catalog: Catalog, media: pl.DataFrame) -> pl.DataFrame:
    """The rows of a catalog that decided media are.

    One that has its id, its path and as many bytes as then is the same. Of the others the content tells,
    under any name, and the name only where a content is not known: as `with_decisions` has it.

    Args:
        catalog: the media.
        media: with the columns `MEDIA`, each once.

    Returns:
        `media` with the column `row`; those that are not of the catalog are left out.
    """
    rows = catalog.table.select("media_id", "file_path").with_row_index("row")
    named = media.join(rows, on=["media_id", "file_path"], how="inner", maintain_order="left")
    unmoved = [
        _is_same(catalog.path(path), size, digest)
        for path, size, digest in named.select("file_path", *CONTENT).iter_rows()
    ]
    certain = named.filter(pl.Series(unmoved, dtype=pl.Boolean))
    rest = media.join(certain, on=list(MEDIA), how="anti", nulls_equal=True, maintain_order="left")
    if rest.is_empty():
        return certain
    free = rows.filter(~pl.col("row").is_in(certain["row"].implode()))["row"]
    pairs = same_photos(
        replace(catalog, table=catalog.table[free]), replace(catalog, table=rest), as_kept=True
    )
    pairs = pairs.filter(pl.col("by") != "name alone").unique("other", maintain_order=True)
    moved = rest[pairs["other"]].with_columns(free[pairs["row"]].alias("row"))
    return pl.concat([certain, moved.select(certain.columns)])


def named_here(catalog: Catalog, current: pl.DataFrame, matched: pl.DataFrame) -> pl.DataFrame:
    """What counts, with each media and event called as the catalog calls it now.

    Photos that have moved, and events to which an earlier photo has come, are called otherwise in the log.

    Args:
        catalog: the media.
        current: `DecisionLog.current()`.
        matched: `match_media` of what is decided there.

    Returns:
        The rows of `current` that are of media of the catalog.
    """
    rows = current.join(matched, on=list(MEDIA), nulls_equal=True, maintain_order="left")
    names = catalog.table.select("media_id", event_key().alias("event"))[rows["row"]]
    return rows.with_columns(names["media_id"], names["event"]).drop("row")


def _is_same(path: AnyPath, size: int | None, digest: str | None) -> bool:
    try:
        if size is None or digest is None:  # it could not be read then: its name is all there is
            return not path.is_file()
        if content_size(path) != size:
            return False
        return path.suffix.lower() in _JPEG or content_hash(path) == digest
    except (OSError, ValueError):  # it cannot be read now
        return True
