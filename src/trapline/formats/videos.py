"""Videos among what a source names: counted, and no media of the catalog, which are photos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import polars as pl

from trapline.catalog import Videos
from trapline.tables import MOST_KEPT, current_reading

MEDIATYPE = "_mediatype"
"""A column of drafts: what the source says that a media is (`video/mp4`), where it does."""


def leave_out_videos(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows without those of videos, which are listed in the reading that is open.

    Args:
        rows: with `file_path`, and perhaps `_mediatype`, which is taken away.
    """
    from trapline.images import ENDING, QUERY, is_video

    path = pl.col("file_path")
    of_address = path.str.replace(QUERY, "")
    name = pl.when(path.str.contains("://", literal=True)).then(of_address).otherwise(path)
    mediatype = pl.col(MEDIATYPE) if MEDIATYPE in rows.columns else pl.lit(None, pl.String)
    kinds = rows.select(name.str.extract(ENDING).fill_null("").alias("ending"), mediatype.alias("type"))
    wanted = [pair for pair in kinds.unique(maintain_order=True).iter_rows() if is_video(*pair)]
    rows = rows.drop(MEDIATYPE, strict=False)
    if not wanted:
        return rows
    pairs = pl.DataFrame(wanted, schema=kinds.schema, orient="row").with_columns(video=True)
    flags = kinds.join(pairs, on=kinds.columns, how="left", maintain_order="left", nulls_equal=True)
    videos = flags["video"].fill_null(False)
    endings = flags.filter(videos).select(pl.when(pl.col("ending") != "").then("ending").otherwise("type"))
    current_reading().videos += zip(
        rows.filter(videos)["file_path"].fill_null(""), endings.to_series(), strict=True
    )
    return rows.filter(~videos)


def count_videos(listed: Iterable[tuple[str, str]]) -> Videos | None:
    """What is kept with a catalog of the videos that were left out; None of none.

    Args:
        listed: path, and ending or media type, of each.
    """
    videos = list(listed)
    if not videos:
        return None
    endings = Counter(ending.lower() for _, ending in videos)
    counted = dict(sorted(endings.items(), key=lambda item: (-item[1], item[0])))
    return Videos(count=len(videos), endings=counted, files=tuple(path for path, _ in videos[:MOST_KEPT]))
