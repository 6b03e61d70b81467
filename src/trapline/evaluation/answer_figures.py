"""What was seen on a card, in numbers: photos and visits of each answer, when, and which to look at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import polars as pl
from pydantic import Field

import trapline
from trapline.catalog import Catalog, DetectedBoxes, FileCheck
from trapline.evaluation.exploration import Finding
from trapline.evaluation.findings import find_clock_troubles
from trapline.evaluation.result_part import ResultPart, SavedResult
from trapline.formats import INTERVAL, independent_times
from trapline.observations import (
    FAILED,
    UNCLASSIFIED,
    UNOBSERVED,
    Sources,
    category_name,
    media_observations,
)
from trapline.storage import AnyPath

PEOPLE = ("human", "vehicle")

_ORDER = ("animal", "other", *PEOPLE, "blank", UNCLASSIFIED, UNOBSERVED, FAILED)


PhotoBox = tuple[str, float, float, float, float, float]
"""Category, confidence, x, y, width and height; the last four as fractions."""


class AnsweredPhoto(ResultPart):
    """A photo with an answer.

    Attributes:
        media_id: of the catalog, and
        file_path: likewise.
        location: of the catalog; None where it is not known.
        time: by the camera's clock.
        probability: of the answer; None where there is none.
        reason: why there is no answer.
        boxes: of the detector, the surest first.
    """

    media_id: str
    file_path: str
    location: str | None
    time: datetime | None
    probability: float | None
    reason: str | None
    boxes: tuple[PhotoBox, ...]


class AnswerFigures(ResultPart):
    """One answer.

    Attributes:
        label: what it is called; `unclassified`, `unobserved` and `failed` for photos without one.
        kind: of `trapline.taxonomy.KINDS`; what is `unknown` is `other`, what has no answer has its name.
        media: photos.
        visits: independent events, over all locations; None where no time or location is known.
        without_time: photos that are in no visit for want of a time or location.
        first: time of the first photo, and
        last: of the last.
        hours: visits by the hour in which they begin, 24 numbers.
        months: likewise by month, 12 numbers.
        by_location: location → photos, the most first.
        photos: those to look at, the least sure first, one a visit as far as there are.
    """

    label: str
    kind: str
    media: int
    visits: int | None
    without_time: int
    first: datetime | None
    last: datetime | None
    hours: tuple[int, ...]
    months: tuple[int, ...]
    by_location: dict[str, int]
    photos: tuple[AnsweredPhoto, ...]


class CardFigures(SavedResult):
    """What was seen on a card.

    Attributes:
        source: of the catalog.
        media: photos altogether.
        locations: and
        events: how many there are.
        first: time of the first photo, and
        last: of the last.
        answers: animals first, the most frequent first; then people, vehicles, blanks and what has no answer.
        findings: what is odd about clocks and files.
        notes: how the card was read, and what of it was left out.
        detector: the name of what found the boxes, and
        categories: what it tells apart.
        model: the name of the model that named the animals; None where none did.
        interval: minutes between independent events.
        root: the folder of the photos; not saved.
    """

    format_version: Literal["1"] = "1"
    source: str
    media: int
    locations: int
    events: int
    first: datetime | None
    last: datetime | None
    answers: tuple[AnswerFigures, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    detector: str | None
    categories: tuple[str, ...]
    model: str | None
    interval: float
    trapline: str
    root: AnyPath | None = Field(None, exclude=True)

    def of_kind(self, *kinds: str) -> list[AnswerFigures]:
        """The answers of some kinds."""
        return [one for one in self.answers if one.kind in kinds]

    def media_of(self, *kinds: str) -> int:
        """Photos of some kinds; one with several answers counts for each."""
        return sum(one.media for one in self.of_kind(*kinds))

    @property
    def tells_people(self) -> bool:
        """Whether the detector tells people from animals."""
        return "person" in self.categories


def figures_of_card(
    sources: Sources,
    files: FileCheck,
    *,
    model: str | None = None,
    pictures: int = 24,
    interval: float = INTERVAL,
) -> CardFigures:
    """What was seen on a card.

    Args:
        sources: who says what of the photos.
        files: what is wrong with the files.
        model: the name of the model that named the animals; None where the detector alone answers.
        pictures: photos of each answer to look at.
        interval: minutes between independent events.
    """
    catalog = sources.catalog
    rows = _rows(sources)
    parts = rows.partition_by("label", "kind", maintain_order=True)
    answers = [_answer(part, pictures, timedelta(minutes=interval)) for part in parts]
    answers.sort(key=lambda one: (_ORDER.index(one.kind), -one.media, one.label))
    findings = [*find_clock_troubles(catalog), *_about_files(files)]
    boxes, times = catalog.facts.boxes, catalog.table["camera_time"]
    return CardFigures(
        source=catalog.source,
        media=len(catalog),
        locations=catalog.table["location_id"].drop_nulls().n_unique(),
        events=catalog.table["event_id"].drop_nulls().n_unique(),
        first=_moment(times.min()),
        last=_moment(times.max()),
        answers=tuple(answers),
        findings=tuple(sorted(findings, key=lambda one: not one.serious)),
        notes=catalog.facts.notes,
        detector=None if boxes is None else boxes.detector,
        categories=_categories(catalog),
        model=model,
        interval=interval,
        trapline=trapline.__version__,
        root=catalog.root,
    )


def _categories(catalog: Catalog) -> tuple[str, ...]:
    """What the detector tells apart, as far as it is known: of boxes from elsewhere those that there are."""
    boxes = catalog.facts.boxes
    if isinstance(boxes, DetectedBoxes):
        return boxes.categories
    names = catalog.table.select(pl.col("boxes").explode().struct.field("category").unique()).to_series()
    return tuple(sorted({category_name(name) for name in names.drop_nulls()}))


def _rows(sources: Sources) -> pl.DataFrame:
    """A row a media and answer, with what the catalog knows of the media."""
    rows: list[tuple[str, str, str, float | None, str | None]] = []
    for entry in media_observations(sources.observe(), sources.catalog, sources.kind):
        media_id, every = entry.media["media_id"], [one for what in entry.shown for one in what.answers]
        for name in entry.labels:
            chance = max(
                (one.probability for one in every if one.label == name and one.probability), default=None
            )
            rows.append((media_id, name, sources.kind(name), chance, None))
        if not every:
            state = FAILED if entry.failed else UNOBSERVED if entry.unobserved else UNCLASSIFIED
            ranked = [one.probability for what in entry.shown for one in what.ranked if one.probability]
            why = next((what.failure for what in entry.shown if what.failure is not None), None)
            rows.append((media_id, state, state, max(ranked, default=None), why))
    columns = ("media_id", "file_path", "location_id", "event_id", "camera_time", "boxes")
    answers = pl.DataFrame(rows, schema=_ANSWERS, orient="row")
    return answers.join(
        sources.catalog.table.select(columns), on="media_id", how="left", maintain_order="left"
    )


_ANSWERS = {
    "media_id": pl.String(),
    "label": pl.String(),
    "kind": pl.String(),
    "probability": pl.Float64(),
    "reason": pl.String(),
}


def _answer(rows: pl.DataFrame, pictures: int, gap: timedelta) -> AnswerFigures:
    begun, counted = [], rows.drop_nulls(("camera_time", "location_id"))
    for of_location in counted.partition_by("location_id"):
        begun += independent_times(of_location["camera_time"].to_list(), gap)
    locations = rows["location_id"].drop_nulls().value_counts(sort=True)
    return AnswerFigures(
        label=rows["label"][0],
        kind=rows["kind"][0],
        media=rows.height,
        visits=len(begun) if counted.height else None,
        without_time=rows.height - counted.height,
        first=_moment(rows["camera_time"].min()),
        last=_moment(rows["camera_time"].max()),
        hours=tuple(sum(moment.hour == hour for moment in begun) for hour in range(24)),
        months=tuple(sum(moment.month == month for moment in begun) for month in range(1, 13)),
        by_location=dict(sorted(locations.iter_rows(), key=lambda pair: (-pair[1], pair[0]))),
        photos=tuple(_photo(row) for row in _least_sure(rows, pictures).iter_rows(named=True)),
    )


def _least_sure(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """The least sure photo of each visit, the least sure first; then the second of each, and so on."""
    visit = pl.coalesce("event_id", "media_id")
    ordered = rows.sort("probability", "media_id", nulls_last=True)  # people give no probability
    ordered = ordered.with_columns(pl.int_range(pl.len()).over(visit).alias("_turn"))
    return ordered.sort("_turn", maintain_order=True).head(most)


def _photo(row: Mapping[str, Any]) -> AnsweredPhoto:
    boxes = sorted(row["boxes"] or (), key=lambda box: -(1.0 if box["conf"] is None else box["conf"]))
    return AnsweredPhoto(
        media_id=row["media_id"],
        file_path=row["file_path"],
        location=row["location_id"],
        time=row["camera_time"],
        probability=row["probability"],
        reason=row["reason"],
        boxes=tuple(
            (
                category_name(box["category"]),
                1.0 if box["conf"] is None else box["conf"],
                *(box[name] for name in ("x", "y", "width", "height")),
            )
            for box in boxes
        ),
    )


def _moment(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None


def _about_files(files: FileCheck) -> Sequence[Finding]:
    from trapline.errors import name_some

    if not files.duplicates:
        return []
    groups = name_some([" = ".join(group) for group in files.duplicates])
    text = f"{groups}. The same photo twice is counted twice."
    return [Finding(serious=False, title=f"Groups of equal files: {len(files.duplicates)}", text=text)]
