"""What a catalog holds, in numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from trapline.catalog.counting import count_distinct, count_values, slices
from trapline.catalog.names import as_listed
from trapline.catalog.parquet_file import streamed
from trapline.catalog.splits import count_labels, describe_parts
from trapline.catalog.table import EVENT_LABELS, SPLIT_PARTS, Catalog, known_labels


def summarise(catalog: Catalog) -> dict[str, Any]:
    """Media, labels with counts, locations, events, times with their source, boxes and parts; JSON-able."""
    frame, facts, media = catalog.frame, catalog.facts, len(catalog)
    time, boxes = pl.col("camera_time"), pl.col("boxes").list.len()
    names = frame.collect_schema().names()
    about = {
        "several_labels": (pl.col("labels").list.len() > 1).sum(),
        "first": time.min(),
        "last": time.max(),
        "media_with": (boxes > 0).sum(),
        "media_with_none_found": (boxes == 0).sum(),
    }
    known = {f"known {name}": pl.col(name).count() for name in names}
    told = streamed(frame.select(**about, **known), catalog.source).row(0, named=True)
    missing = {name: media - told[f"known {name}"] for name in names}
    labels = count_values(frame.select(pl.col("labels").explode()), "labels")
    return {
        "source": catalog.source,
        "root": as_listed(catalog.root.as_posix()),
        "format": facts.format and facts.format.as_json(),
        "notes": list(facts.notes),
        "rejected": facts.rejected and facts.rejected.as_json(),
        "media": media,
        "labelled": media - missing["labels"],
        "several_labels": told["several_labels"],
        "labels": dict(labels.sort("count", "labels", descending=[True, False]).rows()),
        "event_labels": _event_labels(catalog) if missing.get(EVENT_LABELS, media) < media else None,
        "locations": count_distinct(frame, "location_id", media),
        "without_location": missing["location_id"],
        "deployments": count_distinct(frame, "deployment_id", media),
        "events": count_distinct(frame, "event_id", media),
        "without_event": missing["event_id"],
        "times": {
            "known": media - missing["camera_time"],
            "zone_aware": media - missing["timestamp"],
            "timezone": facts.timezone,
            "first": told["first"] and str(told["first"]),
            "last": told["last"] and str(told["last"]),
            "sources": dict(count_values(frame, "timestamp_source").rows()),
        },
        "boxes": {
            "media_with": told["media_with"],
            "media_with_none_found": told["media_with_none_found"],
            "media_not_searched": missing["boxes"],
            "joined": facts.boxes and facts.boxes.as_json(),
        },
        "parts": {part: description.as_json() for part, description in describe_parts(catalog).items()},
        "columns": [name for name in names if missing[name] < media],
    }


def _event_labels(catalog: Catalog) -> dict[str, Any]:
    """Of the labels of whole events: how many events have any, several, and each."""
    known = catalog.frame.select("event_id", EVENT_LABELS).drop_nulls()
    events, several, counts = 0, 0, Counter[str]()
    for some in slices(known, pl.col("event_id"), len(catalog)):
        labels = some.unique("event_id", keep="first", maintain_order=True)[EVENT_LABELS]
        events, several = events + len(labels), several + int((labels.list.len() > 1).sum())
        counts.update(dict(labels.explode().value_counts(name="count").iter_rows()))
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return {"events": events, "several_labels": several, "labels": dict(ordered)}


def labels_by_part(catalog: Catalog) -> pl.DataFrame:
    """One row a label, one column a part of the split: how many media."""
    counted = count_labels(catalog.frame.select("split", labels=known_labels(catalog.frame)))
    parts = [part for part in SPLIT_PARTS if part in counted["split"].unique()]
    return (
        counted.pivot(on="split", index="labels", values="count")
        .select("labels", *parts)
        .fill_null(0)
        .sort("labels")
    )
