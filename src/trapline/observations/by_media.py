"""What is said of each media, as objects: the way from the table of observations into a format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import groupby
from typing import Any

import polars as pl

from trapline.catalog import ATTRIBUTES, Catalog
from trapline.observations.table import Observations, kind_of_observer
from trapline.taxonomy import Kind

_COLUMNS = (
    *("media_id", "event_id", "box", "observer", "observed_at", "status", "reason"),
    *("label", "probability", *ATTRIBUTES, "_labels", "_probabilities", "_event"),
)


@dataclass(frozen=True)
class LabelProbability:
    """A label, its probability (None where nobody gives one, as people do not), and what is known of the
    individuals, if anything; a label whose individuals are told apart is there once for those alike."""

    label: str
    probability: float | None
    count: int | None = None
    life_stage: str | None = None
    sex: str | None = None
    behaviour: str | None = None


@dataclass(frozen=True)
class Observation:
    """What one observer says of a media, box or event.

    Attributes:
        event_id: the event, in rows of events; else that of the media.
        box: the index of the box in the media's list of boxes; None but where a box is spoken of.
        observer: who says it: `human`, `model:<fingerprint>`, … (`trapline.observations.SCHEMA`).
        failure: why nothing is said; None where something is.
        remark: what was odd.
        answers: the labels that pass the threshold, most probable first; none where nothing passes.
        alternatives: the most probable labels of a model, whatever the threshold, and their probabilities.
        of_event: it is said of the event as a whole.
        observed_at: when, in UTC; None where it is not known.
    """

    event_id: str | None
    box: int | None
    observer: str
    failure: str | None
    remark: str | None
    answers: tuple[LabelProbability, ...]
    alternatives: tuple[Sequence[str], Sequence[float]]
    of_event: bool = False
    observed_at: datetime | None = None

    @cached_property
    def ranked(self) -> tuple[LabelProbability, ...]:
        """The most probable labels of a model, whatever the threshold; of others the answers."""
        return tuple(map(LabelProbability, *self.alternatives)) or self.answers

    @property
    def best(self) -> LabelProbability | None:
        """The most probable label, whether it passes the threshold or not; None where nobody names any."""
        return next(iter(self.ranked), None)

    @property
    def unclassified(self) -> bool:
        """A model has looked, but no label passes the threshold."""
        return self.failure is None and not self.answers and not self.by_human

    @property
    def untold(self) -> bool:
        """A person has looked, and cannot tell."""
        return self.by_human and not self.answers

    @property
    def by_detector(self) -> bool:
        """A detector says it of its boxes."""
        return kind_of_observer(self.observer) == "detector"

    @property
    def by_human(self) -> bool:
        """A person says it."""
        return kind_of_observer(self.observer) == "human"


@dataclass(frozen=True)
class MediaObservations:
    """A row of the catalog and what stands of it.

    Attributes:
        media: the row.
        observations: of the media or its event, or one a box; none where nobody says anything.
        shown: of those what the photo as a whole shows: a box in which nothing is says so of the photo only
            if nothing is in the others either, and then once, without a box, as surely as the least sure.
    """

    media: Mapping[str, Any]
    observations: tuple[Observation, ...]
    shown: tuple[Observation, ...]

    @property
    def labels(self) -> list[str]:
        """The answers for the photo, each once."""
        return list(dict.fromkeys(answer.label for what in self.shown for answer in what.answers))

    @property
    def unobserved(self) -> bool:
        """Nobody says anything of the photo."""
        return not self.observations

    @property
    def failed(self) -> bool:
        """There is no answer for the photo, and why is known."""
        return bool(self.observations) and all(what.failure is not None for what in self.observations)

    @property
    def unclassified(self) -> bool:
        """A model has looked at the photo, but no label passes the threshold."""
        return bool(self.shown) and all(what.unclassified for what in self.shown)


def media_observations(
    observations: Observations, catalog: Catalog, kind: Callable[[str], Kind]
) -> list[MediaObservations]:
    """What stands of each media of a catalog, in the order of `Observations.per_media`.

    Args:
        observations: of this catalog.
        catalog: the media.
        kind: of a label.
    """
    rows = {row["media_id"]: row for row in catalog.table.iter_rows(named=True)}
    entries = []
    each = _observations(observations.per_media(catalog))
    for media, pairs in groupby(each, key=lambda pair: pair[0]):
        whats = [what for _, what in pairs if what is not None]
        entries.append(MediaObservations(rows[media], tuple(whats), _shown(whats, kind)))
    return entries


def event_observations(observations: Observations) -> list[Observation]:
    """What stands of events as wholes."""
    events = observations.standing.filter(pl.col("media_id").is_null())
    return [what for _, what in _observations(events) if what is not None]


def _observations(table: pl.DataFrame) -> Iterator[tuple[str | None, Observation | None]]:
    """The media and what is said of it; None where nobody says anything."""
    element, others = pl.element().struct, pl.col("alternatives").list
    marked = table.with_columns(
        _event=pl.col("file_path").is_null(),
        _labels=others.eval(element.field("label")),
        _probabilities=others.eval(element.field("probability")),
    )
    rows = marked.select(*_COLUMNS).iter_rows()
    for key, group in groupby(rows, key=lambda row: row[:6]):
        media, event, box, observer, observed_at, status = key
        if observer is None:
            yield media, None
            continue
        answers = []
        for row in group:
            *_, reason, label, probability, count, stage, sex, behaviour = row[:-3]
            labels, probabilities, of_event = row[-3:]
            if label is not None:
                answers.append(LabelProbability(label, probability, count, stage, sex, behaviour))
        failed = status == "failed"
        yield (
            media,
            Observation(
                event,
                box,
                observer,
                reason if failed else None,
                None if failed else reason,
                tuple(answers),
                (labels or (), probabilities or ()),
                of_event,
                observed_at,
            ),
        )


def _shown(observations: Sequence[Observation], kind: Callable[[str], Kind]) -> tuple[Observation, ...]:
    blank = [what for what in observations if what.answers and kind(what.answers[0].label) == "blank"]
    if not blank or len(blank) < len(observations):
        return tuple(what for what in observations if what not in blank)
    least = min(blank, key=lambda what: what.answers[0].probability or 0.0)
    return (replace(least, box=None),)
