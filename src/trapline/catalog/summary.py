"""What a catalog holds, in numbers."""

from __future__ import annotations

from typing import Any

import polars as pl

from trapline.catalog.names import as_listed
from trapline.catalog.splits import count_labels, describe_parts
from trapline.catalog.table import EVENT_LABELS, SPLIT_PARTS, Catalog, known_labels


def summarise(catalog: Catalog) -> dict[str, Any]:
    """Media, labels with counts, locations, events, times with their source, boxes and parts; JSON-able."""
    table, facts = catalog.table, catalog.facts
    labels = table["labels"].explode().drop_nulls().value_counts(name="count")
    times = table["camera_time"].drop_nulls()
    boxes = table["boxes"]
    of_events = _event_labels(table)
    return {
        "source": catalog.source,
        "root": as_listed(catalog.root.as_posix()),
        "format": facts.format and facts.format.as_json(),
        "notes": list(facts.notes),
        "rejected": facts.rejected and facts.rejected.as_json(),
        "media": table.height,
        "labelled": table.height - table["labels"].null_count(),
        "several_labels": int((table["labels"].list.len() > 1).sum()),
        "labels": dict(labels.sort("count", "labels", descending=[True, False]).rows()),
        "event_labels": of_events,
        "locations": table["location_id"].drop_nulls().n_unique(),
        "without_location": table["location_id"].null_count(),
        "deployments": table["deployment_id"].drop_nulls().n_unique(),
        "events": table["event_id"].drop_nulls().n_unique(),
        "without_event": table["event_id"].null_count(),
        "times": {
            "known": len(times),
            "zone_aware": table.height - table["timestamp"].null_count(),
            "timezone": facts.timezone,
            "first": str(times.min()) if len(times) else None,
            "last": str(times.max()) if len(times) else None,
            "sources": dict(table["timestamp_source"].value_counts().sort("timestamp_source").rows()),
        },
        "boxes": {
            "media_with": int((boxes.list.len() > 0).sum()),
            "media_with_none_found": int((boxes.list.len() == 0).sum()),
            "media_not_searched": boxes.null_count(),
            "joined": facts.boxes and facts.boxes.as_json(),
        },
        "parts": {part: description.as_json() for part, description in describe_parts(catalog).items()},
        "columns": [name for name in table.columns if not table[name].is_null().all()],
    }


def _event_labels(table: pl.DataFrame) -> dict[str, Any] | None:
    """Of the labels of whole events: how many events have any, several, and each; None if none is known."""
    if EVENT_LABELS not in table.columns or table[EVENT_LABELS].null_count() == table.height:
        return None
    events = table.select("event_id", EVENT_LABELS).drop_nulls().unique("event_id")[EVENT_LABELS]
    counts = events.explode().value_counts(name="count").sort("count", EVENT_LABELS, descending=[True, False])
    return {
        "events": len(events),
        "several_labels": int((events.list.len() > 1).sum()),
        "labels": dict(counts.rows()),
    }


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
