"""What predictions say of each media, box or event: the labels that pass a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from trapline.errors import DataError, UsageError
from trapline.formats.writers.detected import SURE, confidence, is_sure, kind_of
from trapline.formats.writers.writing import Job
from trapline.metrics import labels_said
from trapline.models import blank_column
from trapline.taxonomy import Kind

TOP = 5
"""How many labels the formats that list several list."""

UNCLASSIFIED, FAILED = "unclassified", "failed"
"""What a photo without an answer is counted as, or sorted into, where formats have nothing of their own."""

_NO_ANIMAL: tuple[set[Kind | None], ...] = ({"human"}, {"vehicle"}, {"human", "vehicle"})
"""The kinds of boxes in a photo of people, of vehicles, or of both."""


@dataclass(frozen=True)
class LabelProbability:
    """A label and its probability."""

    label: str
    probability: float


@dataclass(frozen=True)
class Observation:
    """What one row of the predictions says.

    Attributes:
        event_id: the event, in rows of events; else that of the media.
        box: the index of the box in the media's list of boxes; None but in rows of boxes.
        failure: why there is no prediction; None where there is one.
        remark: what was odd about a prediction.
        answers: the labels that pass the threshold, most probable first; none where nothing passes.
        ranked: the `TOP` most probable labels that have a probability, whatever the threshold.
        by_detector: the detector says it of its box, about which the model was not asked.
    """

    event_id: str | None
    box: int | None
    failure: str | None
    remark: str | None
    answers: tuple[LabelProbability, ...]
    ranked: tuple[LabelProbability, ...]
    by_detector: bool = False

    @property
    def unclassified(self) -> bool:
        """There is a prediction, but no label passes the threshold."""
        return self.failure is None and not self.answers


@dataclass(frozen=True)
class MediaObservations:
    """A row of the catalog and what is said of it.

    Attributes:
        media: the row.
        said: one row of predictions, or one a box, also of people and vehicles that the detector found.
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
    def failed(self) -> bool:
        """There is no prediction of the photo."""
        return all(what.failure is not None for what in self.observations)

    @property
    def unclassified(self) -> bool:
        """There are predictions of the photo, but no label passes the threshold in any."""
        return all(what.unclassified for what in self.shown)


def resolve_threshold(job: Job, threshold: float | None) -> float:
    """The threshold in force: as given; else 0 for one label a row, 0.5 for several.

    Raises:
        UsageError: it is not between 0 and 1.
    """
    if threshold is None:
        return 0.5 if job.predictions.task == "multi-label" else 0.0
    if not 0 <= threshold <= 1:
        raise UsageError(f"The threshold must be between 0 and 1, not {threshold}.")
    return threshold


def observe_rows(job: Job, threshold: float | None) -> list[Observation]:
    """What each row of the predictions says, in their order.

    Of a single-label model the most probable label is the answer if it reaches the threshold; of a
    multi-label model every label that does, but `blank` only alone (see `trapline.metrics.labels_said`). Of a
    model of taxa, unless a threshold is given, it is the rolled-up answer.
    """
    rolled = job.rolled_up if threshold is None else None
    limit = resolve_threshold(job, threshold)
    table, labels = job.predictions.table, job.predictions.labels
    numbers = job.predictions.probabilities()
    order = np.argsort(-np.nan_to_num(numbers, nan=-1.0), axis=1, kind="stable")
    several = job.predictions.task == "multi-label"
    passes = labels_said(numbers, limit, blank_column(labels) if several else None)
    observations = []
    fixed = table.select("event_id", "box", "status", "reason")
    for row, (event, box, status, reason) in enumerate(fixed.iter_rows()):
        if status == "failed":
            observations.append(Observation(event, box, reason or "no reason was recorded", None, (), ()))
            continue
        indices = order[row] if several else order[row, : max(TOP, 1)]
        ranked = tuple(LabelProbability(labels[index], float(numbers[row, index])) for index in indices)
        if job.predictions.facts.kept is not None:  # others are not told of
            ranked = tuple(answer for answer in ranked if answer.probability > 0) or ranked[:1]
        candidates = zip(ranked if several else ranked[:1], indices, strict=False)
        answers = tuple(answer for answer, index in candidates if passes[row, index])
        if rolled is not None:
            name, probability = rolled[row]
            answers = () if name is None else (LabelProbability(name, probability),)
            ranked = (*answers, *(answer for answer in ranked if answer.label != name))
        observations.append(Observation(event, box, None, reason, answers, ranked[:TOP]))
    return observations


def observe_media(job: Job, threshold: float | None) -> tuple[list[MediaObservations], list[str]]:
    """What is said of each media, in the order of the predictions, and what a person should know of it.

    Predictions of events are given to every media of the event; those of boxes are put together by media.
    To the latter belong the people and vehicles that the detector surely found and the model was not asked
    about; where there is nothing else, what the model said of the whole photo gives way to them.

    Raises:
        DataError: a media, event or box of the predictions is not in the catalog.
    """
    observations = observe_rows(job, threshold)
    rows = {row["media_id"]: row for row in job.catalog.table.iter_rows(named=True)}
    if job.predictions.level == "event":
        pairs = _spread_events(job, observations)
    else:
        pairs = list(zip(job.predictions.table["media_id"], observations, strict=True))
    unknown = [media for media, _ in pairs if media not in rows]
    if unknown:
        raise DataError(
            f"The predictions are not of this catalog: it has no media {unknown[0]!r} "
            f"({len(unknown)} of {len(pairs)} are missing). Give the catalog that was predicted."
        )
    grouped: dict[str, list[Observation]] = {}
    for media, what in pairs:
        grouped.setdefault(media, []).append(what)
    _check_boxes(rows, grouped)
    media_observations = [_observe_one_media(job, rows[media], whats) for media, whats in grouped.items()]
    notes = _describe_people(job, media_observations)
    if job.detected_kinds:
        media_observations, more = _add_detected(job, media_observations)
        notes += more
    missing = len(rows) - len(media_observations)
    if missing:
        notes.append(f"{missing} media of the catalog have no prediction and are not written")
    return media_observations, notes


def _spread_events(job: Job, observations: list[Observation]) -> list[tuple[str, Observation]]:
    members = dict(
        job.catalog.table.filter(pl.col("event_id").is_not_null())
        .group_by("event_id", maintain_order=True)
        .agg("media_id")
        .iter_rows()
    )
    unknown = [what.event_id for what in observations if what.event_id not in members]
    if unknown:
        raise DataError(
            f"The predictions are not of this catalog: it has no event {unknown[0]!r} "
            f"({len(unknown)} of {len(observations)} are missing). Give the catalog that was predicted."
        )
    return [(media, what) for what in observations for media in members[what.event_id]]


def _check_boxes(rows: Mapping[str, Mapping[str, Any]], grouped: Mapping[str, list[Observation]]) -> None:
    for media, whats in grouped.items():
        boxes = rows[media]["boxes"] or []
        for what in whats:
            if what.box is not None and not 0 <= what.box < len(boxes):
                raise DataError(
                    f"The predictions name box {what.box} of the media {media!r}, but the catalog has "
                    f"{len(boxes)} boxes of it. Give the catalog that was predicted."
                )


def _observe_one_media(
    job: Job, media: Mapping[str, Any], observations: Sequence[Observation]
) -> MediaObservations:
    blank = [what for what in observations if what.answers and job.kind(what.answers[0].label) == "blank"]
    if len(blank) < len(observations):
        shown = tuple(what for what in observations if what not in blank)
    else:
        shown = (replace(min(blank, key=lambda what: what.answers[0].probability), box=None),)
    return MediaObservations(media, tuple(observations), shown)


def _add_detected(job: Job, entries: list[MediaObservations]) -> tuple[list[MediaObservations], list[str]]:
    """Add what the detector says of boxes that the model was not asked about: people and vehicles."""
    after, added, instead = [], 0, 0
    for entry in entries:
        detected = _observe_detected(job, entry)
        observations = entry.observations
        if detected:
            observations = tuple(
                what for what in observations if what.box is not None or what.failure is not None
            )
        added += len(detected)
        instead += len(observations) < len(entry.observations)
        after.append(_observe_one_media(job, entry.media, [*observations, *detected]))
    if not added:
        return after, []
    names = " and ".join(sorted(job.detected_name(kind) for kind in job.detected_kinds))
    note = f"{added} boxes of people and vehicles are written as {names}: the detector's word, of at least "
    note += f"{SURE:g}"
    if instead:
        note += f"; in {instead} photos it stands in place of what the model said of the whole photo"
    return after, [note]


def _observe_detected(job: Job, entry: MediaObservations) -> list[Observation]:
    asked = {what.box for what in entry.observations}
    observations = []
    for index, box in enumerate(entry.media["boxes"] or ()):
        kind = kind_of(box)
        if index in asked or kind is None or kind == "animal" or not is_sure(box):
            continue
        answer = LabelProbability(job.detected_name(kind), confidence(box))
        event = entry.media["event_id"]
        observations.append(Observation(event, index, None, None, (answer,), (answer,), by_detector=True))
    return observations


def _describe_people(job: Job, entries: list[MediaObservations]) -> list[str]:
    """For people: how many photos are said to show an animal where the detector found people alone."""
    if job.predictions.level != "media":
        return []
    count = sum(
        any(job.kind(answer.label) == "animal" for what in entry.observations for answer in what.answers)
        and {kind_of(box) for box in entry.media["boxes"] or () if is_sure(box)} in _NO_ANIMAL
        for entry in entries
    )
    if not count:
        return []
    return [
        f"{count} photos are said to show an animal where the detector found people or vehicles alone: its "
        "word stands in what a model of crops predicts with --level box"
    ]


def author(job: Job, what: Observation) -> str:
    """Who says it: the model, or the detector."""
    return (job.detector or "a detector") if what.by_detector else job.classifier


def folders_of(entry: MediaObservations, called: Mapping[str, str]) -> list[str]:
    """Where a photo is counted or sorted: under what its labels are `called`, or what it is without any."""
    return [called[label] for label in entry.labels] or [FAILED if entry.failed else UNCLASSIFIED]


def tell_names_apart(names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """What labels are called beside `unclassified` and `failed`, which are none; for people, what changed."""
    called = {
        name: f"{name} (class)" if name.casefold() in (UNCLASSIFIED, FAILED) else name for name in names
    }
    notes = [
        f"'{name}' is called '{other}', because photos without an answer are {name.casefold()}"
        for name, other in called.items()
        if name != other
    ]
    return called, notes


def describe_spread(job: Job) -> list[str]:
    """For people: that photos carry the answers of their events, where they do."""
    if job.predictions.level != "event":
        return []
    return ["the predictions are of events: every media of an event carries its event's answer"]


def round_probability(probability: float) -> float:
    """A probability as it is written: five digits."""
    return round(probability, 5)


def describe_threshold(job: Job, threshold: float | None, unclassified: int, becomes: str) -> list[str]:
    """For people: how many rows have no label that passes, and what became of them."""
    limit = resolve_threshold(job, threshold)
    if unclassified == 0:
        return []
    return [f"{unclassified} rows have no label of at least {limit:g}: {becomes}"]
