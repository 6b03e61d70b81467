"""What exploring a catalog found: a typed result that is saved as JSON and shown as a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from trapline.arguments import Output, Source, checked
from trapline.errors import many
from trapline.evaluation import words
from trapline.evaluation.label_errors import LabelErrors
from trapline.evaluation.result_part import Box, ResultPart, SavedResult
from trapline.storage import AnyPath


class LabelShare(ResultPart):
    """One label of the catalog.

    Attributes:
        media: that have it.
        share: of the labelled media.
        locations: where it was seen.
        events: in which it was seen; media of no known event are not counted.
        top_location_share: the share of its media that come from its one most frequent location; None
            where no location is known.
        hours: media by hour of the camera's clock, 24 numbers.
        months: media by month, 12 numbers.
        by_location: location -> media.
    """

    label: str
    media: int
    share: float
    locations: int
    events: int
    top_location_share: float | None
    hours: tuple[int, ...]
    months: tuple[int, ...]
    by_location: dict[str, int]


class LocationShare(ResultPart):
    """One location: its media, its labels and when it was active."""

    location: str
    media: int
    labels: int
    first: str | None
    last: str | None


class SeasonShare(ResultPart):
    """One season.

    Attributes:
        season: its name; None stands for media of no known season.
        media: of it.
        labelled: of those, by themselves or by their event.
        events: of which there are media in it.
        labels: label -> media.
        label_events: label -> events that show it.
    """

    season: str | None
    media: int
    labelled: int
    events: int
    labels: dict[str, int]
    label_events: dict[str, int]


class PhotoSample(ResultPart):
    """What a look at some photos showed.

    Attributes:
        looked: how many photos were opened.
        of: how many there are.
        sizes: `384 × 280` (width × height) -> photos, the most frequent first.
        grey: photos without colour: infrared at night, or a black-and-white camera.
        unreadable: media id -> reason.
        damaged: media id -> warning.
    """

    looked: int
    of: int
    sizes: dict[str, int]
    grey: int
    unreadable: dict[str, str]
    damaged: dict[str, str]


class Boxes(ResultPart):
    """What a detector found.

    Attributes:
        searched: media a detector was run on.
        with_box: media with at least one box.
        categories: category -> boxes.
        area: quantiles (5, 25, 50, 75, 95 %) of the largest box's share of the picture; None without boxes.
    """

    searched: int
    with_box: int
    categories: dict[str, int]
    area: tuple[float, float, float, float, float] | None


class Finding(ResultPart):
    """What could go wrong in training."""

    serious: bool
    title: str
    text: str


class Example(ResultPart):
    """A photo to show, and its most confident box."""

    media_id: str
    file_path: str
    box: Box | None


class Exploration(SavedResult):
    """What is in a catalog.

    Attributes:
        summary: as `trapline catalog` prints it.
        labelled: media of which something is known.
        labelled_by_event: of those, the ones of which only their event's labels are known; they count as
            theirs.
        blanks: labelled media on which nothing is seen; None where nothing is labelled.
        frames: how many events have so many frames.
        events_by_labels: number of labels -> events that show so many; 0 for events of which nothing is
            known. A blank event has one label, `blank`.
        seasons: the seasons of a catalog that has them, S2 before S10.
        years: media by year of the camera's clock.
        files: missing, double and near-double files and labels that contradict each other, by media id.
        examples: label -> photos, of different locations as far as there are.
        label_errors: labels that a model contradicts; None where no predictions were given.
        root: the folder of the photos, for the report's pictures; not saved.
    """

    format_version: Literal["1"] = "1"
    source: str
    media: int
    labelled: int
    labelled_by_event: int = 0
    blanks: int | None
    summary: dict[str, Any]
    labels: tuple[LabelShare, ...]
    locations: tuple[LocationShare, ...]
    frames: dict[int, int]
    events_by_labels: dict[int, int] = Field(default_factory=dict)
    seasons: tuple[SeasonShare, ...] = ()
    years: dict[int, int]
    sample: PhotoSample
    boxes: Boxes
    files: dict[str, Any]
    findings: tuple[Finding, ...]
    examples: dict[str, tuple[Example, ...]]
    label_errors: LabelErrors | None = None
    trapline: str
    created: str
    root: AnyPath | None = Field(None, exclude=True)

    def to_text(self) -> str:
        """The labels as a table, and what could go wrong after it."""
        rows = [("label", "photos", "share", "locations", "events")]
        for one in self.labels:
            counts = (f"{one.media:,}", f"{100 * one.share:.1f} %", f"{one.locations:,}", f"{one.events:,}")
            rows.append((one.label, *counts))
        locations = many(len(self.locations), "location")
        head = f"{many(self.media, 'photo')}, {self.labelled:,} labelled, of {locations}"
        if self.labelled_by_event:
            head += f"; {self.labelled_by_event:,} have the labels of their event"
        findings = [
            f"{'Serious' if one.serious else 'Note'}: {one.title}. {one.text}" for one in self.findings
        ]
        table = ["", *words.columns(rows)] if self.labels else []
        doubts = [] if self.label_errors is None else ["", self.label_errors.to_text()]
        return "\n".join([head, *table, *self._events(), *([""] if findings else []), *findings, *doubts])

    def _events(self) -> list[str]:
        """The seasons as a table, and how many labels events have."""
        rows: list[tuple[str, ...]] = [("season", "photos", "labelled", "events", "labels")]
        for one in self.seasons:
            counts = (one.media, one.labelled, one.events, len(one.labels))
            rows.append((one.season or "not known", *(f"{count:,}" for count in counts)))
        table = ["", *words.columns(rows)] if self.seasons else []
        several = ", ".join(f"{labels}: {events:,}" for labels, events in self.events_by_labels.items())
        return [*table, *(["", f"Events by number of labels: {several}"] if several else [])]

    @checked
    def save_report(self, path: Output, *, pictures: bool = True, files: Sequence[Source] = ()) -> Path:
        """Write one self-contained HTML page; beside it, as CSV, the labels that a model contradicts.

        Args:
            path: of the page.
            pictures: whether it has photos.
            files: the catalog and the predictions, for the command that the page offers.
        """
        from trapline.reports import write_exploration

        return write_exploration(self, Path(path), pictures=pictures, files=files)
