"""A table of observations, as `write` leaves it and people edit it: what persons say in it are labels."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from trapline.catalog import ATTRIBUTES, EVENT_LABELS
from trapline.formats.readers.draft import Draft
from trapline.formats.readers.individuals import add_individuals
from trapline.formats.readers.registry import reader
from trapline.tables import read_header, read_table, reject_rows

_COLUMNS = ("media_id", "event_id", "file_path", "observer", "observed_at", "status", "label", "stands")
_OTHERS = "of {rows} rows {left} are not read as labels: a machine or nobody says it, or a person no longer"


def _recognise(source: Path) -> str | None:
    if not source.name.lower().endswith((".csv", ".csv.gz")):
        return None
    told = "it has the columns of observations (observer, status, stands, …)"
    return told if set(_COLUMNS) <= set(read_header(source)) else None


@reader("observations", recognise=_recognise)
def read_observations(source: Path, *, root: Path | str | None = None) -> Draft:
    """Observations that `write` wrote as CSV: labels are what persons (`human`, `human:NAME`) say there.

    The column `cannot_tell` says of which media a person could not tell; there is none where that is none.

    Args:
        source: the CSV; paths start at its folder.
        root: the folder that the paths start from, instead of the file's own.
    """
    table = read_table(source)
    nameless = pl.col("media_id").is_null() & pl.col("event_id").is_null()
    table = reject_rows(table, nameless, "names no media and no event")
    stands = pl.col("stands").str.to_lowercase().is_in(["true", "1", "yes"])
    human = stands & pl.col("observer").str.contains("^human(:|$)")
    labelled = table.filter(human & (pl.col("status") == "ok") & pl.col("label").is_not_null())
    media = table.filter(pl.col("media_id").is_not_null() & pl.col("file_path").is_not_null())
    media = media.unique("media_id", maintain_order=True).select(
        "media_id", "file_path", "event_id", "_place"
    )
    labels = pl.col("label").unique(maintain_order=True)
    own = labelled.filter(pl.col("media_id").is_not_null()).group_by("media_id").agg(labels.alias("labels"))
    events = (
        labelled.filter(pl.col("media_id").is_null()).group_by("event_id").agg(labels.alias(EVENT_LABELS))
    )
    rows = media.join(own, on="media_id", how="left", maintain_order="left")
    untold = table.filter(human & (pl.col("status") == "unclassified"))["media_id"].drop_nulls()
    if len(untold):
        rows = rows.with_columns(pl.col("media_id").is_in(untold.implode()).alias("cannot_tell"))
    rows = rows.join(events, on="event_id", how="left", maintain_order="left")
    told = labelled.with_columns(pl.col("label").alias("_label"))
    of_media, of_events = (told.filter(pl.col("media_id").is_null() == whole) for whole in (False, True))
    columns = {name: name for name in ATTRIBUTES}
    rows = add_individuals(rows, of_media, "media_id", columns)
    rows = add_individuals(rows, of_events, "event_id", columns, of_event=True)
    notes = [_OTHERS.format(rows=f"{table.height:,}", left=f"{table.height - labelled.height:,}")]
    return Draft(
        rows, source.parent if root is None else Path(root), f"observations {source.name}", notes=notes
    )
