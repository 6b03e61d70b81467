"""The exploration as one HTML page."""

from __future__ import annotations

import calendar
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trapline.catalog import as_name
from trapline.errors import many
from trapline.evaluation import RARE_LOCATIONS, RARE_MEDIA, UNITS, Exploration, write_mistakes
from trapline.reports.mistakes import listed_beside, review_command, show_mistakes
from trapline.reports.page import COLOURS, as_svg, new_figure, render, style_axes, thumbnail
from trapline.storage import AnyPath

MOST_LOCATIONS = 150
"""As many locations are drawn; the table below the drawing and the JSON have all."""
DENSE = 20
FEW_FRAMES = 10
HOURS = [f"{hour}–{hour + 1} h" for hour in range(24)]


MOST_DOUBTS = 24
"""Photos of labels that a model contradicts that are shown; the table beside the page has all."""


def write_exploration(
    exploration: Exploration, path: Path, *, pictures: bool, files: Sequence[AnyPath | str] = ()
) -> Path:
    """Write the page; see `Exploration.save_report`."""
    doubts, listed = exploration.label_errors, listed_beside(path, "label_errors")
    if doubts is not None:
        write_mistakes(doubts.contradicted, doubts.level, listed)
    labels = exploration.labels
    shown = [one.location for one in exploration.locations[:MOST_LOCATIONS]]
    return render(
        "explore.html.j2",
        path,
        x=exploration,
        dense=len(labels) > DENSE,
        location_strips=[
            (one.label, one.locations, _cells([one.by_location.get(name, 0) for name in shown], shown))
            for one in labels
        ],
        hour_strips=[(one.label, sum(one.hours), _cells(one.hours, HOURS)) for one in labels],
        month_strips=[
            (one.label, sum(one.months), _cells(one.months, calendar.month_name[1:])) for one in labels
        ],
        shown=len(shown),
        locations_figure=_locations(exploration),
        frames=_frames(exploration.frames),
        seasons=[one.season or "not known" for one in exploration.seasons],
        season_labels=[(one.label, _season_figures(exploration, one.label)) for one in labels],
        examples={
            label: [(one, thumbnail(exploration.root / as_name(one.file_path))) for one in photos]
            for label, photos in exploration.examples.items()
        }
        if pictures and exploration.root is not None
        else {},
        doubts=doubts,
        unit=UNITS["media" if doubts is None else doubts.level],
        doubtful=show_mistakes(doubts.contradicted[:MOST_DOUBTS], exploration.root, path)
        if doubts is not None and pictures and exploration.root is not None
        else [],
        listed=listed.name,
        review=review_command(files, listed),
        tags={one.label: _tags(one.media, one.locations) for one in labels},
    )


def _cells(counts: Any, names: Any) -> list[tuple[float, str]]:
    """(shade 0..1, what it stands for) a cell; shades are logarithmic, so that single photos can be seen."""
    top = math.log1p(max(counts, default=0)) or 1.0
    return [(math.log1p(count) / top, f"{name}: {count}") for count, name in zip(counts, names, strict=True)]


def _tags(media: int, locations: int) -> list[str]:
    tags = ["rare"] if media < RARE_MEDIA else []
    if 0 < locations < RARE_LOCATIONS:
        tags.append("one location" if locations == 1 else many(locations, "location"))
    return tags


def _frames(frames: dict[int, int]) -> list[tuple[str, int]]:
    rows = [(str(count), events) for count, events in frames.items() if count <= FEW_FRAMES]
    more = sum(events for count, events in frames.items() if count > FEW_FRAMES)
    return [*rows, (f"more than {FEW_FRAMES}", more)] if more else rows


def _season_figures(exploration: Exploration, label: str) -> list[tuple[int, int]]:
    """Of each season the photos and the events with a label."""
    return [(one.labels.get(label, 0), one.label_events.get(label, 0)) for one in exploration.seasons]


def _locations(exploration: Exploration) -> Any:
    counts = [one.media for one in exploration.locations]
    if len(counts) < 2:
        return None
    figure = new_figure(5.6, 2.3)
    axes = figure.subplots()
    axes.bar(range(1, len(counts) + 1), counts, 1.0 if len(counts) > 60 else 0.86, color=COLOURS["accent"])
    axes.set_xlim(0.4, len(counts) + 0.6)
    style_axes(axes, x="locations, the one with the most photos first", y="photos")
    return as_svg(
        figure,
        "locations",
        f"Photos of {many(len(counts), 'location')}: from {counts[0]} down to {counts[-1]}",
    )
