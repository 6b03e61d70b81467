"""From a catalog to what is in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import trapline
from trapline.catalog import (
    Catalog,
    check_files,
    known_labels,
    label_events,
    summarise,
)
from trapline.evaluation.exploration import (
    Boxes,
    Example,
    Exploration,
    LabelShare,
    LocationShare,
    SeasonShare,
)
from trapline.evaluation.findings import find_troubles
from trapline.evaluation.label_errors import find_label_errors
from trapline.evaluation.levels import split_seasons
from trapline.evaluation.photo_sample import look_at_photos
from trapline.evaluation.result_part import best_boxes
from trapline.prediction import Predictions
from trapline.taxonomy import BLANK

EXAMPLES = 8
UNLABELLED = "not labelled"


def explore(
    catalog: Catalog,
    output: Path | str,
    *,
    pictures: bool = True,
    sample: int = 500,
    full: bool = False,
    seed: int = 42,
) -> Path:
    """Look into a catalog and write what was found as one self-contained HTML page; see `survey`."""
    return survey(catalog, sample=sample, full=full, seed=seed).save_report(output, pictures=pictures)


def survey(
    catalog: Catalog,
    predictions: Predictions | None = None,
    *,
    sample: int = 500,
    full: bool = False,
    seed: int = 42,
    on_file: Callable[[], object] = lambda: None,
) -> Exploration:
    """What is in a catalog, and what could go wrong in training on it.

    Args:
        catalog: labelled or not.
        predictions: of a model, against which the labels are held (`find_label_errors`).
        sample: how many photos are opened for sizes, colour and damage.
        full: decode every photo, to find all that cannot be read and those that look alike.
        seed: of the sample and the examples.
        on_file: called for each photo that was opened, for a progress display.
    """
    label_errors = None if predictions is None else find_label_errors(catalog, predictions, seed=seed)
    photos = look_at_photos(catalog, len(catalog) if full else sample, seed, on_file)
    files = check_files(catalog, full=full)
    summary, own = summarise(catalog), len(catalog) - catalog.table["labels"].null_count()
    catalog = catalog.with_table(catalog.table.with_columns(known_labels(catalog.table).alias("labels")))
    labels = _labels(catalog)
    labelled = catalog.table.filter(pl.col("labels").is_not_null())
    of_events = label_events(catalog).table
    return Exploration(
        source=catalog.source,
        media=len(catalog),
        labelled=labelled.height,
        labelled_by_event=labelled.height - own,
        blanks=int(labelled["labels"].list.contains(BLANK).sum()) if labelled.height else None,
        summary=summary,
        labels=labels,
        locations=_locations(catalog),
        frames=_frames(catalog),
        events_by_labels=_events_by_labels(of_events),
        seasons=_seasons(catalog.table, of_events),
        years=_count_values(catalog.table["camera_time"].dt.year()),
        sample=photos,
        boxes=_boxes(catalog),
        files=files.as_dict(),
        findings=tuple(find_troubles(catalog, labels, photos, files)),
        examples=_examples(catalog, [one.label for one in labels], seed),
        label_errors=label_errors,
        trapline=trapline.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        root=catalog.root,
    )


def _labels(catalog: Catalog) -> tuple[LabelShare, ...]:
    labelled = catalog.table.filter(pl.col("labels").is_not_null())
    rows = labelled.explode("labels")
    results = [
        _label(label, rows.filter(pl.col("labels") == label), labelled.height) for label in catalog.labels
    ]
    return tuple(sorted(results, key=lambda one: (-one.media, one.label)))


def _label(label: str, media: pl.DataFrame, labelled: int) -> LabelShare:
    by_location = _count_values(media["location_id"], most_first=True)
    return LabelShare(
        label=label,
        media=media.height,
        share=media.height / labelled,
        locations=len(by_location),
        events=media["event_id"].drop_nulls().n_unique(),
        top_location_share=max(by_location.values()) / media.height if by_location else None,
        hours=_counts(media["camera_time"].dt.hour(), range(24)),
        months=_counts(media["camera_time"].dt.month(), range(1, 13)),
        by_location=by_location,
    )


def _counts(values: pl.Series, indices: range) -> tuple[int, ...]:
    counted = dict(values.drop_nulls().value_counts().iter_rows())
    return tuple(counted.get(index, 0) for index in indices)


def _locations(catalog: Catalog) -> tuple[LocationShare, ...]:
    named = catalog.table.filter(pl.col("location_id").is_not_null())
    table = named.group_by("location_id").agg(
        media=pl.len(),
        labels=pl.col("labels").explode().drop_nulls().n_unique(),
        first=pl.col("camera_time").min().dt.to_string("%Y-%m-%d"),
        last=pl.col("camera_time").max().dt.to_string("%Y-%m-%d"),
    )
    ordered = table.sort("media", "location_id", descending=[True, False])
    return tuple(
        LocationShare(**row) for row in ordered.rename({"location_id": "location"}).iter_rows(named=True)
    )


def _frames(catalog: Catalog) -> dict[int, int]:
    return _count_values(catalog.table.drop_nulls("event_id").group_by("event_id").len("frames")["frames"])


def _events_by_labels(of_events: pl.DataFrame) -> dict[int, int]:
    """Number of labels -> events; empty where there are no events."""
    events = of_events.drop_nulls("event_id").unique("event_id")
    return _count_values(events["labels"].list.len().fill_null(0).cast(pl.Int64))


def _seasons(media: pl.DataFrame, of_events: pl.DataFrame) -> tuple[SeasonShare, ...]:
    """The seasons, those of no known one last; none where the catalog has no column of them."""
    parts = split_seasons(media)
    if not any(name is not None for name, _ in parts):
        return ()
    return tuple(_season(name, media.filter(inside), of_events.filter(inside)) for name, inside in parts)


def _season(name: str | None, media: pl.DataFrame, of_events: pl.DataFrame) -> SeasonShare:
    events = of_events.drop_nulls("event_id").unique("event_id")
    return SeasonShare(
        season=name,
        media=media.height,
        labelled=media.height - media["labels"].null_count(),
        events=events.height,
        labels=_count_values(media["labels"].explode(), most_first=True),
        label_events=_count_values(events["labels"].explode(), most_first=True),
    )


def _count_values(values: pl.Series, *, most_first: bool = False) -> dict[Any, int]:
    """Value -> how many rows have it, by value or the most frequent first."""
    counts = values.drop_nulls().value_counts().sort(values.name)
    ordered = counts.sort("count", descending=True, maintain_order=True) if most_first else counts
    return dict(ordered.iter_rows())


def _boxes(catalog: Catalog) -> Boxes:
    searched = catalog.table.filter(pl.col("boxes").is_not_null())
    every = searched.explode("boxes").filter(pl.col("boxes").is_not_null()).unnest("boxes")
    largest = every.group_by("media_id").agg((pl.col("width") * pl.col("height")).max().alias("area"))["area"]
    quantiles = (
        np.quantile(largest.to_numpy(), [0.05, 0.25, 0.5, 0.75, 0.95]).tolist() if len(largest) else None
    )
    return Boxes(
        searched=searched.height,
        with_box=len(largest),
        categories=_count_values(every["category"].fill_null("no category"), most_first=True),
        area=quantiles,
    )


def _examples(catalog: Catalog, labels: list[str], seed: int) -> dict[str, tuple[Example, ...]]:
    """Up to `EXAMPLES` photos a label, one a location first; unlabelled ones if nothing is labelled."""
    order = np.random.default_rng(seed).permutation(len(catalog))
    shuffled = catalog.table.select("media_id", "file_path", "location_id", "labels", "boxes")[order]
    shuffled = shuffled.with_columns(pl.col("labels").fill_null([UNLABELLED]))
    if catalog.labels:
        shuffled = shuffled.filter(~pl.col("labels").list.contains(UNLABELLED))
    rows = shuffled.explode("labels").with_columns(turn=pl.int_range(pl.len()).over("labels", "location_id"))
    chosen = rows.sort("turn", maintain_order=True).group_by("labels", maintain_order=True).head(EXAMPLES)
    by_label = chosen.partition_by("labels", as_dict=True)
    return {
        label: tuple(_example(row) for row in by_label[(label,)].iter_rows(named=True))
        for label in labels or [UNLABELLED]
    }


def _example(row: Mapping[str, Any]) -> Example:
    box = next(iter(best_boxes(row["boxes"], 1)), None)
    return Example(media_id=row["media_id"], file_path=row["file_path"], box=box)
