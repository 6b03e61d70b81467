"""From a catalog to what is in it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import trapline
from trapline.catalog import (
    EVENT_LABELS,
    Catalog,
    FileCheck,
    batches,
    check_files,
    count_distinct_by,
    count_values,
    known_labels,
    natural_order,
    slices,
    streamed,
    summarise,
    union_labels,
)
from trapline.evaluation.exploration import (
    Boxes,
    Example,
    Exploration,
    LabelShare,
    LocationShare,
    PhotoSample,
    SeasonShare,
)
from trapline.evaluation.findings import find_troubles
from trapline.evaluation.label_errors import find_label_errors
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
    files: bool = True,
    seed: int = 42,
    on_file: Callable[[], object] = lambda: None,
) -> Exploration:
    """What is in a catalog, and what could go wrong in training on it.

    Args:
        catalog: labelled or not.
        predictions: of a model, against which the labels are held (`find_label_errors`).
        sample: how many photos are opened for sizes, colour and damage.
        full: decode every photo, to find all that cannot be read and those that look alike.
        files: whether the photos are looked at at all: which are missing or equal, and the sample.
        seed: of the sample and the examples.
        on_file: called for each photo that was opened, for a progress display.
    """
    label_errors = None if predictions is None else find_label_errors(catalog, predictions, seed=seed)
    photos, checked = _NOT_LOOKED, FileCheck(depth="none")
    if files:
        photos = look_at_photos(catalog, len(catalog) if full else sample, seed, on_file)
        checked = check_files(catalog, full=full)
    photos = photos.model_copy(update={"of": len(catalog)})
    summary = summarise(catalog)
    catalog = catalog.with_frame(catalog.frame.with_columns(known_labels(catalog.frame).alias("labels")))
    frame, label = catalog.frame, pl.col("labels")
    blank = label.list.contains(BLANK).sum()
    labelled, blanks = streamed(frame.select(label.count(), blank=blank)).row(0)
    labels, events = _labels(catalog, labelled), _Events.of(catalog)
    return Exploration(
        source=catalog.source,
        media=len(catalog),
        labelled=labelled,
        labelled_by_event=labelled - summary["labelled"],
        blanks=blanks if labelled else None,
        summary=summary,
        labels=labels,
        locations=_locations(catalog),
        frames=_ordered(events.frames),
        events_by_labels=_ordered(events.by_labels),
        seasons=_seasons(catalog, events),
        years=_counted(frame.select(pl.col("camera_time").dt.year())),
        sample=photos,
        boxes=_boxes(catalog),
        files=checked.as_dict(),
        findings=tuple(find_troubles(catalog, labels, photos, checked)),
        examples=_examples(catalog, [one.label for one in labels], seed),
        label_errors=label_errors,
        trapline=trapline.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        root=catalog.root,
    )


_NOT_LOOKED = PhotoSample(looked=0, of=0, sizes={}, grey=0, unreadable={}, damaged={})


def _labels(catalog: Catalog, labelled: int) -> tuple[LabelShare, ...]:
    rows = catalog.frame.select("labels", "location_id", "event_id", "camera_time")
    rows = rows.explode("labels").filter(pl.col("labels").is_not_null())
    time = pl.col("camera_time").dt
    media = _counted(rows.select("labels"))
    events = count_distinct_by(rows, "event_id", "labels", len(catalog))
    by_location = _counted_by(rows.select("labels", "location_id"))
    hours = _counted_by(rows.select("labels", hour=time.hour()))
    months = _counted_by(rows.select("labels", month=time.month()))
    shares = [
        LabelShare(
            label=label,
            media=count,
            share=count / labelled,
            locations=len(locations := by_location.get(label, {})),
            events=events.get(label, 0),
            top_location_share=max(locations.values()) / count if locations else None,
            hours=tuple(hours.get(label, {}).get(hour, 0) for hour in range(24)),
            months=tuple(months.get(label, {}).get(month, 0) for month in range(1, 13)),
            by_location=_ordered(locations, most_first=True),
        )
        for label, count in media.items()
    ]
    return tuple(sorted(shares, key=lambda one: (-one.media, one.label)))


def _locations(catalog: Catalog) -> tuple[LocationShare, ...]:
    named = catalog.frame.select("location_id", "labels", "camera_time")
    named = named.filter(pl.col("location_id").is_not_null())
    time = pl.col("camera_time")
    media = named.group_by("location_id").agg(media=pl.len(), first=time.min(), last=time.max())
    pairs = named.select("location_id", "labels").explode("labels").drop_nulls().unique()
    labels = streamed(pairs).group_by("location_id").agg(labels=pl.len())
    table = (
        streamed(media)
        .join(labels, on="location_id", how="left")
        .select(
            "media",
            pl.col("labels").fill_null(0),
            pl.col("first", "last").dt.to_string("%Y-%m-%d"),
            location="location_id",
        )
    )
    ordered = table.sort("media", "location", descending=[True, False])
    return tuple(LocationShare(**row) for row in ordered.iter_rows(named=True))


@dataclass(frozen=True)
class _Events:
    """How many events there are of each kind.

    Attributes:
        frames: number of media -> events.
        by_labels: number of labels -> events, 0 for those of which nothing is known.
        of_season: season -> events of which there are media in it.
        label_events: season -> label -> events that show it.
    """

    frames: Counter[int]
    by_labels: Counter[int]
    of_season: Counter[str | None]
    label_events: defaultdict[str | None, Counter[str]]

    @classmethod
    def of(cls, catalog: Catalog) -> _Events:
        """Those of a catalog, some whole events at a time."""
        frame, own = catalog.frame, cls(Counter(), Counter(), Counter(), defaultdict(Counter))
        columns = frame.collect_schema()
        labels = [name for name in (EVENT_LABELS, "labels") if name in columns]
        season = pl.col("season").cast(pl.String) if "season" in columns else pl.lit(None, pl.String)
        rows = frame.select(event="event_id", labels=pl.coalesce(labels), season=season)
        rows = rows.filter(pl.col("event").is_not_null())
        for some in slices(rows, pl.col("event"), len(catalog)):
            own._add(some)
        return own

    def _add(self, rows: pl.DataFrame) -> None:
        sizes = rows.group_by("event").agg(count=pl.len())
        shown = sizes.join(union_labels(rows.select("event", "labels")), on="event", how="left")
        number = pl.col("labels").list.len().fill_null(0).cast(pl.Int64)
        self.frames.update(dict(sizes["count"].value_counts(name="events").iter_rows()))
        self.by_labels.update(dict(shown.group_by(number).agg(events=pl.len()).iter_rows()))
        of_season = rows.select("event", "season").unique().join(shown, on="event")
        self.of_season.update(dict(of_season.group_by("season").agg(events=pl.len()).iter_rows()))
        pairs = of_season.explode("labels").drop_nulls("labels").group_by("season", "labels")
        for season, label, count in pairs.agg(events=pl.len()).iter_rows():
            self.label_events[season][label] += count


def _seasons(catalog: Catalog, events: _Events) -> tuple[SeasonShare, ...]:
    """The seasons, those of no known one last; none where the catalog has no column of them."""
    if "season" not in catalog.frame.collect_schema():
        return ()
    rows = catalog.frame.select(pl.col("season").cast(pl.String), "labels")
    counts = streamed(rows.group_by("season").agg(media=pl.len(), labelled=pl.col("labels").count()))
    media = {season: (number, labelled) for season, number, labelled in counts.iter_rows()}
    known = natural_order([name for name in media if name is not None])
    labels = _counted_by(rows.explode("labels"))
    return tuple(
        SeasonShare(
            season=name,
            media=media[name][0],
            labelled=media[name][1],
            events=events.of_season[name],
            labels=_ordered(labels.get(name, {}), most_first=True),
            label_events=_ordered(events.label_events[name], most_first=True),
        )
        for name in ([*known, *([None] if None in media else [])] if known else ())
    )


def _counted(column: pl.LazyFrame) -> dict[Any, int]:
    """Value -> how many rows have it, by value."""
    (name,) = column.collect_schema().names()
    return dict(count_values(column, name).iter_rows())


def _counted_by(pairs: pl.LazyFrame) -> dict[Any, dict[Any, int]]:
    """First column -> value of the second, which is not null -> how many rows have both."""
    first, second = pairs.collect_schema().names()
    known = pairs.filter(pl.col(second).is_not_null())
    counts: dict[Any, dict[Any, int]] = defaultdict(dict)
    for key, value, count in streamed(known.group_by(first, second).agg(_count=pl.len())).iter_rows():
        counts[key][value] = count
    return counts


def _ordered(counts: Mapping[Any, int], *, most_first: bool = False) -> dict[Any, int]:
    """Counts by value, or the most frequent first."""
    by_value = sorted(counts.items())
    return dict(sorted(by_value, key=lambda pair: -pair[1]) if most_first else by_value)


def _boxes(catalog: Catalog) -> Boxes:
    boxes = catalog.frame.select("boxes").drop_nulls()
    box = pl.element().struct
    area = pl.col("boxes").list.eval(box.field("width") * box.field("height")).list.max()
    searched = streamed(boxes.select(pl.len())).item()
    largest = streamed(boxes.filter(pl.col("boxes").list.len() > 0).select(area)).to_series()
    every = boxes.explode("boxes").filter(pl.col("boxes").is_not_null()).unnest("boxes")
    quantiles = (
        np.quantile(largest.to_numpy(), [0.05, 0.25, 0.5, 0.75, 0.95]).tolist() if len(largest) else None
    )
    categories = _counted(every.select(pl.col("category").fill_null("no category")))
    return Boxes(
        searched=searched,
        with_box=len(largest),
        categories=_ordered(categories, most_first=True),
        area=quantiles,
    )


def _examples(catalog: Catalog, labels: list[str], seed: int) -> dict[str, tuple[Example, ...]]:
    """Up to `EXAMPLES` photos a label, one a location first; unlabelled ones if nothing is labelled."""
    rows = catalog.frame.select("labels", "location_id").with_row_index("_row")
    by_chance = pl.col("_row").hash(seed)  # a permutation of a hundred million rows is no small thing
    rows = rows.with_columns(pl.col("labels").fill_null([UNLABELLED]), by_chance.alias("_slot"))
    if labels:
        rows = rows.filter(~pl.col("labels").list.contains(UNLABELLED))
    kept: list[pl.DataFrame] = []
    for some in batches(rows):
        kept = [_foremost(pl.concat([*kept, some.explode("labels")]))]
    chosen = pl.concat(kept)
    photos = catalog.frame.select("media_id", "file_path", "boxes").with_row_index("_row")
    wanted = pl.col("_row").is_in(chosen["_row"].to_list())
    by_row = {
        row["_row"]: _example(row)
        for some in batches(photos)  # filtered in one query, all names are in memory at once
        for row in some.filter(wanted).iter_rows(named=True)
    }
    return {
        label: tuple(by_row[row] for row in chosen.filter(pl.col("labels") == label)["_row"])
        for label in labels or [UNLABELLED]
    }


def _foremost(rows: pl.DataFrame) -> pl.DataFrame:
    """The first rows of each label by `_slot`, those of one location one a turn."""
    turn = pl.int_range(pl.len()).over("labels", "location_id")
    in_turn = rows.sort("_slot").with_columns(_turn=turn).sort("_turn", maintain_order=True)
    return in_turn.group_by("labels", maintain_order=True).head(EXAMPLES).select(rows.columns)


def _example(row: Mapping[str, Any]) -> Example:
    box = next(iter(best_boxes(row["boxes"], 1)), None)
    return Example(media_id=row["media_id"], file_path=row["file_path"], box=box)
